use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tinydancer_crds::{
    RoutingPolicyStatus,
    router_model::{RouterModelSpec, SourceSpec},
    routing_policy::{ModelEntry, Verdict},
    yaml,
};

use super::*;
use crate::artifacts::{Artifact, Failure};

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn model() -> RouterModel {
    let source = SourceSpec { config_map: None, https: None };
    let spec = RouterModelSpec { version: "1.0.0".into(), digest: DIGEST.into(), source, signature: None };
    RouterModel::new("support-v1", spec)
}

fn verified() -> Outcome {
    let bytes = tinydancer_engine::testing::artifact("1.0.0", 1).unwrap();
    let reference = tinydancer_engine::Model::from_bytes(&bytes).unwrap().reference().clone();
    Outcome::Verified(Artifact { digest: DIGEST.parse().unwrap(), bytes: bytes.into(), reference })
}

fn policy(name: &str, digest: &str, state: RolloutState) -> RoutingPolicy {
    let mut policy: RoutingPolicy =
        yaml::from_str(include_str!("../../../../crds/tests/fixtures/policy.yaml")).unwrap();
    policy.metadata.name = Some(name.to_owned());
    let entry = ModelEntry {
        digest: digest.into(),
        name: "whatever".into(),
        state,
        step: (state == RolloutState::Canary).then(|| "2/3".to_owned()),
        weight_percent: if state == RolloutState::Canary { 25 } else { 0 },
        verdict: Some(Verdict::Pass),
        uncertainty: Some("0.188".into()),
        reason: "CanaryStepStarted".into(),
        since: Time(Timestamp::UNIX_EPOCH),
    };
    policy.status = Some(RoutingPolicyStatus { models: vec![entry], ..RoutingPolicyStatus::default() });
    policy
}

fn look(artifact: &Outcome, policies: &[RoutingPolicy]) -> RouterModelStatus {
    status(&model(), artifact, policies.iter(), Timestamp::UNIX_EPOCH)
}

fn condition<'status>(status: &'status RouterModelStatus, type_: &str) -> (&'status str, &'status str) {
    let found = status.conditions.iter().find(|condition| condition.type_ == type_).unwrap();
    (&found.status, &found.reason)
}

#[test]
fn a_model_nobody_uses_shows_its_artifact() {
    let pending = look(&Outcome::Pending, &[]);
    assert_eq!(pending.state.as_deref(), Some("Pending"));
    assert_eq!(condition(&pending, "Ready"), ("False", "ArtifactPending"));
    assert_eq!(condition(&pending, "Reconciling"), ("True", "ArtifactPending"));
    let verified = look(&verified(), &[]);
    assert_eq!(verified.state.as_deref(), Some("Verified"));
    assert_eq!(condition(&verified, "Ready"), ("True", "NotInUse"));
    assert_eq!(condition(&verified, "Promoted"), ("False", "NotInUse"));
}

#[test]
fn an_artifact_that_failed_stalls_the_model_and_says_why() {
    let failure = Failure { reason: reasons::DIGEST_MISMATCH, message: "other bytes".into() };
    let failed = look(&Outcome::Failed(failure), &[]);
    assert_eq!(failed.artifact, Some(ArtifactState::Failed));
    assert_eq!(condition(&failed, "Stalled"), ("True", "DigestMismatch"));
    assert_eq!(condition(&failed, "Ready"), ("False", "DigestMismatch"));
}

#[test]
fn the_state_that_moves_is_shown_whatever_the_order_of_policies() {
    let policies = [policy("a", DIGEST, RolloutState::Stable), policy("b", DIGEST, RolloutState::Canary)];
    let status = look(&verified(), &policies);
    assert_eq!((status.state.as_deref(), status.policy.as_deref()), (Some("Canary"), Some("b")));
    assert_eq!((status.step.as_deref(), status.weight_percent), (Some("2/3"), Some(25)));
    assert_eq!(condition(&status, "Ready"), ("True", "RolloutInProgress"));
    assert_eq!(condition(&status, "Promoted").0, "False");
    let reversed: Vec<_> = policies.into_iter().rev().collect();
    assert_eq!(look(&verified(), &reversed), status);
}

#[test]
fn promoted_means_all_policies_and_rolled_back_means_any() {
    let stable = [policy("a", DIGEST, RolloutState::Stable), policy("b", DIGEST, RolloutState::Stable)];
    assert_eq!(condition(&look(&verified(), &stable), "Promoted"), ("True", "Promoted"));
    let mixed = [policy("a", DIGEST, RolloutState::Stable), policy("b", DIGEST, RolloutState::RolledBack)];
    let status = look(&verified(), &mixed);
    assert_eq!(condition(&status, "Promoted").0, "False");
    assert_eq!(condition(&status, "RolledBack").0, "True");
    assert_eq!(condition(&status, "Ready"), ("False", "RolledBack"));
}

#[test]
fn the_digest_decides_not_the_name() {
    let other = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    let status = look(&verified(), &[policy("a", other, RolloutState::Stable)]);
    assert_eq!(status.rollouts_total, 0);
}

#[test]
fn the_list_is_bounded_and_the_total_is_not() {
    let policies: Vec<_> =
        (0..40).map(|n| policy(&format!("p{n:02}"), DIGEST, RolloutState::Stable)).collect();
    let status = look(&verified(), &policies);
    assert_eq!((status.rollouts.len(), status.rollouts_total), (32, 40));
}

#[test]
fn a_second_look_changes_nothing() {
    let policies = [policy("a", DIGEST, RolloutState::Canary)];
    let mut model = model();
    let first = status(&model, &verified(), policies.iter(), Timestamp::UNIX_EPOCH);
    model.status = Some(first.clone());
    let later = "2030-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(status(&model, &verified(), policies.iter(), later), first);
}
