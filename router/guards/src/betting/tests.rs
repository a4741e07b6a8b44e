use proptest::prelude::*;

use super::*;
use crate::testing::Random;

fn wealth(shape: Shape, null: Null, observations: impl IntoIterator<Item = f64>) -> f64 {
    let mut past = Moments::default();
    let mut log_wealth = 0.0;
    for value in observations {
        log_wealth += log_growth(&past, shape, null, value);
        past.observations += 1;
        past.sum += value;
        past.sum_of_squares += value * value;
    }
    log_wealth
}

#[test]
fn nothing_is_staked_before_anything_was_seen() {
    assert!(log_growth(&Moments::default(), Shape::Binary, Null::AtMost(0.01), 1.0).abs() < 1e-12);
}

#[test]
fn the_mirror_of_a_test_is_the_test_of_the_mirror() {
    let shape = Shape::Symmetric { half_range: 1.0 };
    let values = [0.3, -0.1, 0.9, 0.2, -0.4];
    let one = wealth(shape, Null::AtMost(0.1), values);
    let other = wealth(shape, Null::AtLeast(-0.1), values.map(|value| -value));
    assert!((one - other).abs() < 1e-12 && one != 0.0);
}

/// The definition of a supermartingale, checked on the distributions that are hardest: the whole mass at the ends of the
/// range with the mean exactly at the limit.
#[test]
fn the_expected_wealth_under_the_null_is_at_most_one() {
    for (shape, null, high, low, chance) in [
        (Shape::Binary, Null::AtMost(0.01), 1.0, 0.0, 0.01),
        (Shape::Binary, Null::AtLeast(0.01), 1.0, 0.0, 0.01),
        (Shape::Symmetric { half_range: 1.0 }, Null::AtMost(0.1), 1.0, -1.0, 0.55),
        (Shape::Symmetric { half_range: 0.5 }, Null::AtLeast(-0.05), 0.5, -0.5, 0.45),
    ] {
        // Every sequence of ten observations, weighed by its probability.
        let expected: f64 = (0..1_u32 << 10)
            .map(|sequence| {
                let highs = (0..10).map(|place| sequence >> place & 1 == 1);
                let probability: f64 =
                    highs.clone().map(|is_high| if is_high { chance } else { 1.0 - chance }).product();
                probability * wealth(shape, null, highs.map(|is_high| if is_high { high } else { low })).exp()
            })
            .sum();
        assert!((expected - 1.0).abs() < 1e-9, "{shape:?} {null:?}: {expected}");
    }
}

#[test]
fn a_limit_outside_the_range_is_no_trap() {
    let shape = Shape::Symmetric { half_range: 0.5 };
    let harm = wealth(shape, Null::AtMost(0.9), [0.5; 100]);
    let safe = wealth(shape, Null::AtLeast(0.9), [0.5; 100]);
    assert!(harm <= 0.0 && safe > 10.0, "{harm} {safe}");
}

#[test]
fn a_million_observations_keep_the_wealth_finite() {
    let mut random = Random::new(7);
    let values = (0..1_000_000).map(|_| f64::from(u8::from(random.chance(0.5))));
    let rich = wealth(Shape::Binary, Null::AtMost(0.01), values);
    assert!(rich.is_finite() && rich > 1e5, "{rich}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_observation_costs_more_than_three_quarters_of_the_wealth(
        values in prop::collection::vec(-0.5..=0.5_f64, 1..50),
        limit in -0.499..0.499_f64,
    ) {
        let mut past = Moments::default();
        for value in values {
            for null in [Null::AtMost(limit), Null::AtLeast(limit)] {
                let growth = log_growth(&past, Shape::Symmetric { half_range: 0.5 }, null, value);
                prop_assert!(growth.is_finite() && growth >= (1.0 - CLIP).ln() - 1e-9);
            }
            past.observations += 1;
            past.sum += value;
            past.sum_of_squares += value * value;
        }
    }
}
