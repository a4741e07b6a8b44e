//! RouterModel status, derived from the policies.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tinydancer_crds::{
    RouterModel, RouterModelStatus, RoutingPolicy, RoutingPolicyStatus,
    router_model::{ArtifactState, RouterModelSpec, SourceSpec},
    routing_policy::{ModelEntry, RolloutState, Verdict},
};
use tinydancer_plan::{Artifact, model_status};

use crate::world::{World, digest};

use RolloutState::{Canary, Paused, RolledBack, Stable, Superseded};

fn model() -> RouterModel {
    let source = SourceSpec { config_map: None, https: None };
    let digest = digest("support-v2").to_string();
    RouterModel::new(
        "support-v2",
        RouterModelSpec { version: "1.0.0".into(), digest, source, signature: None },
    )
}

fn policy(name: &str, state: RolloutState) -> RoutingPolicy {
    let mut policy = World::new().policy;
    policy.metadata.name = Some(name.to_owned());
    "support-v2".clone_into(&mut policy.spec.model.name);
    let entry = ModelEntry {
        message: None,
        digest: digest("support-v2").to_string(),
        name: "whatever".to_owned(),
        state,
        step: (state == Canary).then(|| "2/3".to_owned()),
        weight_percent: if state == Canary { 25 } else { 0 },
        verdict: Some(Verdict::Pass),
        uncertainty: Some("0.188".to_owned()),
        reason: "CanaryStepStarted".to_owned(),
        since: Time(Timestamp::UNIX_EPOCH),
    };
    policy.status = Some(RoutingPolicyStatus { models: vec![entry], ..RoutingPolicyStatus::default() });
    policy
}

fn derived(artifact: &Artifact, states: &[(&str, RolloutState)]) -> RouterModelStatus {
    let policies: Vec<_> = states.iter().map(|(name, state)| policy(name, *state)).collect();
    model_status(&model(), artifact, &policies, Timestamp::UNIX_EPOCH)
}

fn condition<'status>(status: &'status RouterModelStatus, type_: &str) -> (&'status str, &'status str) {
    let found = status.conditions.iter().find(|condition| condition.type_ == type_).unwrap();
    (&found.status, &found.reason)
}

#[test]
fn a_model_that_nobody_uses_shows_its_artifact() {
    let pending = derived(&Artifact::Pending, &[]);
    assert_eq!((pending.state.as_deref(), pending.artifact), (Some("Pending"), Some(ArtifactState::Pending)));
    assert_eq!(condition(&pending, "Verified"), ("Unknown", "ArtifactPending"));
    assert_eq!(condition(&pending, "Ready"), ("False", "ArtifactPending"));
    assert_eq!(condition(&pending, "Reconciling"), ("True", "ArtifactPending"));
    let verified = derived(&Artifact::Verified, &[]);
    assert_eq!(verified.state.as_deref(), Some("Verified"));
    assert_eq!(condition(&verified, "Ready"), ("True", "NotInUse"));
    assert_eq!(condition(&verified, "Promoted"), ("False", "NotInUse"));
}

#[test]
fn an_artifact_that_failed_stalls_the_model_and_says_why() {
    let failed = Artifact::Failed { reason: "DigestMismatch", message: "other bytes".to_owned() };
    let status = derived(&failed, &[]);
    assert_eq!((status.state.as_deref(), status.artifact), (Some("Failed"), Some(ArtifactState::Failed)));
    assert_eq!(condition(&status, "Stalled"), ("True", "DigestMismatch"));
    assert_eq!(condition(&status, "Ready"), ("False", "DigestMismatch"));
    assert_eq!(condition(&status, "Reconciling").0, "False");
}

#[test]
fn what_moves_or_needs_somebody_is_shown_first_then_the_first_policy() {
    let shown = |states: &[_]| {
        let status = derived(&Artifact::Verified, states);
        (status.state.unwrap(), status.policy.unwrap())
    };
    assert_eq!(shown(&[("a", Stable), ("c", Canary), ("b", Canary)]), ("Canary".into(), "b".into()));
    assert_eq!(shown(&[("a", Canary), ("b", Paused)]), ("Paused".into(), "b".into()));
    assert_eq!(shown(&[("a", RolledBack), ("b", Stable)]), ("Stable".into(), "b".into()));
    assert_eq!(shown(&[("a", Superseded), ("b", RolledBack)]), ("RolledBack".into(), "b".into()));
}

