//! What a rollout waits for, and what somebody may do about it.

use k8s_openapi::jiff::Timestamp;
use tinydancer_crds::{
    RoutingPolicy,
    conditions::reasons,
    routing_policy::{RolloutState, RolloutStatus, Verdict},
    valid::{self, Rollout},
};

use super::duration;

/// `None` where nothing is waited for.
pub(super) fn waits_for(policy: &RoutingPolicy, rollout: &RolloutStatus, now: Timestamp) -> Option<String> {
    let name = policy.metadata.name.as_deref().unwrap_or_default();
    let model = &rollout.model.name;
    Some(match rollout.state {
        RolloutState::Staging => "every router to fetch, verify and test the model".to_owned(),
        RolloutState::Shadow | RolloutState::Canary => growth(policy, rollout, now),
        RolloutState::Paused => paused(name, rollout),
        RolloutState::Promoting => format!("every router to take '{model}' as its stable model"),
        RolloutState::RollingBack => format!("every router to stop serving '{model}'"),
        RolloutState::Superseded => "every router to let it go; then the next trial begins".to_owned(),
        RolloutState::RolledBack => {
            format!("another model in `spec.model`, or: kubectl tinydancer retry {name}")
        }
        RolloutState::Stable => {
            let watch = rollout.watch.as_ref()?;
            let left = duration(watch.seconds - elapsed(rollout, now));
            format!(
                "the end of the watch, in {left} or more (only time in which routers report counts); until then a guard or \
                 kubectl tinydancer abort {name} leads back to '{}'",
                watch.previous.name
            )
        }
    })
}

fn elapsed(rollout: &RolloutStatus, now: Timestamp) -> i64 {
    now.duration_since(rollout.since.0).as_secs().max(0)
}

/// In the shadow and in a step: evidence, numbers and time, then the next step.
fn growth(policy: &RoutingPolicy, rollout: &RolloutStatus, now: Timestamp) -> String {
    let mut needs = Vec::new();
    let undecided: Vec<&str> = rollout
        .guards
        .iter()
        .filter(|guard| guard.verdict == Verdict::Inconclusive)
        .map(|guard| guard.name.as_str())
        .collect();
    if rollout.guards.is_empty() {
        needs.push("the first evidence".to_owned());
    } else if !undecided.is_empty() {
        needs.push(format!("more evidence on {}", undecided.join(", ")));
    }
    if let Ok(valid) = valid::validate(policy) {
        needs.extend(minimums(&valid.rollout, rollout, now));
    }
    if needs.is_empty() { "the operator's next look".to_owned() } else { needs.join("; ") }
}

/// The least of samples and seconds that the policy asks for where the rollout is.
fn minimums(spec: &Rollout, rollout: &RolloutStatus, now: Timestamp) -> Vec<String> {
    let step = rollout.step.as_deref().and_then(|step| step.split_once('/')?.0.parse::<usize>().ok());
    let step = step.and_then(|number| spec.steps.get(number.checked_sub(1)?));
    let (samples, seconds) = if let Some(step) = step {
        let samples =
            format!("{} requests decided by '{}' in this step", step.min_samples, rollout.model.name);
        (Some(samples), step.min_seconds)
    } else {
        let missing = spec.shadow.min_samples.saturating_sub(u64::try_from(rollout.pairs).unwrap_or(0));
        let samples = (missing > 0).then(|| format!("{missing} more requests scored by both models"));
        (samples, spec.shadow.min_seconds)
    };
    let left = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_sub(elapsed(rollout, now));
    let time = (left > 0).then(|| format!("{} more", duration(left)));
    samples.into_iter().chain(time).collect()
}

fn paused(name: &str, rollout: &RolloutStatus) -> String {
    let model = &rollout.model.name;
    match (rollout.reason.as_str(), &rollout.approval) {
        (reasons::AWAITING_APPROVAL, Some(approval)) => {
            format!("approval of {approval} (attempt/step): kubectl tinydancer approve {name}")
        }
        (reasons::PAUSED, _) => format!("`spec.paused` to be false: kubectl tinydancer resume {name}"),
        (reasons::BLIND, _) => {
            "a report of the routers; it goes on by itself. Look whether they run and can be reached"
                .to_owned()
        }
        (reasons::INSUFFICIENT_DATA, _) => format!(
            "a verdict, now that the step's deadline has passed: send requests, or kubectl tinydancer promote or abort \
             {name}"
        ),
        _ => format!("somebody to decide on '{model}': kubectl tinydancer promote or abort {name}"),
    }
}
