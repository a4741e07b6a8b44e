//! The choice among registered candidates: similarity, signals, one step, heads and the best, in one pass.
#![allow(clippy::inline_always, reason = "the loops are compiled inside each level's own function")]

use std::time::Duration;

use super::kernel::{self, Block};
use super::network::{HEADS, HIDDEN, INPUTS};
use super::overlap::TagMatches;
use super::query::{Prepared, QueryError, Rows, Scratch, prepare};
use super::store::{Embeddings, Store};
use crate::numerics::{exp, ln_1p, sigmoid};
use crate::simd::{LANES, Line, Simd, Work};

/// What a request says to all candidates.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a, const I: usize> {
    /// Its embedding, of any length but 0.
    pub embedding: &'a [f32],
    /// Hashes of its tags ([`crate::features::tag_bucket`]).
    pub tags: &'a [u64],
    /// Inputs before they are normalised that are the request's, 0 elsewhere.
    pub signals: [f32; I],
}

impl<'a> Query<'a, INPUTS> {
    /// A request to the candidate network. `previous_turn` is its similarity to the turn before.
    pub fn of_request(embedding: &'a [f32], tags: &'a [u64], previous_turn: f32, prompt_tokens: u32) -> Self {
        let mut signals = [0.0; INPUTS];
        (signals[1], signals[2], signals[11]) = (previous_turn, ln_1p(prompt_tokens as f32), 1.0);
        Self { embedding, tags, signals }
    }
}

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
        let mut best = None;
        self.decide(query, now, scratch, &mut best)?;
        best.ok_or(QueryError::NoCandidate)
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
        let decided = self.decide(query, now, scratch, heads.as_mut_slice());
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

    fn decide<T: Sink<N> + ?Sized>(
        &self,
        query: &Query<'_, I>,
        now: Duration,
        scratch: &mut Scratch,
        sink: &mut T,
    ) -> Result<(), QueryError> {
        query.check(self)?;
        let tags = TagMatches::find(self, query.tags)?;
        let request = self.ranker.request(&query.signals);
        let pass = Pass { store: self, tags: &tags, request: &request, now: now.as_secs_f64(), sink };
        self.level.run(Decide { pass, embedding: query.embedding, scratch })
    }
}

impl<const I: usize> Query<'_, I> {
    fn check<const H: usize, const N: usize>(&self, store: &Store<I, H, N>) -> Result<(), QueryError> {
        if self.embedding.len() != store.dimensions {
            let (expected, found) = (store.dimensions, self.embedding.len());
            return Err(QueryError::Dimensions { expected, found });
        }
        store.ranker.check_request(&self.signals)
    }
}

/// Where the heads of sixteen candidates go.
trait Sink<const N: usize> {
    type Held<S: Simd>: Copy;
    fn start<S: Simd>(&self, simd: S) -> Self::Held<S>;
    fn take<S: Simd>(&mut self, simd: S, held: &mut Self::Held<S>, block: usize, heads: [S::Floats; N]);
    fn finish<S: Simd>(&mut self, simd: S, held: Self::Held<S>);
}

/// The best of each lane, and the blocks they are of.
impl<const N: usize> Sink<N> for Option<Selection> {
    type Held<S: Simd> = ([S::Floats; N], S::Floats);

    #[inline(always)]
    fn start<S: Simd>(&self, simd: S) -> Self::Held<S> {
        ([simd.splat(f32::NEG_INFINITY); N], simd.splat(0.0))
    }

    #[inline(always)]
    fn take<S: Simd>(&mut self, simd: S, held: &mut Self::Held<S>, block: usize, heads: [S::Floats; N]) {
        let (best, blocks) = held;
        let before = best[0];
        for (best, head) in best.iter_mut().zip(heads) {
            *best = simd.choose_larger(heads[0], before, head, *best);
        }
        *blocks = simd.choose_larger(heads[0], before, simd.splat(block as f32), *blocks);
    }

