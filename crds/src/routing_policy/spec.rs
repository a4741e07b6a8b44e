//! What people ask of a fleet.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{ResourceRequirements, Toleration},
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AuditSpec, ExploreSpec, RolloutSpec, RoutingPolicyStatus};

/// A fleet of LLM routers: which RouterModel it should run, which LLMs it may send to, how it decides, and how a
/// new model is tried before it is trusted.
#[derive(CustomResource, KubeSchema, Deserialize, Serialize, Clone, Debug, PartialEq)]
#[kube(
    group = "routing.tinydancer.dev",
    version = "v1alpha1",
    kind = "RoutingPolicy",
    doc = "RoutingPolicy is a fleet of LLM routers: which RouterModel it should run, which LLMs it may send to, how it decides, and how a new model is tried before it is trusted.",
    namespaced,
    status = "RoutingPolicyStatus",
    derive = "PartialEq",
    shortname = "rpol",
    category = "routing",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    validation = Rule::new("self.metadata.name.size() <= 40")
        .message("`metadata.name` must have at most 40 characters: the names of the fleet's objects are made from it"),
    printcolumn(name = "Model", type_ = "string", json_path = ".spec.model.name"),
    printcolumn(name = "Stable", type_ = "string", json_path = ".status.stable.name"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.rollout.state"),
    printcolumn(name = "Step", type_ = "string", json_path = ".status.rollout.step"),
    printcolumn(name = "Weight", type_ = "integer", json_path = ".status.rollout.weightPercent"),
    printcolumn(name = "Verdict", type_ = "string", json_path = ".status.rollout.verdict"),
    printcolumn(name = "Routers", type_ = "string", json_path = ".status.fleet"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct RoutingPolicySpec {
    /// Router pods of the fleet.
    #[serde(default = "defaults::replicas")]
    #[schemars(range(min = 1, max = 100))]
    pub replicas: i32,

    /// The RouterModel, in this namespace, that the fleet should run. A model that was not promoted here before
    /// is tried first.
    pub model: ModelReference,

    /// The RouterModel to trust where nothing is recorded, as on a rebuilt cluster. Without it a new fleet sends
    /// everything to the Powerful tier until its first model has passed a trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<ModelReference>,

    /// Whose signatures make a model acceptable.
    #[serde(default)]
    #[x_kube(validation = Rule::new("!self.requireSignature || self.keys.size() > 0")
        .message("`spec.trust.keys` must name at least one key where `requireSignature` is true"))]
    pub trust: Trust,

    /// The LLMs that requests may be sent to.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub candidates: Vec<CandidateSpec>,

    /// How a prompt is turned into a tier.
    #[x_kube(validation = Rule::new("has(self.risk) != has(self.thresholds)")
        .message("`spec.decision` must have exactly one of `risk` and `thresholds`"))]
    pub decision: DecisionSpec,

    /// When an upstream that fails is left alone, and for how long.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self.maxOpenSeconds >= self.openSeconds")
        .message("`spec.breaker.maxOpenSeconds` must not be less than `openSeconds`"))]
    pub breaker: BreakerSpec,

    /// How a new model is tried.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self.steps.map(step, step.weightPercent).isSorted()")
        .message("`spec.rollout.steps` must not fall in `weightPercent`"))]
    pub rollout: RolloutSpec,

    /// Requests that both tiers answer and a grader compares: what the promise of `decision.risk` is checked by and, once
    /// there are enough, kept by.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self.permille == 0 || has(self.grader)")
        .message("`spec.audit.grader` must be there where `permille` is more than 0"))]
    pub audit: AuditSpec,

    /// Requests that go to the other tier than was decided.
    #[serde(default)]
    pub explore: ExploreSpec,

    /// Where each router keeps what it decided. Size and class cannot be changed later.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self.size == oldSelf.size")
        .message("`spec.history.size` may not be changed: volumes do not follow"))]
    #[x_kube(validation = Rule::new("self.storageClassName == oldSelf.storageClassName")
        .message("`spec.history.storageClassName` may not be changed: volumes do not follow"))]
    pub history: HistorySpec,

    /// How the router pods are run.
    #[serde(default)]
    pub template: TemplateSpec,

    /// Stops the growth of a trial's exposure. Guards go on, and so does routing.
    #[serde(default)]
    pub paused: bool,
}

/// A RouterModel in the same namespace.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct ModelReference {
    /// Name of the RouterModel.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Keys that may sign models, and whether they must.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trust {
    /// Public keys that are trusted.
    #[serde(default)]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub keys: Vec<TrustedKey>,

    /// Whether a model without a signature by one of the keys is refused.
    #[serde(default)]
    pub require_signature: bool,
}

/// One public key.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrustedKey {
    /// The name that a RouterModel's signature gives as `keyId`.
    #[schemars(length(min = 1, max = 63))]
    pub id: String,
    /// The Secret that holds the Ed25519 public key, PEM or 32 bytes in base64.
    pub secret_ref: KeyReference,
}

/// One key of one Secret, or of one ConfigMap where that is said, in the same namespace.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct KeyReference {
    /// Name of the Secret or ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key inside it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// The two tiers a request can be sent to.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
