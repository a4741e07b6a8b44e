use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer as _, SigningKey};
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Service};
use kube::{Api, api::DeleteParams};
use serde_json::{Value, json};
use tinydancer_crds::{
    Digest,
    conditions::{reasons as known, types},
    router_model::SignatureSpec,
};
use tinydancer_e2e::cluster::{Cluster, Fleet, FleetWish, PATIENCE, eventually, model_bytes};

use crate::{RATE, assert_no_failure, watch_nothing};

#[tokio::test]
async fn each_wrong_wish_says_what_to_do_and_the_fleet_goes_on_serving() {
    let Some(cluster) = Cluster::for_tests("wrong wishes have conditions").await else { return };
    let wish = FleetWish { name: "wrong", models: &["support-v1"], rate_per_second: RATE, policy: json!({}) };
    let fleet = Fleet::start(cluster, wish).await.unwrap();

    fleet.name_model("support-v9").await.unwrap();
    stalled(&fleet, known::MODEL_NOT_FOUND, &["spec.model.name", "support-v9", "create it"]).await;
    fleet.name_model("support-v1").await.unwrap();
    healed(&fleet).await;

    let candidates = serde_json::to_value(&fleet.policy().await.unwrap().spec.candidates).unwrap();
    let powerful: Vec<&Value> =
        candidates.as_array().unwrap().iter().filter(|one| one["tier"] == "Powerful").collect();
    change_candidates(&fleet, &json!(powerful)).await;
    stalled(&fleet, known::NO_CANDIDATE_OF_TIER, &["spec.candidates", "Lightweight", "add one"]).await;
    change_candidates(&fleet, &candidates).await;
    healed(&fleet).await;

    fleet.models().delete("support-v1", &DeleteParams::default()).await.unwrap();
    stalled(&fleet, known::MODEL_DELETED_IN_USE, &["support-v1", "serving goes on", "create it"]).await;
    fleet.add_model("support-v1", &model_bytes("support-v1").unwrap(), None).await.unwrap();
    healed(&fleet).await;

    let mut with_key = candidates.clone();
    for one in with_key.as_array_mut().unwrap().iter_mut().filter(|one| one["tier"] == "Lightweight") {
        one["apiKeyRef"] = json!({ "name": "upstream-keys", "key": "small" });
    }
    change_candidates(&fleet, &with_key).await;
    stalled(&fleet, known::API_KEY_NOT_FOUND, &["small", "apiKeyRef", "upstream-keys"]).await;
    fleet.cluster.apply(&secret("upstream-keys", "small", "not a real key"), &fleet.namespace).await.unwrap();
    healed(&fleet).await;
    fleet.stop().await.unwrap();
}

#[tokio::test]
async fn a_key_that_is_not_trusted_is_named_and_trusting_it_begins_the_trial() {
    let Some(cluster) = Cluster::for_tests("a key that is not trusted").await else { return };
    let wish =
        FleetWish { name: "stranger", models: &["support-v1"], rate_per_second: RATE, policy: json!({}) };
    let fleet = Fleet::start(cluster, wish).await.unwrap();
    let key = SigningKey::from_bytes(&[9; 32]);
    let public = STANDARD.encode(key.verifying_key().as_bytes());
    fleet.cluster.apply(&secret("signers", "stranger.pub", &public), &fleet.namespace).await.unwrap();

    let bytes = model_bytes("support-v2").unwrap();
    let text = format!("tinydancer/model/v1\n{}\n2.0.0\n", Digest::of(&bytes));
    let ed25519 = STANDARD.encode(key.sign(text.as_bytes()).to_bytes());
    let signature = SignatureSpec { key_id: "stranger".into(), ed25519 };
    fleet.add_model("support-v2", &bytes, Some(signature)).await.unwrap();
    let trust = |id: &str| {
        let keys = json!([{ "id": id, "secretRef": { "name": "signers", "key": "stranger.pub" } }]);
        json!({ "spec": { "trust": { "requireSignature": true, "keys": keys }, "model": { "name": "support-v2" } } })
    };
    fleet.change_policy(&trust("release")).await.unwrap();
    stalled(&fleet, known::UNKNOWN_KEY, &["support-v2", "stranger", "spec.trust.keys"]).await;
    assert_eq!(fleet.counts().await.unwrap().by_arm.get("candidate"), None);

    fleet.change_policy(&trust("stranger")).await.unwrap();
    let reason = known::ROLLOUT_IN_PROGRESS;
    fleet.wait_for_condition("support", types::RECONCILING, "True", reason).await.unwrap();
    fleet.wait_for_condition("support", types::STALLED, "False", known::SETTLED).await.unwrap();
    assert_no_failure(&fleet).await;
    fleet.stop().await.unwrap();
}

