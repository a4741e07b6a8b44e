use proptest::prelude::*;

use super::*;
use crate::testing::{Random, Traffic};

fn evidence(requests: usize, seed: u64) -> Evidence {
    let mut random = Random::new(seed);
    let mut evidence = Evidence::new(GuardSettings::default());
    for _ in 0..requests {
        evidence.observe(&Traffic { fault_rate: 0.02, shift: 0.2, stretch: 1.1 }.request(&mut random));
    }
    evidence
}

#[test]
fn evidence_that_was_stored_goes_on_where_it_stopped() {
    let straight = evidence(400, 3);
    let mut random = Random::new(3);
    let mut resumed = Evidence::new(GuardSettings::default());
    for request in 0..400 {
        if request % 50 == 0 {
            resumed = serde_json::from_str(&serde_json::to_string(&resumed).unwrap()).unwrap();
        }
        resumed.observe(&Traffic { fault_rate: 0.02, shift: 0.2, stretch: 1.1 }.request(&mut random));
    }
    assert_eq!(resumed, straight);
}

#[test]
fn a_report_has_the_names_of_the_contract() {
    let mut evidence = Evidence::new(GuardSettings::default());
    evidence.observe(&Observation { uncertainty: Some((0.25, 0.25)), ..Observation::default() });
    evidence.count_decision(Arm::Candidate);
    evidence.count_decision(Arm::Stable);
    evidence.count_decision(Arm::Stable);
    let report = serde_json::to_value(evidence.snapshot()).unwrap();
    let empty = serde_json::json!({ "harm": 0.0, "safe": 0.0 });
    assert_eq!(
        report,
        serde_json::json!({
            "pairs": 1, "candidateDecisions": 1, "stableDecisions": 2,
            "guards": {
                "HardFault": { "observations": 1, "sum": 0.0, "sumOfSquares": 0.0, "above": empty },
                "UncertaintyShift": {
                    "observations": 1, "sum": 0.0, "sumOfSquares": 0.0, "above": empty, "below": empty
                },
            },
        })
    );
    assert_eq!(serde_json::from_value::<EvidenceSnapshot>(report).unwrap(), *evidence.snapshot());
}

#[test]
fn a_number_that_is_not_finite_is_a_fault_and_poisons_nothing() {
    let mut evidence = Evidence::new(GuardSettings::default());
    for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.1, 1.1] {
        evidence.observe(&Observation {
            uncertainty: Some((broken, 0.2)),
            escalation: Some((true, false)),
            fault: false,
        });
    }
    let guards = &evidence.snapshot().guards;
    assert_eq!(guards[&GuardName::HardFault].mean(), Some(1.0));
    assert_eq!(guards.get(&GuardName::UncertaintyShift), None);
    assert_eq!(guards.get(&GuardName::EscalationShare), None);
}

#[test]
fn a_broken_number_of_stables_is_not_held_against_the_candidate() {
    let mut evidence = Evidence::new(GuardSettings::default());
    evidence.observe(&Observation { uncertainty: Some((0.2, f32::NAN)), ..Observation::default() });
    let guards = &evidence.snapshot().guards;
    assert_eq!(guards[&GuardName::HardFault].mean(), Some(0.0));
    assert_eq!(guards.get(&GuardName::UncertaintyShift), None);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_observed_the_state_stays_finite(
        requests in prop::collection::vec(
            (any::<bool>(), prop::option::of((any::<f32>(), any::<f32>())), prop::option::of(any::<(bool, bool)>())),
            0..200,
        ),
        margin: u16,
        rate: u16,
    ) {
        let settings = GuardSettings {
            uncertainty_margin_permille: margin,
            escalation_margin_permille: margin,
            error_rate_permille: rate,
            ..GuardSettings::default()
        };
        let mut evidence = Evidence::new(settings);
        for (fault, uncertainty, escalation) in requests {
            evidence.observe(&Observation { fault, uncertainty, escalation });
        }
        for stream in evidence.snapshot().guards.values() {
            let below = stream.below.unwrap_or_default();
            for number in [
                stream.sum, stream.sum_of_squares, stream.above.harm, stream.above.safe, below.harm, below.safe,
            ] {
                prop_assert!(number.is_finite());
            }
        }
    }
}
