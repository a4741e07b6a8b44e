use proptest::prelude::*;

use super::*;
use crate::candidate::network::{HIDDEN, INPUTS};
use crate::candidate::ranker::{FIVE, RankerWeights};
use crate::candidate::reference::{CANDIDATE, Numbers, Plain, heads};

const NOW: Duration = Duration::from_hours(1000);

fn candidates(numbers: &mut Numbers, dimensions: usize, count: usize) -> Vec<Plain<INPUTS, HIDDEN>> {
    let plain = |index: usize| {
        let mut signals: [f32; INPUTS] = numbers.row();
        for made in [0, 5, 6, 9] {
            signals[made] = 0.0;
        }
        let ago = Duration::from_secs((numbers.next().abs() * 1e6) as u64);
        Plain {
            embedding: numbers.embedding(dimensions),
            tags: (0..index as u64 % 4).collect(),
            known: Known { signals, state: numbers.row(), last_call: Some(NOW.saturating_sub(ago)) },
        }
    };
    (0..count).map(plain).collect()
}

fn offer<const I: usize, const H: usize>(candidates: &[Plain<I, H>]) -> Vec<Offered<'_, I, H>> {
    let offered = candidates.iter().map(|plain| Offered {
        embedding: &plain.embedding,
        tags: &plain.tags,
        known: &plain.known,
    });
    offered.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_best_of_the_offered_is_that_of_the_formulas(seed: u64, dimensions in 1_usize..70, count in 1_usize..40) {
        let mut numbers = Numbers(seed);
        let weights: RankerWeights<INPUTS, HIDDEN, 2> = numbers.weights(CANDIDATE, Overlap::Jaccard);
        let ranker = Ranker::new(&weights).expect("must be weights");
        let candidates = candidates(&mut numbers, dimensions, count);
        let (embedding, tags) = (numbers.embedding(dimensions), [0, 2, 7]);
        let query = Query { embedding: &embedding, tags: &tags, signals: [0.0; INPUTS] };
        let request = (embedding.as_slice(), tags.as_slice(), &query.signals);
        let exact: Vec<f64> = candidates.iter().map(|plain| heads(&weights, plain, request, NOW)[0]).collect();
        let most = exact.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for level in Level::all() {
            let mut scratch = Scratch::default();
            let best = ranker.choose_at(level, &offer(&candidates), &query, NOW, &mut scratch).expect("must choose");
            prop_assert!((f64::from(best.logit) - exact[best.index]).abs() < 7e-5, "{level:?}");
            prop_assert!(exact[best.index] > most - 1.4e-4);
            prop_assert!(scratch.refused().is_empty());
        }
    }
}

#[test]
fn poisoned_candidates_are_left_out_by_name_and_change_nothing_for_the_others() {
    let mut numbers = Numbers(11);
    let ranker =
        Ranker::new(&numbers.weights::<5, 8, 1>(FIVE, Overlap::ShareOfRequest)).expect("must be weights");
    let plain = |embedding: Vec<f32>| Plain::<5, 8> {
        embedding,
        tags: Vec::new(),
        known: Known::of_five(10, 0.9, Some(NOW)),
    };
    let good: Vec<Plain<5, 8>> = (0..4).map(|_| plain(numbers.embedding(20))).collect();
    let embedding = numbers.embedding(20);
    let query = Query { embedding: &embedding, tags: &[], signals: [0.0; 5] };
    let mut scratch = Scratch::default();
    let best = ranker.choose(&offer(&good), &query, NOW, &mut scratch).expect("must choose");

    let by = Duration::from_secs(5);
    let mut late = good[0].clone();
    late.known.last_call = Some(NOW + by);
    let mut success = good[0].clone();
    success.known.signals[3] = f32::NAN;
    let mut poisoned = vec![
        plain(vec![f32::NAN; 20]),
        plain(vec![f32::INFINITY; 20]),
        plain(vec![0.0; 20]),
        plain(Vec::new()),
        plain(vec![1.0; 21]),
        late,
        success,
    ];
    let errors = [
        EmbeddingError::NotFinite { index: 0 }.into(),
        EmbeddingError::NotFinite { index: 0 }.into(),
        EmbeddingError::Zero.into(),
        CandidateError::Dimensions { expected: 20, found: 0 },
        CandidateError::Dimensions { expected: 20, found: 21 },
        CandidateError::Future { by },
    ];
    let told = |scratch: &Scratch| {
        let refused = scratch.refused();
        assert_eq!(
            refused.iter().map(|refused| refused.index).collect::<Vec<_>>(),
            (0..7).collect::<Vec<_>>()
        );
        let first: Vec<CandidateError> = refused.iter().take(6).map(|refused| refused.error).collect();
        assert_eq!(first, errors);
        assert!(matches!(refused[6].error, CandidateError::Signal { input: 3, value } if value.is_nan()));
    };
    let all_bad = ranker.choose(&offer(&poisoned), &query, NOW, &mut scratch);
    assert_eq!(all_bad, Err(QueryError::Unusable(errors[0])));
    told(&scratch);

    let before = poisoned.len();
    poisoned.extend(good);
    let chosen = ranker.choose(&offer(&poisoned), &query, NOW, &mut scratch).expect("must choose");
    told(&scratch);
    assert_eq!((chosen.index - before, chosen.logit), (best.index, best.logit));
}

