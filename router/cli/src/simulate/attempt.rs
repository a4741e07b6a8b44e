//! A sound candidate through a whole attempt: Shadow, the steps of the canary, and the watch after promotion.

use tinydancer_guards::{
    ApplicableGuards, Arm, BasisPoints, BucketsSeen, GuardSettings, Verdict, sample_ratio,
};

use super::fleet::Fleet;
use super::row::End;
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
    /// Where somebody said Fail.
    pub(crate) failed: Option<End>,
    /// What each phase took until exposure could grow; one that was not passed is not here.
    pub(crate) passed: Vec<End>,
    /// Where in a phase the split between the arms looked uneven, the first time.
    pub(crate) uneven: Option<End>,
}

/// Where an attempt stands.
struct Step {
    buckets: Vec<BucketsSeen>,
    end: End,
}

impl Step {
    fn new(pods: usize) -> Self {
        Self { buckets: vec![BucketsSeen::default(); pods], end: End::default() }
    }

    fn see(&mut self, request: &Request, arm: Arm) {
        self.end.see(arm);
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

/// How long an attempt is followed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length {
    /// Requests of the trial at most.
    pub(crate) trial: u64,
    /// Requests of the watch.
    pub(crate) watch: u64,
    pub(crate) per_second: f64,
}

/// Runs the trial and, after promotion, the watch.
pub(crate) fn run(stream: &mut Stream, settings: GuardSettings, pods: usize, length: Length) -> Attempt {
    let mut attempt = Attempt::default();
    let mut fleet = Fleet::new(settings, ApplicableGuards::all(), pods);
    let mut all = End::default();
    for phase in &PHASES {
        let mut step = Step::new(pods);
        loop {
            if all.samples >= length.trial {
                return attempt;
            }
            let request = stream.request();
            let arm = request.bucket.arm(phase.weight);
            all.see(arm);
            step.see(&request, arm);
            if fleet.see(&request, arm) {
                attempt.failed = Some(all);
                return attempt;
            }
            if may_grow(&step, phase, &fleet, length.per_second, &mut attempt.uneven) {
                break;
            }
        }
        attempt.passed.push(step.end);
    }
    watch(stream, Fleet::new(settings, ApplicableGuards::watch(), pods), length.watch, all, &mut attempt);
    attempt
}

fn may_grow(step: &Step, phase: &Phase, fleet: &Fleet, per_second: f64, uneven: &mut Option<End>) -> bool {
    let is_uneven = step.is_uneven(phase.weight);
    if is_uneven {
        uneven.get_or_insert(step.end);
    }
    let samples = if phase.weight == BasisPoints::ZERO { step.end.samples } else { step.end.exposed };
    // Growth is looked at once a second, harm on every request.
    let asked = step.end.samples.is_multiple_of(per_second.round().max(1.0) as u64);
    asked
        && samples >= phase.samples
        && step.end.samples as f64 / per_second >= SECONDS
        && !is_uneven
        && fleet.judgement().verdict == Verdict::Pass
}

/// The model that was promoted against the one before, on everything.
fn watch(stream: &mut Stream, mut fleet: Fleet, requests: u64, mut all: End, attempt: &mut Attempt) {
    for _ in 0..requests {
        all.see(Arm::Candidate);
        if fleet.see(&stream.request(), Arm::Candidate) {
            attempt.failed = Some(all);
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
        run(
            &mut stream,
            GuardSettings::default(),
            2,
            Length { trial: 20_000, watch: 2_000, per_second: 40.0 },
        )
    }

    #[test]
    fn a_sound_candidate_is_promoted_and_stays() {
        for seed in 0..3 {
            let attempt = attempt(Candidate::SAME, seed);
            assert_eq!((attempt.failed, attempt.passed.len()), (None, 4), "{attempt:?}");
            // 60 seconds at 40 requests a second in Shadow; 200 decisions at 5 %.
            assert!(attempt.passed[0].samples >= 2_400 && attempt.passed[1].exposed >= 200, "{attempt:?}");
        }
    }

    #[test]
    fn a_bad_candidate_ends_in_shadow_without_having_decided_anything() {
        let attempt = attempt(Candidate { shift: 1.0, ..Candidate::SAME }, 1);
        assert!(attempt.failed.is_some_and(|end| end.samples < 1_000 && end.exposed == 0), "{attempt:?}");
        assert!(attempt.passed.is_empty());
    }

    #[test]
    fn harm_that_shows_only_upstream_ends_in_the_canary() {
        let attempt = attempt(Candidate { more_failures: 0.3, ..Candidate::SAME }, 1);
        assert_eq!(attempt.passed.len(), 1, "{attempt:?}");
        assert!(attempt.failed.is_some_and(|end| end.exposed < 1_000), "{attempt:?}");
    }
}
