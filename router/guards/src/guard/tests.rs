use super::*;
use crate::testing::Random;
use crate::{Arm, Evidence, Judgement, Verdict, judge};

/// A request about which the models agree; each scores in a hundredth of a millisecond.
const AGREED: Observation = Observation {
    fault: false,
    uncertainty: Some((0.2, 0.2)),
    escalation: Some((false, false)),
    scoring_nanoseconds: Some((9_000, 9_000)),
};

fn judged(requests: u32, request: impl Fn(&mut Random) -> Observation) -> Judgement {
    let mut random = Random::new(1);
    let mut evidence = Evidence::new(GuardSettings::default());
    for _ in 0..requests {
        evidence.observe(&request(&mut random));
    }
    judge(evidence.snapshot(), evidence.settings(), &ApplicableGuards::all())
}

fn verdict_of(judgement: &Judgement, name: GuardName) -> Verdict {
    judgement.guards.iter().find(|guard| guard.guard == name).unwrap().verdict
}

#[test]
fn flips_that_cancel_in_the_share_are_found_by_their_rate() {
    // 40 % of the requests change their tier, as many up as down.
    let judgement = judged(1_500, |random| {
        let up = random.chance(0.5);
        let flip = random.chance(0.4);
        Observation {
            escalation: Some((if flip { up } else { false }, if flip { !up } else { false })),
            ..AGREED
        }
    });
    assert_eq!((judgement.verdict, judgement.decisive), (Verdict::Fail, Some(GuardName::FlipRate)));
    assert_eq!(verdict_of(&judgement, GuardName::EscalationShare), Verdict::Pass);
}

#[test]
fn a_candidate_that_is_slow_where_stable_is_not_is_found() {
    let judgement = judged(600, |random| {
        let slow = random.chance(0.05);
        Observation { scoring_nanoseconds: Some((if slow { 900_000 } else { 9_000 }, 9_000)), ..AGREED }
    });
    assert_eq!((judgement.verdict, judgement.decisive), (Verdict::Fail, Some(GuardName::Latency)));
}

#[test]
fn a_pod_that_is_slow_with_both_models_is_not_held_against_the_candidate() {
    let judgement = judged(2_000, |random| {
        let time = if random.chance(0.3) { 900_000 } else { 9_000 };
        Observation { scoring_nanoseconds: Some((time, time)), ..AGREED }
    });
    assert_eq!(judgement.verdict, Verdict::Pass);
}

#[test]
fn without_a_stable_model_the_candidate_alone_keeps_the_budget() {
    let first = |time| {
        let mut evidence = Evidence::new(GuardSettings::default());
        for _ in 0..1_000 {
            evidence.observe(&Observation {
                escalation: None,
                scoring_nanoseconds: Some((time, 0)),
                ..AGREED
            });
        }
        judge(evidence.snapshot(), evidence.settings(), &ApplicableGuards::first_model()).verdict
    };
    assert_eq!((first(500_000), first(500_001)), (Verdict::Pass, Verdict::Fail));
}

#[test]
fn what_a_fault_says_counts_as_a_fault_only() {
    let broken = Observation {
        fault: true,
        escalation: Some((true, false)),
        scoring_nanoseconds: Some((9_000_000, 9_000)),
        ..AGREED
    };
    for name in GuardName::ALL {
        let said = name.definition().observe(&broken, GuardSettings::default());
        assert_eq!(said, (name == GuardName::HardFault).then_some(1.0), "{name}");
    }
}

#[test]
fn the_guards_of_a_trial_look_in_eight_directions_and_the_others_in_fewer() {
    let directions = |guards: ApplicableGuards| -> u32 {
        guards.iter().map(|name| name.definition().hypothesis(GuardSettings::default()).directions()).sum()
    };
    assert_eq!(directions(ApplicableGuards::all()), 8);
    assert_eq!(directions(ApplicableGuards::watch()), 7);
    assert_eq!(directions(ApplicableGuards::first_model()), 4);
}

#[test]
fn upstream_failures_are_asked_once_the_candidate_decides_in_a_fleet_that_sends_requests_on() {
    let mut evidence = Evidence::new(GuardSettings::default());
    let verdict = |evidence: &Evidence| {
        let judgement = judge(evidence.snapshot(), evidence.settings(), &ApplicableGuards::all());
        (judgement.verdict, judgement.decisive)
    };
    for _ in 0..2_000 {
        evidence.observe(&AGREED);
        evidence.count_decision(Arm::Stable);
        evidence.observe_outcome(Arm::Stable, false);
    }
    assert_eq!(verdict(&evidence), (Verdict::Pass, None), "in Shadow");
    evidence.count_decision(Arm::Candidate);
    let held = (Verdict::Inconclusive, Some(GuardName::UpstreamFailures));
    assert_eq!(verdict(&evidence), held, "on the candidate's first decision");
    for _ in 0..300 {
        evidence.observe_outcome(Arm::Candidate, false);
        evidence.observe_outcome(Arm::Stable, false);
    }
    assert_eq!(verdict(&evidence), (Verdict::Pass, None), "after harm is ruled out");
}

#[test]
fn upstream_failures_are_not_asked_in_a_fleet_that_only_decides() {
    let mut evidence = Evidence::new(GuardSettings::default());
    for _ in 0..2_000 {
        evidence.observe(&AGREED);
        evidence.count_decision(Arm::Candidate);
    }
    let judgement = judge(evidence.snapshot(), evidence.settings(), &ApplicableGuards::all());
    assert_eq!(judgement.verdict, Verdict::Pass);
}

/// A model that is as sure where it is wrong, beside one that is not.
fn audited(missed: f64) -> Evidence {
    let mut random = Random::new(9);
    let mut evidence = Evidence::new(GuardSettings::default());
    for _ in 0..2_000 {
        evidence.observe(&AGREED);
        if random.chance(0.5) {
            evidence.observe_coverage(!random.chance(missed), !random.chance(0.1));
        }
    }
    evidence
}

#[test]
fn a_candidate_whose_sets_lack_the_truth_is_found_where_there_are_labels() {
    let labelled = ApplicableGuards::all().with_labels();
    let unlabelled = ApplicableGuards::all();
    let judge = |evidence: &Evidence, applicable: &ApplicableGuards| {
        judge(evidence.snapshot(), evidence.settings(), applicable)
    };
    let judgement = judge(&audited(0.3), &labelled);
    assert_eq!((judgement.verdict, judgement.decisive), (Verdict::Fail, Some(GuardName::Coverage)));
    assert_eq!(judge(&audited(0.3), &unlabelled).verdict, Verdict::Pass, "without audits nobody asks");
    assert_eq!(judge(&audited(0.1), &labelled).verdict, Verdict::Pass);
}

#[test]
fn coverage_is_never_waited_for() {
    let mut evidence = Evidence::new(GuardSettings::default());
    (0..2_000).for_each(|_| evidence.observe(&AGREED));
    evidence.observe_coverage(true, true);
    let judgement = judge(evidence.snapshot(), evidence.settings(), &ApplicableGuards::all().with_labels());
    assert_eq!(verdict_of(&judgement, GuardName::Coverage), Verdict::Inconclusive);
    assert_eq!(judgement.verdict, Verdict::Pass);
    assert!(!ApplicableGuards::first_model().with_labels().contains(GuardName::Coverage));
}
