//! Counted outcomes of the tags requests carry.

use std::collections::BTreeMap;

use tinydancer_engine::evidence::{Counts, Evidence};

/// Pseudo-counts that draw a rare tag to the overall means.
pub const PRIOR: f32 = 20.0;
/// The most tags an artifact keeps; the most frequent ones stay.
pub const MOST_TAGS: usize = 1024;

/// Counts by tag bucket, with the overall means they are shrunk to.
#[derive(Debug, Clone, PartialEq)]
pub struct TagTable {
    /// Ascending by bucket.
    pub counts: BTreeMap<u64, Counts>,
    /// Means of `q_P - q_L` and of good enough over all requests.
    pub overall: [f32; 2],
}

impl TagTable {
    /// Counts requests given as tag buckets, gain of Powerful, and whether Lightweight was good enough.
    pub fn fit<'a>(requests: impl Iterator<Item = (&'a [u64], f64, bool)>) -> Self {
        let mut counts: BTreeMap<u64, Counts> = BTreeMap::new();
        let mut all = Counts::default();
        for (tags, gain, good_enough) in requests {
            let one =
                Counts { requests: 1.0, gain: gain as f32, good_enough: f32::from(u8::from(good_enough)) };
            all += one;
            for tag in tags {
                *counts.entry(*tag).or_default() += one;
            }
        }
        let total = all.requests.max(1.0);
        Self { counts: most_frequent(counts), overall: [all.gain / total, all.good_enough / total] }
    }

    /// The evidence of a request's tags; nothing when none is known.
    pub fn evidence(&self, tags: &[u64]) -> Option<Evidence> {
        let known = tags.iter().filter_map(|tag| self.counts.get(tag).copied());
        Evidence::of_tags(known, self.overall, PRIOR)
    }
}

fn most_frequent(counts: BTreeMap<u64, Counts>) -> BTreeMap<u64, Counts> {
    let mut sorted: Vec<(u64, Counts)> = counts.into_iter().collect();
    sorted.sort_by(|one, other| other.1.requests.total_cmp(&one.1.requests).then(one.0.cmp(&other.0)));
    sorted.truncate(MOST_TAGS);
    sorted.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_tag_is_no_evidence_and_a_known_one_is_drawn_to_the_mean() {
        let requests = (0..40).map(|index| (&[7_u64][..], f64::from(index % 2), index % 2 == 0));
        let table = TagTable::fit(requests.chain((0..40).map(|_| (&[9_u64][..], 0.0, true))));
        assert_eq!(table.evidence(&[8]), None);
        assert_eq!(table.overall, [0.25, 0.75]);
        let evidence = table.evidence(&[7, 8]).unwrap();
        assert!((evidence.value - (20.0 + 20.0 * 0.25) / 60.0).abs() < 1e-6);
        assert!((evidence.good_enough - (20.0 + 20.0 * 0.75) / 60.0).abs() < 1e-6);
    }

    #[test]
    fn a_tag_that_every_request_carries_does_not_drown_another() {
        let common = (0..10_000).map(|_| (&[1_u64][..], 0.0, true));
        let table = TagTable::fit(common.chain((0..100).map(|_| (&[1, 2][..], 1.0, false))));
        assert!(table.evidence(&[1, 2]).unwrap().value > 0.4);
    }

    #[test]
    fn the_most_frequent_tags_are_kept() {
        let tags: Vec<[u64; 1]> = (0..3000).map(|tag| [tag]).collect();
        let once = tags.iter().map(|tags| (&tags[..], 0.0, true));
        let table = TagTable::fit(once.chain(tags[2900..].iter().map(|tags| (&tags[..], 0.0, true))));
        assert_eq!(table.counts.len(), MOST_TAGS);
        assert!((2900..3000).all(|tag| table.counts.contains_key(&tag)));
    }
}
