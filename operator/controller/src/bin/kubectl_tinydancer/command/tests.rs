use serde_json::json;

use super::*;

fn policy(rollout: &Value) -> RoutingPolicy {
    let text = include_str!("../../../../../../crds/tests/fixtures/policy.yaml");
    let mut policy: RoutingPolicy = tinydancer_crds::yaml::from_str(text).unwrap();
    let mut standing = json!({
        "model": { "name": "support-v2", "version": "2.0.0", "digest": "sha256:bb" },
        "state": "Canary", "reason": "CanaryStepStarted", "attempt": 3, "epoch": 12, "weightPercent": 5,
        "since": "2026-11-23T12:00:00Z"
    });
    for (key, value) in rollout.as_object().unwrap() {
        standing[key] = value.clone();
    }
    policy.status = Some(serde_json::from_value(json!({ "rollout": standing })).unwrap());
    policy
}

fn in_state(state: &str) -> RoutingPolicy {
    policy(&json!({ "state": state }))
}

/// The one annotation that the command sets.
fn asked(command: Command, policy: &RoutingPolicy) -> (String, String) {
    let Decision::Change { patch, .. } = decide(command, policy).unwrap() else {
        panic!("{command:?} changes nothing")
    };
    let annotations = patch["metadata"]["annotations"].as_object().unwrap().clone();
    let (key, value) = annotations.into_iter().next().unwrap();
    (key, value.as_str().unwrap().to_owned())
}

fn annotated(mut policy: RoutingPolicy, (key, value): (String, String)) -> RoutingPolicy {
    policy.metadata.annotations.get_or_insert_default().insert(key, value);
    policy
}

fn is_nothing(command: Command, policy: &RoutingPolicy) -> bool {
    matches!(decide(command, policy), Ok(Decision::Nothing(_)))
}

#[test]
fn abort_and_promote_name_the_attempt() {
    assert_eq!(asked(Command::Abort, &in_state("Canary")), (ABORT_ANNOTATION.into(), "3".into()));
    assert_eq!(asked(Command::Promote, &in_state("Shadow")), (PROMOTE_ANNOTATION.into(), "3".into()));
}

#[test]
fn approve_says_what_the_status_asks_for() {
    for approval in ["3/2", "3/promote"] {
        let policy =
            policy(&json!({ "state": "Paused", "reason": "AwaitingApproval", "approval": approval }));
        assert_eq!(asked(Command::Approve, &policy), (APPROVE_ANNOTATION.into(), approval.into()));
    }
}

#[test]
fn what_was_asked_for_once_is_not_asked_for_again() {
    for (command, policy) in [
        (Command::Abort, in_state("Canary")),
        (Command::Promote, in_state("Canary")),
        (Command::Retry, in_state("RolledBack")),
        (Command::Approve, policy(&json!({ "state": "Paused", "approval": "3/2" }))),
    ] {
        let asked = asked(command, &policy);
        assert!(is_nothing(command, &annotated(policy, asked)), "{command:?}");
    }
}

#[test]
fn what_happened_already_is_no_error() {
    assert!(is_nothing(Command::Abort, &in_state("RollingBack")));
    assert!(is_nothing(Command::Promote, &in_state("Promoting")));
    assert!(is_nothing(Command::Promote, &in_state("Stable")));
    let aborted = annotated(in_state("RolledBack"), (ABORT_ANNOTATION.into(), "3".into()));
    assert!(is_nothing(Command::Abort, &aborted));
    let approved = annotated(in_state("Canary"), (APPROVE_ANNOTATION.into(), "3/2".into()));
    assert!(is_nothing(Command::Approve, &approved));
    assert!(is_nothing(Command::Retry, &in_state("Staging")));
    assert!(is_nothing(Command::Resume, &in_state("Canary")));
    let mut paused = in_state("Canary");
    paused.spec.paused = true;
    assert!(is_nothing(Command::Pause, &paused));
}

#[test]
fn a_command_that_makes_no_sense_says_what_does() {
    for (command, policy, part) in [
        (Command::Abort, in_state("Stable"), "name it in `spec.model`"),
        (Command::Abort, in_state("RolledBack"), "nothing is on trial"),
        (Command::Promote, in_state("Staging"), "when every pod has loaded and tested it"),
        (Command::Promote, in_state("RolledBack"), "retry starts another trial"),
        (Command::Approve, in_state("Canary"), "no step waits for approval"),
        (
            Command::Approve,
            annotated(in_state("Canary"), (APPROVE_ANNOTATION.into(), "2/2".into())),
            "no step waits for approval",
        ),
        (Command::Retry, in_state("Stable"), "'support-v2', which the policy names, was not rolled back"),
    ] {
        let refusal = decide(command, &policy).unwrap_err().to_string();
        assert!(refusal.contains(part), "{command:?}: {refusal}");
    }
}

#[test]
fn a_promoted_model_can_be_aborted_in_its_watch() {
    let previous = json!({ "name": "support-v1", "version": "1.0.0", "digest": "sha256:aa" });
    let policy = policy(&json!({ "state": "Stable", "watch": { "previous": previous, "seconds": 60 } }));
    let Decision::Change { done, .. } = decide(Command::Abort, &policy).unwrap() else { panic!("no change") };
    assert!(done.contains("'support-v1' serves again"), "{done}");
}

#[test]
fn an_attempt_that_was_aborted_is_not_promoted() {
    let aborted = annotated(in_state("Canary"), (ABORT_ANNOTATION.into(), "3".into()));
    assert_eq!(decide(Command::Promote, &aborted), Err(Refusal::Aborted(3)));
}

#[test]
fn a_model_that_is_named_again_after_others_can_be_retried() {
    let mut policy = in_state("Stable");
    let condition = json!({
        "type": "Stalled", "status": "True", "reason": "Quarantined", "message": "m",
        "lastTransitionTime": "2026-11-23T12:00:00Z"
    });
    policy.status.as_mut().unwrap().conditions = vec![serde_json::from_value(condition).unwrap()];
    assert_eq!(asked(Command::Retry, &policy), (RETRY_ANNOTATION.into(), "epoch-12".into()));
}

#[test]
fn pausing_warns_of_the_tool_that_owns_the_field() {
    let mut policy = in_state("Canary");
    let entry = json!({ "manager": "argocd-controller", "fieldsV1": { "f:spec": { "f:paused": {} } } });
    policy.metadata.managed_fields = Some(vec![serde_json::from_value(entry).unwrap()]);
    let Decision::Change { patch, done } = decide(Command::Pause, &policy).unwrap() else {
        panic!("no change")
    };
    assert_eq!(patch, json!({ "spec": { "paused": true } }));
    assert!(done.contains("'argocd-controller'"), "{done}");
}

#[test]
fn a_policy_that_the_operator_never_saw_takes_no_commands() {
    let mut policy = in_state("Canary");
    policy.status = None;
    assert_eq!(decide(Command::Abort, &policy), Err(Refusal::Unseen("support".into())));
}
