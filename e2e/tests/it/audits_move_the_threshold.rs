use serde_json::json;
use tinydancer_crds::routing_policy::RolloutState;
use tinydancer_e2e::{
    cluster::{Cluster, Fleet, PATIENCE, eventually},
    upstream::Behaviour,
};

use crate::{assert_no_failure, changed, one_step, watch_nothing};

/// Of a thousand prompts, how many the small model answers wrongly: far more than the artifact was told.
const WRONG: u64 = 500;
/// What the tests' policy promises.
const PROMISE: f64 = 0.1;

#[tokio::test]
async fn audits_move_the_threshold_until_the_promise_is_kept_and_a_trial_leaves_it_alone() {
    let Some(cluster) = Cluster::for_tests("audits move the threshold").await else { return };
    let audit = json!({ "permille": 1000, "grader": { "endpoint": "http://small/grade" } });
    let wish = one_step("audits", &["support-v1", "support-v2"], 50, 600);
    // The candidate keeps its artifact's threshold, which these answers prove wrong: it decides otherwise by far.
    let guards = json!({ "escalationMarginPermille": 900, "flipRatePermille": 900 });
    let wish = changed(wish, &json!({ "spec": { "audit": audit, "rollout": { "guards": guards } } }));
    let fleet = Fleet::start(cluster, wish).await.unwrap();
    let behaviour = Behaviour { wrong_permille: WRONG, ..Behaviour::default() };
    for pod in fleet.cluster.pods(&fleet.namespace, "app=small").await.unwrap() {
        let name = pod.metadata.name.unwrap();
        fleet.cluster.put_to_pod(&fleet.namespace, &name, "behaviour", &behaviour).await.unwrap();
    }

    fleet.wait_for_condition("support", "OnlineCalibration", "True", "Calibrated").await.unwrap();
    // The routers are told a moment later.
    watch_nothing(3).await;
    fleet.reset_counts().await.unwrap();
    watch_nothing(8).await;
    let counts = fleet.counts().await.unwrap();
    let lightweight = counts.by_tier.get("Lightweight").copied().unwrap_or(0) as f64 / counts.answered as f64;
    let lost = lightweight * WRONG as f64 / 1000.0;
    // The prompts come round and round, so which of them are wrong is no longer chance: half of a part of them.
    assert!(lost <= PROMISE + 0.05, "{lost} of quality is lost: {counts:?}");

    fleet.name_model("support-v2").await.unwrap();
    fleet.wait_for_state("support-v2", RolloutState::Canary).await.unwrap();
    let calibration = || async {
        let status = fleet.policy().await?.status.unwrap_or_default();
        let condition = status.conditions.into_iter().find(|found| found.type_ == "OnlineCalibration");
        anyhow::Ok((status.calibration, condition.map(|found| found.reason)))
    };
    eventually("a trial freezes the threshold", PATIENCE, || async {
        let (_, reason) = calibration().await?;
        anyhow::ensure!(reason.as_deref() == Some("Frozen"), "{reason:?}");
        Ok(())
    })
    .await
    .unwrap();
    let (frozen, _) = calibration().await.unwrap();
    watch_nothing(12).await;
    let (later, _) = calibration().await.unwrap();
    let lambda = |found: &Option<_>| serde_json::to_value(found).unwrap()["threshold"].clone();
    assert!(lambda(&frozen).is_string() && lambda(&frozen) == lambda(&later), "{frozen:?} {later:?}");

    assert_no_failure(&fleet).await;
    fleet.stop().await.unwrap();
}
