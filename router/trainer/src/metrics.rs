//! How well a score ranks prompts, and how honest a probability is.
//!
//! Prompts are ranked by score; PGR(c) is the share of the quality gap between the two models that is recovered when
//! the top share c goes to the Powerful model (Ong et al., `RouteLLM`, arXiv 2406.18665). APGR is the exact area under
//! that curve and CPT(x) the smallest call share at which it reaches x; prompts with equal scores are taken as one
//! group and split evenly, which is a straight line through the group.

use crate::random::Random;

/// Equal-width bins of the calibration error.
const CALIBRATION_BINS: usize = 15;

/// Recovery of one ranking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recovery {
    /// Area under PGR(c), .5 for a random ranking.
    pub apgr: f64,
    /// Share of calls to Powerful that recovers half of the gap.
    pub cpt50: f64,
    /// Share of calls to Powerful that recovers 80 % of the gap.
    pub cpt80: f64,
}

/// The rows sorted by falling score, equal scores in one group.
#[derive(Debug, Clone)]
pub struct Ranking {
    order: Vec<usize>,
    /// Ends of the groups, as positions in `order`.
    ends: Vec<usize>,
}

impl Ranking {
    /// Ranks rows by score, the highest first.
    pub fn new(scores: &[f64]) -> Self {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|one, other| scores[*other].total_cmp(&scores[*one]));
        let mut ends: Vec<usize> = (1..order.len())
            .filter(|position| scores[order[*position - 1]].total_cmp(&scores[order[*position]]).is_ne())
            .collect();
        ends.push(order.len());
        Self { order, ends }
    }

    /// The recovery where row `i` counts `copies[i]` times and gains `gains[i]` from Powerful; nothing if Powerful is
    /// not better over all rows.
    pub fn recovery(&self, gains: &[f64], copies: &[u32]) -> Option<Recovery> {
        let rows: f64 = copies.iter().map(|copies| f64::from(*copies)).sum();
        let gap: f64 = gains.iter().zip(copies).map(|(gain, copies)| gain * f64::from(*copies)).sum();
        if rows <= 0.0 || gap <= 0.0 {
            return None;
        }
        let (mut calls, mut recovered, mut area) = (0.0, 0.0, 0.0);
        let (mut cpt50, mut cpt80) = (None, None);
        let mut start = 0;
        for end in &self.ends {
            let (mut size, mut gain) = (0.0, 0.0);
            for row in &self.order[start..*end] {
                size += f64::from(copies[*row]);
                gain += gains[*row] * f64::from(copies[*row]);
            }
            start = *end;
            let (width, height) = (size / rows, gain / gap);
            area += width * (recovered + height / 2.0);
            for (level, reached) in [(0.5, &mut cpt50), (0.8, &mut cpt80)] {
                if reached.is_none() && recovered + height >= level {
                    *reached = Some(calls + width * (level - recovered) / height);
                }
            }
            calls += width;
            recovered += height;
        }
        // Rounding can leave the last point a hair below 1, never below .8.
        Some(Recovery { apgr: area, cpt50: cpt50.unwrap_or(1.0), cpt80: cpt80.unwrap_or(1.0) })
    }
}

/// Expected calibration error: the mean distance between probability and frequency over 15 equal-width bins,
/// weighted by how many rows are in each.
pub fn calibration_error(probabilities: &[f64], outcomes: &[bool], copies: &[u32]) -> f64 {
    let mut bins = [(0.0, 0.0); CALIBRATION_BINS];
    let mut rows = 0.0;
    for ((probability, outcome), copies) in probabilities.iter().zip(outcomes).zip(copies) {
        let bin = ((probability * CALIBRATION_BINS as f64) as usize).min(CALIBRATION_BINS - 1);
        let copies = f64::from(*copies);
        bins[bin].0 += copies * probability;
        bins[bin].1 += copies * f64::from(u8::from(*outcome));
        rows += copies;
    }
    bins.iter().map(|(predicted, seen)| (predicted - seen).abs()).sum::<f64>() / f64::max(rows, 1.0)
}

/// How often each of `rows` rows was drawn in one bootstrap sample.
pub fn resample(rows: usize, random: &mut Random) -> Vec<u32> {
    let mut copies = vec![0; rows];
    for _ in 0..rows {
        copies[random.below(rows)] += 1;
    }
    copies
}

