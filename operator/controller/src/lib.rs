//! The operator around the plan: what it watches, reads, writes, fetches and calls. Decisions are made in
//! `tinydancer-plan`.
//!
//! - [`run`] wires the rest; [`arguments`], [`telemetry`], [`metrics`], [`rollout_metrics`], [`calibration_metrics`],
//!   [`readiness`] and [`sources`] are the shell's own.
//! - [`policy`] and [`model`] are the two loops, [`looks`] what they share; [`leader`] says whether they may write,
//!   [`writer`] writes.
//! - [`artifacts`] fetches and verifies model bytes; [`routers`] hands them and assignments to pods.
//! - [`certificates`] and [`credentials`] make what the control ports and the pods need.

pub mod arguments;
pub mod artifacts;
pub mod backoff;
pub mod calibration_metrics;
pub mod certificates;
pub mod credentials;
pub mod events;
pub mod leader;
pub mod looks;
pub mod metrics;
pub mod model;
pub mod policy;
pub mod readiness;
pub mod rollout_metrics;
pub mod routers;
pub mod run;
pub mod scope;
pub mod sources;
pub mod telemetry;
pub mod writer;
