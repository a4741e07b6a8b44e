//! What the two loops share: objects that may be unreadable, and the waits between looks that failed.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kube::{ResourceExt, core::DeserializeGuard};
use tinydancer_crds::{RouterModel, RoutingPolicy, conditions::reasons};

use crate::{backoff::Backoff, events::Happening};

/// Wait after the first failure, doubled each time.
const FIRST_RETRY: Duration = Duration::from_millis(500);
/// Longest wait.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// A policy that one version may not be able to read: the others go on.
pub type GuardedPolicy = DeserializeGuard<RoutingPolicy>;
/// A model likewise.
pub type GuardedModel = DeserializeGuard<RouterModel>;

/// What is told of an object that this version cannot read. `kind` is for people.
pub fn unreadable(kind: &str, error: &str) -> Happening {
    Happening {
        warning: true,
        reason: reasons::INVALID_SPEC.to_owned(),
        message: format!("the {kind} cannot be read by this version of the operator: {error}"),
        action: "Read",
        related: None,
        occasion: None,
    }
}

/// The objects whose looks failed, by namespace and name.
#[derive(Debug)]
pub struct Failures(Mutex<Backoff<(String, String)>>);

impl Default for Failures {
    fn default() -> Self {
        Self(Mutex::new(Backoff::new(FIRST_RETRY, LONGEST_RETRY)))
    }
}

impl Failures {
    /// Notes a failure and says how long to wait.
    pub fn failed(&self, object: &impl ResourceExt) -> Duration {
        self.lock().failed(key(object), rand::random())
    }

    /// Forgets the failures of an object that was looked at.
    pub fn succeeded(&self, object: &impl ResourceExt) {
        self.lock().succeeded(&key(object));
    }

    fn lock(&self) -> MutexGuard<'_, Backoff<(String, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(object: &impl ResourceExt) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}
