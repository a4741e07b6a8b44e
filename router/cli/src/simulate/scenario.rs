//! What is tried: sound candidates and the ways in which one can be bad.

use tinydancer_guards::GuardSettings;

use super::traffic::Candidate;

/// Logits twice as far from the same middle: what was uncertain stays so, the rest goes to the ends. Tests of ranks do
/// not see it.
const WIDE: Candidate = Candidate { stretch: 2.0, ..Candidate::SAME };

/// The same, moved until the mean uncertainty is stable's again: `E[logistic(N(-1.5 - 0.53, 2^2))]` is
/// `E[logistic(N(-1.5, 1))]`.
pub(crate) const OVER_CONFIDENT: Candidate = Candidate { shift: -0.5297, stretch: 2.0, ..Candidate::SAME };

/// Who else looks at the traffic of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rivals {
    /// Rules on the share of errors, a breaker, and tests of two samples.
    All,
    /// Tests of two samples of uncertainty.
    Samples,
    /// Rules on the share of hard faults, and a breaker.
    Faults,
    /// Rules on the share of slow scorings.
    Slow,
    /// Rules on the share of requests without an answer.
    Failures,
    /// None looks at this.
    Nobody,
}

/// One scenario.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) candidate: Candidate,
    /// Whether an alarm is right. A shift of 0.1 is smaller than the usual margin: then no alarm is right for us.
    harmful: bool,
    pub(crate) rivals: Rivals,
    /// Whether the harm is seen only where the candidate decides.
    pub(crate) needs_traffic: bool,
}

impl Scenario {
    /// Whether an alarm is right: faults are harmful above the limit only.
    pub(crate) fn is_harmful(&self, settings: &GuardSettings) -> bool {
        let tolerated = self.rivals == Rivals::Faults && self.candidate.fault_rate <= settings.error_rate();
        self.harmful && !tolerated
    }
}

/// The name of the scenario that follows a sound candidate through a whole attempt.
pub(crate) const HARMLESS: &str = "harmless";

const SOUND: Scenario = Scenario {
    name: "a-a",
    candidate: Candidate::SAME,
    harmful: false,
    rivals: Rivals::All,
    needs_traffic: false,
};

const fn shifted(name: &'static str, shift: f64) -> Scenario {
    let candidate = Candidate { shift, ..Candidate::SAME };
    Scenario { name, candidate, harmful: true, rivals: Rivals::Samples, ..SOUND }
}

const fn faulty(name: &'static str, fault_rate: f64) -> Scenario {
    let candidate = Candidate { fault_rate, ..Candidate::SAME };
    Scenario { name, candidate, harmful: true, rivals: Rivals::Faults, ..SOUND }
}

/// All but [`HARMLESS`].
pub(crate) const SCENARIOS: [Scenario; 17] = [
    SOUND,
    shifted("shift-0.1", 0.1),
    shifted("shift-0.3", 0.3),
    shifted("shift-1.0", 1.0),
    Scenario {
        name: "over-confident-median",
        candidate: WIDE,
        harmful: true,
        rivals: Rivals::Samples,
        ..SOUND
    },
    Scenario {
        name: "over-confident-mean",
        candidate: OVER_CONFIDENT,
        harmful: true,
        rivals: Rivals::Samples,
        ..SOUND
    },
    faulty("errors-0.5%", 0.005),
    faulty("errors-1%", 0.01),
    faulty("errors-2%", 0.02),
    faulty("errors-5%", 0.05),
    faulty("errors-20%", 0.2),
    faulty("errors-100%", 1.0),
    Scenario {
        name: "flips-40%",
        candidate: Candidate { flip_rate: Some(0.4), ..Candidate::SAME },
        harmful: true,
        rivals: Rivals::Nobody,
        ..SOUND
    },
    Scenario {
        name: "slow-5%",
        candidate: Candidate { slow_rate: 0.05, ..Candidate::SAME },
        harmful: true,
        rivals: Rivals::Slow,
        ..SOUND
    },
    Scenario { name: "failures+0%", rivals: Rivals::Failures, needs_traffic: true, ..SOUND },
    Scenario {
        name: "failures+10%",
        candidate: Candidate { more_failures: 0.1, ..Candidate::SAME },
        harmful: true,
        rivals: Rivals::Failures,
        needs_traffic: true,
    },
    Scenario {
        name: "failures+50%",
        candidate: Candidate { more_failures: 0.5, ..Candidate::SAME },
        harmful: true,
        rivals: Rivals::Failures,
        needs_traffic: true,
    },
];

/// The names that `--scenario` takes.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SCENARIOS.iter().map(|scenario| scenario.name).chain([HARMLESS])
}
