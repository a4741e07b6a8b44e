//! What no decision on this machine can be faster than, measured in the same run.
//!
//! Two bounds. One adds up streaming as many bytes as the embeddings have, with the widest loads, and the cells of as
//! many candidates alone, with everything in registers and the first-level cache; a decision that overlaps the two can
//! pass it. The other counts vector operations and divides by the throughput of multiply-adds that do not wait for each
//! other; a division counts as one, so it cannot be reached.
#![allow(clippy::inline_always, reason = "the loops are compiled inside each level's own function")]

use std::collections::BTreeMap;
use std::hint::black_box;

use tinydancer_compare::inputs::DIMENSIONS;
use tinydancer_compare::measure::Operation;
use tinydancer_engine::simd::{LANES, Level, Line, Simd, Work};

use crate::rows::Bounded;

/// Multiply-adds of one turn of the throughput loop.
const THROUGHPUT: usize = 1_200;
/// Sums that do not wait for each other: latency times units of the processors known, as many as there are registers for.
const CHAINS: usize = 12;
/// Where a vector takes two registers of sixteen.
const FEW_CHAINS: usize = 6;
/// Vector operations of a unit: its sum, the power, gate, update, state, head. See [`Cells`].
const UNIT: usize = 28;
/// More of one with a state and a gap.
const STREAM_UNIT: usize = 3;
/// Recency; and the gap.
const RECENCY: usize = 14;
const GAP: usize = 12;

/// The bounds of a decision over embeddings of so many bytes a number, `H` units, with or without streams.
pub(crate) fn of_decision<const H: usize, const STREAM: bool>(
    all: &mut BTreeMap<String, Operation>,
    level: Level,
    candidates: usize,
    bytes: usize,
) -> Bounded {
    let blocks = candidates.div_ceil(LANES);
    let lines = blocks * DIMENSIONS * LANES * bytes / size_of::<Line<f32, LANES>>();
    let stream = format!("stream/{lines}/{}", level.name());
    all.entry(stream.clone()).or_insert_with(|| streaming(level, lines));
    let cells = format!("cells/{H}/{STREAM}/{candidates}/{}", level.name());
    all.entry(cells.clone()).or_insert_with(|| cells_alone::<H, STREAM>(level, blocks));
    let multiply_add = format!("multiply-add/{}", level.name());
    all.entry(multiply_add.clone()).or_insert_with(|| throughput(level));
    let similarity = match bytes {
        // Four products an operation.
        1 => DIMENSIONS / 4,
        // A conversion before each.
        2 => 2 * DIMENSIONS,
        _ => DIMENSIONS,
    };
    let unit = UNIT + if STREAM { STREAM_UNIT + 1 } else { 0 };
    let block = similarity + H * unit + RECENCY + if STREAM { GAP } else { 0 };
    Bounded { measured: vec![stream, cells], counted: Some((multiply_add, (blocks * block) as f64)) }
}

/// Reads lines of memory and does next to nothing with them.
struct Streaming<'a>(&'a [Line<f32, LANES>]);

impl Work for Streaming<'_> {
    type Output = [f32; LANES];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        let mut sums = [simd.splat(0.0); 8];
        let (groups, rest) = self.0.as_chunks::<8>();
        for group in groups {
            for (sum, line) in sums.iter_mut().zip(group) {
                *sum = simd.add(*sum, simd.load(&line.0));
            }
        }
        for line in rest {
            sums[0] = simd.add(sums[0], simd.load(&line.0));
        }
        simd.store(added(simd, sums))
    }
}

fn streaming(level: Level, lines: usize) -> Operation {
    let lines = vec![Line([1.0; LANES]); lines];
    Operation::of(move |_| level.run(Streaming(black_box(&lines))))
}

/// Multiply-adds that do not wait for each other.
struct Throughput<const CHAINS: usize>(f32);

