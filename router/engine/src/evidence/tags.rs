//! Counted outcomes of the request's tags.

use super::{Counts, Evidence, EvidenceSource, Source};
use crate::artifact::TagParts;
use crate::features::Features;

/// The tags that a model has counted.
#[derive(Debug, Clone)]
pub struct TagTable(TagParts);

impl TagTable {
    /// Of these counts; the buckets must ascend.
    pub fn new(parts: &TagParts) -> Self {
        Self(parts.clone())
    }

    /// How many of a request's tags the model has counted.
    pub fn known(&self, features: &Features) -> usize {
        self.counts_of(features.tags()).count()
    }

    fn counts_of(&self, tags: &[u64]) -> impl Iterator<Item = Counts> {
        let index = |bucket: &u64| self.0.buckets.binary_search(bucket).ok();
        tags.iter().filter_map(index).filter_map(|index| self.0.counts.get(index)).map(|row| (*row).into())
    }

    /// The evidence of these tags; none if none of them is known.
    fn of(&self, tags: &[u64]) -> Option<Evidence> {
        Evidence::of_tags(self.counts_of(tags), self.0.overall, self.0.prior)
    }
}

impl EvidenceSource for TagTable {
    fn source(&self) -> Source {
        Source::Tag
    }

    fn evidence(&self, features: &Features) -> Option<Evidence> {
        self.of(features.tags())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_tags_say_nothing_and_counted_ones_what_was_counted() {
        let table = TagTable::new(&TagParts {
            buckets: vec![3, 5, 9],
            counts: vec![[10.0, 4.0, 5.0], [30.0, -2.0, 25.0], [1.0, 1.0, 0.0]],
            overall: [0.1, 0.5],
            prior: 20.0,
        });
        assert_eq!(table.of(&[4, 6]), None);
        let evidence = table.of(&[3, 4, 5]).expect("must be known");
        let counted = [[10.0, 4.0, 5.0], [30.0, -2.0, 25.0]].map(Counts::from);
        assert_eq!(Some(evidence), Evidence::of_tags(counted, [0.1, 0.5], 20.0));
    }
}
