//! What others do on the same traffic, with a canary instead of a shadow.

mod rules;
mod samples;

use tinydancer_guards::{
    ApplicableGuards, Arm, BasisPoints, Evidence, GuardName, GuardSettings, Observation, Verdict, judge,
};

use super::scenario::Rivals;
use super::study::Method;
use super::traffic::Request;
use rules::{FiveInARow, Rule, Share};
use samples::{Peeked, Test};

/// A method by its name.
pub(crate) type Named = (&'static str, Box<dyn Method>);

/// The methods that look at such a scenario.
pub(crate) fn rivals(rivals: Rivals, settings: GuardSettings, weight: BasisPoints) -> Vec<Named> {
    let share = |share: Share| -> Vec<Named> {
        vec![
            ("share of 50 above limit, once (Argo)", Box::new(Rule::new(share, 1))),
            ("share of 50 above limit, 5 times (Flagger)", Box::new(Rule::new(share, 5))),
        ]
    };
    let faults = Share::Faults { limit: settings.error_rate() };
    let breaker = || -> Vec<Named> { vec![("five faults in a row", Box::new(FiveInARow::default()))] };
    match rivals {
        Rivals::Nobody => Vec::new(),
        Rivals::Faults => [share(faults), breaker()].into_iter().flatten().collect(),
        Rivals::Slow => share(Share::Slow {
            limit: settings.slow_rate(),
            nanoseconds: settings.latency_budget_nanoseconds(),
        }),
        Rivals::Failures => share(Share::Failures { limit: 0.02 + settings.upstream_margin() }),
        Rivals::Samples => samples(settings, weight),
        Rivals::All => [share(faults), breaker(), samples(settings, weight)].into_iter().flatten().collect(),
    }
}

fn samples(settings: GuardSettings, weight: BasisPoints) -> Vec<Named> {
    let peeked = |test| Box::new(Peeked::new(test, weight));
    vec![
        ("PSI > 0.2, peeked", peeked(Test::Psi(0.2))),
        ("PSI > 0.1, peeked", peeked(Test::Psi(0.1))),
        ("KS p < .01, peeked", peeked(Test::KolmogorovSmirnov)),
        ("Mann-Whitney p < .02, peeked", peeked(Test::MannWhitney)),
        ("betting, canary arm against stable arm", Box::new(Unpaired::new(settings))),
    ]
}

/// Our own test without pairs: what the candidate says in its arm against what stable said last in the other.
struct Unpaired {
    evidence: Evidence,
    guards: ApplicableGuards,
    stable: Option<f32>,
}

impl Unpaired {
    fn new(settings: GuardSettings) -> Self {
        let others = GuardName::ALL.into_iter().filter(|name| *name != GuardName::UncertaintyShift);
        let guards = others.fold(ApplicableGuards::all(), ApplicableGuards::without);
        Self { evidence: Evidence::new(settings), guards, stable: None }
    }
}

impl Method for Unpaired {
    fn see(&mut self, request: &Request, arm: Arm) -> bool {
        let Some((candidate, stable)) = request.observation.uncertainty else { return false };
        if arm == Arm::Stable {
            self.stable = Some(stable);
            return false;
        }
        // Each of stable's answers is compared once.
        let Some(stable) = self.stable.take() else { return false };
        self.evidence
            .observe(&Observation { uncertainty: Some((candidate, stable)), ..Observation::default() });
        judge(self.evidence.snapshot(), self.evidence.settings(), &self.guards).verdict == Verdict::Fail
    }
}
