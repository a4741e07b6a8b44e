//! The ways to rank prompts that are compared, each fitted without the rows it is asked about.

mod neighbours;
mod network;
mod ngrams;
mod plain;
mod similarity;
mod tiny;

pub(super) use neighbours::Neighbours;
pub(super) use network::{Artifact, Network};
pub(super) use ngrams::NGrams;
pub(super) use plain::{Chance, Length, Oracle};
pub(super) use similarity::FiveFeatures;

use tinydancer_engine::ScoreError;
use tinydancer_engine::artifact::WriteError;
use tinydancer_engine::calibration::ConformalSet;

use crate::corpus::Example;
use crate::data::Row;
use crate::progress::Progress;

/// The promises that are tried out, thousandths of regret.
pub const PROMISES: [u16; 4] = [20, 50, 80, 100];

/// All rows with what can be known about them.
#[derive(Clone, Copy)]
pub(super) struct Corpus<'a> {
    pub(super) rows: &'a [Row],
    pub(super) examples: &'a [Example],
}

/// One outer fold: what a router may learn from, and what it is asked.
pub(super) struct Fold<'a> {
    pub(super) corpus: Corpus<'a>,
    /// Rows that may be learned from.
    pub(super) known: &'a [usize],
    /// Rows that are asked about; none of them is known.
    pub(super) tested: &'a [usize],
    pub(super) index: usize,
    pub(super) seed: u64,
    pub(super) threads: usize,
    pub(super) progress: &'a Progress,
}

/// What a router says about one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Judged {
    /// Higher: more reason for Powerful.
    pub(super) score: f64,
    /// P(Lightweight good enough), from a router that gives one.
    pub(super) confidence: Option<f64>,
    /// What a model with thresholds decided.
    pub(super) decided: Option<Decided>,
}

/// The decisions of a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Decided {
    /// Whether Lightweight was chosen under each of [`PROMISES`].
    pub(super) lightweight: [bool; PROMISES.len()],
    /// Whether the prompt was too new to be judged.
    pub(super) novel: bool,
    /// The labels of the conformal set.
    pub(super) set: Option<ConformalSet>,
}

impl Judged {
    /// A mere number to rank by.
    pub(super) fn score(score: f64) -> Self {
        Self { score, confidence: None, decided: None }
    }
}

/// Why a router could not answer.
#[derive(Debug, thiserror::Error)]
pub enum RouterError {
    /// A fold makes no artifact.
    #[error("failed to write the artifact of a fold")]
    Write(#[from] WriteError),
    /// The model failed on a row.
    #[error("failed to score row {row}")]
    Score {
        /// Which row, from 0.
        row: usize,
        /// What happened.
        source: ScoreError,
    },
}

/// A way to rank prompts.
pub(super) trait Router {
    /// What it is called in tables.
    fn name(&self) -> String;

    /// What it is and how it was made, in one line.
    fn about(&self) -> String;

    /// Units of progress a fold takes.
    fn units(&self) -> usize {
        1
    }

    /// Learns from the known rows and judges the tested ones, in their order.
    fn judge(&self, fold: &Fold) -> Result<Vec<Judged>, RouterError>;
}
