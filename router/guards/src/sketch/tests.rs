use proptest::prelude::*;

use super::*;
use crate::testing::{Random, Traffic};

fn shapes(pairs: &[(f32, f32)]) -> Shapes {
    let mut shapes = Shapes::default();
    for pair in pairs {
        shapes.observe(&Observation { uncertainty: Some(*pair), ..Observation::default() });
    }
    shapes
}

/// The share of values below `end`, counted one by one.
fn share_below(values: &[f64], end: f64) -> f64 {
    values.iter().filter(|value| **value < end).count() as f64 / values.len() as f64
}

#[test]
fn psi_and_ks_are_those_of_the_values_themselves() {
    let mut random = Random::new(3);
    let traffic = Traffic { shift: 0.4, stretch: 1.2, ..Traffic::SAME };
    let pairs: Vec<_> = (0..5_000).filter_map(|_| traffic.request(&mut random).uncertainty).collect();
    let candidate: Vec<f64> = pairs.iter().map(|pair| f64::from(pair.0).min(0.499)).collect();
    let stable: Vec<f64> = pairs.iter().map(|pair| f64::from(pair.1).min(0.499)).collect();
    let (mut psi, mut ks) = (0.0, 0.0_f64);
    for bin in 0..50 {
        let (low, high) = (f64::from(bin) / 100.0, f64::from(bin + 1) / 100.0);
        let c = share_below(&candidate, high) - share_below(&candidate, low);
        let s = share_below(&stable, high) - share_below(&stable, low);
        let (c, s) = if c + s > 0.0 { (c.max(1e-4), s.max(1e-4)) } else { (1.0, 1.0) };
        psi += (c - s) * (c / s).ln();
        ks = ks.max((share_below(&candidate, high) - share_below(&stable, high)).abs());
    }
    let shapes = shapes(&pairs);
    assert!((shapes.population_stability_index().unwrap() - psi).abs() < 1e-9 && psi > 0.05, "{psi}");
    assert!((shapes.kolmogorov_smirnov().unwrap() - ks).abs() < 1e-9 && ks > 0.05, "{ks}");
}

#[test]
fn equal_distributions_have_no_distance_and_disjoint_ones_the_largest() {
    let same = shapes(&[(0.1, 0.3), (0.3, 0.1)]);
    assert!(same.population_stability_index().unwrap().abs() < 1e-12);
    assert!(same.kolmogorov_smirnov().unwrap().abs() < 1e-12);
    let apart = shapes(&[(0.1, 0.3), (0.1, 0.3)]);
    assert!(apart.population_stability_index().unwrap() > 10.0);
    assert!((apart.kolmogorov_smirnov().unwrap() - 1.0).abs() < 1e-12);
}

#[test]
fn no_data_has_no_shape() {
    let nothing = Shapes::default();
    assert_eq!((nothing.population_stability_index(), nothing.kolmogorov_smirnov()), (None, None));
    assert_eq!((nothing.candidate.quantile(0.5), nothing.stable_nanoseconds.quantile(0.5)), (None, None));
}

#[test]
fn a_fault_has_no_shape_and_a_stable_model_that_is_not_there_no_time() {
    let mut shapes = Shapes::default();
    let timed = Observation { scoring_nanoseconds: Some((9_000, 0)), ..Observation::default() };
    shapes.observe(&Observation { fault: true, ..timed });
    assert_eq!(shapes, Shapes::default());
    shapes.observe(&timed);
    assert!(shapes.candidate_nanoseconds.quantile(0.5).is_some());
    assert_eq!(shapes.stable_nanoseconds.quantile(0.5), None);
}

#[test]
fn the_shortest_and_the_longest_time_have_a_bucket() {
    let mut sketch = LatencySketch::default();
    sketch.add(0);
    assert_eq!(sketch.0.quantile(1.0), Some(0));
    sketch.add(u64::MAX);
    assert_eq!(sketch.0.quantile(1.0), Some(BUCKETS - 1));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_quantile_of_times_is_within_five_percent_of_the_exact_one(
        mut times in prop::collection::vec(1..1_000_000_000_000_u64, 1..300),
        share in 0.0..=1.0_f64,
    ) {
        let mut sketch = LatencySketch::default();
        for time in &times {
            sketch.add(*time);
        }
        times.sort_unstable();
        let rank = ((share * times.len() as f64).ceil() as usize).clamp(1, times.len());
        let exact = times[rank - 1] as f64;
        let shown = sketch.quantile(share).unwrap();
        prop_assert!((shown - exact).abs() <= 0.0477 * exact + 1e-6, "{shown} for {exact}");
    }

    #[test]
    fn a_quantile_of_uncertainty_is_within_half_a_bin(
        mut values in prop::collection::vec(0.0..=0.5_f64, 1..300),
        share in 0.0..=1.0_f64,
    ) {
        let mut histogram = UncertaintyHistogram::default();
        for value in &values {
            histogram.add(*value);
        }
        values.sort_by(f64::total_cmp);
        let rank = ((share * values.len() as f64).ceil() as usize).clamp(1, values.len());
        prop_assert!((histogram.quantile(share).unwrap() - values[rank - 1]).abs() <= 0.005 + 1e-9);
    }

    #[test]
    fn shapes_that_were_merged_are_the_shapes_of_all(
        pairs in prop::collection::vec((0.0..=0.5_f32, 0.0..=0.5_f32), 0..60),
        cut in 0..60_usize,
    ) {
        let cut = cut.min(pairs.len());
        let mut merged = shapes(&pairs[..cut]);
        merged.add(&shapes(&pairs[cut..]));
        prop_assert_eq!(&merged, &shapes(&pairs));
        let written = serde_json::to_string(&merged).unwrap();
        prop_assert_eq!(serde_json::from_str::<Shapes>(&written).unwrap(), merged);
    }
}
