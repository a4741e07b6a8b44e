use proptest::prelude::*;

use super::*;
use crate::bucket::Arm;
use crate::testing::{Random, Traffic};
use crate::{Evidence, GuardSettings};

fn pod(requests: u64, seed: u64) -> EvidenceSnapshot {
    let mut random = Random::new(seed);
    let mut evidence = Evidence::new(GuardSettings::default());
    for _ in 0..requests {
        evidence.observe(&Traffic { fault_rate: 0.05, ..Traffic::SAME }.request(&mut random));
        let arm = if random.chance(0.3) { Arm::Candidate } else { Arm::Stable };
        evidence.count_decision(arm);
        evidence.observe_outcome(arm, random.chance(0.2));
    }
    evidence.snapshot().clone()
}

/// Log-wealth is added in another order, so its last digits may differ; counts may not.
fn assert_close(left: &EvidenceSnapshot, right: &EvidenceSnapshot) {
    assert_eq!(
        (left.pairs, left.candidate_decisions, left.stable_decisions, left.outcomes, &left.shapes),
        (right.pairs, right.candidate_decisions, right.stable_decisions, right.outcomes, &right.shapes)
    );
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

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn merging_does_not_depend_on_order_or_grouping(
        pods in prop::collection::vec((0..60_u64, any::<u64>()), 1..7),
        order in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let pods: Vec<_> = pods.into_iter().map(|(requests, seed)| pod(requests, seed)).collect();
        let all = merge(&pods);
        let mut turned = pods.clone();
        turned.rotate_left(order.index(pods.len()));
        turned.reverse();
        assert_close(&all, &merge(&turned));
        let (left, right) = pods.split_at(cut.index(pods.len()));
        assert_close(&all, &merge([merge(left), merge(right)]));
    }
}

#[test]
fn nothing_seen_changes_nothing() {
    let one = pod(100, 4);
    assert_eq!(merge([&EvidenceSnapshot::default(), &one, &EvidenceSnapshot::default()]), one);
    assert_eq!(merge(Vec::<EvidenceSnapshot>::new()), EvidenceSnapshot::default());
}
