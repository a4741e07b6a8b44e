//! `RouterModel`: one immutable version of a routing model.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::routing_policy::{KeyReference, RolloutState, TransitionEntry, Verdict};

/// One immutable version of a routing model: what it is and where its artifact is found.
#[derive(CustomResource, KubeSchema, Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[kube(
    group = "routing.tinydancer.dev",
    version = "v1alpha1",
    kind = "RouterModel",
    doc = "RouterModel is one immutable version of a routing model: what it is and where its artifact is found.",
    namespaced,
    status = "RouterModelStatus",
    derive = "PartialEq",
    shortname = "rmodel",
    category = "routing",
    selectable = ".spec.digest",
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Policy", type_ = "string", json_path = ".status.policy"),
    printcolumn(name = "Step", type_ = "string", json_path = ".status.step"),
    printcolumn(name = "Weight", type_ = "integer", json_path = ".status.weightPercent"),
    printcolumn(name = "Verdict", type_ = "string", json_path = ".status.verdict"),
    printcolumn(name = "Uncertainty", type_ = "string", json_path = ".status.uncertainty"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        priority = 1
    ),
    printcolumn(name = "Digest", type_ = "string", json_path = ".spec.digest", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct RouterModelSpec {
    /// Version for people; signed together with the digest. It cannot be changed.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[0-9A-Za-z][0-9A-Za-z.+_-]*$"))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("`spec.version` may not be changed: make another RouterModel"))]
    pub version: String,

    /// sha256 of the artifact. It cannot be changed, and is checked on every hop.
    #[schemars(length(max = 71), regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("`spec.digest` may not be changed: make another RouterModel"))]
    pub digest: String,

    /// Where the artifact is found: exactly one of the fields.
    #[x_kube(validation = Rule::new("has(self.configMap) != has(self.https)")
        .message("`spec.source` must have exactly one of `configMap` and `https`"))]
    pub source: SourceSpec,

    /// Who vouches for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<SignatureSpec>,
}

/// Where an artifact is found: exactly one of the fields.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceSpec {
    /// A key of a ConfigMap's binaryData in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<KeyReference>,
    /// A file on a web server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<HttpsSpec>,
}

/// A file on a web server.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
pub struct HttpsSpec {
    /// Its address.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("isURL(self) && url(self).getScheme() == 'https' && url(self).getHost() != ''")
        .message("`spec.source.https.url` must be an https URL with a host"))]
    pub url: String,
}

/// A detached Ed25519 signature over digest and version.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignatureSpec {
    /// Name of the key, as policies trust it.
    #[schemars(length(min = 1, max = 63))]
    pub key_id: String,
    /// The 64 bytes of the signature in base64.
    #[schemars(length(max = 88), regex(pattern = "^[A-Za-z0-9+/]{86}==$"))]
    pub ed25519: String,
}

/// What the operator sees of a model, derived from the policies that name it.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RouterModelStatus {
    /// Generation of the spec this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Verified, Promoted, RolledBack, Reconciling, Stalled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Whether the artifact is what the spec says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<ArtifactState>,
    /// The highest of the states in the policies; the artifact's where no policy has tried it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The policy whose state is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Step and steps of its trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Share of that policy's traffic the model decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_percent: Option<i32>,
    /// What the evidence says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Mean uncertainty of its decisions, three decimals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncertainty: Option<String>,
    /// What the model is in each policy, at most 32 of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["policy"]))]
    pub rollouts: Vec<PolicyRollout>,
    /// Policies that have to do with the model, also those the list has no room for.
    pub rollouts_total: i32,
}

/// Whether an artifact can be trusted to be what it says.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum ArtifactState {
    /// Not looked at yet.
    Pending,
    /// Fetched, of the right digest, and loadable.
    Verified,
    /// Not to be had, or not what the spec says.
    Failed,
}

/// What a model is in one policy.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRollout {
    /// Name of the policy.
    pub policy: String,
    /// What the model is there.
    pub state: RolloutState,
    /// Why.
    pub reason: String,
    /// The same for people, with the numbers that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Step and steps of its trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Share of traffic it decides.
    pub weight_percent: i32,
    /// What the evidence says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Mean uncertainty of its decisions, three decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertainty: Option<String>,
    /// The last transitions of the model there, newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), extend("x-kubernetes-list-type" = "atomic"))]
    pub history: Vec<TransitionEntry>,
}
