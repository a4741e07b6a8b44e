//! Names, labels and owners.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use tinydancer_protocol::PolicyIdentity;

const NAME_LABEL: &str = "app.kubernetes.io/name";
const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";

/// The names of one fleet's objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names<'policy>(&'policy str);

impl<'policy> Names<'policy> {
    /// The names for the policy of this name.
    pub const fn of(policy: &'policy str) -> Self {
        Self(policy)
    }

    /// ConfigMap with the rollout record.
    pub fn record(self) -> String {
        format!("{}-rollout-record", self.0)
    }

    /// StatefulSet, ServiceAccount, PodDisruptionBudget, NetworkPolicy and boot ConfigMap.
    pub fn router(self) -> String {
        format!("{}-router", self.0)
    }

    /// Headless Service.
    pub fn headless(self) -> String {
        format!("{}-routers", self.0)
    }

    /// Client Service.
    pub fn client(self) -> String {
        self.0.to_owned()
    }

    /// Secret with the fleet's certificate.
    pub fn tls(self) -> String {
        format!("{}-router-tls", self.0)
    }

    /// Secret with the fleet's keys.
    pub fn credentials(self) -> String {
        format!("{}-router-credentials", self.0)
    }
}

/// What selects the pods of a fleet; it never changes, because a StatefulSet's selector cannot.
pub fn selector_labels(policy: &str) -> BTreeMap<String, String> {
    [(NAME_LABEL, "tiny-dancer-router"), (INSTANCE_LABEL, policy)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// The same as a query, for watches and the scale subresource.
pub fn selector(policy: &str) -> String {
    let pairs: Vec<String> =
        selector_labels(policy).into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

pub(super) fn label_selector(policy: &str) -> LabelSelector {
    LabelSelector { match_labels: Some(selector_labels(policy)), ..LabelSelector::default() }
}

pub(super) fn labels(policy: &str) -> BTreeMap<String, String> {
    let mut labels = selector_labels(policy);
    for (key, value) in [
        ("app.kubernetes.io/component", "router"),
        ("app.kubernetes.io/part-of", "tiny-dancer"),
        ("app.kubernetes.io/managed-by", "tiny-dancer-operator"),
    ] {
        labels.insert(key.to_owned(), value.to_owned());
    }
    labels
}

/// Metadata of an object that goes with the policy.
pub(super) fn owned(identity: &PolicyIdentity, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(identity.namespace.clone()),
        labels: Some(labels(&identity.name)),
        owner_references: Some(vec![owner(identity)]),
        ..ObjectMeta::default()
    }
}

pub(super) fn owner(identity: &PolicyIdentity) -> OwnerReference {
    OwnerReference {
        api_version: format!("{}/{}", tinydancer_crds::GROUP, tinydancer_crds::VERSION),
        kind: "RoutingPolicy".to_owned(),
        name: identity.name.clone(),
        uid: identity.uid.clone(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}
