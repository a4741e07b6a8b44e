use serde_json::json;
use tinydancer_e2e::cluster::{Cluster, Fleet, PATIENCE, eventually};
use tinydancer_e2e::prompts::PromptSet;
use tinydancer_e2e::traffic::Wish;

use crate::{SIGMAS, assert_no_failure, changed, one_step, watch_nothing};

/// Of a thousand requests that a model decided, how many go to the other tier.
const EXPLORED: u16 = 200;

#[tokio::test]
async fn a_share_is_explored_at_no_error_and_traffic_unlike_the_training_rows_is_reported() {
    let Some(cluster) = Cluster::for_tests("exploration and drift are seen").await else { return };
    let wish = one_step("explore", &["support-v1"], 50, 600);
    let wish = changed(wish, &json!({ "spec": { "explore": { "permille": EXPLORED } } }));
    let fleet = Fleet::start(cluster, wish).await.unwrap();
    watch_nothing(15).await;

    let (mut explored, mut able) = (0.0, 0.0);
    for router in fleet.routers().await.unwrap() {
        explored += fleet.router_metric(&router, "tinydancer_router_explored_total", "").await.unwrap();
        // Where a model abstained nothing is explored.
        let decisions = fleet.router_metric(&router, "tinydancer_router_decisions_total", "_risk_threshold");
        able += decisions.await.unwrap();
    }
    let share = f64::from(EXPLORED) / 1000.0;
    let deviation = (able * share * (1.0 - share)).sqrt();
    assert!(able > 200.0 && (explored - able * share).abs() <= SIGMAS * deviation, "{explored} of {able}");

    // English prompts hold words that the model knows; then the traffic changes, and the policy says so.
    fleet.wait_for_condition("support", "InputsAsTrained", "True", "NoDriftFound").await.unwrap();
    let foreign = Wish { rate_per_second: 50, prompts: PromptSet::German, ..fleet.wish() };
    fleet.send(foreign).await.unwrap();
    fleet.wait_for_condition("support", "InputsAsTrained", "False", "Drifted").await.unwrap();
    eventually("an event tells it too", PATIENCE, || async {
        let events = fleet.kubectl(&["get", "events", "-o", "jsonpath={.items[*].reason}"]).await?;
        anyhow::ensure!(events.contains("Drifted"), "{events}");
        Ok(())
    })
    .await
    .unwrap();
    // What the model does not know, it does not decide.
    for router in fleet.routers().await.unwrap() {
        eventually("what is novel goes to Powerful", PATIENCE, || async {
            let novel =
                fleet.router_metric(&router, "tinydancer_router_decisions_total", "\"novel\"").await?;
            anyhow::ensure!(novel > 100.0, "{novel}");
            Ok(())
        })
        .await
        .unwrap();
    }
    assert_no_failure(&fleet).await;
    fleet.stop().await.unwrap();
}
