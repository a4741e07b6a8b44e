//! Verified artifacts in memory, bounded, by namespace and digest.

use std::collections::HashMap;

use bytes::Bytes;
use tinydancer_crds::Digest;
use tinydancer_engine::Reference;

/// An artifact that passed every check.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// Its sha256.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: Bytes,
    /// What the model did on its own calibration data.
    pub reference: Reference,
}

/// Whose artifact: a digest known in one namespace opens nothing in another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Namespace of the RouterModel.
    pub namespace: String,
    /// Its digest.
    pub digest: Digest,
}

/// Holds artifacts up to a number of bytes; what was not asked for the longest goes first.
#[derive(Debug)]
pub(super) struct Cache {
    most_bytes: usize,
    bytes: usize,
    turn: u64,
    entries: HashMap<Key, (u64, Artifact)>,
}

impl Cache {
    /// An empty cache.
    pub(super) fn new(most_bytes: usize) -> Self {
        Self { most_bytes, bytes: 0, turn: 0, entries: HashMap::new() }
    }

    /// The artifact, if it is held.
    pub(super) fn get(&mut self, key: &Key) -> Option<Artifact> {
        self.turn += 1;
        let (asked, artifact) = self.entries.get_mut(key)?;
        *asked = self.turn;
        Some(artifact.clone())
    }

    /// Holds an artifact, at the cost of others if need be.
    pub(super) fn put(&mut self, key: Key, artifact: Artifact) {
        self.turn += 1;
        self.bytes += artifact.bytes.len();
        if let Some((_, old)) = self.entries.insert(key, (self.turn, artifact)) {
            self.bytes -= old.bytes.len();
        }
        while self.bytes > self.most_bytes && self.entries.len() > 1 {
            let oldest = self.entries.iter().min_by_key(|(_, (asked, _))| *asked).map(|(key, _)| key.clone());
            let Some((_, gone)) = oldest.and_then(|key| self.entries.remove(&key)) else { return };
            self.bytes -= gone.bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tinydancer_engine::{Model, testing};

    fn artifact(seed: u64) -> (Key, Artifact) {
        let bytes = Bytes::from(testing::artifact("1.0.0", seed).unwrap());
        let digest = Digest::of(&bytes);
        let reference = Model::from_bytes(&bytes).unwrap().reference().clone();
        (Key { namespace: "a".into(), digest }, Artifact { digest, bytes, reference })
    }

    #[test]
    fn what_was_not_asked_for_the_longest_goes_first() {
        let artifacts: Vec<_> = (1..=3).map(artifact).collect();
        let two = artifacts[0].1.bytes.len() * 2 + 100;
        let mut cache = Cache::new(two);
        cache.put(artifacts[0].0.clone(), artifacts[0].1.clone());
        cache.put(artifacts[1].0.clone(), artifacts[1].1.clone());
        assert!(cache.get(&artifacts[0].0).is_some());
        cache.put(artifacts[2].0.clone(), artifacts[2].1.clone());
        assert!(cache.get(&artifacts[1].0).is_none());
        assert!(cache.get(&artifacts[0].0).is_some());
        assert!(cache.bytes <= two);
    }

    #[test]
    fn the_same_artifact_again_takes_no_more_room() {
        let (key, artifact) = artifact(1);
        let mut cache = Cache::new(10_000_000);
        cache.put(key.clone(), artifact.clone());
        cache.put(key, artifact.clone());
        assert_eq!(cache.bytes, artifact.bytes.len());
    }

    #[test]
    fn a_digest_known_in_one_namespace_opens_nothing_in_another() {
        let (key, artifact) = artifact(1);
        let mut cache = Cache::new(10_000_000);
        cache.put(key.clone(), artifact);
        assert!(cache.get(&Key { namespace: "b".into(), ..key }).is_none());
    }
}
