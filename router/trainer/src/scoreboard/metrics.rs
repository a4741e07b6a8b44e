//! How well a score ranks prompts, and how honest a probability is.
//!
//! Prompts are ranked by score; PGR(c) is the share of the quality gap between the two models that is recovered when
//! the top share c goes to the Powerful model (Ong et al., `RouteLLM`, arXiv 2406.18665). APGR is the exact area under
//! that curve and CPT(x) the smallest call share at which it reaches x; prompts with equal scores are taken as one
//! group and split evenly, which is a straight line through the group.

/// Equal-width bins of the calibration error.
const CALIBRATION_BINS: usize = 15;
/// The share of Powerful's quality at which the saving is taken.
const KEPT_QUALITY: f64 = 0.95;
/// The savings at which the quality is taken: the two ends of the seed's claim.
pub const SAVINGS: [f64; 2] = [0.7, 0.85];

/// Graded qualities of both answers, one entry a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcomes {
    /// Of Lightweight, 0 to 1.
    pub lightweight: Vec<f64>,
    /// Of Powerful, 0 to 1.
    pub powerful: Vec<f64>,
}

/// Recovery of one ranking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recovery {
    /// Area under PGR(c), .5 for a random ranking.
    pub apgr: f64,
    /// Share of calls to Powerful that recovers half of the gap.
    pub cpt50: f64,
    /// Share of calls to Powerful that recovers 80 % of the gap.
    pub cpt80: f64,
    /// Share of the bill of always-Powerful that is saved at 95 % of its quality.
    pub saving95: f64,
    /// Share of the quality of always-Powerful that is kept at each of [`SAVINGS`].
    pub kept: [f64; SAVINGS.len()],
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

    /// The recovery where row `i` counts `copies[i]` times and a call to Powerful costs `price_ratio` times one to
    /// Lightweight; nothing if Powerful is not better over all rows.
    pub fn recovery(&self, outcomes: &Outcomes, copies: &[u32], price_ratio: f64) -> Option<Recovery> {
        let Totals { rows, lightweight, powerful } = totals(outcomes, copies);
        let gap = powerful - lightweight;
        if rows <= 0.0 || gap <= 0.0 {
            return None;
        }
        let levels = [0.5, 0.8, (KEPT_QUALITY * powerful - lightweight) / gap];
        let mut reached = levels.map(|level| (level <= 0.0).then_some(0.0));
        // What is saved on a call that Lightweight answers.
        let saved = 1.0 - 1.0 / price_ratio;
        let shares = SAVINGS.map(|saving| 1.0 - saving / saved);
        let mut recovered_at = [0.0; SAVINGS.len()];
        let (mut calls, mut recovered, mut area) = (0.0, 0.0, 0.0);
        for (size, gain) in self.groups(outcomes, copies) {
            let (width, height) = (size / rows, gain / gap);
            area += width * (recovered + height / 2.0);
            for (level, reached) in levels.iter().zip(&mut reached) {
                if reached.is_none() && recovered + height >= *level {
                    *reached = Some(calls + width * (level - recovered) / height);
                }
            }
            for (share, recovered_at) in shares.iter().zip(&mut recovered_at) {
                if width > 0.0 && calls < *share {
                    *recovered_at = recovered + height * ((share - calls) / width).min(1.0);
                }
            }
            calls += width;
            recovered += height;
        }
        // Rounding can leave the last point a hair below 1.
        let [cpt50, cpt80, calls95] = reached.map(|share| share.unwrap_or(1.0));
        let kept = recovered_at.map(|recovered| (lightweight + recovered * gap) / powerful);
        Some(Recovery { apgr: area, cpt50, cpt80, saving95: (1.0 - calls95) * saved, kept })
    }

    /// Mean quality at `points + 1` evenly spread shares of calls to Powerful, from none to all.
    pub fn quality_curve(&self, outcomes: &Outcomes, points: usize) -> Vec<f64> {
        let once = vec![1; self.order.len()];
        let Totals { rows, lightweight, .. } = totals(outcomes, &once);
        let mut knots = vec![(0.0, lightweight / rows)];
        for (size, gain) in self.groups(outcomes, &once) {
            let (calls, quality) = knots[knots.len() - 1];
            knots.push((calls + size / rows, quality + gain / rows));
        }
        let mut after = 1;
        (0..=points)
            .map(|point| {
                let share = point as f64 / points as f64;
                while after + 1 < knots.len() && knots[after].0 < share {
                    after += 1;
                }
                let ((left, low), (right, high)) = (knots[after - 1], knots[after]);
                let within = ((share - left) / (right - left)).clamp(0.0, 1.0);
                low + within * (high - low)
            })
            .collect()
    }

    /// Rows and gain of each group of equal scores.
    fn groups<'a>(
        &'a self,
        outcomes: &'a Outcomes,
        copies: &'a [u32],
    ) -> impl Iterator<Item = (f64, f64)> + 'a {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let (mut size, mut gain) = (0.0, 0.0);
            for row in &self.order[start..*end] {
                let copies = f64::from(copies[*row]);
                size += copies;
                gain += copies * (outcomes.powerful[*row] - outcomes.lightweight[*row]);
            }
            start = *end;
            (size, gain)
        })
    }
}

