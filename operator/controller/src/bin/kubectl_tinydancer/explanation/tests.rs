use serde_json::{Value, json};

use super::*;

const NOW: &str = "2026-11-23T12:04:10Z";

/// A policy whose status has this rollout, changed so.
fn policy(changes: &Value) -> RoutingPolicy {
    let text = include_str!("../../../../../../crds/tests/fixtures/policy.yaml");
    let mut policy: RoutingPolicy = tinydancer_crds::yaml::from_str(text).unwrap();
    let model = |name: &str, digest: &str| json!({ "name": name, "version": "1.0.0", "digest": format!("sha256:{digest}") });
    let guard = |name: &str, verdict: &str, safe: &str| {
        json!({
            "name": name, "verdict": verdict, "estimate": "0.010", "interval": "[0.001, 0.020]", "limit": "0.050",
            "logEValue": "-2.000", "failsAt": "7.601", "safeLogEValue": safe, "passesAt": "5.991", "samples": 640
        })
    };
    let mut rollout = json!({
        "model": model("support-v2", "bb"), "state": "Canary", "reason": "CanaryStepStarted", "attempt": 3, "epoch": 12,
        "step": "2/3", "weightPercent": 25, "verdict": "Inconclusive", "pairs": 640, "since": "2026-11-23T12:04:00Z",
        "message": "support-v2: step 2 decides 25 % of the requests",
        "guards": [guard("FlipRate", "Pass", "6.100"), guard("Latency", "Inconclusive", "3.000")],
    });
    for (key, value) in changes.as_object().unwrap() {
        rollout[key] = value.clone();
    }
    let history = json!([{
        "time": "2026-11-23T12:00:00Z", "digest": "sha256:bb", "name": "support-v2", "attempt": 3, "state": "Shadow",
        "reason": "ShadowStarted", "message": "m"
    }, {
        "time": "2026-11-23T12:04:00Z", "digest": "sha256:bb", "name": "support-v2", "attempt": 3, "state": "Canary",
        "reason": "CanaryStepStarted", "message": "m",
        "evidence": {
            "guard": "FlipRate", "verdict": "Pass", "estimate": "0.010", "interval": "[0.001, 0.020]", "limit": "0.300",
            "logEValue": "-2.0", "safeLogEValue": "6.1", "samples": 500, "pods": 2
        }
    }]);
    let status = json!({ "fleet": "2/2", "stable": model("support-v1", "aa"), "rollout": rollout, "history": history });
    policy.status = Some(serde_json::from_value(status).unwrap());
    policy
}

fn explained(changes: &Value) -> String {
    explain(&policy(changes), NOW.parse().unwrap())
}

#[test]
fn a_step_is_explained_on_one_screen() {
    let text = explained(&json!({}));
    for part in [
        "policy support: Canary, step 2/3 for 10s (CanaryStepStarted), 2/2 routers ready",
        "stable    support-v1  1.0.0  aa  decides 75 % of the requests",
        "on trial  support-v2  1.0.0  bb  decides 25 % of the requests",
        "Inconclusive after 640 requests",
        "more evidence on Latency; 300 requests decided by 'support-v2' in this step; 20s more",
        "there (6.100 of 5.991)",
        "on the way (3.000 of 5.991)",
        "no sign (-2.000 of 7.601)",
        "10s ago    support-v2  Canary  CanaryStepStarted  FlipRate 0.010 in [0.001, 0.020], limit 0.300, 500 samples on 2 pods: Pass",
        "4m10s ago  support-v2  Shadow",
    ] {
        assert!(text.contains(part), "{part}\nin\n{text}");
    }
    assert!(text.lines().count() <= 24, "{text}");
}