/// A figure with its 95 % bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// The figure on the rows themselves.
    pub value: f64,
    /// 2.5 % of the resampled figures are below.
    pub low: f64,
    /// 2.5 % of the resampled figures are above.
    pub high: f64,
}

impl Estimate {
    /// The figure with the percentiles of its resampled values.
    pub fn new(value: f64, mut resampled: Vec<f64>) -> Self {
        resampled.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| {
            let position = (share * resampled.len().saturating_sub(1) as f64).round() as usize;
            resampled.get(position).copied().unwrap_or(value)
        };
        Self { value, low: at(0.025), high: at(0.975) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONCE: [u32; 4] = [1; 4];

    fn close(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-12
    }

    #[test]
    fn recovery_of_a_case_worked_by_hand() {
        // Falling scores with gains 1, 0, -1, 2 of a gap of 2: PGR is 0, .5, .5, 0, 1 at c = 0, .25, .5, .75, 1.
        // Area: .25 * (.25 + .5 + .25 + .5) = .375. Half is reached at .25, .8 at .75 + .25 * .8 = .95.
        let recovery = Ranking::new(&[4.0, 3.0, 2.0, 1.0]).recovery(&[1.0, 0.0, -1.0, 2.0], &ONCE).unwrap();
        assert!(close(recovery.apgr, 0.375) && close(recovery.cpt50, 0.25) && close(recovery.cpt80, 0.95));
    }

    #[test]
    fn equal_scores_are_one_straight_line() {
        let recovery = Ranking::new(&[7.0; 4]).recovery(&[1.0, 0.0, -1.0, 2.0], &ONCE).unwrap();
        assert!(close(recovery.apgr, 0.5) && close(recovery.cpt50, 0.5) && close(recovery.cpt80, 0.8));
        // The first two share a score: PGR is 0, .5, 1 at 0, .5, 1 with gains {1, 0}, then {1}, {0}.
        let recovery = Ranking::new(&[5.0, 5.0, 2.0, 1.0]).recovery(&[1.0, 0.0, 1.0, 0.0], &ONCE).unwrap();
        assert!(close(recovery.apgr, 0.5 * 0.25 + 0.25 * 0.75 + 0.25));
    }

    #[test]
    fn copies_count_like_repeated_rows() {
        let gains = [1.0, 0.0, -1.0, 1.0];
        let counted = Ranking::new(&[4.0, 3.0, 2.0, 1.0]).recovery(&gains, &[2, 1, 0, 1]).unwrap();
        let repeated = Ranking::new(&[4.0, 4.0, 3.0, 1.0]).recovery(&[1.0, 1.0, 0.0, 1.0], &ONCE).unwrap();
        assert!(close(counted.apgr, repeated.apgr) && close(counted.cpt80, repeated.cpt80));
    }

    #[test]
    fn no_gap_has_no_recovery() {
        assert_eq!(Ranking::new(&[1.0, 2.0]).recovery(&[1.0, -1.0], &[1, 1]), None);
        assert_eq!(Ranking::new(&[]).recovery(&[], &[]), None);
    }

    #[test]
    fn calibration_error_of_a_case_worked_by_hand() {
        // Bin of .9: mean .9 against 1/2, two rows; bin of .1: .1 against 0, two rows.
        let error = calibration_error(&[0.9, 0.9, 0.1, 0.1], &[true, false, false, false], &ONCE);
        assert!(close(error, (0.8 + 0.2) / 4.0));
        assert!(calibration_error(&[1.0, 0.0], &[true, false], &[1, 1]) < 1e-12);
    }

    #[test]
    fn an_interval_holds_ninety_five_percent() {
        let estimate = Estimate::new(0.5, (0..=1000).map(|x| f64::from(x) / 1000.0).collect());
        assert!(close(estimate.low, 0.025) && close(estimate.high, 0.975));
    }

    #[test]
    fn a_bootstrap_sample_has_as_many_rows() {
        let copies = resample(1000, &mut Random::stream(9, 9));
        assert_eq!(copies.iter().sum::<u32>(), 1000);
        let left_out = copies.iter().filter(|copies| **copies == 0).count();
        assert!((320..420).contains(&left_out), "about 1/e of the rows are left out, not {left_out}");
    }
}
