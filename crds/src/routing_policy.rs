//! `RoutingPolicy`: a fleet of routers, the model it should run, and how a new model is tried.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{ResourceRequirements, Toleration},
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{Condition, Time},
    },
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// One key of one Secret in the same namespace.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct KeyReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key inside the Secret.
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
            minimum_requests: 20,
            open_seconds: 5,
            max_open_seconds: 300,
            half_open_probes: 3,
        }
    }
}

/// How a new model is tried: in the shadow of the old one, then with a growing share of traffic.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutSpec {
    /// Scored on every request, deciding none.
    pub shadow: ShadowSpec,
    /// The shares of traffic, in order. What a step leaves out is as in the step before.
    #[schemars(length(min = 1, max = 20))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub steps: Vec<StepSpec>,
    /// What may not happen.
    pub guards: GuardsSpec,
    /// Seconds a step may take, counted since its last progress; time while paused or blind does not count.
    #[schemars(range(min = 10, max = 604_800))]
    pub step_deadline_seconds: i32,
    /// What happens then.
    pub on_deadline: OnDeadline,
}

impl Default for RolloutSpec {
    fn default() -> Self {
        let step = |weight_percent| StepSpec { weight_percent, min_samples: None, min_seconds: None };
        Self {
            shadow: ShadowSpec::default(),
            steps: vec![
                StepSpec { weight_percent: 5, min_samples: Some(200), min_seconds: Some(60) },
                step(25),
                step(50),
            ],
            guards: GuardsSpec::default(),
            step_deadline_seconds: 3600,
            on_deadline: OnDeadline::Pause,
        }
    }
}

/// How long a candidate is scored in the shadow.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ShadowSpec {
    /// Requests scored by both models, over all pods.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub min_samples: i32,
    /// Seconds at least.
    #[schemars(range(min = 0, max = 604_800))]
    pub min_seconds: i32,
}

impl Default for ShadowSpec {
    fn default() -> Self {
        Self { min_samples: 2000, min_seconds: 60 }
    }
}

/// One share of traffic.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepSpec {
    /// Share of traffic that the candidate decides.
    #[schemars(range(min = 1, max = 100))]
    pub weight_percent: i32,
    /// Requests that the candidate decides in this step, over all pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub min_samples: Option<i32>,
    /// Seconds the step lasts at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604_800))]
    pub min_seconds: Option<i32>,
}

/// Limits that a candidate may not cross, in thousandths.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GuardsSpec {
    /// Largest change of mean uncertainty against the stable model, in either direction.
    #[schemars(range(min = 1, max = 1000))]
    pub uncertainty_margin_permille: i32,
    /// Largest change of the share sent to Powerful against the stable model, in either direction.
    #[schemars(range(min = 1, max = 1000))]
    pub escalation_margin_permille: i32,
    /// Largest share of requests that the candidate may fail to score.
    #[schemars(range(min = 1, max = 999))]
    pub error_rate_permille: i32,
    /// Chance, over a whole trial, that a model without any harm is rolled back.
    #[schemars(range(min = 1, max = 200))]
    pub alpha_permille: i32,
}

impl Default for GuardsSpec {
    fn default() -> Self {
        Self {
            uncertainty_margin_permille: 50,
            escalation_margin_permille: 100,
            error_rate_permille: 10,
            alpha_permille: 10,
        }
    }
}

/// What happens when a step's deadline passes without a verdict.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum OnDeadline {
    /// Weight 0, and wait.
    Pause,
    /// Back to the stable model; the digest is not quarantined.
    RollBack,
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

/// What the operator sees of a policy. A projection: the record in the policy's ConfigMap is the authority.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RoutingPolicyStatus {
    /// Generation of the spec this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling, Stalled and what they rest on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Router pods that exist.
    pub replicas: i32,
    /// Selector of the router pods, for the scale subresource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Ready and wished router pods, such as `2/2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fleet: Option<String>,
    /// The model that is trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable: Option<ModelIdentity>,
    /// The trial that is under way or was the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
    /// Each model this policy has to do with and what it is here; RouterModel status is derived from it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["digest"]))]
    pub models: Vec<ModelEntry>,
    /// Digests that were rolled back and are not tried again without a retry token, newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub quarantined: Vec<String>,
    /// The last transitions, newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), extend("x-kubernetes-list-type" = "atomic"))]
    pub history: Vec<TransitionEntry>,
}

/// A model by name, version and digest.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct ModelIdentity {
    /// Name of the RouterModel at the time.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its digest.
    pub digest: String,
}

/// Where a trial can be.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub enum RolloutState {
    /// Every pod fetches, verifies and tests the model.
    Staging,
    /// Every request is scored by both models; the stable one decides.
    Shadow,
    /// The candidate decides a share of the requests.
    Canary,
    /// The candidate becomes stable, pod by pod.
    Promoting,
    /// The model is the trusted one.
    Stable,
    /// The trial waits without growing; the reason says for what.
    Paused,
    /// The candidate is taken out of traffic.
    RollingBack,
    /// No pod serves it.
    RolledBack,
    /// Another model took its place.
    Superseded,
}

/// What the evidence says.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Verdict {
    /// No harm, and harm beyond the margins is ruled out.
    Pass,
    /// A guard crossed its limit.
    Fail,
    /// Not enough evidence for either.
    Inconclusive,
}

/// A trial and how it does.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// The model on trial.
    pub model: ModelIdentity,
    /// Where the trial is.
    pub state: RolloutState,
    /// Why, one of the documented reasons.
    pub reason: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Number of the trial in this policy; abort and promote annotations name it.
    pub attempt: i64,
    /// Number of the last assignment sent to the pods.
    pub epoch: i64,
    /// Step and steps, such as `2/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Share of traffic the candidate decides.
    pub weight_percent: i32,
    /// What the evidence says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Requests scored by both models in this trial.
    #[serde(default)]
    pub pairs: i64,
    /// Each guard's numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub guards: Vec<GuardStatus>,
    /// When the state was entered.
    pub since: Time,
}

/// One guard's evidence, for people.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GuardStatus {
    /// Name of the guard.
    pub name: String,
    /// What it says.
    pub verdict: Verdict,
    /// Observed value, decimal text.
    pub estimate: String,
    /// 95 % interval of the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// The limit it may not cross.
    pub limit: String,
    /// Natural logarithm of the e-value against the candidate.
    pub log_e_value: String,
    /// Observations behind it.
    pub samples: i64,
}

/// A model as one policy sees it.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelEntry {
    /// Its digest.
    pub digest: String,
    /// Name of the RouterModel at the time.
    pub name: String,
    /// What the model is here.
    pub state: RolloutState,
    /// Step and steps, such as `2/3`, while it is on trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Share of traffic it decides.
    pub weight_percent: i32,
    /// The evidence's verdict; a stable model carries the one it was promoted by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Mean uncertainty of its decisions, three decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertainty: Option<String>,
    /// Why it is in this state.
    pub reason: String,
    /// When it came there.
    pub since: Time,
}

/// One transition of a trial, kept for explanation.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransitionEntry {
    /// When.
    pub time: Time,
    /// Which model.
    pub digest: String,
    /// Name of the RouterModel at the time.
    pub name: String,
    /// Number of the trial.
    pub attempt: i64,
    /// The state it came to.
    pub state: RolloutState,
    /// Why.
    pub reason: String,
    /// For people: guard, value, interval, limit, samples.
    pub message: String,
}

mod defaults {
    pub(super) fn replicas() -> i32 {
        2
    }
}
