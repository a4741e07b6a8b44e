//! A request's embedding made ready, and its similarity to sixteen candidates.
//!
//! The products are our own. `simsimd` 6.5 takes rows one by one, so that each pays for a call, for the sum over lanes
//! and, as a cosine, for lengths that the store knows. Measured on one core of an AMD Zen 4 with AVX-512 at 384
//! numbers, a candidate of 100: simsimd's product 25 ns in f32 and 12.7 ns in int8, its cosine of f32 35 ns; the whole
//! decision here, the network included, 20 ns in f32 and 9 ns in int8, and 40 ns over rows by reference.
#![allow(clippy::inline_always, reason = "compiled inside each level's own function")]

use super::network::INPUTS;
use super::offered::Refused;
use super::ranker::{Ranker, fits};
use super::store::{CandidateError, MOST_TAGS};
use crate::embedding::{self, EmbeddingError};
use crate::numerics::ln_1p;
use crate::simd::{LANES, Line, Simd};

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

/// A request that cannot be answered. Nothing has changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QueryError {
    /// The embedding is none.
    #[error("the request's embedding must be usable")]
    Embedding(#[from] EmbeddingError),
    /// The embedding is of another space.
    #[error("the request's embedding must have {expected} numbers as the candidates', it has {found}")]
    Dimensions {
        /// Numbers of a candidate's embedding.
        expected: usize,
        /// Numbers of this one.
        found: usize,
    },
    /// An input is no number, too large, or not the request's to give.
    #[error("input {input} of the request must be finite and its own to give, it is {value}")]
    Signal {
        /// Which input.
        input: usize,
        /// What it is.
        value: f32,
    },
    /// Too many tags.
    #[error("a request must have at most {MOST_TAGS} tags, this one has {found}")]
    Tags {
        /// How many it has.
        found: usize,
    },
    /// Nobody can be chosen.
    #[error("there must be an open candidate, there is none")]
    NoCandidate,
    /// All that were offered are unusable.
    #[error("one of the offered candidates must be usable, the first is not")]
    Unusable(#[source] CandidateError),
}

/// Memory that decisions reuse.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    unit: Vec<f32>,
    bytes: Vec<[u8; 4]>,
    pub(super) heads: Vec<Line<f32, LANES>>,
    pub(super) keys: Vec<u64>,
    pub(super) refused: Vec<Refused>,
}

impl Scratch {
    /// The candidates that the last [`Ranker::choose`] left out.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// Puts the candidates of `heads`, `heads_each` lines a block, in order.
    pub(super) fn sort(&mut self, heads_each: usize, candidates: usize) {
        self.keys.clear();
        for (block, lines) in self.heads.chunks_exact(heads_each).enumerate() {
            for (lane, logit) in lines[0].0.iter().enumerate() {
                let index = block * LANES + lane;
                if *logit > f32::NEG_INFINITY && index < candidates {
                    self.keys.push(key(*logit, index));
                }
            }
        }
        self.keys.sort_unstable();
    }
}

/// A number that is smaller for a higher logit, then for a lower index.
fn key(logit: f32, index: usize) -> u64 {
    // Minus zero is zero.
    let bits = (logit + 0.0).to_bits();
    let ascending = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(!ascending) << 32 | index as u64
}

/// A request's embedding, and what its product with one of length 1 is multiplied by to be the cosine.
pub(super) struct Prepared<'q> {
    pub(super) floats: &'q [f32],
    pub(super) bytes: &'q [[u8; 4]],
    pub(super) scale: f32,
}

/// Squares between these add up in f32 without loss.
pub(super) const USUAL: std::ops::Range<f32> = 1e-24..1e30;

