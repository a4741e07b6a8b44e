use super::*;
use crate::testing::Random;

const REFERENCE: f64 = 0.2;
const MARGIN: f64 = 0.05;

/// Numbers around `mean`, between 0 and 1.
fn feed(test: &mut InputDrift, random: &mut Random, mean: f64, count: u32) -> Option<u32> {
    (1..=count).find(|_| {
        let value = (mean + 0.1 * random.normal()).clamp(0.0, 1.0);
        test.observe(value, REFERENCE, MARGIN);
        test.drift().is_some()
    })
}

#[test]
fn nothing_is_said_while_the_mean_stays_within_the_margin() {
    for seed in 0..20_u8 {
        let mut test = InputDrift::default();
        let mean = REFERENCE + 0.04 * (f64::from(seed) / 10.0 - 1.0);
        assert_eq!(feed(&mut test, &mut Random::new(seed.into()), mean, 50_000), None, "{mean}");
    }
}

#[test]
fn a_mean_that_left_is_seen_soon_however_long_it_was_good_before() {
    for (before, mean, drift) in
        [(0, 0.32, Drift::Above), (100_000, 0.32, Drift::Above), (100_000, 0.08, Drift::Below)]
    {
        let (mut test, mut random) = (InputDrift::default(), Random::new(3));
        assert_eq!(feed(&mut test, &mut random, REFERENCE, before), None);
        let delay = feed(&mut test, &mut random, mean, 5_000).unwrap();
        assert!(delay < 600, "{before} {mean}: {delay}");
        assert_eq!(test.drift(), Some(drift));
    }
}

#[test]
fn an_alarm_stays() {
    let (mut test, mut random) = (InputDrift::default(), Random::new(4));
    feed(&mut test, &mut random, 0.5, 1_000).unwrap();
    feed(&mut test, &mut random, REFERENCE, 1_000);
    assert_eq!(test.drift(), Some(Drift::Above));
}

#[test]
fn what_is_no_number_between_0_and_1_is_left_out() {
    let mut test = InputDrift::default();
    for value in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
        test.observe(value, REFERENCE, MARGIN);
    }
    assert_eq!(test, InputDrift::default());
    test.observe(0.25, REFERENCE, MARGIN);
    assert_eq!(test.mean(), Some((0.25, 1)));
}

#[test]
fn a_test_reads_back_as_it_was_written() {
    let (mut test, mut random) = (InputDrift::default(), Random::new(5));
    feed(&mut test, &mut random, 0.26, 100);
    let text = serde_json::to_string(&test).unwrap();
    assert_eq!(serde_json::from_str::<InputDrift>(&text).unwrap(), test);
}

#[test]
fn the_stability_index_is_0_for_equal_shares_and_grows_with_the_distance() {
    let reference = [0.25; 4];
    assert!(psi(&reference, &reference).abs() < 1e-12);
    let near = psi(&reference, &[0.3, 0.2, 0.3, 0.2]);
    let far = psi(&reference, &[0.7, 0.1, 0.1, 0.1]);
    assert!(0.0 < near && near < 0.1 && far > 0.25, "{near} {far}");
    assert!(psi(&reference, &[1.0, 0.0, 0.0, 0.0]).is_finite());
}
