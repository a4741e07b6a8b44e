use proptest::prelude::*;

use super::*;
use crate::candidate::network::{HIDDEN, INPUTS};
use crate::candidate::query::{Query, QueryError, Scratch};
use crate::candidate::ranker::{FIVE, Overlap, RankerError, RankerWeights, Roles};
use crate::candidate::reference::{CANDIDATE, Numbers, Plain, heads};
use crate::candidate::select::Selection;
use crate::candidate::stream::{RequestSignals, Stream};
use crate::testing;

const NOW: Duration = Duration::from_hours(1000);
const STORAGES: [Storage; 3] = [Storage::F32, Storage::F16, Storage::Int8];

/// What a network of random weights may be off by, for each unit of similarity that is wrong and without.
fn sensitivity<const I: usize, const H: usize, const N: usize>(weights: &RankerWeights<I, H, N>) -> f64 {
    let column = weights.cell.w.iter().map(|row| f64::from(row[weights.roles.similarity].abs()));
    // Gate and update move by at most the sum's change; state and factor of the update are at most 2 and 2.
    let std = f64::from(weights.input_std[weights.roles.similarity]);
    let heads = weights.head_weight.map(|row| {
        row.iter().zip(column.clone()).map(|(head, w)| f64::from(head.abs()) * w / std * 3.5).sum::<f64>()
    });
    heads.into_iter().fold(0.0, f64::max)
}

fn plain<const I: usize, const H: usize>(
    numbers: &mut Numbers,
    roles: &Roles,
    dimensions: usize,
    index: usize,
) -> Plain<I, H> {
    let mut signals: [f32; I] = numbers.row();
    for made in
        [Some(roles.similarity), roles.gap, Some(roles.recency), Some(roles.overlap)].into_iter().flatten()
    {
        signals[made] = 0.0;
    }
    let hours = (numbers.next().abs() * 900.0) as u64;
    Plain {
        embedding: numbers.embedding(dimensions),
        tags: (0..index as u64 % 5).collect(),
        known: Known {
            signals,
            state: if roles.gap.is_some() { numbers.row() } else { [0.0; H] },
            last_call: (!index.is_multiple_of(7)).then_some(NOW.saturating_sub(Duration::from_hours(hours))),
        },
    }
}

fn store_of<const I: usize, const H: usize, const N: usize>(
    weights: &RankerWeights<I, H, N>,
    candidates: &[Plain<I, H>],
    storage: Storage,
) -> Store<I, H, N> {
    let ranker = Ranker::new(weights).expect("must be weights");
    let mut store = Store::new(ranker, candidates[0].embedding.len(), storage).expect("must be a store");
    for (index, plain) in candidates.iter().enumerate() {
        let entry = Entry {
            id: &index.to_string(),
            embedding: &plain.embedding,
            tags: &plain.tags,
            known: plain.known,
        };
        assert_eq!(store.register(&entry, NOW), Ok(index));
    }
    store
}

