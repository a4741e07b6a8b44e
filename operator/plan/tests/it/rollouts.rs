//! Whole rollouts, from the wish to where they end.

use tinydancer_crds::{ABORT_ANNOTATION, PROMOTE_ANNOTATION, RETRY_ANNOTATION, routing_policy::RolloutState};
use tinydancer_plan::rollout::{Cause, Rollout};

use crate::world::{Traffic, World, digest};

fn ends_rolled_back(world: &mut World, cause: Cause) {
    world.run_until(10, |world| world.state() == RolloutState::RolledBack);
    assert_eq!(world.rollout(), Some(Rollout::RolledBack { cause }));
    assert_eq!(world.recorded().stable.as_ref().unwrap().model.digest, digest("support-v1"));
    for pod in &world.pods {
        assert_eq!(pod.effective_weight(world.now).get(), 0);
    }
}

#[test]
fn the_model_that_the_spec_vouches_for_is_trusted_once_every_pod_has_it() {
    let world = World::settled();
    assert_eq!(world.reasons, ["TrialStarted", "Promoting", "Promoted"]);
    assert_eq!(world.condition("Ready"), ("True".to_owned(), "Settled".to_owned()));
    assert_eq!(world.recorded().boot.stable.as_ref().unwrap().digest, digest("support-v1"));
}

#[test]
fn a_harmless_model_is_promoted_step_by_step() {
    let mut world = World::settled();
    world.name_model("support-v2");
    world.run_until(60, |world| world.stable() == Some(digest("support-v2")));
    assert_eq!(
        world.reasons[3..],
        ["TrialStarted", "ShadowStarted", "CanaryStepStarted", "CanaryStepStarted", "Promoting", "Promoted"]
    );
    assert_eq!(world.recorded().previous.as_ref().unwrap().model.digest, digest("support-v1"));
    let states: Vec<_> = world.status.models.iter().map(|entry| (entry.name.as_str(), entry.state)).collect();
    assert_eq!(states, [("support-v2", RolloutState::Stable), ("support-v1", RolloutState::Superseded)]);
}

#[test]
fn a_model_whose_uncertainty_shifts_is_rolled_back_from_the_shadow_and_never_exposed() {
    let mut world = World::with_trial_in(RolloutState::Shadow);
    world.run_with(3, 400, Traffic::OverConfident);
    ends_rolled_back(&mut world, Cause::GuardCrossed);
    assert_eq!(world.exposure[&digest("support-v2")], 0);
    let entry = world.status.history.iter().find(|entry| entry.reason == "GuardCrossed").unwrap();
    assert!(entry.message.contains("UncertaintyShift -0.250 in ["), "{}", entry.message);
    assert!(entry.message.contains("limit 0.050"), "{}", entry.message);
    assert_eq!(world.condition("Stalled"), ("True".to_owned(), "Quarantined".to_owned()));
    assert_eq!(world.condition("Ready").0, "True");
}

#[test]
fn one_pod_that_trips_ends_the_trial_for_all() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    world.trip(1);
    ends_rolled_back(&mut world, Cause::PodTripped);
}

#[test]
fn a_pod_that_refuses_the_candidate_ends_the_trial() {
    let mut world = World::settled();
    world.pods[0].refuses.insert(digest("support-v2"));
    world.name_model("support-v2");
    ends_rolled_back(&mut world, Cause::CandidateRefused);
    let entry = world.status.history.iter().find(|entry| entry.reason == "CandidateRefused").unwrap();
    assert!(entry.message.contains("pod support-router-0 refuses it: known answer 3 differs"));
    assert_eq!(world.exposure[&digest("support-v2")], 0);
}

#[test]
fn a_rolled_back_digest_comes_back_only_with_a_new_token_and_each_token_acts_once() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    world.annotate(RETRY_ANNOTATION, "before");
    world.trip(0);
    ends_rolled_back(&mut world, Cause::PodTripped);
    world.run(20);
    assert_eq!(world.state(), RolloutState::RolledBack, "a token that stood there before does not count");

    world.annotate(RETRY_ANNOTATION, "after");
    world.run_until(20, |world| world.state() == RolloutState::Canary);
    assert_eq!(world.recorded().attempt, 3);
    world.trip(0);
    ends_rolled_back(&mut world, Cause::PodTripped);
    world.run(20);
    assert_eq!(world.state(), RolloutState::RolledBack, "the token has acted");
}

