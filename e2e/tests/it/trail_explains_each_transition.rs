use std::collections::BTreeSet;

use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};
use serde_json::json;
use tinydancer_crds::{
    conditions::reasons as known,
    routing_policy::{RolloutState, Verdict},
};
use tinydancer_e2e::cluster::{Cluster, Fleet, PATIENCE, eventually};

use crate::{assert_no_failure, changed, one_step, reasons};

#[tokio::test]
async fn each_transition_leaves_one_event_one_count_and_one_entry_that_explain_it() {
    let Some(cluster) = Cluster::for_tests("the trail explains each transition").await else { return };
    let wish = one_step("trail", &["support-v1", "support-v2", "support-v3"], 50, 2);
    let wish = changed(wish, &json!({ "spec": { "rollout": { "watchSeconds": 5 } } }));
    let fleet = Fleet::start(cluster, wish).await.unwrap();
    fleet.name_model("support-v2").await.unwrap();
    fleet
        .kubectl(&["wait", "routermodel/support-v2", "--for=condition=Promoted", "--timeout=120s"])
        .await
        .unwrap();
    eventually("the watch is over", PATIENCE, || async {
        let seen = reasons(&fleet.policy().await?, "support-v2");
        anyhow::ensure!(seen.last().is_some_and(|reason| reason == known::WATCH_ENDED), "{seen:?}");
        Ok(())
    })
    .await
    .unwrap();
    assert_trail(&fleet, "support-v2").await;

    fleet.name_model("support-v3").await.unwrap();
    fleet
        .kubectl(&["wait", "routermodel/support-v3", "--for=condition=RolledBack", "--timeout=120s"])
        .await
        .unwrap();
    fleet.wait_for_state("support-v3", RolloutState::RolledBack).await.unwrap();
    assert_trail(&fleet, "support-v3").await;
    assert_evidence(&fleet).await;

    let described = fleet.kubectl(&["describe", "routermodel", "support-v3"]).await.unwrap();
    for part in ["GuardCrossed", "EscalationShare", "limit", "Fail"] {
        assert!(described.contains(part), "{part} in {described}");
    }
    let status = fleet.kubectl(&["tinydancer", "status", "support"]).await.unwrap();
    for part in ["support-v2", "support-v3", "EscalationShare"] {
        assert!(status.contains(part), "{part} in {status}");
    }
    assert_no_failure(&fleet).await;
    fleet.stop().await.unwrap();
}

/// Checks that history, events and the operator's counter tell the same transitions of a model.
async fn assert_trail(fleet: &Fleet, model: &str) {
    let told = reasons(&fleet.policy().await.unwrap(), model);
    let events = eventually("every transition has its event", PATIENCE, || async {
        let api: Api<Event> = Api::namespaced(fleet.cluster.client.clone(), &fleet.namespace);
        let events = api.list(&ListParams::default()).await?.items;
        let of_model = |event: &&Event| {
            let regards = |kind: &str, reference: &Option<k8s_openapi::api::core::v1::ObjectReference>| {
                reference.as_ref().is_some_and(|reference| reference.kind.as_deref() == Some(kind))
            };
            regards("RoutingPolicy", &event.regarding)
                && event.related.as_ref().is_some_and(|related| related.name.as_deref() == Some(model))
        };
        let found: Vec<String> =
            events.iter().filter(of_model).filter_map(|event| event.reason.clone()).collect();
        let kinds: BTreeSet<&String> = told.iter().collect();
        anyhow::ensure!(kinds.iter().all(|reason| found.contains(reason)), "{found:?} for {told:?}");
        Ok(found)
    })
    .await
    .unwrap();
    assert_eq!(events.len(), told.len(), "one event a transition: {events:?} for {told:?}");

    // The status is written before the events are told and counted.
    eventually("every transition is counted", PATIENCE, || async {
        let metrics = fleet.operator_metrics().await?;
        let counts = |reason: &String| {
            let label = format!("reason=\"{reason}\"");
            metrics.lines().any(|line| {
                line.starts_with("tinydancer_rollout_transitions_total{") && line.contains(&label)
            })
        };
        let missing: Vec<&String> = told.iter().filter(|reason| !counts(reason)).collect();
        anyhow::ensure!(missing.is_empty(), "{missing:?} in {metrics}");
        Ok(())
    })
    .await
    .unwrap();
}

/// Checks that the roll-back carries the numbers that decided.
async fn assert_evidence(fleet: &Fleet) {
    let status = fleet.policy().await.unwrap().status.unwrap();
    let entry = status.history.iter().find(|entry| entry.reason == known::GUARD_CROSSED).unwrap();
    let evidence = entry.evidence.as_ref().expect("a guard decided");
    assert_eq!(evidence.verdict, Verdict::Fail, "{entry:?}");
    let number = |text: &str| text.parse::<f64>().unwrap();
    assert!(number(&evidence.estimate).abs() > number(&evidence.limit), "{entry:?}");
    assert!(number(&evidence.log_e_value) > 0.0 && evidence.interval.is_some(), "{entry:?}");
    assert!(evidence.samples > 20 && evidence.pods == 2, "{entry:?}");
}
