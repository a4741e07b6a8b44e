//! How much quality is lost where Lightweight answers, and the threshold that keeps a promise about it.
//!
//! The regret of a request is `max(0, q_P - q_L)` if Lightweight answers it and 0 if Powerful does. It never falls as the
//! threshold rises, so the largest threshold whose upper confidence bound keeps the promise keeps it with that
//! confidence (Bates, Angelopoulos, Lei, Malik, Jordan, "Distribution-free, risk-controlling prediction sets", J. ACM
//! 2021, theorem 2.1).
//!
//! Thresholds stand in artifacts, whose bytes must not depend on the machine: exp and log are those of the crate `libm`.

use serde::{Deserialize, Serialize};

mod binomial;
mod coverage;

pub use coverage::{COVERAGE_ALPHA, COVERAGE_MARGIN, CoverageCounts, Covered};

/// Bins of a [`RegretHistogram`].
pub const BINS: usize = 120;
/// The scores of an engine lie between these.
const LOWEST_SCORE: f64 = -1.0;
const SCORES: f64 = 3.0;
/// Halvings of a bracket; more than a double holds.
const HALVINGS: u32 = 60;

/// The upper confidence bound, at confidence `1 - delta`, of the mean of losses in 0 to 1 of which `observations` add up
/// to `sum`: the largest mean that is not refuted (Hoeffding and Bentkus, as combined in the source above, section 3.1).
/// Holds for any number of observations and any distribution; 1 without observations.
pub fn upper_bound(observations: u64, sum: f64, delta: f64) -> f64 {
    let mean = if observations == 0 { 0.0 } else { (sum / observations as f64).clamp(0.0, 1.0) };
    let (mut kept, mut refuted) = (mean, 1.0);
    if !is_below(observations, sum, refuted, delta) {
        return 1.0;
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(kept, refuted);
        if is_below(observations, sum, middle, delta) {
            refuted = middle;
        } else {
            kept = middle;
        }
    }
    refuted
}

/// The largest sum of losses in 0 to 1, over so many observations, that shows their mean to be at most `promise` with
/// confidence `1 - delta`; none where even no loss at all is too little to show it.
pub fn budget(observations: u64, promise: f64, delta: f64) -> Option<f64> {
    if !is_below(observations, 0.0, promise, delta) {
        return None;
    }
    let (mut shown, mut too_much) = (0.0, observations as f64);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(shown, too_much);
        if is_below(observations, middle, promise, delta) {
            shown = middle;
        } else {
            too_much = middle;
        }
    }
    Some(shown)
}

/// Whether a mean of `mean` or more is refuted at `delta`.
fn is_below(observations: u64, sum: f64, mean: f64, delta: f64) -> bool {
    let count = observations as f64;
    if observations == 0 || sum >= count * mean {
        return false;
    }
    let seen = sum / count;
    let hoeffding = -count * divergence(seen, mean);
    // The bound of Bentkus: e times the chance of a binomial count as small.
    let bentkus = 1.0 + binomial::ln_at_most(observations, sum.ceil(), mean);
    hoeffding.min(bentkus) <= libm::log(delta)
}

/// Kullback-Leibler divergence of two coins.
fn divergence(seen: f64, mean: f64) -> f64 {
    let part = |share: f64, of: f64| if share > 0.0 { share * libm::log(share / of) } else { 0.0 };
    part(seen, mean) + part(1.0 - seen, 1.0 - mean)
}

/// The threshold for samples that are at hand: the largest score up to which Lightweight may answer, so that the mean over
/// all samples of what is lost is at most `promise` with confidence `1 - delta`. It lies half-way to the next score.
/// None where no threshold keeps the promise; `f64::INFINITY` where all do.
pub fn threshold(scores: &[f64], losses: &[f64], promise: f64, delta: f64) -> Option<f64> {
    let budget = budget(scores.len() as u64, promise, delta)?;
    let mut samples: Vec<(f64, f64)> = scores.iter().copied().zip(losses.iter().copied()).collect();
    samples.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (mut lost, mut below, mut at) = (0.0, None, None);
    for (score, loss) in samples {
        if at.is_some_and(|at| at < score) {
            below = at;
        }
        at = Some(score);
        lost += loss;
        if lost > budget {
            return below.map(|below| f64::midpoint(below, score));
        }
    }
    Some(f64::INFINITY)
}

