//! The choice among candidates that a caller brings with the request, by reference; nothing is computed beforehand.
#![allow(clippy::inline_always, reason = "the loops are compiled inside each level's own function")]

use std::time::Duration;

use super::best::{Best, Sink};
use super::kernel::{self, Block};
use super::query::{Prepared, Query, QueryError, Scratch, USUAL, prepare};
use super::ranker::{Known, Overlap, Ranker};
use super::select::Selection;
use super::store::{CandidateError, MOST_TAGS};
use crate::embedding::{self, EmbeddingError, MOST_DIMENSIONS};
use crate::simd::{LANES, Level, Line, Simd, Work};

/// A candidate of a caller.
#[derive(Debug, Clone, Copy)]
pub struct Offered<'a, const I: usize, const H: usize> {
    /// The centre of what it answers well; any length but 0.
    pub embedding: &'a [f32],
    /// Hashes of its tags ([`crate::features::tag_bucket`]), each once.
    pub tags: &'a [u64],
    /// What is known of it.
    pub known: &'a Known<I, H>,
}

/// An offered candidate that was left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Refused {
    /// Which it is.
    pub index: usize,
    /// Why.
    pub error: CandidateError,
}

impl<const I: usize, const H: usize, const N: usize> Ranker<I, H, N> {
    /// The offered candidate with the highest score, the first of equals. Candidates that cannot be used are left
    /// out and told in [`Scratch::refused`]; the others are chosen from as if those had not been there.
    ///
    /// # Errors
    /// [`QueryError`]; [`QueryError::Unusable`] where all are left out.
    pub fn choose(
        &self,
        offered: &[Offered<'_, I, H>],
        query: &Query<'_, I>,
        now: Duration,
        scratch: &mut Scratch,
    ) -> Result<Selection, QueryError> {
        self.choose_at(Level::best(), offered, query, now, scratch)
    }

    /// The same at a level, for tests and measurements.
    ///
    /// # Errors
    /// As [`Ranker::choose`].
    pub fn choose_at(
        &self,
        level: Level,
        offered: &[Offered<'_, I, H>],
        query: &Query<'_, I>,
        now: Duration,
        scratch: &mut Scratch,
    ) -> Result<Selection, QueryError> {
        scratch.refused.clear();
        self.check_request(&query.signals)?;
        if query.tags.len() > MOST_TAGS {
            return Err(QueryError::Tags { found: query.tags.len() });
        }
        if !(1..=MOST_DIMENSIONS).contains(&query.embedding.len()) {
            return Err(EmbeddingError::Length { found: query.embedding.len() }.into());
        }
        let mut refused = std::mem::take(&mut scratch.refused);
        let request = self.request(&query.signals);
        let choose = Choose { ranker: self, offered, query, now, request: &request, refused: &mut refused };
        let best = level.run(Run { choose, scratch });
        scratch.refused = refused;
        best?.ok_or_else(|| match scratch.refused.first() {
            Some(refused) => QueryError::Unusable(refused.error),
            None => QueryError::NoCandidate,
        })
    }
}

struct Run<'a, 'q, const I: usize, const H: usize, const N: usize> {
    choose: Choose<'a, I, H, N>,
    scratch: &'q mut Scratch,
}

impl<const I: usize, const H: usize, const N: usize> Work for Run<'_, '_, I, H, N> {
    type Output = Result<Option<Selection>, QueryError>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        let query = prepare(simd, self.choose.query.embedding, false, self.scratch)?;
        Ok(if self.choose.ranker.has_gap() {
            self.choose.over_blocks::<S, true>(simd, &query)
        } else {
            self.choose.over_blocks::<S, false>(simd, &query)
        })
    }
}

struct Choose<'a, const I: usize, const H: usize, const N: usize> {
    ranker: &'a Ranker<I, H, N>,
    offered: &'a [Offered<'a, I, H>],
    query: &'a Query<'a, I>,
    now: Duration,
    request: &'a [f32; H],
    refused: &'a mut Vec<Refused>,
}

/// What is read of sixteen candidates.
struct Lanes<const I: usize, const H: usize> {
    signals: [Line<f32, LANES>; I],
    state: [Line<f32, LANES>; H],
    last_call: Line<f64, LANES>,
    similarity: Line<f32, LANES>,
    overlap: Line<f32, LANES>,
    open: Line<f32, LANES>,
}