struct Totals {
    rows: f64,
    lightweight: f64,
    powerful: f64,
}

fn totals(outcomes: &Outcomes, copies: &[u32]) -> Totals {
    let mut totals = Totals { rows: 0.0, lightweight: 0.0, powerful: 0.0 };
    for ((lightweight, powerful), copies) in outcomes.lightweight.iter().zip(&outcomes.powerful).zip(copies) {
        let copies = f64::from(*copies);
        totals.rows += copies;
        totals.lightweight += copies * lightweight;
        totals.powerful += copies * powerful;
    }
    totals
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

/// Brier score: the mean squared distance between probability and outcome.
pub fn brier_score(probabilities: &[f64], outcomes: &[bool], copies: &[u32]) -> f64 {
    let distances = probabilities.iter().zip(outcomes);
    let values: Vec<f64> = distances
        .map(|(probability, outcome)| (probability - f64::from(u8::from(*outcome))).powi(2))
        .collect();
    weighted_mean(&values, copies).unwrap_or(0.0)
}

/// The mean of values that count so many times each; nothing if none counts.
pub fn weighted_mean(values: &[f64], copies: &[u32]) -> Option<f64> {
    let count: f64 = copies.iter().map(|copies| f64::from(*copies)).sum();
    let sum: f64 = values.iter().zip(copies).map(|(value, copies)| value * f64::from(*copies)).sum();
    (count > 0.0).then(|| sum / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONCE: [u32; 4] = [1; 4];

    fn close(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-12
    }

    /// Lightweight is at .5 where nothing else is said.
    fn gains(gains: &[f64]) -> Outcomes {
        Outcomes {
            lightweight: vec![0.5; gains.len()],
            powerful: gains.iter().map(|gain| 0.5 + gain).collect(),
        }
    }

    #[test]
    fn recovery_of_a_case_worked_by_hand() {
        // Falling scores with gains 1, 0, -1, 2 of a gap of 2: PGR is 0, .5, .5, 0, 1 at c = 0, .25, .5, .75, 1.
        // Area: .25 * (.25 + .5 + .25 + .5) = .375. Half is reached at .25, .8 at .75 + .25 * .8 = .95.
        // Powerful has 4 in all, Lightweight 2: 95 % of 4 is 3.8, PGR .9, reached at .75 + .25 * .9 = .975.
        let ranking = Ranking::new(&[4.0, 3.0, 2.0, 1.0]);
        let recovery = ranking.recovery(&gains(&[1.0, 0.0, -1.0, 2.0]), &ONCE, 100.0).unwrap();
        assert!(close(recovery.apgr, 0.375) && close(recovery.cpt50, 0.25) && close(recovery.cpt80, 0.95));
        // A hundredth of the price: what is not sent to Powerful saves 99 % of its bill.
        assert!(close(recovery.saving95, 0.025 * 0.99));
        // 70 % are saved with 1 - .7 / .99 of the calls, where quality runs level at PGR .5: 3 of 4. 85 % are saved with
        // 1 - .85 / .99, on the first slope: 2 + 4 c.
        assert!(close(recovery.kept[0], 0.75));
        assert!(close(recovery.kept[1], (2.0 + 4.0 * (1.0 - 0.85 / 0.99)) / 4.0));
    }

    #[test]
    fn a_lightweight_model_that_is_nearly_as_good_saves_everything_it_can() {
        let outcomes = Outcomes { lightweight: vec![0.96, 0.96], powerful: vec![1.0, 1.0] };
        let recovery = Ranking::new(&[1.0, 2.0]).recovery(&outcomes, &[1, 1], 10.0).unwrap();
        assert!(close(recovery.saving95, 0.9));
        // At half the price nobody can save more than half: both savings mean Lightweight alone.
        let recovery = Ranking::new(&[1.0, 2.0]).recovery(&outcomes, &[1, 1], 2.0).unwrap();
        assert!(close(recovery.kept[0], 0.96) && close(recovery.kept[1], 0.96));
    }

    #[test]
    fn equal_scores_are_one_straight_line() {
        let recovery =
            Ranking::new(&[7.0; 4]).recovery(&gains(&[1.0, 0.0, -1.0, 2.0]), &ONCE, 100.0).unwrap();
        assert!(close(recovery.apgr, 0.5) && close(recovery.cpt50, 0.5) && close(recovery.cpt80, 0.8));
        // The first two share a score: PGR is 0, .5, 1 at 0, .5, 1 with gains {1, 0}, then {1}, {0}.
        let ranking = Ranking::new(&[5.0, 5.0, 2.0, 1.0]);
        let recovery = ranking.recovery(&gains(&[1.0, 0.0, 1.0, 0.0]), &ONCE, 100.0).unwrap();
        assert!(close(recovery.apgr, 0.5 * 0.25 + 0.25 * 0.75 + 0.25));
    }

    #[test]
    fn copies_count_like_repeated_rows() {
        let ranking = Ranking::new(&[4.0, 3.0, 2.0, 1.0]);
        let counted = ranking.recovery(&gains(&[1.0, 0.0, -1.0, 1.0]), &[2, 1, 0, 1], 100.0).unwrap();
        let repeated = Ranking::new(&[4.0, 4.0, 3.0, 1.0]);
        let repeated = repeated.recovery(&gains(&[1.0, 1.0, 0.0, 1.0]), &ONCE, 100.0).unwrap();
        assert!(close(counted.apgr, repeated.apgr) && close(counted.saving95, repeated.saving95));
    }

    #[test]
    fn no_gap_has_no_recovery() {
        assert_eq!(Ranking::new(&[1.0, 2.0]).recovery(&gains(&[1.0, -1.0]), &[1, 1], 100.0), None);
        assert_eq!(Ranking::new(&[]).recovery(&gains(&[]), &[], 100.0), None);
    }

    #[test]
    fn the_curve_goes_from_one_model_to_the_other_through_every_row() {
        // Qualities of a case worked by hand: .5, then +.25, +0, -.25, +.5 (gains over four rows).
        let ranking = Ranking::new(&[4.0, 3.0, 2.0, 1.0]);
        let curve = ranking.quality_curve(&gains(&[1.0, 0.0, -1.0, 2.0]), 8);
        let expected = [0.5, 0.625, 0.75, 0.75, 0.75, 0.625, 0.5, 0.75, 1.0];
        assert!(curve.iter().zip(expected).all(|(one, other)| close(*one, other)), "{curve:?}");
    }

    #[test]
    fn calibration_error_of_a_case_worked_by_hand() {
        // Bin of .9: mean .9 against 1/2, two rows; bin of .1: .1 against 0, two rows.
        let error = calibration_error(&[0.9, 0.9, 0.1, 0.1], &[true, false, false, false], &ONCE);
        assert!(close(error, (0.8 + 0.2) / 4.0));
        assert!(calibration_error(&[1.0, 0.0], &[true, false], &[1, 1]) < 1e-12);
    }

    #[test]
    fn brier_score_of_a_case_worked_by_hand() {
        // (.01 + .81 + .01 + .01 * 2) / 5, the last row counted twice.
        let score = brier_score(&[0.9, 0.9, 0.1, 0.1], &[true, false, false, false], &[1, 1, 1, 2]);
        assert!(close(score, 0.85 / 5.0));
    }

    #[test]
    fn a_mean_of_nothing_is_nothing() {
        assert_eq!(weighted_mean(&[1.0, 2.0], &[0, 0]), None);
        assert_eq!(weighted_mean(&[1.0, 2.0], &[3, 1]), Some(1.25));
    }
}
