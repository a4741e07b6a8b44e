//! What no decision on this machine can be faster than, measured in the same run.
//!
//! Two bounds. One adds up reading all embeddings, and the engine's cells of as many candidates alone, with everything
//! in registers and the first-level cache; a decision that overlaps the two can pass it. The other counts vector
//! operations and divides by the throughput of multiply-adds that do not wait for each other; a division counts as one,
//! so it cannot be reached.
#![allow(clippy::inline_always, reason = "the loops are compiled inside each level's own function")]

use std::collections::BTreeMap;
use std::hint::black_box;

use tinydancer_compare::measure::Operation;
use tinydancer_engine::candidate::ranker::Ranker;
use tinydancer_engine::candidate::store::Store;
use tinydancer_engine::simd::{LANES, Level, Simd, Work};

use crate::rows::Bounded;

/// Multiply-adds of one turn of the throughput loop.
const THROUGHPUT: usize = 1_200;
/// Sums that do not wait for each other: latency times units of the processors known, as many as there are registers for.
const CHAINS: usize = 12;
/// Where a vector takes two registers of sixteen.
const FEW_CHAINS: usize = 6;
/// Vector operations of a unit for sixteen candidates: its sum (4), the power (11), gate, update and state (11).
const UNIT: usize = 26;
/// More of one with a gap and a state.
const STREAM_UNIT: usize = 2;
/// Recency; and the gap.
const RECENCY: usize = 15;
const GAP: usize = 13;

/// The bounds of a decision over this store, whose embeddings have so many bytes a number and whose network is the
/// ranker. One of more than five inputs has streams.
pub(crate) fn of<const I: usize, const H: usize, const N: usize>(
    all: &mut BTreeMap<String, Operation>,
    level: Level,
    store: Store<I, H, N>,
    ranker: Ranker<I, H, N>,
    bytes: usize,
) -> Bounded {
    let (blocks, dimensions) = (store.len().div_ceil(LANES), store.dimensions());
    let stream = format!("stream/{}/{bytes}/{}", store.len(), level.name());
    all.entry(stream.clone())
        .or_insert_with(|| Operation::of(move |_| black_box(&store).stream_embeddings()));
    let cells = format!("cells/{H}/{blocks}/{}", level.name());
    all.entry(cells.clone())
        .or_insert_with(|| Operation::of(move |_| black_box(&ranker).cells_alone(level, blocks, 100.0)));
    let multiply_add = format!("multiply-add/{}", level.name());
    all.entry(multiply_add.clone()).or_insert_with(|| throughput(level));
    let similarity = match bytes {
        // Four products an operation.
        1 => dimensions / 4,
        // A conversion before each.
        2 => 2 * dimensions,
        _ => dimensions,
    };
    let is_stream = I > tinydancer_compare::inputs::FEATURES;
    let unit = UNIT + N + if is_stream { STREAM_UNIT } else { 0 };
    let block = similarity + H * unit + RECENCY + if is_stream { GAP } else { 0 };
    Bounded { measured: vec![stream, cells], counted: Some((multiply_add, (blocks * block) as f64)) }
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
        simd.store(sums.into_iter().fold(term, |total, sum| simd.add(total, sum)))
    }
}

/// Of one vector operation.
fn throughput(level: Level) -> Operation {
    Operation::of_groups(THROUGHPUT as u64, move |_| match level.name() {
        "avx512" => level.run(Throughput::<CHAINS>(black_box(0.5))),
        _ => level.run(Throughput::<FEW_CHAINS>(black_box(0.5))),
    })
}
