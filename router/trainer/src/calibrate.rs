//! From logits to probabilities that mean what they say, and from a promised loss to a threshold.

use tinydancer_guards::risk;

use crate::ngram::logistic;

/// Newton steps of a calibration; the loss is convex and has two parameters.
const NEWTON_STEPS: usize = 60;
/// Keeps the second derivatives invertible where all logits are alike.
const RIDGE: f64 = 1e-6;

/// Scale and offset of a logit (Platt, 1999).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Platt {
    /// What the logit is multiplied by.
    pub scale: f64,
    /// What is added.
    pub offset: f64,
}

impl Platt {
    /// The calibrated probability of a logit.
    pub fn probability(self, logit: f64) -> f64 {
        logistic(self.scale * logit + self.offset)
    }

    /// The scale and offset with the least logistic loss against `targets` (0 to 1).
    pub fn fit(logits: &[f64], targets: &[f64]) -> Self {
        let mut platt = Self { scale: 1.0, offset: 0.0 };
        let mut loss = platt.loss(logits, targets);
        for _ in 0..NEWTON_STEPS {
            let (scale, offset) = platt.newton(logits, targets);
            // Halving the step until the loss falls makes Newton's method safe far from the optimum.
            let mut share = 1.0;
            loop {
                let next = Self { scale: platt.scale - share * scale, offset: platt.offset - share * offset };
                let next_loss = next.loss(logits, targets);
                if next_loss < loss {
                    (platt, loss) = (next, next_loss);
                    break;
                }
                share /= 2.0;
                if share < 1e-6 {
                    return platt;
                }
            }
        }
        platt
    }

    fn loss(self, logits: &[f64], targets: &[f64]) -> f64 {
        let rows = logits.iter().zip(targets);
        rows.map(|(logit, target)| logistic_loss(self.scale * logit + self.offset, *target)).sum::<f64>()
            + RIDGE * ((self.scale - 1.0).powi(2) + self.offset.powi(2)) / 2.0
    }

    /// The inverse of the second derivatives times the gradient.
    fn newton(self, logits: &[f64], targets: &[f64]) -> (f64, f64) {
        let (mut g0, mut g1) = (RIDGE * (self.scale - 1.0), RIDGE * self.offset);
        let (mut h00, mut h01, mut h11) = (RIDGE, 0.0, RIDGE);
        for (logit, target) in logits.iter().zip(targets) {
            let probability = self.probability(*logit);
            let (error, curvature) = (probability - target, probability * (1.0 - probability));
            g0 += error * logit;
            g1 += error;
            h00 += curvature * logit * logit;
            h01 += curvature * logit;
            h11 += curvature;
        }
        let determinant = h00 * h11 - h01 * h01;
        ((h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant)
    }
}

/// The logistic loss of a logit against a target of 0 to 1.
pub fn logistic_loss(logit: f64, target: f64) -> f64 {
    logit.max(0.0) - logit * target + libm::log1p(libm::exp(-logit.abs()))
}

/// The largest `score`, the scores being `(p2 - p1) + (1 - p3)` of three probabilities.
pub const HIGHEST_SCORE: f64 = 2.0;

/// How sure a threshold's promise is. Stricter than the one in twenty that is promised: thresholds are chosen on what
/// networks of other rows said, and the one that is kept differs a little from them.
pub const DELTA: f64 = 0.007;

/// The largest threshold on the score for which the regret is at most `permille` thousandths with a confidence of
/// 99.3 %: Lightweight answers where `score <= lambda`, and the upper bound of the mean over all requests of what is lost
/// by it keeps the promise (Bates et al., J. ACM 2021). Nothing when even an empty Lightweight side cannot promise it.
pub fn risk_threshold(scores: &[f64], losses: &[f64], permille: u16) -> Option<f64> {
    let lambda = risk::threshold(scores, losses, f64::from(permille) / 1000.0, DELTA)?;
    Some(lambda.min(HIGHEST_SCORE))
}

/// The share of rows that a threshold sends to Powerful.
pub fn escalation(scores: &[f64], lambda: Option<f64>) -> f64 {
    let Some(lambda) = lambda else { return 1.0 };
    scores.iter().filter(|score| **score > lambda).count() as f64 / scores.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn an_over_confident_logit_is_halved() {
        let mut random = Random::stream(2, 2);
        let (logits, targets): (Vec<f64>, Vec<f64>) = (0..20_000)
            .map(|_| {
                let truth = 1.5 * random.normal();
                (2.0 * truth + 1.0, f64::from(u8::from(random.uniform() < logistic(truth))))
            })
            .unzip();
        let platt = Platt::fit(&logits, &targets);
        assert!((platt.scale - 0.5).abs() < 0.03 && (platt.offset + 0.5).abs() < 0.05, "{platt:?}");
    }

    #[test]
    fn constant_logits_give_the_mean() {
        let platt = Platt::fit(&[0.3; 10], &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert!((platt.probability(0.3) - 0.1).abs() < 1e-3);
        assert!(Platt::fit(&[2.0, -2.0], &[1.0, 0.0]).scale.is_finite(), "separable rows stay finite");
    }

    #[test]
    fn the_bound_of_the_threshold_keeps_its_promise_and_wastes_nothing() {
        let mut random = Random::stream(4, 4);
        let scores: Vec<f64> = (0..2999).map(|_| (random.uniform() * 40.0).round() / 20.0).collect();
        let losses: Vec<f64> =
            scores.iter().map(|score| f64::from(u8::from(random.uniform() < score / 4.0))).collect();
        let bound = |lambda: f64| {
            let lost = scores.iter().zip(&losses).filter(|(score, _)| **score <= lambda);
            risk::upper_bound(2999, lost.map(|(_, loss)| loss).sum(), DELTA)
        };
        let mut before = f64::NEG_INFINITY;
        for permille in [10, 50, 100, 200] {
            let lambda = risk_threshold(&scores, &losses, permille).unwrap();
            let promised = f64::from(permille) / 1000.0;
            assert!(bound(lambda) <= promised, "{permille}");
            assert!(bound(lambda + 0.05) > promised, "{permille}: the next score up would break it");
            assert!(lambda >= before);
            before = lambda;
        }
    }

    #[test]
    fn what_cannot_be_promised_has_no_threshold_and_what_cannot_fail_has_the_highest() {
        assert_eq!(risk_threshold(&[0.0; 100], &[1.0; 100], 5), None);
        assert_eq!(risk_threshold(&[0.0; 100], &[0.0; 100], 50), Some(HIGHEST_SCORE));
        assert_eq!(escalation(&[0.1, 0.5], None), 1.0);
        assert_eq!(escalation(&[0.1, 0.5], Some(0.3)), 0.5);
    }
}
