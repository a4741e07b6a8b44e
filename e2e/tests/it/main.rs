//! Behaviours of the whole system on a real cluster, one file each. `cargo xtask test` brings the cluster up; without
//! one each test says NOT RUN.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are not marked as tests"
)]

mod abort_and_retry;
mod approval_by_hand;
mod audits_move_the_threshold;
mod bad_manifests_are_refused;
mod broken_stable_model_is_left_in_the_watch;
mod deletion_leaves_nothing;
mod exploration_and_drift_are_seen;
mod feedback_survives_a_killed_router;
mod git_revert_ends_the_trial;
mod good_model_is_promoted;
mod lost_status_is_rebuilt;
mod no_traffic_decides_nothing;
mod operator_killed_in_each_state;
mod operator_killed_while_paused;
mod over_confident_model_is_rolled_back;
mod pod_trips_alone;
mod rebuilt_cluster_starts_in_the_shadow;
mod settled_fleet_causes_no_write;
mod trail_explains_each_transition;
mod untrusted_models_are_never_loaded;
mod wrong_wishes_have_conditions;

use std::time::Duration;

use serde_json::{Value, json};
use tinydancer_crds::RoutingPolicy;
use tinydancer_e2e::cluster::{Fleet, FleetWish, PATIENCE, eventually};

/// Requests a second that every fleet gets: enough for evidence in seconds, little enough for several fleets on two
/// cores.
const RATE: u32 = 40;

/// Share of answers that the candidate decided must lie within this many standard deviations of the weight.
const SIGMAS: f64 = 4.5;

/// A fleet whose trials have one step of this weight that lasts at least this long.
fn one_step(
    name: &'static str,
    models: &'static [&'static str],
    weight_percent: i32,
    min_seconds: u64,
) -> FleetWish {
    let steps = json!([{ "weightPercent": weight_percent, "minSamples": 20, "minSeconds": min_seconds }]);
    let first = models.first().copied().unwrap_or_default();
    let policy = json!({ "spec": {
        "model": { "name": first },
        "stable": { "name": first },
        "rollout": { "steps": steps },
    } });
    FleetWish { name, models, rate_per_second: RATE, policy }
}

/// The wish with changes of its policy.
fn changed(mut wish: FleetWish, changes: &Value) -> FleetWish {
    tinydancer_e2e::cluster::merge(&mut wish.policy, changes);
    wish
}

/// Sets an annotation of the policy.
async fn annotate(fleet: &Fleet, annotation: &str, value: &str) {
    fleet.change_policy(&json!({ "metadata": { "annotations": { annotation: value } } })).await.unwrap();
}

/// Checks that a share of decisions fits a weight.
fn assert_share(candidate: u64, stable: u64, weight_percent: i32) {
    let total = (candidate + stable) as f64;
    let weight = f64::from(weight_percent) / 100.0;
    let deviation = (total * weight * (1.0 - weight)).sqrt();
    let distance = (candidate as f64 - total * weight).abs();
    assert!(
        distance <= SIGMAS * deviation.max(1.0),
        "{candidate} of {total} decisions are {:.1} standard deviations from {weight_percent} %",
        distance / deviation
    );
}

/// Checks that no request failed and at least some were answered.
async fn assert_no_failure(fleet: &Fleet) {
    // A test may be over before much was asked.
    let counts = eventually("there was traffic", PATIENCE, || async {
        let counts = fleet.counts().await?;
        anyhow::ensure!(counts.failed > 0 || counts.answered > 100, "{counts:?}");
        Ok(counts)
    })
    .await
    .unwrap();
    assert_eq!(counts.failed, 0, "{counts:?}");
}

/// Reasons of the transitions that the policy remembers for a model.
fn reasons(policy: &RoutingPolicy, model: &str) -> Vec<String> {
    let history = policy.status.iter().flat_map(|status| &status.history);
    history.filter(|entry| entry.name == model).map(|entry| entry.reason.clone()).collect()
}

/// Lets time pass where nothing is expected to happen.
async fn watch_nothing(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
