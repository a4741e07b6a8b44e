//! Hashed byte n-grams of the start and the end of a prompt.

/// Buckets an n-gram can fall into; the length of an n-gram table.
pub const BUCKETS: usize = 1 << 16;
/// Bytes read at either end of a long text. A text of at most twice as many is read once, whole.
pub const WINDOW_BYTES: usize = 1024;
/// Lengths of the n-grams, in bytes.
pub(crate) const LENGTHS: [usize; 3] = [3, 4, 5];

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a, 64 bits.
pub(crate) fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(FNV_OFFSET, fnv1a_step)
}

const fn fnv1a_step(hash: u64, byte: u8) -> u64 {
    (hash ^ byte as u64).wrapping_mul(FNV_PRIME)
}

/// The bucket of one n-gram in ASCII lower case: FNV-1a over its length and its bytes, folded to
/// 16 bits.
fn bucket<const N: usize>(gram: [u8; N]) -> u16 {
    let hash = gram.into_iter().fold(const { fnv1a_step(FNV_OFFSET, N as u8) }, fnv1a_step);
    (hash ^ (hash >> 32)) as u16
}

/// The distinct buckets of one text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ngrams {
    buckets: Vec<u16>,
    /// One bit a bucket; set exactly for those in `buckets`.
    seen: Box<[u64; BUCKETS / 64]>,
}

impl Default for Ngrams {
    fn default() -> Self {
        Self { buckets: Vec::new(), seen: Box::new([0; BUCKETS / 64]) }
    }
}

impl Ngrams {
    /// Forgets the text before and reads this one.
    pub(crate) fn read(&mut self, text: &[u8]) {
        for &bucket in &self.buckets {
            self.seen[usize::from(bucket) / 64] = 0;
        }
        self.buckets.clear();
        // The most n-grams there can be, so that no later text needs more room.
        self.buckets.reserve(2 * WINDOW_BYTES * LENGTHS.len());
        match (text.first_chunk::<WINDOW_BYTES>(), text.last_chunk::<WINDOW_BYTES>()) {
            (Some(first), Some(last)) if text.len() > 2 * WINDOW_BYTES => {
                self.read_window(first);
                self.read_window(last);
            }
            _ => self.read_window(text),
        }
    }

    fn read_window(&mut self, window: &[u8]) {
        let mut lower = [0; 2 * WINDOW_BYTES];
        for (to, from) in lower.iter_mut().zip(window) {
            *to = from.to_ascii_lowercase();
        }
        let lower = lower.get(..window.len()).unwrap_or_default();
        self.read_grams::<{ LENGTHS[0] }>(lower);
        self.read_grams::<{ LENGTHS[1] }>(lower);
        self.read_grams::<{ LENGTHS[2] }>(lower);
    }

    fn read_grams<const N: usize>(&mut self, window: &[u8]) {
        for gram in window.array_windows::<N>() {
            self.add(bucket(*gram));
        }
    }

    fn add(&mut self, bucket: u16) {
        let word = &mut self.seen[usize::from(bucket) / 64];
        let bit = 1 << (bucket % 64);
        if *word & bit == 0 {
            *word |= bit;
            self.buckets.push(bucket);
        }
    }

    pub(crate) fn buckets(&self) -> &[u16] {
        &self.buckets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn read(text: &[u8]) -> BTreeSet<u16> {
        let mut ngrams = Ngrams::default();
        ngrams.read(text);
        ngrams.buckets().iter().copied().collect()
    }

    /// Bytes that do not repeat within the windows read.
    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|index| fnv1a(index.to_le_bytes()) as u8).collect()
    }

    #[test]
    fn the_hash_is_fnv1a() {
        assert_eq!(fnv1a(*b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(*b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(*b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_text_has_one_bucket_for_each_ngram_and_length() {
        assert!(read(b"ab").is_empty());
        assert_eq!(read(b"abc"), BTreeSet::from([bucket(*b"abc")]));
        assert_eq!(read(b"abcd"), BTreeSet::from([bucket(*b"abc"), bucket(*b"bcd"), bucket(*b"abcd")]));
        assert_eq!(read(b"aaaaaaaaa").len(), 3);
    }

    #[test]
    fn ascii_capitals_are_read_as_small_letters_and_others_are_not() {
        assert_eq!(read(b"Hello World"), read(b"hello world"));
        assert_ne!(read("ÄÖÜ".as_bytes()), read("äöü".as_bytes()));
    }

    #[test]
    fn a_text_of_two_windows_is_read_whole() {
        let mut whole = text(2 * WINDOW_BYTES);
        let before = read(&whole);
        whole[WINDOW_BYTES] ^= 1;
        assert_ne!(read(&whole), before);
        // The n-grams that cross the middle are read as well.
        let mut apart = read(&whole[..WINDOW_BYTES]);
        apart.extend(read(&whole[WINDOW_BYTES..]));
        assert!(apart.is_subset(&read(&whole)));
        assert_ne!(apart, read(&whole));
    }

    #[test]
    fn of_a_longer_text_only_both_ends_are_read() {
        let long = text(2 * WINDOW_BYTES + 1);
        let mut ends = read(&long[..WINDOW_BYTES]);
        ends.extend(read(&long[WINDOW_BYTES + 1..]));
        assert_eq!(read(&long), ends);
        let mut changed = long.clone();
        changed[WINDOW_BYTES] ^= 1;
        assert_eq!(read(&changed), read(&long));
        for seen in [WINDOW_BYTES - 1, WINDOW_BYTES + 1] {
            let mut changed = long.clone();
            changed[seen] ^= 1;
            assert_ne!(read(&changed), read(&long), "byte {seen} must be read");
        }
    }
}
