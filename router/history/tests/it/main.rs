//! The history on real files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends by a panic")]

mod archive;
mod corruption;
mod disk_full;
mod earlier_system;
mod kill;
mod pairs;
mod queue;
mod records;
mod retention;
mod support;
