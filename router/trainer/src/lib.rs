//! Training of routing models: data, n-gram tables, tag counts, the recurrent tier network, calibration and
//! evaluation. Every figure that ends in an artifact or a report is taken out-of-fold.

pub mod adamw;
pub mod calibrate;
pub mod data;
pub mod folds;
pub mod metrics;
pub mod network;
pub mod ngram;
pub mod progress;
pub mod random;
