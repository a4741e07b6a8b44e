//! The likelihood of a graded quality under Beta(mu k, (1 - mu) k), with its slopes.

use libm::{exp, lgamma, log};

use crate::ngram::logistic;

/// How close to 0 and 1 a mean may come, so that both parameters stay numbers.
const EDGE: f64 = 1e-6;
/// The logarithm of the precision beyond which it no longer counts.
const MOST: f64 = 12.0;

/// Minus the logarithm of the density at `quality` for the logit of mu and the logarithm of k.
pub(super) fn loss(heads: [f64; 2], quality: f64) -> f64 {
    let (mu, k) = parameters(heads);
    let (a, b) = (mu * k, (1.0 - mu) * k);
    lgamma(a) + lgamma(b) - lgamma(k) - (a - 1.0) * log(quality) - (b - 1.0) * log(1.0 - quality)
}

/// The slopes of [`loss`] by both heads.
pub(super) fn slopes(heads: [f64; 2], quality: f64) -> [f64; 2] {
    let (mu, k) = parameters(heads);
    let (a, b) = (mu * k, (1.0 - mu) * k);
    let whole = digamma(k);
    let (by_a, by_b) = (digamma(a) - whole - log(quality), digamma(b) - whole - log(1.0 - quality));
    let by_mu = if (EDGE..=1.0 - EDGE).contains(&logistic(heads[0])) { k * (by_a - by_b) } else { 0.0 };
    let by_k = if heads[1].abs() < MOST { mu * by_a + (1.0 - mu) * by_b } else { 0.0 };
    [by_mu * mu * (1.0 - mu), by_k * k]
}

fn parameters([logit, precision]: [f64; 2]) -> (f64, f64) {
    (logistic(logit).clamp(EDGE, 1.0 - EDGE), exp(precision.clamp(-MOST, MOST)))
}

/// The slope of the logarithm of the gamma function, for positive numbers: by its recurrence to a large number, and
/// by its asymptotic series there (Abramowitz and Stegun, 6.3.5 and 6.3.18).
fn digamma(x: f64) -> f64 {
    let (mut x, mut sum) = (x, 0.0);
    while x < 12.0 {
        sum -= 1.0 / x;
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series = square * (1.0 / 12.0 - square * (1.0 / 120.0 - square * (1.0 / 252.0 - square / 240.0)));
    sum + log(x) - 0.5 / x - series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digamma_has_its_known_values() {
        const EULER: f64 = 0.577_215_664_901_532_9;
        assert!((digamma(1.0) + EULER).abs() < 1e-12);
        assert!((digamma(0.5) + EULER + 2.0 * std::f64::consts::LN_2).abs() < 1e-12);
        assert!((digamma(4.0) - (1.0 + 0.5 + 1.0 / 3.0 - EULER)).abs() < 1e-12);
    }

    #[test]
    fn beta_of_one_and_one_is_even() {
        for quality in [0.1, 0.5, 0.9] {
            assert!(loss([0.0, std::f64::consts::LN_2], quality).abs() < 1e-12);
        }
    }

    #[test]
    fn slopes_agree_with_finite_differences() {
        for heads in [[0.3, 1.5], [-2.0, 4.0], [3.0, -1.0]] {
            for quality in [0.02, 0.4, 0.97] {
                for head in 0..2 {
                    let moved = |by: f64| {
                        let mut heads = heads;
                        heads[head] += by;
                        loss(heads, quality)
                    };
                    let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                    let slope = slopes(heads, quality)[head];
                    assert!((slope - expected).abs() < 1e-6 * (1.0 + expected.abs()), "{heads:?} {quality}");
                }
            }
        }
    }
}
