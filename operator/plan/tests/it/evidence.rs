//! Evidence has an owner, and counts once.

use tinydancer_crds::routing_policy::RolloutState;
use tinydancer_plan::Rollout;

use crate::world::{Traffic, World, digest};

fn pairs(world: &World) -> u64 {
    world.recorded().trial.as_ref().unwrap().evidence.merged().pairs
}

/// In Shadow with no way to pass it, so that evidence only grows.
fn gathering() -> World {
    let mut world = World::settled();
    world.policy.spec.rollout.shadow.min_samples = 1_000_000;
    world.name_model("support-v2");
    world.run_until(20, |world| world.state() == RolloutState::Shadow);
    world.run_with(12, 0, Traffic::Harmless);
    world
}

#[test]
fn a_repeated_report_replaces_the_last() {
    let mut world = gathering();
    world.run_with(1, 100, Traffic::Harmless);
    world.run_with(25, 0, Traffic::Harmless);
    assert_eq!(pairs(&world), 200);
}

#[test]
fn a_process_that_ended_is_banked_once() {
    let mut world = gathering();
    world.run_with(1, 100, Traffic::Harmless);
    world.run_with(12, 0, Traffic::Harmless);
    world.restart_pod(0);
    world.run_with(3, 0, Traffic::Harmless);
    assert_eq!(pairs(&world), 200, "what the old process saw is kept");
    world.run_with(1, 50, Traffic::Harmless);
    world.run_with(12, 0, Traffic::Harmless);
    assert_eq!(pairs(&world), 300);
    let gone = world.pods.remove(1);
    assert_eq!(gone.name, "support-router-1");
    world.run_with(12, 0, Traffic::Harmless);
    assert_eq!(pairs(&world), 300, "a pod that went has not taken its evidence along");
    let bank = &world.recorded().trial.as_ref().unwrap().evidence;
    assert_eq!((bank.closed.len(), bank.open.len()), (2, 1));
}

#[test]
fn an_operator_that_restarts_counts_nothing_twice() {
    let mut world = gathering();
    world.run_with(1, 100, Traffic::Harmless);
    world.run_with(12, 0, Traffic::Harmless);
    for _ in 0..5 {
        world.restart_operator();
        world.run_with(2, 0, Traffic::Harmless);
    }
    assert_eq!(pairs(&world), 200);
}

#[test]
fn a_new_attempt_starts_from_nothing() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    world.trip(0);
    world.run_until(10, |world| world.state() == RolloutState::RolledBack);
    world.annotate(tinydancer_crds::RETRY_ANNOTATION, "again");
    world.tick();
    assert_eq!(world.state(), RolloutState::Staging);
    assert_eq!(pairs(&world), 0);
    assert_eq!(world.recorded().trial.as_ref().unwrap().attempt, 3);
}

#[test]
fn uncertainty_is_shown_of_both_models_and_stays_with_them() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    world.run_until(60, |world| world.stable() == Some(digest("support-v2")));
    let shown: Vec<_> = world
        .status
        .models
        .iter()
        .map(|entry| (entry.name.as_str(), entry.uncertainty.as_deref(), entry.verdict))
        .collect();
    let pass = Some(tinydancer_crds::routing_policy::Verdict::Pass);
    assert_eq!(shown, [("support-v2", Some("0.188"), pass), ("support-v1", Some("0.191"), None)]);
}

#[test]
fn what_was_seen_in_the_trial_says_nothing_in_the_watch() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    let evidence = world.pods[0].seen.as_ref().unwrap().evidence.clone();
    assert!(evidence.as_ref().unwrap().snapshot.pairs > 0);
    world.run_until(60, |world| world.rollout() == Some(Rollout::Watching));
    world.run_with(2, 0, Traffic::Harmless);
    assert_eq!(pairs(&world), 0);
    for pod in &mut world.pods {
        pod.reachable = false;
        let report = pod.seen.as_mut().unwrap();
        report.evidence.clone_from(&evidence);
        report.evidence.as_mut().unwrap().owner.incarnation = report.incarnation;
    }
    world.run_with(70, 0, Traffic::Harmless);
    assert_eq!(pairs(&world), 0, "same attempt, same configuration, other test");
}

#[test]
fn pods_are_counted_once_however_often_their_processes_end() {
    let mut world = gathering();
    world.run_with(1, 100, Traffic::Harmless);
    for _ in 0..3 {
        world.restart_pod(0);
        world.run_with(2, 100, Traffic::Harmless);
    }
    world.pods.remove(1);
    world.run_with(12, 0, Traffic::Harmless);
    assert_eq!(world.recorded().trial.as_ref().unwrap().evidence.pods(), 2);
}

#[test]
fn what_was_seen_of_another_model_counts_for_nothing_although_attempts_are_counted_again() {
    let mut world = gathering();
    world.run_with(1, 100, Traffic::Harmless);
    let attempt = world.recorded().attempt;
    for pod in &mut world.pods {
        pod.reachable = false;
    }
    world.annotate(tinydancer_crds::ABORT_ANNOTATION, &attempt.to_string());
    world.run_until(30, |world| world.state() == RolloutState::RolledBack);
    // As after a restore: the next trial has the number of the last, and its evidence is the last that was heard.
    world.policy.metadata.annotations = None;
    world.record.as_mut().unwrap().0.attempt = attempt - 1;
    world.name_model("support-v3");
    world.run_until(5, |world| world.state() == RolloutState::Staging);
    world.run(12);
    assert_eq!((world.recorded().attempt, pairs(&world)), (attempt, 0));
}
