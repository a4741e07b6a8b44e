//! Where the heads of sixteen candidates go: the best of them, or all.
#![allow(clippy::inline_always, reason = "compiled inside each level's own function")]

use super::select::Selection;
use crate::simd::{LANES, Line, Simd};

/// Takes the heads of block after block.
pub(super) trait Sink<S: Simd, const N: usize> {
    /// Takes those of a block.
    fn take(&mut self, simd: S, block: usize, heads: [S::Floats; N]);
}

/// The best of each lane, and the blocks they are of.
pub(super) struct Best<S: Simd, const N: usize> {
    heads: [S::Floats; N],
    blocks: S::Floats,
}

impl<S: Simd, const N: usize> Best<S, N> {
    /// Nothing yet.
    #[inline(always)]
    pub(super) fn start(simd: S) -> Self {
        Self { heads: [simd.splat(f32::NEG_INFINITY); N], blocks: simd.splat(0.0) }
    }

    /// The best of all, the first of equals.
    #[inline(always)]
    pub(super) fn finish(self, simd: S) -> Option<Selection> {
        let (logits, blocks) = (simd.store(self.heads[0]), simd.store(self.blocks));
        let mut found: Option<(usize, usize)> = None;
        let mut highest = f32::NEG_INFINITY;
        for (lane, (logit, block)) in logits.into_iter().zip(blocks).enumerate() {
            let index = block as usize * LANES + lane;
            let first = found.is_some_and(|(before, _)| index < before);
            if logit > highest || (first && logit >= highest) {
                (highest, found) = (logit, Some((index, lane)));
            }
        }
        let (index, lane) = found?;
        let mut heads = [0.0; N];
        for (head, lanes) in heads.iter_mut().zip(self.heads) {
            *head = simd.store(lanes)[lane];
        }
        Some(Selection::new(index, heads))
    }
}

impl<S: Simd, const N: usize> Sink<S, N> for Best<S, N> {
    #[inline(always)]
    fn take(&mut self, simd: S, block: usize, heads: [S::Floats; N]) {
        let before = self.heads[0];
        for (best, head) in self.heads.iter_mut().zip(heads) {
            *best = simd.choose_larger(heads[0], before, head, *best);
        }
        self.blocks = simd.choose_larger(heads[0], before, simd.splat(block as f32), self.blocks);
    }
}

/// All of them, `N` lines a block.
pub(super) struct All<'a>(pub(super) &'a mut [Line<f32, LANES>]);

impl<S: Simd, const N: usize> Sink<S, N> for All<'_> {
    #[inline(always)]
    fn take(&mut self, simd: S, block: usize, heads: [S::Floats; N]) {
        let lines = self.0.get_mut(block * N..).unwrap_or_default();
        for (line, head) in lines.iter_mut().zip(heads) {
            line.0 = simd.store(head);
        }
    }
}
