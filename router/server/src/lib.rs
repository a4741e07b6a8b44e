//! The router: decides for each request whether a Lightweight or a Powerful model answers it, and sends it there.
//!
//! - `data`: the HTTP data plane.
//! - `upstream`: the LLMs, their breakers, keys and costs.
//! - `embedder`: embeddings that the router makes itself.
//! - `audit`: both tiers' answers to a share of the requests, graded.
//! - `runtime`: the models that decide, arms, trial and evidence.
//! - `control`: the mTLS port the operator talks to.

pub mod arguments;
mod audit;
pub mod control;
pub mod data;
pub mod embedder;
mod history;
pub mod logging;
pub mod metrics;
pub mod pod;
pub mod runtime;
pub mod serve;
pub mod standalone;
pub mod upstream;
