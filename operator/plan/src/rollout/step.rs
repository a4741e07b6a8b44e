//! The one rule by which a rollout goes on.

use serde::Serialize;
use tinydancer_crds::{conditions::reasons, routing_policy::OnDeadline};
use tinydancer_guards::Verdict;

use super::state::{CanaryStep, Cause, Halt, PauseReason, Rollout};

/// What is known at one moment, every number already judged against its limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and every combination can occur"
)]
pub struct Signals {
    /// What the spec asks for.
    pub wish: Wish,
    /// The abort annotation names this trial, or the one whose model is watched.
    pub abort: bool,
    /// The promote annotation names this trial.
    pub promote: bool,
    /// A retry token that has not acted yet stands on the policy.
    pub retry: bool,
    /// `spec.paused`.
    pub held: bool,
    /// Whether what comes next waits for somebody.
    pub approval: Approval,
    /// The configuration is another than the one the evidence was gathered under.
    pub configuration_changed: bool,
    /// A pod has tripped the candidate in this trial, or in the watch after it.
    pub tripped: bool,
    /// A pod refuses the candidate.
    pub refused: bool,
    /// What the evidence of the whole trial says; in the watch, the evidence since the promotion.
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
    /// Requests are not split between the arms as the weight says: nothing that compares the arms can be trusted.
    pub uneven: bool,
    /// A promotion is followed by a watch: there is a model to go back to, and the policy asks for it.
    pub watched: bool,
    /// The watch has lasted as long as the policy asks.
    pub watch_over: bool,
    /// Percent of each canary step; empty where the spec cannot be used.
    pub weights: Vec<u8>,
}

/// Whether the next growth of exposure waits for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Approval {
    /// The policy asks for none.
    NotNeeded,
    /// The policy asks for one, and there is none.
    Awaited,
    /// Somebody gave it.
    Given,
}

/// What the spec asks for, against what is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
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
    /// The model that served before the stable one and is still armed: only in the watch.
    Previous,
    /// A third model, verified and acceptable.
    Other {
        /// Whether it needs a retry token.
        quarantined: bool,
        /// Whether the spec vouches for it.
        trusted: bool,
    },
}

/// A change of state and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
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
        Rollout::Promoting => ended(signals).or_else(|| promoted(signals)),
        Rollout::Watching => ended_in_watch(signals).or_else(|| watched_on(signals)),
        Rollout::RollingBack { cause } => {
            signals.released.then_some(to(Rollout::RolledBack { cause }, reasons::ROLLED_BACK))
        }
        Rollout::Superseded => signals.released.then_some(to(Rollout::Stable, reasons::RELEASED)),
    }
}

const fn to(to: Rollout, reason: &'static str) -> Transition {
    Transition { to, reason }
}

/// From rest: a new trial, or the end of an old one's display.
fn begun(state: Rollout, signals: &Signals) -> Option<Transition> {
    match signals.wish {
        Wish::Stable => (state != Rollout::Stable).then_some(to(Rollout::Stable, reasons::SETTLED)),
        Wish::Trial { trusted } if signals.retry => Some(staging(trusted)),
        Wish::Trial { .. } => None,
        Wish::Unknown | Wish::Previous | Wish::Other { .. } => another(signals),
    }
}

/// A new trial of a model that is neither stable nor on trial.
fn another(signals: &Signals) -> Option<Transition> {
    match signals.wish {
        Wish::Other { quarantined, trusted } if !quarantined || signals.retry => Some(staging(trusted)),
        _ => None,
    }
}

const fn staging(trusted: bool) -> Transition {
    to(Rollout::Staging { trusted }, reasons::TRIAL_STARTED)
}

/// What takes the candidate out, from every state in which it is worked on.
fn ended(signals: &Signals) -> Option<Transition> {
    harmed(signals).or_else(|| match signals.wish {
        Wish::Stable => Some(rolling_back(Cause::Reverted)),
        Wish::Previous | Wish::Other { .. } => Some(to(Rollout::Superseded, reasons::SUPERSEDED)),
        Wish::Unknown | Wish::Trial { .. } => None,
    })
}

