//! The choice among registered candidates: similarity, signals, one step, heads and the best, in one pass.
#![allow(clippy::inline_always, reason = "the loops are compiled inside each level's own function")]

use std::time::Duration;

use super::best::{All, Best, Sink};
use super::kernel::{self, Block};
use super::network::{HEADS, HIDDEN, INPUTS};
use super::overlap::TagMatches;
use super::query::{Prepared, Query, QueryError, Rows, Scratch, prepare};
use super::store::{Embeddings, Store};
use crate::numerics::{exp, sigmoid};
use crate::simd::{LANES, Line, Simd, Work};

/// The candidate that is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Selection {
    /// Which it is.
    pub index: usize,
    /// Probability of success.
    pub score: f32,
    /// How far the score may be off: with a head of precision k, the standard deviation of Beta(score k,
    /// (1 - score) k); else the smaller of the score and its rest.
    pub uncertainty: f32,
    /// The logit of the score.
    pub logit: f32,
}

impl Selection {
    pub(super) fn new<const N: usize>(index: usize, heads: [f32; N]) -> Self {
        let logit = heads[0];
        let score = sigmoid(logit);
        let rest = sigmoid(-logit);
        let uncertainty = match heads.get(1) {
            Some(precision) => (score * rest / (exp(*precision) + 1.0)).sqrt(),
            None => score.min(rest),
        };
        Self { index, score, uncertainty, logit }
    }
}

/// The candidate network's store.
pub type CandidateStore = Store<INPUTS, HIDDEN, HEADS>;

impl<const I: usize, const H: usize, const N: usize> Store<I, H, N> {
    /// The open candidate with the highest score, the first of equals. Allocates only until `scratch` has grown to
    /// the size of a query.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn select(
        &self,
        query: &Query<'_, I>,
        now: Duration,
        scratch: &mut Scratch,
    ) -> Result<Selection, QueryError> {
        self.decide(query, now, scratch, None)?.ok_or(QueryError::NoCandidate)
    }

    /// All open candidates, the highest score first, the first of equals first, in `scratch`.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn rank<'s>(
        &self,
        query: &Query<'_, I>,
        now: Duration,
        scratch: &'s mut Scratch,
    ) -> Result<impl ExactSizeIterator<Item = Selection> + 's, QueryError> {
        let mut heads = std::mem::take(&mut scratch.heads);
        heads.clear();
        heads.resize(N * self.base.len(), Line([0.0; LANES]));
        let decided = self.decide(query, now, scratch, Some(&mut heads));
        scratch.heads = heads;
        decided?;
        scratch.sort(N, self.len());
        if scratch.keys.is_empty() {
            return Err(QueryError::NoCandidate);
        }
        let heads = &scratch.heads;
        Ok(scratch.keys.iter().map(move |key| {
            let index = *key as u32 as usize;
            let number = |head: usize| heads[index / LANES * N + head].0[index % LANES];
            Selection::new::<N>(index, std::array::from_fn(number))
        }))
    }

    /// All heads into lines, or the best.
    fn decide(
        &self,
        query: &Query<'_, I>,
        now: Duration,
        scratch: &mut Scratch,
        all: Option<&mut [Line<f32, LANES>]>,
    ) -> Result<Option<Selection>, QueryError> {
        if query.embedding.len() != self.dimensions {
            let (expected, found) = (self.dimensions, query.embedding.len());
            return Err(QueryError::Dimensions { expected, found });
        }
        self.ranker.check_request(&query.signals)?;
        let tags = TagMatches::find(self, query.tags)?;
        let request = self.ranker.request(&query.signals);
        let pass = Pass { store: self, tags: &tags, request: &request, now: now.as_secs_f64() };
        self.level.run(Decide { pass, embedding: query.embedding, scratch, all })
    }
}

/// A decision: what is ready, and what is to be made ready in the level's own function.
struct Decide<'a, 'q, const I: usize, const H: usize, const N: usize> {
    pass: Pass<'a, I, H, N>,
    embedding: &'q [f32],
    scratch: &'q mut Scratch,
    all: Option<&'a mut [Line<f32, LANES>]>,
}

impl<const I: usize, const H: usize, const N: usize> Work for Decide<'_, '_, I, H, N> {
    type Output = Result<Option<Selection>, QueryError>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        let embeddings = &self.pass.store.embeddings;
        let bytes = matches!(embeddings, Embeddings::Int8 { .. });
        let query = prepare(simd, self.embedding, bytes, self.scratch)?;
        let (pass, all) = (self.pass, self.all);
        Ok(match embeddings {
            Embeddings::F32(lines) => pass.run(simd, &query, lines.as_slice(), all),
            Embeddings::F16(lines) => pass.run(simd, &query, lines.as_slice(), all),
            Embeddings::Int8 { lines, scales, sums } => {
                pass.run(simd, &query, &(lines.as_slice(), scales.as_slice(), sums.as_slice()), all)
            }
        })
    }
}

struct Pass<'a, const I: usize, const H: usize, const N: usize> {
    store: &'a Store<I, H, N>,
    tags: &'a TagMatches<'a>,
    request: &'a [f32; H],
    now: f64,
}

impl<const I: usize, const H: usize, const N: usize> Pass<'_, I, H, N> {
    #[inline(always)]
    fn run<S: Simd, R: Rows + ?Sized>(
        self,
        simd: S,
        query: &Prepared<'_>,
        rows: &R,
        all: Option<&mut [Line<f32, LANES>]>,
    ) -> Option<Selection> {
        if let Some(lines) = all {
            self.over_blocks(simd, query, rows, &mut All(lines));
            return None;
        }
        let mut best = Best::start(simd);
        self.over_blocks(simd, query, rows, &mut best);
        best.finish(simd)
    }

    #[inline(always)]
    fn over_blocks<S: Simd, R: Rows + ?Sized>(
        &self,
        simd: S,
        query: &Prepared<'_>,
        rows: &R,
        sink: &mut impl Sink<S, N>,
    ) {
        let (store, ranker) = (self.store, &self.store.ranker);
        let lines = store.base.iter().zip(&store.state).zip(&store.last_call).zip(&store.open);
        for (index, (((base, state), last_call), open)) in lines.enumerate() {
            let similarity = rows.similarity(simd, index, query);
            let overlap = self.tags.overlap(simd, index, store.tag_counts.get(index), ranker.overlap);
            let (block, inputs) = (Block { base, state, last_call }, [similarity, overlap]);
            let mut heads = if store.streams {
                kernel::heads::<S, I, H, N, true>(simd, ranker, self.request, &block, self.now, inputs)
            } else {
                kernel::heads::<S, I, H, N, false>(simd, ranker, self.request, &block, self.now, inputs)
            };
            heads[0] = simd.add(heads[0], simd.load(&open.0));
            sink.take(simd, index, heads);
        }
    }
}
