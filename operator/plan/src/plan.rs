//! What is to be done, as a value that can be compared and printed.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{ConfigMap, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::Serialize;
use tinydancer_crds::{Digest, RoutingPolicyStatus, routing_policy::KeyReference};
use tinydancer_protocol::Assignment;

use crate::record::Record;

/// The outcome of one look at one policy. Carried out in this order: commit, status, events, actions. Where the
/// commit is refused, nothing of the rest is done and the policy is looked at again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The record to write first; `None` where it stands as it is.
    pub commit: Option<Commit>,
    /// The whole status; to be written only where it is not equal to the one observed.
    pub status: RoutingPolicyStatus,
    /// What happened, for people; only with a commit.
    pub events: Vec<Event>,
    /// What to do, in this order. One that fails does not keep the later ones from being tried.
    pub actions: Vec<Action>,
    /// When to look again even if nothing happens.
    pub wake: Duration,
}

/// A new record and what it replaces.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Commit {
    /// What to write.
    pub record: Record,
    /// The resourceVersion it replaces; `None` creates it, and fails where it exists.
    pub replaces: Option<String>,
    /// The object to write, complete.
    pub object: ConfigMap,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Action {
    /// Make an object that does not exist (POST, never a patch).
    Create(Child),
    /// Bring the policy's own object to this (server-side apply).
    Apply(Child),
    /// Make or renew the Secret with the fleet's certificate.
    EnsureTls(TlsRequest),
    /// Make or renew the Secret with the fleet's feedback key and the keys of upstreams and grader.
    EnsureCredentials(CredentialsRequest),
    /// Hand a model's bytes to a pod that lacks them.
    PutModel {
        /// To whom.
        pod: PodReference,
        /// Which.
        digest: Digest,
    },
    /// Tell a pod what to do and hear its report.
    PutAssignment {
        /// To whom.
        pod: PodReference,
        /// What.
        assignment: Box<Assignment>,
    },
}

/// A pod beyond doubt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PodReference {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// An object of the fleet, complete with labels, owner and namespace.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Child {
    /// The identity of the pods; it may do nothing.
    ServiceAccount(ServiceAccount),
    /// What a pod boots with. The bytes of `model`, where there is one, have to be put into `binaryData` under
    /// [`crate::build::MODEL_FILE`].
    Boot {
        /// The object without `binaryData`.
        config_map: ConfigMap,
        /// The stable model.
        model: Option<Digest>,
    },
    /// The headless or the client Service.
    Service(Box<Service>),
    /// The pods.
    StatefulSet(Box<StatefulSet>),
    /// How many may be missing.
    PodDisruptionBudget(PodDisruptionBudget),
    /// Who may reach them.
    NetworkPolicy(NetworkPolicy),
}

/// The certificate of a fleet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TlsRequest {
    /// Name, namespace, labels and owner of the Secret.
    pub metadata: ObjectMeta,
    /// The certificate's DNS name.
    pub server_name: String,
    /// The certificate's URI.
    pub uri: String,
}

/// The keys of a fleet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CredentialsRequest {
    /// Name, namespace, labels and owner of the Secret.
    pub metadata: ObjectMeta,
    /// Where each key of an upstream, or of the grader, is found, by the file it is written as.
    pub keys: BTreeMap<String, KeyReference>,
}

/// How loud an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum EventKind {
    /// As it should be.
    Normal,
    /// Somebody should look.
    Warning,
}

/// A transition, for people. It regards the policy; `model` is the related RouterModel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// How loud.
    pub kind: EventKind,
    /// One of [`tinydancer_crds::conditions::reasons`].
    pub reason: &'static str,
    /// What happened, with the numbers that decided.
    pub message: String,
    /// Name of the RouterModel it is about.
    pub model: String,
}

/// An event that the record tells of beside the rollout's transitions. Made from the record alone, so that the next operator
/// can tell what the last one did not come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What is told.
    pub event: Event,
    /// When it happened.
    pub since: Timestamp,
    /// What tells it from every other one of the policy.
    pub occasion: String,
}

impl Child {
    /// The object as JSON, with `apiVersion` and `kind`.
    pub fn to_value(&self) -> serde_json::Value {
        let value = match self {
            Self::ServiceAccount(object) => serde_json::to_value(object),
            Self::Boot { config_map, .. } => serde_json::to_value(config_map),
            Self::Service(object) => serde_json::to_value(object),
            Self::StatefulSet(object) => serde_json::to_value(object),
            Self::PodDisruptionBudget(object) => serde_json::to_value(object),
            Self::NetworkPolicy(object) => serde_json::to_value(object),
        };
        // Objects built from strings and integers always serialise.
        value.unwrap_or_default()
    }

    pub(crate) const fn metadata_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::ServiceAccount(object) => &mut object.metadata,
            Self::Boot { config_map, .. } => &mut config_map.metadata,
            Self::Service(object) => &mut object.metadata,
            Self::StatefulSet(object) => &mut object.metadata,
            Self::PodDisruptionBudget(object) => &mut object.metadata,
            Self::NetworkPolicy(object) => &mut object.metadata,
        }
    }
}
