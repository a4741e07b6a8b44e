//! The routing engine: a prompt's features, the recurrent tier network, calibration, the decision,
//! the circuit breaker, and the artifact that carries a model.
//!
//! A pure library: time, randomness and bytes are handed in; no sockets, files or clocks.

#![cfg_attr(test, allow(clippy::float_cmp, reason = "tests compare numbers that must be exactly these"))]

pub mod artifact;
pub mod breaker;
pub mod calibration;
pub mod candidate;
pub mod decision;
pub mod digest;
pub mod embedding;
pub mod evidence;
pub mod fastgrnn;
pub mod features;
pub mod model;
pub mod network;
pub mod novelty;
pub mod numerics;
pub mod schema;
pub mod simd;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(feature = "token-table")]
pub mod token_table;
pub mod uncertainty;

pub use artifact::LoadError;
pub use calibration::{Calibration, Reference};
pub use decision::{Decision, DecisionRule, Reason, Score, Tier, decide};
pub use digest::Digest;
pub use features::Features;
pub use model::{Model, ScoreError};