#[test]
fn every_state_says_what_it_waits_for() {
    let previous = json!({ "name": "support-v1", "version": "1.0.0", "digest": "sha256:aa" });
    for (changes, part) in [
        (json!({ "state": "Staging", "step": null, "guards": [] }), "to fetch, verify and test"),
        (
            json!({ "state": "Shadow", "step": null, "pairs": 500 }),
            "1500 more requests scored by both models; 50s more",
        ),
        (json!({ "state": "Promoting", "step": null }), "to take 'support-v2' as its stable model"),
        (json!({ "state": "RollingBack", "step": null }), "to stop serving 'support-v2'"),
        (json!({ "state": "RolledBack", "step": null }), "kubectl tinydancer retry support"),
        (json!({ "state": "Paused", "reason": "Paused" }), "kubectl tinydancer resume support"),
        (json!({ "state": "Paused", "reason": "Blind" }), "a report of the routers"),
        (json!({ "state": "Paused", "reason": "InsufficientData" }), "the step's deadline has passed"),
        (
            json!({ "state": "Paused", "reason": "AwaitingApproval", "approval": "3/promote" }),
            "approval of 3/promote (attempt/step): kubectl tinydancer approve support",
        ),
        (
            json!({ "state": "Stable", "reason": "Promoted", "watch": { "previous": previous, "seconds": 60 } }),
            "the end of the watch, in 50s or more",
        ),
    ] {
        let text = explained(&changes);
        assert!(text.contains(&format!("waits for  {part}")) || text.contains(part), "{part}\nin\n{text}");
    }
    let settled = explained(&json!({ "state": "Stable", "reason": "Promoted", "step": null, "guards": [] }));
    assert!(!settled.contains("waits for"), "{settled}");
}

#[test]
fn the_model_that_a_watch_leads_back_to_is_shown() {
    let previous = json!({ "name": "support-v0", "version": "0.9.0", "digest": "sha256:cc" });
    let watch = json!({ "previous": previous, "seconds": 60 });
    let text = explained(&json!({ "state": "Stable", "reason": "Promoted", "step": null, "watch": watch }));
    assert!(text.contains("armed   support-v0"), "{text}");
    assert!(text.contains("Stable, in the watch after promotion"), "{text}");
    assert!(!text.contains("on trial"), "{text}");
}

#[test]
fn a_long_message_is_cut_to_a_line() {
    let text = explained(&json!({ "message": "ä".repeat(1000) }));
    assert!(text.lines().all(|line| line.chars().count() < 200), "{text}");
    assert!(text.contains("ä..."), "{text}");
}

#[test]
fn a_fleet_without_a_stable_model_says_who_decides() {
    let mut policy = policy(&json!({}));
    policy.status.as_mut().unwrap().stable = None;
    let text = explain(&policy, NOW.parse().unwrap());
    assert!(
        text.contains("no stable model: the Powerful tier takes the rest\n  on trial  support-v2  1.0.0"),
        "{text}"
    );
}

#[test]
fn what_stalls_a_policy_is_said() {
    let mut policy = policy(&json!({ "state": "RolledBack" }));
    let condition = json!({
        "type": "Stalled", "status": "True", "reason": "Quarantined", "message": "name another model",
        "lastTransitionTime": NOW
    });
    policy.status.as_mut().unwrap().conditions = vec![serde_json::from_value(condition).unwrap()];
    let text = explain(&policy, NOW.parse().unwrap());
    assert!(text.contains("stalled: name another model (Quarantined)"), "{text}");
}

#[test]
fn a_policy_that_nobody_looked_at_says_so() {
    let mut policy = policy(&json!({}));
    policy.status = None;
    assert!(explain(&policy, NOW.parse().unwrap()).contains("look whether it runs"));
}

#[test]
fn times_have_their_two_largest_units() {
    for (seconds, text) in
        [(-1, "0s"), (59, "59s"), (60, "1m"), (250, "4m10s"), (3600, "1h"), (90_000, "1d1h"), (7_260, "2h1m")]
    {
        assert_eq!(duration(seconds), text);
    }
}

#[test]
fn what_audits_say_is_shown_and_inputs_only_where_they_drifted() {
    let condition = |type_: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": type_, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": "2026-11-23T12:00:00Z"
        })
    };
    let text = |conditions: Value| {
        let mut policy = policy(&json!({}));
        policy.status.as_mut().unwrap().conditions = serde_json::from_value(conditions).unwrap();
        explain(&policy, NOW.parse().unwrap())
    };
    let calm = text(json!([
        condition("OnlineCalibration", "Unknown", "Collecting", "84 of 200"),
        condition("InputsAsTrained", "True", "NoDriftFound", "nothing")
    ]));
    assert!(calm.contains("  threshold: 84 of 200 (Collecting)\n") && !calm.contains("inputs:"), "{calm}");
    let drifted = text(json!([condition("InputsAsTrained", "False", "Drifted", "unknown words 0.4")]));
    assert!(drifted.contains("  inputs: unknown words 0.4 (Drifted)\n"), "{drifted}");
    assert!(!explained(&json!({})).contains("threshold:"));
}
