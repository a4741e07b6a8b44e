//! Which candidates have the tags of a request.
#![allow(clippy::inline_always, reason = "compiled inside each level's own function")]

use super::query::QueryError;
use super::ranker::Overlap;
use super::store::{MOST_TAGS, Store};
use crate::simd::{LANES, Line, Simd};

/// The tags of a request that any candidate has, and how many tags the request has.
pub(super) struct TagMatches<'a> {
    owners: [&'a [u16]; MOST_TAGS],
    found: usize,
    asked: f32,
}

impl<'a> TagMatches<'a> {
    /// Looks the tags up; said twice counts once.
    pub(super) fn find<const I: usize, const H: usize, const N: usize>(
        store: &'a Store<I, H, N>,
        tags: &[u64],
    ) -> Result<Self, QueryError> {
        if tags.len() > MOST_TAGS {
            return Err(QueryError::Tags { found: tags.len() });
        }
        let (mut owners, mut found, mut asked): ([&[u16]; MOST_TAGS], _, _) = ([&[]; MOST_TAGS], 0, 0.0);
        for (place, tag) in tags.iter().enumerate() {
            if tags[..place].contains(tag) {
                continue;
            }
            asked += 1.0;
            if let Ok(row) = store.tags.binary_search_by_key(tag, |(hash, _)| *hash) {
                owners[found] = &store.tags[row].1;
                found += 1;
            }
        }
        Ok(Self { owners, found, asked })
    }

    /// The overlap of each candidate of a block, which have `counts` tags each.
    #[inline(always)]
    pub(super) fn overlap<S: Simd>(
        &self,
        simd: S,
        block: usize,
        counts: Option<&Line<f32, LANES>>,
        overlap: Overlap,
    ) -> S::Floats {
        let zero = simd.splat(0.0);
        let owners = self.owners.get(..self.found).unwrap_or_default();
        let (false, Some(counts)) = (owners.is_empty(), counts) else { return zero };
        let mut both = zero;
        for owners in owners {
            both = simd.add_where(owners.get(block).copied().unwrap_or(0), both, simd.splat(1.0));
        }
        let asked = simd.splat(self.asked);
        let either = match overlap {
            Overlap::Jaccard => simd.sub(simd.add(asked, simd.load(&counts.0)), both),
            Overlap::ShareOfRequest => asked,
        };
        simd.div(both, either)
    }
}
