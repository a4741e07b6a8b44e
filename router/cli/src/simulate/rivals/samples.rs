//! Tests of two samples: what the candidate says in its arm against what stable says in the other, looked at every 200
//! requests.

use tinydancer_guards::{Arm, BasisPoints};

use crate::simulate::study::Method;
use crate::simulate::traffic::Request;

/// Requests between two looks.
const PEEK: u32 = 200;
/// Values of the canary before the first look.
const LEAST: usize = 50;
/// Bins of the population stability index: deciles of stable's values.
const BINS: usize = 10;
const SMALLEST_SHARE: f64 = 1e-4;
/// Where Kolmogorov's distribution has 1 % above.
const KOLMOGOROV_99: f64 = 1.627_62;
/// Where the standard normal distribution has 1 % on each side.
const NORMAL_98: f64 = 2.326_35;

/// Which test.
#[derive(Debug, Clone, Copy)]
pub(super) enum Test {
    /// Population stability index above this.
    Psi(f64),
    /// Kolmogorov-Smirnov at 1 %.
    KolmogorovSmirnov,
    /// Mann-Whitney at 2 %, both sides.
    MannWhitney,
}

/// A test that is looked at again and again.
pub(super) struct Peeked {
    test: Test,
    candidate: Vec<f32>,
    stable: Vec<f32>,
    requests: u32,
}

impl Peeked {
    pub(super) fn new(test: Test, weight: BasisPoints) -> Self {
        let canary = usize::from(weight.get());
        Self { test, candidate: Vec::with_capacity(canary), stable: Vec::with_capacity(10_000), requests: 0 }
    }
}

impl Method for Peeked {
    fn see(&mut self, request: &Request, arm: Arm) -> bool {
        self.requests += 1;
        if let Some((candidate, stable)) = request.observation.uncertainty {
            match arm {
                Arm::Candidate => self.candidate.push(candidate),
                Arm::Stable => self.stable.push(stable),
            }
        }
        if !self.requests.is_multiple_of(PEEK) || self.candidate.len() < LEAST || self.stable.len() < LEAST {
            return false;
        }
        self.candidate.sort_by(f32::total_cmp);
        self.stable.sort_by(f32::total_cmp);
        let (c, s) = (self.candidate.as_slice(), self.stable.as_slice());
        match self.test {
            Test::Psi(limit) => population_stability_index(c, s) > limit,
            Test::KolmogorovSmirnov => kolmogorov_smirnov(c, s) > KOLMOGOROV_99,
            Test::MannWhitney => mann_whitney(c, s).abs() > NORMAL_98,
        }
    }
}

/// `sum (c - s) ln(c / s)` over deciles of the second; both sorted.
fn population_stability_index(candidate: &[f32], stable: &[f32]) -> f64 {
    let share_up_to =
        |values: &[f32], end: f32| values.partition_point(|value| *value <= end) as f64 / values.len() as f64;
    let mut sum = 0.0;
    let (mut candidate_below, mut stable_below) = (0.0, 0.0);
    for bin in 1..=BINS {
        let end = if bin == BINS { f32::INFINITY } else { decile(stable, bin) };
        let (candidate_up_to, stable_up_to) = (share_up_to(candidate, end), share_up_to(stable, end));
        let c = (candidate_up_to - candidate_below).max(SMALLEST_SHARE);
        let s = (stable_up_to - stable_below).max(SMALLEST_SHARE);
        sum += (c - s) * (c / s).ln();
        (candidate_below, stable_below) = (candidate_up_to, stable_up_to);
    }
    sum
}

fn decile(sorted: &[f32], bin: usize) -> f32 {
    sorted.get(sorted.len() * bin / BINS).copied().unwrap_or(f32::INFINITY)
}

/// The largest distance of the two distribution functions, scaled so that Kolmogorov's distribution is its null
/// (Stephens 1970); both sorted.
fn kolmogorov_smirnov(candidate: &[f32], stable: &[f32]) -> f64 {
    let (n, m) = (candidate.len() as f64, stable.len() as f64);
    let (mut i, mut j, mut distance) = (0, 0, 0.0_f64);
    while let (Some(c), Some(s)) = (candidate.get(i), stable.get(j)) {
        let value = c.min(*s);
        i += usize::from(*c <= value);
        j += usize::from(*s <= value);
        distance = distance.max((i as f64 / n - j as f64 / m).abs());
    }
    let root = (n * m / (n + m)).sqrt();
    (root + 0.12 + 0.11 / root) * distance
}

/// The rank sum of the first as a standard normal number (Mann and Whitney 1947); both sorted, equal values count half.
fn mann_whitney(candidate: &[f32], stable: &[f32]) -> f64 {
    let (n, m) = (candidate.len() as f64, stable.len() as f64);
    let wins: f64 = candidate
        .iter()
        .map(|value| {
            let below = stable.partition_point(|other| other < value);
            let up_to = stable.partition_point(|other| other <= value);
            (below + up_to) as f64 / 2.0
        })
        .sum();
    (wins - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::random::Random;

    /// The share of 1000 single looks at two samples of the same distribution that a test calls different.
    fn different(size: usize, test: impl Fn(&[f32], &[f32]) -> bool) -> f64 {
        let different = (0..1_000).filter(|seed| {
            let mut random = Random::new(&[*seed]);
            let mut draw = |size| {
                let mut values: Vec<f32> = (0..size).map(|_| random.normal() as f32).collect();
                values.sort_by(f32::total_cmp);
                values
            };
            test(&draw(size), &draw(9 * size))
        });
        different.count() as f64 / 1_000.0
    }

    #[test]
    fn looked_at_once_the_tests_keep_their_word() {
        let ks = different(100, |c, s| kolmogorov_smirnov(c, s) > KOLMOGOROV_99);
        let mann_whitney = different(100, |c, s| mann_whitney(c, s).abs() > NORMAL_98);
        assert!(ks < 0.022 && (mann_whitney - 0.02).abs() < 0.014, "{ks} {mann_whitney}");
        assert!(different(1_000, |c, s| population_stability_index(c, s) > 0.1) < 0.01);
    }

    #[test]
    fn statistics_of_small_samples_are_those_of_the_textbook() {
        let (c, s) = ([1.0, 2.0, 4.0], [3.0, 5.0, 6.0, 7.0]);
        // Ranks of the first: 1, 2, 4; U = 1 of 12.
        assert!((mann_whitney(&c, &s) - (1.0 - 6.0) / 8.0_f64.sqrt()).abs() < 1e-9);
        let root = (12.0_f64 / 7.0).sqrt();
        let distance = kolmogorov_smirnov(&c, &s) / (root + 0.12 + 0.11 / root);
        assert!((distance - 0.75).abs() < 1e-9, "{distance}");
        assert!(population_stability_index(&c, &c).abs() < 1e-9);
    }
}
