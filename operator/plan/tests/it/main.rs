//! The plan against a small world: pods that obey the protocol, a record, and a clock that is moved by hand.

mod children;
mod evidence;
mod golden;
mod models;
mod properties;
mod record;
mod rollouts;
mod wishes;
mod world;
