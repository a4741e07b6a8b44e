//! A policy's rollout on one screen. Pure: the policy and the time in, text out.

mod guards;
mod waiting;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use tinydancer_crds::{
    RoutingPolicy, RoutingPolicyStatus,
    conditions::types,
    routing_policy::{ModelIdentity, RolloutState, RolloutStatus, TransitionEntry},
};

use crate::table::table;

/// Transitions that are shown.
const MOST_TRANSITIONS: usize = 6;
/// Characters of a message that are shown.
const LONGEST_LINE: usize = 160;
/// Digits of a digest that tell it from others.
const DIGEST_LENGTH: usize = 12;

/// What is stable, what is on trial, what the evidence says, what it waits for, and how it came here.
pub(crate) fn explain(policy: &RoutingPolicy, now: Timestamp) -> String {
    let name = policy.metadata.name.as_deref().unwrap_or_default();
    let Some(status) = &policy.status else {
        return format!("policy {name}: the operator has said nothing yet: look whether it runs\n");
    };
    let mut parts = vec![headline(name, status, now), models(status)];
    parts.extend(status.rollout.as_ref().map(|rollout| evidence(policy, rollout, now)));
    parts.extend(decides_by(status));
    parts.extend(stalled(status));
    parts.extend(history(&status.history, now));
    parts.join("\n")
}

fn headline(name: &str, status: &RoutingPolicyStatus, now: Timestamp) -> String {
    let fleet = status.fleet.as_deref().unwrap_or("no");
    let Some(rollout) = &status.rollout else {
        return format!("policy {name}: {fleet} routers ready, no model was tried yet\n");
    };
    let state = match (&rollout.watch, &rollout.step) {
        (Some(_), _) => "Stable, in the watch after promotion".to_owned(),
        (None, Some(step)) => format!("{:?}, step {step}", rollout.state),
        (None, None) => format!("{:?}", rollout.state),
    };
    let since = age(rollout.since.0, now);
    format!("policy {name}: {state} for {since} ({}), {fleet} routers ready\n", rollout.reason)
}

fn models(status: &RoutingPolicyStatus) -> String {
    let row = |role: &str, model: &ModelIdentity, share: String| {
        let digest = model.digest.strip_prefix("sha256:").unwrap_or(&model.digest);
        let digest = digest.chars().take(DIGEST_LENGTH).collect();
        vec![role.to_owned(), model.name.clone(), model.version.clone(), digest, share]
    };
    let decides = |percent: i32| format!("decides {percent} % of the requests");
    let rollout = status.rollout.as_ref();
    let trial = rollout.filter(|rollout| rollout.state != RolloutState::Stable);
    let weight = trial.map_or(0, |trial| trial.weight_percent);
    let mut rows = Vec::new();
    rows.extend(status.stable.as_ref().map(|stable| row("stable", stable, decides(100 - weight))));
    if let Some(trial) = trial {
        let role = if is_over(trial.state) { "last tried" } else { "on trial" };
        rows.push(row(role, &trial.model, decides(weight)));
    }
    if let Some(watch) = rollout.and_then(|rollout| rollout.watch.as_ref()) {
        rows.push(row("armed", &watch.previous, "loaded and scored, decides nothing".into()));
    }
    let none =
        if status.stable.is_none() { "  no stable model: the Powerful tier takes the rest\n" } else { "" };
    format!("{none}{}", table(&rows, 2))
}

/// Whether nothing can be expected of the trial any more.
fn is_over(state: RolloutState) -> bool {
    matches!(state, RolloutState::RolledBack | RolloutState::Superseded)
}

