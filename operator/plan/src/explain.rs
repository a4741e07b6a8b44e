//! Transitions in words: what happened, with the numbers that decided.

use tinydancer_crds::{
    APPROVE_ANNOTATION,
    conditions::reasons,
    routing_policy::{RolloutState, TransitionEvidence},
};
use tinydancer_guards::{GuardJudgement, Judgement, Verdict};

use crate::{
    calibration, drift,
    plan::{Event, EventKind, Notice},
    record::Record,
    rollout::{Cause, Judged, PauseReason, Rollout, Transition},
    status,
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
    let name = match transition.to {
        Rollout::Staging { .. } => target,
        _ => record.trial.as_ref().map(|trial| trial.model.name.as_str()),
    };
    format!("{}: {}", name.unwrap_or("the model"), what(transition, judged, record, target))
}

fn what(transition: Transition, judged: &Judged, record: &Record, target: Option<&str>) -> String {
    let numbers = || judged.judgement.as_ref().map_or_else(|| "no evidence yet".to_owned(), numbers);
    let target = target.unwrap_or("another model");
    match transition.to {
        Rollout::Staging { trusted: false } => "every pod fetches, verifies and tests it".to_owned(),
        Rollout::Staging { trusted: true } => {
            "the spec vouches for it; every pod fetches, verifies and tests it".to_owned()
        }
        _ if transition.reason == reasons::CONFIGURATION_CHANGED => {
            "the configuration changed; the evidence under the old one is dropped".to_owned()
        }
        _ if transition.reason == reasons::RESUMED => format!("its growth goes on; {}", numbers()),
        _ if transition.reason == reasons::APPROVED => format!("what comes next was approved; {}", numbers()),
        Rollout::Shadow => "scored on every request, deciding none".to_owned(),
        Rollout::Canary(step) => {
            format!("step {} decides {} % of the requests; {}", step.step + 1, step.weight, numbers())
        }
        Rollout::Promoting if transition.reason == reasons::PROMOTED_BY_HAND => {
            format!("promoted by annotation: becoming the stable model on every pod; {}", numbers())
        }
        Rollout::Promoting if matches!(record.rollout, Rollout::Staging { .. }) => {
            "becoming the stable model on every pod; the spec vouches for it".to_owned()
        }
        Rollout::Promoting => format!("becoming the stable model on every pod; {}", numbers()),
        Rollout::Watching => format!("the stable model on every pod; {}; {}", watched(record), numbers()),
        Rollout::Stable => stable(record, &numbers),
        Rollout::Paused { reason, .. } => {
            format!("{}; {}", pause(reason, transition.to, judged, record), numbers())
        }
        Rollout::RollingBack { cause } => rollback(cause, judged, record, &numbers),
        Rollout::RolledBack { .. } => "no pod serves it any more".to_owned(),
        Rollout::Superseded => format!("taken out of traffic, because {target} is wished for"),
    }
}

/// At promotion: what the model that serves until now is kept for.
fn watched(record: &Record) -> String {
    let seconds = record.trial.as_ref().map_or(0, |trial| trial.watch_seconds);
    let previous = record.stable.as_ref().map_or("the model before", |stable| stable.model.name.as_str());
    format!("{previous} stays armed for {seconds} s")
}

/// Four ways lead to rest.
fn stable(record: &Record, numbers: &impl Fn() -> String) -> String {
    let serves = record.stable.as_ref().map_or("no model", |stable| stable.model.name.as_str());
    match record.rollout {
        Rollout::Watching => {
            let previous = record.armed().map_or("the model before", |previous| previous.model.name.as_str());
            format!("nothing was found in the watch; {previous} is let go; {}", numbers())
        }
        Rollout::Superseded => format!("no pod has it any more; {serves} serves"),
        Rollout::RolledBack { .. } => format!("put aside: {serves} is wished for and serves"),
        _ => match record.trial.as_ref().map(|trial| trial.evidence.pods()) {
            Some(pods) if pods > 0 => format!("the stable model on every pod; {}", numbers()),
            _ => "the stable model on every pod".to_owned(),
        },
    }
}

/// What somebody has to do.
fn awaiting(paused: Rollout, record: &Record) -> String {
    let awaited = record.trial.as_ref().and_then(|trial| status::awaited(trial, paused));
    format!(
        "the evidence allows what comes next, and the policy asks for approval: set the annotation \
         {APPROVE_ANNOTATION} to '{}'",
        awaited.map(|step| step.to_string()).unwrap_or_default()
    )
}

