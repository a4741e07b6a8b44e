use std::time::Duration;

use tinydancer_crds::routing_policy::RolloutState;
use tinydancer_e2e::{
    cluster::{Cluster, Fleet, eventually},
    prompts::PromptSet,
    traffic::Wish,
};

use crate::{RATE, assert_no_failure, one_step, reasons};

/// Seconds between two looks of the operator: a busy machine needs some to end it, and the trip is to come before the
/// lease ends.
const LOOK_SECONDS: u32 = 5;
/// The lease of a candidate's weight: five looks.
const LEASE: Duration = Duration::from_secs(25);

#[tokio::test]
async fn a_model_that_breaks_on_long_prompts_is_tripped_in_the_pod_without_an_operator() {
    let Some(cluster) = Cluster::for_tests("a pod trips a model alone").await else { return };
    let wish = one_step("trip", &["support-v2", "support-v4"], 50, 600);
    let fleet = Fleet::start(cluster, wish).await.unwrap();
    fleet.look_every(LOOK_SECONDS).await.unwrap();
    fleet.name_model("support-v4").await.unwrap();
    fleet.wait_for_state("support-v4", RolloutState::Canary).await.unwrap();

    // The last renewal comes after this, so the lease runs for longer than what is measured from here.
    let dead = tokio::time::Instant::now();
    fleet.scale_operator(0).await.unwrap();
    let long = Wish { rate_per_second: RATE, prompts: PromptSet::Long, ..fleet.wish() };
    fleet.send(long).await.unwrap();
    let routers = fleet.routers().await.unwrap();
    for router in &routers {
        eventually("the pod has tripped the model", LEASE, || async {
            let tripped = fleet.router_metric(router, "tinydancer_router_tripped_models", "").await?;
            anyhow::ensure!(tripped > 0.0, "{tripped}");
            Ok(())
        })
        .await
        .unwrap();
    }
    assert!(dead.elapsed() < LEASE, "the lease would have ended by itself: {:?}", dead.elapsed());
    assert_no_failure(&fleet).await;

    fleet.scale_operator(1).await.unwrap();
    fleet.wait_for_state("support-v4", RolloutState::RolledBack).await.unwrap();
    let policy = fleet.policy().await.unwrap();
    assert!(reasons(&policy, "support-v4").iter().any(|reason| reason == "PodTripped"), "{policy:?}");
    assert_no_failure(&fleet).await;
    fleet.stop().await.unwrap();
}
