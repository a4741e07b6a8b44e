//! The format of exported rows, as docs/reference/history-export.md has it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use tinydancer_engine::features::STATISTIC_NAMES;
use tinydancer_guards::Arm;
use tinydancer_history::{FeedbackOutcome, FeedbackSource, Record, Scored, Tier};

/// What the first line says the file is.
const FORMAT: &str = "tinydancer/history-rows/v1";

/// How a header begins, and no row.
const HEADER_START: &str = "{\"format\":";

/// The first line.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    format: String,
    /// What each number of `statistics` is.
    statistics: Vec<String>,
}

impl Header {
    /// That of this release.
    pub(crate) fn ours() -> Self {
        Self { format: FORMAT.to_owned(), statistics: STATISTIC_NAMES.map(str::to_owned).to_vec() }
    }
}

/// A decision and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExportedRow {
    /// Seconds since 1970.
    pub(crate) at: u64,
    pub(crate) arm: Arm,
    /// The model that decided; null without one.
    pub(crate) digest: Option<String>,
    /// The tier that was taken.
    pub(crate) tier: Tier,
    /// With which probability.
    pub(crate) propensity: f32,
    pub(crate) explored: bool,
    pub(crate) upstream: Option<String>,
    pub(crate) score: Option<f32>,
    pub(crate) uncertainty: Option<f32>,
    pub(crate) good_enough: Option<f32>,
    pub(crate) statistics: Vec<f32>,
    pub(crate) shadow: Option<ExportedShadow>,
    pub(crate) outcome: Option<ExportedOutcome>,
    pub(crate) feedback: Option<ExportedFeedback>,
    pub(crate) audit: Option<ExportedAudit>,
}

/// What the model said that looked on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExportedShadow {
    pub(crate) digest: String,
    pub(crate) score: Option<f32>,
    pub(crate) uncertainty: Option<f32>,
}

/// How the upstream answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExportedOutcome {
    pub(crate) succeeded: bool,
    pub(crate) latency_ms: u64,
    pub(crate) prompt_tokens: Option<u64>,
    pub(crate) completion_tokens: Option<u64>,
    pub(crate) cost_micro_dollars: Option<u64>,
}

/// What somebody said about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExportedFeedback {
    pub(crate) outcome: FeedbackOutcome,
    pub(crate) score: Option<f64>,
    pub(crate) source: FeedbackSource,
}

/// What both answers were worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExportedAudit {
    pub(crate) lightweight: f32,
    pub(crate) powerful: f32,
    /// The labels that the model that decided did not rule out; null if it makes no sets.
    pub(crate) set: Option<Vec<Label>>,
}

/// A label of a conformal set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Label {
    GoodEnough,
    NotGoodEnough,
}

impl From<Record> for ExportedRow {
    /// Leaves out what names the request: the decision's id, with which feedback could be given.
    fn from(record: Record) -> Self {
        let Record { decision, outcome, feedback, pair } = record;
        Self {
            at: decision.at,
            arm: decision.arm,
            digest: decision.digest,
            tier: decision.tier,
            propensity: decision.propensity,
            explored: decision.explored,
            upstream: decision.upstream,
            score: decision.score,
            uncertainty: decision.uncertainty,
            good_enough: decision.good_enough,
            statistics: decision.statistics,
            shadow: decision.shadow.map(|shadow| ExportedShadow {
                digest: shadow.digest,
                score: shadow.score,
                uncertainty: shadow.uncertainty,
            }),
            outcome: outcome.map(|outcome| ExportedOutcome {
                succeeded: outcome.succeeded,
                latency_ms: outcome.latency_ms,
                prompt_tokens: outcome.prompt_tokens,
                completion_tokens: outcome.completion_tokens,
                cost_micro_dollars: outcome.cost_micro_dollars,
            }),
            feedback: feedback.map(|feedback| ExportedFeedback {
                outcome: feedback.outcome,
                score: feedback.score,
                source: feedback.source,
            }),
            audit: pair.map(|pair| ExportedAudit {
                lightweight: pair.lightweight,
                powerful: pair.powerful,
                set: labels(&pair.decided),
            }),
        }
    }
}

fn labels(scored: &Scored) -> Option<Vec<Label>> {
    let set = scored.set?;
    let held = [(set.good_enough, Label::GoodEnough), (set.not_good_enough, Label::NotGoodEnough)];
    Some(held.into_iter().filter(|(held, _)| *held).map(|(_, label)| label).collect())
}

/// Reads the rows of an export, or of several that were joined with `cat`.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<ExportedRow>> {
    let file = File::open(path).with_context(|| format!("failed to open {}", path.display()))?;
    let mut rows = Vec::new();
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let place = || format!("failed to read line {} of {}", index + 1, path.display());
        let line = line.with_context(place)?;
        if line.starts_with(HEADER_START) {
            check(&serde_json::from_str(&line).with_context(place)?).with_context(place)?;
        } else if index == 0 {
            bail!(
                "{} is no export of a history: its first line must name the format; write it with `tiny-dancer export`",
                path.display()
            );
        } else {
            let row: ExportedRow = serde_json::from_str(&line).with_context(place)?;
            row.check().with_context(place)?;
            rows.push(row);
        }
    }
    ensure!(!rows.is_empty(), "{} must hold a decision, and holds none", path.display());
    Ok(rows)
}

fn check(header: &Header) -> anyhow::Result<()> {
    ensure!(
        *header == Header::ours(),
        "the format must be {FORMAT} with the statistics of this release; export again with the release of the router \
         and replay with the same"
    );
    Ok(())
}

impl ExportedRow {
    fn check(&self) -> anyhow::Result<()> {
        let share = |number: f64| (0.0..=1.0).contains(&number);
        ensure!(self.propensity > 0.0 && self.propensity <= 1.0, "propensity must be above 0 and at most 1");
        if let Some(audit) = &self.audit {
            let grades = share(audit.lightweight.into()) && share(audit.powerful.into());
            ensure!(grades, "the qualities of an audit must be 0 to 1");
        }
        if let Some(score) = self.feedback.as_ref().and_then(|feedback| feedback.score) {
            ensure!(share(score), "the score of feedback must be 0 to 1");
        }
        Ok(())
    }
}
