use std::collections::BTreeMap;

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount},
    events::v1::Event,
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde_json::json;
use tinydancer_crds::{RouterModel, RoutingPolicy};
use tinydancer_e2e::cluster::{Cluster, Fleet, FleetWish};

use crate::{RATE, assert_no_failure, watch_nothing};

/// How often the operator is made to look, and the seconds after each look.
const LOOKS: u64 = 5;
const SECONDS_A_LOOK: u64 = 4;

#[tokio::test]
async fn a_settled_fleet_under_traffic_causes_no_write() {
    let Some(cluster) = Cluster::for_tests("a settled fleet causes no write").await else { return };
    let wish = FleetWish {
        name: "settled",
        models: &["support-v1", "support-v2"],
        rate_per_second: RATE,
        policy: json!({}),
    };
    let fleet = Fleet::start(cluster, wish).await.unwrap();
    fleet.wait_for_condition("support", "Reconciling", "False", "Settled").await.unwrap();
    // The models' own conditions follow the policy's.
    watch_nothing(3).await;

    let before = versions(&fleet).await;
    let (looks, writes) = measured(&fleet).await;
    assert!(!writes.is_empty(), "making the fleet took writes");
    for name in [
        "RoutingPolicy support",
        "RouterModel support-v1",
        "RouterModel support-v2",
        "StatefulSet support-router",
        "Service support",
        "Service support-routers",
        "ConfigMap support-router",
        "ConfigMap support-rollout-record",
        "Secret support-router-tls",
        "Secret support-router-credentials",
        "PodDisruptionBudget support-router",
        "NetworkPolicy support-router",
        "ServiceAccount support-router",
    ] {
        assert!(before.contains_key(name), "{name} in {before:?}");
    }
    assert!(before.keys().any(|name| name.starts_with("Event support.")), "{before:?}");
    let pods: Api<Pod> = Api::namespaced(fleet.cluster.client.clone(), &fleet.namespace);
    for look in 0..LOOKS {
        // A change of a pod lets the operator look at its policy, and is no reason to write anything.
        let touch = json!({ "metadata": { "annotations": { "touched": look.to_string() } } });
        pods.patch("support-router-0", &PatchParams::default(), &Patch::Merge(&touch)).await.unwrap();
        watch_nothing(SECONDS_A_LOOK).await;
    }
    let (later_looks, later_writes) = measured(&fleet).await;
    assert!(later_looks >= looks + LOOKS, "{looks} looks, then {later_looks}");
    assert_eq!(later_writes, writes);
    assert_eq!(versions(&fleet).await, before);

    fleet.replace_operator().await.unwrap();
    watch_nothing(SECONDS_A_LOOK).await;
    let (looks, writes) = measured(&fleet).await;
    assert!(looks > 0, "the new operator looked");
    assert_eq!(writes, Vec::<String>::new());
    assert_eq!(
        versions(&fleet).await,
        before,
        "an operator that just began finds everything as it should be"
    );
    assert_no_failure(&fleet).await;
    fleet.stop().await.unwrap();
}

/// How often the operator looked at the policy, and every write it counts but those to its Lease.
async fn measured(fleet: &Fleet) -> (u64, Vec<String>) {
    let metrics = fleet.operator_metrics().await.unwrap();
    let of_the_policy = "tinydancer_operator_reconciles_total{controller=\"policy\"";
    let looks = metrics
        .lines()
        .filter(|line| line.starts_with(of_the_policy))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum();
    let writes = metrics.lines().filter(|line| line.starts_with("tinydancer_operator_writes_total{"));
    let mut writes: Vec<_> =
        writes.filter(|line| !line.contains("kind=\"Lease\"")).map(str::to_owned).collect();
    writes.sort();
    (looks, writes)
}

/// What would change with a write, by object.
async fn versions(fleet: &Fleet) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    versions.extend(of::<RoutingPolicy>(fleet, version).await);
    versions.extend(of::<RouterModel>(fleet, version).await);
    versions.extend(of::<Service>(fleet, version).await);
    versions.extend(of::<ConfigMap>(fleet, version).await);
    versions.extend(of::<Secret>(fleet, version).await);
    versions.extend(of::<NetworkPolicy>(fleet, version).await);
    versions.extend(of::<ServiceAccount>(fleet, version).await);
    // Their status is written by Kubernetes' own controllers.
    versions.extend(of::<StatefulSet>(fleet, generation).await);
    versions.extend(of::<PodDisruptionBudget>(fleet, generation).await);
    // Those about the policy are the operator's; their names begin with the policy's and a dot.
    let events = of::<Event>(fleet, version).await;
    versions.extend(events.into_iter().filter(|(name, _)| name.starts_with("Event support.")));
    versions
}

fn version<K: Resource>(object: &K) -> String {
    object.meta().resource_version.clone().unwrap_or_default()
}

fn generation<K: Resource>(object: &K) -> String {
    format!("{:?}", (object.meta().generation, &object.meta().annotations, &object.meta().labels))
}

/// Objects named after the policy.
async fn of<K>(fleet: &Fleet, what: fn(&K) -> String) -> BTreeMap<String, String>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug,
    K: serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(fleet.cluster.client.clone(), &fleet.namespace);
    let objects = api.list(&ListParams::default()).await.unwrap().items;
    let ours = objects.into_iter().filter(|object| object.name_any().starts_with("support"));
    ours.map(|object| (format!("{} {}", K::kind(&()), object.name_any()), what(&object))).collect()
}