#[test]
fn a_revert_during_a_trial_ends_it_without_quarantine() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    world.name_model("support-v1");
    world.run_until(10, |world| world.stable() == Some(digest("support-v1")));
    assert!(world.recorded().quarantine.is_empty());
    assert_eq!(world.condition("Stalled").0, "False");
    world.name_model("support-v2");
    world.run_until(60, |world| world.stable() == Some(digest("support-v2")));
}

#[test]
fn another_name_for_the_stable_digest_is_no_rollout() {
    let mut world = World::settled();
    world.add_model("support-v1-renamed", digest("support-v1"));
    world.name_model("support-v1-renamed");
    let plan = world.tick();
    assert_eq!((plan.commit, plan.actions), (None, Vec::new()));
}

#[test]
fn a_new_digest_takes_the_place_of_one_on_trial() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    world.name_model("support-v3");
    world.tick();
    assert_eq!(world.rollout(), Some(Rollout::Superseded));
    world.run_until(60, |world| world.stable() == Some(digest("support-v3")));
    let old = world.status.models.iter().find(|entry| entry.name == "support-v2").unwrap();
    assert_eq!((old.state, old.reason.as_str()), (RolloutState::Superseded, "Superseded"));
}

#[test]
fn abort_beats_promote_and_names_its_attempt() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    world.annotate(ABORT_ANNOTATION, "1");
    world.tick();
    assert_eq!(world.state(), RolloutState::Canary, "an abort of another attempt does nothing");
    world.annotate(ABORT_ANNOTATION, "2");
    world.annotate(PROMOTE_ANNOTATION, "2");
    ends_rolled_back(&mut world, Cause::Aborted);
    assert_eq!(world.recorded().quarantine[0].reason, "Aborted");
}

#[test]
fn promote_by_hand_skips_the_evidence_and_is_told() {
    let mut world = World::with_trial_in(RolloutState::Shadow);
    world.annotate(PROMOTE_ANNOTATION, "2");
    world.run_until(10, |world| world.stable() == Some(digest("support-v2")));
    assert!(world.reasons.contains(&"PromotedByHand"));
}

#[test]
fn a_paused_policy_keeps_its_weight_and_its_guards() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    let epoch = world.recorded().assignment.epoch;
    world.policy.spec.paused = true;
    world.run_with(140, 50, Traffic::Harmless);
    assert_eq!(
        (world.state(), world.status.rollout.as_ref().unwrap().weight_percent),
        (RolloutState::Paused, 5)
    );
    assert_eq!(world.recorded().assignment.epoch, epoch, "nothing changed for the pods");
    world.policy.spec.paused = false;
    world.run(1);
    assert_eq!(world.state(), RolloutState::Canary, "the time did not count towards the deadline");
    world.policy.spec.paused = true;
    world.run_with(5, 400, Traffic::Failing);
    ends_rolled_back(&mut world, Cause::GuardCrossed);
}

#[test]
fn without_traffic_a_trial_is_held_and_after_the_deadline_waits_without_weight() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    world.run_with(60, 0, Traffic::Harmless);
    assert_eq!(world.state(), RolloutState::Canary, "missing data holds");
    world.run_with(80, 0, Traffic::Harmless);
    let rollout = world.status.rollout.clone().unwrap();
    assert_eq!(
        (rollout.state, rollout.reason.as_str(), rollout.weight_percent),
        (RolloutState::Paused, "InsufficientData", 0)
    );
    assert!(world.recorded().quarantine.is_empty());
    world.run_until(60, |world| world.stable() == Some(digest("support-v2")));
}

#[test]
fn a_deadline_that_rolls_back_does_not_quarantine_and_does_not_start_again() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    world.policy.spec.rollout.on_deadline = tinydancer_crds::routing_policy::OnDeadline::RollBack;
    world.run_with(140, 0, Traffic::Harmless);
    ends_rolled_back(&mut world, Cause::DeadlineExceeded);
    assert!(world.recorded().quarantine.is_empty());
    world.run(20);
    assert_eq!(world.state(), RolloutState::RolledBack);
    assert_eq!(world.condition("Stalled"), ("True".to_owned(), "DeadlineExceeded".to_owned()));
    world.annotate(RETRY_ANNOTATION, "again");
    world.run_until(60, |world| world.stable() == Some(digest("support-v2")));
}

