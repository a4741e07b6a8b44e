//! `RoutingPolicy`: a fleet of routers, the model it should run, and how a new model is tried.

mod audit;
mod rollout;
mod spec;
mod status;

pub use audit::{AuditSpec, ExploreSpec, GraderSpec};
pub use rollout::{Approval, GuardsSpec, OnDeadline, RolloutSpec, ShadowSpec, StepSpec};
pub use spec::{
    BreakerSpec, CandidateSpec, CostSpec, DecisionSpec, HistorySpec, KeyReference, ModelReference, OnDelete,
    RiskSpec, RoutingPolicy, RoutingPolicySpec, TemplateSpec, ThresholdsSpec, Tier, Trust, TrustedKey,
};
pub use status::{
    CalibrationState, CalibrationStatus, CoverageStatus, GuardStatus, ModelEntry, ModelIdentity,
    RolloutState, RolloutStatus, RoutingPolicyStatus, ShapeStatus, TransitionEntry, TransitionEvidence,
    Verdict, WatchStatus,
};
