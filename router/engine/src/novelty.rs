//! How much of a prompt a model has never seen: words that are not in the filter of its training words.

use serde::{Deserialize, Serialize};

/// Bytes of a filter.
pub const FILTER_BYTES: usize = 16 * 1024;
/// Bits of a filter.
pub const FILTER_BITS: u32 = FILTER_BYTES as u32 * 8;
/// Bits that stand for one word.
pub const BITS_PER_WORD: u32 = 4;
/// Fewer distinct words say nothing.
pub const LEAST_WORDS: usize = 4;

/// A Bloom filter of words: it knows every word that was added, and a few more by chance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordFilter(Box<[u8; FILTER_BYTES]>);

/// When a prompt is too new to be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoveltyLimit {
    /// Distinct words that were added to the filter.
    pub words: u64,
    /// A prompt is novel if more than this share of its distinct words is unknown, in thousandths.
    pub limit_permille: u16,
}

impl NoveltyLimit {
    /// Whether a prompt of this novelty is beyond what the model may judge.
    pub fn is_exceeded_by(self, novelty: f32) -> bool {
        novelty > f32::from(self.limit_permille) / 1000.0
    }
}

impl Default for WordFilter {
    fn default() -> Self {
        Self(Box::new([0; FILTER_BYTES]))
    }
}

impl Extend<u64> for WordFilter {
    /// Adds word hashes, as [`crate::Features::words`] gives them.
    fn extend<I: IntoIterator<Item = u64>>(&mut self, words: I) {
        for word in words {
            for bit in bits(word) {
                self.0[bit as usize / 8] |= 1 << (bit % 8);
            }
        }
    }
}

impl WordFilter {
    /// A filter from its bytes; bit `b` is bit `b % 8` of byte `b / 8`.
    pub fn from_bytes(bytes: [u8; FILTER_BYTES]) -> Self {
        Self(Box::new(bytes))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; FILTER_BYTES] {
        &self.0
    }

    /// Whether a word hash was added, or looks as if it was.
    pub fn contains(&self, word: u64) -> bool {
        bits(word).into_iter().all(|bit| self.0[bit as usize / 8] & 1 << (bit % 8) != 0)
    }

    /// The share of bits that are set; its [`BITS_PER_WORD`]th power is the chance that an unknown word
    /// looks known.
    pub fn load(&self) -> f32 {
        self.0.iter().map(|byte| byte.count_ones()).sum::<u32>() as f32 / FILTER_BITS as f32
    }

    /// The share of these distinct words that the filter does not know; nothing under [`LEAST_WORDS`].
    pub fn novelty(&self, words: &[u64]) -> Option<f32> {
        if words.len() < LEAST_WORDS {
            return None;
        }
        let unknown = words.iter().filter(|word| !self.contains(**word)).count();
        Some(unknown as f32 / words.len() as f32)
    }
}

/// The bits of a word by double hashing (Kirsch and Mitzenmacher, 2006): the halves of its mixed hash are
/// the first bit and the step. FNV-1a alone spreads short words too little over its upper half.
fn bits(word: u64) -> [u32; BITS_PER_WORD as usize] {
    let mut mixed = word;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let (first, step) = (mixed as u32, (mixed >> 32) as u32 | 1);
    [0, 1, 2, 3].map(|index| first.wrapping_add(step.wrapping_mul(index)) % FILTER_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Features;
    use proptest::prelude::*;

    fn filter_of(text: &str) -> WordFilter {
        let mut filter = WordFilter::default();
        filter.extend(Features::extract(text, []).words().iter().copied());
        filter
    }

    fn novelty(filter: &WordFilter, text: &str) -> Option<f32> {
        filter.novelty(Features::extract(text, []).words())
    }

    #[test]
    fn novelty_is_the_share_of_distinct_words_that_were_never_added() {
        let filter = filter_of("the cat sat on the mat");
        assert_eq!(novelty(&filter, "The mat, the CAT: sat on it"), Some(1.0 / 6.0));
        assert_eq!(novelty(&filter, "cat mat sat on"), Some(0.0));
        assert_eq!(novelty(&filter, "zinc copper tin lead"), Some(1.0));
    }

    #[test]
    fn three_distinct_words_say_nothing() {
        let filter = filter_of("the cat sat on the mat");
        assert_eq!(novelty(&filter, "zinc zinc copper copper tin"), None);
        assert_eq!(novelty(&filter, ""), None);
    }

    #[test]
    fn of_a_long_text_the_first_words_count() {
        let known = (0..512).map(|index| index.to_string()).collect::<Vec<_>>().join(" ");
        let filter = filter_of(&known);
        assert_eq!(novelty(&filter, &format!("{known} zinc copper tin lead")), Some(0.0));
    }

    #[test]
    fn the_limit_itself_is_not_beyond_it() {
        let limit = NoveltyLimit { words: 1, limit_permille: 250 };
        assert!(!limit.is_exceeded_by(0.25) && limit.is_exceeded_by(0.26));
        assert!(!limit.is_exceeded_by(f32::NAN));
    }

    #[test]
    fn twenty_thousand_words_leave_the_filter_room_to_tell_others_apart() {
        let mut filter = WordFilter::default();
        let hash = |index: u64| crate::features::ngram::fnv1a(index.to_string().into_bytes());
        filter.extend((0..20_000).map(hash));
        assert!((0..20_000).all(|index| filter.contains(hash(index))));
        let mistaken = (20_000..40_000).filter(|index| filter.contains(hash(*index))).count();
        // By theory (1 - e^(-4 * 20,000 / 131,072))^4 = 4.4 %.
        assert!((700..1_060).contains(&mistaken), "{mistaken} of 20,000");
        assert!((filter.load() - 0.457).abs() < 0.01);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_word_that_was_added_is_known_and_survives_the_bytes(words in prop::collection::vec(any::<u64>(), 4..200)) {
            let mut filter = WordFilter::default();
            filter.extend(words.iter().copied());
            prop_assert_eq!(filter.novelty(&words), Some(0.0));
            prop_assert_eq!(WordFilter::from_bytes(*filter.as_bytes()), filter);
        }
    }
}
