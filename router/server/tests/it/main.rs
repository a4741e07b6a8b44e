//! The router from the outside, one file a behaviour.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "everything in here is a test")]

mod boot;
mod calibration;
mod certificates;
mod control;
mod data;
mod earlier_system;
mod feedback;
mod outcomes;
mod pod;
mod replay;
mod shipped;
mod trial;
mod watch;
