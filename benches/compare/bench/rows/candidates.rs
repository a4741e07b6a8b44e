//! The choice among candidates: like for like with the peer (one step of 5 inputs and 8 units from 0, its features and
//! weights), and the candidate network with its streams.
//!
//! The engine has no similarity or feature extraction of its own: they are one pass with everything else. Their rows run
//! the whole pass with a network of one unit, and so do more than the peer's.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use tinydancer_compare::inputs::{self, CandidateInput, DIMENSIONS, FEATURES, Numbers, QUERIES, UNITS};
use tinydancer_compare::measure::Operation;
use tinydancer_engine::candidate::network::{CandidateWeights, HEADS, HIDDEN, INPUTS};
use tinydancer_engine::candidate::offered::Offered;
use tinydancer_engine::candidate::query::{Query, Scratch};
use tinydancer_engine::candidate::ranker::{FIVE, Known, Overlap, Ranker, RankerWeights};
use tinydancer_engine::candidate::store::{Entry, Storage, Store};
use tinydancer_engine::fastgrnn::CellWeights;
use tinydancer_engine::simd::Level;

use super::{Row, Rows, levels, matrix, row};
use crate::bounds;

/// What the peer multiplies its features with before its network reads them, in its order.
const FEATURE_WEIGHTS: [f32; FEATURES] = [0.4, 0.2, 0.15, 0.15, 0.1];
/// The peer's recency loses this share in a second.
const RECENCY_DECAY: f64 = 0.001;
const STORAGES: [(Storage, &str, usize); 3] =
    [(Storage::F32, "f32", 4), (Storage::F16, "f16", 2), (Storage::Int8, "int8", 1)];
/// Candidates of a request that brings its own.
const MOST_OFFERED: usize = 100;
/// Before the first decision, longer than any candidate is old.
const EARLIER: Duration = Duration::from_hours(48);

pub(crate) fn add(all: &mut Rows) -> Result<()> {
    let best = Level::best();
    for (storage, name, _) in STORAGES {
        all.add(&format!("similarity/{name}"), |_| {
            Ok(Row::of(each(like_the_peer::<1>(100, storage, best)?, 100)).beside("similarity"))
        })?;
    }
    for count in [10, 50, 100] {
        all.add(&format!("features/{count}/f32"), |_| {
            let operation = select(like_the_peer::<1>(count, Storage::F32, best)?);
            Ok(Row::of(operation).beside(format!("features/{count}")))
        })?;
    }
    for level in levels() {
        all.add(&format!("inference/{}", level.name()), |_| {
            Ok(Row::of(inference(level)?).beside("inference"))
        })?;
    }
    for count in [10, 50, 100, 1000] {
        let name = format!("batch/{count}");
        all.add(&name, |_| Ok(Row::of(batch(count)?).beside(&name)))?;
    }
    for level in levels() {
        decisions(all, level)?;
        all.add(&format!("by-reference/100/f32/{}", level.name()), |_| {
            Ok(Row::of(by_reference(100, level)?).beside("decision/100"))
        })?;
    }
    for (storage, name, _) in STORAGES {
        let peer = "decision-without-clone/100";
        all.add(&format!("{peer}/{name}"), |_| {
            Ok(Row::of(select(like_the_peer::<UNITS>(100, storage, best)?)).beside(peer))
        })?;
    }
    for count in [100, 1000] {
        for (storage, name, _) in STORAGES {
            all.add(&format!("ranked/{count}/{name}"), |_| {
                Ok(Row::of(rank(like_the_peer(count, storage, best)?)).beside(format!("decision/{count}")))
            })?;
        }
    }
    Ok(())
}

