//! The Secrets of a fleet: its certificate, the key that marks its decisions, and copies of the upstream keys.
//!
//! Pods mount one Secret of the fleet instead of those of the users, so that a key that is missing or added does not
//! change the pod template.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{ByteString, api::core::v1::Secret};
use tinydancer_crds::routing_policy::KeyReference;
use tinydancer_plan::SecretState;

/// The key by which decisions are recognised, shared by the fleet.
const FEEDBACK_KEY: &str = "feedback.key";
/// Its bytes.
const FEEDBACK_BYTES: usize = 32;

/// Data of a Secret.
pub type Data = BTreeMap<String, ByteString>;

/// The keys of upstreams and grader as the users' Secrets hold them.
#[derive(Clone, Debug, Default)]
pub struct UpstreamKeys {
    /// By the file they are written as.
    pub found: BTreeMap<String, ByteString>,
    /// Files whose Secret or key does not exist.
    pub missing: BTreeSet<String>,
}

/// Takes the keys that are referred to, each under its file, out of the Secrets, given by name.
pub fn upstream_keys(
    references: &BTreeMap<String, KeyReference>,
    secrets: &BTreeMap<&str, Data>,
) -> UpstreamKeys {
    let mut keys = UpstreamKeys::default();
    for (file, reference) in references {
        match secrets.get(reference.name.as_str()).and_then(|data| data.get(&reference.key)) {
            Some(value) => {
                keys.found.insert(file.clone(), value.clone());
            }
            None => {
                keys.missing.insert(file.clone());
            }
        }
    }
    keys
}

/// What the Secret should hold. A feedback key that is there is kept: decisions already made carry its mark.
pub fn wished(
    live: Option<&Data>,
    keys: &UpstreamKeys,
    fresh: impl FnOnce() -> [u8; FEEDBACK_BYTES],
) -> Data {
    let kept = live.and_then(|data| data.get(FEEDBACK_KEY)).filter(|key| key.0.len() == FEEDBACK_BYTES);
    let feedback = kept.cloned().unwrap_or_else(|| ByteString(fresh().to_vec()));
    let found = keys.found.iter().map(|(file, key)| (file.clone(), key.clone()));
    found.chain([(FEEDBACK_KEY.to_owned(), feedback)]).collect()
}

/// The Secret against what it should hold.
pub fn state(secret: Option<&Secret>, policy_uid: &str, keys: &UpstreamKeys) -> SecretState {
    owned(secret, policy_uid, |data| {
        let empty = Data::new();
        let data = data.unwrap_or(&empty);
        // A new feedback key of zeros differs from every one that is there.
        wished(Some(data), keys, || [0; FEEDBACK_BYTES]) == *data
    })
}

/// The state of a Secret, `is_current` judging the content of one that is the policy's.
pub fn owned(
    secret: Option<&Secret>,
    policy_uid: &str,
    is_current: impl FnOnce(Option<&Data>) -> bool,
) -> SecretState {
    let Some(secret) = secret else { return SecretState::Missing };
    let mut owners = secret.metadata.owner_references.iter().flatten();
    if !owners.any(|owner| owner.controller == Some(true) && owner.uid == policy_uid) {
        return SecretState::Taken;
    }
    if is_current(secret.data.as_ref()) { SecretState::Current } else { SecretState::Outdated }
}

/// A new feedback key.
pub fn fresh_key() -> [u8; FEEDBACK_BYTES] {
    rand::random()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

    fn keys(entries: &[(&str, &str)]) -> UpstreamKeys {
        let found =
            entries.iter().map(|(name, key)| ((*name).to_owned(), ByteString(key.as_bytes().to_vec())));
        UpstreamKeys { found: found.collect(), missing: BTreeSet::new() }
    }

    fn secret(data: Data) -> Secret {
        let owner = OwnerReference { controller: Some(true), uid: "u".into(), ..OwnerReference::default() };
        let mut secret = Secret { data: Some(data), ..Secret::default() };
        secret.metadata.owner_references = Some(vec![owner]);
        secret
    }

    #[test]
    fn the_feedback_key_is_made_once_and_kept() {
        let first = wished(None, &keys(&[]), || [7; 32]);
        let second = wished(Some(&first), &keys(&[("upstream.small", "k")]), || [8; 32]);
        assert_eq!(second[FEEDBACK_KEY].0, [7; 32]);
        assert_eq!(second["upstream.small"].0, b"k");
    }

    #[test]
    fn a_feedback_key_of_another_length_is_made_anew() {
        let broken = Data::from([(FEEDBACK_KEY.to_owned(), ByteString(vec![1, 2]))]);
        assert_eq!(wished(Some(&broken), &keys(&[]), || [8; 32])[FEEDBACK_KEY].0, [8; 32]);
        assert_eq!(state(Some(&secret(broken)), "u", &keys(&[])), SecretState::Outdated);
    }

    #[test]
    fn a_secret_is_outdated_when_a_key_is_added_changed_or_taken_away() {
        let data = wished(None, &keys(&[("small", "a")]), || [7; 32]);
        let judge = |now: &[(&str, &str)]| state(Some(&secret(data.clone())), "u", &keys(now));
        assert_eq!(judge(&[("small", "a")]), SecretState::Current);
        assert_eq!(judge(&[("small", "b")]), SecretState::Outdated);
        assert_eq!(judge(&[]), SecretState::Outdated);
        assert_eq!(judge(&[("small", "a"), ("large", "c")]), SecretState::Outdated);
    }

    #[test]
    fn a_secret_of_somebody_else_is_taken_and_none_is_missing() {
        let data = wished(None, &keys(&[]), || [7; 32]);
        assert_eq!(state(Some(&secret(data)), "another", &keys(&[])), SecretState::Taken);
        assert_eq!(state(None, "u", &keys(&[])), SecretState::Missing);
    }
}
