//! After the promotion: the model that served before stays armed.

use tinydancer_crds::{
    ABORT_ANNOTATION, PROMOTE_ANNOTATION, RoutingPolicyStatus, routing_policy::RolloutState,
};
use tinydancer_plan::{
    Action,
    rollout::{Cause, Rollout},
};

use crate::world::{Traffic, World, digest};

/// support-v2 was just promoted over support-v1.
fn watching() -> World {
    let mut world = World::with_trial_in(RolloutState::Promoting);
    world.run_until(10, |world| world.rollout() == Some(Rollout::Watching));
    world.tick();
    world
}

fn serves(world: &World, name: &str) -> bool {
    world.pods.iter().all(|pod| pod.serves == Some(digest(name)))
}

fn shown(world: &World, name: &str) -> (RolloutState, String) {
    let entry = world.status.models.iter().find(|entry| entry.name == name).unwrap();
    (entry.state, entry.message.clone().unwrap())
}

/// support-v1 is the stable model again, and the record says why.
fn goes_back(world: &mut World, cause: Cause) {
    world.run_until(5, |world| world.state() == RolloutState::RolledBack);
    assert_eq!(world.rollout(), Some(Rollout::RolledBack { cause }));
    let record = world.recorded();
    assert_eq!(record.stable.as_ref().unwrap().model.digest, digest("support-v1"));
    assert_eq!((&record.previous, &record.assignment.watch), (&None, &None));
    assert_eq!(record.is_quarantined(digest("support-v2")), cause.quarantines());
    assert!(serves(world, "support-v1"));
}

#[test]
fn a_promoted_model_is_shown_as_stable_and_the_one_before_as_armed() {
    let world = watching();
    let rollout = world.status.rollout.as_ref().unwrap();
    let watch = rollout.watch.as_ref().unwrap();
    assert_eq!((rollout.state, rollout.reason.as_str()), (RolloutState::Stable, "Promoted"));
    assert_eq!((watch.previous.name.as_str(), watch.seconds), ("support-v1", 20));
    assert_eq!(world.condition("Ready"), ("True".to_owned(), "Settled".to_owned()));
    assert_eq!(world.condition("Reconciling").0, "False");
    assert_eq!(world.condition("CandidateHealthy"), ("True".to_owned(), "NoHarmFound".to_owned()));
    assert_eq!(shown(&world, "support-v2").0, RolloutState::Stable);
    let (state, message) = shown(&world, "support-v1");
    assert_eq!(state, RolloutState::Superseded);
    assert!(message.contains("stays armed until 2026-11-23T12:0"), "{message}");
}

#[test]
fn a_promoted_model_that_turns_bad_is_left_by_a_guard() {
    let mut world = watching();
    assert!(serves(&world, "support-v2"));
    world.send(400, Traffic::Failing);
    world.tick();
    goes_back(&mut world, Cause::GuardCrossed);
    assert_eq!(world.reasons[world.reasons.len() - 2..], ["GuardCrossed", "RolledBack"]);
    let entry = world.status.history.iter().rev().find(|entry| entry.reason == "GuardCrossed").unwrap();
    let evidence = entry.evidence.as_ref().unwrap();
    assert_eq!((evidence.guard.as_str(), evidence.pods, evidence.samples), ("HardFault", 2, 1600));
    assert!(entry.message.contains("found in the watch after promotion: support-v1 serves again"));
    assert_eq!(world.condition("Stalled"), ("True".to_owned(), "Quarantined".to_owned()));
    world.run(30);
    assert_eq!(world.state(), RolloutState::RolledBack, "it does not come back by itself");
}

#[test]
fn a_pod_that_trips_goes_back_without_an_operator_and_takes_the_fleet_along() {
    let mut world = watching();
    world.trip(0);
    assert_eq!(world.pods[0].serves, Some(digest("support-v1")), "at once, by itself");
    assert_eq!(world.pods[1].serves, Some(digest("support-v2")));
    world.restart_pod(0);
    assert_eq!(world.pods[0].serves, Some(digest("support-v1")), "also after it started again");
    goes_back(&mut world, Cause::PodTripped);
}

