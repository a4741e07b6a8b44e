//! What the trainer makes: the models in `models/`, and runs on data made here.

#![allow(clippy::unwrap_used, reason = "what a test cannot read is a failed test")]

mod embeddings;
mod gradients;
mod int8;
mod models;
mod runs;
mod scoreboard;
