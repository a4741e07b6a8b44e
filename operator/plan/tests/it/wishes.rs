//! Wishes that cannot be met: each has its condition, and none disturbs what runs.

use tinydancer_crds::{ABORT_ANNOTATION, PROMOTE_ANNOTATION, routing_policy::RolloutState};
use tinydancer_plan::{Action, Artifact, SecretState, SignatureCheck};

use crate::world::{World, digest};

fn stalls(world: &World, reason: &str, field: &str) {
    assert_eq!(world.condition("Stalled"), ("True".to_owned(), reason.to_owned()));
    let stalled = world.status.conditions.iter().find(|condition| condition.type_ == "Stalled").unwrap();
    assert!(stalled.message.contains(field), "{}", stalled.message);
    assert_eq!(world.condition("Reconciling").0, "False");
}

fn nothing_runs_differently(world: &mut World) {
    let before = world.recorded().assignment.clone();
    world.run(3);
    assert_eq!(world.recorded().assignment, before);
    assert_eq!(world.stable(), Some(digest("support-v1")));
    assert_eq!(world.condition("Ready").0, "True");
}

#[test]
fn a_missing_model_is_named() {
    let mut world = World::settled();
    world.name_model("support-v9");
    nothing_runs_differently(&mut world);
    stalls(&world, "ModelNotFound", "spec.model.name");
}

#[test]
fn an_artifact_that_is_not_what_it_says_is_named() {
    let mut world = World::settled();
    world.model("support-v2").artifact =
        Artifact::Failed { reason: "DigestMismatch", message: "the bytes have another digest".to_owned() };
    world.name_model("support-v2");
    nothing_runs_differently(&mut world);
    stalls(&world, "DigestMismatch", "spec.model.name");
}

#[test]
fn an_artifact_that_is_being_fetched_is_waited_for() {
    let mut world = World::settled();
    world.model("support-v2").artifact = Artifact::Pending;
    world.name_model("support-v2");
    nothing_runs_differently(&mut world);
    assert_eq!(world.condition("Stalled").0, "False");
    assert_eq!(world.condition("Reconciling"), ("True".to_owned(), "ArtifactPending".to_owned()));
}

#[test]
fn signatures_are_asked_for_only_where_the_policy_does_and_wrong_ones_never_pass() {
    let required = [
        (SignatureCheck::Missing, "SignatureMissing"),
        (SignatureCheck::UnknownKey("'rogue' is not named".to_owned()), "UnknownKey"),
        (SignatureCheck::Invalid, "SignatureInvalid"),
    ];
    for (signature, reason) in required {
        let mut world = World::settled();
        world.policy.spec.trust = tinydancer_crds::yaml::from_str(
            "{ requireSignature: true, keys: [ { id: release, secretRef: { name: keys, key: pub } } ] }",
        )
        .unwrap();
        world.model("support-v1").signature = SignatureCheck::Valid;
        world.model("support-v2").signature = signature;
        world.name_model("support-v2");
        nothing_runs_differently(&mut world);
        stalls(&world, reason, "spec.model.name");
    }
    let mut world = World::settled();
    world.model("support-v2").signature = SignatureCheck::Invalid;
    world.name_model("support-v2");
    nothing_runs_differently(&mut world);
    stalls(&world, "SignatureInvalid", "spec.model.name");
}

#[test]
fn a_spec_without_a_tier_leaves_the_fleet_as_it_is() {
    let mut world = World::settled();
    world.policy.spec.candidates.truncate(1);
    nothing_runs_differently(&mut world);
    stalls(&world, "NoCandidateOfTier", "spec.candidates");
    assert_eq!(world.status.fleet.as_deref(), Some("2/2"));
}

#[test]
fn a_wrong_spec_holds_a_trial_and_keeps_its_guards() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    world.policy.spec.candidates.truncate(1);
    world.run(50);
    assert_eq!(world.state(), RolloutState::Canary);
    world.trip(0);
    world.run_until(5, |world| world.state() == RolloutState::RolledBack);
}

