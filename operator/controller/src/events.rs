//! What happened, told once: the event and its counter in one call.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

use crate::metrics::{EventLabels, Metrics};

/// Longest note the API server takes.
const LONGEST_NOTE: usize = 1024;

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
}

/// Tells events.
#[derive(Clone)]
pub struct Events {
    client: Client,
    reporter: Reporter,
    metrics: Metrics,
}

impl Events {
    /// Tells in the name of this replica.
    pub fn new(client: Client, replica: String, metrics: Metrics) -> Self {
        let reporter = Reporter { controller: "tiny-dancer".to_owned(), instance: Some(replica) };
        Self { client, reporter, metrics }
    }

    /// Tells what happened to `regarding`. An event that cannot be told is logged: nothing depends on it.
    pub async fn tell(&self, regarding: &ObjectReference, happening: Happening) {
        self.metrics.events.get_or_create(&EventLabels { reason: happening.reason.clone() }).inc();
        let name = regarding.name.clone().unwrap_or_default();
        let namespace = regarding.namespace.clone().unwrap_or_default();
        tracing::info!(namespace, name, reason = happening.reason, note = happening.message, "event");
        let event = Event {
            type_: if happening.warning { EventType::Warning } else { EventType::Normal },
            reason: happening.reason,
            note: Some(cut(happening.message)),
            action: happening.action.to_owned(),
            secondary: happening.related,
        };
        // A recorder that lives on folds events of one reason into the first and drops the later numbers.
        let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
        if let Err(error) = recorder.publish(&event, regarding).await {
            tracing::warn!(namespace, name, %error, "failed to tell an event");
        }
    }
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

    #[test]
    fn a_long_note_is_cut_between_characters() {
        let note = cut("ä".repeat(600));
        assert_eq!(note.len(), 1024);
        let note = cut(format!("a{}", "ä".repeat(600)));
        assert_eq!(note.len(), 1023);
    }
}
