use serde_json::json;
use tinydancer_e2e::{
    cluster::{Cluster, Fleet, FleetWish, PATIENCE, eventually},
    traffic::{Verified, VerifyWish, Wish},
};

use crate::{RATE, watch_nothing};

const KILLS: usize = 3;

#[tokio::test]
async fn a_router_killed_under_load_loses_no_acknowledged_feedback() {
    let Some(cluster) = Cluster::for_tests("feedback survives a killed router").await else { return };
    let wish = FleetWish { name: "feedback", models: &["support-v1"], rate_per_second: 0, policy: json!({}) };
    let fleet = Fleet::start(cluster, wish).await.unwrap();
    fleet.send(Wish { rate_per_second: RATE, feedback: true, ..fleet.wish() }).await.unwrap();
    for _ in 0..KILLS {
        watch_nothing(4).await;
        let routers = fleet.routers().await.unwrap();
        let victim = routers.first().expect("a fleet has routers");
        fleet.cluster.kill_pod(&fleet.namespace, victim).await.unwrap();
        fleet.wait_for_ready().await.unwrap();
    }
    watch_nothing(4).await;
    fleet.send(fleet.wish()).await.unwrap();
    // What asks an owner gives it other feedback, which must not come before what a peer still holds for it.
    for router in fleet.routers().await.unwrap() {
        eventually("peers have passed on what they hold", PATIENCE, || async {
            let waiting = fleet.router_metric(&router, "tinydancer_router_feedback_waiting", "").await?;
            anyhow::ensure!(waiting == 0.0, "{waiting}");
            Ok(())
        })
        .await
        .unwrap();
    }

    let wish = VerifyWish { domain: format!("support-routers.{}.svc", fleet.namespace), port: 8080 };
    let body = serde_json::to_vec(&wish).unwrap();
    let verified: Verified =
        eventually("every owner has the feedback it or a peer acknowledged", PATIENCE, || async {
            let path = "verify";
            let text = fleet
                .cluster
                .ask_pod(&fleet.namespace, "client", http::Method::POST, path, body.clone())
                .await?;
            let verified: Verified = serde_json::from_str(&text)?;
            anyhow::ensure!(verified.unanswered.is_empty(), "{verified:?}");
            Ok(verified)
        })
        .await
        .unwrap();
    assert!(verified.acknowledged > 200, "{verified:?}");
    assert_eq!(verified.kept, verified.acknowledged, "{verified:?}");
    fleet.stop().await.unwrap();
}
