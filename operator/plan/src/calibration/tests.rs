use proptest::prelude::*;

use super::*;

fn promise(permille: u16) -> Promise {
    Promise { digest: Digest::of(b"model"), permille, parties: Digest::of(b"parties") }
}

/// So many pairs, their scores spread evenly; those above `fine` are lost on Lightweight.
fn sums(pairs: u64, fine: f32) -> CalibrationSums {
    let mut sums = CalibrationSums::of(Digest::of(b"model"));
    for pair in 0..pairs {
        let score = (pair * 61 % 100) as f32 / 100.0;
        sums.regret.add(score, if score > fine { 1.0 } else { 0.0 });
        sums.pairs += 1;
    }
    sums
}

fn next(last: Option<&ModelCalibration>, sums: &CalibrationSums) -> Option<ModelCalibration> {
    calibrate(promise(50), last, sums, Rollout::Stable, Timestamp::UNIX_EPOCH)
}

#[test]
fn a_threshold_needs_two_hundred_pairs_and_something_below_it() {
    assert_eq!(next(None, &sums(199, 0.5)).unwrap().threshold, Threshold::Artifact);
    let Threshold::Kept(lambda) = next(None, &sums(2_000, 0.5)).unwrap().threshold else { panic!("kept") };
    assert!((0.5..0.6).contains(&lambda), "{lambda}");
    let mut lost = CalibrationSums::of(Digest::of(b"model"));
    (0..2_000).for_each(|_| lost.regret.add(0.5, 1.0));
    lost.pairs = 2_000;
    assert_eq!(next(None, &lost).unwrap().threshold, Threshold::Nowhere, "all that was seen lies above it");
    let none = calibrate(promise(0), None, &sums(2_000, 0.5), Rollout::Stable, Timestamp::UNIX_EPOCH);
    assert_eq!(none.unwrap().threshold, Threshold::Nowhere, "nothing shows a loss of nothing");
}

#[test]
fn the_time_of_a_threshold_moves_only_with_the_threshold() {
    let later: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let first = next(None, &sums(2_000, 0.5)).unwrap();
    let again =
        |fine| calibrate(promise(50), Some(&first), &sums(4_000, fine), Rollout::Stable, later).unwrap();
    let other = again(0.2);
    assert_eq!((other.since, other.pairs), (later, 4_000));
    let same = ModelCalibration { threshold: other.threshold, ..first.clone() };
    let same = calibrate(promise(50), Some(&same), &sums(4_000, 0.2), Rollout::Stable, later).unwrap();
    assert_eq!((same.since, same.pairs), (first.since, 4_000));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counts_never_fall_and_a_comparison_freezes_them(before in 0_u64..2_000, pairs in 0_u64..2_000) {
        let last = ModelCalibration { pairs: before, ..next(None, &sums(200, 0.5)).unwrap() };
        let sums = sums(pairs, 0.5);
        let now = Timestamp::UNIX_EPOCH;
        for frozen in [Rollout::Shadow, Rollout::Watching, Rollout::Promoting, Rollout::Superseded] {
            prop_assert_eq!(calibrate(promise(50), Some(&last), &sums, frozen, now), None);
        }
        if let Some(next) = next(Some(&last), &sums) {
            prop_assert!(next.pairs >= before + 10 || (before < LEAST_PAIRS && next.pairs >= LEAST_PAIRS));
            prop_assert_eq!(calibrate(promise(50), Some(&next), &sums, Rollout::Stable, now), None, "once");
        } else {
            prop_assert!(pairs < before + (before / 4).max(LEAST_GROWTH));
        }
    }
}
