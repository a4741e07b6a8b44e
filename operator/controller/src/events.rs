//! What happened, told once: the event and its counter in one call.

use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};
use tinydancer_crds::Digest;

use crate::metrics::{EventLabels, Metrics};

/// Longest note the API server takes.
const LONGEST_NOTE: usize = 1024;
/// Bytes of the object's name that begin the event's: the whole may have 253.
const LONGEST_PREFIX: usize = 200;
/// Who says so.
const CONTROLLER: &str = "tiny-dancer";

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Happening {
    /// Whether somebody should look.
    pub warning: bool,
    /// One of the documented reasons.
    pub reason: String,
    /// For people.
    pub message: String,
    /// What was being done.
    pub action: &'static str,
    /// What it has to do with besides the object itself.
    pub related: Option<ObjectReference>,
    /// What makes it one and the same, whoever tells it and however often; `None` for what is new each time.
    pub occasion: Option<String>,
}

/// Whether an event was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// By this call.
    Now,
    /// By a call before, perhaps of another replica.
    Before,
    /// Not: the API server did not take it.
    Not,
}

/// Tells events.
#[derive(Clone)]
pub struct Events {
    client: Client,
    replica: String,
    metrics: Metrics,
}

impl Events {
    /// Tells in the name of this replica.
    pub fn new(client: Client, replica: String, metrics: Metrics) -> Self {
        Self { client, replica, metrics }
    }

    /// Tells what happened to `regarding`. One that cannot be told is logged.
    pub async fn tell(&self, regarding: &ObjectReference, happening: Happening) -> Told {
        let name = regarding.name.clone().unwrap_or_default();
        let namespace = regarding.namespace.clone().unwrap_or_default();
        let reason = happening.reason.clone();
        let event = self.event(regarding, happening, Timestamp::now());
        let note = event.note.clone();
        let created =
            Api::namespaced(self.client.clone(), &namespace).create(&PostParams::default(), &event).await;
        match created {
            Ok(_) => {
                tracing::info!(namespace, name, reason, note, "event");
                self.metrics.events.get_or_create(&EventLabels { reason }).inc();
                Told::Now
            }
            Err(kube::Error::Api(status)) if status.is_already_exists() => Told::Before,
            Err(error) => {
                tracing::warn!(namespace, name, reason, note, %error, "failed to tell an event");
                Told::Not
            }
        }
    }

    fn event(&self, regarding: &ObjectReference, happening: Happening, now: Timestamp) -> Event {
        Event {
            metadata: ObjectMeta {
                name: Some(event_name(regarding, &happening, now)),
                namespace: regarding.namespace.clone(),
                ..ObjectMeta::default()
            },
            type_: Some(if happening.warning { "Warning" } else { "Normal" }.to_owned()),
            reason: Some(happening.reason),
            note: Some(cut(happening.message)),
            action: Some(happening.action.to_owned()),
            regarding: Some(regarding.clone()),
            related: happening.related,
            event_time: Some(MicroTime(now)),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.replica.clone()),
            ..Event::default()
        }
    }
}

/// A name that says by itself what happened when, so that a second telling meets the first.
fn event_name(regarding: &ObjectReference, happening: &Happening, now: Timestamp) -> String {
    let occasion = happening.occasion.clone().unwrap_or_else(|| now.as_nanosecond().to_string());
    let told = [regarding.uid.as_deref().unwrap_or_default(), &happening.reason, &occasion].join("/");
    let name = regarding.name.as_deref().unwrap_or(CONTROLLER);
    let prefix: String = name.chars().take(LONGEST_PREFIX).collect();
    format!("{}.{}", prefix.trim_end_matches(['.', '-']), Digest::of(told.as_bytes()).short())
}

/// At most [`LONGEST_NOTE`] bytes, cut between characters.
fn cut(mut note: String) -> String {
    if note.len() > LONGEST_NOTE {
        let end = (0..=LONGEST_NOTE).rev().find(|end| note.is_char_boundary(*end)).unwrap_or(0);
        note.truncate(end);
    }
    note
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regarding(name: &str, uid: &str) -> ObjectReference {
        ObjectReference { name: Some(name.into()), uid: Some(uid.into()), ..ObjectReference::default() }
    }

    fn happening(occasion: Option<&str>) -> Happening {
        Happening {
            warning: false,
            reason: "Promoted".into(),
            message: String::new(),
            action: "Rollout",
            related: None,
            occasion: occasion.map(str::to_owned),
        }
    }

    fn named(name: &str, uid: &str, occasion: Option<&str>, second: i64) -> String {
        let now = Timestamp::from_second(second).unwrap();
        event_name(&regarding(name, uid), &happening(occasion), now)
    }

    #[test]
    fn the_same_happening_has_the_same_name_whenever_it_is_told() {
        assert_eq!(named("support", "u1", Some("1"), 1), named("support", "u1", Some("1"), 2));
        for other in [
            named("support", "u1", Some("2"), 1),
            named("support", "u2", Some("1"), 1),
            named("support", "u1", None, 1),
        ] {
            assert_ne!(other, named("support", "u1", Some("1"), 1));
        }
        assert_ne!(named("support", "u1", None, 1), named("support", "u1", None, 2));
    }

    #[test]
    fn an_event_of_an_object_with_the_longest_name_has_a_name_too() {
        let name = named(&format!("{}-{}", "a".repeat(199), "b".repeat(53)), "u1", None, 1);
        assert!(name.len() <= 253 && name.starts_with("aaa") && !name.contains("-."), "{name}");
    }

    #[test]
    fn a_long_note_is_cut_between_characters() {
        let note = cut("ä".repeat(600));
        assert_eq!(note.len(), 1024);
        let note = cut(format!("a{}", "ä".repeat(600)));
        assert_eq!(note.len(), 1023);
    }
}
