use std::time::Duration;

use futures::future::try_join_all;
use tinydancer_crds::routing_policy::RolloutState;
use tinydancer_e2e::{
    cluster::{Cluster, Fleet, PATIENCE, eventually},
    prompts::PromptSet,
    traffic::Wish,
};

use crate::{RATE, endless_canary};

const PODS: i32 = 10;

#[tokio::test]
async fn ten_pods_stop_a_dead_candidate_with_the_operator_up() {
    let Some(cluster) = Cluster::for_tests("ten pods stop a dead candidate").await else { return };
    let fleet =
        Fleet::start(cluster, endless_canary("ten", &["support-v2", "support-v4"], PODS)).await.unwrap();
    fleet.name_model("support-v4").await.unwrap();
    fleet.wait_for_state("support-v4", RolloutState::Canary).await.unwrap();
    eventually("every pod gives the candidate its weight", PATIENCE, || async {
        let weights = weights(&fleet).await?;
        anyhow::ensure!(
            weights.len() == PODS as usize && weights.iter().all(|weight| weight == "5000"),
            "{weights:?}"
        );
        Ok(())
    })
    .await
    .unwrap();

    // One pod alone would see a broken request every quarter of a second; all of them must stop.
    let long = Wish { rate_per_second: RATE, prompts: PromptSet::Long, ..fleet.wish() };
    fleet.send(long).await.unwrap();
    let begun = tokio::time::Instant::now();
    let mut stopped = Vec::new();
    while stopped.len() < PODS as usize {
        assert!(begun.elapsed() < Duration::from_mins(1), "stopped so far: {stopped:?}");
        let now = weights(&fleet).await.unwrap();
        let count = now.iter().filter(|weight| *weight == "0").count();
        while stopped.len() < count {
            stopped.push(begun.elapsed().as_secs_f64());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!(
        "MEASURED ten pods, {RATE} broken requests a second in all: first pod at weight 0 after {:.2} s, the last after {:.2} s",
        stopped.first().unwrap(),
        stopped.last().unwrap()
    );
    fleet.wait_for_state("support-v4", RolloutState::RolledBack).await.unwrap();
    let counts = fleet.counts().await.unwrap();
    println!("MEASURED ten pods: {} requests answered, {} failed", counts.answered, counts.failed);
    assert_eq!(counts.failed, 0, "{counts:?}");
    fleet.stop().await.unwrap();
}

/// The weight that each pod gives the candidate right now, in basis points.
async fn weights(fleet: &Fleet) -> anyhow::Result<Vec<String>> {
    let routers = fleet.routers().await?;
    try_join_all(routers.iter().map(|router| async move {
        let get = http::Method::GET;
        let metrics = fleet.cluster.ask_pod(&fleet.namespace, router, get, "metrics", vec![]).await?;
        let name = "tinydancer_router_candidate_weight_basis_points ";
        let weight = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("missing");
        Ok(weight.to_owned())
    }))
    .await
}
