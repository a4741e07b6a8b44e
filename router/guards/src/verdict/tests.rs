use super::*;
use crate::testing::{Random, Traffic, median, run_fleet};
use crate::{Evidence, Observation, merge};

fn settings(uncertainty_margin_permille: u16) -> GuardSettings {
    GuardSettings { uncertainty_margin_permille, ..GuardSettings::default() }
}

/// How many requests it takes until the fleet's verdict is this one: the median of 60 runs.
fn requests_until(verdict: Verdict, traffic: Traffic, settings: GuardSettings, pods: usize) -> usize {
    let all = ApplicableGuards::all();
    median(
        (0..60)
            .map(|seed| {
                run_fleet(traffic, settings, pods, 5_000, seed, |merged| {
                    judge(merged, &settings, &all).verdict == verdict
                })
            })
            .collect(),
    )
}

fn judged(traffic: Traffic, settings: GuardSettings, requests: usize) -> Judgement {
    let mut random = Random::new(11);
    let mut evidence = Evidence::new(settings);
    for _ in 0..requests {
        evidence.observe(&traffic.request(&mut random));
    }
    judge(evidence.snapshot(), &settings, &ApplicableGuards::all())
}

#[test]
fn a_candidate_that_is_no_worse_is_rolled_back_in_at_most_one_of_a_hundred_attempts() {
    let tight = GuardSettings { escalation_margin_permille: 1, ..settings(1) };
    let all = ApplicableGuards::all();
    // Faults exactly at the limit and margins of next to nothing: the hardest harmless candidate.
    let traffic = Traffic { fault_rate: 0.01, ..Traffic::SAME };
    let alarms = (0..1_000)
        .filter(|seed| {
            run_fleet(traffic, tight, 1, 2_000, *seed, |merged| {
                judge(merged, &tight, &all).verdict == Verdict::Fail
            })
            .is_some()
        })
        .count();
    // Alpha allows 10; three standard deviations more.
    assert!(alarms <= 19, "{alarms} false alarms in 1000 attempts");
}

#[test]
fn a_shift_of_uncertainty_is_found_in_a_few_hundred_requests() {
    let shifted = Traffic { shift: 0.3, ..Traffic::SAME };
    let alone = requests_until(Verdict::Fail, shifted, settings(20), 1);
    assert!(alone <= 420, "one pod: {alone}");
    let fleet = requests_until(Verdict::Fail, shifted, settings(20), 10);
    assert!(fleet <= 550 && fleet < 2 * alone, "ten pods: {fleet}, one pod: {alone}");
    let large = requests_until(Verdict::Fail, Traffic { shift: 1.0, ..Traffic::SAME }, settings(20), 1);
    assert!(large <= 64, "large shift: {large}");
}

#[test]
fn a_harmless_candidate_passes_within_the_samples_of_a_shadow() {
    let alone = requests_until(Verdict::Pass, Traffic::SAME, settings(50), 1);
    let fleet = requests_until(Verdict::Pass, Traffic::SAME, settings(50), 10);
    assert!(alone <= 2_000 && fleet <= 2_000, "{alone} {fleet}");
}

#[test]
fn an_over_confident_candidate_is_found_below() {
    // Wider logits push uncertainty towards 0; the mean falls by more than the margin.
    let judgement = judged(Traffic { shift: -0.6, stretch: 1.5, ..Traffic::SAME }, settings(50), 1_000);
    let shift = &judgement.guards[1];
    assert_eq!((shift.guard, shift.verdict), (GuardName::UncertaintyShift, Verdict::Fail));
    assert_eq!(shift.direction, Some(Direction::Below));
    assert!(shift.estimate.is_some_and(|mean| mean < -0.05));
    assert_eq!(judgement.verdict, Verdict::Fail);
}

#[test]
fn a_candidate_that_spends_more_is_found_by_its_escalations() {
    let mut evidence = Evidence::new(settings(50));
    let mut random = Random::new(5);
    for _ in 0..400 {
        let stable = random.chance(0.3);
        evidence.observe(&Observation {
            uncertainty: Some((0.2, 0.2)),
            escalation: Some((stable || random.chance(0.35), stable)),
            scoring_nanoseconds: Some((9_000, 9_000)),
            ..Observation::default()
        });
    }
    let judgement = judge(evidence.snapshot(), &settings(50), &ApplicableGuards::all());
    assert_eq!((judgement.verdict, judgement.decisive), (Verdict::Fail, Some(GuardName::EscalationShare)));
    let decisive = judgement.decisive_judgement().unwrap();
    assert_eq!(decisive.direction, Some(Direction::Above));
    assert!(decisive.log_e_value >= decisive.log_e_value_to_fail);
}

#[test]
fn a_candidate_with_too_many_faults_fails_by_the_hard_fault_guard() {
    let judgement = judged(Traffic { fault_rate: 0.1, ..Traffic::SAME }, settings(50), 400);
    assert_eq!((judgement.verdict, judgement.decisive), (Verdict::Fail, Some(GuardName::HardFault)));
    let faults = &judgement.guards[0];
    assert!(faults.interval.is_some_and(|interval| interval.low > 0.01 && interval.high < 0.2));
}

#[test]
fn no_evidence_is_neither_pass_nor_fail() {
    let settings = settings(50);
    let nothing = judge(&EvidenceSnapshot::default(), &settings, &ApplicableGuards::all());
    assert_eq!(nothing.verdict, Verdict::Inconclusive);
    assert!(nothing.guards.iter().all(|guard| guard.verdict == Verdict::Inconclusive));
    let nobody = GuardName::ALL.into_iter().fold(ApplicableGuards::all(), ApplicableGuards::without);
    assert_eq!(judge(&EvidenceSnapshot::default(), &settings, &nobody).verdict, Verdict::Inconclusive);
}

