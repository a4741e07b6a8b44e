//! The router: decides for each request whether a Lightweight or a Powerful model answers it, and sends it there.
//!
//! - `data`: the HTTP data plane.
//! - `upstream`: the LLMs, their breakers, keys and costs.
//! - `runtime`: the models that decide, arms, trial and evidence.
//! - `control`: the mTLS port the operator talks to.

pub mod runtime;
