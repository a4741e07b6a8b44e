//! What decides about a model on trial: which requests it answers, what is remembered about them, and what that
//! says. Pure: no clock, no socket, no randomness.
//!
//! - [`BucketSalt`] and [`BasisPoints`]: the sticky, monotone split of requests between the arms.
//! - [`Evidence`]: what a pod remembers, one stream a guard, fed with an [`Observation`] a request.
//! - [`merge`]: the evidence of many pods as one.
//! - [`judge`]: the verdict on merged evidence; [`judge_alone`]: what a pod concludes by itself.
//! - [`LocalTrip`]: the pod's own emergency brake for a model that fails.
//! - [`risk`]: a promised loss of quality and the threshold that keeps it; [`drift`]: whether what comes in has changed.
//!
//! Every test is an e-process (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting",
//! JRSS-B 2024; Ville's inequality): it may be looked at after each request without raising the false alarm rate.

mod betting;
mod bucket;
mod counts;
pub mod drift;
mod evidence;
mod guard;
mod local;
mod merge;
mod outcomes;
pub mod risk;
mod sample_ratio;
mod settings;
mod sketch;
mod verdict;
mod wilson;

#[cfg(test)]
mod testing;

pub use bucket::{Arm, BasisPoints, BasisPointsError, Bucket, BucketSalt, bucket};
pub use evidence::{Evidence, EvidenceSnapshot, GuardEvidence, LogWealth};
pub use guard::{ApplicableGuards, GuardName, Observation};
pub use local::{LocalTrip, TripCause, UnknownTripCause};
pub use merge::merge;
pub use outcomes::OutcomeCounts;
pub use sample_ratio::{BucketsSeen, sample_ratio};
pub use settings::GuardSettings;
pub use sketch::{LatencySketch, Shapes, UncertaintyHistogram};
pub use verdict::{Direction, GuardJudgement, Interval, Judgement, Verdict, judge, judge_alone};
pub use wilson::wilson;
