//! The fleet's guards, as they run in production: each pod has its evidence and its brake and judges alone, and the
//! operator judges what it merged. Looked at after every request.

use std::num::NonZeroU32;

use tinydancer_guards::{
    ApplicableGuards, Arm, Evidence, EvidenceSnapshot, GuardSettings, Judgement, LocalTrip, Verdict, judge,
    judge_alone, merge,
};

use super::study::Method;
use super::traffic::Request;

/// Pods spread alpha over so many of them when they judge alone, like the router does.
const MOST_PODS: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// Pods under one trial.
pub(crate) struct Fleet {
    pods: Vec<(Evidence, LocalTrip)>,
    settings: GuardSettings,
    guards: ApplicableGuards,
    /// What the logarithm of an e-value must reach for Fail: merged, and alone.
    limits: (f64, f64),
}

impl Fleet {
    pub(crate) fn new(settings: GuardSettings, guards: ApplicableGuards, pods: usize) -> Self {
        let nothing = EvidenceSnapshot::default();
        let limit = |judgement: &Judgement| {
            judgement.guards.first().map_or(f64::INFINITY, |guard| guard.log_e_value_to_fail)
        };
        let limits = (
            limit(&judge(&nothing, &settings, &guards)),
            limit(&judge_alone(&nothing, &settings, &guards, MOST_PODS)),
        );
        Self {
            pods: vec![(Evidence::new(settings), LocalTrip::new()); pods.max(1)],
            settings,
            guards,
            limits,
        }
    }

    /// What the operator says now.
    pub(crate) fn judgement(&self) -> Judgement {
        judge(&merge(self.snapshots()), &self.settings, &self.guards)
    }

    fn snapshots(&self) -> impl Iterator<Item = &EvidenceSnapshot> + Clone {
        self.pods.iter().map(|(evidence, _)| evidence.snapshot())
    }
}

impl Method for Fleet {
    fn see(&mut self, request: &Request, arm: Arm) -> bool {
        let pods = self.pods.len();
        let Some((evidence, trip)) = self.pods.get_mut(request.pod(pods)) else { return false };
        evidence.observe(&request.observation);
        evidence.count_decision(arm);
        evidence.observe_outcome(arm, request.fails(arm));
        if trip.observe(request.observation.is_fault()).is_some() {
            return true;
        }
        // Judging is dear; before an e-value is there it could only say no.
        let own = evidence.snapshot();
        let alone = largest_harm(&self.guards, &[own]) >= self.limits.1
            && judge_alone(own, &self.settings, &self.guards, MOST_PODS).verdict == Verdict::Fail;
        alone
            || largest_harm(&self.guards, &self.snapshots()) >= self.limits.0
                && self.judgement().verdict == Verdict::Fail
    }
}

/// The largest logarithm of an e-value against "no harm", a little more at most than what judging sees.
fn largest_harm<'a, Snapshots>(guards: &ApplicableGuards, snapshots: &Snapshots) -> f64
where
    Snapshots: IntoIterator<Item = &'a EvidenceSnapshot> + Clone,
{
    const ROUNDING: f64 = 1e-6;
    let of_guard = |name| {
        let streams = snapshots.clone().into_iter().filter_map(|snapshot| snapshot.guards.get(&name));
        let (above, below) = streams.fold((0.0, 0.0), |(above, below), stream| {
            (above + stream.above.harm, below + stream.below.map_or(0.0, |wealth| wealth.harm))
        });
        f64::max(above, below)
    };
    guards.iter().map(of_guard).fold(f64::NEG_INFINITY, f64::max) + ROUNDING
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::scenario::SCENARIOS;
    use crate::simulate::traffic::{Stream, Tenants};

    #[test]
    fn the_fleet_fails_on_the_very_request_on_which_judging_says_so() {
        let settings = GuardSettings { uncertainty_margin_permille: 20, ..GuardSettings::default() };
        for (scenario, pods) in SCENARIOS.iter().zip([1, 3].iter().cycle()) {
            let mut stream = Stream::new(&[4], Tenants::Zipf, scenario.candidate);
            let mut fleet = Fleet::new(settings, ApplicableGuards::all(), *pods);
            for number in 0..400 {
                let failed = fleet.see(&stream.request(), Arm::Stable);
                let tripped = fleet.pods.iter().any(|(_, trip)| trip.cause().is_some());
                let alone = fleet.pods.iter().any(|(evidence, _)| {
                    judge_alone(evidence.snapshot(), &settings, &fleet.guards, MOST_PODS).verdict
                        == Verdict::Fail
                });
                let judged = fleet.judgement().verdict == Verdict::Fail;
                assert_eq!(failed, tripped || alone || judged, "{} {number}", scenario.name);
                if failed {
                    break;
                }
            }
        }
    }
}