    #[inline(always)]
    fn finish<S: Simd>(&mut self, simd: S, (best, blocks): Self::Held<S>) {
        let (logits, blocks) = (simd.store(best[0]), simd.store(blocks));
        let mut found: Option<(usize, usize)> = None;
        let mut highest = f32::NEG_INFINITY;
        for (lane, (logit, block)) in logits.into_iter().zip(blocks).enumerate() {
            let index = block as usize * LANES + lane;
            let first = found.is_some_and(|(before, _)| index < before);
            if logit > highest || (first && logit == highest) {
                (highest, found) = (logit, Some((index, lane)));
            }
        }
        *self = found.map(|(index, lane)| {
            let mut heads = [0.0; N];
            for (head, lanes) in heads.iter_mut().zip(best) {
                *head = simd.store(lanes)[lane];
            }
            Selection::new(index, heads)
        });
    }
}

/// All of them.
impl<const N: usize> Sink<N> for [Line<f32, LANES>] {
    type Held<S: Simd> = ();

    #[inline(always)]
    fn start<S: Simd>(&self, _: S) {}

    #[inline(always)]
    fn take<S: Simd>(&mut self, simd: S, (): &mut (), block: usize, heads: [S::Floats; N]) {
        for (line, head) in self[block * N..].iter_mut().zip(heads) {
            line.0 = simd.store(head);
        }
    }

    #[inline(always)]
    fn finish<S: Simd>(&mut self, _: S, (): ()) {}
}

/// A decision: what is ready, and what is to be made ready in the level's own function.
struct Decide<'a, 'q, T: ?Sized, const I: usize, const H: usize, const N: usize> {
    pass: Pass<'a, T, I, H, N>,
    embedding: &'q [f32],
    scratch: &'q mut Scratch,
}

struct Pass<'a, T: ?Sized, const I: usize, const H: usize, const N: usize> {
    store: &'a Store<I, H, N>,
    tags: &'a TagMatches<'a>,
    request: &'a [f32; H],
    now: f64,
    sink: &'a mut T,
}

impl<T: Sink<N> + ?Sized, const I: usize, const H: usize, const N: usize> Work
    for Decide<'_, '_, T, I, H, N>
{
    type Output = Result<(), QueryError>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Result<(), QueryError> {
        let embeddings = &self.pass.store.embeddings;
        let bytes = matches!(embeddings, Embeddings::Int8 { .. });
        let query = prepare(simd, self.embedding, bytes, self.scratch)?;
        match embeddings {
            Embeddings::F32(lines) => self.pass.run(simd, &query, lines.as_slice()),
            Embeddings::F16(lines) => self.pass.run(simd, &query, lines.as_slice()),
            Embeddings::Int8 { lines, scales, sums } => {
                self.pass.run(simd, &query, &(lines.as_slice(), scales.as_slice(), sums.as_slice()));
            }
        }
        Ok(())
    }
}

impl<T: Sink<N> + ?Sized, const I: usize, const H: usize, const N: usize> Pass<'_, T, I, H, N> {
    #[inline(always)]
    fn run<S: Simd, R: Rows + ?Sized>(self, simd: S, query: &Prepared<'_>, rows: &R) {
        if self.store.streams {
            self.over_blocks::<S, R, true>(simd, query, rows);
        } else {
            self.over_blocks::<S, R, false>(simd, query, rows);
        }
    }

    #[inline(always)]
    fn over_blocks<S: Simd, R: Rows + ?Sized, const STREAM: bool>(
        self,
        simd: S,
        query: &Prepared<'_>,
        rows: &R,
    ) {
        let (store, ranker) = (self.store, &self.store.ranker);
        let mut held = self.sink.start(simd);
        let lines = store.base.iter().zip(&store.state).zip(&store.last_call).zip(&store.open);
        for (index, (((base, state), last_call), open)) in lines.enumerate() {
            let similarity = rows.similarity(simd, index, query);
            let overlap = self.tags.overlap(simd, index, store.tag_counts.get(index), ranker.overlap);
            let block = Block { base, state, last_call };
            let inputs = [similarity, overlap];
            let mut heads =
                kernel::heads::<S, I, H, N, STREAM>(simd, ranker, self.request, &block, self.now, inputs);
            heads[0] = simd.add(heads[0], simd.load(&open.0));
            self.sink.take(simd, &mut held, index, heads);
        }
        self.sink.finish(simd, held);
    }
}
