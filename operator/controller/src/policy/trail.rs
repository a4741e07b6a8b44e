//! Tells each transition: an event on the policy, one on the RouterModel it is about, and one count. What the record
//! says and nobody has told yet, because the operator ended in between, is told by the next one.

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::{api::core::v1::ObjectReference, jiff::Timestamp};
use kube::{Resource as _, ResourceExt as _};
use tinydancer_crds::{
    RouterModel, RoutingPolicy,
    routing_policy::{RolloutState, TransitionEntry},
};
use tinydancer_plan::{Event, EventKind, Notice, ObservedRecord, Plan, Record, last_event, notices};
use tinydancer_protocol::PolicyIdentity;

use crate::events::{Happening, Told};

use super::controller::PolicyWorld;

/// What is older is not told again by another replica: the API server forgets events after an hour.
const WORTH_TELLING: Duration = Duration::from_mins(15);

/// The record as it stands after the plan.
pub(super) fn current<'look>(before: &'look ObservedRecord, plan: &'look Plan) -> Option<&'look Record> {
    let committed = plan.commit.as_ref().map(|commit| &commit.record);
    committed.or(match before {
        ObservedRecord::Present { record, .. } => Some(record.as_ref()),
        ObservedRecord::Absent | ObservedRecord::Broken(_) => None,
    })
}

/// Tells what the record says beside the transitions, if that is not done yet: an event on the policy.
pub(super) async fn tell_notices(
    world: &PolicyWorld,
    policy: &RoutingPolicy,
    identity: &PolicyIdentity,
    record: &Record,
) {
    let standing = notices(record);
    let occasions: BTreeSet<String> = standing.iter().map(|notice| notice.occasion.clone()).collect();
    let told = std::mem::take(&mut world.memory().trail(&identity.uid).notices);
    let mut known: BTreeSet<String> = told.intersection(&occasions).cloned().collect();
    for Notice { event, since, occasion } in standing {
        if known.contains(&occasion) {
            continue;
        }
        let related = named(&event.model, identity.namespace.clone());
        let happening = Happening { action: "Calibrate", ..happening(&event, &occasion, related) };
        let is_told = !is_worth_telling(policy, since, Timestamp::now())
            || world.events.tell(&policy.object_ref(&()), happening).await != Told::Not;
        if is_told {
            known.insert(occasion);
        }
    }
    world.memory().trail(&identity.uid).notices = known;
}

/// Tells the last transition if that is not done yet. `observed` is the record that was read, `plan` what followed from it
/// and is committed.
pub(super) async fn tell(
    world: &PolicyWorld,
    policy: &RoutingPolicy,
    identity: &PolicyIdentity,
    observed: &ObservedRecord,
    plan: &Plan,
) {
    let before = match observed {
        ObservedRecord::Present { record, .. } => Some(record.as_ref()),
        _ => None,
    };
    let Some(record) = current(observed, plan) else { return };
    let Some(entry) = record.history.last() else { return };
    let occasion = occasion(entry);
    if world.memory().trail(&identity.uid).told.as_ref() == Some(&occasion) {
        return;
    }
    let is_new = !plan.events.is_empty();
    let event = plan.events.last().cloned().or_else(|| last_event(record));
    let told = match event.filter(|_| is_new || is_worth_telling(policy, entry.time.0, Timestamp::now())) {
        Some(event) => tell_both(world, policy, entry, &event, &occasion).await,
        None => Told::Before,
    };
    let mut memory = world.memory();
    let trail = memory.trail(&identity.uid);
    // What another replica committed counts here only where that one did not come to telling it.
    if (is_new || told == Told::Now) && trail.counted.as_ref() != Some(&occasion) {
        let from = if is_new { shown(before) } else { came_from(record) };
        world.metrics.rollouts.transition(identity, from, entry.state, &entry.reason);
        trail.counted = Some(occasion.clone());
    }
    if told != Told::Not {
        trail.told = Some(occasion);
    }
}

async fn tell_both(
    world: &PolicyWorld,
    policy: &RoutingPolicy,
    entry: &TransitionEntry,
    event: &Event,
    occasion: &str,
) -> Told {
    let namespace = policy.namespace().unwrap_or_default();
    let models = world.models_of(&namespace);
    let same = models.iter().filter(|model| model.spec.digest == entry.digest);
    let model = same.max_by_key(|model| model.name_any() == event.model);
    let regarding = policy.object_ref(&());
    let related = model.map_or_else(|| named(&event.model, namespace), |model| model.object_ref(&()));
    let told = world.events.tell(&regarding, happening(event, occasion, related.clone())).await;
    // `kubectl describe` shows what regards an object, not what is related to it.
    if model.is_some() {
        let message = format!("policy '{}': {}", policy.name_any(), event.message);
        let event = Event { message, ..event.clone() };
        world.events.tell(&related, happening(&event, occasion, regarding)).await;
    }
    told
}

fn happening(event: &Event, occasion: &str, related: ObjectReference) -> Happening {
    Happening {
        warning: event.kind == EventKind::Warning,
        reason: event.reason.to_owned(),
        message: event.message.clone(),
        action: "Rollout",
        related: Some(related),
        occasion: Some(occasion.to_owned()),
    }
}

/// A RouterModel that is not there any more.
fn named(model: &str, namespace: String) -> ObjectReference {
    ObjectReference {
        api_version: Some(RouterModel::api_version(&()).into_owned()),
        kind: Some(RouterModel::kind(&()).into_owned()),
        name: Some(model.to_owned()),
        namespace: Some(namespace),
        ..ObjectReference::default()
    }
}

/// What tells this transition from every other one of the policy. Written down, times have whole seconds.
fn occasion(entry: &TransitionEntry) -> String {
    format!("{}/{:?}/{}/{}", entry.attempt, entry.state, entry.reason, entry.time.0.as_second())
}

/// A policy that took up the record of one of its name has no part in what that one did.
fn is_worth_telling(policy: &RoutingPolicy, since: Timestamp, now: Timestamp) -> bool {
    let created = policy.metadata.creation_timestamp.as_ref();
    let is_its_own = created.is_none_or(|created| created.0.as_second() <= since.as_second());
    is_its_own && Duration::try_from(now.duration_since(since)).is_ok_and(|age| age < WORTH_TELLING)
}

/// Where a policy without a record is: nothing was tried.
fn shown(record: Option<&Record>) -> RolloutState {
    record.map_or(RolloutState::Stable, |record| record.rollout.shown())
}

/// The state before the last transition.
fn came_from(record: &Record) -> RolloutState {
    record.history.iter().rev().nth(1).map_or(RolloutState::Stable, |entry| entry.state)
}