#[test]
fn a_guard_that_saw_nothing_holds_the_others_back_unless_it_does_not_apply() {
    let settings = settings(50);
    let mut evidence = Evidence::new(settings);
    let mut random = Random::new(2);
    for _ in 0..2_000 {
        let request = Traffic::SAME.request(&mut random);
        evidence.observe(&Observation { escalation: None, ..request });
    }
    let held = judge(evidence.snapshot(), &settings, &ApplicableGuards::all());
    assert_eq!((held.verdict, held.decisive), (Verdict::Inconclusive, Some(GuardName::EscalationShare)));
    let first = judge(evidence.snapshot(), &settings, &ApplicableGuards::first_model());
    assert_eq!((first.verdict, first.decisive), (Verdict::Pass, None));
}

#[test]
fn evidence_that_is_not_a_number_never_passes() {
    let settings = settings(50);
    let mut snapshot = EvidenceSnapshot::default();
    for name in GuardName::ALL {
        let stream = snapshot.guards.entry(name).or_default();
        stream.observations = 10_000;
        stream.above.safe = f64::NAN;
        stream.above.harm = f64::NAN;
    }
    assert_eq!(judge(&snapshot, &settings, &ApplicableGuards::all()).verdict, Verdict::Inconclusive);
}

#[test]
fn a_pod_on_its_own_needs_more_evidence_the_more_pods_there_are() {
    let settings = settings(50);
    let all = ApplicableGuards::all();
    let threshold = |pods| {
        judge_alone(&EvidenceSnapshot::default(), &settings, &all, NonZeroU32::new(pods).unwrap()).guards[0]
            .log_e_value_to_fail
    };
    let merged = judge(&EvidenceSnapshot::default(), &settings, &all).guards[0].log_e_value_to_fail;
    assert!((threshold(1) - merged).abs() < 1e-12);
    assert!((threshold(10) - merged - 10.0_f64.ln()).abs() < 1e-9);
}

#[test]
fn the_shown_interval_holds_the_true_shift_at_every_look() {
    let all = ApplicableGuards::first_model();
    let settings = settings(50);
    let misses = (0..200)
        .filter(|seed| {
            let mut random = Random::new(*seed);
            let mut evidence = Evidence::new(settings);
            (0..2_000).any(|_| {
                evidence.observe(&Traffic::SAME.request(&mut random));
                let judgement = judge(evidence.snapshot(), &settings, &all);
                judgement.guards[1].interval.is_some_and(|interval| interval.low > 0.0 || interval.high < 0.0)
            })
        })
        .count();
    assert!(misses <= 8, "{misses} of 200 runs left the interval, 2 expected");
}

#[test]
fn a_judgement_can_be_told_as_json() {
    let judgement = judged(Traffic::SAME, settings(50), 100);
    let written = serde_json::to_string(&judgement).unwrap();
    assert_eq!(serde_json::from_str::<Judgement>(&written).unwrap(), judgement);
    assert!(written.contains("\"logEValueToFail\"") && written.contains("\"HardFault\""), "{written}");
}

#[test]
fn two_pods_that_agree_convince_where_one_does_not() {
    let settings = settings(50);
    let all = ApplicableGuards::all();
    let mut evidence = Evidence::new(settings);
    for request in 0..30 {
        evidence.observe(&Observation { fault: request % 6 == 0, ..Observation::default() });
    }
    let one = evidence.snapshot();
    assert_eq!(judge(one, &settings, &all).verdict, Verdict::Inconclusive);
    assert_eq!(judge(&merge([one, one]), &settings, &all).verdict, Verdict::Fail);
}

/// The places of 108 everyday prompts at which a candidate escalates and the stable model does not.
const FLIPS: [usize; 6] = [31, 45, 49, 89, 94, 97];

#[test]
fn rare_flips_in_one_direction_pass_whatever_order_they_come_in() {
    let settings = GuardSettings { error_rate_permille: 50, slow_rate_permille: 50, ..settings(50) };
    for start in (0..108).step_by(4) {
        let mut pods = [Evidence::new(settings), Evidence::new(settings)];
        let mut random = Random::new(start as u64);
        for request in 0..800 {
            let flips = FLIPS.contains(&((start + request) % 108));
            pods[usize::from(random.chance(0.5))].observe(&Observation {
                uncertainty: Some((0.22, 0.22)),
                escalation: Some((flips, false)),
                scoring_nanoseconds: Some((9_000, 9_000)),
                ..Observation::default()
            });
        }
        let merged = merge(pods.iter().map(|pod| pod.snapshot().clone()));
        let judgement = judge(&merged, &settings, &ApplicableGuards::all());
        assert_eq!(judgement.verdict, Verdict::Pass, "from {start}: {judgement:?}");
    }
}

#[test]
fn alpha_is_shared_by_all_directions_of_the_trial_and_the_watch() {
    let threshold = |applicable: &ApplicableGuards| {
        judge(&EvidenceSnapshot::default(), &settings(50), applicable).guards[0].log_e_value_to_fail
    };
    assert!((threshold(&ApplicableGuards::all()) - 1_600.0_f64.ln()).abs() < 1e-12);
    assert!((threshold(&ApplicableGuards::watch()) - 1_400.0_f64.ln()).abs() < 1e-12);
}
