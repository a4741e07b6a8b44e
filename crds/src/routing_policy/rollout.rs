//! How a new model is tried.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a new model is tried: in the shadow of the old one, then with a growing share of traffic.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutSpec {
    /// The time before any share of traffic: the candidate is scored on every request and decides none.
    pub shadow: ShadowSpec,
    /// The shares of traffic, in order. What a step leaves out is as in the step before.
    #[schemars(length(min = 1, max = 20))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub steps: Vec<StepSpec>,
    /// Limits that a candidate may not cross: in the shadow, in every step and in the watch after promotion.
    pub guards: GuardsSpec,
    /// Whether the promotion after the last step happens by itself once the evidence allows it, or when somebody has
    /// approved it.
    pub promotion: Approval,
    /// Seconds after promotion for which the model that served before stays loaded and scores every request; the same
    /// guards then lead back to it. 0 is no watch.
    #[schemars(range(min = 0, max = 604_800))]
    pub watch_seconds: i32,
    /// Seconds a step may take, counted since its last progress; time while paused or blind does not count.
    #[schemars(range(min = 10, max = 604_800))]
    pub step_deadline_seconds: i32,
    /// What happens when a step's deadline passes without a verdict.
    pub on_deadline: OnDeadline,
}

impl Default for RolloutSpec {
    fn default() -> Self {
        let step = |weight_percent| StepSpec {
            weight_percent,
            min_samples: None,
            min_seconds: None,
            approval: Approval::Automatic,
        };
        Self {
            shadow: ShadowSpec::default(),
            steps: vec![
                StepSpec { min_samples: Some(200), min_seconds: Some(60), ..step(5) },
                step(25),
                step(50),
            ],
            guards: GuardsSpec::default(),
            promotion: Approval::Automatic,
            watch_seconds: 3600,
            step_deadline_seconds: 3600,
            on_deadline: OnDeadline::Pause,
        }
    }
}

/// How long a candidate is scored in the shadow.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ShadowSpec {
    /// Requests that must have been scored by both models, over all pods.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub min_samples: i32,
    /// Seconds that the shadow lasts at least.
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
    /// Requests that the candidate must have decided in this step, over all pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub min_samples: Option<i32>,
    /// Seconds the step lasts at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604_800))]
    pub min_seconds: Option<i32>,
    /// Whether the step begins by itself once the evidence allows it, or when somebody has approved it. Left out it is
    /// Automatic, whatever the step before says.
    #[serde(default)]
    pub approval: Approval,
}

/// Whether exposure grows by itself once the evidence allows it.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, JsonSchema)]
pub enum Approval {
    /// By itself.
    #[default]
    Automatic,
    /// When the annotation `routing.tinydancer.dev/approve` names it, as `status.rollout.approval` says.
    Manual,
}

/// Limits that a candidate may not cross.
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
    /// Largest share of requests that the candidate may send to another tier than the stable model does.
    #[schemars(range(min = 1, max = 999))]
    pub flip_rate_permille: i32,
    /// Microseconds that the candidate may take to score a request.
    #[schemars(range(min = 10, max = 1_000_000))]
    pub latency_budget_microseconds: i32,
    /// Largest share of requests on which the candidate may take longer than that where the stable model does not.
    #[schemars(range(min = 1, max = 999))]
    pub slow_rate_permille: i32,
    /// Largest share of requests by which those that the candidate decided may fail upstream more often than those of
    /// the stable model.
    #[schemars(range(min = 1, max = 999))]
    pub upstream_margin_permille: i32,
    /// Chance, over a whole attempt, that a model without any harm is rolled back.
    #[schemars(range(min = 1, max = 200))]
    pub alpha_permille: i32,
}

impl Default for GuardsSpec {
    fn default() -> Self {
        Self {
            uncertainty_margin_permille: 50,
            escalation_margin_permille: 100,
            error_rate_permille: 10,
            flip_rate_permille: 300,
            latency_budget_microseconds: 500,
            slow_rate_permille: 10,
            upstream_margin_permille: 50,
            alpha_permille: 10,
        }
    }
}

/// What happens when a step's deadline passes without a verdict.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub enum OnDeadline {
    /// Weight 0, and wait.
    Pause,
    /// Back to the stable model; the digest is not quarantined.
    RollBack,
}
