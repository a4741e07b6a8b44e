use serde_json::json;
use tinydancer_crds::routing_policy::RolloutState;
use tinydancer_e2e::cluster::{Cluster, Fleet, FleetWish, PATIENCE, eventually};

use crate::{RATE, assert_no_failure, reasons};

/// What a good model goes through; each entry is a moment at which the operator is killed.
const TRIAL: [RolloutState; 4] =
    [RolloutState::Staging, RolloutState::Shadow, RolloutState::Canary, RolloutState::Promoting];

#[tokio::test]
async fn an_operator_killed_in_each_state_ends_as_one_that_was_not() {
    let Some(cluster) = Cluster::for_tests("an operator killed in each state").await else { return };
    let wish = FleetWish {
        name: "killed",
        models: &["support-v1", "support-v2"],
        rate_per_second: RATE,
        policy: json!({}),
    };
    let fleet = Fleet::start(cluster, wish).await.unwrap();
    fleet.name_model("support-v2").await.unwrap();
    for state in TRIAL {
        // A state may be over before it is seen; then the kill comes in the next one.
        kill_in(&fleet, "support-v2", state).await;
    }
    fleet.wait_for_state("support-v2", RolloutState::Stable).await.unwrap();
    let policy = fleet.policy().await.unwrap();
    let reasons = reasons(&policy, "support-v2");
    let count = |reason: &str| reasons.iter().filter(|seen| *seen == reason).count();
    for reason in ["TrialStarted", "ShadowStarted", "Promoting", "Promoted"] {
        assert_eq!(count(reason), 1, "{reason} in {reasons:?}");
    }
    assert_eq!(count("CanaryStepStarted"), 2, "no step twice: {reasons:?}");
    assert_no_failure(&fleet).await;

    // And back: the same in the states of a roll-back.
    fleet
        .add_model("support-v3", &tinydancer_e2e::cluster::model_bytes("support-v3").unwrap(), None)
        .await
        .unwrap();
    fleet.name_model("support-v3").await.unwrap();
    for state in [RolloutState::Shadow, RolloutState::RollingBack] {
        kill_in(&fleet, "support-v3", state).await;
    }
    fleet.wait_for_state("support-v3", RolloutState::RolledBack).await.unwrap();
    assert_no_failure(&fleet).await;
    fleet.stop().await.unwrap();
}

/// Kills the operator as soon as the model is seen in the state or past it.
async fn kill_in(fleet: &Fleet, model: &str, state: RolloutState) {
    eventually(&format!("{model} is in {state:?} or past it"), PATIENCE, || async {
        let status = fleet.policy().await?.status.unwrap_or_default();
        let entry = status.models.iter().find(|entry| entry.name == model);
        let seen = entry.is_some_and(|entry| order(entry.state) >= order(state));
        anyhow::ensure!(seen, "{entry:?}");
        Ok(())
    })
    .await
    .unwrap();
    fleet.kill_operator().await.unwrap();
}

fn order(state: RolloutState) -> u8 {
    match state {
        RolloutState::Staging => 0,
        RolloutState::Shadow => 1,
        RolloutState::Canary | RolloutState::Paused => 2,
        RolloutState::Promoting | RolloutState::RollingBack => 3,
        RolloutState::Stable | RolloutState::RolledBack | RolloutState::Superseded => 4,
    }
}
