use anyhow::ensure;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::json;
use tinydancer_crds::{Digest, router_model::SignatureSpec};
use tinydancer_e2e::cluster::{Cluster, Fleet, FleetWish, PATIENCE, eventually, model_bytes};

use crate::{RATE, assert_no_failure, watch_nothing};

const SECRET: &str = "
apiVersion: v1
kind: Secret
metadata: { name: model-signers }
stringData: { release.pub: PUBLIC }
";

#[tokio::test]
async fn a_tampered_artifact_and_a_wrong_signature_are_never_loaded() {
    let Some(cluster) = Cluster::for_tests("untrusted models are never loaded").await else { return };
    let wish =
        FleetWish { name: "untrusted", models: &["support-v1"], rate_per_second: RATE, policy: json!({}) };
    let fleet = Fleet::start(cluster, wish).await.unwrap();
    let good = model_bytes("support-v2").unwrap();
    let digest = Digest::of(&good);

    let mut tampered = good.clone();
    *tampered.last_mut().unwrap() ^= 1;
    fleet.add_model_as("tampered", &tampered, &digest.to_string(), None).await.unwrap();
    fleet.name_model("tampered").await.unwrap();
    refused(&fleet, "DigestMismatch").await;

    let key = SigningKey::from_bytes(&[7; 32]);
    let public = STANDARD.encode(key.verifying_key().as_bytes());
    fleet.cluster.apply(&SECRET.replace("PUBLIC", &public), &fleet.namespace).await.unwrap();
    let keys = json!([{ "id": "release", "secretRef": { "name": "model-signers", "key": "release.pub" } }]);
    fleet
        .add_model("support-v2", &good, Some(signature(&SigningKey::from_bytes(&[8; 32]), digest)))
        .await
        .unwrap();
    let trust = json!({ "requireSignature": true, "keys": keys });
    fleet
        .change_policy(&json!({ "spec": { "trust": trust, "model": { "name": "support-v2" } } }))
        .await
        .unwrap();
    refused(&fleet, "SignatureInvalid").await;
    assert_no_failure(&fleet).await;

    // The right signature heals it: what was refused was the signature, not the model.
    fleet.add_model("support-v2", &good, Some(signature(&key, digest))).await.unwrap();
    fleet.wait_for_state("support-v2", tinydancer_crds::routing_policy::RolloutState::Stable).await.unwrap();
    assert_no_failure(&fleet).await;
    fleet.stop().await.unwrap();
}

fn signature(key: &SigningKey, digest: Digest) -> SignatureSpec {
    let text = format!("tinydancer/model/v1\n{digest}\n2.0.0\n");
    SignatureSpec { key_id: "release".into(), ed25519: STANDARD.encode(key.sign(text.as_bytes()).to_bytes()) }
}

/// Waits until the policy says why it does not take the model, and checks that no pod ever scored with it.
async fn refused(fleet: &Fleet, reason: &str) {
    eventually(&format!("Stalled says {reason}"), PATIENCE, || async {
        let status = fleet.policy().await?.status.unwrap_or_default();
        let stalled = status.conditions.iter().find(|condition| condition.type_ == "Stalled");
        let named = stalled.is_some_and(|condition| condition.status == "True" && condition.reason == reason);
        ensure!(named, "{stalled:?}");
        Ok(())
    })
    .await
    .unwrap();
    watch_nothing(3).await;
    let status = fleet.policy().await.unwrap().status.unwrap();
    assert_eq!(status.stable.unwrap().name, "support-v1");
    let counts = fleet.counts().await.unwrap();
    assert_eq!(counts.by_arm.get("candidate"), None);
}
