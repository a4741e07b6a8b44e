use super::*;
use crate::BucketSalt;
use crate::testing::Random;

/// The chance of `candidate` of `seen` buckets where the weight is kept, from products, without logarithms of
/// factorials.
fn hypergeometric(weight: u32, seen: u32, candidate: u32) -> f64 {
    let ways = |all: u32, drawn: u32| {
        (0..drawn).map(|i| f64::from(all - i).ln() - f64::from(i + 1).ln()).sum::<f64>()
    };
    (ways(weight, candidate) + ways(10_000 - weight, seen - candidate) - ways(10_000, seen)).exp()
}

fn weight(basis_points: u16) -> BasisPoints {
    BasisPoints::new(basis_points).unwrap()
}

#[test]
fn at_any_single_look_small_p_values_are_as_rare_as_they_say() {
    for (basis_points, seen) in
        [(500, 100), (500, 1_000), (500, 9_000), (2_500, 50), (5_000, 400), (9_500, 3_000)]
    {
        let mut total = 0.0;
        let mut mean_evidence = 0.0;
        let mut rejected = [0.0; 3];
        let least = seen - (10_000 - basis_points).min(seen);
        for candidate in least..=seen.min(basis_points) {
            let chance = hypergeometric(basis_points, seen, candidate);
            let p = sample_ratio(weight(basis_points as u16), candidate, seen - candidate).unwrap();
            total += chance;
            mean_evidence += chance * (1.0 / p).min(1e300);
            for (rejected, alpha) in rejected.iter_mut().zip([0.05, 0.01, 0.001]) {
                *rejected += if p <= alpha { chance } else { 0.0 };
            }
        }
        assert!((total - 1.0).abs() < 1e-6, "{total}");
        for (rejected, alpha) in rejected.iter().zip([0.05, 0.01, 0.001]) {
            assert!(*rejected <= alpha, "{basis_points} {seen}: {rejected} at {alpha}");
        }
        // The inverse of p is evidence of mean 1 before it is cut at 1, so at most 2 after.
        assert!((1.0..=2.0).contains(&mean_evidence), "{basis_points} {seen}: {mean_evidence}");
    }
}

/// Requests of 3000 tenants of very different sizes (Zipf), looked at after each; the arm is that of `kept`.
fn ever_below(alpha: f64, kept: BasisPoints, asked: BasisPoints, seed: u64) -> bool {
    let mut random = Random::new(seed);
    let salt = BucketSalt::new(&format!("sha256:{seed}"));
    let mut seen = BucketsSeen::default();
    (0..4_000).any(|_| {
        let tenant = (3_000.0_f64).powf(random.uniform()) as u64;
        let bucket = salt.bucket(&tenant.to_le_bytes());
        seen.see(bucket, bucket.arm(kept));
        let p = sample_ratio(asked, seen.count(Arm::Candidate), seen.count(Arm::Stable));
        p.is_some_and(|p| p <= alpha)
    })
}

#[test]
fn tenants_of_all_sizes_raise_no_false_alarm_at_any_look() {
    let alarms = (0..400).filter(|seed| ever_below(0.05, weight(2_500), weight(2_500), *seed)).count();
    // 20 are allowed; three standard deviations more.
    assert!(alarms <= 33, "{alarms} of 400");
}

#[test]
fn a_pod_that_keeps_the_weight_before_is_found() {
    for (kept, asked) in [(500, 2_500), (2_500, 5_000), (2_500, 500), (0, 500)] {
        let found = (0..40).filter(|seed| ever_below(0.001, weight(kept), weight(asked), *seed)).count();
        assert_eq!(found, 40, "{kept} instead of {asked}");
    }
}

#[test]
fn too_few_buckets_and_a_weight_that_leaves_an_arm_nothing_say_nothing() {
    assert_eq!(sample_ratio(weight(500), 0, 99), None);
    assert!(sample_ratio(weight(500), 0, 100).is_some());
    assert_eq!(sample_ratio(BasisPoints::ZERO, 0, 5_000), None);
    assert_eq!(sample_ratio(BasisPoints::ALL, 5_000, 0), None);
}

#[test]
fn more_buckets_than_an_arm_has_are_impossible_and_all_of_them_are_expected() {
    assert_eq!(sample_ratio(weight(2_500), 2_501, 4_000), Some(0.0));
    assert_eq!(sample_ratio(weight(2_500), 2_500, 7_500), Some(1.0));
    assert_eq!(sample_ratio(weight(2_500), u32::MAX, u32::MAX), Some(0.0));
}

#[test]
fn a_bucket_counts_once_however_often_it_is_seen() {
    let mut seen = BucketsSeen::default();
    let bucket = BucketSalt::new("sha256:a").bucket(b"key");
    for _ in 0..3 {
        seen.see(bucket, Arm::Stable);
    }
    assert_eq!((seen.count(Arm::Stable), seen.count(Arm::Candidate)), (1, 0));
}