#[tokio::test]
async fn a_service_of_somebody_else_is_named_and_not_touched() {
    let Some(cluster) = Cluster::for_tests("a name that is taken").await else { return };
    let wish = FleetWish { name: "taken", models: &["support-v1"], rate_per_second: RATE, policy: json!({}) };
    let fleet = Fleet::start(cluster, wish).await.unwrap();
    let services: Api<Service> = Api::namespaced(fleet.cluster.client.clone(), &fleet.namespace);
    let sets: Api<StatefulSet> = Api::namespaced(fleet.cluster.client.clone(), &fleet.namespace);
    let foreign = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "billing" },
        "spec": { "selector": { "app": "billing" }, "ports": [{ "port": 80 }] },
    });
    let foreign = serde_json::from_value(foreign).unwrap();
    fleet.cluster.apply_object(&foreign, &fleet.namespace).await.unwrap();
    let before = services.get("billing").await.unwrap();

    let policy = json!({ "metadata": { "name": "billing" }, "spec": { "replicas": 1 } });
    fleet.apply_policy(&policy).await.unwrap();
    let reason = known::NAME_TAKEN;
    let message = fleet.wait_for_condition("billing", types::STALLED, "True", reason).await.unwrap();
    for part in ["Service 'billing'", "belongs to somebody else", "rename"] {
        assert!(message.contains(part), "{message}");
    }
    watch_nothing(3).await;
    assert_eq!(services.get("billing").await.unwrap(), before);
    assert!(sets.get_opt("billing-router").await.unwrap().is_none(), "nothing new is made");

    services.delete("billing", &DeleteParams::default()).await.unwrap();
    eventually("the Service is the policy's own", PATIENCE, || async {
        let service = services.get("billing").await?;
        let owners = service.metadata.owner_references.unwrap_or_default();
        anyhow::ensure!(owners.iter().any(|owner| owner.kind == "RoutingPolicy"), "{owners:?}");
        Ok(())
    })
    .await
    .unwrap();
    fleet.wait_for_condition("billing", types::STALLED, "False", known::SETTLED).await.unwrap();
    assert_no_failure(&fleet).await;
    fleet.stop().await.unwrap();
}

async fn change_candidates(fleet: &Fleet, candidates: &Value) {
    fleet.change_policy(&json!({ "spec": { "candidates": candidates } })).await.unwrap();
}

fn secret(name: &str, key: &str, value: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": { key: value },
    })
    .to_string()
}

/// Waits until the policy says what is wrong and what to do, and checks that the stable fleet serves meanwhile.
async fn stalled(fleet: &Fleet, reason: &str, parts: &[&str]) {
    let message = fleet.wait_for_condition("support", types::STALLED, "True", reason).await.unwrap();
    for part in parts {
        assert!(message.contains(part), "'{part}' in '{message}'");
    }
    fleet.wait_for_condition("support", types::RECONCILING, "False", reason).await.unwrap();
    fleet.wait_for_condition("support", types::READY, "True", known::SETTLED).await.unwrap();
    let before = fleet.counts().await.unwrap();
    watch_nothing(2).await;
    let after = fleet.counts().await.unwrap();
    assert!(after.answered > before.answered + 20, "{before:?} {after:?}");
    assert_eq!(after.failed, 0, "{after:?}");
}

/// Waits until nothing is wrong any more.
async fn healed(fleet: &Fleet) {
    fleet.wait_for_condition("support", types::STALLED, "False", known::SETTLED).await.unwrap();
    fleet.wait_for_condition("support", types::RECONCILING, "False", known::SETTLED).await.unwrap();
    let counts = fleet.counts().await.unwrap();
    assert_eq!(counts.failed, 0, "{counts:?}");
}
