//! The threshold that audits find: when it changes, whom it belongs to, and what is said about it.

use proptest::prelude::*;
use tinydancer_crds::{
    Digest,
    routing_policy::{CalibrationState, RolloutState},
};
use tinydancer_guards::{GuardName, drift::InputDrift};
use tinydancer_plan::{Action, EventKind, Rollout, Threshold, audited, notices};
use tinydancer_protocol::{DRIFT_MARGIN, DriftInput, DriftSums, DriftTest, OnlineCalibration};

use crate::world::{World, digest};

/// A settled fleet whose pods are asked at every look.
fn heard() -> World {
    let mut world = World::settled();
    world.settings.settled_interval = world.settings.poll_interval;
    world
}

/// The same whose policy asks for audits and promises 50 thousandths.
fn auditing() -> World {
    let mut world = heard();
    world.ask_for_audits(20);
    world.run(4);
    world
}

/// The same with a threshold that was found: one request in twenty, the one with the highest score, is lost on Lightweight.
fn calibrated() -> World {
    let mut world = auditing();
    world.audit(300, 20);
    world.run(4);
    world
}

fn told(world: &World) -> Option<OnlineCalibration> {
    world.recorded().assignment.calibration
}

fn message(world: &World) -> String {
    let type_ = "OnlineCalibration";
    world.status.conditions.iter().find(|condition| condition.type_ == type_).unwrap().message.clone()
}

fn shown(world: &World) -> Option<CalibrationState> {
    world.status.calibration.as_ref().map(|status| status.state)
}

/// Looks at which something is written, of so many, without traffic.
fn writes(world: &mut World, ticks: usize) -> usize {
    (0..ticks).filter(|_| world.tick().commit.is_some()).count()
}

#[test]
fn without_audits_nothing_is_said_and_nothing_is_told() {
    let mut world = heard();
    world.audit(500, 20);
    world.run(4);
    assert_eq!((told(&world), world.status.calibration.clone()), (None, None));
    assert!(world.status.conditions.iter().all(|condition| condition.type_ != "OnlineCalibration"));
    assert_eq!(audited(world.recorded(), &world.observed().pods), None);
}

#[test]
fn audits_of_a_policy_that_promises_no_risk_calibrate_nothing() {
    let mut world = auditing();
    world.policy.spec.decision.risk = None;
    world.policy.spec.decision.thresholds =
        Some(tinydancer_crds::yaml::from_str("{ confidencePermille: 850, fallbackPermille: 700 }").unwrap());
    world.audit(500, 20);
    world.run(4);
    assert_eq!((told(&world), world.status.calibration.clone()), (None, None));
}

#[test]
fn fewer_than_two_hundred_audited_requests_leave_the_artifacts_threshold() {
    let mut world = auditing();
    assert_eq!(
        message(&world),
        "support-v1 decides by its artifact's threshold: 0 of the 200 audited requests that another one needs; promised 50 permille, nothing was seen yet"
    );
    world.audit(99, 20);
    world.run(4);
    assert_eq!((told(&world), shown(&world)), (None, Some(CalibrationState::Collecting)));
    assert_eq!(world.condition("OnlineCalibration"), ("Unknown".to_owned(), "Collecting".to_owned()));
    world.audit(1, 20);
    world.run(4);
    assert_eq!(told(&world).unwrap().pairs, 200);
    assert_eq!(shown(&world), Some(CalibrationState::Calibrated));
}

#[test]
fn the_threshold_that_keeps_the_promise_is_committed_and_every_pod_acknowledges_it() {
    let mut world = auditing();
    let epoch = world.recorded().assignment.epoch;
    world.audit(300, 20);
    let commit = (0..6).find_map(|_| world.tick().commit).expect("the threshold is committed");
    let found = commit.record.assignment.calibration.unwrap();
    assert_eq!((found.digest, found.permille, found.pairs), (digest("support-v1"), 50, 600));
    assert!((1.3..1.4375).contains(&found.lambda), "below the score that is lost: {}", found.lambda);
    assert_eq!(commit.record.boot.calibration, Some(found), "pods boot with it");
    assert!(commit.record.assignment.epoch > epoch);
    world.run(5);
    for pod in &world.pods {
        assert_eq!(pod.held.as_ref().unwrap().calibration, Some(found), "{}", pod.name);
    }
    assert_eq!(world.condition("OnlineCalibration"), ("True".to_owned(), "Calibrated".to_owned()));
}

