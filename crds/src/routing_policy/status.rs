//! What the operator says about a policy.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// What audits say about the stable model, and the threshold that follows; only with audits and a promised risk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationStatus>,
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
    /// The same for people, with the numbers that decided.
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
    /// What the annotation `routing.tinydancer.dev/approve` must say for exposure to grow, such as `3/2` or `3/promote`:
    /// attempt and step. Only while the trial waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// The watch after promotion, while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<WatchStatus>,
    /// Requests scored by both models in this trial, or in the watch after it.
    #[serde(default)]
    pub pairs: i64,
    /// Smallest chance, over the pods, of a split between the arms as uneven as was seen if the weight is kept. Below 0.001
    /// the trial holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_ratio: Option<String>,
    /// How far the distributions of both models lie apart. Shown, never decisive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<ShapeStatus>,
    /// Each guard's numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub guards: Vec<GuardStatus>,
    /// When the state was entered.
    pub since: Time,
}

/// The watch after a promotion.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WatchStatus {
    /// The model that served before and stays armed.
    pub previous: ModelIdentity,
    /// Seconds it lasts from `since` on, while pods report.
    pub seconds: i64,
}

/// Distributions of both models on the same requests, decimal text.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShapeStatus {
    /// Population stability index of the uncertainty.
    pub population_stability_index: String,
    /// Kolmogorov-Smirnov distance of the uncertainty.
    pub kolmogorov_smirnov: String,
    /// Median, 90th and 99th percentile of the candidate's uncertainty.
    pub candidate_uncertainty: String,
    /// The same of the stable model's.
    pub stable_uncertainty: String,
    /// Median, 90th and 99th percentile of the candidate's scoring time in microseconds.
    pub candidate_microseconds: String,
    /// The same of the stable model's.
    pub stable_microseconds: String,
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
    /// Where the value may lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// The limit it may not cross.
    pub limit: String,
    /// Natural logarithm of the e-value against the candidate.
    pub log_e_value: String,
    /// What `logEValue` must reach for Fail.
    pub fails_at: String,
    /// Natural logarithm of the e-value for the candidate: against harm beyond the limit.
    pub safe_log_e_value: String,
    /// What `safeLogEValue` must reach for Pass.
    pub passes_at: String,
    /// Observations behind it.
    pub samples: i64,
}

/// What audits say about the stable model: the numbers by which was decided last. They are taken again when the audited
/// requests have grown by a quarter, never while a model is on trial or watched.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CalibrationStatus {
    /// The stable model.
    pub model: ModelIdentity,
    /// Where the calibration is.
    pub state: CalibrationState,
    /// Audited requests that the model scored.
    pub pairs: i64,
    /// Lightweight answers up to this score, decimal text; -1.000 is nowhere. Absent where the artifact's threshold holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<String>,
    /// Promised mean loss of quality against always-Powerful, in thousandths.
    pub promised_permille: i32,
    /// Mean loss of the decisions that were made, in thousandths, decimal text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_permille: Option<String>,
    /// What that mean is at most, with 95 % confidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper_bound_permille: Option<String>,
    /// How often the model's sets held the truth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<CoverageStatus>,
    /// Since when this threshold holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// Where the calibration of the stable model is.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub enum CalibrationState {
    /// Too few requests were audited; the artifact's threshold holds.
    Collecting,
    /// The threshold that the audits gave holds.
    Calibrated,
    /// The threshold stays what it is while a model is on trial or watched.
    Frozen,
    /// No threshold keeps the promise; everything goes to Powerful.
    PromiseUnmet,
}

/// Shares of audited requests whose set held the truth, by what the truth is; decimal text.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CoverageStatus {
    /// Where Lightweight was good enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good_enough: Option<String>,
    /// Where it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_good_enough: Option<String>,
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
    /// The same for people, with the numbers that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
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
    /// The evidence that decided, where evidence did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<TransitionEvidence>,
}

/// The evidence behind a transition: of the guard that decided, or was furthest from it.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransitionEvidence {
    /// Name of the guard.
    pub guard: String,
    /// What all guards together said.
    pub verdict: Verdict,
    /// Observed value, decimal text.
    pub estimate: String,
    /// Where the value may lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// The limit it may not cross.
    pub limit: String,
    /// Natural logarithm of the e-value against the candidate.
    pub log_e_value: String,
    /// Natural logarithm of the e-value for the candidate: against harm beyond the limit.
    pub safe_log_e_value: String,
    /// Observations behind it.
    pub samples: i64,
    /// Pods whose evidence is in it.
    pub pods: i32,
}
