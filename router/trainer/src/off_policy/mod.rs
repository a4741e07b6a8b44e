//! What a policy that never ran would have been worth, from the log of one that did.
//!
//! A log knows the reward of the tier that was taken and the probability with which it was taken. Where exploration gave
//! the other tier a chance, requests that happened to take it stand for those that did not:
//!
//! - IPS weights each reward by one over that probability (Horvitz and Thompson, JASA 1952). Unbiased, and rough.
//! - SNIPS divides by the sum of the weights (Swaminathan and Joachims, NIPS 2015): stays within the rewards, steadier,
//!   biased by as little as one over the number of rows.
//! - DR corrects a regression of the reward by its weighted mistakes (Dudik, Langford and Li, ICML 2011), each row judged
//!   by a regression that was fitted without it. Unbiased whatever the regression is worth; the better it is, the narrower.
//!
//! Where an audit knows the quality of both answers, nothing needs to be estimated but the mean: [`audited`].

mod interval;
mod reward_model;
#[cfg(test)]
mod tests;

use serde::Serialize;
use tinydancer_engine::Tier;
use tinydancer_guards::risk;

pub use interval::Estimate;

use interval::{RESAMPLES, bootstrap};
use reward_model::expected_rewards;

/// The share of promises about regret that may fail, as everywhere.
const DELTA: f64 = 0.05;

/// One request of a log, with what the policy in question would have done.
#[derive(Debug, Clone, PartialEq)]
pub struct Logged {
    /// What is known before the decision, as many finite numbers in each row of a log.
    pub context: Vec<f64>,
    /// The tier that was taken.
    pub taken: Tier,
    /// With which probability, above 0 and at most 1.
    pub propensity: f64,
    /// What came of it, 0 to 1.
    pub reward: f64,
    /// With which probability the policy in question takes Lightweight; 0 or 1 where it leaves nothing to chance.
    pub lightweight: f64,
}

impl Logged {
    /// The probability that the log's policy takes a tier.
    fn logged(&self, tier: Tier) -> f64 {
        if tier == self.taken { self.propensity } else { 1.0 - self.propensity }
    }

    /// The probability that the policy in question takes a tier.
    fn target(&self, tier: Tier) -> f64 {
        match tier {
            Tier::Lightweight => self.lightweight,
            Tier::Powerful => 1.0 - self.lightweight,
        }
    }

    fn is_supported(&self) -> bool {
        TIERS.into_iter().all(|tier| self.target(tier) <= 0.0 || self.logged(tier) > 0.0)
    }

    fn weight(&self) -> f64 {
        self.target(self.taken) / self.propensity
    }

    /// Whether what the policy in question prefers is what the log's policy seldom does.
    fn is_disagreement(&self) -> bool {
        TIERS.into_iter().any(|tier| self.target(tier) > 0.5 && self.logged(tier) < 0.5)
    }
}

const TIERS: [Tier; 2] = [Tier::Lightweight, Tier::Powerful];

/// What a log says about a policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OffPolicy {
    /// Rows of the log.
    pub rows: usize,
    /// Rows where the policy in question wants a tier that had no chance. No log of any length tells what would have come
    /// of them; they are left out of everything below.
    pub outside_support: usize,
    /// Rows where it wants the tier that had the smaller chance.
    pub disagreements: usize,
    /// Those of them where that tier was taken. What is said about the difference of the policies rests on these.
    pub disagreements_taken: usize,
    /// The rows' worth in rows that all weigh the same (Kish): the square of the sum of the weights over the sum of their
    /// squares.
    pub effective_rows: f64,
    /// The largest weight, one over the smallest propensity that was used.
    pub largest_weight: f64,
    /// The mean reward of what was taken; none without rows.
    pub logged: Option<Estimate>,
    /// The estimates; none where no row took what the policy in question would take.
    pub estimates: Option<Estimates>,
}

/// The value of a policy, three ways.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimates {
    /// Inverse propensity scores.
    pub ips: Estimate,
    /// Self-normalised inverse propensity scores.
    pub snips: Estimate,
    /// Doubly robust.
    pub dr: Estimate,
    /// The doubly robust value minus that of the log, on the same rows.
    pub gain: Estimate,
}

/// Estimates the value of a policy. The seed draws folds and bootstrap samples.
pub fn off_policy(rows: &[Logged], seed: u64) -> OffPolicy {
    with_resamples(rows, seed, RESAMPLES)
}