#[test]
fn a_promise_that_no_threshold_keeps_sends_everything_to_powerful() {
    let mut world = auditing();
    world.audit(600, 1);
    world.run(4);
    assert!((told(&world).unwrap().lambda - -1.0).abs() < f32::EPSILON);
    assert_eq!(world.condition("OnlineCalibration"), ("False".to_owned(), "PromiseUnmet".to_owned()));
    let notice = notices(world.recorded()).pop().unwrap();
    assert_eq!((notice.event.kind, notice.event.reason), (EventKind::Warning, "PromiseUnmet"));
    assert_eq!(message(&world), notice.event.message);
    let status = world.status.calibration.clone().unwrap();
    assert_eq!((status.state, status.threshold.as_deref()), (CalibrationState::PromiseUnmet, Some("-1.000")));
    assert_eq!(world.condition("Ready").0, "True", "the fleet serves");
}

#[test]
fn the_threshold_moves_only_when_the_audited_requests_have_grown_by_a_quarter() {
    let mut world = calibrated();
    let first = told(&world).unwrap();
    world.audit(74, 4);
    assert_eq!(writes(&mut world, 4), 0, "748 of 600");
    assert_eq!(told(&world), Some(first));
    world.audit(1, 4);
    assert_eq!(writes(&mut world, 4), 1);
    assert_eq!(told(&world).unwrap().pairs, 750);
    // From ten thousand to a hundred thousand: as many writes as a quarter fits in.
    let mut written = 0;
    world.audit(5_000, 20);
    world.run(4);
    for _ in 0..90 {
        world.audit(500, 20);
        written += writes(&mut world, 4);
    }
    assert!((8..=12).contains(&written), "{written}");
}

#[test]
fn what_was_found_reads_like_a_sentence() {
    let mut world = calibrated();
    world.audit(3_000, 20);
    world.run(4);
    assert_eq!(
        message(&world),
        "support-v1 sends scores up to 1.425 to Lightweight: promised 50 permille, seen 0 (95 % upper bound 0.5) in 6,600 \
         audited requests"
    );
    let status = world.status.calibration.clone().unwrap();
    assert_eq!((status.pairs, status.promised_permille), (6_600, 50));
    assert_eq!(status.observed_permille.as_deref(), Some("0"));
    let coverage = status.coverage.unwrap();
    assert_eq!(
        (coverage.good_enough.as_deref(), coverage.not_good_enough.as_deref()),
        (Some("0.895"), Some("1.000"))
    );
}

#[test]
fn sets_that_hold_the_truth_less_often_than_promised_are_told_and_change_nothing() {
    let mut world = calibrated();
    let (before, told_before) = (message(&world), told(&world).unwrap());
    assert!(!before.contains("sets"), "{before}");
    for pod in &mut world.pods {
        pod.audited[0].coverage.good_enough.covered -= 60;
        pod.audited[0].coverage_promised_permille = None;
    }
    world.audit(150, 20);
    world.run(4);
    assert!(
        !message(&world).contains("sets"),
        "a pod that does not say what was promised: {}",
        message(&world)
    );
    world.pods[1].audited[0].coverage_promised_permille = Some(900);
    world.audit(150, 20);
    world.run(4);
    let words = "; sets that should hold the truth in 0.900 of all cases hold it in 0.789 of 1,140 in which Lightweight was \
                 good enough";
    assert!(message(&world).ends_with(words), "{}", message(&world));
    assert_eq!(world.condition("OnlineCalibration"), ("True".to_owned(), "Calibrated".to_owned()));
    assert_eq!(told(&world).unwrap().lambda.to_bits(), told_before.lambda.to_bits());
    let audited = audited(world.recorded(), &world.observed().pods).unwrap();
    let promised = audited.coverage_promised.unwrap();
    assert!(audited.coverage.good_enough.falls_short(promised));
    assert!(!audited.coverage.not_good_enough.falls_short(promised));
}

#[test]
fn a_threshold_is_frozen_from_staging_to_the_end_of_the_watch() {
    let mut world = calibrated();
    let found = told(&world).unwrap();
    world.policy.spec.rollout.watch_seconds = 20;
    world.name_model("support-v2");
    let mut seen = std::collections::BTreeSet::new();
    while world.rollout() != Some(Rollout::Watching) {
        world.audit(200, 1);
        world.run(1);
        seen.insert(format!("{:?}", world.state()));
        if world.recorded().stable.as_ref().unwrap().model.digest != found.digest {
            break;
        }
        assert_eq!(world.recorded().calibrations.len(), 1, "{:?}", world.rollout());
        assert_eq!(world.recorded().calibrations[0].pairs, found.pairs);
        let promoted = world.recorded().assignment.stable.as_ref().unwrap().digest != found.digest;
        assert_eq!(told(&world), (!promoted).then_some(found), "{:?}", world.rollout());
        assert_eq!(world.condition("OnlineCalibration"), ("True".to_owned(), "Frozen".to_owned()));
    }
    assert!(seen.len() > 3, "{seen:?}");
    world.audit(900, 20);
    world.run(10);
    assert_eq!(
        (world.rollout(), told(&world)),
        (Some(Rollout::Watching), None),
        "the promoted model has none yet"
    );
    assert_eq!(world.condition("OnlineCalibration"), ("Unknown".to_owned(), "Frozen".to_owned()));
    assert!(message(&world).contains("support-v2 is watched"), "{}", message(&world));
    world.run_until(40, |world| told(world).is_some());
    assert_eq!(
        (world.rollout(), told(&world).unwrap().digest),
        (Some(Rollout::Stable), digest("support-v2"))
    );
    let kept: Vec<Digest> = world.recorded().calibrations.iter().map(|entry| entry.digest).collect();
    assert_eq!(kept, [digest("support-v1"), digest("support-v2")]);
}