/// Whole decisions at a level, like for like and with streams, and what bounds them.
fn decisions(all: &mut Rows, level: Level) -> Result<()> {
    for count in [10, 100, 1000] {
        for (storage, name, bytes) in STORAGES {
            all.add(&format!("decision/{count}/{name}/{}", level.name()), |all| {
                let mut row = Row::of(select(like_the_peer::<UNITS>(count, storage, level)?));
                row.bounds = bounds::of(
                    &mut all.bounds,
                    level,
                    like_the_peer(count, storage, level)?,
                    peer_ranker::<UNITS>()?,
                    bytes,
                );
                Ok(row.beside(format!("decision/{count}")))
            })?;
        }
    }
    let count = 100;
    for (storage, name, bytes) in STORAGES {
        all.add(&format!("candidate-network/{count}/{name}/{}", level.name()), |all| {
            let mut row = Row::of(select(with_streams(count, storage, level)?));
            row.bounds = bounds::of(
                &mut all.bounds,
                level,
                with_streams(count, storage, level)?,
                stream_ranker()?,
                bytes,
            );
            Ok(row.beside(format!("decision/{count}")))
        })?;
    }
    Ok(())
}

/// Chooses with one clock read, request after request.
fn select<const I: usize, const H: usize, const N: usize>(store: Store<I, H, N>) -> Operation {
    each(store, 1)
}

/// As [`select`], told for one candidate of so many.
fn each<const I: usize, const H: usize, const N: usize>(store: Store<I, H, N>, candidates: u64) -> Operation {
    let (queries, start, mut scratch) = (inputs::queries(), Instant::now(), Scratch::default());
    let signals = request_signals();
    Operation::of_groups(candidates, move |number| {
        let query = Query { embedding: black_box(&queries[number % QUERIES]), tags: &[], signals };
        black_box(&store).select(&query, EARLIER + start.elapsed(), &mut scratch).ok()
    })
}

/// One inference after the other, none waiting for the one before.
fn inference(level: Level) -> Result<Operation> {
    let (ranker, features) = (peer_ranker::<UNITS>()?, inputs::features(QUERIES));
    Ok(Operation::of(move |number| {
        ranker.infer_at(level, black_box(&features[number % QUERIES]), &[0.0; UNITS])
    }))
}

fn batch(count: usize) -> Result<Operation> {
    let (ranker, features) = (peer_ranker::<UNITS>()?, inputs::features(count));
    let mut heads = vec![[0.0; 1]; count];
    Ok(Operation::of(move |_| {
        ranker.infer_batch(black_box(&features), &mut heads);
        black_box(&heads);
    }))
}

/// Candidates that come with the request, as slices of what the caller holds.
fn by_reference(count: usize, level: Level) -> Result<Operation> {
    let ranker = peer_ranker::<UNITS>()?;
    let candidates = inputs::candidates(count);
    let known: Vec<Known<FEATURES, UNITS>> = candidates.iter().map(known).collect();
    let (queries, start, mut scratch) = (inputs::queries(), Instant::now(), Scratch::default());
    Ok(Operation::of(move |number| {
        // The slices are the request's own: they are made anew for each.
        let offered: [Offered<'_, FEATURES, UNITS>; MOST_OFFERED] = std::array::from_fn(|index| {
            let index = index % candidates.len();
            Offered { embedding: &candidates[index].embedding, tags: &[], known: &known[index] }
        });
        let offered = offered.get(..count).unwrap_or_default();
        let query =
            Query { embedding: black_box(&queries[number % QUERIES]), tags: &[], signals: [0.0; FEATURES] };
        ranker.choose_at(level, black_box(offered), &query, EARLIER + start.elapsed(), &mut scratch).ok()
    }))
}

/// All candidates, best first, each read.
fn rank(store: Store<FEATURES, UNITS, 1>) -> Operation {
    let (queries, start, mut scratch) = (inputs::queries(), Instant::now(), Scratch::default());
    Operation::of(move |number| {
        let query =
            Query { embedding: black_box(&queries[number % QUERIES]), tags: &[], signals: [0.0; FEATURES] };
        let ranked = black_box(&store).rank(&query, EARLIER + start.elapsed(), &mut scratch);
        ranked.map(|ranked| {
            for selection in ranked {
                black_box(selection);
            }
        })
    })
}

