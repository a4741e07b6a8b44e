//! The demo's story: a good model is promoted, an over-confident one is rolled back, and a client notices nothing.

mod summary;
mod table;

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use serde_json::json;
use tinydancer_crds::routing_policy::RolloutState;

use crate::cluster::{Cluster, Fleet, PATIENCE, eventually, model_bytes};

/// Where everything of the demo lives.
pub const NAMESPACE: &str = "demo";
/// Requests a second of the demo's client.
const RATE: u32 = 60;
/// Longest time a rollout of the sample's short steps may take on two busy cores.
const ROLLOUT: Duration = Duration::from_mins(4);
const PARTS: &str = include_str!("../../manifests/parts.yaml");
const POLICY: &str = include_str!("../../../config/samples/routingpolicy.yaml");

/// Plays the story on the cluster that `KUBECONFIG` names; the operator is installed already.
///
/// # Errors
/// What went wrong first, and where to look.
pub async fn run() -> Result<()> {
    let cluster = Cluster::connect().await?;
    wait_for_operator(&cluster).await?;
    // What an earlier demo left would be another story: its stable model is support-v2, and support-v3 is quarantined.
    cluster.remove_namespace(NAMESPACE).await?;
    cluster.make_namespace(NAMESPACE).await?;
    let fleet = Fleet { cluster, namespace: NAMESPACE.to_owned() };

    say(
        "two LLMs behind OpenAI-compatible endpoints, a steady client, and a fleet of two routers with support-v1",
    );
    fleet.cluster.apply(PARTS, NAMESPACE).await?;
    fleet.add_model("support-v1", &model_bytes("support-v1")?, None).await?;
    fleet.cluster.apply(POLICY, NAMESPACE).await?;
    fleet.open(RATE).await?;

    say("support-v2 was trained on more evidence: the policy names it, as a Git commit would");
    try_model(&fleet, "support-v2", RolloutState::Stable).await?;
    say(
        "support-v3 is too sure of itself: same model, doubled logits, and the loader has nothing to say against it",
    );
    try_model(&fleet, "support-v3", RolloutState::RolledBack).await?;

    summary::print(&fleet).await
}

fn say(text: &str) {
    println!("\n# {text}");
}

async fn wait_for_operator(cluster: &Cluster) -> Result<()> {
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), "tiny-dancer-system");
    eventually("the operator is available", PATIENCE, || async {
        let status = api.get("tiny-dancer-operator").await?.status.unwrap_or_default();
        match status.available_replicas {
            Some(available) if available > 0 => Ok(()),
            _ => bail!("{} of {} replicas", status.ready_replicas.unwrap_or(0), status.replicas.unwrap_or(0)),
        }
    })
    .await
}

/// Names a model and shows `kubectl get routermodels` whenever a line changes, until the model's trial has ended.
async fn try_model(fleet: &Fleet, name: &str, expected: RolloutState) -> Result<()> {
    fleet.add_model(name, &model_bytes(name)?, None).await?;
    fleet.name_model(name).await?;
    println!("$ kubectl -n {NAMESPACE} patch rpol support --type merge -p '{}'", model_patch(name));
    println!("$ kubectl -n {NAMESPACE} get routermodels --watch");
    let started = tokio::time::Instant::now();
    let mut shown = table::Shown::default();
    loop {
        shown.print_changes(fleet).await?;
        let status = fleet.policy().await?.status.unwrap_or_default();
        let state = status.models.iter().find(|entry| entry.name == name).map(|entry| entry.state);
        match state {
            Some(state) if state == expected => break,
            Some(RolloutState::Stable | RolloutState::RolledBack | RolloutState::Superseded) => {
                bail!("{name} ended as {state:?}, not as {expected:?}: {:?}", status.rollout)
            }
            _ if started.elapsed() > ROLLOUT => bail!("{name} is still {state:?}: {:?}", status.rollout),
            _ => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
    // The RouterModel's status follows the policy's.
    tokio::time::sleep(Duration::from_secs(2)).await;
    shown.print_changes(fleet).await?;
    let rollout =
        fleet.policy().await?.status.and_then(|status| status.rollout).context("no rollout in the status")?;
    println!("{name} is {expected:?} after {} s: {}", started.elapsed().as_secs(), rollout.reason);
    if let Some(message) = rollout.message {
        println!("  {message}");
    }
    Ok(())
}

fn model_patch(name: &str) -> serde_json::Value {
    json!({ "spec": { "model": { "name": name } } })
}