#[test]
fn a_candidate_with_weight_that_nobody_reports_of_is_paused_and_resumes() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    for pod in &mut world.pods {
        pod.reachable = false;
    }
    world.run(59);
    assert_eq!(world.state(), RolloutState::Canary);
    world.run(4);
    assert_eq!(world.status.rollout.as_ref().unwrap().reason, "Blind");
    assert!(
        world.pods.iter().all(|pod| pod.effective_weight(world.now).get() == 0),
        "the leases ended long ago"
    );
    for pod in &mut world.pods {
        pod.reachable = true;
    }
    world.run_until(60, |world| world.stable() == Some(digest("support-v2")));
    assert!(world.reasons.contains(&"Resumed"));
}

#[test]
fn a_changed_configuration_takes_the_weight_and_the_evidence_away() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    world.policy.spec.candidates[0].model = "llama-3.2-8b".to_owned();
    world.tick();
    assert_eq!(world.rollout(), Some(Rollout::Shadow));
    let trial = world.recorded().trial.as_ref().unwrap();
    assert_eq!((trial.reason.as_str(), trial.evidence.merged().pairs), ("ConfigurationChanged", 0));
    assert!(world.recorded().boot.epoch < world.recorded().assignment.epoch);
    world.run_until(60, |world| world.stable() == Some(digest("support-v2")));
}

#[test]
fn a_first_model_without_a_vouched_one_is_tried_against_powerful_only() {
    let mut world = World::new();
    world.policy.spec.stable = None;
    world.tick();
    world.add_pod("support-router-0");
    world.add_pod("support-router-1");
    world.run_until(20, |world| world.state() == RolloutState::Shadow);
    assert_eq!(world.condition("Ready"), ("True".to_owned(), "PowerfulOnly".to_owned()));
    let guards = &world.recorded().trial.as_ref().unwrap().guards;
    assert!(!guards.contains(tinydancer_guards::GuardName::EscalationShare));
    world.run_until(60, |world| world.stable() == Some(digest("support-v1")));
    assert!(world.reasons.contains(&"CanaryStepStarted"));
}

#[test]
fn a_pod_that_joins_late_holds_the_step_until_it_has_the_candidate() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    world.available.remove(&digest("support-v2"));
    world.add_pod("support-router-2");
    world.run(20);
    assert_eq!(world.state(), RolloutState::Canary, "one pod cannot run the candidate");
    world.available.insert(digest("support-v2"));
    world.run_until(60, |world| world.stable() == Some(digest("support-v2")));
}

#[test]
fn a_pod_whose_lease_ran_out_is_left_out() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    world.pods[1].reachable = false;
    world.run(5);
    assert_eq!(world.state(), RolloutState::Canary, "it counts until its lease ends");
    world.run_until(60, |world| world.stable() == Some(digest("support-v2")));
    assert_eq!(world.pods[1].effective_weight(world.now).get(), 0);
}

#[test]
fn an_uneven_split_holds_the_step_without_harm_and_goes_on_when_it_is_even_again() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    world.pods[1].buckets = Some((10, 1500));
    world.run(30);
    assert_eq!(
        (world.state(), world.status.rollout.as_ref().unwrap().weight_percent),
        (RolloutState::Canary, 5)
    );
    assert_eq!(world.condition("CandidateHealthy"), ("Unknown".to_owned(), "SampleRatioMismatch".to_owned()));
    let ratio: f64 = world.status.rollout.as_ref().unwrap().sample_ratio.as_ref().unwrap().parse().unwrap();
    assert!(ratio < 0.001, "{ratio}");
    assert!(world.recorded().quarantine.is_empty());
    world.pods[1].buckets = None;
    world.run_until(60, |world| world.stable() == Some(digest("support-v2")));
}

#[test]
fn an_uneven_split_that_stays_loses_its_weight_at_the_deadline_and_is_tried_once_more() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    world.pods[0].buckets = Some((400, 100));
    world.run_until(150, |world| world.status.rollout.as_ref().unwrap().reason == "InsufficientData");
    let rollout = world.status.rollout.clone().unwrap();
    assert_eq!((rollout.weight_percent, rollout.sample_ratio), (0, None), "nothing is split any more");
    let message = rollout.message.unwrap();
    assert!(message.contains("requests are not split as the weight says"), "{message}");
    world.run_until(10, |world| world.state() == RolloutState::Canary);
    world.run(20);
    assert_eq!(world.state(), RolloutState::Canary, "and holds again");
}