#[test]
fn the_model_that_is_rolled_back_to_has_its_threshold_at_once() {
    let mut world = calibrated();
    let found = told(&world).unwrap();
    world.name_model("support-v2");
    world.run_until(80, |world| world.rollout() == Some(Rollout::Watching));
    world.trip(0);
    world.run_until(10, |world| world.state() == RolloutState::RollingBack);
    assert_eq!(told(&world), Some(found), "with the assignment that rolls back");
    assert_eq!(world.recorded().boot.calibration, Some(found));
}

#[test]
fn another_promise_has_another_threshold_and_the_old_one_is_dropped() {
    let mut world = calibrated();
    world.policy.spec.decision.risk.as_mut().unwrap().permille = 200;
    world.tick();
    assert_ne!(told(&world).map(|found| found.permille), Some(50));
    world.run(4);
    let found = told(&world).unwrap();
    assert_eq!((found.permille, found.pairs), (200, 600));
    assert_eq!(world.recorded().calibrations.len(), 1);
}

#[test]
fn audits_that_end_give_the_artifact_its_threshold_back_and_take_it_up_again() {
    let mut world = calibrated();
    let found = told(&world);
    world.ask_for_audits(0);
    world.run(5);
    assert_eq!((told(&world), world.status.calibration.clone()), (None, None));
    world.ask_for_audits(5);
    world.run(5);
    assert_eq!(told(&world), found);
}

#[test]
fn an_operator_that_has_not_heard_of_every_pod_yet_goes_back_on_nothing() {
    let mut world = calibrated();
    let found = told(&world);
    let before = world.recorded().clone();
    world.restart_operator();
    world.pods[1].reachable = false;
    world.run(4);
    assert_eq!((told(&world), world.recorded()), (found, &before));
    let gone = world.pods.remove(1);
    world.run(4);
    assert_eq!((told(&world), world.recorded()), (found, &before), "{} is gone", gone.name);
}

#[test]
fn a_pod_that_starts_again_brings_what_it_counted() {
    let mut world = calibrated();
    world.restart_pod(0);
    world.audit(75, 20);
    world.run(4);
    assert_eq!(told(&world).unwrap().pairs, 750, "nothing twice, nothing lost");
}

#[test]
fn numbers_that_no_counting_gives_count_for_nothing() {
    let mut world = auditing();
    world.audit(300, 20);
    world.pods[0].audited[0].observed.regret = -7.0;
    world.run(4);
    assert_eq!(told(&world).unwrap().pairs, 300);
}

#[test]
fn thresholds_of_a_few_models_are_remembered_and_the_oldest_goes() {
    let mut world = auditing();
    world.policy.spec.rollout.watch_seconds = 0;
    for number in 10..20 {
        let name = format!("support-v{number}");
        world.add_model(&name, digest(&name));
        world.name_model(&name);
        world.run_until(120, |world| world.stable() == Some(digest(&name)));
        world.audit(300, 20);
        world.run(4);
        assert_eq!(told(&world).unwrap().digest, digest(&name));
    }
    let record = world.recorded();
    assert_eq!(record.calibrations.len(), 8);
    assert!(record.calibrations.iter().all(|entry| matches!(entry.threshold, Threshold::Kept(_))));
    assert_eq!(record.calibrations.last().unwrap().digest, digest("support-v19"));
}

#[test]
fn the_metrics_numbers_move_while_the_record_stands() {
    let mut world = calibrated();
    world.audit(10, 20);
    world.run(4);
    let audited = audited(world.recorded(), &world.observed().pods).unwrap();
    assert_eq!((audited.pairs, audited.lambda), (620, told(&world).map(|found| found.lambda)));
    assert_eq!(told(&world).unwrap().pairs, 600);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reports_that_are_repeated_plan_nothing(audits in proptest::collection::vec((1_u64..900, 1_u64..21), 0..6)) {
        let mut world = auditing();
        for (pairs, lossy) in audits {
            world.audit(pairs, lossy);
            world.run(2);
        }
        world.run(4);
        for _ in 0..35 {
            let plan = world.tick();
            prop_assert_eq!(&plan.commit, &None);
            prop_assert_eq!(&plan.status, &world.status);
            let only_asks = plan.actions.iter().all(|action| matches!(action, Action::PutAssignment { .. }));
            prop_assert!(only_asks, "{:?}", plan.actions);
        }
    }
}

