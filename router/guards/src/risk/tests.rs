#![allow(clippy::float_cmp, reason = "counts and edges must be exactly these")]

use proptest::prelude::*;

use super::*;
use crate::testing::Random;

const DELTA: f64 = 0.05;

#[test]
fn without_a_loss_the_bound_is_that_of_a_coin_that_never_fell() {
    // (1 - r)^n = delta.
    let bound = upper_bound(100, 0.0, DELTA);
    assert!((bound - (1.0 - DELTA.powf(0.01))).abs() < 1e-9, "{bound}");
    assert_eq!(upper_bound(0, 0.0, DELTA), 1.0);
}

#[test]
fn the_bound_covers_the_mean_of_losses_that_are_coins_or_not() {
    let mut random = Random::new(11);
    for (coin, truth) in [(true, 0.05), (false, 0.05), (true, 0.4)] {
        let runs = 2000;
        let missed = (0..runs).filter(|_| {
            let sum: f64 = (0..400)
                .map(|_| {
                    // A coin, or now and then any number from 0 to 1.
                    let (chance, size) = if coin { (truth, 1.0) } else { (2.0 * truth, random.uniform()) };
                    f64::from(u8::from(random.chance(chance))) * size
                })
                .sum();
            upper_bound(400, sum, DELTA) < truth
        });
        let missed = missed.count() as f64 / f64::from(runs);
        assert!(missed <= DELTA + 0.015, "{coin} {truth}: {missed}");
    }
}

#[test]
fn the_bound_is_close_to_the_mean_where_there_is_much() {
    let bound = upper_bound(10_000, 450.0, DELTA);
    assert!((0.045..0.051).contains(&bound), "{bound}");
    assert!(upper_bound(10_000_000, 450_000.0, DELTA) < 0.0452);
}

#[test]
fn too_few_pairs_promise_nothing() {
    assert_eq!(budget(58, 0.05, DELTA), None);
    assert!(budget(59, 0.05, DELTA).is_some());
    assert_eq!(budget(0, 0.5, DELTA), None);
    let mut histogram = RegretHistogram::default();
    (0..58).for_each(|_| histogram.add(0.0, 0.0));
    assert_eq!(histogram.lambda(0.05, DELTA), None);
    histogram.add(0.0, 0.0);
    assert_eq!(histogram.lambda(0.05, DELTA), Some(2.0));
}

#[test]
fn where_the_least_scores_lose_too_much_no_threshold_is_found() {
    let mut histogram = RegretHistogram::default();
    (0..500).for_each(|_| histogram.add(-1.0, 1.0));
    assert_eq!(histogram.lambda(0.05, DELTA), None);
    assert_eq!(threshold(&[0.0; 500], &[1.0; 500], 0.05, DELTA), None);
}

#[test]
fn a_score_is_in_the_bin_whose_threshold_would_take_it() {
    for bin in 0..BINS {
        let (mut below, mut above) = (RegretHistogram::default(), RegretHistogram::default());
        below.add(edge(bin), 1.0);
        above.add(edge(bin).next_up(), 1.0);
        assert_eq!(below.regret_at(edge(bin)), 1.0, "{bin}");
        assert_eq!(below.pairs_at(edge(bin)), 1, "{bin}");
        if bin + 1 < BINS {
            assert_eq!(above.pairs_at(edge(bin)), 0, "{bin}");
            assert_eq!(above.regret_at(edge(bin)), 0.0, "{bin}");
        }
    }
    assert_eq!((edge(BINS - 1), bin(f32::INFINITY), bin(-7.0)), (2.0, BINS - 1, 0));
}

#[test]
fn what_is_no_number_is_left_out() {
    let mut histogram = RegretHistogram::default();
    histogram.add(f32::NAN, 0.5);
    histogram.add(0.5, f64::NAN);
    assert_eq!(histogram, RegretHistogram::default());
    histogram.add(0.5, 7.0);
    assert!(histogram.is_sound());
}

