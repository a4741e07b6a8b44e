//! A policy that was parsed once: after [`validate`] nobody reads the raw spec again.

mod configuration;
mod fleet;
mod parse;

pub use configuration::{
    Audit, BreakerSettings, Candidate, Configuration, Cost, DecisionRule, GRADER_KEY_FILE, Grader,
    GuardMargins, MicroDollars, Permille,
};
pub use fleet::{
    ApprovedStep, Commands, Fleet, History, KeyFile, Rollout, Shadow, Step, Trust, UnreadableApproval,
};
pub use parse::{commands, validate};

use crate::names::{ModelName, PolicyName};

/// One thing that is wrong with a spec although the schema took it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, thiserror::Error)]
#[error("`{field}` {message}")]
pub struct Problem {
    /// Path of the field.
    pub field: String,
    /// What must be so, and what to do about it.
    pub message: String,
    /// One of [`crate::conditions::reasons`].
    pub reason: &'static str,
}

/// A RoutingPolicy whose every field was checked.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidPolicy {
    /// Name of the policy.
    pub name: PolicyName,
    /// The model the fleet should run.
    pub model: ModelName,
    /// The model to trust where nothing is recorded.
    pub stable: Option<ModelName>,
    /// Whose signatures count.
    pub trust: Trust,
    /// What the routers need to know.
    pub configuration: Configuration,
    /// How a new model is tried.
    pub rollout: Rollout,
    /// How the pods are run.
    pub fleet: Fleet,
    /// What becomes of the fleet's memory.
    pub history: History,
    /// Whether growth of exposure is stopped.
    pub paused: bool,
}
