//! The one rule by which a rollout goes on.

use serde::Serialize;
use tinydancer_crds::{conditions::reasons, routing_policy::OnDeadline};
use tinydancer_guards::Verdict;

use super::state::{CanaryStep, Cause, Halt, PauseReason, Rollout};

/// What is known at one moment, every number already judged against its limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and every combination can occur"
)]
pub struct Signals {
    /// What the spec asks for.
    pub wish: Wish,
    /// The abort annotation names this trial.
    pub abort: bool,
    /// The promote annotation names this trial.
    pub promote: bool,
    /// A retry token that has not acted yet stands on the policy.
    pub retry: bool,
    /// `spec.paused`.
    pub held: bool,
    /// The configuration is another than the one the evidence was gathered under.
    pub configuration_changed: bool,
    /// A pod has tripped the candidate in this trial.
    pub tripped: bool,
    /// A pod refuses the candidate.
    pub refused: bool,
    /// What the evidence of the whole trial says.
    pub verdict: Verdict,
    /// At least one Ready pod counts, and all that count hold the current epoch with the candidate verified.
    pub acknowledged: bool,
    /// At least one Ready pod counts, and all that count serve the candidate as stable at the current epoch.
    pub promoted: bool,
    /// Every Ready pod holds the current epoch, or its lease has ended.
    pub released: bool,
    /// The state's minimums of samples and time are met at the current epoch.
    pub minimums_met: bool,
    /// The step's deadline has passed, and what the policy asks for then.
    pub overdue: Option<OnDeadline>,
    /// Pods exist and none has reported for too long.
    pub blind: bool,
    /// Percent of each canary step; empty where the spec cannot be used.
    pub weights: Vec<u8>,
}

/// What the spec asks for, against what is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Wish {
    /// The spec or its model cannot be used: nothing grows, nothing new begins.
    Unknown,
    /// The stable model.
    Stable,
    /// The model on trial, or last tried.
    Trial {
        /// Whether the spec vouches for it.
        trusted: bool,
    },
    /// A third model, verified and acceptable.
    Other {
        /// Whether it needs a retry token.
        quarantined: bool,
        /// Whether the spec vouches for it.
        trusted: bool,
    },
}

/// A change of state and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Transition {
    /// The next state.
    pub to: Rollout,
    /// One of [`reasons`].
    pub reason: &'static str,
}

/// Where the rollout goes next; `None` is "it stays". What ends a trial comes before what holds it, and that before
/// what lets it grow; of two commands the one that lowers exposure wins.
pub fn step(state: Rollout, signals: &Signals) -> Option<Transition> {
    match state {
        Rollout::Stable | Rollout::RolledBack { .. } => begun(state, signals),
        Rollout::Staging { trusted } => ended(signals).or_else(|| staged(trusted, signals)),
        Rollout::Shadow => on_trial(Halt::Shadow, signals),
        Rollout::Canary(step) => on_trial(Halt::Canary(step), signals),
        Rollout::Paused { reason, at } => ended(signals)
            .or_else(|| restarted(signals))
            .or_else(|| promoted_by_hand(signals))
            .or_else(|| paused_or_resumed(reason, at, signals)),
        Rollout::Promoting => {
            ended(signals).or_else(|| signals.promoted.then_some(to(Rollout::Stable, reasons::PROMOTED)))
        }
        Rollout::RollingBack { cause } => {
            signals.released.then_some(to(Rollout::RolledBack { cause }, reasons::ROLLED_BACK))
        }
        Rollout::Superseded => signals.released.then_some(to(Rollout::Stable, reasons::SETTLED)),
    }
}

const fn to(to: Rollout, reason: &'static str) -> Transition {
    Transition { to, reason }
}

/// From rest: a new trial, or the end of an old one's display.
fn begun(state: Rollout, signals: &Signals) -> Option<Transition> {
    let staging = |trusted| Some(to(Rollout::Staging { trusted }, reasons::TRIAL_STARTED));
    match signals.wish {
        Wish::Stable => (state != Rollout::Stable).then_some(to(Rollout::Stable, reasons::SETTLED)),
        Wish::Trial { trusted } | Wish::Other { quarantined: true, trusted } if signals.retry => {
            staging(trusted)
        }
        Wish::Other { quarantined: false, trusted } => staging(trusted),
        Wish::Unknown | Wish::Trial { .. } | Wish::Other { quarantined: true, .. } => None,
    }
}

