//! How often the sets a model gives hold the truth, by what the truth is.

use serde::{Deserialize, Serialize};

use super::binomial::ln_at_most;

/// How far below the promise the coverage of a truth may lie before it counts as less. Sets are made from a sample: made from
/// 2,000 rows of a truth they cover a share that is within this of the promise in 997 of 1,000 cases.
pub const COVERAGE_MARGIN: f64 = 0.02;
/// Chance that coverage which keeps the promise is ever said to fall short, of both truths together.
pub const COVERAGE_ALPHA: f64 = 0.01;
const TRUTHS: f64 = 2.0;

/// Audited pairs by whether Lightweight was good enough.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CoverageCounts {
    /// Of the pairs whose Lightweight answer was good enough.
    pub good_enough: Covered,
    /// Of the others.
    pub not_good_enough: Covered,
}

/// Pairs with one truth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Covered {
    /// How many.
    pub pairs: u64,
    /// Of them, those whose set held the truth.
    pub covered: u64,
}

impl Covered {
    /// The share that was covered; none without pairs.
    pub fn share(self) -> Option<f64> {
        (self.pairs > 0).then(|| self.covered as f64 / self.pairs as f64)
    }

    /// The logarithm of the evidence that this truth is covered less often than `promised` (a share), less
    /// [`COVERAGE_MARGIN`].
    ///
    /// - **Null hypothesis**: with `m = 1 - promised + COVERAGE_MARGIN`, each set of an audited request with this truth
    ///   lacks it with a chance of at most `m`, whatever came before.
    /// - **Test**: `E = (integral over p from m to 1 of p^k (1 - p)^(n - k) dp) / ((1 - m) m^k (1 - m)^(n - k))` for `k` sets
    ///   of `n` that lack it. Each `p` is a bet at fixed odds, `1 + (p - m) (x - m) / (m (1 - m))` a request, so each is
    ///   a test supermartingale and so is their mean. The chance that it ever reaches `1 / a` is at most `a`, whenever and
    ///   however often one looks. Only the counts matter: in which order requests were graded, and how they were spread over
    ///   pods, changes nothing.
    /// - **Assumption**: which requests are audited, and which counts are lost with a volume, does not depend on
    ///   whether the set held the truth.
    /// - **Source**: the method of mixtures (Robbins, "Statistical methods related to the law of the iterated logarithm",
    ///   1970), with an even mixture of the alternatives.
    pub fn log_e_value(self, promised: f64) -> f64 {
        let most = (1.0 - promised + COVERAGE_MARGIN).clamp(0.0, 1.0);
        if most <= 0.0 || most >= 1.0 {
            // Every set, or none, may lack it: nothing to test.
            return 0.0;
        }
        let (pairs, covered) = (self.pairs as f64, self.covered as f64);
        let missed = pairs - covered;
        let whole = libm::lgamma(missed + 1.0) + libm::lgamma(covered + 1.0) - libm::lgamma(pairs + 2.0);
        // The integral from m to 1 is the whole beta function's share above m, a tail of the binomial distribution.
        let above = whole + ln_at_most(self.pairs.saturating_add(1), missed, most);
        above - (covered + 1.0) * libm::log(1.0 - most) - missed * libm::log(most)
    }

    /// Whether this truth is surely covered less often than `promised`, with [`COVERAGE_ALPHA`] shared by both truths.
    pub fn falls_short(self, promised: f64) -> bool {
        self.log_e_value(promised) >= libm::log(TRUTHS / COVERAGE_ALPHA)
    }
}

impl CoverageCounts {
    /// Adds a pair: whether Lightweight was good enough, and whether the set held just that.
    pub fn add(&mut self, good_enough: bool, covered: bool) {
        let counts = if good_enough { &mut self.good_enough } else { &mut self.not_good_enough };
        counts.pairs += 1;
        counts.covered += u64::from(covered);
    }