fn pause(reason: PauseReason, paused: Rollout, judged: &Judged, record: &Record) -> String {
    match reason {
        PauseReason::Policy => "`spec.paused` stops its growth; guards go on".to_owned(),
        PauseReason::AwaitingApproval => awaiting(paused, record),
        PauseReason::Blind => "no pod reports; it waits without traffic".to_owned(),
        PauseReason::InsufficientData => format!("{}; it waits without traffic", late(judged)),
    }
}

/// What kept the step from being finished in time.
fn late(judged: &Judged) -> &'static str {
    let signals = &judged.signals;
    if signals.uneven {
        "the step's deadline passed while requests are not split as the weight says"
    } else if signals.verdict != Verdict::Pass {
        "the step's deadline passed without a verdict"
    } else if !signals.minimums_met {
        "the step's deadline passed before its minimums were met"
    } else {
        "the step's deadline passed before every router could take the next one"
    }
}

fn rollback(cause: Cause, judged: &Judged, record: &Record, numbers: &impl Fn() -> String) -> String {
    let why = match cause {
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
        Cause::Reverted if record.armed().is_some() => {
            "the spec names the model that served before".to_owned()
        }
        Cause::Reverted => "the spec names the stable model again".to_owned(),
        Cause::DeadlineExceeded => format!("{}; {}", late(judged), numbers()),
    };
    match record.armed() {
        Some(previous) => {
            format!("{why}; found in the watch after promotion: {} serves again", previous.model.name)
        }
        None => why,
    }
}

/// The guard that decides; where all pass, the one that came closest to not passing.
fn numbers(judgement: &Judgement) -> String {
    match (judgement.decisive_judgement(), closest(judgement)) {
        (Some(guard), _) => describe(guard),
        (None, Some(guard)) => format!("every guard passes, the closest is {}", describe(guard)),
        (None, None) => "no evidence yet".to_owned(),
    }
}

/// Of the guards that saw anything, the one that is least beyond what it needs to pass.
fn closest(judgement: &Judgement) -> Option<&GuardJudgement> {
    let beyond = |guard: &GuardJudgement| guard.safe_log_e_value - guard.safe_log_e_value_to_pass;
    let seen = judgement.guards.iter().filter(|guard| guard.observations > 0);
    seen.min_by(|left, right| beyond(left).total_cmp(&beyond(right)))
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

/// With commas between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// The numbers behind a transition: of the guard that decided, or was furthest from it. `None` for the start of a trial
/// and where nothing was seen.
pub(crate) fn evidence(
    transition: Transition,
    judged: &Judged,
    record: &Record,
) -> Option<TransitionEvidence> {
    if matches!(transition.to, Rollout::Staging { .. }) {
        return None;
    }
    let judgement = judged.judgement.as_ref()?;
    let pods = record.trial.as_ref()?.evidence.pods();
    let guard = judgement.decisive_judgement().or_else(|| closest(judgement))?;
    Some(TransitionEvidence {
        guard: guard.guard.to_string(),
        verdict: status::shown(judgement.verdict),
        estimate: guard.estimate.map_or_else(|| "none".to_owned(), decimals),
        interval: interval(guard),
        limit: decimals(guard.limit),
        log_e_value: decimals(guard.log_e_value),
        safe_log_e_value: decimals(guard.safe_log_e_value),
        samples: status::number(guard.observations),
        pods: i32::try_from(pods).unwrap_or(i32::MAX),
    })
}

/// What the record tells of beside the rollout's transitions: the threshold that holds, and drift.
pub fn notices(record: &Record) -> Vec<Notice> {
    [calibration::words::notice(record), drift::notice(record)].into_iter().flatten().collect()
}

/// The event of a transition: each has exactly one, with its own reason.
pub(crate) fn event(transition: Transition, model: String, message: String) -> Event {
    let Transition { to, reason } = transition;
    Event { kind: kind(to, reason), reason, message, model }
}

/// The event of a record's last transition, for whoever finds that nobody told it.
pub fn last_event(record: &Record) -> Option<Event> {
    let entry = record.history.last()?;
    let reason = reasons::ALL.iter().find(|reason| **reason == entry.reason)?;
    let kind = kind(record.rollout, reason);
    Some(Event { kind, reason, message: entry.message.clone(), model: entry.name.clone() })
}

fn kind(to: Rollout, reason: &str) -> EventKind {
    match to.shown() {
        RolloutState::RollingBack | RolloutState::RolledBack => match to {
            Rollout::RollingBack { cause: Cause::Reverted }
            | Rollout::RolledBack { cause: Cause::Reverted } => EventKind::Normal,
            _ => EventKind::Warning,
        },
        RolloutState::Paused => match reason {
            reasons::PAUSED | reasons::AWAITING_APPROVAL => EventKind::Normal,
            _ => EventKind::Warning,
        },
        _ => EventKind::Normal,
    }
}
