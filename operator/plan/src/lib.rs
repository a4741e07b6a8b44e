//! From what is observed to what is to be done: `plan(policy, observed, now) -> Plan`. Pure: no client, no socket, no
//! clock, no randomness; time is an argument.
//!
//! - [`PolicyInput`] and [`Observed`]: the wish and the world, gathered by the controller.
//! - [`plan()`] and [`Plan`]: commit, status, events, actions, wake, to be carried out in this order.
//! - [`Record`]: what must survive; read with [`Record::read`], written as [`Commit::object`].
//! - [`rollout`]: one enum [`Rollout`] and one [`rollout::step`].
//! - [`build`]: the fleet's objects and their [`build::Names`].
//! - [`model_status`]: the status of a RouterModel, derived from the policies that have to do with it.

mod advance;
mod assignment;
pub mod build;
mod calibration;
mod children;
mod conditions;
mod drift;
mod explain;
mod fleet;
mod model;
mod observed;
mod plan;
mod planning;
mod record;
mod resolve;
pub mod rollout;
mod status;

pub use calibration::{Audited, ModelCalibration, Threshold, audited, mean_loss};
pub use drift::DriftFound;
pub use explain::{last_event, notices};
pub use model::model_status;
pub use observed::{
    Artifact, LiveChild, Observed, ObservedModel, ObservedPod, ObservedRecord, PolicyInput, SecretState,
    Settings, SignatureCheck,
};
pub use plan::{
    Action, Child, Commit, CredentialsRequest, Event, EventKind, Notice, Plan, PodReference, TlsRequest,
};
pub use planning::plan;
pub use record::{
    Quarantine, RECORD_KEY, RECORD_VERSION, Record, RecordError, StableModel, StepClock, TemplateInputs,
    TrialRecord,
};
pub use rollout::Rollout;