/// What takes the candidate out, from every state in which it is worked on.
fn ended(signals: &Signals) -> Option<Transition> {
    let cause = if signals.abort {
        Cause::Aborted
    } else if signals.tripped {
        Cause::PodTripped
    } else if signals.refused {
        Cause::CandidateRefused
    } else if signals.verdict == Verdict::Fail {
        Cause::GuardCrossed
    } else {
        match signals.wish {
            Wish::Stable => Cause::Reverted,
            Wish::Other { .. } => return Some(to(Rollout::Superseded, reasons::SUPERSEDED)),
            Wish::Unknown | Wish::Trial { .. } => return None,
        }
    };
    Some(rolling_back(cause))
}

const fn rolling_back(cause: Cause) -> Transition {
    to(Rollout::RollingBack { cause }, cause.reason())
}

fn staged(trusted: bool, signals: &Signals) -> Option<Transition> {
    if !signals.acknowledged {
        return None;
    }
    match (trusted, signals.wish) {
        (false, _) => Some(to(Rollout::Shadow, reasons::SHADOW_STARTED)),
        (true, Wish::Trial { .. }) => Some(to(Rollout::Promoting, reasons::PROMOTING)),
        (true, _) => None,
    }
}

fn on_trial(at: Halt, signals: &Signals) -> Option<Transition> {
    ended(signals)
        .or_else(|| restarted(signals))
        .or_else(|| promoted_by_hand(signals))
        .or_else(|| blinded(at, signals))
        .or_else(|| signals.held.then_some(paused(PauseReason::Policy, at)))
        .or_else(|| grown(at, signals))
        .or_else(|| late(at, signals))
}

/// Evidence under another configuration says nothing about this one.
fn restarted(signals: &Signals) -> Option<Transition> {
    signals.configuration_changed.then_some(to(Rollout::Shadow, reasons::CONFIGURATION_CHANGED))
}

/// A person may skip the evidence, but not the proof that every pod can run the model.
fn promoted_by_hand(signals: &Signals) -> Option<Transition> {
    let may = signals.promote && signals.acknowledged && matches!(signals.wish, Wish::Trial { .. });
    may.then_some(to(Rollout::Promoting, reasons::PROMOTED_BY_HAND))
}

const fn paused(reason: PauseReason, at: Halt) -> Transition {
    to(Rollout::Paused { reason, at }, reason.reason())
}

fn blinded(at: Halt, signals: &Signals) -> Option<Transition> {
    (signals.blind && matches!(at, Halt::Canary(_))).then_some(paused(PauseReason::Blind, at))
}

fn grown(at: Halt, signals: &Signals) -> Option<Transition> {
    let passed = may_grow(signals) && signals.minimums_met && signals.verdict == Verdict::Pass;
    if !passed {
        return None;
    }
    let next = match at {
        Halt::Shadow => 0,
        Halt::Canary(current) => current.step.saturating_add(1),
    };
    let weight = usize::try_from(next).ok().and_then(|index| signals.weights.get(index));
    Some(match weight {
        Some(weight) => {
            to(Rollout::Canary(CanaryStep { step: next, weight: *weight }), reasons::CANARY_STEP_STARTED)
        }
        None if signals.weights.is_empty() => return None,
        None => to(Rollout::Promoting, reasons::PROMOTING),
    })
}

fn may_grow(signals: &Signals) -> bool {
    matches!(signals.wish, Wish::Trial { .. }) && signals.acknowledged && !signals.held && !signals.blind
}

fn late(at: Halt, signals: &Signals) -> Option<Transition> {
    signals.overdue.map(|on_deadline| match on_deadline {
        OnDeadline::Pause => paused(PauseReason::InsufficientData, at),
        OnDeadline::RollBack => rolling_back(Cause::DeadlineExceeded),
    })
}

fn paused_or_resumed(reason: PauseReason, at: Halt, signals: &Signals) -> Option<Transition> {
    let resumes = match reason {
        PauseReason::Policy => match blinded(at, signals) {
            Some(transition) => return Some(transition),
            None => !signals.held && matches!(signals.wish, Wish::Trial { .. }),
        },
        PauseReason::Blind => may_grow(signals),
        PauseReason::InsufficientData => {
            may_grow(signals) && signals.minimums_met && signals.verdict == Verdict::Pass
        }
    };
    resumes.then_some(to(at.resumed(), reasons::RESUMED))
}

#[cfg(test)]
mod tests;