/// What a pod says of requests whose share of unknown words is this.
fn drift(novelty: f64) -> DriftSums {
    let mut seen = InputDrift::default();
    for _ in 0..3_000 {
        seen.observe(novelty, 0.1, DRIFT_MARGIN);
    }
    let mut scores = vec![0; 20];
    scores[3] = 3_000;
    let test = DriftTest { input: DriftInput::Novelty, reference: 0.1, margin: DRIFT_MARGIN, seen };
    DriftSums { digest: digest("support-v1"), scores, reference: vec![0.05; 20], tests: vec![test] }
}

#[test]
fn inputs_are_spoken_of_only_where_the_artifact_says_how_they_were() {
    let mut world = heard();
    assert!(world.status.conditions.iter().all(|condition| condition.type_ != "InputsAsTrained"));
    world.pods[0].drift = Some(drift(0.1));
    world.run(4);
    assert_eq!(world.condition("InputsAsTrained"), ("True".to_owned(), "NoDriftFound".to_owned()));
    assert_eq!(notices(world.recorded()), []);
}

#[test]
fn drift_is_found_once_with_its_numbers_and_gone_when_no_pod_says_so() {
    let mut world = heard();
    world.pods[0].drift = Some(drift(0.1));
    world.pods[1].drift = Some(drift(0.4));
    assert_eq!(writes(&mut world, 4), 1);
    assert_eq!(world.condition("InputsAsTrained"), ("False".to_owned(), "Drifted".to_owned()));
    let notice = notices(world.recorded()).pop().unwrap();
    assert!(
        notice.event.message.starts_with(
            "requests do not look as those that support-v1 was trained on: mean share of words that it does not know 0.400 \
             in 3,000 requests, 0.100 in training; population stability index of its scores"
        ),
        "{}",
        notice.event.message
    );
    assert_eq!(writes(&mut world, 4), 0, "it is said once");
    let before = world.recorded().clone();
    world.restart_operator();
    world.pods.iter_mut().for_each(|pod| pod.reachable = false);
    assert_eq!(writes(&mut world, 4), 0);
    assert_eq!(world.recorded(), &before, "silence takes nothing back");
    world.pods.iter_mut().for_each(|pod| pod.reachable = true);
    world.pods[1].drift = Some(drift(0.1));
    world.run(4);
    assert_eq!(world.condition("InputsAsTrained"), ("True".to_owned(), "NoDriftFound".to_owned()));
}

#[test]
fn drift_belongs_to_the_model_it_was_found_for() {
    let mut world = heard();
    world.pods[0].drift = Some(drift(0.4));
    world.run(4);
    world.name_model("support-v2");
    world.run_until(80, |world| world.stable() == Some(digest("support-v2")));
    assert_eq!(world.recorded().drift, None);
    assert_eq!(world.state(), RolloutState::Stable, "a trial goes its way whatever the inputs");
}

#[test]
fn where_requests_are_audited_a_trial_and_its_watch_are_judged_by_coverage_too() {
    let coverage = |world: &World| {
        let assignment = &world.recorded().assignment;
        let guards = assignment.trial.as_ref().map(|trial| &trial.guards);
        guards
            .or(assignment.watch.as_ref().map(|watch| &watch.guards))
            .map(|guards| guards.contains(GuardName::Coverage))
    };
    for (mut world, labelled) in [(auditing(), true), (heard(), false)] {
        world.policy.spec.rollout.watch_seconds = 20;
        world.name_model("support-v2");
        world.run_until(10, |world| world.state() == RolloutState::Shadow);
        assert_eq!(coverage(&world), Some(labelled));
        world.run_until(400, |world| world.rollout() == Some(Rollout::Watching));
        assert_eq!(coverage(&world), Some(labelled));
    }
}

#[test]
fn a_threshold_outlasts_another_price() {
    let mut world = calibrated();
    let found = told(&world);
    world.policy.spec.candidates[0].cost.input_per_million_tokens = "0.16".into();
    world.run(6);
    assert_eq!(told(&world), found);
}

#[test]
fn a_threshold_falls_with_the_llm_or_the_grader_it_was_found_from() {
    let llm = |world: &mut World| world.policy.spec.candidates[0].model = "another-model".into();
    let grader = |world: &mut World| world.ask_for_grades_of("http://other.svc/grade");
    for change in [llm, grader] {
        let mut world = calibrated();
        change(&mut world);
        // Pods begin to count anew.
        world.pods.iter_mut().for_each(|pod| pod.audited.clear());
        world.run(6);
        assert_eq!(told(&world), None);
        world.audit(300, 20);
        world.run(4);
        assert!(told(&world).is_some(), "and is found again");
    }
}