/// Makes an embedding ready, with bytes if they are asked for.
#[inline(always)]
pub(super) fn prepare<'q, S: Simd>(
    simd: S,
    embedding: &'q [f32],
    bytes: bool,
    scratch: &'q mut Scratch,
) -> Result<Prepared<'q>, QueryError> {
    let (mut square, mut largest) = measure(simd, embedding);
    let mut floats = embedding;
    if !USUAL.contains(&square) {
        embedding::keep(embedding, &mut scratch.unit)?;
        floats = &scratch.unit;
        (square, largest) = measure(simd, floats);
    }
    let length = square.sqrt();
    if !bytes {
        return Ok(Prepared { floats, bytes: &[], scale: 1.0 / length });
    }
    quantise(floats, 127.0 / largest, S::QUERY_FLIP, &mut scratch.bytes);
    Ok(Prepared { floats, bytes: &scratch.bytes, scale: largest / 127.0 / length })
}

/// The sum of the squares, and the largest size.
#[inline(always)]
fn measure<S: Simd>(simd: S, numbers: &[f32]) -> (f32, f32) {
    let mut squares = [simd.splat(0.0); 2];
    let (mut most, mut least) = (simd.splat(0.0), simd.splat(0.0));
    let (pairs, rest) = numbers.as_chunks::<{ 2 * LANES }>();
    for pair in pairs {
        let (halves, _) = pair.as_chunks::<LANES>();
        for (square, half) in squares.iter_mut().zip(halves) {
            let half = simd.load(half);
            *square = simd.mul_add(half, half, *square);
            (most, least) = (simd.max(most, half), simd.min(least, half));
        }
    }
    let mut square = simd.sum(simd.add(squares[0], squares[1]));
    let mut largest = 0.0_f32;
    for size in simd.store(simd.max(most, simd.sub(simd.splat(0.0), least))) {
        largest = if size > largest { size } else { largest };
    }
    for number in rest {
        square += number * number;
        largest = largest.max(number.abs());
    }
    (square, largest)
}

/// Bytes of -127 to 127, ties to even, each changed by `flip`; zeros to a multiple of four.
#[inline(always)]
fn quantise(numbers: &[f32], scale: f32, flip: u8, bytes: &mut Vec<[u8; 4]>) {
    // Adding this leaves the nearest integer in the lowest bits.
    const SHIFT: f32 = 12_582_912.0;
    let length = numbers.len().div_ceil(4);
    if bytes.len() != length {
        bytes.resize(length, [0; 4]);
    }
    if let Some(last) = bytes.last_mut() {
        *last = [flip; 4];
    }
    for (byte, number) in bytes.as_flattened_mut().iter_mut().zip(numbers) {
        *byte = (number * scale + SHIFT).to_bits() as u8 ^ flip;
    }
}

