use super::*;
use crate::testing::{Random, Traffic};
use crate::{Evidence, GuardSettings};

fn pod(seed: u64) -> EvidenceSnapshot {
    let mut random = Random::new(seed);
    let mut evidence = Evidence::new(GuardSettings::default());
    for _ in 0..100 {
        evidence.observe(&Traffic { fault_rate: 0.05, ..Traffic::SAME }.request(&mut random));
    }
    evidence.snapshot().clone()
}

fn assert_close(left: &EvidenceSnapshot, right: &EvidenceSnapshot) {
    assert_eq!(left.pairs, right.pairs);
    assert_eq!(left.guards.keys().collect::<Vec<_>>(), right.guards.keys().collect::<Vec<_>>());
    for (one, other) in left.guards.values().zip(right.guards.values()) {
        assert_eq!(one.observations, other.observations);
        let numbers = |evidence: &GuardEvidence| {
            let below = evidence.below.unwrap_or_default();
            [
                evidence.sum,
                evidence.sum_of_squares,
                evidence.above.harm,
                evidence.above.safe,
                below.harm,
                below.safe,
            ]
        };
        for (a, b) in numbers(one).into_iter().zip(numbers(other)) {
            assert!((a - b).abs() <= 1e-9 * (1.0 + a.abs()), "{a} {b}");
        }
    }
}

#[test]
fn merging_does_not_depend_on_order_or_grouping() {
    let [a, b, c] = [pod(1), pod(2), pod(3)];
    let all = merge([&a, &b, &c]);
    assert_close(&all, &merge([&c, &a, &b]));
    assert_close(&all, &merge([a, merge([b, c])]));
}

#[test]
fn nothing_seen_changes_nothing() {
    let one = pod(4);
    assert_eq!(merge([&EvidenceSnapshot::default(), &one, &EvidenceSnapshot::default()]), one);
    assert_eq!(merge(Vec::<EvidenceSnapshot>::new()), EvidenceSnapshot::default());
}
