use serde_json::json;
use tinydancer_crds::{conditions::reasons as known, routing_policy::RolloutState};
use tinydancer_e2e::{
    cluster::{Cluster, Fleet},
    traffic::Wish,
};

use crate::{RATE, assert_no_failure, changed, one_step, reasons, watch_nothing};

#[tokio::test]
async fn without_traffic_a_trial_neither_grows_nor_fails_and_goes_on_with_it() {
    let Some(cluster) = Cluster::for_tests("no traffic decides nothing").await else { return };
    let wish = one_step("quiet", &["support-v1", "support-v2"], 50, 2);
    // The shortest deadline there is: a step without data waits from then on.
    let wish = changed(wish, &json!({ "spec": { "rollout": { "stepDeadlineSeconds": 10 } } }));
    let fleet = Fleet::start(cluster, wish).await.unwrap();
    fleet.send(Wish { rate_per_second: 0, ..fleet.wish() }).await.unwrap();
    fleet.name_model("support-v2").await.unwrap();
    fleet.wait_for_state("support-v2", RolloutState::Paused).await.unwrap();
    let rollout = fleet.policy().await.unwrap().status.unwrap().rollout.unwrap();
    assert_eq!(
        (rollout.reason.as_str(), rollout.weight_percent),
        (known::INSUFFICIENT_DATA, 0),
        "{rollout:?}"
    );
    watch_nothing(5).await;
    let policy = fleet.policy().await.unwrap();
    let seen = reasons(&policy, "support-v2");
    assert_eq!(seen, [known::TRIAL_STARTED, known::SHADOW_STARTED, known::INSUFFICIENT_DATA], "it stays");
    assert_eq!(policy.status.unwrap().quarantined, Vec::<String>::new(), "a deadline is no judgement");

    fleet.change_policy(&json!({ "spec": { "rollout": { "stepDeadlineSeconds": 300 } } })).await.unwrap();
    fleet.send(Wish { rate_per_second: RATE, ..fleet.wish() }).await.unwrap();
    fleet.wait_for_state("support-v2", RolloutState::Stable).await.unwrap();
    assert_no_failure(&fleet).await;
    fleet.stop().await.unwrap();
}