/// Embeddings of candidates by block.
pub(super) trait Rows {
    /// The cosine of the query and each candidate of a block.
    fn similarity<S: Simd>(&self, simd: S, block: usize, query: &Prepared<'_>) -> S::Floats;
}

/// Sums of products in four parts, so that none waits for the one before.
const PARTS: usize = 4;

#[inline(always)]
fn total<S: Simd>(simd: S, parts: [S::Floats; PARTS], scale: S::Floats) -> S::Floats {
    let [a, b, c, d] = parts;
    let sum = simd.add(simd.add(a, b), simd.add(c, d));
    clamped(simd, simd.mul(sum, scale))
}

/// A cosine that rounding has taken beyond 1 is 1.
#[inline(always)]
pub(super) fn clamped<S: Simd>(simd: S, cosine: S::Floats) -> S::Floats {
    simd.min(simd.max(cosine, simd.splat(-1.0)), simd.splat(1.0))
}

impl Rows for [Line<f32, LANES>] {
    #[inline(always)]
    fn similarity<S: Simd>(&self, simd: S, block: usize, query: &Prepared<'_>) -> S::Floats {
        let length = query.floats.len();
        let lines = self.get(block * length..(block + 1) * length).unwrap_or_default();
        let mut parts = [simd.splat(0.0); PARTS];
        let (quads, rest) = lines.as_chunks::<PARTS>();
        let (numbers, numbers_rest) = query.floats.as_chunks::<PARTS>();
        for (quad, numbers) in quads.iter().zip(numbers) {
            for (part, (line, number)) in parts.iter_mut().zip(quad.iter().zip(numbers)) {
                *part = simd.mul_add(simd.load(&line.0), simd.splat(*number), *part);
            }
        }
        for (part, (line, number)) in parts.iter_mut().zip(rest.iter().zip(numbers_rest)) {
            *part = simd.mul_add(simd.load(&line.0), simd.splat(*number), *part);
        }
        total(simd, parts, simd.splat(query.scale))
    }
}

impl Rows for [Line<[u16; LANES], 2>] {
    #[inline(always)]
    fn similarity<S: Simd>(&self, simd: S, block: usize, query: &Prepared<'_>) -> S::Floats {
        let length = query.floats.len().div_ceil(2);
        let lines = self.get(block * length..(block + 1) * length).unwrap_or_default();
        let mut parts = [simd.splat(0.0); PARTS];
        let (pairs, rest) = lines.as_chunks::<2>();
        let (numbers, numbers_rest) = query.floats.as_chunks::<PARTS>();
        for (pair, numbers) in pairs.iter().zip(numbers) {
            let halves = pair.iter().flat_map(|line| &line.0);
            for (part, (half, number)) in parts.iter_mut().zip(halves.zip(numbers)) {
                *part = simd.mul_add(simd.load_half(half), simd.splat(*number), *part);
            }
        }
        // Up to three numbers, in one line or two.
        let tail = pairs.get(numbers.len()..).unwrap_or_default().as_flattened().iter().chain(rest);
        for (part, (half, number)) in parts.iter_mut().zip(tail.flat_map(|line| &line.0).zip(numbers_rest)) {
            *part = simd.mul_add(simd.load_half(half), simd.splat(*number), *part);
        }
        total(simd, parts, simd.splat(query.scale))
    }
}

/// Lines of bytes, and a scale and a sum a candidate.
type Bytes<'a> = (&'a [Line<i8, 64>], &'a [Line<f32, LANES>], &'a [Line<i32, LANES>]);

impl Rows for Bytes<'_> {
    #[inline(always)]
    fn similarity<S: Simd>(&self, simd: S, block: usize, query: &Prepared<'_>) -> S::Floats {
        let length = query.bytes.len();
        let (Some(lines), Some(scales), Some(sums)) =
            (self.0.get(block * length..(block + 1) * length), self.1.get(block), self.2.get(block))
        else {
            return simd.splat(0.0);
        };
        let none = simd.start_bytes(&[0; LANES]);
        let mut parts = [simd.start_bytes(&sums.0), none, none, none];
        let (quads, rest) = lines.as_chunks::<PARTS>();
        let (bytes, bytes_rest) = query.bytes.as_chunks::<PARTS>();
        for (quad, bytes) in quads.iter().zip(bytes) {
            for (part, (line, bytes)) in parts.iter_mut().zip(quad.iter().zip(bytes)) {
                *part = simd.dot_bytes(*part, &line.0, *bytes);
            }
        }
        for (part, (line, bytes)) in parts.iter_mut().zip(rest.iter().zip(bytes_rest)) {
            *part = simd.dot_bytes(*part, &line.0, *bytes);
        }
        let [a, b, c, d] = parts;
        let sum = simd.add_integers(simd.add_integers(a, b), simd.add_integers(c, d));
        let scale = simd.mul(simd.load(&scales.0), simd.splat(query.scale));
        clamped(simd, simd.mul(simd.to_floats(sum), scale))
    }
}

impl<const I: usize, const H: usize, const N: usize> Ranker<I, H, N> {
    /// Whether the inputs of a request can be used.
    pub(super) fn check_request(&self, signals: &[f32; I]) -> Result<(), QueryError> {
        for (input, value) in signals.iter().copied().enumerate() {
            if !fits(value) || (value != 0.0 && self.is_made(input)) {
                return Err(QueryError::Signal { input, value });
            }
        }
        Ok(())
    }
}
