//! The rollout of one model: where it is, what is known, and where it goes next.

mod banked;
mod state;

pub use banked::{EvidenceBank, OpenEvidence, StepCount, UncertaintySum};
pub use state::{CanaryStep, Cause, Halt, PauseReason, Rollout};
