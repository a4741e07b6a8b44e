//! From what is observed to what is to be done: `plan(policy, observed, now) -> Plan`. Pure: no client, no socket, no
//! clock, no randomness; time is an argument.
//!
//! - [`PolicyInput`] and [`Observed`]: the wish and the world, gathered by the controller.
//! - [`Plan`]: commit, status, events, actions, wake, to be carried out in this order.
//! - [`Record`]: what must survive; read with [`Record::read`], written as [`Commit::object`].
//! - [`rollout`]: one enum [`Rollout`] and one `step`.
//! - [`build`]: the fleet's objects and their [`build::Names`].

pub mod build;
mod observed;
mod plan;
mod record;
pub mod rollout;

pub use observed::{
    Artifact, LiveChild, Observed, ObservedModel, ObservedPod, ObservedRecord, PolicyInput, SecretState,
    Settings, SignatureCheck,
};
pub use plan::{Action, Child, Commit, CredentialsRequest, Event, EventKind, Plan, PodReference, TlsRequest};
pub use record::{
    Quarantine, RECORD_KEY, RECORD_VERSION, Record, RecordError, StableModel, StepClock, TemplateInputs,
    TrialRecord,
};
pub use rollout::Rollout;
