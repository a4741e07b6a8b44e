//! Which objects have to be made or brought back to what they should be.

use serde_json::Value;
use tinydancer_crds::{Digest, Problem, ValidPolicy, conditions::reasons};
use tinydancer_protocol::PolicyIdentity;

use crate::{
    build::{self, Names},
    observed::{LiveChild, Observed, SecretState},
    plan::{Action, Child},
    record::Record,
};

/// Annotation with the digest of everything an object was made from: a field that is not wished for any more leaves no
/// other trace.
const INPUTS_ANNOTATION: &str = "routing.tinydancer.dev/inputs";

/// Keys whose values the API server writes in another form; they are compared by digest alone.
const NORMALISED: &[&str] = &["resources"];

/// What to do about the fleet's objects. While a name belongs to somebody else nothing new is made: a pod must not mount
/// what is not the fleet's. What is there already goes on.
pub(crate) fn actions(
    identity: &PolicyIdentity,
    valid: &ValidPolicy,
    record: &Record,
    observed: &Observed,
) -> Vec<Action> {
    let may_create = taken(identity, observed).is_empty();
    let mut actions = Vec::new();
    match observed.tls {
        SecretState::Missing if may_create => actions.push(Action::EnsureTls(build::tls(identity))),
        SecretState::Outdated => actions.push(Action::EnsureTls(build::tls(identity))),
        SecretState::Missing | SecretState::Current | SecretState::Taken => {}
    }
    match observed.credentials {
        SecretState::Missing if may_create => {
            actions.push(Action::EnsureCredentials(build::credentials(identity, valid)));
        }
        SecretState::Outdated => actions.push(Action::EnsureCredentials(build::credentials(identity, valid))),
        SecretState::Missing | SecretState::Current | SecretState::Taken => {}
    }
    for child in build::children(identity, valid, record, &observed.settings) {
        let child = match child {
            Child::Boot { model: Some(digest), .. } if !observed.available.contains(&digest) => {
                if !boots_quarantined(record, observed) {
                    continue;
                }
                build::bare_boot(identity, record)
            }
            child => child,
        };
        let Some((kind, name, wished, child)) = stamped(child) else { continue };
        match observed.children.iter().find(|live| live.kind == kind && live.name == name) {
            None if may_create => actions.push(Action::Create(child)),
            Some(live) if live.owned && !is_as_wished(live, &wished) => actions.push(Action::Apply(child)),
            None | Some(_) => {}
        }
    }
    actions
}

/// Names that belong to somebody else.
pub(crate) fn taken(identity: &PolicyIdentity, observed: &Observed) -> Vec<Problem> {
    let names = Names::of(&identity.name);
    let children = observed
        .children
        .iter()
        .filter(|live| !live.owned)
        .map(|live| (live.kind.clone(), live.name.clone()));
    let secrets = [(observed.tls, names.tls()), (observed.credentials, names.credentials())]
        .into_iter()
        .filter(|(state, _)| *state == SecretState::Taken)
        .map(|(_, name)| ("Secret".to_owned(), name));
    children
        .chain(secrets)
        .map(|(kind, name)| Problem {
            field: "metadata.name".to_owned(),
            message: format!(
                "needs the {kind} '{name}', which belongs to somebody else: rename that, or the policy"
            ),
            reason: reasons::NAME_TAKEN,
        })
        .collect()
}

/// A boot ConfigMap is not written before its model is at hand: the one that stands is better, unless pods would boot from
/// it with a model that was rolled back. Then one without bytes is better still.
fn boots_quarantined(record: &Record, observed: &Observed) -> bool {
    let pointer = format!("/metadata/annotations/{}", build::MODEL_ANNOTATION.replace('/', "~1"));
    let standing = observed.children.iter().find(|live| live.kind == "ConfigMap" && live.owned);
    standing.is_some_and(|live| match live.object.pointer(&pointer).and_then(Value::as_str) {
        Some(model) => record.quarantine.iter().any(|entry| entry.digest.to_string() == model),
        // One without bytes stands already.
        None => record.boot.stable.is_some(),
    })
}

/// Kind, name, the object as JSON, and the child with the digest of what it was made from.
fn stamped(mut child: Child) -> Option<(String, String, Value, Child)> {
    let mut wished = child.to_value();
    let inputs = Digest::of(&serde_json::to_vec(&wished).ok()?).to_string();
    let kind = wished.get("kind")?.as_str()?.to_owned();
    let metadata = child.metadata_mut();
    let name = metadata.name.clone()?;
    metadata.annotations.get_or_insert_default().insert(INPUTS_ANNOTATION.to_owned(), inputs);
    *wished.get_mut("metadata")? = serde_json::to_value(metadata).ok()?;
    Some((kind, name, wished, child))
}

fn is_as_wished(live: &LiveChild, wished: &Value) -> bool {
    contains(&live.object, wished)
}

/// Whether every field that is wished for is there with its value; what the API server adds does not matter.
fn contains(live: &Value, wished: &Value) -> bool {
    match (live, wished) {
        (Value::Object(live), Value::Object(wished)) => wished.iter().all(|(key, value)| {
            NORMALISED.contains(&key.as_str()) || live.get(key).is_some_and(|live| contains(live, value))
        }),
        (Value::Array(live), Value::Array(wished)) => {
            live.len() == wished.len() && live.iter().zip(wished).all(|(live, wished)| contains(live, wished))
        }
        _ => live == wished,
    }
}
