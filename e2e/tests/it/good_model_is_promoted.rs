use tinydancer_crds::routing_policy::{RolloutState, Verdict};
use tinydancer_e2e::cluster::{Cluster, Fleet, PATIENCE, eventually};

use crate::{assert_no_failure, assert_share, one_step};

/// Long enough in one step to measure the share of traffic.
const STEP_SECONDS: u64 = 20;

#[tokio::test]
async fn a_good_model_is_promoted_and_no_request_fails() {
    let Some(cluster) = Cluster::for_tests("a good model is promoted").await else { return };
    let wish = one_step("promoted", &["support-v1", "support-v2"], 25, STEP_SECONDS);
    let fleet = Fleet::start(cluster, wish).await.unwrap();
    let pods = fleet.routers().await.unwrap();

    fleet.name_model("support-v2").await.unwrap();
    fleet.wait_for_state("support-v2", RolloutState::Canary).await.unwrap();
    // Until the weight has reached every pod, answers belong to the step before.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let before = fleet.counts().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(STEP_SECONDS - 8)).await;
    let after = fleet.counts().await.unwrap();
    let during = |arm: &str| after.by_arm.get(arm).unwrap_or(&0) - before.by_arm.get(arm).unwrap_or(&0);
    assert_share(during("candidate"), during("stable"), 25);

    fleet.wait_for_state("support-v2", RolloutState::Stable).await.unwrap();
    assert_no_failure(&fleet).await;
    assert_eq!(fleet.routers().await.unwrap(), pods, "a promotion restarts no pod");

    let status = fleet.policy().await.unwrap().status.unwrap();
    assert_eq!(status.stable.unwrap().name, "support-v2");
    let entry = status.models.iter().find(|entry| entry.name == "support-v2").unwrap();
    assert_eq!(entry.verdict, Some(Verdict::Pass));
    eventually("the model is Promoted", PATIENCE, || async {
        let model = fleet.models().get("support-v2").await?;
        let conditions = model.status.unwrap_or_default().conditions;
        let promoted =
            conditions.iter().any(|condition| condition.type_ == "Promoted" && condition.status == "True");
        anyhow::ensure!(promoted, "{conditions:?}");
        Ok(())
    })
    .await
    .unwrap();
    fleet.stop().await.unwrap();
}