#[test]
fn an_abort_works_while_the_spec_is_broken_and_a_promotion_does_not() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    let attempt = world.recorded().attempt.to_string();
    world.policy.spec.candidates.truncate(1);
    world.annotate(PROMOTE_ANNOTATION, &attempt);
    world.run(5);
    assert_eq!(world.state(), RolloutState::Canary);
    world.annotate(ABORT_ANNOTATION, &attempt);
    world.run_until(5, |world| world.state() == RolloutState::RolledBack);
    assert!(world.reasons.contains(&"Aborted"), "{:?}", world.reasons);
    assert!(world.recorded().is_quarantined(digest("support-v2")));
    stalls(&world, "NoCandidateOfTier", "spec.candidates");
}

#[test]
fn a_new_policy_with_a_wrong_spec_makes_nothing() {
    let mut world = World::new();
    world.policy.spec.candidates.truncate(1);
    let plan = world.tick();
    assert_eq!((plan.commit, plan.actions), (None, Vec::new()));
    stalls(&world, "NoCandidateOfTier", "spec.candidates");
    assert_eq!(world.condition("Ready"), ("False".to_owned(), "NoCandidateOfTier".to_owned()));
}

#[test]
fn a_name_that_is_taken_is_never_taken_over() {
    let mut world = World::new();
    let mut other = World::settled().children.into_iter().find(|child| child.kind == "Service").unwrap();
    other.owned = false;
    world.children.push(other);
    let plan = world.tick();
    let touches = |action: &Action| !matches!(action, Action::PutAssignment { .. } | Action::PutModel { .. });
    assert!(!plan.actions.iter().any(touches), "{:?}", plan.actions);
    stalls(&world, "NameTaken", "metadata.name");
}

#[test]
fn a_secret_that_is_taken_keeps_the_fleet_from_being_made() {
    let mut world = World::new();
    world.tls = SecretState::Taken;
    assert_eq!(world.tick().actions, Vec::new());
    stalls(&world, "NameTaken", "support-router-tls");
}

#[test]
fn a_missing_upstream_key_is_named_and_the_fleet_is_made() {
    let mut world = World::new();
    world.missing_api_keys.insert("upstream.small".to_owned());
    let plan = world.tick();
    assert!(plan.actions.iter().any(|action| matches!(action, Action::Create(_))));
    stalls(&world, "ApiKeyNotFound", "spec.candidates[small].apiKeyRef");
}

#[test]
fn a_cure_that_no_watch_tells_of_is_looked_for_more_often() {
    let mut world = World::settled();
    let settled = world.tick().wake;
    world.missing_api_keys.insert("upstream.small".to_owned());
    world.tick();
    let stalled = world.tick().wake;
    assert_eq!(stalled, world.settings.poll_interval * 5);
    assert!(stalled < settled, "{stalled:?} and {settled:?}");
}

#[test]
fn a_model_that_is_deleted_in_use_goes_on_serving() {
    let mut world = World::settled();
    world.delete_model("support-v1");
    nothing_runs_differently(&mut world);
    assert_eq!(world.condition("ModelResolved"), ("False".to_owned(), "ModelDeletedInUse".to_owned()));

    let mut world = World::with_trial_in(RolloutState::Canary);
    world.delete_model("support-v1");
    world.tick();
    assert_eq!(world.condition("ModelResolved"), ("False".to_owned(), "ModelDeletedInUse".to_owned()));
    assert_eq!(world.condition("Stalled").0, "False", "the trial can go on");
    world.run_until(60, |world| world.stable() == Some(digest("support-v2")));
}

#[test]
fn nothing_is_planned_for_a_policy_that_is_being_deleted() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    world.being_deleted = true;
    let plan = world.plan();
    assert_eq!((plan.commit, plan.actions, plan.status), (None, Vec::new(), world.status.clone()));
}

#[test]
fn a_model_that_is_vouched_for_in_vain_does_not_keep_another_waiting() {
    let mut world = World::new();
    world.tick();
    world.add_pod("support-router-0");
    world.pods[0].refuses.insert(digest("support-v1"));
    world.run_until(20, |world| world.state() == RolloutState::RolledBack);
    assert!(world.recorded().is_quarantined(digest("support-v1")));
    // `spec.stable` still names it.
    world.name_model("support-v2");
    world.run_until(20, |world| world.state() == RolloutState::Shadow);
}
