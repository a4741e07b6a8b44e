//! The pods, each with a volume for its history.

use k8s_openapi::{
    api::{
        apps::v1::{StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec},
        core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements},
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};
use tinydancer_crds::{ValidPolicy, routing_policy::OnDelete, valid::History};
use tinydancer_protocol::PolicyIdentity;

use super::{
    meta::{self, Names, selector_labels},
    pod,
};
use crate::record::TemplateInputs;

pub(super) fn build(identity: &PolicyIdentity, valid: &ValidPolicy, inputs: &TemplateInputs) -> StatefulSet {
    let names = Names::of(&identity.name);
    let when_deleted = match valid.history.on_delete {
        OnDelete::Retain => "Retain",
        OnDelete::Delete => "Delete",
    };
    StatefulSet {
        metadata: meta::owned(identity, names.router()),
        spec: Some(StatefulSetSpec {
            replicas: Some(i32::try_from(valid.fleet.replicas).unwrap_or(i32::MAX)),
            service_name: Some(names.headless()),
            pod_management_policy: Some("Parallel".to_owned()),
            selector: meta::label_selector(&identity.name),
            template: pod::template(identity, inputs, &valid.history.size),
            volume_claim_templates: Some(vec![claim(identity, &valid.history)]),
            persistent_volume_claim_retention_policy: Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: Some(when_deleted.to_owned()),
                // A fleet that shrinks for the night finds its history again in the morning.
                when_scaled: Some("Retain".to_owned()),
            }),
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}

/// Nothing in it may ever change: a StatefulSet refuses that.
fn claim(identity: &PolicyIdentity, history: &History) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(pod::HISTORY_VOLUME.to_owned()),
            labels: Some(selector_labels(&identity.name)),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: history.storage_class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), Quantity(history.size.clone()))].into()),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}
