use tinydancer_crds::{conditions::reasons as known, routing_policy::RolloutState};
use tinydancer_e2e::cluster::{Cluster, Fleet};

use crate::{assert_no_failure, one_step, reasons};

#[tokio::test]
async fn a_cluster_rebuilt_from_git_in_the_middle_of_a_rollout_tries_the_model_again() {
    let Some(cluster) = Cluster::for_tests("a rebuilt cluster starts in the shadow").await else { return };
    let wish = one_step("rebuilt", &["support-v1", "support-v2"], 50, 600);
    let fleet = Fleet::start(cluster.clone(), wish.clone()).await.unwrap();
    fleet.name_model("support-v2").await.unwrap();
    fleet.wait_for_state("support-v2", RolloutState::Canary).await.unwrap();
    fleet.stop().await.unwrap();

    // All that Git has: it names support-v2, and support-v1 as the model to trust where nothing is recorded.
    let mut git = wish;
    tinydancer_e2e::cluster::merge(
        &mut git.policy,
        &serde_json::json!({ "spec": { "model": { "name": "support-v2" } } }),
    );
    let rebuilt = Fleet::start(cluster, git).await.unwrap();
    rebuilt.wait_for_state("support-v2", RolloutState::Canary).await.unwrap();
    let policy = rebuilt.policy().await.unwrap();
    let seen = reasons(&policy, "support-v2");
    let expected = [known::TRIAL_STARTED, known::SHADOW_STARTED, known::CANARY_STEP_STARTED];
    assert_eq!(seen, expected, "not served above 0 % before its own evidence");
    assert_eq!(policy.status.unwrap().stable.unwrap().name, "support-v1");
    assert_no_failure(&rebuilt).await;
    rebuilt.stop().await.unwrap();
}