    /// Adds what another one has counted.
    pub fn merge(&mut self, other: &Self) {
        let sides =
            [(&mut self.good_enough, other.good_enough), (&mut self.not_good_enough, other.not_good_enough)];
        for (counts, more) in sides {
            counts.pairs = counts.pairs.saturating_add(more.pairs);
            counts.covered = counts.covered.saturating_add(more.covered);
        }
    }

    /// Whether it could have come from counting.
    pub fn is_sound(&self) -> bool {
        [self.good_enough, self.not_good_enough].iter().all(|counts| counts.covered <= counts.pairs)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::Random;

    const PROMISED: f64 = 0.9;
    /// Chance of a miss at the edge of the null hypothesis.
    const MOST: f64 = 1.0 - PROMISED + COVERAGE_MARGIN;

    fn covered(pairs: u64, missed: u64) -> Covered {
        Covered { pairs, covered: pairs - missed }
    }

    /// After how many pairs, looked at one by one, it is said to fall short.
    fn shown(miss: f64, pairs: u64, random: &mut Random) -> Option<u64> {
        let mut counts = Covered::default();
        (1..=pairs).find(|_| {
            counts.pairs += 1;
            counts.covered += u64::from(!random.chance(miss));
            counts.falls_short(PROMISED)
        })
    }

    #[test]
    fn nothing_seen_is_no_evidence_and_a_promise_of_nothing_is_kept() {
        assert!(Covered::default().log_e_value(PROMISED).abs() < 1e-12);
        assert!(covered(500, 500).log_e_value(0.0).abs() < 1e-12);
    }

    #[test]
    fn the_evidence_is_the_mean_of_the_bets() {
        for (pairs, missed) in [(1, 0), (1, 1), (40, 3), (40, 20), (300, 90)] {
            let steps = 200_000;
            let width = (1.0 - MOST) / f64::from(steps);
            let bet = |step: u32| {
                let p = MOST + (f64::from(step) + 0.5) * width;
                let lost = (pairs - missed) as f64 * ((1.0 - p) / (1.0 - MOST)).ln();
                (missed as f64 * (p / MOST).ln() + lost).exp()
            };
            let mean = (0..steps).map(bet).sum::<f64>() / f64::from(steps);
            let found = covered(pairs, missed).log_e_value(PROMISED).exp();
            assert!((found / mean - 1.0).abs() < 1e-4, "{pairs} {missed}: {found} {mean}");
        }
    }

    #[test]
    fn coverage_at_the_margin_is_hardly_ever_said_to_fall_short_however_often_one_looks() {
        let mut random = Random::new(11);
        let alarms = (0..400).filter(|_| shown(MOST, 1_000, &mut random).is_some()).count();
        // Half of COVERAGE_ALPHA of 400 are 2.
        assert!(alarms <= 6, "{alarms}");
    }

    #[test]
    fn coverage_that_is_lost_is_found_within_some_hundred_pairs() {
        let mut random = Random::new(12);
        for (miss, soon) in [(0.2, 900), (0.3, 250), (0.5, 80)] {
            let mut found: Vec<u64> =
                (0..100).map(|_| shown(miss, 5_000, &mut random).unwrap_or(u64::MAX)).collect();
            found.sort_unstable();
            assert!(found[50] <= soon, "{miss}: {}", found[50]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn at_the_edge_of_the_null_the_next_pair_is_a_fair_bet(pairs in 0_u64..20_000, share in 0.0_f64..1.0) {
            let missed = (share * pairs as f64) as u64;
            let now = covered(pairs, missed).log_e_value(PROMISED);
            let growth = |missed| (covered(pairs + 1, missed).log_e_value(PROMISED) - now).exp();
            let expected = MOST * growth(missed + 1) + (1.0 - MOST) * growth(missed);
            prop_assert!((expected - 1.0).abs() < 1e-6, "{expected}");
            // Below the edge the same bet loses, as a miss never does harm to it.
            prop_assert!(growth(missed + 1) >= growth(missed));
        }
    }
}
