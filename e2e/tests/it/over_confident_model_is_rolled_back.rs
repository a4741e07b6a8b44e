use serde_json::json;
use tinydancer_crds::routing_policy::{RolloutState, Verdict};
use tinydancer_e2e::cluster::{Cluster, Fleet, FleetWish};

use crate::{RATE, assert_no_failure, reasons, watch_nothing};

#[tokio::test]
async fn an_over_confident_model_is_rolled_back_and_stays_away() {
    let Some(cluster) = Cluster::for_tests("an over-confident model is rolled back").await else { return };
    let wish = FleetWish {
        name: "confident",
        models: &["support-v2", "support-v3"],
        rate_per_second: RATE,
        policy: json!({ "spec": { "model": { "name": "support-v2" }, "stable": { "name": "support-v2" } } }),
    };
    let fleet = Fleet::start(cluster, wish).await.unwrap();

    fleet.name_model("support-v3").await.unwrap();
    fleet.wait_for_state("support-v3", RolloutState::RolledBack).await.unwrap();
    assert_no_failure(&fleet).await;

    let policy = fleet.policy().await.unwrap();
    assert_eq!(reasons(&policy, "support-v3").first().map(String::as_str), Some("TrialStarted"));
    assert!(reasons(&policy, "support-v3").iter().any(|reason| reason == "GuardCrossed"), "{policy:?}");
    let status = policy.status.unwrap();
    let entry = status.models.iter().find(|entry| entry.name == "support-v3").unwrap();
    assert_eq!(entry.verdict, Some(Verdict::Fail));
    assert_eq!(entry.weight_percent, 0);
    assert_eq!(status.stable.unwrap().name, "support-v2");
    assert_eq!(status.quarantined.len(), 1);

    // A Git tool applies the same wish a hundred times: it must not start over.
    for _ in 0..50 {
        fleet.change_policy(&json!({ "metadata": { "annotations": { "resync": "again" } } })).await.unwrap();
        fleet.name_model("support-v3").await.unwrap();
    }
    watch_nothing(5).await;
    let counts = fleet.counts().await.unwrap();
    fleet.wait_for_state("support-v3", RolloutState::RolledBack).await.unwrap();
    watch_nothing(3).await;
    let later = fleet.counts().await.unwrap();
    assert_eq!(
        later.by_arm.get("candidate"),
        counts.by_arm.get("candidate"),
        "no request for a quarantined model"
    );
    fleet.stop().await.unwrap();
}
