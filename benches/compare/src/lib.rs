//! What measures the engine beside its peers: the same inputs, the same loop around a clock, and the report.
//!
//! The peers run as programs of their own, driven over standard input and output, because their libraries cannot
//! be linked beside each other. Nothing here knows the engine: what of it is measured stands in `compare/`.

pub mod inputs;
pub mod machine;
pub mod measure;
pub mod peer;
pub mod report;
pub mod statistics;
pub mod worker;
