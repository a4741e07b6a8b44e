use kube::api::{Patch, PatchParams};
use serde_json::json;
use tinydancer_crds::routing_policy::RolloutState;
use tinydancer_e2e::cluster::{Cluster, Fleet, PATIENCE, eventually};

use crate::{assert_no_failure, one_step};

#[tokio::test]
async fn a_wiped_status_and_a_restarted_operator_in_canary_go_on_where_they_were() {
    let Some(cluster) = Cluster::for_tests("a lost status is rebuilt").await else { return };
    let wish = one_step("wiped", &["support-v1", "support-v2"], 50, 20);
    let fleet = Fleet::start(cluster, wish).await.unwrap();
    fleet.name_model("support-v2").await.unwrap();
    fleet.wait_for_state("support-v2", RolloutState::Canary).await.unwrap();
    let before = fleet.policy().await.unwrap().status.unwrap().rollout.unwrap();

    fleet.scale_operator(0).await.unwrap();
    let empty = json!({ "status": null });
    fleet.policies().patch_status("support", &PatchParams::default(), &Patch::Merge(&empty)).await.unwrap();
    fleet.scale_operator(1).await.unwrap();

    let after = eventually("the status is back", PATIENCE, || async {
        let rollout = fleet.policy().await?.status.unwrap_or_default().rollout;
        rollout.ok_or_else(|| anyhow::anyhow!("no rollout"))
    })
    .await
    .unwrap();
    assert_eq!(after.attempt, before.attempt, "the same trial goes on");
    assert_eq!(after.model, before.model);
    assert_ne!(after.state, RolloutState::Staging, "{after:?}");
    fleet.wait_for_state("support-v2", RolloutState::Stable).await.unwrap();
    assert_no_failure(&fleet).await;
    fleet.stop().await.unwrap();
}
