//! The ConfigMap a pod boots with, and the record's.

use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use tinydancer_crds::{Digest, routing_policy::OnDelete};
use tinydancer_protocol::PolicyIdentity;

use super::meta::{self, Names};
use crate::{
    plan::Child,
    record::{RECORD_KEY, Record},
};

/// Key of the boot ConfigMap's `binaryData` that holds the stable model.
pub const MODEL_FILE: &str = "model.safetensors";
/// Key of the boot ConfigMap's `data` that holds the boot assignment.
pub const ASSIGNMENT_FILE: &str = "assignment.json";

/// Annotation with the digest of the boot ConfigMap's model.
pub(crate) const MODEL_ANNOTATION: &str = "routing.tinydancer.dev/model";

pub(super) fn boot(identity: &PolicyIdentity, record: &Record) -> Child {
    boot_with(identity, record, record.boot.stable.as_ref().map(|model| model.digest))
}

/// The same without the model's bytes, for a pod to take them from its volume or wait for them.
pub(crate) fn bare_boot(identity: &PolicyIdentity, record: &Record) -> Child {
    boot_with(identity, record, None)
}

fn boot_with(identity: &PolicyIdentity, record: &Record, model: Option<Digest>) -> Child {
    let mut metadata = meta::owned(identity, Names::of(&identity.name).router());
    metadata.annotations = model.map(|digest| [(MODEL_ANNOTATION.to_owned(), digest.to_string())].into());
    let config_map = ConfigMap {
        metadata,
        data: Some([(ASSIGNMENT_FILE.to_owned(), json(&record.boot))].into()),
        ..ConfigMap::default()
    };
    Child::Boot { config_map, model }
}

/// The record's object: without owner, so that it outlives the policy, unless the policy wants nothing to stay.
pub(crate) fn record_object(identity: &PolicyIdentity, record: &Record, on_delete: OnDelete) -> ConfigMap {
    let name = Names::of(&identity.name).record();
    let metadata = match on_delete {
        OnDelete::Delete => meta::owned(identity, name),
        OnDelete::Retain => ObjectMeta { owner_references: None, ..meta::owned(identity, name) },
    };
    ConfigMap { metadata, data: Some([(RECORD_KEY.to_owned(), json(record))].into()), ..ConfigMap::default() }
}

fn json<T: serde::Serialize>(value: &T) -> String {
    // Structs with string keys and finite numbers always serialise.
    serde_json::to_string(value).unwrap_or_default()
}
