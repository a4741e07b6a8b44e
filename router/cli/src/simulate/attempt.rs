//! A sound candidate through a whole attempt: Shadow, the steps of the canary, and the watch after promotion.

use tinydancer_guards::{
    ApplicableGuards, Arm, BasisPoints, BucketsSeen, GuardSettings, Verdict, sample_ratio,
};

use super::fleet::Fleet;
use super::study::Method;
use super::traffic::{Request, Stream};

/// What must be met before exposure may grow, as policies have it by default.
struct Phase {
    name: &'static str,
    weight: BasisPoints,
    /// Pairs in Shadow, requests that the candidate decided in a step.
    samples: u64,
}

/// Shadow and the steps of a canary.
const PHASES: [Phase; 4] = [
    Phase { name: "Shadow", weight: BasisPoints::ZERO, samples: 2_000 },
    Phase { name: "canary 5 %", weight: BasisPoints::from_percent(5), samples: 200 },
    Phase { name: "canary 25 %", weight: BasisPoints::from_percent(25), samples: 200 },
    Phase { name: "canary 50 %", weight: BasisPoints::from_percent(50), samples: 200 },
];
const SECONDS: f64 = 60.0;
/// Below this p-value exposure does not grow.
const UNEVEN: f64 = 0.001;

/// The names of the phases, in order.
pub(crate) fn phases() -> impl Iterator<Item = &'static str> {
    PHASES.iter().map(|phase| phase.name)
}

/// How an attempt went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Attempt {
    /// After how many requests somebody said Fail.
    pub(crate) failed: Option<u64>,
    /// What the candidate had decided by then.
    pub(crate) exposed: u64,
    /// How many requests each phase took until exposure could grow; one that was not passed is not here.
    pub(crate) passed: Vec<u64>,
    /// After how many requests of a phase the split between the arms looked uneven, the first time.
    pub(crate) uneven: Option<u64>,
}

/// Where an attempt stands.
struct Step {
    buckets: Vec<BucketsSeen>,
    requests: u64,
    decided: u64,
}

impl Step {
    fn new(pods: usize) -> Self {
        Self { buckets: vec![BucketsSeen::default(); pods], requests: 0, decided: 0 }
    }

    fn see(&mut self, request: &Request, arm: Arm) {
        self.requests += 1;
        self.decided += u64::from(arm == Arm::Candidate);
        let pods = self.buckets.len();
        if let Some(seen) = self.buckets.get_mut(request.pod(pods)) {
            seen.see(request.bucket, arm);
        }
    }

    fn is_uneven(&self, weight: BasisPoints) -> bool {
        let ratios = self
            .buckets
            .iter()
            .filter_map(|seen| sample_ratio(weight, seen.count(Arm::Candidate), seen.count(Arm::Stable)));
        let (pods, least) = ratios.fold((0_u32, 1.0), |(pods, least), p| (pods + 1, f64::min(least, p)));
        least * f64::from(pods) < UNEVEN && pods > 0
    }
}

/// Runs the trial for at most so many requests, and as many again for the watch.
pub(crate) fn run(
    stream: &mut Stream,
    settings: GuardSettings,
    pods: usize,
    requests: u64,
    requests_per_second: f64,
) -> Attempt {
    let mut attempt = Attempt::default();
    let mut fleet = Fleet::new(settings, ApplicableGuards::all(), pods);
    let mut number = 0;
    for phase in &PHASES {
        let mut step = Step::new(pods);
        loop {
            if number >= requests {
                return attempt;
            }
            number += 1;
            let request = stream.request();
            let arm = request.bucket.arm(phase.weight);
            attempt.exposed += u64::from(arm == Arm::Candidate);
            step.see(&request, arm);
            if fleet.see(&request, arm) {
                attempt.failed = Some(number);
                return attempt;
            }
            if may_grow(&step, phase, &fleet, requests_per_second, &mut attempt.uneven) {
                break;
            }
        }
        attempt.passed.push(step.requests);
    }
    watch(stream, Fleet::new(settings, ApplicableGuards::watch(), pods), requests, number, &mut attempt);
    attempt
}

fn may_grow(step: &Step, phase: &Phase, fleet: &Fleet, per_second: f64, uneven: &mut Option<u64>) -> bool {
    let is_uneven = step.is_uneven(phase.weight);
    if is_uneven {
        uneven.get_or_insert(step.requests);
    }
    let samples = if phase.weight == BasisPoints::ZERO { step.requests } else { step.decided };
    samples >= phase.samples
        && step.requests as f64 / per_second >= SECONDS
        && !is_uneven
        && fleet.judgement().verdict == Verdict::Pass
}

/// The model that was promoted against the one before, on everything.
fn watch(stream: &mut Stream, mut fleet: Fleet, requests: u64, before: u64, attempt: &mut Attempt) {
    for number in 1..=requests {
        attempt.exposed += 1;
        if fleet.see(&stream.request(), Arm::Candidate) {
            attempt.failed = Some(before + number);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::traffic::{Candidate, Tenants};

    fn attempt(candidate: Candidate, seed: u64) -> Attempt {
        let mut stream = Stream::new(&[seed], Tenants::Uniform, candidate);
        run(&mut stream, GuardSettings::default(), 2, 16_000, 40.0)
    }

    #[test]
    fn a_sound_candidate_is_promoted_and_stays() {
        for seed in 0..3 {
            let attempt = attempt(Candidate::SAME, seed);
            assert_eq!((attempt.failed, attempt.passed.len()), (None, 4), "{attempt:?}");
            // 60 seconds at 40 requests a second in Shadow; 200 decisions at 5 %.
            assert!(attempt.passed[0] >= 2_400 && attempt.passed[1] > 3_000, "{attempt:?}");
            assert!(attempt.exposed > 16_000);
        }
    }

    #[test]
    fn a_bad_candidate_ends_in_shadow_without_having_decided_anything() {
        let attempt = attempt(Candidate { shift: 1.0, ..Candidate::SAME }, 1);
        assert!(attempt.failed.is_some_and(|requests| requests < 1_000), "{attempt:?}");
        assert_eq!((attempt.exposed, attempt.passed.len()), (0, 0));
    }

    #[test]
    fn harm_that_shows_only_upstream_ends_in_the_canary() {
        let attempt = attempt(Candidate { more_failures: 0.3, ..Candidate::SAME }, 1);
        assert_eq!(attempt.passed.len(), 1, "{attempt:?}");
        assert!(attempt.failed.is_some() && attempt.exposed < 1_000, "{attempt:?}");
    }
}
