//! Exported rows, with what the model in question would have done.

use tinydancer_engine::{Features, Model, Tier as Routed};
use tinydancer_history::{FeedbackOutcome, Tier};
use tinydancer_trainer::off_policy::{Audited, Logged};

use super::Reward;
use crate::export::row::{ExportedFeedback, ExportedRow};

/// Where a row's score comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A router computed it with this very model when the request was there.
    Recorded,
    /// Computed from the prompt statistics: no n-gram, tag or embedding is left.
    Statistics,
}

/// One row.
pub(super) struct ReplayedRow {
    row: ExportedRow,
    pub(super) origin: Origin,
    score: f32,
    /// What the model in question would have done.
    pub(super) lightweight: bool,
}

/// The rows that could be scored.
pub(super) struct Replayed {
    pub(super) rows: Vec<ReplayedRow>,
    /// Rows that could not.
    pub(super) left_out: usize,
}

/// Scores each row. Without a threshold everything goes to Powerful.
pub(super) fn replay(
    rows: Vec<ExportedRow>,
    model: &Model,
    threshold: Option<f32>,
    recorded_only: bool,
) -> Replayed {
    let all = rows.len();
    let digest = model.digest().to_string();
    let rows: Vec<ReplayedRow> = rows
        .into_iter()
        .filter_map(|row| {
            let recorded = recorded(&row, &digest).map(|score| (Origin::Recorded, score));
            let computed = || computed(&row, model).map(|score| (Origin::Statistics, score));
            let (origin, score) = if recorded_only { recorded } else { recorded.or_else(computed) }?;
            let lightweight = threshold.is_some_and(|threshold| score <= threshold);
            Some(ReplayedRow { row, origin, score, lightweight })
        })
        .collect();
    Replayed { left_out: all - rows.len(), rows }
}

fn recorded(row: &ExportedRow, digest: &str) -> Option<f32> {
    let decided = row.digest.as_deref().zip(row.score);
    let beside = row.shadow.as_ref().and_then(|shadow| Some((shadow.digest.as_str(), shadow.score?)));
    [decided, beside].into_iter().flatten().find(|(of, _)| *of == digest).map(|(_, score)| score)
}

fn computed(row: &ExportedRow, model: &Model) -> Option<f32> {
    let features = Features::of_statistics(row.statistics.as_slice().try_into().ok()?);
    model.score(&features).ok().map(|score| score.score)
}

impl Reward {
    /// The reward of a row, if it has one.
    fn of(self, row: &ExportedRow) -> Option<f64> {
        match self {
            Self::Grade => row.audit.as_ref().map(|audit| match row.tier {
                Tier::Lightweight => audit.lightweight.into(),
                Tier::Powerful => audit.powerful.into(),
            }),
            Self::Feedback => row.feedback.as_ref().map(worth),
            Self::Success => row.outcome.as_ref().map(|outcome| f64::from(u8::from(outcome.succeeded))),
        }
    }
}

fn worth(feedback: &ExportedFeedback) -> f64 {
    feedback.score.unwrap_or(match feedback.outcome {
        FeedbackOutcome::Good | FeedbackOutcome::Overpowered => 1.0,
        FeedbackOutcome::Underpowered | FeedbackOutcome::Failed => 0.0,
    })
}

impl Replayed {
    /// The first reward that any row has.
    pub(super) fn reward(&self) -> Option<Reward> {
        let has = |reward: &Reward| self.rows.iter().any(|replayed| reward.of(&replayed.row).is_some());
        [Reward::Grade, Reward::Feedback, Reward::Success].into_iter().find(has)
    }

    /// The rows that have the reward.
    pub(super) fn logged(&self, reward: Reward) -> Vec<Logged> {
        let of = |replayed: &ReplayedRow| {
            Some(Logged {
                context: replayed.context(),
                taken: routed(replayed.row.tier),
                propensity: replayed.row.propensity.into(),
                reward: reward.of(&replayed.row)?,
                lightweight: f64::from(u8::from(replayed.lightweight)),
            })
        };
        self.rows.iter().filter_map(of).collect()
    }

    /// The rows that were audited.
    pub(super) fn audited(&self) -> Vec<Audited> {
        let of = |replayed: &ReplayedRow| {
            let audit = replayed.row.audit.as_ref()?;
            Some(Audited {
                taken: routed(replayed.row.tier),
                lightweight_quality: audit.lightweight.into(),
                powerful_quality: audit.powerful.into(),
                lightweight: f64::from(u8::from(replayed.lightweight)),
            })
        };
        self.rows.iter().filter_map(of).collect()
    }
}

impl ReplayedRow {
    /// Whether Lightweight was taken.
    pub(super) fn took_lightweight(&self) -> bool {
        self.row.tier == Tier::Lightweight
    }

    /// What was known before the decision, as many numbers for every row: the statistics, both scores, and whether there
    /// are such.
    fn context(&self) -> Vec<f64> {
        let statistics: Option<&[f32; tinydancer_engine::features::STATISTICS]> =
            self.row.statistics.as_slice().try_into().ok();
        let mut context: Vec<f64> = statistics.copied().unwrap_or_default().map(f64::from).to_vec();
        context.push(f64::from(u8::from(statistics.is_some())));
        context.push(self.row.score.map_or(0.0, f64::from));
        context.push(f64::from(u8::from(self.row.score.is_some())));
        context.push(self.score.into());
        context
    }
}

fn routed(tier: Tier) -> Routed {
    match tier {
        Tier::Lightweight => Routed::Lightweight,
        Tier::Powerful => Routed::Powerful,
    }
}

#[cfg(test)]
mod tests {
    use tinydancer_history::FeedbackSource;

    use super::*;

    #[test]
    fn a_score_counts_before_the_word_and_an_answer_that_was_right_counts_although_it_was_dear() {
        let feedback =
            |outcome, score| worth(&ExportedFeedback { outcome, score, source: FeedbackSource::User });
        let near = |value: f64, expected: f64| (value - expected).abs() < 1e-12;
        assert!(near(feedback(FeedbackOutcome::Underpowered, Some(0.25)), 0.25));
        assert!(
            near(feedback(FeedbackOutcome::Overpowered, None), 1.0)
                && near(feedback(FeedbackOutcome::Good, None), 1.0)
        );
        assert!(
            near(feedback(FeedbackOutcome::Failed, None), 0.0)
                && near(feedback(FeedbackOutcome::Underpowered, None), 0.0)
        );
    }
}
