//! Measurements on a real cluster that take too long for every run: `cargo xtask study rollouts` makes them. Each prints
//! what it saw.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are not marked as tests"
)]

mod api_server_away;
mod ten_pods_stop_at_once;

use serde_json::json;
use tinydancer_e2e::cluster::FleetWish;

/// Requests a second of each study's client.
const RATE: u32 = 40;

/// A fleet that runs support-v2, and whose trials have one step of 50 % without end.
fn endless_canary(name: &'static str, models: &'static [&'static str], replicas: i32) -> FleetWish {
    let steps = json!([{ "weightPercent": 50, "minSamples": 20, "minSeconds": 3600 }]);
    let policy = json!({ "spec": {
        "replicas": replicas,
        "model": { "name": "support-v2" },
        "stable": { "name": "support-v2" },
        "rollout": { "steps": steps },
    } });
    FleetWish { name, models, rate_per_second: RATE, policy }
}