impl<const CHAINS: usize> Work for Throughput<CHAINS> {
    type Output = [f32; LANES];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        let (factor, term) = (simd.splat(self.0), simd.splat(1.0));
        let mut sums = [simd.splat(0.0); CHAINS];
        for _ in 0..THROUGHPUT / CHAINS {
            for sum in &mut sums {
                *sum = simd.mul_add(*sum, factor, term);
            }
        }
        simd.store(added(simd, sums))
    }
}

/// Of one vector operation.
fn throughput(level: Level) -> Operation {
    Operation::of_groups(THROUGHPUT as u64, move |_| match level.name() {
        "avx512" => level.run(Throughput::<CHAINS>(black_box(0.5))),
        _ => level.run(Throughput::<FEW_CHAINS>(black_box(0.5))),
    })
}

/// The cells of sixteen candidates, over and over: the same formula as the engine's, its inputs in the first-level
/// cache and nothing kept but the last heads.
struct Cells<'a, const H: usize, const STREAM: bool> {
    base: &'a [Line<f32, LANES>; H],
    state: &'a [Line<f32, LANES>; H],
    weights: &'a [[f32; 5]; H],
    inputs: [f32; 3],
    blocks: usize,
}

impl<const H: usize, const STREAM: bool> Work for Cells<'_, H, STREAM> {
    type Output = [f32; LANES];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        let one = simd.splat(1.0);
        let mut last = simd.splat(0.0);
        for _ in 0..self.blocks {
            let [similarity, seconds, overlap] = self.inputs.map(|input| simd.splat(black_box(input)));
            let recency = power(simd, seconds);
            let mut head = [simd.splat(0.0); 2];
            for ((base, state), weights) in self.base.iter().zip(self.state).zip(self.weights) {
                let [first, second, third, fourth, ratio] = weights.map(|weight| simd.splat(weight));
                let mut sum = simd.mul_add(similarity, first, simd.load(&base.0));
                sum = simd.mul_add(recency, second, sum);
                sum = simd.mul_add(overlap, third, sum);
                if STREAM {
                    sum = simd.mul_add(seconds, fourth, sum);
                }
                let gate = power(simd, sum);
                let update = simd.mul(simd.mul(gate, gate), ratio);
                let (gate_below, update_below) = (simd.add(gate, one), simd.add(update, one));
                let mut above = simd.mul(simd.mul_add(fourth, gate, first), simd.sub(one, update));
                if STREAM {
                    above = simd.mul_add(simd.load(&state.0), update_below, above);
                    head[1] = simd.mul_add(above, second, head[1]);
                }
                let hidden = simd.div(above, simd.mul(gate_below, update_below));
                head[0] = simd.mul_add(hidden, third, head[0]);
            }
            last = simd.max(last, simd.add(head[0], head[1]));
        }
        simd.store(last)
    }
}

fn cells_alone<const H: usize, const STREAM: bool>(level: Level, blocks: usize) -> Operation {
    let (base, state) = ([Line([0.25; LANES]); H], [Line([0.5; LANES]); H]);
    let weights = [[0.1, 0.2, 0.3, 0.4, 0.5]; H];
    Operation::of(move |_| {
        let cells = Cells::<H, STREAM> {
            base: black_box(&base),
            state: black_box(&state),
            weights: black_box(&weights),
            inputs: [0.5, -0.25, 0.125],
            blocks,
        };
        level.run(cells)
    })
}

/// Two to a power, by a polynomial of five terms.
#[inline(always)]
fn power<S: Simd>(simd: S, x: S::Floats) -> S::Floats {
    let x = simd.min(simd.max(x, simd.splat(-126.0)), simd.splat(126.0));
    let (rest, power) = simd.split_power(x);
    let mut sum = simd.splat(0.001_327_647);
    for term in [0.009_675_54, 0.055_507_13, 0.240_221_2, 0.693_146_97, 1.0] {
        sum = simd.mul_add(sum, rest, simd.splat(term));
    }
    simd.mul(sum, power)
}

#[inline(always)]
fn added<S: Simd, const N: usize>(simd: S, sums: [S::Floats; N]) -> S::Floats {
    sums.into_iter().fold(simd.splat(0.0), |total, sum| simd.add(total, sum))
}