/// What a request says beside its embedding: to the candidate network that it is one, to the peer's nothing.
fn request_signals<const I: usize>() -> [f32; I] {
    let mut signals = [0.0; I];
    if let [_, previous_turn, prompt_tokens, .., is_query] = &mut signals[..]
        && I == INPUTS
    {
        (*previous_turn, *prompt_tokens, *is_query) = (0.5, 5.0, 1.0);
    }
    signals
}

/// The peer's network of `H` units over its five features.
fn like_the_peer<const H: usize>(
    count: usize,
    storage: Storage,
    level: Level,
) -> Result<Store<FEATURES, H, 1>> {
    let mut store = Store::new(peer_ranker()?, DIMENSIONS, storage)?.at_level(level);
    for candidate in inputs::candidates(count) {
        let (id, embedding) = (candidate.id.as_str(), candidate.embedding.as_slice());
        store.register(&Entry { id, embedding, tags: &[], known: known(&candidate) }, EARLIER)?;
    }
    Ok(store)
}

fn last_call(candidate: &CandidateInput) -> Option<Duration> {
    EARLIER.checked_sub(Duration::from_secs(candidate.age_seconds.into()))
}

fn known<const H: usize>(candidate: &CandidateInput) -> Known<FEATURES, H> {
    Known::of_five(candidate.calls.into(), candidate.success, last_call(candidate))
}

/// From a state of 0 the peer's cell is `(1 - z) c`: this one with zeta at 1 and nu at 0 after the sigmoid.
fn peer_ranker<const H: usize>() -> Result<Ranker<FEATURES, H, 1>> {
    let mut numbers = Numbers::new(6);
    Ok(Ranker::new(&RankerWeights {
        input_mean: [0.0; FEATURES],
        input_std: FEATURE_WEIGHTS.map(|weight| 1.0 / weight),
        cell: CellWeights {
            w: matrix(&mut numbers, 0.5),
            u: [[0.0; H]; H],
            bias_gate: row(&mut numbers, 0.5),
            bias_update: row(&mut numbers, 0.5),
            zeta: 40.0,
            nu: -40.0,
        },
        head_weight: matrix(&mut numbers, 0.7),
        head_bias: row(&mut numbers, 0.5),
        roles: FIVE,
        half_life: Duration::from_secs_f64(std::f64::consts::LN_2 / RECENCY_DECAY),
        overlap: Overlap::ShareOfRequest,
    })?)
}

/// Candidates whose streams have seen calls, and the candidate network.
fn with_streams(count: usize, storage: Storage, level: Level) -> Result<Store<INPUTS, HIDDEN, HEADS>> {
    let mut numbers = Numbers::new(8);
    let mut store = Store::new(stream_ranker()?, DIMENSIONS, storage)?.at_level(level);
    for candidate in inputs::candidates(count) {
        let mut signals = [0.0; INPUTS];
        (signals[3], signals[4]) = (numbers.next_share(), numbers.next_share());
        (signals[7], signals[8], signals[10]) = ((candidate.calls as f32).ln_1p(), candidate.success, 1.0);
        let known = Known { signals, state: row(&mut numbers, 0.8), last_call: last_call(&candidate) };
        let entry = Entry { id: &candidate.id, embedding: &candidate.embedding, tags: &[], known };
        store.register(&entry, EARLIER)?;
    }
    Ok(store)
}

fn stream_ranker() -> Result<Ranker<INPUTS, HIDDEN, HEADS>> {
    let mut numbers = Numbers::new(7);
    Ok(Ranker::candidate(&CandidateWeights {
        input_mean: row(&mut numbers, 1.0),
        input_std: [1.5; INPUTS],
        cell: CellWeights {
            w: matrix(&mut numbers, 0.5),
            u: matrix(&mut numbers, 0.5),
            bias_gate: row(&mut numbers, 1.0),
            bias_update: row(&mut numbers, 1.0),
            zeta: 1.0,
            nu: -4.0,
        },
        head_weight: matrix(&mut numbers, 0.7),
        head_bias: row(&mut numbers, 0.5),
    })?)
}
