//! The LLMs: which one is asked next, how, with which key, and what it cost.

mod choice;
mod client;
mod credentials;
mod fleet;
mod usage;

pub use choice::{Standing, chain};
pub use client::{Client, ClientError, Failure, Reply};
pub use credentials::Credentials;
pub use fleet::{Upstream, Upstreams};
pub use usage::{Usage, cost_micro_dollars};
