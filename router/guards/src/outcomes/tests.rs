use super::*;
use crate::testing::Random;
use crate::{ApplicableGuards, Evidence, GuardName, GuardSettings, Verdict, judge};

const ARMS: [Arm; 2] = [Arm::Stable, Arm::Candidate];

/// The share of 400 trials in which the guard says Fail at any look, where both arms fail alike. An answer is
/// `(when it ends, whether it failed)`; its arm is drawn.
fn false_alarms(weight: f64, answers: impl Fn(&mut Random) -> Vec<(u32, bool)>) -> usize {
    let settings =
        GuardSettings { upstream_margin_permille: 1, alpha_permille: 160, ..GuardSettings::default() };
    (0..400)
        .filter(|seed| {
            let mut random = Random::new(*seed);
            let mut answers = answers(&mut random);
            answers.sort_by_key(|(end, _)| *end);
            let mut evidence = Evidence::new(settings);
            answers.iter().any(|(_, failed)| {
                evidence.observe_outcome(ARMS[usize::from(random.chance(weight))], *failed);
                judge(evidence.snapshot(), &settings, &ApplicableGuards::all()).verdict == Verdict::Fail
            })
        })
        .count()
}

#[test]
fn an_upstream_that_comes_and_goes_fails_nobody() {
    for weight in [0.05, 0.5] {
        // Fails 2 % and 60 % of the requests in turn. Alpha of this direction is 1 %; three standard deviations more.
        let alarms = false_alarms(weight, |random| {
            (0..3_000).map(|end| (end, random.chance(if end / 150 % 2 == 0 { 0.02 } else { 0.6 }))).collect()
        });
        assert!(alarms <= 10, "weight {weight}: {alarms} of 400");
    }
}

#[test]
fn failures_that_take_long_fail_nobody() {
    let alarms = false_alarms(0.25, |random| {
        (0..3_000)
            .map(|start| {
                let failed = random.chance(0.1);
                (start + if failed { 200 } else { 1 }, failed)
            })
            .collect()
    });
    assert!(alarms <= 10, "{alarms} of 400");
}

#[test]
fn neighbours_of_different_arms_are_compared_and_each_answer_is_used_once() {
    let mut matching = Matching::default();
    let mut pair = |arm, failed| matching.pair(arm, failed);
    assert_eq!((pair(Arm::Stable, false), pair(Arm::Candidate, true)), (None, Some(1.0)));
    assert_eq!((pair(Arm::Candidate, false), pair(Arm::Stable, true)), (None, Some(-1.0)));
    assert_eq!((pair(Arm::Candidate, true), pair(Arm::Stable, true)), (None, Some(0.0)));
    assert_eq!((pair(Arm::Candidate, true), pair(Arm::Candidate, false)), (None, None));
    assert_eq!((pair(Arm::Stable, true), pair(Arm::Stable, false)), (None, None));
}

/// Every draw of arms for six answers, weighed by its probability: what the couples say adds up to nothing, whatever the
/// answers were.
#[test]
fn where_the_arm_makes_no_difference_the_mean_difference_is_exactly_nothing() {
    for weight in [0.05_f64, 0.5, 0.9] {
        for answers in 0..1_u32 << 6 {
            let mut mean = 0.0;
            for arms in 0..1_u32 << 6 {
                let mut matching = Matching::default();
                let sum: f64 = (0..6)
                    .filter_map(|place| {
                        matching.pair(ARMS[(arms >> place & 1) as usize], answers >> place & 1 == 1)
                    })
                    .sum();
                let candidates = arms.count_ones();
                mean +=
                    sum * weight.powf(f64::from(candidates)) * (1.0 - weight).powf(f64::from(6 - candidates));
            }
            assert!(mean.abs() < 1e-12, "{answers:b} {mean}");
        }
    }
}

#[test]
fn ten_points_more_failures_in_the_candidates_arm_fail_it() {
    let settings = GuardSettings::default();
    let mut evidence = Evidence::new(settings);
    let mut random = Random::new(5);
    for _ in 0..20_000 {
        let arm = ARMS[usize::from(random.chance(0.25))];
        evidence.observe_outcome(arm, random.chance(if arm == Arm::Candidate { 0.12 } else { 0.02 }));
    }
    let judgement = judge(evidence.snapshot(), &settings, &ApplicableGuards::all());
    let guard = judgement.guards.iter().find(|guard| guard.guard == GuardName::UpstreamFailures).unwrap();
    assert_eq!((judgement.verdict, guard.verdict), (Verdict::Fail, Verdict::Fail), "{guard:?}");
    assert!(guard.estimate.is_some_and(|mean| (mean - 0.1).abs() < 0.03), "{guard:?}");
    let counts = evidence.snapshot().outcomes;
    assert_eq!(counts.candidate + counts.stable, 20_000);
    assert!(
        counts.candidate_failures * 10 > counts.candidate && counts.stable_failures * 10 < counts.stable,
        "{counts:?}"
    );
}
