//! Steps that wait for somebody.

use tinydancer_crds::{
    APPROVE_ANNOTATION, PROMOTE_ANNOTATION,
    routing_policy::{Approval, RolloutState},
};
use tinydancer_plan::rollout::{CanaryStep, Cause, Halt, PauseReason, Rollout};

use crate::world::{Traffic, World, digest};

const FIRST: CanaryStep = CanaryStep { step: 0, weight: 5 };

/// support-v2 in its first step; the second waits for approval.
fn waiting() -> World {
    let mut world = World::settled();
    world.policy.spec.rollout.steps[1].approval = Approval::Manual;
    world.name_model("support-v2");
    world.run_until(60, |world| is_waiting(world, Halt::Canary(FIRST)));
    world
}

fn is_waiting(world: &World, at: Halt) -> bool {
    world.rollout() == Some(Rollout::Paused { reason: PauseReason::AwaitingApproval, at })
}

fn asked(world: &World) -> Option<&str> {
    world.status.rollout.as_ref().unwrap().approval.as_deref()
}

#[test]
fn a_step_waits_with_its_weight_until_it_is_approved() {
    let mut world = waiting();
    let epoch = world.recorded().assignment.epoch;
    world.run(200);
    assert!(is_waiting(&world, Halt::Canary(FIRST)), "the deadline does not count: {:?}", world.rollout());
    assert_eq!(world.recorded().assignment.epoch, epoch, "nothing changed for the pods");
    let rollout = world.status.rollout.clone().unwrap();
    assert_eq!((rollout.weight_percent, rollout.step.as_deref()), (5, Some("1/2")));
    assert_eq!((rollout.reason.as_str(), asked(&world)), ("AwaitingApproval", Some("2/2")));
    let message = rollout.message.unwrap();
    assert!(message.contains("set the annotation routing.tinydancer.dev/approve to '2/2'"), "{message}");
    assert_eq!(world.condition("CandidateHealthy"), ("Unknown".to_owned(), "AwaitingApproval".to_owned()));
    world.annotate(APPROVE_ANNOTATION, "2/2");
    world.run(2);
    assert_eq!(world.rollout(), Some(Rollout::Canary(CanaryStep { step: 1, weight: 50 })));
    assert_eq!(
        world.reasons[world.reasons.len() - 3..],
        ["AwaitingApproval", "Approved", "CanaryStepStarted"]
    );
    assert_eq!(asked(&world), None);
    world.run_until(60, |world| world.stable() == Some(digest("support-v2")));
}

#[test]
fn an_approval_of_another_step_or_attempt_does_nothing() {
    let mut world = waiting();
    for other in ["2/1", "2/3", "1/2", "3/2", "2/promote"] {
        world.annotate(APPROVE_ANNOTATION, other);
        world.run(3);
        assert!(is_waiting(&world, Halt::Canary(FIRST)), "{other}");
    }
}

#[test]
fn an_approval_given_in_advance_lets_the_step_begin_without_a_pause() {
    let mut world = World::settled();
    world.policy.spec.rollout.steps[1].approval = Approval::Manual;
    world.annotate(APPROVE_ANNOTATION, "2/2");
    world.name_model("support-v2");
    world.run_until(60, |world| world.stable() == Some(digest("support-v2")));
    assert!(!world.reasons.contains(&"AwaitingApproval"), "{:?}", world.reasons);
}

#[test]
fn the_first_step_and_the_promotion_can_wait_as_well() {
    let mut world = World::settled();
    world.policy.spec.rollout.steps[0].approval = Approval::Manual;
    world.policy.spec.rollout.promotion = Approval::Manual;
    world.name_model("support-v2");
    world.run_until(60, |world| is_waiting(world, Halt::Shadow));
    assert_eq!(asked(&world), Some("2/1"));
    world.run(20);
    assert_eq!(world.exposure[&digest("support-v2")], 0);
    world.annotate(APPROVE_ANNOTATION, "2/1");
    let last = Halt::Canary(CanaryStep { step: 1, weight: 50 });
    world.run_until(60, |world| is_waiting(world, last));
    assert_eq!(asked(&world), Some("2/promote"));
    world.annotate(APPROVE_ANNOTATION, "2/promote");
    world.run_until(10, |world| world.stable() == Some(digest("support-v2")));
    assert!(!world.reasons.contains(&"PromotedByHand"));
}

#[test]
fn guards_go_on_while_a_step_waits() {
    let mut world = waiting();
    world.run_with(5, 400, Traffic::Failing);
    world.run_until(5, |world| world.state() == RolloutState::RolledBack);
    assert_eq!(world.rollout(), Some(Rollout::RolledBack { cause: Cause::GuardCrossed }));
}

#[test]
fn a_step_that_asks_for_no_approval_any_more_goes_on() {
    let mut world = waiting();
    world.policy.spec.rollout.steps[1].approval = Approval::Automatic;
    world.tick();
    assert_eq!((world.rollout(), *world.reasons.last().unwrap()), (Some(Rollout::Canary(FIRST)), "Resumed"));
    world.run_until(60, |world| world.stable() == Some(digest("support-v2")));
}

#[test]
fn a_promotion_by_hand_needs_no_approval() {
    let mut world = waiting();
    world.annotate(PROMOTE_ANNOTATION, "2");
    world.run_until(10, |world| world.stable() == Some(digest("support-v2")));
    assert!(world.reasons.contains(&"PromotedByHand"));
}

#[test]
fn what_waits_for_approval_says_so_also_while_the_policy_is_paused() {
    let mut world = waiting();
    world.policy.spec.paused = true;
    world.run(3);
    assert!(is_waiting(&world, Halt::Canary(FIRST)));
    world.annotate(APPROVE_ANNOTATION, "2/2");
    world.run(3);
    let paused = Rollout::Paused { reason: PauseReason::Policy, at: Halt::Canary(FIRST) };
    assert_eq!(world.rollout(), Some(paused), "approved, and held by the policy");
    world.policy.spec.paused = false;
    world.run_until(60, |world| world.stable() == Some(digest("support-v2")));
}

#[test]
fn an_approval_does_not_replace_the_evidence() {
    let mut world = waiting();
    world.pods[0].buckets = Some((0, 2000));
    world.run(2);
    world.annotate(APPROVE_ANNOTATION, "2/2");
    world.run(10);
    assert_eq!(world.rollout(), Some(Rollout::Canary(FIRST)), "the split is uneven by now");
    world.pods[0].buckets = None;
    world.run_until(60, |world| world.stable() == Some(digest("support-v2")));
}

#[test]
fn a_fleet_that_nobody_hears_of_loses_the_weight_while_a_step_waits() {
    let mut world = waiting();
    for pod in &mut world.pods {
        pod.reachable = false;
    }
    world.run(63);
    assert_eq!(world.status.rollout.as_ref().unwrap().reason, "Blind");
    for pod in &mut world.pods {
        pod.reachable = true;
    }
    world.run_until(60, |world| is_waiting(world, Halt::Canary(FIRST)));
}
