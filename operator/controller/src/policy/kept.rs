//! Objects that were read and need not be read again yet: a watch says that their version stands, or, where nothing is
//! watched, they were read a moment ago.

use std::{collections::HashMap, time::Duration};

use serde_json::Value;
use tokio::time::Instant;

/// How long an object that no watch tells of is taken to be as it was read.
const UNWATCHED_LIFE: Duration = Duration::from_secs(5);

/// One object of one policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Uid of the policy.
    pub policy: String,
    /// Kind of the object.
    pub kind: String,
    /// Its name; its namespace is the policy's.
    pub name: String,
}

/// What a watch says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It has this resourceVersion.
    Version(String),
    /// It knows of none: there is none, or one that is not labelled as the operator's.
    Absent,
    /// Objects of its kind are not watched.
    Unwatched,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Kept(HashMap<Key, (Instant, Value)>);

impl Kept {
    /// The object, if it is still what it was.
    pub(super) fn get(&self, key: &Key, known: &Known, now: Instant) -> Option<Value> {
        let (read, object) = self.0.get(key)?;
        let stands = match known {
            Known::Version(version) => object.pointer("/metadata/resourceVersion")?.as_str()? == version,
            Known::Absent => false,
            Known::Unwatched => now.duration_since(*read) < UNWATCHED_LIFE,
        };
        stands.then(|| object.clone())
    }

    /// Keeps what was read.
    pub(super) fn put(&mut self, key: Key, object: Value, now: Instant) {
        self.0.insert(key, (now, object));
    }

    /// Forgets an object that is about to be written.
    pub(super) fn forget(&mut self, key: &Key) {
        self.0.remove(key);
    }

    /// Forgets policies that are gone.
    pub(super) fn keep_policies(&mut self, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|key, _| is_there(&key.policy));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(policy: &str) -> Key {
        Key { policy: policy.into(), kind: "Service".into(), name: "support".into() }
    }

    fn kept(now: Instant) -> Kept {
        let mut kept = Kept::default();
        kept.put(key("u1"), json!({ "metadata": { "resourceVersion": "7" } }), now);
        kept
    }

    #[test]
    fn an_object_is_read_again_when_a_watch_tells_of_another_version_or_of_none() {
        let now = Instant::now();
        let kept = kept(now);
        assert!(kept.get(&key("u1"), &Known::Version("7".into()), now + UNWATCHED_LIFE).is_some());
        assert!(kept.get(&key("u1"), &Known::Version("8".into()), now).is_none());
        assert!(kept.get(&key("u1"), &Known::Absent, now).is_none());
    }

    #[test]
    fn an_object_that_is_not_watched_is_read_again_after_a_while() {
        let now = Instant::now();
        let kept = kept(now);
        assert!(kept.get(&key("u1"), &Known::Unwatched, now).is_some());
        assert!(kept.get(&key("u1"), &Known::Unwatched, now + UNWATCHED_LIFE).is_none());
    }

    #[test]
    fn what_was_written_or_belongs_to_a_policy_that_is_gone_is_forgotten() {
        let now = Instant::now();
        let mut written = kept(now);
        written.forget(&key("u1"));
        assert!(written.get(&key("u1"), &Known::Unwatched, now).is_none());
        let mut gone = kept(now);
        gone.keep_policies(|policy| policy != "u1");
        assert!(gone.get(&key("u1"), &Known::Unwatched, now).is_none());
    }
}
