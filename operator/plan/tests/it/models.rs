//! RouterModel status, derived from the policies.

use jiff::Timestamp;
use tinydancer_crds::{
    RouterModelStatus, RoutingPolicyStatus,
    router_model::ArtifactState,
    routing_policy::{ModelEntry, RolloutState},
};
use tinydancer_plan::{Artifact, ModelInput, model_status};

use crate::world::{World, digest};

fn model(artifact: Artifact) -> ModelInput {
    ModelInput { digest: digest("support-v2"), generation: 1, artifact, status: RouterModelStatus::default() }
}

fn entry(state: RolloutState) -> RoutingPolicyStatus {
    let entry = ModelEntry {
        digest: digest("support-v2").to_string(),
        name: "support-v2".to_owned(),
        state,
        step: None,
        weight_percent: 0,
        verdict: None,
        uncertainty: None,
        reason: "TrialStarted".to_owned(),
        since: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH),
    };
    RoutingPolicyStatus { models: vec![entry], ..RoutingPolicyStatus::default() }
}

fn derived(states: &[(&str, RolloutState)]) -> RouterModelStatus {
    let policies: Vec<_> = states.iter().map(|(name, state)| (*name, entry(*state))).collect();
    let policies = policies.iter().map(|(name, status)| (*name, status));
    model_status(&model(Artifact::Verified), policies, Timestamp::UNIX_EPOCH)
}

fn condition(status: &RouterModelStatus, type_: &str) -> String {
    status.conditions.iter().find(|condition| condition.type_ == type_).unwrap().status.clone()
}

#[test]
fn the_state_that_needs_most_attention_is_shown_then_the_first_policy() {
    use RolloutState::{Canary, RolledBack, Stable, Superseded};
    let shown = |states: &[_]| {
        let status = derived(states);
        (status.state.unwrap(), status.policy.unwrap())
    };
    assert_eq!(shown(&[("a", Stable), ("c", Canary), ("b", Canary)]), ("Canary".into(), "b".into()));
    assert_eq!(shown(&[("a", Stable), ("b", RolledBack)]), ("RolledBack".into(), "b".into()));
    assert_eq!(shown(&[("a", Superseded), ("b", Stable)]), ("Stable".into(), "b".into()));
}

#[test]
fn promoted_means_every_policy_and_rolled_back_means_any() {
    use RolloutState::{Canary, RolledBack, Stable};
    let said = |states: &[_]| {
        let status = derived(states);
        ["Promoted", "RolledBack", "Ready", "Reconciling", "Stalled"].map(|type_| condition(&status, type_))
    };
    assert_eq!(said(&[("a", Stable), ("b", Stable)]), ["True", "False", "True", "False", "False"]);
    assert_eq!(said(&[("a", Stable), ("b", Canary)]), ["False", "False", "True", "True", "False"]);
    assert_eq!(said(&[("a", Stable), ("b", RolledBack)]), ["False", "True", "False", "False", "True"]);
    assert_eq!(said(&[]), ["False", "False", "True", "False", "False"]);
}

#[test]
fn a_model_that_nobody_uses_shows_its_artifact() {
    let none: [(&str, &RoutingPolicyStatus); 0] = [];
    let failed = Artifact::Failed { reason: "FetchFailed", message: "the server answered 404".to_owned() };
    let status = model_status(&model(failed), none, Timestamp::UNIX_EPOCH);
    assert_eq!((status.state.as_deref(), status.artifact), (Some("Failed"), Some(ArtifactState::Failed)));
    assert_eq!(condition(&status, "Stalled"), "True");
    let status = model_status(&model(Artifact::Pending), none, Timestamp::UNIX_EPOCH);
    assert_eq!(
        (status.state.as_deref(), condition(&status, "Verified").as_str()),
        (Some("Pending"), "Unknown")
    );
    assert_eq!(condition(&status, "Reconciling"), "True");
}

#[test]
fn at_most_thirty_two_policies_are_listed_and_all_are_counted() {
    let names: Vec<String> = (0..40).map(|number| format!("policy-{number:02}")).collect();
    let states: Vec<_> = names.iter().map(|name| (name.as_str(), RolloutState::Stable)).collect();
    let status = derived(&states);
    assert_eq!((status.rollouts.len(), status.rollouts_total), (32, 40));
}

#[test]
fn a_trial_is_seen_through_the_policy() {
    let world = World::with_trial_in(RolloutState::Canary);
    let status = model_status(&model(Artifact::Verified), [("support", &world.status)], world.now);
    let seen = (status.state.unwrap(), status.policy.unwrap(), status.step.unwrap(), status.weight_percent);
    assert_eq!(seen, ("Canary".into(), "support".into(), "1/2".into(), Some(5)));
    let mut again = model(Artifact::Verified);
    again.status = model_status(&again, [("support", &world.status)], world.now);
    let later = world.now + jiff::SignedDuration::from_secs(60);
    assert_eq!(
        model_status(&again, [("support", &world.status)], later),
        again.status,
        "time alone changes nothing"
    );
}