fn evidence(policy: &RoutingPolicy, rollout: &RolloutStatus, now: Timestamp) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut say = |what: &str, text: String| rows.push(vec![what.to_owned(), text]);
    if let Some(message) = &rollout.message {
        say("why", line(message));
    }
    if let Some(verdict) = rollout.verdict {
        let (attempt, pairs) = (rollout.attempt, rollout.pairs);
        say(
            "verdict",
            if rollout.watch.is_some() {
                format!(
                    "{verdict:?}; since then {pairs} requests that both models scored, counted once a minute"
                )
            } else {
                format!("{verdict:?} after {pairs} requests that both models scored, attempt {attempt}")
            },
        );
    }
    if let Some(chance) = &rollout.sample_ratio {
        say("split", format!("a split as uneven as this has a chance of {chance} (holds below 0.001)"));
    }
    if let Some(waiting) = waiting::waits_for(policy, rollout, now) {
        say("waits for", waiting);
    }
    let mut text = table(&rows, 2);
    if !rollout.guards.is_empty() {
        text.push('\n');
        text.push_str(&guards::describe(&rollout.guards));
    }
    text
}

/// As much of a message as fits a line; all of it is in the status.
fn line(message: &str) -> String {
    let mut line: String = message.chars().take(LONGEST_LINE).collect();
    if line.len() < message.len() {
        line.push_str("...");
    }
    line
}

/// What audits made of the threshold, and drift.
fn decides_by(status: &RoutingPolicyStatus) -> Option<String> {
    let shown = |type_: &str, is_shown: &dyn Fn(&Condition) -> bool| {
        status.conditions.iter().find(|condition| condition.type_ == type_ && is_shown(condition))
    };
    let calibration = shown(types::ONLINE_CALIBRATION, &|_| true).map(|it| ("threshold", it));
    let drift = shown(types::INPUTS_AS_TRAINED, &|condition| condition.status == "False");
    let lines = calibration.into_iter().chain(drift.map(|it| ("inputs", it)));
    let line = |(what, condition): (&str, &Condition)| {
        format!("  {what}: {} ({})\n", condition.message, condition.reason)
    };
    let lines: Vec<String> = lines.map(line).collect();
    (!lines.is_empty()).then(|| lines.concat())
}

fn stalled(status: &RoutingPolicyStatus) -> Option<String> {
    let mut conditions = status.conditions.iter();
    let stalled =
        conditions.find(|condition| condition.type_ == types::STALLED && condition.status == "True")?;
    Some(format!("  stalled: {} ({})\n", stalled.message, stalled.reason))
}

fn history(entries: &[TransitionEntry], now: Timestamp) -> Option<String> {
    let row = |entry: &TransitionEntry| {
        let numbers = entry.evidence.as_ref().map(|evidence| {
            let interval = evidence.interval.as_deref().unwrap_or("no interval");
            format!(
                "{} {} in {interval}, limit {}, {} samples on {} pods: {:?}",
                evidence.guard,
                evidence.estimate,
                evidence.limit,
                evidence.samples,
                evidence.pods,
                evidence.verdict
            )
        });
        vec![
            format!("{} ago", age(entry.time.0, now)),
            entry.name.clone(),
            format!("{:?}", entry.state),
            entry.reason.clone(),
            numbers.unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = entries.iter().rev().take(MOST_TRANSITIONS).map(row).collect();
    (!rows.is_empty()).then(|| format!("  last transitions\n{}", table(&rows, 2)))
}

/// A time in the two largest units, as kubectl shows it.
pub(crate) fn age(since: Timestamp, now: Timestamp) -> String {
    duration(now.duration_since(since).as_secs())
}

/// Seconds in the two largest units.
pub(crate) fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (large, small, names) = match seconds {
        0..60 => return format!("{seconds}s"),
        60..3600 => (seconds / 60, seconds % 60, ("m", "s")),
        3600..86_400 => (seconds / 3600, seconds % 3600 / 60, ("h", "m")),
        _ => (seconds / 86_400, seconds % 86_400 / 3600, ("d", "h")),
    };
    if small == 0 { format!("{large}{}", names.0) } else { format!("{large}{}{small}{}", names.0, names.1) }
}

#[cfg(test)]
mod tests;