/// Audited pairs by the score of one model: what a threshold anywhere would have lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegretHistogram {
    /// [`BINS`] equal bins of the score from -1 to 2; a score on an edge belongs to the bin below.
    bins: Vec<RegretBin>,
}

/// Pairs whose scores lie close together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegretBin {
    /// How many.
    pub pairs: u64,
    /// Sum of `max(0, q_P - q_L)`.
    pub regret: f64,
}

impl Default for RegretHistogram {
    fn default() -> Self {
        Self { bins: vec![RegretBin::default(); BINS] }
    }
}

impl RegretHistogram {
    /// Adds a pair. A score or regret that is no number is left out; a regret is cut to 0 to 1.
    pub fn add(&mut self, score: f32, regret: f64) {
        if score.is_nan() || regret.is_nan() {
            return;
        }
        if let Some(bin) = self.bins.get_mut(bin(score)) {
            bin.pairs += 1;
            bin.regret += regret.clamp(0.0, 1.0);
        }
    }

    /// Adds what another one has seen.
    pub fn merge(&mut self, other: &Self) {
        for (bin, more) in self.bins.iter_mut().zip(&other.bins) {
            bin.pairs = bin.pairs.saturating_add(more.pairs);
            bin.regret += more.regret;
        }
    }

    /// How many pairs.
    pub fn pairs(&self) -> u64 {
        self.bins.iter().map(|bin| bin.pairs).sum()
    }

    /// Whether it could have come from counting: all bins there, each regret between 0 and its pairs.
    pub fn is_sound(&self) -> bool {
        self.bins.len() == BINS
            && self.bins.iter().all(|bin| (0.0..=bin.pairs as f64 * (1.0 + 1e-9)).contains(&bin.regret))
    }

    /// What the pairs would have lost in sum with Lightweight for every score of at most `lambda`, which is one of
    /// [`RegretHistogram::lambda`]'s; for another one, of the bins that lie below it as a whole.
    pub fn regret_at(&self, lambda: f32) -> f64 {
        self.bins
            .iter()
            .enumerate()
            .filter(|(index, _)| edge(*index) <= lambda)
            .map(|(_, bin)| bin.regret)
            .sum()
    }

    /// How many pairs have a score of at most `lambda`, likewise.
    pub fn pairs_at(&self, lambda: f32) -> u64 {
        self.bins
            .iter()
            .enumerate()
            .filter(|(index, _)| edge(*index) <= lambda)
            .map(|(_, bin)| bin.pairs)
            .sum()
    }

    /// The largest edge of a bin such that Lightweight for every score of at most that loses at most `promise` in the
    /// mean, with confidence `1 - delta`; none where no threshold keeps the promise.
    pub fn lambda(&self, promise: f64, delta: f64) -> Option<f32> {
        let budget = budget(self.pairs(), promise, delta)?;
        let mut lost = 0.0;
        let kept = self.bins.iter().take_while(|bin| {
            lost += bin.regret;
            lost <= budget
        });
        kept.count().checked_sub(1).map(edge)
    }
}

/// The upper end of a bin.
fn edge(bin: usize) -> f32 {
    (LOWEST_SCORE + SCORES * (bin + 1) as f64 / BINS as f64) as f32
}

/// The bin of a score: the first whose upper end it does not exceed.
fn bin(score: f32) -> usize {
    let place = (f64::from(score) - LOWEST_SCORE) / SCORES * BINS as f64;
    let mut bin = (place.ceil() as usize).saturating_sub(1).min(BINS - 1);
    // Edges are rounded: the comparison with the edge decides, as the router's does.
    while bin + 1 < BINS && score > edge(bin) {
        bin += 1;
    }
    while bin > 0 && score <= edge(bin - 1) {
        bin -= 1;
    }
    bin
}

#[cfg(test)]
mod tests;
