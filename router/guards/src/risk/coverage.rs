//! How often the sets a model gives hold the truth, by what the truth is.

use serde::{Deserialize, Serialize};

/// Audited pairs by whether Lightweight was good enough.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CoverageCounts {
    /// Of the pairs whose Lightweight answer was good enough.
    pub good_enough: Covered,
    /// Of the others.
    pub not_good_enough: Covered,
}

/// Pairs with one truth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Covered {
    /// How many.
    pub pairs: u64,
    /// Of them, those whose set held the truth.
    pub covered: u64,
}

impl Covered {
    /// The share that was covered; none without pairs.
    pub fn share(self) -> Option<f64> {
        (self.pairs > 0).then(|| self.covered as f64 / self.pairs as f64)
    }
}

impl CoverageCounts {
    /// Adds a pair: whether Lightweight was good enough, and whether the set held just that.
    pub fn add(&mut self, good_enough: bool, covered: bool) {
        let counts = if good_enough { &mut self.good_enough } else { &mut self.not_good_enough };
        counts.pairs += 1;
        counts.covered += u64::from(covered);
    }

    /// Adds what another one has counted.
    pub fn merge(&mut self, other: &Self) {
        let sides =
            [(&mut self.good_enough, other.good_enough), (&mut self.not_good_enough, other.not_good_enough)];
        for (counts, more) in sides {
            counts.pairs = counts.pairs.saturating_add(more.pairs);
            counts.covered = counts.covered.saturating_add(more.covered);
        }
    }

    /// Whether it could have come from counting.
    pub fn is_sound(&self) -> bool {
        [self.good_enough, self.not_good_enough].iter().all(|counts| counts.covered <= counts.pairs)
    }
}