/// Every level and storage against the reference, and the levels against each other.
fn agrees<const I: usize, const H: usize, const N: usize>(
    seed: u64,
    roles: Roles,
    overlap: Overlap,
    (dimensions, count): (usize, usize),
) -> Result<(), TestCaseError> {
    let mut numbers = Numbers(seed);
    let weights: RankerWeights<I, H, N> = numbers.weights(roles, overlap);
    let candidates: Vec<Plain<I, H>> =
        (0..count).map(|index| plain(&mut numbers, &roles, dimensions, index)).collect();
    let embedding = numbers.embedding(dimensions);
    let tags = [1, 3, 9];
    let signals = [0.0; I];
    let query = Query { embedding: &embedding, tags: &tags, signals };
    let exact: Vec<[f64; N]> =
        candidates.iter().map(|plain| heads(&weights, plain, (&embedding, &tags, &signals), NOW)).collect();
    let most = exact.iter().map(|heads| heads[0]).fold(f64::NEG_INFINITY, f64::max);
    for storage in STORAGES {
        // What similarity may be off by: rounding; 11 bits; half a step of 1/127 of the largest on either side. And
        // what a score may: ten times what was ever seen.
        let (wrong, most_off) = match storage {
            Storage::F32 => (4e-7, 1e-6),
            Storage::F16 => (4e-4, 4e-4),
            Storage::Int8 => (int8_bound(&embedding, &candidates), 1e-2),
        };
        let bound = 5e-7 * H as f64 + wrong * sensitivity(&weights);
        for level in Level::all() {
            let store = store_of(&weights, &candidates, storage).at_level(level);
            let mut scratch = Scratch::default();
            let ranked: Vec<Selection> = store.rank(&query, NOW, &mut scratch).expect("must rank").collect();
            prop_assert_eq!(ranked.len(), count);
            for selection in &ranked {
                let exact = exact[selection.index][0];
                let off = (f64::from(selection.logit) - exact).abs();
                let score = (f64::from(selection.score) - 1.0 / (1.0 + (-exact).exp())).abs();
                prop_assert!(score < most_off, "{level:?} {storage:?}: {score}");
                prop_assert!(off < bound, "{level:?} {storage:?}: {off} of {bound}, {exact}");
            }
            prop_assert!(
                ranked.is_sorted_by(|a, b| a.logit > b.logit || (a.logit == b.logit && a.index < b.index))
            );
            let best = store.select(&query, NOW, &mut scratch).expect("must select");
            prop_assert_eq!(best, ranked[0]);
            prop_assert!(exact[best.index][0] > most - 2.0 * bound, "the best within the bound");
        }
    }
    Ok(())
}

