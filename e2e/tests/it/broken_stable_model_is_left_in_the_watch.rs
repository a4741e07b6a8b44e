use std::time::Duration;

use serde_json::json;
use tinydancer_crds::{Digest, conditions::reasons as known, routing_policy::RolloutState};
use tinydancer_e2e::{
    cluster::{Cluster, Fleet, PATIENCE, eventually, model_bytes},
    prompts::PromptSet,
    traffic::Wish,
};

use crate::{RATE, assert_no_failure, changed, one_step, reasons};

/// A fleet that has promoted support-v4 over support-v2 and watches it.
async fn watching(name: &'static str) -> Option<Fleet> {
    let cluster = Cluster::for_tests("a broken stable model is left in the watch").await?;
    let wish = one_step(name, &["support-v2", "support-v4"], 50, 2);
    let wish = changed(wish, &json!({ "spec": { "rollout": { "watchSeconds": 600 } } }));
    let fleet = Fleet::start(cluster, wish).await.unwrap();
    fleet.name_model("support-v4").await.unwrap();
    fleet.wait_for_state("support-v4", RolloutState::Stable).await.unwrap();
    Some(fleet)
}

/// Sends prompts on which support-v4 breaks; says how long it was until support-v2 alone decided.
async fn break_it(fleet: &Fleet) -> Duration {
    let old = Digest::of(&model_bytes("support-v2").unwrap()).short();
    let new = Digest::of(&model_bytes("support-v4").unwrap()).short();
    let long = Wish { rate_per_second: RATE, prompts: PromptSet::Long, ..fleet.wish() };
    fleet.send(long).await.unwrap();
    let begun = tokio::time::Instant::now();
    eventually("the model that served before decides alone", PATIENCE, || async {
        let before = fleet.counts().await?.by_digest;
        tokio::time::sleep(Duration::from_millis(250)).await;
        let after = fleet.counts().await?.by_digest;
        anyhow::ensure!(after.get(&old) > before.get(&old), "{after:?}");
        anyhow::ensure!(
            after.get(&new) == before.get(&new) && after.get("-") == before.get("-"),
            "{after:?}"
        );
        Ok(())
    })
    .await
    .unwrap();
    begun.elapsed()
}

#[tokio::test]
async fn a_promoted_model_that_breaks_in_the_watch_gives_way_to_the_one_before() {
    let Some(fleet) = watching("watch").await else { return };
    let routers = fleet.routers().await.unwrap();
    let status = fleet.policy().await.unwrap().status.unwrap();
    let watch = status.rollout.unwrap().watch.expect("a watch");
    assert_eq!((watch.previous.name.as_str(), watch.seconds), ("support-v2", 600));

    let took = break_it(&fleet).await;
    println!(
        "support-v2 decides alone {:.1} s after the first prompt that breaks support-v4",
        took.as_secs_f64()
    );
    fleet.wait_for_state("support-v4", RolloutState::RolledBack).await.unwrap();
    fleet.wait_for_state("support-v2", RolloutState::Stable).await.unwrap();
    let policy = fleet.policy().await.unwrap();
    assert!(reasons(&policy, "support-v4").iter().any(|reason| reason == known::POD_TRIPPED), "{policy:?}");
    let status = policy.status.unwrap();
    assert_eq!(status.quarantined, [Digest::of(&model_bytes("support-v4").unwrap()).to_string()]);
    assert_eq!(fleet.routers().await.unwrap(), routers, "no pod was restarted");
    assert_no_failure(&fleet).await;
    fleet.stop().await.unwrap();
}

#[tokio::test]
async fn without_an_operator_the_pods_go_back_by_themselves_and_stay_there() {
    let Some(fleet) = watching("alone").await else { return };
    fleet.scale_operator(0).await.unwrap();
    break_it(&fleet).await;

    // A pod that starts again finds the way back on its volume.
    let routers = fleet.routers().await.unwrap();
    let first = routers.first().unwrap();
    fleet.cluster.kill_pod(&fleet.namespace, first).await.unwrap();
    fleet.wait_for_router(first).await.unwrap();
    fleet.open(RATE).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let new = Digest::of(&model_bytes("support-v4").unwrap()).short();
    let counts = fleet.counts().await.unwrap();
    assert_eq!(counts.by_digest.get(&new), None, "{counts:?}");

    fleet.scale_operator(1).await.unwrap();
    fleet.wait_for_state("support-v4", RolloutState::RolledBack).await.unwrap();
    fleet.wait_for_state("support-v2", RolloutState::Stable).await.unwrap();
    assert_no_failure(&fleet).await;
    fleet.stop().await.unwrap();
}