#[test]
fn a_model_that_only_starts_to_fail_after_the_promotion_is_judged_by_what_it_did_since() {
    let mut world = watching();
    let trial = world.recorded().trial.as_ref().unwrap();
    assert_eq!(trial.evidence.merged().pairs, 0, "the good record of the trial does not speak for it");
    assert_eq!(world.status.rollout.as_ref().unwrap().verdict, world.status.models[0].verdict);
    world.send(10, Traffic::OverConfident);
    world.tick();
    assert_eq!(world.rollout(), Some(Rollout::Watching), "ten requests prove nothing");
    world.send(400, Traffic::OverConfident);
    world.tick();
    goes_back(&mut world, Cause::GuardCrossed);
}

#[test]
fn naming_the_model_before_swaps_at_once_and_quarantines_nothing() {
    let mut world = watching();
    world.name_model("support-v1");
    world.tick();
    assert!(serves(&world, "support-v1"), "with the first call");
    goes_back(&mut world, Cause::Reverted);
    world.run(2);
    assert_eq!(world.rollout(), Some(Rollout::Stable));
    world.name_model("support-v2");
    world.run_until(60, |world| world.stable() == Some(digest("support-v2")));
    assert_eq!(world.recorded().attempt, 3, "by another trial");
}

#[test]
fn naming_the_model_before_swaps_even_if_its_artifact_cannot_be_had_any_more() {
    let mut world = watching();
    world.model("support-v1").artifact = tinydancer_plan::Artifact::Pending;
    world.name_model("support-v1");
    world.tick();
    assert!(serves(&world, "support-v1"));
}

#[test]
fn a_third_model_ends_the_watch() {
    let mut world = watching();
    world.name_model("support-v3");
    world.tick();
    assert_eq!(world.rollout(), Some(Rollout::Staging { trusted: false }));
    let record = world.recorded();
    assert_eq!(record.stable.as_ref().unwrap().model.digest, digest("support-v2"));
    assert_eq!(record.assignment.watch, None);
    let (state, message) = shown(&world, "support-v1");
    assert_eq!(
        (state, message.as_str()),
        (RolloutState::Superseded, "support-v1: support-v2 took its place")
    );
    world.run_until(60, |world| world.stable() == Some(digest("support-v3")));
    assert_eq!(world.recorded().armed().unwrap().model.digest, digest("support-v2"));
}

#[test]
fn a_watch_without_harm_ends_and_lets_the_model_before_go() {
    let mut world = watching();
    world.run_until(30, |world| world.rollout() == Some(Rollout::Stable));
    assert_eq!(world.reasons[world.reasons.len() - 2..], ["Promoted", "WatchEnded"]);
    let entry = world.status.history.last().unwrap();
    assert_eq!((entry.name.as_str(), entry.reason.as_str()), ("support-v2", "WatchEnded"));
    assert!(entry.message.contains("support-v1 is let go"), "{}", entry.message);
    world.run(3);
    assert_eq!(world.recorded().assignment.watch, None);
    assert!(world.tick().wake > world.settings.poll_interval);
    world.name_model("support-v1");
    world.tick();
    assert_eq!(
        world.rollout(),
        Some(Rollout::Staging { trusted: false }),
        "from now on it is tried like any"
    );
}

#[test]
fn the_policy_may_ask_for_no_watch_and_end_one() {
    let mut world = World::settled();
    world.policy.spec.rollout.watch_seconds = 0;
    world.name_model("support-v2");
    world.run_until(60, |world| world.stable() == Some(digest("support-v2")));
    assert_eq!(world.rollout(), Some(Rollout::Stable));
    assert_eq!(*world.reasons.last().unwrap(), "Promoted");

    let mut world = watching();
    world.policy.spec.rollout.watch_seconds = 0;
    world.tick();
    assert_eq!(world.rollout(), Some(Rollout::Stable));
}

#[test]
fn without_data_or_pods_the_watch_neither_fails_nor_ends() {
    let mut world = watching();
    for pod in &mut world.pods {
        pod.reachable = false;
    }
    world.run_with(200, 0, Traffic::Harmless);
    assert_eq!(world.rollout(), Some(Rollout::Watching), "nobody has said that the time has passed");
    for pod in &mut world.pods {
        pod.reachable = true;
    }
    world.run_until(30, |world| world.rollout() == Some(Rollout::Stable));
}

#[test]
fn an_abort_in_the_watch_leads_back_whatever_else_stands_there() {
    let mut world = watching();
    world.annotate(ABORT_ANNOTATION, "2");
    world.annotate(PROMOTE_ANNOTATION, "2");
    world.policy.spec.candidates.truncate(1);
    goes_back(&mut world, Cause::Aborted);
}