/// Two unit vectors whose numbers are each off by half a step: the most that their product is off by.
fn int8_bound<const I: usize, const H: usize>(query: &[f32], candidates: &[Plain<I, H>]) -> f64 {
    let half_step = |numbers: &[f32]| {
        let largest = numbers.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
        let length = numbers.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
        f64::from(largest) / length / 254.0 * 1.001
    };
    let (count, query) = (query.len() as f64, half_step(query));
    let other = candidates.iter().map(|plain| half_step(&plain.embedding)).fold(0.0, f64::max);
    count.sqrt() * (query + other) + count * query * other
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_level_and_storage_agrees_with_the_formulas(seed: u64, dimensions in 1_usize..70, count in 1_usize..50) {
        agrees::<INPUTS, HIDDEN, 2>(seed, CANDIDATE, Overlap::Jaccard, (dimensions, count))?;
        agrees::<5, 8, 1>(seed, FIVE, Overlap::ShareOfRequest, (dimensions, count))?;
    }

    #[test]
    fn the_bytes_of_all_levels_give_the_same_sum(seed: u64, dimensions in 1_usize..200) {
        let mut numbers = Numbers(seed);
        // One unit that only sees similarity: the logit tells it.
        let weights: RankerWeights<5, 8, 1> = numbers.weights(FIVE, Overlap::Jaccard);
        let candidates: Vec<Plain<5, 8>> = (0..20).map(|index| plain(&mut numbers, &FIVE, dimensions, index)).collect();
        let embedding = numbers.embedding(dimensions);
        let query = Query { embedding: &embedding, tags: &[], signals: [0.0; 5] };
        let mut logits: Vec<Vec<(usize, f32)>> = Vec::new();
        for level in Level::all() {
            let store = store_of(&weights, &candidates, Storage::Int8).at_level(level);
            let mut scratch = Scratch::default();
            let ranked = store.rank(&query, NOW, &mut scratch).expect("must rank");
            let mut told: Vec<_> = ranked.map(|selection| (selection.index, selection.logit)).collect();
            told.sort_unstable_by_key(|told| told.0);
            logits.push(told);
        }
        for others in &logits[1..] {
            for (one, other) in logits[0].iter().zip(others) {
                prop_assert!((one.1 - other.1).abs() < 2e-6, "{one:?} {other:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_weights_and_candidates_are_taken_the_logits_are_finite(
        seed: u64,
        size in 0.0_f32..9.0,
        ago: u64,
    ) {
        let mut numbers = Numbers(seed);
        let large = 10.0_f32.powf(size);
        let mut weights: RankerWeights<INPUTS, HIDDEN, 2> = numbers.weights(CANDIDATE, Overlap::Jaccard);
        weights.input_std = [1.0; INPUTS];
        weights.input_mean = weights.input_mean.map(|number| number * large);
        weights.cell.w = weights.cell.w.map(|row| row.map(|number| number * large));
        weights.cell.u = weights.cell.u.map(|row| row.map(|number| number * large));
        weights.cell.bias_update = weights.cell.bias_gate.map(|number| number + 18.0 * numbers.next());
        weights.head_weight = weights.head_weight.map(|row| row.map(|number| number * large));
        let mut candidate: Plain<INPUTS, HIDDEN> = plain(&mut numbers, &CANDIDATE, 6, 1);
        candidate.known.state = candidate.known.state.map(|hidden| hidden * large);
        candidate.known.signals = candidate.known.signals.map(|signal| signal * large);
        let embedding = numbers.embedding(6);
        let query = Query { embedding: &embedding, tags: &[1], signals: [0.0; INPUTS] };
        for (storage, level) in STORAGES.into_iter().flat_map(|storage| Level::all().into_iter().map(move |level| (storage, level))) {
            let store = store_of(&weights, std::slice::from_ref(&candidate), storage).at_level(level);
            let now = NOW.saturating_add(Duration::from_nanos(ago));
            let best = store.select(&query, now, &mut Scratch::default()).expect("must select");
            prop_assert!(best.logit.is_finite() && (0.0..=1.0).contains(&best.score), "{best:?}");
            prop_assert!((0.0..=0.5).contains(&best.uncertainty), "{best:?}");
        }
    }
}

#[test]
fn a_selection_is_what_the_plain_network_says_of_its_standing() {
    let weights = testing::candidate(3);
    let network = crate::candidate::network::CandidateNetwork::new(&weights);
    let mut store = Store::new(Ranker::candidate(&weights).expect("must be weights"), 4, Storage::F32)
        .expect("must be a store");
    let call = crate::candidate::stream::FinishedCall {
        at: NOW.saturating_sub(Duration::from_mins(3)),
        succeeded: true,
        latency: 0.5,
        prompt_tokens: 90,
    };
    let stream = Stream::restore(&network, 0.7, [call]).expect("must restore");
    let standing = stream.standing();
    let (embedding, tags) = ([1.0, 0.0, 1.0, 0.0], [1, 2, 3]);
    let entry = Entry { id: "one", embedding: &embedding, tags: &tags, known: Known::from(&standing) };
    store.register(&entry, NOW).expect("must register");
    let query = Query::of_request(&[1.0, 0.0, 0.0, 0.0], &[3, 4], 0.3, 120);
    let selection = store.select(&query, NOW, &mut Scratch::default()).expect("must select");
    let request = RequestSignals {
        similarity: std::f32::consts::FRAC_1_SQRT_2,
        previous_turn: 0.3,
        prompt_tokens: 120,
        overlap: 0.25,
    };
    let [success, precision] = standing.heads(&network, &request, NOW);
    assert!((selection.logit - success).abs() < 5e-6, "{} {success}", selection.logit);
    let score = 1.0 / (1.0 + (-success).exp());
    assert!((selection.score - score).abs() < 1e-6);
    let spread = (score * (1.0 - score) / (precision.exp() + 1.0)).sqrt();
    assert!((selection.uncertainty - spread).abs() < 1e-5);
}

fn five() -> (RankerWeights<5, 8, 1>, Store<5, 8, 1>) {
    let weights = Numbers(5).weights(FIVE, Overlap::Jaccard);
    let ranker = Ranker::new(&weights).expect("must be weights");
    (weights, Store::new(ranker, 3, Storage::F32).expect("must be a store"))
}

fn entry<'a>(id: &'a str, embedding: &'a [f32]) -> Entry<'a, 5, 8> {
    Entry { id, embedding, tags: &[], known: Known { signals: [0.0; 5], state: [0.0; 8], last_call: None } }
}

#[test]
fn a_poisoned_candidate_is_refused_by_name_and_the_others_are_chosen_from() {
    let (_, mut store) = five();
    assert_eq!(store.register(&entry("good", &[1.0, 0.0, 0.0]), NOW), Ok(0));
    for (embedding, error) in [
        ([f32::NAN; 3], EmbeddingError::NotFinite { index: 0 }),
        ([1.0, f32::INFINITY, 0.0], EmbeddingError::NotFinite { index: 1 }),
        ([0.0, -0.0, 0.0], EmbeddingError::Zero),
    ] {
        assert_eq!(store.register(&entry("bad", &embedding), NOW), Err(error.into()));
    }
    let dimensions = |found| Err(CandidateError::Dimensions { expected: 3, found });
    assert_eq!(store.register(&entry("bad", &[]), NOW), dimensions(0));
    assert_eq!(store.register(&entry("bad", &[1.0; 4]), NOW), dimensions(4));
    let good = entry("bad", &[0.0, 1.0, 0.0]);
    for value in [f32::NAN, f32::INFINITY, 1e30] {
        let mut known = good.known;
        known.signals[3] = value;
        let refused = store.register(&Entry { known, ..good }, NOW);
        assert!(matches!(refused, Err(CandidateError::Signal { input: 3, .. })), "{value}");
        let mut known = good.known;
        known.state[2] = value;
        assert_eq!(store.register(&Entry { known, ..good }, NOW), Err(CandidateError::State { unit: 2 }));
    }
    let mut known = good.known;
    known.signals[0] = 1.0;
    let refused = store.register(&Entry { known, ..good }, NOW);
    assert_eq!(refused, Err(CandidateError::Signal { input: 0, value: 1.0 }), "similarity is not told");
    let by = Duration::from_secs(1);
    let known = Known { last_call: Some(NOW + by), ..good.known };
    assert_eq!(store.register(&Entry { known, ..good }, NOW), Err(CandidateError::Future { by }));
    assert_eq!(store.update(0, &known, NOW), Err(CandidateError::Future { by }));
    let known = Known { last_call: Some(Duration::MAX), ..good.known };
    assert!(matches!(store.update(0, &known, NOW), Err(CandidateError::Future { .. })));
    assert_eq!(store.register(&entry("good", &[1.0; 3]), NOW), Err(CandidateError::Id { index: 0 }));
    let refused = store.register(&Entry { tags: &[7; MOST_TAGS + 1], ..good }, NOW);
    assert_eq!(refused, Err(CandidateError::Tags { found: MOST_TAGS + 1 }));
    let none = CandidateError::Index { index: 1, candidates: 1 };
    assert_eq!(store.update(1, &good.known, NOW), Err(none));
    assert_eq!(store.set_open(1, false), Err(none));
    assert_eq!((store.len(), store.id(0), store.id(1)), (1, Some("good"), None));
    let query = Query { embedding: &[1.0, 0.0, 0.0], tags: &[], signals: [0.0; 5] };
    assert_eq!(store.select(&query, NOW, &mut Scratch::default()).map(|best| best.index), Ok(0));
}

#[test]
fn a_poisoned_request_is_refused_by_name_and_the_next_is_answered() {
    let (_, mut store) = five();
    let mut scratch = Scratch::default();
    let good = Query { embedding: &[1.0, 0.0, 0.0], tags: &[], signals: [0.0; 5] };
    assert_eq!(store.select(&good, NOW, &mut scratch), Err(QueryError::NoCandidate));
    store.register(&entry("good", &[1.0, 0.0, 0.0]), NOW).expect("must register");
    let before = store.select(&good, NOW, &mut scratch);
    let mut refused =
        |query: Query<'_, 5>| store.select(&query, NOW, &mut scratch).expect_err("must be refused");
    for (embedding, error) in [
        ([f32::NAN; 3], EmbeddingError::NotFinite { index: 0 }),
        ([1.0, f32::NEG_INFINITY, 0.0], EmbeddingError::NotFinite { index: 1 }),
        ([0.0; 3], EmbeddingError::Zero),
    ] {
        assert_eq!(refused(Query { embedding: &embedding, ..good }), error.into());
    }
    let found = 2;
    assert_eq!(
        refused(Query { embedding: &[1.0; 2], ..good }),
        QueryError::Dimensions { expected: 3, found }
    );
    let tags = [1; MOST_TAGS + 1];
    assert_eq!(refused(Query { tags: &tags, ..good }), QueryError::Tags { found: MOST_TAGS + 1 });
    assert!(matches!(
        refused(Query { signals: [0.0, 0.0, f32::NAN, 0.0, 0.0], ..good }),
        QueryError::Signal { input: 2, .. }
    ));
    assert!(matches!(
        refused(Query { signals: [1.0, 0.0, 0.0, 0.0, 0.0], ..good }),
        QueryError::Signal { input: 0, .. }
    ));
    assert_eq!(store.select(&good, NOW, &mut scratch), before);
}

#[test]
fn the_size_of_an_embedding_does_not_matter() {
    for storage in STORAGES {
        let weights: RankerWeights<5, 8, 1> = Numbers(5).weights(FIVE, Overlap::Jaccard);
        let plain = |size: f32| Plain::<5, 8> {
            embedding: vec![0.3 * size, -0.7 * size, 0.1 * size],
            tags: Vec::new(),
            known: entry("", &[]).known,
        };
        let logit = |candidate: f32, request: f32| {
            let store = store_of(&weights, &[plain(candidate)], storage);
            let embedding = [0.5 * request, 0.2 * request, -0.1 * request];
            let query = Query { embedding: &embedding, tags: &[], signals: [0.0; 5] };
            store.select(&query, NOW, &mut Scratch::default()).expect("must select").logit
        };
        for size in [1e-38, 1e-20, 1e20, 3e38] {
            assert!((logit(size, 1.0) - logit(1.0, size)).abs() < 1e-5, "{size}");
        }
    }
}

#[test]
fn recency_is_alive_after_hours_and_never_beyond_one() {
    let (weights, _) = five();
    let logit = |ago: Option<Duration>, now: Duration| {
        let known = Known { last_call: ago.map(|ago| NOW.saturating_sub(ago)), ..entry("", &[]).known };
        let plain = Plain { embedding: vec![1.0; 3], tags: Vec::new(), known };
        let store = store_of(&weights, &[plain], Storage::F32);
        let query = Query { embedding: &[1.0; 3], tags: &[], signals: [0.0; 5] };
        store.select(&query, now, &mut Scratch::default()).expect("must select").logit
    };
    let hours = |hours| logit(Some(Duration::from_hours(hours)), NOW);
    assert!((hours(3) - hours(12)).abs() > 1e-2, "{} {}", hours(3), hours(12));
    assert_eq!(
        hours(0),
        logit(Some(Duration::ZERO), Duration::ZERO),
        "a call told since now was read ended now"
    );
    assert_eq!(logit(None, NOW), logit(None, Duration::MAX), "no call is no recency at any time");
    assert!(logit(Some(Duration::ZERO), Duration::MAX).is_finite());
}

#[test]
fn a_closed_candidate_is_not_chosen_and_the_first_of_equals_is() {
    let (_, mut store) = five();
    let ids: Vec<String> = (0..40).map(|id| id.to_string()).collect();
    for id in &ids {
        store.register(&entry(id, &[1.0, 2.0, 3.0]), NOW).expect("must register");
    }
    let query = Query { embedding: &[1.0, 0.0, 0.0], tags: &[], signals: [0.0; 5] };
    let mut scratch = Scratch::default();
    for index in 0..40 {
        assert_eq!(store.select(&query, NOW, &mut scratch).map(|best| best.index), Ok(index));
        let order: Vec<usize> =
            store.rank(&query, NOW, &mut scratch).unwrap().map(|best| best.index).collect();
        assert_eq!(order, (index..40).collect::<Vec<_>>());
        store.set_open(index, false).expect("must be there");
    }
    assert_eq!(store.select(&query, NOW, &mut scratch), Err(QueryError::NoCandidate));
    assert!(store.rank(&query, NOW, &mut scratch).is_err());
}

#[test]
fn an_update_is_what_a_new_registration_would_be() {
    let mut numbers = Numbers(9);
    let weights: RankerWeights<INPUTS, HIDDEN, 2> = numbers.weights(CANDIDATE, Overlap::Jaccard);
    let mut candidates: Vec<Plain<INPUTS, HIDDEN>> =
        (0..20).map(|index| plain(&mut numbers, &CANDIDATE, 8, index)).collect();
    let mut store = store_of(&weights, &candidates, Storage::Int8);
    candidates[17].known = plain(&mut numbers, &CANDIDATE, 8, 3).known;
    store.update(17, &candidates[17].known, NOW).expect("must be taken");
    let other = store_of(&weights, &candidates, Storage::Int8);
    let embedding = numbers.embedding(8);
    let query = Query { embedding: &embedding, tags: &[], signals: [0.0; INPUTS] };
    let ranked = |store: &Store<INPUTS, HIDDEN, 2>| {
        store.rank(&query, NOW, &mut Scratch::default()).unwrap().collect::<Vec<_>>()
    };
    assert_eq!(ranked(&store), ranked(&other));
}

#[test]
fn a_decision_allocates_nothing() {
    let mut numbers = Numbers(4);
    let weights: RankerWeights<INPUTS, HIDDEN, 2> = numbers.weights(CANDIDATE, Overlap::Jaccard);
    let candidates: Vec<Plain<INPUTS, HIDDEN>> =
        (0..100).map(|index| plain(&mut numbers, &CANDIDATE, 384, index)).collect();
    let embedding = numbers.embedding(384);
    let query = Query { embedding: &embedding, tags: &[1, 2], signals: [0.0; INPUTS] };
    for storage in STORAGES {
        let store = store_of(&weights, &candidates, storage);
        let mut scratch = Scratch::default();
        let mut decide = || {
            let best = store.select(&query, NOW, &mut scratch).map(|best| best.index);
            let first =
                store.rank(&query, NOW, &mut scratch).map(|mut ranked| ranked.next().map(|best| best.index));
            (best, first)
        };
        let before = decide();
        let mut after = None;
        let counted = allocation_counter::measure(|| after = Some(decide()));
        assert_eq!((counted.count_total, after), (0, Some(before)));
    }
}

#[test]
fn weights_that_could_leave_f32_are_refused_by_name() {
    let good: RankerWeights<5, 8, 1> = Numbers(5).weights(FIVE, Overlap::Jaccard);
    let refused = |change: &dyn Fn(&mut RankerWeights<5, 8, 1>)| {
        let mut weights = good;
        change(&mut weights);
        Ranker::new(&weights).expect_err("must be refused")
    };
    assert_eq!(refused(&|w| w.cell.w[0][1] = f32::NAN), RankerError::Weight { part: "W" });
    assert_eq!(refused(&|w| w.cell.nu = f32::NAN), RankerError::Weight { part: "zeta and nu" });
    assert_eq!(refused(&|w| w.input_std[2] = 0.0), RankerError::Deviation { input: 2 });
    assert_eq!(refused(&|w| w.cell.bias_gate[3] = 30.0), RankerError::Biases { unit: 3 });
    assert_eq!(refused(&|w| w.roles.overlap = 0), RankerError::Roles);
    assert_eq!(refused(&|w| w.half_life = Duration::ZERO), RankerError::HalfLife);
}