/// A person, a pod or a guard speaks against the model.
fn harmed(signals: &Signals) -> Option<Transition> {
    let cause = if signals.abort {
        Cause::Aborted
    } else if signals.tripped {
        Cause::PodTripped
    } else if signals.refused {
        Cause::CandidateRefused
    } else if signals.verdict == Verdict::Fail {
        Cause::GuardCrossed
    } else {
        return None;
    };
    Some(rolling_back(cause))
}

fn promoted(signals: &Signals) -> Option<Transition> {
    let state = if signals.watched { Rollout::Watching } else { Rollout::Stable };
    signals.promoted.then_some(to(state, reasons::PROMOTED))
}

/// What leads back to the model that served before, or on to a third one.
fn ended_in_watch(signals: &Signals) -> Option<Transition> {
    harmed(signals)
        .or_else(|| (signals.wish == Wish::Previous).then_some(rolling_back(Cause::Reverted)))
        .or_else(|| another(signals))
}

/// Evidence under another configuration says nothing about this one, so the watch starts again. Missing data neither
/// ends nor fails it.
fn watched_on(signals: &Signals) -> Option<Transition> {
    if signals.configuration_changed {
        return Some(to(Rollout::Watching, reasons::CONFIGURATION_CHANGED));
    }
    signals.watch_over.then_some(to(Rollout::Stable, reasons::WATCH_ENDED))
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
    let may = signals.promote && signals.acknowledged && is_wished(signals);
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
    if !passed || signals.weights.is_empty() {
        return None;
    }
    if signals.approval == Approval::Awaited {
        return Some(paused(PauseReason::AwaitingApproval, at));
    }
    let step = at.next_step();
    let weight = usize::try_from(step).ok().and_then(|index| signals.weights.get(index));
    Some(match weight {
        Some(weight) => {
            to(Rollout::Canary(CanaryStep { step, weight: *weight }), reasons::CANARY_STEP_STARTED)
        }
        None => to(Rollout::Promoting, reasons::PROMOTING),
    })
}

fn may_grow(signals: &Signals) -> bool {
    is_wished(signals) && signals.acknowledged && !signals.held && !signals.blind && !signals.uneven
}

fn is_wished(signals: &Signals) -> bool {
    matches!(signals.wish, Wish::Trial { .. })
}

fn late(at: Halt, signals: &Signals) -> Option<Transition> {
    signals.overdue.map(|on_deadline| match on_deadline {
        OnDeadline::Pause => paused(PauseReason::InsufficientData, at),
        OnDeadline::RollBack => rolling_back(Cause::DeadlineExceeded),
    })
}

fn paused_or_resumed(reason: PauseReason, at: Halt, signals: &Signals) -> Option<Transition> {
    let resumed = |reason| Some(to(at.resumed(), reason));
    match reason {
        PauseReason::Policy => blinded(at, signals).or_else(|| {
            let resumes = !signals.held && is_wished(signals);
            resumes.then_some(to(at.resumed(), reasons::RESUMED))
        }),
        PauseReason::AwaitingApproval => blinded(at, signals).or_else(|| match signals.approval {
            // What to do next is what people have to know, also while the policy is paused.
            Approval::Awaited => None,
            _ if signals.held => Some(paused(PauseReason::Policy, at)),
            _ if !is_wished(signals) => None,
            // The evidence is asked once more: it may have changed while nobody answered.
            Approval::Given => resumed(reasons::APPROVED),
            Approval::NotNeeded => resumed(reasons::RESUMED),
        }),
        PauseReason::Blind if may_grow(signals) => resumed(reasons::RESUMED),
        PauseReason::InsufficientData
            if may_grow(signals) && signals.minimums_met && signals.verdict == Verdict::Pass =>
        {
            resumed(reasons::RESUMED)
        }
        PauseReason::Blind | PauseReason::InsufficientData => None,
    }
}

#[cfg(test)]
mod tests;