fn with_resamples(all: &[Logged], seed: u64, resamples: usize) -> OffPolicy {
    let rows: Vec<&Logged> = all.iter().filter(|row| row.is_supported()).collect();
    let weights: Vec<f64> = rows.iter().map(|row| row.weight()).collect();
    let sum: f64 = weights.iter().sum();
    let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
    let disagreements = rows.iter().filter(|row| row.is_disagreement());
    let [logged, ips, snips, dr, gain] = values(&rows, &weights, seed, resamples);
    OffPolicy {
        rows: all.len(),
        outside_support: all.len() - rows.len(),
        disagreements: disagreements.clone().count(),
        disagreements_taken: disagreements.filter(|row| row.target(row.taken) > 0.5).count(),
        effective_rows: if squares > 0.0 { sum * sum / squares } else { 0.0 },
        largest_weight: weights.iter().copied().fold(0.0, f64::max),
        logged: (!rows.is_empty()).then_some(logged),
        estimates: (sum > 0.0).then_some(Estimates { ips, snips, dr, gain }),
    }
}

/// The value of the log, three of the policy in question, and the difference.
fn values(rows: &[&Logged], weights: &[f64], seed: u64, resamples: usize) -> [Estimate; 5] {
    let expected = expected_rewards(rows, seed);
    let terms: Vec<[f64; 4]> = rows
        .iter()
        .zip(weights)
        .zip(expected)
        .map(|((row, weight), [lightweight, powerful])| {
            let of_taken = if row.taken == Tier::Lightweight { lightweight } else { powerful };
            let of_target = row.lightweight * lightweight + (1.0 - row.lightweight) * powerful;
            [row.reward, weight * row.reward, *weight, of_target + weight * (row.reward - of_taken)]
        })
        .collect();
    bootstrap(&terms, resamples, seed, |[logged, ips, weight, dr]| {
        [logged, ips, ips / weight, dr, dr - logged]
    })
}

/// A request whose two answers were both graded, with what the policy in question would have done.
#[derive(Debug, Clone, PartialEq)]
pub struct Audited {
    /// The tier that was taken.
    pub taken: Tier,
    /// Quality of Lightweight's answer, 0 to 1.
    pub lightweight_quality: f64,
    /// Quality of Powerful's answer, 0 to 1.
    pub powerful_quality: f64,
    /// With which probability the policy in question takes Lightweight.
    pub lightweight: f64,
}

/// What audits say about a policy: the value of each request is known, only the mean over all requests is estimated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditedValue {
    /// Audits.
    pub pairs: usize,
    /// Mean quality of what was taken.
    pub logged: Estimate,
    /// Mean quality of what the policy in question would have taken.
    pub candidate: Estimate,
    /// The second minus the first, on the same requests.
    pub gain: Estimate,
    /// Mean quality of Powerful's answers.
    pub always_powerful: Estimate,
    /// Mean loss of quality of the policy in question where it takes Lightweight and Powerful was better.
    pub regret: Estimate,
    /// The upper confidence bound of that loss at 95 %, the one that promises are kept by.
    pub regret_bound: f64,
}

/// The value of a policy on audited requests; none without any. The seed draws the bootstrap samples.
pub fn audited(pairs: &[Audited], seed: u64) -> Option<AuditedValue> {
    if pairs.is_empty() {
        return None;
    }
    let losses = pairs.iter().map(|pair| {
        let loss = (pair.powerful_quality - pair.lightweight_quality).max(0.0);
        pair.lightweight * loss
    });
    let bound = risk::upper_bound(pairs.len() as u64, losses.clone().sum(), DELTA);
    let terms: Vec<[f64; 4]> = pairs
        .iter()
        .zip(losses)
        .map(|(pair, loss)| {
            let (lightweight, powerful) = (pair.lightweight_quality, pair.powerful_quality);
            let taken = if pair.taken == Tier::Lightweight { lightweight } else { powerful };
            let target = pair.lightweight * lightweight + (1.0 - pair.lightweight) * powerful;
            [taken, target, powerful, loss]
        })
        .collect();
    let figures = |[taken, target, powerful, loss]: [f64; 4]| [taken, target, target - taken, powerful, loss];
    let [logged, candidate, gain, always_powerful, regret] = bootstrap(&terms, RESAMPLES, seed, figures);
    let pairs = pairs.len();
    Some(AuditedValue { pairs, logged, candidate, gain, always_powerful, regret, regret_bound: bound })
}
