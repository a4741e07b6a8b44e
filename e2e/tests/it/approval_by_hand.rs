use serde_json::json;
use tinydancer_crds::{APPROVE_ANNOTATION, conditions::reasons as known, routing_policy::RolloutState};
use tinydancer_e2e::cluster::{Cluster, Fleet, PATIENCE, eventually};

use crate::{annotate, assert_no_failure, changed, one_step, reasons, watch_nothing};

#[tokio::test]
async fn a_step_that_needs_approval_waits_for_it_and_guards_go_on() {
    let Some(cluster) = Cluster::for_tests("a step waits for approval").await else { return };
    let steps = json!([
        { "weightPercent": 25, "minSamples": 20, "minSeconds": 2 },
        { "weightPercent": 50, "approval": "Manual" },
    ]);
    let wish = one_step("approval", &["support-v1", "support-v2"], 25, 2);
    let manual = json!({ "spec": { "rollout": { "steps": steps, "promotion": "Manual" } } });
    let fleet = Fleet::start(cluster, changed(wish, &manual)).await.unwrap();
    fleet.name_model("support-v2").await.unwrap();

    let asked = awaited(&fleet).await;
    let attempt = fleet.policy().await.unwrap().status.unwrap().rollout.unwrap().attempt;
    assert_eq!(asked, format!("{attempt}/2"), "the second step of this attempt");
    let before = fleet.counts().await.unwrap();
    watch_nothing(4).await;
    let rollout = fleet.policy().await.unwrap().status.unwrap().rollout.unwrap();
    assert_eq!((rollout.state, rollout.weight_percent), (RolloutState::Paused, 25), "{rollout:?}");
    let after = fleet.counts().await.unwrap();
    assert!(after.by_arm.get("candidate") > before.by_arm.get("candidate"), "it keeps its share");

    // What was approved for another attempt, or cannot be read, approves nothing.
    annotate(&fleet, APPROVE_ANNOTATION, &format!("{}/2", attempt + 1)).await;
    watch_nothing(3).await;
    assert_eq!(awaited(&fleet).await, asked);

    annotate(&fleet, APPROVE_ANNOTATION, &asked).await;
    eventually("promotion waits for approval", PATIENCE, || async {
        let asked = awaited(&fleet).await;
        anyhow::ensure!(asked == format!("{attempt}/promote"), "{asked}");
        Ok(())
    })
    .await
    .unwrap();
    // The plug-in reads what is waited for and says it.
    fleet.kubectl(&["tinydancer", "approve", "support"]).await.unwrap();
    fleet.wait_for_state("support-v2", RolloutState::Stable).await.unwrap();
    let policy = fleet.policy().await.unwrap();
    let reasons = reasons(&policy, "support-v2");
    assert_eq!(reasons.iter().filter(|seen| *seen == known::AWAITING_APPROVAL).count(), 2, "{reasons:?}");
    assert_no_failure(&fleet).await;
    fleet.stop().await.unwrap();
}

/// What the trial waits for.
async fn awaited(fleet: &Fleet) -> String {
    eventually("the trial waits for approval", PATIENCE, || async {
        let rollout = fleet.policy().await?.status.unwrap_or_default().rollout;
        let asked = rollout.as_ref().and_then(|rollout| rollout.approval.clone());
        asked.ok_or_else(|| anyhow::anyhow!("{rollout:?}"))
    })
    .await
    .unwrap()
}
