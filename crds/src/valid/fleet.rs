//! The parts of a checked policy that only the operator acts on.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ResourceRequirements, Toleration};
use serde::Serialize;

use crate::routing_policy::{KeyReference, OnDeadline, OnDelete, TrustedKey};

/// Whose signatures make a model acceptable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trust {
    /// Keys, each in a Secret.
    pub keys: Vec<TrustedKey>,
    /// Whether an unsigned model is refused.
    pub require_signature: bool,
}

/// How a new model is tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// Before any exposure.
    pub shadow: Shadow,
    /// Shares of traffic, never falling; at least one.
    pub steps: Vec<Step>,
    /// Seconds without progress after which a step's deadline has passed.
    pub step_deadline_seconds: u64,
    /// What happens then.
    pub on_deadline: OnDeadline,
}

/// Minimums in the shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shadow {
    /// Pairs scored over all pods.
    pub min_samples: u64,
    /// Seconds.
    pub min_seconds: u64,
}

/// One share of traffic with its own minimums; nothing is left out any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Share of traffic, 1 to 100.
    pub weight_percent: u8,
    /// Requests the candidate decides in this step over all pods.
    pub min_samples: u64,
    /// Seconds.
    pub min_seconds: u64,
}

/// How the pods are run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fleet {
    /// Router pods.
    pub replicas: u32,
    /// Image, where not the operator's own choice.
    pub image: Option<String>,
    /// Resources of the container.
    pub resources: Option<ResourceRequirements>,
    /// Labels of usable nodes.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that are tolerated.
    pub tolerations: Vec<Toleration>,
    /// Where each candidate's key is found, by candidate.
    pub api_keys: BTreeMap<String, KeyReference>,
}

/// The fleet's memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// Size of each volume, as the API server takes it.
    pub size: String,
    /// Class; `None` is the cluster's default.
    pub storage_class_name: Option<String>,
    /// What becomes of it.
    pub on_delete: OnDelete,
}

/// What people asked for by annotation. Each acts once; a value that names another attempt is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Commands {
    /// Attempt to abort.
    pub abort: Option<u64>,
    /// Attempt to promote.
    pub promote: Option<u64>,
    /// Token that lifts a quarantine.
    pub retry: Option<String>,
}
