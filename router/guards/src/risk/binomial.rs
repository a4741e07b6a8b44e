//! The lower tail of a binomial count.

/// Steps of the continued fraction; it converges in about the square root of the count.
const STEPS: u32 = 10_000;
const PRECISION: f64 = 1e-13;
/// Keeps Lentz's method away from a division by zero.
const TINY: f64 = 1e-300;

/// The natural logarithm of the chance that `trials` tries, each a success with chance `chance`, have at most `successes`.
pub(super) fn ln_at_most(trials: u64, successes: f64, chance: f64) -> f64 {
    let trials = trials as f64;
    if successes >= trials || chance <= 0.0 {
        return 0.0;
    }
    if chance >= 1.0 {
        return f64::NEG_INFINITY;
    }
    // P(X <= k) = I_{1-p}(n - k, k + 1), the regularised incomplete beta function.
    ln_beta_share(trials - successes, successes + 1.0, 1.0 - chance)
}

/// The logarithm of the regularised incomplete beta function, by its continued fraction (Numerical Recipes, 6.4).
fn ln_beta_share(a: f64, b: f64, x: f64) -> f64 {
    let ln_front =
        libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * libm::log(x) + b * libm::log(1.0 - x);
    if x < (a + 1.0) / (a + b + 2.0) {
        ln_front + libm::log(fraction(a, b, x) / a)
    } else {
        let rest = libm::exp(ln_front + libm::log(fraction(b, a, 1.0 - x) / b));
        libm::log((1.0 - rest).max(0.0))
    }
}

/// The continued fraction by Lentz's method: the ratios of successive numerators and denominators are kept.
fn fraction(a: f64, b: f64, x: f64) -> f64 {
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut numerators = 1.0;
    let mut denominators = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut product = denominators;
    for step in 1..=STEPS {
        let step = f64::from(step);
        let place = a + 2.0 * step;
        let even = step * (b - step) * x / ((place - 1.0) * place);
        let odd = -(a + step) * (a + b + step) * x / (place * (place + 1.0));
        let mut change = 1.0;
        for coefficient in [even, odd] {
            denominators = 1.0 / away(1.0 + coefficient * denominators);
            numerators = away(1.0 + coefficient / numerators);
            change = denominators * numerators;
            product *= change;
        }
        if (change - 1.0).abs() < PRECISION {
            break;
        }
    }
    product
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "certainty is exact")]

    use super::*;

    /// The tail by adding up its terms.
    fn summed(trials: u64, successes: u64, chance: f64) -> f64 {
        let mut term = (1.0 - chance).powi(i32::try_from(trials).unwrap());
        let mut sum = term;
        for count in 0..successes {
            term *= (trials - count) as f64 / (count + 1) as f64 * chance / (1.0 - chance);
            sum += term;
        }
        sum
    }

    #[test]
    fn the_tail_is_the_sum_of_its_terms() {
        for (trials, successes, chance) in
            [(1, 0, 0.3), (10, 3, 0.5), (200, 4, 0.05), (1000, 60, 0.05), (1000, 30, 0.05), (50, 49, 0.9)]
        {
            let tail = ln_at_most(trials, successes as f64, chance).exp();
            let expected = summed(trials, successes, chance);
            assert!(
                (tail - expected).abs() < 1e-9 * expected,
                "{trials} {successes} {chance}: {tail} {expected}"
            );
        }
    }

    #[test]
    fn the_ends_are_certain() {
        assert_eq!(ln_at_most(5, 5.0, 0.5), 0.0);
        assert_eq!(ln_at_most(5, 2.0, 0.0), 0.0);
        assert_eq!(ln_at_most(5, 2.0, 1.0), f64::NEG_INFINITY);
        // Close to the divergence of the two coins, 1.126e-3 a try.
        let far = ln_at_most(10_000_000, 400_000.0, 0.05);
        assert!((-11_300.0..-11_200.0).contains(&far), "{far}");
    }
}
