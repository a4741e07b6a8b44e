//! The rollout of one model: where it is, what is known, and where it goes next.

mod banked;
mod signals;
mod state;
mod step;

pub use banked::{EvidenceBank, OpenEvidence, StepCount, UncertaintySum};
pub(crate) use signals::{Judged, counts, judged, judgement};
pub use state::{CanaryStep, Cause, Halt, PauseReason, Rollout};
pub use step::{Signals, Transition, Wish, step};
