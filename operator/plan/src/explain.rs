//! Transitions in words: what happened, with the numbers that decided.

use tinydancer_crds::{conditions::reasons, routing_policy::RolloutState};
use tinydancer_guards::{GuardJudgement, Judgement};

use crate::{
    plan::{Event, EventKind},
    record::Record,
    rollout::{Cause, Judged, PauseReason, Rollout, Transition},
};

/// Characters of a pod's own words that are passed on: an event takes a thousand in all.
const QUOTED: usize = 300;

/// The transition for people.
pub(crate) fn message(
    transition: Transition,
    judged: &Judged,
    record: &Record,
    target: Option<&str>,
) -> String {
    let name = record.trial.as_ref().map_or("", |trial| trial.model.name.as_str());
    let numbers = || judged.judgement.as_ref().map_or_else(|| "no evidence yet".to_owned(), numbers);
    match transition.to {
        Rollout::Staging { trusted: false } => {
            format!("{}: every pod fetches, verifies and tests it", target.unwrap_or(name))
        }
        Rollout::Staging { trusted: true } => {
            format!(
                "{}: the spec vouches for it; every pod fetches, verifies and tests it",
                target.unwrap_or(name)
            )
        }
        Rollout::Shadow if transition.reason == reasons::CONFIGURATION_CHANGED => {
            format!("{name}: the configuration changed; the evidence under the old one is dropped")
        }
        Rollout::Shadow => format!("{name}: scored on every request, deciding none"),
        Rollout::Canary(step) => {
            format!("{name}: step {} decides {} % of the requests; {}", step.step + 1, step.weight, numbers())
        }
        Rollout::Promoting => format!("{name}: becoming the stable model on every pod; {}", numbers()),
        Rollout::Stable => format!("{name}: the stable model on every pod"),
        Rollout::Paused { reason, .. } => format!("{name}: {}; {}", pause(reason), numbers()),
        Rollout::RollingBack { cause } => format!("{name}: {}", rollback(cause, judged, &numbers)),
        Rollout::RolledBack { .. } => format!("{name}: no pod serves it any more"),
        Rollout::Superseded => {
            format!(
                "{name}: taken out of traffic, because {} is wished for",
                target.unwrap_or("another model")
            )
        }
    }
}

const fn pause(reason: PauseReason) -> &'static str {
    match reason {
        PauseReason::Policy => "`spec.paused` stops its growth; guards go on",
        PauseReason::Blind => "no pod reports; it waits without traffic",
        PauseReason::InsufficientData => {
            "the step's deadline passed without a verdict; it waits without traffic"
        }
    }
}

fn rollback(cause: Cause, judged: &Judged, numbers: &impl Fn() -> String) -> String {
    match cause {
        Cause::GuardCrossed => numbers(),
        Cause::PodTripped => match &judged.trip {
            Some((pod, cause)) => format!("pod {pod} tripped it by itself ({cause}); {}", numbers()),
            None => numbers(),
        },
        Cause::CandidateRefused => match &judged.refusal {
            Some((pod, why)) => {
                format!("pod {pod} refuses it: {}", why.chars().take(QUOTED).collect::<String>())
            }
            None => "a pod refuses it".to_owned(),
        },
        Cause::Aborted => format!("aborted by annotation; {}", numbers()),
        Cause::Reverted => "the spec names the stable model again".to_owned(),
        Cause::DeadlineExceeded => format!("the step's deadline passed without a verdict; {}", numbers()),
    }
}

/// The guard that decides, or all of them where none stands out.
fn numbers(judgement: &Judgement) -> String {
    match judgement.decisive_judgement() {
        Some(guard) => describe(guard),
        None => judgement.guards.iter().map(describe).collect::<Vec<_>>().join("; "),
    }
}

fn describe(guard: &GuardJudgement) -> String {
    let estimate = guard.estimate.map_or_else(|| "none".to_owned(), decimals);
    format!(
        "{} {estimate} in {}, limit {}, {} samples, {:?}",
        guard.guard,
        interval(guard).unwrap_or_else(|| "no interval".to_owned()),
        decimals(guard.limit),
        guard.observations,
        guard.verdict,
    )
}

/// The interval as text, three decimals.
pub(crate) fn interval(guard: &GuardJudgement) -> Option<String> {
    guard.interval.map(|interval| format!("[{}, {}]", decimals(interval.low), decimals(interval.high)))
}

/// Three decimals, and no negative zero.
pub(crate) fn decimals(number: f64) -> String {
    let text = format!("{number:.3}");
    if text == "-0.000" { "0.000".to_owned() } else { text }
}

/// The event of a transition; none for what only clears the view.
pub(crate) fn event(transition: Transition, from: Rollout, model: String, message: String) -> Option<Event> {
    if transition.to == Rollout::Stable && from != Rollout::Promoting {
        return None;
    }
    let kind = match transition.to.shown() {
        RolloutState::RollingBack | RolloutState::RolledBack => match transition.to {
            Rollout::RollingBack { cause: Cause::Reverted }
            | Rollout::RolledBack { cause: Cause::Reverted } => EventKind::Normal,
            _ => EventKind::Warning,
        },
        RolloutState::Paused if transition.reason != reasons::PAUSED => EventKind::Warning,
        _ => EventKind::Normal,
    };
    Some(Event { kind, reason: transition.reason, message, model })
}
