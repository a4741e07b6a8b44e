//! What is there: everything the plan may look at, gathered by the controller's observe step.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::Serialize;
use tinydancer_crds::{Digest, ModelName, Problem, RoutingPolicyStatus, ValidPolicy, valid::Commands};
use tinydancer_protocol::{PolicyIdentity, Refusal, Report};

use crate::record::Record;

/// One RoutingPolicy as the API server gave it, its spec already checked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyInput {
    /// Namespace, name and uid.
    pub identity: PolicyIdentity,
    /// `metadata.generation`.
    pub generation: i64,
    /// Whether `metadata.deletionTimestamp` is set: then nothing is planned.
    pub being_deleted: bool,
    /// The checked spec, or everything that is wrong with it.
    pub spec: Result<ValidPolicy, Vec<Problem>>,
    /// What people asked for by annotation: they can abort whatever the spec says.
    pub commands: Commands,
}

/// The operator's own settings that a plan depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// Image of routers whose policy names none.
    pub router_image: String,
    /// Namespace of the operator: the only one besides the fleet that may reach control ports.
    pub operator_namespace: String,
    /// Seconds a candidate's weight holds without a new assignment; at least five poll intervals.
    pub lease_seconds: u32,
    /// Time between two assignments to a pod while a trial runs.
    pub poll_interval: Duration,
    /// The same when settled.
    pub settled_interval: Duration,
    /// How long no pod may report before a candidate with weight is paused.
    pub blind_limit: Duration,
}

/// The world around one policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Observed {
    /// The ConfigMap `<policy>-rollout-record`.
    pub record: ObservedRecord,
    /// Every RouterModel of the namespace whose name the policy gives or whose digest the record names; more do no
    /// harm.
    pub models: BTreeMap<ModelName, ObservedModel>,
    /// Digests whose bytes the operator has at hand and has verified: fetched, cached, or read back from the live
    /// boot ConfigMap.
    pub available: BTreeSet<Digest>,
    /// The status the policy has now; the default for none.
    pub status: RoutingPolicyStatus,
    /// Objects that exist under the names of [`crate::build::Names`], but for the record and the Secrets.
    pub children: Vec<LiveChild>,
    /// Secret `<policy>-router-tls`.
    pub tls: SecretState,
    /// Secret `<policy>-router-credentials`.
    pub credentials: SecretState,
    /// Files of keys whose `apiKeyRef` names a Secret or key that does not exist.
    pub missing_api_keys: BTreeSet<String>,
    /// The fleet's pods that are not being deleted.
    pub pods: Vec<ObservedPod>,
    /// The operator's own settings.
    pub settings: Settings,
}

/// The record as it was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum ObservedRecord {
    /// There is no ConfigMap of its name.
    Absent,
    /// Read by [`Record::read`].
    Present {
        /// What it says.
        record: Box<Record>,
        /// Its `metadata.resourceVersion`: a commit is refused where it has moved.
        resource_version: String,
        /// Whether it has an ownerReference to this policy.
        owned: bool,
    },
    /// It is there and cannot be read: nothing is written until somebody looks at it.
    Broken(String),
}

/// A RouterModel and what the operator found out about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ObservedModel {
    /// `spec.version`.
    pub version: String,
    /// `spec.digest`.
    pub digest: Digest,
    /// Whether the bytes are what the spec says.
    pub artifact: Artifact,
    /// The signature against this policy's keys.
    pub signature: SignatureCheck,
}

/// Whether an artifact's bytes are what the RouterModel says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Artifact {
    /// Not looked at yet, or being fetched.
    Pending,
    /// Fetched, of the right digest, and loadable.
    Verified,
    /// Not to be had, or not what the spec says.
    Failed {
        /// One of [`tinydancer_crds::conditions::reasons`].
        reason: &'static str,
        /// For people.
        message: String,
    },
}

/// A signature against the keys of one policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum SignatureCheck {
    /// Signed by a trusted key.
    Valid,
    /// The model carries none.
    Missing,
    /// Signed with a key that the policy does not name, or that cannot be read; the text says which and why.
    UnknownKey(String),
    /// The key is known and the signature does not fit.
    Invalid,
}

/// An object that exists under a name the fleet needs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LiveChild {
    /// Its kind, such as `StatefulSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Whether its controller ownerReference has this policy's uid.
    pub owned: bool,
    /// The object as the API server gave it. `binaryData` may be left out.
    pub object: serde_json::Value,
}

/// A Secret that the controller makes, against what it should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum SecretState {
    /// There is none of its name.
    Missing,
    /// It is the policy's and has to be written again: a certificate near its end, a key that changed.
    Outdated,
    /// It is the policy's and as it should be.
    Current,
    /// It belongs to somebody else.
    Taken,
}

/// A pod of the fleet and what was last heard from it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ObservedPod {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Whether its Ready condition is true.
    pub ready: bool,
    /// The last report it answered with, however old.
    pub report: Option<Report>,
    /// Since that report on the operator's monotonic clock; without one, since this operator first saw the pod.
    pub silent_for: Duration,
    /// Its refusal of the last assignment, where that is newer than the report.
    pub refusal: Option<Refusal>,
}
