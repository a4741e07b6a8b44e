//! Made-up requests: what a stable model and a candidate say about each, and how its upstream answers.

use clap::ValueEnum;
use tinydancer_guards::{Arm, Bucket, BucketSalt, Observation};

use super::random::Random;

/// Mean of stable's logit of uncertainty; its standard deviation is 1. A shift of 0.3 then moves the mean uncertainty by
/// 0.047.
const MEAN_LOGIT: f64 = -1.5;
/// What both models' logits share of their variance.
const CORRELATION: f64 = 0.85;
/// What of that the tenant brings, where there are tenants.
const TENANT_SHARE: f64 = 0.5;
/// Requests this uncertain go to Powerful.
const ESCALATION: f64 = 0.15;
/// The share of them: the normal tail above `(logit(0.15) + 1.5) / 1`.
const ESCALATED: f64 = 0.5927;
/// Share of requests that fail upstream, and the standard deviation of its logit over tenants.
const FAILURE_RATE: f64 = 0.02;
const FAILURE_SPREAD: f64 = 0.5;
/// How long a scoring takes, and how long one takes that lost its processor.
const QUICK_NANOSECONDS: u64 = 9_000;
const SLOW_NANOSECONDS: u64 = 2_000_000;
const TENANTS: usize = 200;
const ZIPF_EXPONENT: f64 = 1.1;

/// Who sends the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tenants {
    /// Each request has a key of its own.
    Uniform,
    /// 200 tenants of Zipf sizes, each with one key, its own uncertainty and its own rate of upstream failures.
    Zipf,
}

impl Tenants {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Zipf => "zipf",
        }
    }
}

/// What a candidate does otherwise than stable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    /// Added to the logit of its uncertainty.
    pub(crate) shift: f64,
    /// How many times as far from the mean its logits are.
    pub(crate) stretch: f64,
    /// Share of hard faults.
    pub(crate) fault_rate: f64,
    /// Share of scorings beyond any budget.
    pub(crate) slow_rate: f64,
    /// Share of requests sent to the other tier, as many up as down, instead of what its uncertainty says.
    pub(crate) flip_rate: Option<f64>,
    /// Added to the chance that a request of its arm fails upstream.
    pub(crate) more_failures: f64,
}

impl Candidate {
    /// A sound model, no better and no worse than stable: one fault and one slow scoring in a thousand.
    pub(crate) const SAME: Self = Self {
        shift: 0.0,
        stretch: 1.0,
        fault_rate: 0.001,
        slow_rate: 0.001,
        flip_rate: None,
        more_failures: 0.0,
    };
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    /// Where its key falls.
    pub(crate) bucket: Bucket,
    /// What both models say.
    pub(crate) observation: Observation,
    /// The pod it reaches, modulo the number of pods.
    place: u64,
    luck: f64,
    failure_rate: f64,
    more_failures: f64,
}

impl Request {
    pub(crate) fn pod(&self, pods: usize) -> usize {
        (self.place % pods.max(1) as u64) as usize
    }

    /// Whether it gets no answer if this arm decides.
    pub(crate) fn fails(&self, arm: Arm) -> bool {
        let more = if arm == Arm::Candidate { self.more_failures } else { 0.0 };
        self.luck < self.failure_rate + more
    }
}

struct Tenant {
    key: u64,
    logit: f64,
    failure_rate: f64,
}

/// An endless stream of requests.
pub(crate) struct Stream {
    random: Random,
    salt: BucketSalt,
    candidate: Candidate,
    tenants: Vec<Tenant>,
    /// The share of the requests that the tenants up to this one send.
    cumulative: Vec<f64>,
    requests: u64,
}

impl Stream {
    /// The same numbers give the same requests.
    pub(crate) fn new(seed: &[u64], tenants: Tenants, candidate: Candidate) -> Self {
        let mut random = Random::new(seed);
        let salt = BucketSalt::new(&format!("sha256:{:016x}", random.word()));
        let count = if tenants == Tenants::Zipf { TENANTS } else { 0 };
        let tenants: Vec<_> = (0..count)
            .map(|key| Tenant {
                key: key as u64,
                logit: random.normal() * TENANT_SHARE.sqrt(),
                failure_rate: logistic(logit(FAILURE_RATE) + random.normal() * FAILURE_SPREAD),
            })
            .collect();
        let sizes = (1..=count).map(|rank| (rank as f64).powf(-ZIPF_EXPONENT));
        let all: f64 = sizes.clone().sum();
        let cumulative = sizes.scan(0.0, |sum, size| {
            *sum += size / all;
            Some(*sum)
        });
        Self { random, salt, candidate, cumulative: cumulative.collect(), tenants, requests: 0 }
    }

