use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Resource,
    api::{DeleteParams, ListParams},
    core::NamespaceResourceScope,
};
use serde_json::json;
use tinydancer_e2e::cluster::{Cluster, Fleet, FleetWish, PATIENCE, eventually};

#[tokio::test]
async fn a_policy_deleted_with_on_delete_delete_leaves_nothing() {
    let Some(cluster) = Cluster::for_tests("deletion leaves nothing").await else { return };
    let wish = FleetWish { name: "deleted", models: &["support-v1"], rate_per_second: 5, policy: json!({}) };
    let fleet = Fleet::start(cluster, wish).await.unwrap();
    let before = left(&fleet).await.unwrap();
    for kind in ["StatefulSet", "ConfigMap", "Secret", "Service", "PersistentVolumeClaim"] {
        assert!(before.iter().any(|name| name.starts_with(kind)), "{kind} in {before:?}");
    }
    fleet.policies().delete("support", &DeleteParams::default()).await.unwrap();
    eventually("nothing is left of the policy", PATIENCE, || async {
        let left = left(&fleet).await?;
        anyhow::ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await
    .unwrap();
    fleet.stop().await.unwrap();
}

/// Everything in the namespace that is named after the policy.
async fn left(fleet: &Fleet) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    names.extend(named::<StatefulSet>(fleet).await?);
    names.extend(named::<Pod>(fleet).await?);
    names.extend(named::<PersistentVolumeClaim>(fleet).await?);
    names.extend(named::<ConfigMap>(fleet).await?);
    names.extend(named::<Secret>(fleet).await?);
    names.extend(named::<Service>(fleet).await?);
    names.extend(named::<ServiceAccount>(fleet).await?);
    names.extend(named::<PodDisruptionBudget>(fleet).await?);
    names.extend(named::<NetworkPolicy>(fleet).await?);
    Ok(names)
}

async fn named<K>(fleet: &Fleet) -> anyhow::Result<Vec<String>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug,
    K: serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(fleet.cluster.client.clone(), &fleet.namespace);
    let objects = api.list(&ListParams::default()).await?.items;
    let names = objects.into_iter().filter_map(|object| object.meta().name.clone());
    // The models' own ConfigMaps are the user's and stay.
    let ours = names.filter(|name| name.contains("support") && !name.starts_with("support-v1"));
    Ok(ours.map(|name| format!("{} {name}", K::kind(&()))).collect())
}
