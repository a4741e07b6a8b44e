//! The routing engine: a prompt's features, the recurrent tier network, calibration, the decision,
//! the circuit breaker, and the artifact that carries a model.
//!
//! A pure library: time, randomness and bytes are handed in; no sockets, files or clocks.

pub mod digest;
pub mod evidence;
pub mod fastgrnn;
pub mod features;
pub mod network;

pub use digest::Digest;
pub use features::Features;
