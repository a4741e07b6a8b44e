//! Training of routing models: data, n-gram tables, tag counts, the recurrent tier network, calibration and
//! evaluation. Every figure that ends in an artifact or a report is taken out-of-fold.

#![cfg_attr(test, allow(clippy::float_cmp, reason = "tests compare numbers that must be exactly these"))]

pub mod adamw;
pub mod assemble;
pub mod calibrate;
pub mod candidate;
mod cell;
pub mod checkpoint;
pub mod compress;
pub mod corpus;
pub mod data;
pub mod distil;
pub mod distort;
pub mod embedding;
pub mod embeddings;
pub mod fit;
pub mod folds;
pub mod known_answers;
pub mod learn;
pub mod network;
pub mod ngram;
pub mod novelty;
pub mod off_policy;
pub mod progress;
pub mod random;
pub mod scoreboard;
pub mod sets;
pub mod tables;
pub mod tags;
pub mod train;
