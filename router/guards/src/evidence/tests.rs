use proptest::prelude::*;

use super::*;
use crate::testing::{Random, Traffic};

fn request(evidence: &mut Evidence, random: &mut Random) {
    evidence.observe(&Traffic { fault_rate: 0.02, shift: 0.2, stretch: 1.1 }.request(random));
    let arm = if random.chance(0.3) { Arm::Candidate } else { Arm::Stable };
    evidence.observe_outcome(arm, random.chance(0.1));
}

#[test]
fn evidence_that_was_stored_goes_on_where_it_stopped() {
    let mut random = [Random::new(3), Random::new(3)];
    let mut straight = Evidence::new(GuardSettings::default());
    let mut resumed = straight.clone();
    for number in 0..400 {
        // After every third request, so that some answers wait for the second of their couple.
        if number % 3 == 0 {
            resumed = serde_json::from_str(&serde_json::to_string(&resumed).unwrap()).unwrap();
        }
        request(&mut straight, &mut random[0]);
        request(&mut resumed, &mut random[1]);
    }
    assert!(straight.snapshot().guards.contains_key(&GuardName::UpstreamFailures));
    assert_eq!(resumed, straight);
}

#[test]
fn a_report_has_the_names_of_the_contract() {
    let mut evidence = Evidence::new(GuardSettings::default());
    evidence.observe(&Observation {
        uncertainty: Some((0.25, 0.25)),
        scoring_nanoseconds: Some((9_000, 0)),
        ..Observation::default()
    });
    evidence.observe_outcome(Arm::Candidate, true);
    evidence.count_decision(Arm::Candidate);
    evidence.count_decision(Arm::Stable);
    evidence.count_decision(Arm::Stable);
    let report = serde_json::to_value(evidence.snapshot()).unwrap();
    let empty = serde_json::json!({ "harm": 0.0, "safe": 0.0 });
    assert_eq!(
        report,
        serde_json::json!({
            "pairs": 1, "candidateDecisions": 1, "stableDecisions": 2,
            "outcomes": { "candidate": 1, "candidateFailures": 1, "stable": 0, "stableFailures": 0 },
            "shapes": {
                "candidate": { "25": 1 }, "stable": { "25": 1 },
                "candidateNanoseconds": { "96": 1 }, "stableNanoseconds": {},
            },
            "guards": {
                "HardFault": { "observations": 1, "sum": 0.0, "sumOfSquares": 0.0, "above": empty },
                "Latency": { "observations": 1, "sum": 0.0, "sumOfSquares": 0.0, "above": empty },
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
            ..Observation::default()
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
            evidence.observe(&Observation { fault, uncertainty, escalation, scoring_nanoseconds: None });
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