impl<const I: usize, const H: usize, const N: usize> Choose<'_, I, H, N> {
    #[inline(always)]
    fn over_blocks<S: Simd, const STREAM: bool>(
        mut self,
        simd: S,
        query: &Prepared<'_>,
    ) -> Option<Selection> {
        let mut best = Best::start(simd);
        let now = self.now.as_secs_f64();
        for (index, chunk) in self.offered.chunks(LANES).enumerate() {
            let lanes = self.read(simd, query, index * LANES, chunk);
            let base = self.base::<S, STREAM>(simd, &lanes);
            let block = Block { base: &base, state: &lanes.state, last_call: &lanes.last_call };
            let inputs = [simd.load(&lanes.similarity.0), simd.load(&lanes.overlap.0)];
            let mut heads =
                kernel::heads::<S, I, H, N, STREAM>(simd, self.ranker, self.request, &block, now, inputs);
            heads[0] = simd.add(heads[0], simd.load(&lanes.open.0));
            best.take(simd, index, heads);
        }
        best.finish(simd)
    }

    #[inline(always)]
    fn read<S: Simd>(
        &mut self,
        simd: S,
        query: &Prepared<'_>,
        first: usize,
        chunk: &[Offered<'_, I, H>],
    ) -> Lanes<I, H> {
        let mut lanes = Lanes {
            signals: [Line([0.0; LANES]); I],
            state: [Line([0.0; LANES]); H],
            last_call: Line([f64::NEG_INFINITY; LANES]),
            similarity: Line([0.0; LANES]),
            overlap: Line([0.0; LANES]),
            open: Line([f32::NEG_INFINITY; LANES]),
        };
        for (lane, offered) in chunk.iter().enumerate().take(LANES) {
            let similarity = match self.similarity(simd, query, offered) {
                Ok(similarity) => similarity,
                Err(error) => {
                    self.refused.push(Refused { index: first + lane, error });
                    continue;
                }
            };
            lanes.similarity.0[lane] = similarity;
            lanes.open.0[lane] = 0.0;
            lanes.overlap.0[lane] = overlap(self.ranker.overlap, self.query.tags, offered.tags);
            if let Some(at) = offered.known.last_call {
                lanes.last_call.0[lane] = at.as_secs_f64();
            }
            for (line, signal) in lanes.signals.iter_mut().zip(offered.known.signals) {
                line.0[lane] = signal;
            }
            if self.ranker.has_gap() {
                for (line, hidden) in lanes.state.iter_mut().zip(offered.known.state) {
                    line.0[lane] = hidden;
                }
            }
        }
        lanes
    }

    /// The cosine, after all else of the candidate was found usable.
    #[inline(always)]
    fn similarity<S: Simd>(
        &self,
        simd: S,
        query: &Prepared<'_>,
        offered: &Offered<'_, I, H>,
    ) -> Result<f32, CandidateError> {
        if offered.embedding.len() != query.floats.len() {
            let (expected, found) = (query.floats.len(), offered.embedding.len());
            return Err(CandidateError::Dimensions { expected, found });
        }
        if offered.tags.len() > MOST_TAGS {
            return Err(CandidateError::Tags { found: offered.tags.len() });
        }
        self.ranker.check(offered.known, self.now)?;
        let [product, square] = dot(simd, query.floats, offered.embedding);
        let cosine = if USUAL.contains(&square) {
            product * query.scale / square.sqrt()
        } else {
            far(query, offered.embedding)?
        };
        Ok(cosine.clamp(-1.0, 1.0))
    }

    /// What candidates bring to each unit's sum, as [`Ranker::base`] adds it up for one.
    #[inline(always)]
    fn base<S: Simd, const STREAM: bool>(&self, simd: S, lanes: &Lanes<I, H>) -> [Line<f32, LANES>; H] {
        let mut base = [Line([0.0; LANES]); H];
        for (unit, line) in base.iter_mut().enumerate() {
            let mut sum = simd.splat(self.ranker.constant[unit]);
            for (signals, column) in lanes.signals.iter().zip(&self.ranker.w_by_input) {
                sum = simd.mul_add(simd.load(&signals.0), simd.splat(column[unit]), sum);
            }
            if STREAM {
                for (hidden, column) in lanes.state.iter().zip(&self.ranker.u_by_input) {
                    sum = simd.mul_add(simd.load(&hidden.0), simd.splat(column[unit]), sum);
                }
            }
            line.0 = simd.store(sum);
        }
        base
    }
}

/// The product of two rows, and the square of the second.
#[inline(always)]
fn dot<S: Simd>(simd: S, one: &[f32], other: &[f32]) -> [f32; 2] {
    let zero = simd.splat(0.0);
    let (mut products, mut squares) = ([zero; 2], [zero; 2]);
    let ((pairs, rest), (others, others_rest)) =
        (one.as_chunks::<{ 2 * LANES }>(), other.as_chunks::<{ 2 * LANES }>());
    for (one, other) in pairs.iter().zip(others) {
        let ((one, _), (other, _)) = (one.as_chunks::<LANES>(), other.as_chunks::<LANES>());
        for ((product, square), (one, other)) in
            products.iter_mut().zip(&mut squares).zip(one.iter().zip(other))
        {
            let (one, other) = (simd.load(one), simd.load(other));
            *product = simd.mul_add(one, other, *product);
            *square = simd.mul_add(other, other, *square);
        }
    }
    let mut product = simd.sum(simd.add(products[0], products[1]));
    let mut square = simd.sum(simd.add(squares[0], squares[1]));
    for (one, other) in rest.iter().zip(others_rest) {
        product += one * other;
        square += other * other;
    }
    [product, square]
}

/// The cosine with an embedding whose square leaves f32, or that is none.
#[cold]
fn far(query: &Prepared<'_>, embedding: &[f32]) -> Result<f32, EmbeddingError> {
    embedding::check(embedding)?;
    let sums = query.floats.iter().zip(embedding).fold([0.0_f64; 2], |[product, square], (one, other)| {
        let (one, other) = (f64::from(*one), f64::from(*other));
        [product + one * other, square + other * other]
    });
    Ok((sums[0] * f64::from(query.scale) / sums[1].sqrt()) as f32)
}

fn overlap(kind: Overlap, request: &[u64], candidate: &[u64]) -> f32 {
    if request.is_empty() || candidate.is_empty() {
        return 0.0;
    }
    let distinct =
        |tags: &[u64]| tags.iter().enumerate().filter(|(place, tag)| !tags[..*place].contains(tag)).count();
    let asked = distinct(request);
    let both = request
        .iter()
        .enumerate()
        .filter(|(place, tag)| !request[..*place].contains(tag) && candidate.contains(tag))
        .count();
    let either = match kind {
        Overlap::Jaccard => asked + distinct(candidate) - both,
        Overlap::ShareOfRequest => asked,
    };
    both as f32 / either as f32
}

#[cfg(test)]
mod tests;
