use tinydancer_crds::routing_policy::RolloutState;
use tinydancer_e2e::cluster::{Cluster, Fleet, PATIENCE, eventually};

use crate::{assert_no_failure, one_step, reasons};

#[tokio::test]
async fn a_git_revert_during_a_trial_ends_it_without_quarantine() {
    let Some(cluster) = Cluster::for_tests("a Git revert ends the trial").await else { return };
    let wish = one_step("revert", &["support-v1", "support-v2"], 50, 600);
    let fleet = Fleet::start(cluster, wish).await.unwrap();
    fleet.name_model("support-v2").await.unwrap();
    fleet.wait_for_state("support-v2", RolloutState::Canary).await.unwrap();

    fleet.name_model("support-v1").await.unwrap();
    eventually("no request is decided by the candidate any more", PATIENCE, || async {
        let before = fleet.counts().await?;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        let after = fleet.counts().await?;
        anyhow::ensure!(before.by_arm.get("candidate") == after.by_arm.get("candidate"), "{after:?}");
        Ok(())
    })
    .await
    .unwrap();
    fleet.wait_for_ready().await.unwrap();
    let policy = fleet.policy().await.unwrap();
    assert!(reasons(&policy, "support-v2").iter().any(|reason| reason == "Reverted"), "{policy:?}");
    assert_eq!(policy.status.unwrap().quarantined, Vec::<String>::new());

    // Nothing stands in the way of another try.
    fleet.name_model("support-v2").await.unwrap();
    fleet.wait_for_state("support-v2", RolloutState::Canary).await.unwrap();
    assert_no_failure(&fleet).await;
    fleet.stop().await.unwrap();
}