#[test]
fn another_operator_goes_on_with_the_watch() {
    let mut world = watching();
    world.run(5);
    let before = world.tick().status;
    let epoch = world.recorded().assignment.epoch;
    world.restart_operator();
    world.status = RoutingPolicyStatus::default();
    world.tick();
    assert_eq!(world.status.rollout, before.rollout);
    assert_eq!(world.recorded().assignment.epoch, epoch);
    world.send(400, Traffic::Failing);
    world.tick();
    goes_back(&mut world, Cause::GuardCrossed);
}

#[test]
fn pods_boot_with_the_watch_and_get_both_models() {
    let mut world = watching();
    let boot = &world.recorded().boot;
    assert_eq!(boot.watch, world.recorded().assignment.watch);
    assert_eq!(boot.watch.as_ref().unwrap().previous.digest, digest("support-v1"));
    world.add_pod("support-router-2");
    world.run(4);
    assert!(
        [digest("support-v1"), digest("support-v2")].iter().all(|model| world.pods[2].models.contains(model))
    );
    world.trip(2);
    assert_eq!(world.pods[2].serves, Some(digest("support-v1")));
}

#[test]
fn a_changed_configuration_starts_the_watch_again() {
    let mut world = watching();
    world.run(10);
    world.policy.spec.candidates[0].model = "llama-3.2-8b".to_owned();
    world.tick();
    assert_eq!(world.rollout(), Some(Rollout::Watching));
    assert_eq!(*world.reasons.last().unwrap(), "ConfigurationChanged");
    assert_eq!(world.recorded().trial.as_ref().unwrap().evidence.merged().pairs, 0);
    world.run(15);
    assert_eq!(world.rollout(), Some(Rollout::Watching), "its time starts again, too");
    world.send(400, Traffic::Failing);
    world.tick();
    goes_back(&mut world, Cause::GuardCrossed);
}

#[test]
fn a_policy_made_anew_in_the_watch_goes_on_watching_with_evidence_of_its_own() {
    let mut world = watching();
    world.run(3);
    world.uid = "uid-2".to_owned();
    world.status = RoutingPolicyStatus::default();
    world.tick();
    assert_eq!(world.rollout(), Some(Rollout::Watching));
    assert_eq!(world.recorded().trial.as_ref().unwrap().evidence.merged().pairs, 0);
    world.run(2);
    world.send(400, Traffic::Failing);
    world.tick();
    goes_back(&mut world, Cause::GuardCrossed);
}

#[test]
fn a_broken_spec_keeps_the_way_back() {
    let mut world = World::with_trial_in(RolloutState::Promoting);
    world.policy.spec.candidates.truncate(1);
    world.run_until(10, |world| world.rollout() == Some(Rollout::Watching));
    world.run(40);
    assert_eq!(world.rollout(), Some(Rollout::Watching), "nobody can say how long it is to last");
    world.trip(1);
    goes_back(&mut world, Cause::PodTripped);
}

#[test]
fn a_model_before_whose_resource_is_pruned_stays_armed() {
    let mut world = watching();
    world.delete_model("support-v1");
    world.tick();
    assert_eq!(world.condition("ModelResolved").0, "True", "it serves nobody");
    world.trip(0);
    goes_back(&mut world, Cause::PodTripped);
    assert_eq!(world.condition("ModelResolved"), ("False".to_owned(), "ModelDeletedInUse".to_owned()));
}

#[test]
fn pods_are_asked_every_second_and_the_record_is_written_once_a_minute() {
    let mut world = watching();
    world.policy.spec.rollout.watch_seconds = 600;
    world.run(3);
    let mut asked = 0;
    let mut commits = 0;
    for _ in 0..180 {
        world.send(50, Traffic::Harmless);
        let plan = world.tick();
        asked += plan.actions.iter().filter(|action| matches!(action, Action::PutAssignment { .. })).count();
        commits += usize::from(plan.commit.is_some());
    }
    assert_eq!((asked, commits), (360, 3));
    world.run_with(60, 0, Traffic::Harmless);
    let still: usize = (0..120).map(|_| usize::from(world.tick().commit.is_some())).sum();
    assert_eq!(still, 0, "without requests there is nothing to write");
}

#[test]
fn the_template_does_not_wait_for_the_watch() {
    let mut world = watching();
    world.policy.spec.template.image = Some("registry.example/tiny-dancer-router:0.2.0".to_owned());
    let plan = world.tick();
    assert!(plan.actions.iter().any(|action| matches!(action, Action::Apply(_))), "{:?}", plan.actions);
}