    /// The next request.
    pub(crate) fn request(&mut self) -> Request {
        self.requests += 1;
        let random = &mut self.random;
        let (key, tenant_logit, failure_rate, shared) = if self.tenants.is_empty() {
            (self.requests, 0.0, FAILURE_RATE, CORRELATION)
        } else {
            let draw = random.uniform();
            let place = self.cumulative.partition_point(|share| *share <= draw);
            match self.tenants.get(place).or(self.tenants.last()) {
                Some(tenant) => (tenant.key, tenant.logit, tenant.failure_rate, CORRELATION - TENANT_SHARE),
                None => (self.requests, 0.0, FAILURE_RATE, CORRELATION),
            }
        };
        let common = tenant_logit + random.normal() * shared.sqrt();
        Request {
            bucket: self.salt.bucket(&key.to_le_bytes()),
            observation: observe(random, self.candidate, common),
            place: random.word(),
            luck: random.uniform(),
            failure_rate,
            more_failures: self.candidate.more_failures,
        }
    }
}

/// What both models say about a request, given what their logits have in common.
fn observe(random: &mut Random, candidate: Candidate, common: f64) -> Observation {
    let own = (1.0 - CORRELATION).sqrt();
    let stable = logistic(MEAN_LOGIT + common + own * random.normal());
    let deviation = candidate.stretch * (common + own * random.normal());
    let tried = logistic(MEAN_LOGIT + candidate.shift + deviation);
    let stable_escalates = stable > ESCALATION;
    let (fault, slow, flip) = (random.uniform(), random.uniform(), random.uniform());
    let escalates = match candidate.flip_rate {
        None => tried > ESCALATION,
        Some(rate) => {
            let of_these = if stable_escalates { ESCALATED } else { 1.0 - ESCALATED };
            stable_escalates ^ (flip < rate / 2.0 / of_these)
        }
    };
    let nanoseconds = |slow| if slow { SLOW_NANOSECONDS } else { QUICK_NANOSECONDS };
    if fault < candidate.fault_rate {
        return Observation { fault: true, ..Observation::default() };
    }
    Observation {
        fault: false,
        uncertainty: Some((tried as f32, stable as f32)),
        escalation: Some((escalates, stable_escalates)),
        scoring_nanoseconds: Some((
            nanoseconds(slow < candidate.slow_rate),
            nanoseconds(random.chance(Candidate::SAME.slow_rate)),
        )),
    }
}

fn logistic(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

fn logit(share: f64) -> f64 {
    (share / (1.0 - share)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::scenario::OVER_CONFIDENT;

    /// Means over a hundred thousand requests: uncertainty, escalation of candidate and stable, flips, failures.
    fn means(tenants: Tenants, candidate: Candidate) -> [f64; 6] {
        let mut sums = [0.0; 6];
        let mut requests = 0.0;
        // Tenants differ: many short runs instead of one.
        for seed in 0..200 {
            let mut stream = Stream::new(&[seed], tenants, candidate);
            for request in (0..500).map(|_| stream.request()) {
                let Some(((c, s), (up, was))) =
                    request.observation.uncertainty.zip(request.observation.escalation)
                else {
                    continue;
                };
                let bits =
                    [up, was, up != was, request.fails(Arm::Stable)].map(|bit| f64::from(u8::from(bit)));
                let values = [f64::from(c), f64::from(s), bits[0], bits[1], bits[2], bits[3]];
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
                requests += 1.0;
            }
        }
        sums.map(|sum| sum / requests)
    }

    #[test]
    fn a_sound_candidate_has_the_means_of_stable() {
        for tenants in [Tenants::Uniform, Tenants::Zipf] {
            let [candidate, stable, up, was, flips, failures] = means(tenants, Candidate::SAME);
            assert!((candidate - stable).abs() < 0.002 && (up - was).abs() < 0.01, "{candidate} {stable}");
            assert!((was - ESCALATED).abs() < 0.04 && flips < 0.2, "{was} {flips}");
            assert!((failures - FAILURE_RATE).abs() < 0.006, "{failures}");
        }
    }

    #[test]
    fn shifts_flips_and_over_confidence_are_as_large_as_they_are_called() {
        let [candidate, stable, ..] = means(Tenants::Uniform, Candidate { shift: 0.3, ..Candidate::SAME });
        assert!((candidate - stable - 0.047).abs() < 0.003, "{candidate} {stable}");
        let [_, _, up, was, flips, _] =
            means(Tenants::Uniform, Candidate { flip_rate: Some(0.4), ..Candidate::SAME });
        assert!((flips - 0.4).abs() < 0.01 && (up - was).abs() < 0.01, "{flips} {up} {was}");
        let [candidate, stable, up, was, ..] = means(Tenants::Uniform, OVER_CONFIDENT);
        assert!((candidate - stable).abs() < 0.003 && was - up > 0.13, "{candidate} {stable} {up} {was}");
    }

    #[test]
    fn tenants_are_of_zipf_sizes_and_keep_their_bucket() {
        let mut stream = Stream::new(&[1], Tenants::Zipf, Candidate::SAME);
        let mut sizes = std::collections::BTreeMap::new();
        for _ in 0..20_000 {
            *sizes.entry(stream.request().bucket).or_insert(0) += 1;
        }
        let largest = sizes.values().max().copied().unwrap_or(0);
        assert!(sizes.len() <= TENANTS && sizes.len() > 180, "{}", sizes.len());
        assert!((3_500..6_500).contains(&largest), "{largest}");
    }
}