#[test]
fn a_histogram_that_no_counting_gives_is_known() {
    let read =
        |bins: &str| serde_json::from_str::<RegretHistogram>(&format!("{{\"bins\":[{bins}]}}")).unwrap();
    assert!(!read(r#"{"pairs":1,"regret":0.5}"#).is_sound());
    let bins = vec![r#"{"pairs":1,"regret":1.5}"#; BINS].join(",");
    assert!(!read(&bins).is_sound());
    let bins = vec![r#"{"pairs":2,"regret":1.5}"#; BINS].join(",");
    assert!(read(&bins).is_sound());
}

#[test]
fn coverage_counts_each_truth_by_itself() {
    let mut counts = CoverageCounts::default();
    counts.add(true, true);
    counts.add(true, false);
    counts.add(false, true);
    let mut twice = counts;
    twice.merge(&counts);
    assert_eq!(twice.good_enough.share(), Some(0.5));
    assert_eq!(twice.not_good_enough, Covered { pairs: 2, covered: 2 });
    assert_eq!(Covered::default().share(), None);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_bound_grows_with_what_was_lost_and_is_never_below_the_mean(
        count in 1_u64..5000, share in 0.0_f64..1.0, more in 0.0_f64..0.2,
    ) {
        let sum = share * count as f64;
        let bound = upper_bound(count, sum, DELTA);
        prop_assert!(bound >= share - 1e-12 && bound <= 1.0);
        let larger = (sum + more * count as f64).min(count as f64);
        prop_assert!(upper_bound(count, larger, DELTA) >= bound - 1e-9);
    }

    #[test]
    fn a_budget_is_the_most_whose_bound_keeps_the_promise(count in 60_u64..5000, promise in 0.05_f64..0.6) {
        let budget = budget(count, promise, DELTA).unwrap();
        prop_assert!(upper_bound(count, budget, DELTA) <= promise + 1e-9);
        prop_assert!(upper_bound(count, budget + 1.0 + 1e-6, DELTA) > promise - 1e-9);
    }

    #[test]
    fn a_threshold_keeps_the_promise_on_its_own_samples(
        samples in prop::collection::vec((-1.0_f64..2.0, 0.0_f64..1.0, 0.0_f64..1.0), 100..400), promise in 0.05_f64..0.5,
    ) {
        let scores: Vec<f64> = samples.iter().map(|(score, ..)| (score * 20.0).round() / 20.0).collect();
        let losses: Vec<f64> =
            samples.iter().map(|(_, loss, zero)| if *zero < 0.7 { 0.0 } else { *loss }).collect();
        let lost = |lambda: f64| {
            scores.iter().zip(&losses).filter(|(score, _)| **score <= lambda).map(|(_, loss)| loss).sum::<f64>()
        };
        if let Some(lambda) = threshold(&scores, &losses, promise, DELTA) {
            prop_assert!(upper_bound(scores.len() as u64, lost(lambda), DELTA) <= promise + 1e-9);
            // The next score up would break it.
            if lambda.is_finite() {
                let next = scores.iter().copied().filter(|score| *score > lambda).fold(2.0, f64::min);
                prop_assert!(upper_bound(scores.len() as u64, lost(next), DELTA) > promise);
            }
        }
    }

    #[test]
    fn pods_add_up_to_what_one_would_have_seen(
        pairs in prop::collection::vec((-1.0_f32..2.0, 0_u8..5, any::<bool>()), 0..300),
    ) {
        let mut pods = [RegretHistogram::default(), RegretHistogram::default()];
        let mut one = RegretHistogram::default();
        for (score, regret, pod) in pairs {
            // Quarters add up exactly.
            pods[usize::from(pod)].add(score, f64::from(regret) / 4.0);
            one.add(score, f64::from(regret) / 4.0);
        }
        let [mut merged, other] = pods;
        merged.merge(&other);
        prop_assert_eq!(&merged, &one);
        prop_assert!(merged.is_sound());
    }
}
