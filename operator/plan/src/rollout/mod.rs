//! The rollout of one model: where it is, what is known, and where it goes next.

mod banked;
mod signals;
mod state;
mod step;

pub(crate) use banked::Owner;
pub use banked::{EvidenceBank, OpenEvidence, SampleRatio, StepCount, UncertaintySum};
pub(crate) use signals::{Judged, Seen, counts, judged, sample_ratio};
pub use state::{CanaryStep, Cause, Halt, PauseReason, Rollout};
pub use step::{Approval, Signals, Transition, Wish, step};