#[test]
fn the_order_of_policies_changes_nothing_and_the_list_is_by_name() {
    let status = derived(&Artifact::Verified, &[("a", Stable), ("b", Canary)]);
    assert_eq!(derived(&Artifact::Verified, &[("b", Canary), ("a", Stable)]), status);
    let names: Vec<_> = status.rollouts.iter().map(|rollout| rollout.policy.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!((status.step.as_deref(), status.weight_percent), (Some("2/3"), Some(25)));
    assert_eq!(condition(&status, "Ready"), ("True", "RolloutInProgress"));
}

#[test]
fn promoted_means_every_policy_and_rolled_back_means_any() {
    let said = |states: &[_]| {
        let status = derived(&Artifact::Verified, states);
        ["Promoted", "RolledBack", "Ready", "Reconciling", "Stalled"]
            .map(|type_| condition(&status, type_).0.to_owned())
    };
    assert_eq!(said(&[("a", Stable), ("b", Stable)]), ["True", "False", "True", "False", "False"]);
    assert_eq!(said(&[("a", Stable), ("b", Canary)]), ["False", "False", "True", "True", "False"]);
    assert_eq!(said(&[("a", Stable), ("b", RolledBack)]), ["False", "True", "False", "False", "True"]);
    assert_eq!(said(&[("a", Superseded)]), ["False", "False", "True", "False", "False"]);
    let mixed = derived(&Artifact::Verified, &[("a", Stable), ("b", RolledBack)]);
    assert_eq!(condition(&mixed, "Ready"), ("False", "RolledBack"));
}

#[test]
fn a_model_that_was_rolled_back_is_in_nobodys_way_once_no_policy_names_it() {
    let mut reverted = policy("a", RolledBack);
    "support-v1".clone_into(&mut reverted.spec.model.name);
    let status = model_status(&model(), &Artifact::Verified, [&reverted], Timestamp::UNIX_EPOCH);
    assert_eq!(condition(&status, "RolledBack"), ("True", "RolledBack"));
    assert_eq!(condition(&status, "Ready"), ("True", "RolledBack"));
    assert_eq!(condition(&status, "Stalled").0, "False");
}

#[test]
fn the_digest_decides_not_the_name() {
    let mut other = policy("a", Stable);
    let entry = &mut other.status.as_mut().unwrap().models[0];
    "support-v2".clone_into(&mut entry.name);
    entry.digest = digest("support-v3").to_string();
    let status = model_status(&model(), &Artifact::Verified, [&other], Timestamp::UNIX_EPOCH);
    assert_eq!(status.rollouts_total, 0);
}

#[test]
fn at_most_thirty_two_policies_are_listed_and_all_are_counted() {
    let names: Vec<String> = (0..40).map(|number| format!("policy-{number:02}")).collect();
    let states: Vec<_> = names.iter().map(|name| (name.as_str(), Stable)).collect();
    let status = derived(&Artifact::Verified, &states);
    assert_eq!((status.rollouts.len(), status.rollouts_total), (32, 40));
}

#[test]
fn a_trial_is_seen_through_the_policy_and_time_alone_changes_nothing() {
    let world = World::with_trial_in(Canary);
    let mut policy = world.policy.clone();
    policy.status = Some(world.status.clone());
    let mut model = model();
    let status = model_status(&model, &Artifact::Verified, [&policy], world.now);
    let seen = (status.state.as_deref(), status.policy.as_deref(), status.step.as_deref());
    assert_eq!(seen, (Some("Canary"), Some("support"), Some("1/2")));
    assert_eq!(status.weight_percent, Some(5));
    model.status = Some(status.clone());
    let later = world.now + jiff::SignedDuration::from_secs(60);
    assert_eq!(model_status(&model, &Artifact::Verified, [&policy], later), status);
}

#[test]
fn what_happened_to_a_model_stands_in_its_own_status() {
    let mut world = World::with_trial_in(RolloutState::Promoting);
    world.run_until(10, |world| world.rollout() == Some(tinydancer_plan::Rollout::Watching));
    world.trip(0);
    world.run_until(10, |world| world.state() == RolledBack);
    let mut policy = world.policy.clone();
    policy.status = Some(world.status.clone());
    let status = model_status(&model(), &Artifact::Verified, [&policy], world.now);
    let history: Vec<_> = status.rollouts[0].history.iter().map(|entry| entry.reason.as_str()).collect();
    assert_eq!(
        history,
        [
            "TrialStarted",
            "ShadowStarted",
            "CanaryStepStarted",
            "CanaryStepStarted",
            "Promoting",
            "Promoted",
            "PodTripped",
            "RolledBack"
        ]
    );
    for type_ in ["RolledBack", "Ready"] {
        let told = status.conditions.iter().find(|condition| condition.type_ == type_).unwrap();
        let message = &told.message;
        assert!(
            message.contains("policy 'support': RolledBack, PodTripped: support-v2: pod support-router-0")
        );
        assert!(message.contains("found in the watch after promotion: support-v1 serves again"), "{message}");
    }
}