pub enum Tier {
    /// Cheap and fast, good enough for most prompts.
    Lightweight,
    /// Strong and dear.
    Powerful,
}

/// One LLM behind an OpenAI-compatible endpoint.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CandidateSpec {
    /// Name of the candidate, unique in the policy.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// The tier it serves.
    pub tier: Tier,
    /// Base URL of its OpenAI-compatible API, such as `http://small.llm.svc/v1`.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != ''")
        .message("`endpoint` must be an http or https URL with a host"))]
    pub endpoint: String,
    /// The model's name at that endpoint.
    #[schemars(length(min = 1, max = 256))]
    pub model: String,
    /// What it costs.
    pub cost: CostSpec,
    /// The key sent to it as a bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_ref: Option<KeyReference>,
}

/// Prices in dollars, as decimal text.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CostSpec {
    /// Dollars for a million input tokens, with at most six decimals.
    #[schemars(length(min = 1, max = 16), regex(pattern = r"^[0-9]{1,7}(\.[0-9]{1,6})?$"))]
    pub input_per_million_tokens: String,
    /// Dollars for a million output tokens, with at most six decimals.
    #[schemars(length(min = 1, max = 16), regex(pattern = r"^[0-9]{1,7}(\.[0-9]{1,6})?$"))]
    pub output_per_million_tokens: String,
}

/// How a prompt is turned into a tier: exactly one of the fields.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct DecisionSpec {
    /// By the quality one is ready to lose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<RiskSpec>,
    /// By the confidence of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<ThresholdsSpec>,
}

/// Decide by the mean loss of quality, against sending everything to Powerful, that is acceptable.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct RiskSpec {
    /// Acceptable mean loss in thousandths of the quality scale.
    #[schemars(range(min = 0, max = 1000))]
    pub permille: i32,
}

/// Decide by the confidence that Lightweight is good enough.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.fallbackPermille <= self.confidencePermille")
    .message("`spec.decision.thresholds.fallbackPermille` must not be more than `confidencePermille`"))]
pub struct ThresholdsSpec {
    /// From here on: Lightweight.
    #[schemars(range(min = 0, max = 1000))]
    pub confidence_permille: i32,
    /// From here on: Lightweight with Powerful as fallback; below: Powerful.
    #[schemars(range(min = 0, max = 1000))]
    pub fallback_permille: i32,
}

/// Circuit breaker of each upstream.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BreakerSpec {
    /// Failures in a row that open the breaker.
    #[schemars(range(min = 1, max = 1000))]
    pub consecutive_failures: i32,
    /// Share of failed requests, in thousandths, over the last ten seconds that opens the breaker.
    #[schemars(range(min = 1, max = 1000))]
    pub failure_rate_permille: i32,
    /// Whether the share must also be far above what is usual of the upstream: its lower bound (97.5 %) then has to be more than
    /// `failureRatePermille` and more than three times the share of the last hours.
    pub adaptive: bool,
    /// Requests in the last ten seconds below which the share says nothing.
    #[schemars(range(min = 1, max = 100_000))]
    pub minimum_requests: i32,
    /// How long the breaker stays open the first time; doubled each time after.
    #[schemars(range(min = 1, max = 3600))]
    pub open_seconds: i32,
    /// Longest time it stays open.
    #[schemars(range(min = 1, max = 86400))]
    pub max_open_seconds: i32,
    /// Requests let through to find out whether the upstream is back; all must succeed.
    #[schemars(range(min = 1, max = 100))]
    pub half_open_probes: i32,
}

impl Default for BreakerSpec {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            failure_rate_permille: 500,
            adaptive: false,
            minimum_requests: 20,
            open_seconds: 5,
            max_open_seconds: 300,
            half_open_probes: 3,
        }
    }
}

/// Where each router keeps its decisions, feedback and evidence.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HistorySpec {
    /// Size of each router's volume.
    pub size: Quantity,
    /// Class of the volume; empty is the cluster's default.
    #[schemars(length(max = 253))]
    pub storage_class_name: String,
    /// Days that decisions are kept.
    #[schemars(range(min = 1, max = 3650))]
    pub retention_days: i32,
    /// What becomes of volumes and record when the policy is deleted.
    pub on_delete: OnDelete,
}

impl Default for HistorySpec {
    fn default() -> Self {
        Self {
            size: Quantity("1Gi".into()),
            storage_class_name: String::new(),
            retention_days: 30,
            on_delete: OnDelete::Retain,
        }
    }
}

/// What becomes of the fleet's memory when the policy is deleted.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum OnDelete {
    /// Volumes and record stay and are taken up by a policy of the same name.
    Retain,
    /// Nothing stays.
    Delete,
}

/// How the router pods are run.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TemplateSpec {
    /// Image of the router; left out, the one the operator was installed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Resources of the router's container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Labels of the nodes that may run routers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that routers tolerate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub tolerations: Vec<Toleration>,
}

mod defaults {
    pub(super) fn replicas() -> i32 {
        2
    }
}
