//! The figures of a replay, and what speaks against believing them.

use serde::Serialize;
use tinydancer_engine::Model;
use tinydancer_trainer::off_policy::{AuditedValue, OffPolicy, audited, off_policy};

use super::rows::{Origin, Replayed};
use super::{Replay, Reward};

/// Fewer explored requests than this carry no estimate of a difference.
const FEW_EXPLORED: usize = 30;
/// One request that counts for so many makes an estimate a matter of luck.
const LARGE_WEIGHT: f64 = 100.0;
/// Fewer audits than this are too few to conclude anything; the operator waits for as many too.
const FEW_AUDITS: usize = 200;

/// A whole replay.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The model in question.
    pub(super) model: Candidate,
    /// Rows with a score of that model computed when the request was there.
    pub(super) scored_by_recorded_scores: usize,
    /// Rows whose score is computed from prompt statistics alone.
    pub(super) scored_by_statistics_only: usize,
    /// Rows that could not be scored, or were not to be.
    pub(super) left_out: usize,
    /// What was taken as a reward; null if no row has any.
    pub(super) reward: Option<Reward>,
    /// Estimates from the rewards of the tier that was taken.
    pub(super) off_policy: Option<OffPolicy>,
    /// Values from audits, which know both tiers.
    pub(super) audited: Option<AuditedValue>,
    /// Where requests go, and what that saves.
    pub(super) log: Spending,
    /// The same of the model in question.
    pub(super) candidate: Spending,
    /// What a call to Powerful costs, in calls to Lightweight.
    pub(super) price_ratio: f64,
    /// What speaks against believing the figures.
    pub(super) warnings: Vec<String>,
}

/// Which model, and how it decides.
#[derive(Debug, Serialize)]
pub(super) struct Candidate {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) digest: String,
    /// The promise, if the threshold is that of one.
    pub(super) risk_permille: Option<u16>,
    /// Lightweight where the score is at most this; null: nowhere.
    pub(super) threshold: Option<f32>,
}

/// Where requests go.
#[derive(Debug, Serialize)]
pub(super) struct Spending {
    /// Share of requests to Lightweight.
    pub(super) to_lightweight: f64,
    /// Share of the price of always-Powerful that is saved, all requests costing alike.
    pub(super) saving: f64,
}

impl Spending {
    fn new(to_lightweight: f64, price_ratio: f64) -> Self {
        Self { to_lightweight, saving: to_lightweight * (1.0 - 1.0 / price_ratio) }
    }
}

impl Report {
    /// All figures of rows that were replayed.
    pub(super) fn new(replay: &Replay, model: &Model, replayed: &Replayed) -> Self {
        let metadata = model.metadata();
        let reward = replay.reward.or_else(|| replayed.reward());
        let rows = &replayed.rows;
        let share = |count: usize| count as f64 / rows.len().max(1) as f64;
        let recorded = rows.iter().filter(|row| row.origin == Origin::Recorded).count();
        let mut report = Self {
            model: Candidate {
                name: metadata.name.clone(),
                version: metadata.version.clone(),
                digest: model.digest().to_string(),
                risk_permille: replay.lambda.is_none().then_some(replay.risk),
                threshold: replay.threshold(model),
            },
            scored_by_recorded_scores: recorded,
            scored_by_statistics_only: rows.len() - recorded,
            left_out: replayed.left_out,
            reward,
            off_policy: reward.map(|reward| off_policy(&replayed.logged(reward), replay.seed)),
            audited: audited(&replayed.audited(), replay.seed),
            log: Spending::new(
                share(rows.iter().filter(|row| row.took_lightweight()).count()),
                replay.price_ratio,
            ),
            candidate: Spending::new(
                share(rows.iter().filter(|row| row.lightweight).count()),
                replay.price_ratio,
            ),
            price_ratio: replay.price_ratio,
            warnings: Vec::new(),
        };
        report.warnings = report.doubts();
        report
    }

    fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.model.threshold.is_none() {
            doubts
                .push("no threshold of this model keeps the promise: everything goes to Powerful".to_owned());
        }
        if self.scored_by_statistics_only > 0 {
            doubts.push(format!(
                "{} rows are scored by prompt statistics only: without n-grams and tags the model is a lesser one, and its \
                 threshold was not made for such scores; --recorded-only leaves these rows out",
                self.scored_by_statistics_only
            ));
        }
        match self.reward {
            None => doubts
                .push("no row has an audit, feedback or an outcome: nothing can be estimated".to_owned()),
            Some(Reward::Grade) => {}
            Some(Reward::Feedback) => doubts.push(
                "feedback is given by whom it pleases: the estimates are about requests of those who give it"
                    .to_owned(),
            ),
            Some(Reward::Success) => doubts.push(
                "success says that an upstream answered, not how well: these are no estimates of quality"
                    .to_owned(),
            ),
        }
        doubts.extend(self.off_policy.iter().flat_map(doubts_of_estimates));
        if let Some(audited) = self.audited.as_ref().filter(|audited| audited.pairs < FEW_AUDITS) {
            doubts.push(format!(
                "{} audits are few; the operator itself waits for {FEW_AUDITS}",
                audited.pairs
            ));
        }
        doubts
    }
}

fn doubts_of_estimates(found: &OffPolicy) -> Vec<String> {
    let mut doubts = Vec::new();
    if found.rows == 0 {
        return vec!["no row has this reward".to_owned()];
    }
    if found.outside_support > 0 {
        doubts.push(format!(
            "on {} of {} rows the model wants a tier that had no chance (no exploration, or the model that decided \
             abstained): IPS, SNIPS, DR and the log's value beside them leave these rows out",
            found.outside_support, found.rows
        ));
    }
    if found.disagreements > 0 && found.disagreements_taken < FEW_EXPLORED {
        doubts.push(format!(
            "on {} rows the model wants the tier that was seldom taken, and only {} of them were explored: do not believe \
             a difference that rests on fewer than {FEW_EXPLORED}, whatever its interval",
            found.disagreements, found.disagreements_taken
        ));
    }
    if found.largest_weight > LARGE_WEIGHT {
        doubts.push(format!(
            "propensities go down to {:.4}: one request counts for up to {:.0}",
            1.0 / found.largest_weight,
            found.largest_weight
        ));
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(disagreements_taken: usize, largest_weight: f64) -> OffPolicy {
        OffPolicy {
            rows: 1_000,
            outside_support: 0,
            disagreements: 200,
            disagreements_taken,
            effective_rows: 100.0,
            largest_weight,
            logged: None,
            estimates: None,
        }
    }

    #[test]
    fn a_difference_that_rests_on_few_explored_requests_is_doubted() {
        assert_eq!(doubts_of_estimates(&found(30, 100.0)), Vec::<String>::new());
        assert!(doubts_of_estimates(&found(29, 100.0))[0].contains("only 29 of them were explored"));
        assert!(doubts_of_estimates(&found(30, 1000.0))[0].contains("propensities go down to 0.0010"));
    }

    #[test]
    fn a_call_that_costs_the_same_saves_nothing() {
        assert!(Spending::new(0.5, 1.0).saving.abs() < 1e-12);
        assert!((Spending::new(0.5, 100.0).saving - 0.495).abs() < 1e-12);
    }
}
