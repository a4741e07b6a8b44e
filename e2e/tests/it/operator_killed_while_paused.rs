use serde_json::{Value, json};
use tinydancer_crds::{conditions::reasons as known, routing_policy::RolloutState};
use tinydancer_e2e::cluster::{Cluster, Fleet, FleetWish, PATIENCE, eventually};

use crate::{RATE, assert_no_failure, assert_share, reasons, watch_nothing};

const WEIGHT: i32 = 25;

async fn start(name: &'static str, models: &'static [&'static str], min_seconds: u64) -> Option<Fleet> {
    let cluster = Cluster::for_tests("an operator killed while a trial waits or gives way").await?;
    let steps = json!([{ "weightPercent": WEIGHT, "minSamples": 20, "minSeconds": min_seconds }]);
    let policy: Value = json!({ "spec": { "rollout": { "steps": steps } } });
    let fleet =
        Fleet::start(cluster, FleetWish { name, models, rate_per_second: RATE, policy }).await.unwrap();
    fleet.name_model("support-v2").await.unwrap();
    fleet.wait_for_state("support-v2", RolloutState::Canary).await.unwrap();
    Some(fleet)
}

#[tokio::test]
async fn a_paused_trial_keeps_its_weight_when_the_operator_is_killed() {
    let Some(fleet) = start("paused", &["support-v1", "support-v2"], 6).await else { return };
    pause(&fleet, true).await;
    fleet.wait_for_state("support-v2", RolloutState::Paused).await.unwrap();
    let before = fleet.policy().await.unwrap().status.unwrap().rollout.unwrap();
    fleet.replace_operator().await.unwrap();

    // Longer than the step would have lasted; the new operator renews the weight and does not raise it.
    watch_nothing(2).await;
    let counts = fleet.counts().await.unwrap();
    for _ in 0..8 {
        watch_nothing(1).await;
        let rollout = fleet.policy().await.unwrap().status.unwrap().rollout.unwrap();
        assert_eq!(rollout.state, RolloutState::Paused, "{rollout:?}");
        assert_eq!((rollout.weight_percent, rollout.attempt), (WEIGHT, before.attempt), "{rollout:?}");
    }
    let later = fleet.counts().await.unwrap();
    let during = |arm: &str| later.by_arm.get(arm).unwrap_or(&0) - counts.by_arm.get(arm).unwrap_or(&0);
    assert_share(during("candidate"), during("stable"), WEIGHT);

    pause(&fleet, false).await;
    fleet.wait_for_state("support-v2", RolloutState::Stable).await.unwrap();
    let reasons = reasons(&fleet.policy().await.unwrap(), "support-v2");
    for reason in [known::CANARY_STEP_STARTED, known::PAUSED, known::RESUMED, known::PROMOTED] {
        assert_eq!(reasons.iter().filter(|seen| *seen == reason).count(), 1, "{reason} in {reasons:?}");
    }
    assert_no_failure(&fleet).await;
    fleet.stop().await.unwrap();
}

#[tokio::test]
async fn a_superseded_model_never_gets_weight_again_when_the_operator_is_killed() {
    let models = &["support-v1", "support-v2", "support-v4"];
    let Some(fleet) = start("superseded", models, 600).await else { return };
    fleet.name_model("support-v4").await.unwrap();
    eventually("support-v2 gives way", PATIENCE, || weight_of_v2(&fleet)).await.unwrap();
    fleet.kill_operator().await.unwrap();

    eventually("support-v4 is in Canary", PATIENCE, || async {
        weight_of_v2(&fleet).await.expect("a superseded model has no weight");
        let rollout = fleet.policy().await?.status.unwrap_or_default().rollout;
        let there = rollout.as_ref().is_some_and(|rollout| {
            rollout.model.name == "support-v4" && rollout.state == RolloutState::Canary
        });
        anyhow::ensure!(there, "{rollout:?}");
        Ok(())
    })
    .await
    .unwrap();
    weight_of_v2(&fleet).await.unwrap();
    let policy = fleet.policy().await.unwrap();
    let reasons = reasons(&policy, "support-v2");
    let gave_way = reasons.iter().position(|reason| reason == known::SUPERSEDED).expect("it gave way");
    let after = reasons.get(gave_way + 1..).unwrap_or_default();
    assert!(after.iter().all(|reason| reason == known::RELEASED), "{reasons:?}");
    let status = policy.status.unwrap();
    assert_eq!(status.stable.unwrap().name, "support-v1");
    assert_eq!(status.quarantined, Vec::<String>::new(), "giving way is no judgement");
    assert_no_failure(&fleet).await;
    fleet.stop().await.unwrap();
}

async fn pause(fleet: &Fleet, paused: bool) {
    fleet.change_policy(&json!({ "spec": { "paused": paused } })).await.unwrap();
}

/// Good once support-v2 is Superseded and has no weight.
async fn weight_of_v2(fleet: &Fleet) -> anyhow::Result<()> {
    let status = fleet.policy().await?.status.unwrap_or_default();
    let entry = status.models.iter().find(|entry| entry.name == "support-v2");
    let gone =
        entry.is_some_and(|entry| entry.state == RolloutState::Superseded && entry.weight_percent == 0);
    anyhow::ensure!(gone, "{entry:?}");
    Ok(())
}
