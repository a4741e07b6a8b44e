//! Label-conditional conformal sets: which labels a probability does not rule out.

/// Coverages an artifact holds sets for, thousandths. The first is the one that scores report.
pub const COVERAGES: [u16; 3] = [900, 950, 990];

/// Limits on the probability that Lightweight is good enough (p3) for one promised coverage of each label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SetLimits {
    /// Promised coverage, thousandths.
    pub permille: u16,
    /// "Good enough" is in the set if p3 is at least this.
    pub good_enough: f64,
    /// "Not good enough" is in the set if p3 is at most this.
    pub not_good_enough: f64,
    /// Rows of either label.
    pub samples: [usize; 2],
}

/// The limits from calibrated probabilities of rows and whether Lightweight was good enough. Of n rows of a label the
/// k-th least conforming one is the limit, k = floor((n + 1) * (1 - coverage)): a new row of that label is then in the
/// set with at least the promised probability (Vovk, "Conditional validity of inductive conformal predictors", 2012).
/// Too few rows for that rule nothing out.
pub fn limits(probabilities: &[f64], good_enough: &[bool], permille: u16) -> SetLimits {
    let of_label = |label: bool| {
        let rows = probabilities.iter().zip(good_enough).filter(|(_, outcome)| **outcome == label);
        let mut sorted: Vec<f64> = rows.map(|(probability, _)| *probability).collect();
        sorted.sort_by(f64::total_cmp);
        sorted
    };
    let (good, bad) = (of_label(true), of_label(false));
    let rank = |rows: usize| (rows + 1) * usize::from(1000 - permille.min(1000)) / 1000;
    let good_enough = rank(good.len()).checked_sub(1).and_then(|place| good.get(place));
    let not_good_enough = bad.len().checked_sub(rank(bad.len())).and_then(|place| bad.get(place));
    SetLimits {
        permille,
        good_enough: good_enough.copied().unwrap_or(0.0),
        not_good_enough: not_good_enough.copied().unwrap_or(1.0),
        samples: [good.len(), bad.len()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn limits_of_a_case_counted_by_hand() {
        // Nineteen rows of each label at .05, .10 ... .95: k = floor(20 * .1) = 2, the second from either end.
        let (probabilities, labels): (Vec<f64>, Vec<bool>) =
            (1..20).flat_map(|row| [(f64::from(row) / 20.0, true), (f64::from(row) / 20.0, false)]).unzip();
        let limits = limits(&probabilities, &labels, 900);
        assert_eq!((limits.good_enough, limits.not_good_enough, limits.samples), (0.1, 0.9, [19, 19]));
    }

    #[test]
    fn both_labels_are_covered_as_often_as_promised_on_other_rows() {
        let mut random = Random::stream(8, 1);
        let mut rows = |count: usize| -> (Vec<f64>, Vec<bool>) {
            (0..count)
                .map(|_| {
                    let probability = random.uniform();
                    (probability, random.uniform() < probability)
                })
                .unzip()
        };
        let (probabilities, labels) = rows(20_000);
        for permille in COVERAGES {
            let limits = limits(&probabilities, &labels, permille);
            let (probabilities, labels) = rows(20_000);
            for label in [true, false] {
                let of_label: Vec<f64> = probabilities
                    .iter()
                    .zip(&labels)
                    .filter(|(_, outcome)| **outcome == label)
                    .map(|(probability, _)| *probability)
                    .collect();
                let covered = of_label.iter().filter(|probability| {
                    if label {
                        **probability >= limits.good_enough
                    } else {
                        **probability <= limits.not_good_enough
                    }
                });
                let share = covered.count() as f64 / of_label.len() as f64;
                assert!((share - f64::from(permille) / 1000.0).abs() < 0.015, "{permille} {label}: {share}");
            }
        }
    }

    #[test]
    fn too_few_rows_rule_nothing_out() {
        let limits = limits(&[0.5, 0.4, 0.6], &[true, true, false], 900);
        assert_eq!((limits.good_enough, limits.not_good_enough), (0.0, 1.0));
    }
}