#[test]
fn a_request_that_is_none_is_refused_by_name() {
    let mut numbers = Numbers(11);
    let ranker = Ranker::new(&numbers.weights::<5, 8, 1>(FIVE, Overlap::Jaccard)).expect("must be weights");
    let known = Known::of_five(10, 0.9, None);
    let offered = [Offered { embedding: &[1.0, 2.0], tags: &[], known: &known }];
    let refused = |embedding: &[f32], offered: &[Offered<'_, 5, 8>]| {
        let query = Query { embedding, tags: &[], signals: [0.0; 5] };
        ranker.choose(offered, &query, NOW, &mut Scratch::default()).expect_err("must be refused")
    };
    assert_eq!(refused(&[], &offered), EmbeddingError::Length { found: 0 }.into());
    assert_eq!(refused(&[0.0, 0.0], &offered), EmbeddingError::Zero.into());
    assert_eq!(refused(&[0.0, f32::NAN], &offered), EmbeddingError::NotFinite { index: 1 }.into());
    assert_eq!(refused(&[1.0, 2.0], &[]), QueryError::NoCandidate);
}

#[test]
fn an_embedding_of_any_size_is_compared_by_its_direction() {
    let mut numbers = Numbers(12);
    let ranker = Ranker::new(&numbers.weights::<5, 8, 1>(FIVE, Overlap::Jaccard)).expect("must be weights");
    let known = Known::of_five(10, 0.9, None);
    let logit = |size: f32| {
        let embedding = [0.3 * size, -0.9 * size, 0.5 * size];
        let offered = [Offered { embedding: &embedding, tags: &[], known: &known }];
        let query = Query { embedding: &[1.0, 0.5, 0.25], tags: &[], signals: [0.0; 5] };
        ranker.choose(&offered, &query, NOW, &mut Scratch::default()).expect("must choose").logit
    };
    for size in [1e-38, 1e-18, 1e18, 3e38] {
        assert!((logit(size) - logit(1.0)).abs() < 1e-5, "{size}");
    }
}

#[test]
fn a_choice_among_the_offered_allocates_nothing() {
    let mut numbers = Numbers(13);
    let weights: RankerWeights<INPUTS, HIDDEN, 2> = numbers.weights(CANDIDATE, Overlap::Jaccard);
    let ranker = Ranker::new(&weights).expect("must be weights");
    let candidates = candidates(&mut numbers, 384, 100);
    let (offered, embedding) = (offer(&candidates), numbers.embedding(384));
    let query = Query { embedding: &embedding, tags: &[1], signals: [0.0; INPUTS] };
    let mut scratch = Scratch::default();
    let before = ranker.choose(&offered, &query, NOW, &mut scratch);
    let mut after = None;
    let counted =
        allocation_counter::measure(|| after = Some(ranker.choose(&offered, &query, NOW, &mut scratch)));
    assert_eq!((counted.count_total, after), (0, Some(before)));
}
