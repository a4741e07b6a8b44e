//! What bounds a decision on the machine at hand, to measure: reading the embeddings and nothing else, and the cell
//! with all that it reads at hand. A decision that does one after the other takes the sum of both.
#![allow(clippy::inline_always, reason = "compiled inside each level's own function")]

use super::kernel::{self, Block};
use super::ranker::Ranker;
use super::store::{Embeddings, Store};
use crate::simd::{LANES, Level, Line, Simd, Work};

impl<const I: usize, const H: usize, const N: usize> Store<I, H, N> {
    /// Reads every line of the embeddings once, and adds them up so that none can be left out.
    pub fn stream_embeddings(&self) -> f32 {
        self.level.run(Stream(&self.embeddings))
    }
}

impl<const I: usize, const H: usize, const N: usize> Ranker<I, H, N> {
    /// The step, the time's signals and the heads for `blocks` times sixteen candidates, whose sums and states are
    /// the same lines each time.
    pub fn cells_alone(&self, level: Level, blocks: usize, now: f64) -> f32 {
        level.run(Cells { ranker: self, blocks, now })
    }
}

struct Stream<'a>(&'a Embeddings);

impl Work for Stream<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let zero = simd.splat(0.0);
        let mut parts = [zero; 8];
        match self.0 {
            Embeddings::F32(lines) => {
                for lines in lines.chunks(8) {
                    for (part, line) in parts.iter_mut().zip(lines) {
                        *part = simd.add(*part, simd.load(&line.0));
                    }
                }
            }
            Embeddings::F16(lines) => {
                for lines in lines.chunks(4) {
                    for (part, half) in parts.iter_mut().zip(lines.iter().flat_map(|line| &line.0)) {
                        *part = simd.add(*part, simd.load_half(half));
                    }
                }
            }
            Embeddings::Int8 { lines, .. } => {
                let mut sums = [simd.load_bytes(&[0; 64]); 8];
                for lines in lines.chunks(8) {
                    for (sum, line) in sums.iter_mut().zip(lines) {
                        *sum = simd.add_integers(*sum, simd.load_bytes(&line.0));
                    }
                }
                parts = sums.map(|sum| simd.to_floats(sum));
            }
        }
        parts.into_iter().map(|part| simd.sum(part)).sum()
    }
}

struct Cells<'a, const I: usize, const H: usize, const N: usize> {
    ranker: &'a Ranker<I, H, N>,
    blocks: usize,
    now: f64,
}

impl<const I: usize, const H: usize, const N: usize> Work for Cells<'_, I, H, N> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let (base, state) = ([Line([0.25; LANES]); H], [Line([0.5; LANES]); H]);
        let (last_call, request) = (Line([0.0; LANES]), [0.0; H]);
        let block = Block { base: &base, state: &state, last_call: &last_call };
        let (mut best, mut similarity) = (simd.splat(f32::NEG_INFINITY), simd.splat(-1.0));
        for _ in 0..self.blocks {
            similarity = simd.add(similarity, simd.splat(1e-3));
            let inputs = [similarity, simd.splat(0.0)];
            let heads = if self.ranker.has_gap() {
                kernel::heads::<S, I, H, N, true>(simd, self.ranker, &request, &block, self.now, inputs)
            } else {
                kernel::heads::<S, I, H, N, false>(simd, self.ranker, &request, &block, self.now, inputs)
            };
            for head in heads {
                best = simd.max(best, head);
            }
        }
        simd.sum(best)
    }
}
