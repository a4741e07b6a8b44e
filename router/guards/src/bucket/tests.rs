use proptest::prelude::*;

use super::*;

const DIGEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

#[test]
fn buckets_are_the_ones_written_down() {
    // Computed by a second implementation (Python integers).
    let expected = [
        ("", 5601),
        ("a", 5613),
        ("conversation-1", 9711),
        ("conversation-2", 7627),
        ("Grüße", 3546),
        ("\u{0}", 1578),
    ];
    let found = expected.map(|(key, _)| (key, bucket(DIGEST, key.as_bytes()).get()));
    assert_eq!(found, expected);
}

#[test]
fn another_candidate_draws_other_keys() {
    let other = DIGEST.replace('9', "8");
    let same = (0..10_000_u32)
        .filter(|key| bucket(DIGEST, &key.to_le_bytes()) == bucket(&other, &key.to_le_bytes()))
        .count();
    assert!(same < 20, "{same} of 10000 keys kept their bucket");
}

#[test]
fn digest_and_key_do_not_run_into_each_other() {
    assert_ne!(bucket("sha256:a", b"bc"), bucket("sha256:ab", b"c"));
}

#[test]
fn the_candidates_share_is_within_four_and_a_half_sigma_of_its_weight() {
    const KEYS: u32 = 100_000;
    let salt = BucketSalt::new(DIGEST);
    for percent in [1_u8, 5, 10, 25, 50] {
        let weight = BasisPoints::from_percent(percent);
        let chosen = (0..KEYS)
            .filter(|key| salt.bucket(format!("user-{key}").as_bytes()).arm(weight) == Arm::Candidate)
            .count() as f64;
        let share = f64::from(percent) / 100.0;
        let expected = f64::from(KEYS) * share;
        let sigma = (expected * (1.0 - share)).sqrt();
        assert!((chosen - expected).abs() <= 4.5 * sigma, "{percent} %: {chosen} keys, expected {expected}");
    }
}

#[test]
fn no_weight_reaches_nobody_and_the_whole_weight_everybody() {
    for bucket in (0..BUCKETS).map(Bucket) {
        assert_eq!(bucket.arm(BasisPoints::ZERO), Arm::Stable);
        assert_eq!(bucket.arm(BasisPoints::ALL), Arm::Candidate);
    }
}

#[test]
fn a_weight_above_all_keys_is_refused() {
    assert_eq!(BasisPoints::new(10_000), Ok(BasisPoints::ALL));
    assert_eq!(
        BasisPoints::new(10_001).unwrap_err().to_string(),
        "weight must be at most 10000 basis points, not 10001"
    );
    assert!(serde_json::from_str::<BasisPoints>("10001").is_err());
    assert_eq!(serde_json::to_string(&BasisPoints::from_percent(25)).unwrap(), "2500");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_rising_weight_never_moves_a_key_to_stable(key: Vec<u8>, first in 0..=10_000_u16, second in 0..=10_000_u16) {
        let (low, high) = (first.min(second), first.max(second));
        let bucket = bucket(DIGEST, &key);
        prop_assert!(bucket.get() < BUCKETS);
        if bucket.arm(BasisPoints::new(low).unwrap()) == Arm::Candidate {
            prop_assert_eq!(bucket.arm(BasisPoints::new(high).unwrap()), Arm::Candidate);
        }
    }
}
