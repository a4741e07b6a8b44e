//! The parts that the end-to-end tests and the demo are made of: a small OpenAI-compatible upstream, a steady client,
//! and a hand on the cluster.

pub mod cluster;
pub mod demo;
pub mod prompts;
pub mod traffic;
pub mod upstream;
