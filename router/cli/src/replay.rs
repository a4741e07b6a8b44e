//! `tiny-dancer replay`.

mod report;
mod rows;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use tinydancer_engine::Model;

use crate::evaluate::price_ratio;
use crate::export::row;
use crate::files;
use report::Report;
use rows::{Replayed, replay};

/// Ask what a model would have been worth on the requests of an exported history, without sending one.
#[derive(Args)]
pub(crate) struct Replay {
    /// The model in question.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// What `tiny-dancer export` wrote; exports of several pods may be joined with cat.
    #[arg(long, value_name = "FILE")]
    rows: PathBuf,
    /// The promised loss of quality whose threshold the model decides by, thousandths.
    #[arg(long, value_name = "PERMILLE", default_value_t = 50, value_parser = clap::value_parser!(u16).range(0..=1000))]
    risk: u16,
    /// A threshold on the score instead: Lightweight where the score is at most this.
    #[arg(long, value_name = "SCORE", conflicts_with = "risk", allow_negative_numbers = true)]
    lambda: Option<f32>,
    /// What counts as a reward; left out: the first of them that any row has.
    #[arg(long, value_enum)]
    reward: Option<Reward>,
    /// Only decisions of the model whose digest starts so.
    #[arg(long, value_name = "DIGEST")]
    against: Option<String>,
    /// Only rows that a router scored with this very model, in shadow or in traffic.
    #[arg(long)]
    recorded_only: bool,
    /// What a call to Powerful costs, in calls to Lightweight.
    #[arg(long, default_value_t = 100.0, value_parser = price_ratio)]
    price_ratio: f64,
    /// The same seed draws the same folds and bootstrap samples.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write every figure to this file as JSON; `-` prints it instead of the table.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What is taken as the worth of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reward {
    /// The audit's grade of the answer that was given.
    Grade,
    /// The score of feedback, else 1 for good and overpowered, 0 for underpowered and failed.
    Feedback,
    /// Whether the upstream answered.
    Success,
}

impl Replay {
    /// Replays and prints.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let (_, model) = files::read_model(&self.model)?;
        let report = Report::new(self, &model, &self.replayed(&model)?);
        if let Some(path) = &self.json {
            write(path, &report)?;
        }
        if self.json.as_deref() != Some(Path::new("-")) {
            print!("{}", table::render(&report));
        }
        Ok(())
    }

    fn replayed(&self, model: &Model) -> anyhow::Result<Replayed> {
        let mut rows = row::read(&self.rows)?;
        if let Some(prefix) = &self.against {
            let prefix = prefix.strip_prefix("sha256:").unwrap_or(prefix);
            rows.retain(|row| {
                let digest = row.digest.as_deref().and_then(|digest| digest.strip_prefix("sha256:"));
                digest.is_some_and(|digest| digest.starts_with(prefix))
            });
            ensure!(!rows.is_empty(), "{} must hold a decision of sha256:{prefix}", self.rows.display());
        }
        let replayed = replay(rows, model, self.threshold(model), self.recorded_only);
        ensure!(
            !replayed.rows.is_empty(),
            "none of the rows can be scored: none was scored by {} before{}",
            model.digest(),
            if self.recorded_only {
                "; try without --recorded-only"
            } else {
                ", nor has this release's statistics"
            }
        );
        Ok(replayed)
    }

    /// Where Lightweight is taken; nowhere if no threshold keeps the promise.
    fn threshold(&self, model: &Model) -> Option<f32> {
        self.lambda.or_else(|| model.metadata().calibration.lambda(self.risk))
    }
}

fn write(path: &Path, report: &Report) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(report)? + "\n";
    if path == Path::new("-") {
        print!("{json}");
        return Ok(());
    }
    files::write(path, json.as_bytes()).context("failed to write the figures")
}
