//! The distinct words of a prompt as buckets of a table: n-grams of one word.

/// Buckets a word can fall into; the length of an n-gram table.
pub const BUCKETS: usize = 1 << 14;

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a, 64 bits.
pub(crate) fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME))
}

/// The bucket of a word's hash, folded to 14 bits.
fn bucket(hash: u64) -> u16 {
    ((hash ^ (hash >> 32)) % BUCKETS as u64) as u16
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
    /// Forgets the text before and reads the hashes of the distinct words of this one.
    pub(crate) fn read(&mut self, words: &[u64]) {
        for &bucket in &self.buckets {
            self.seen[usize::from(bucket) / 64] = 0;
        }
        self.buckets.clear();
        // The most there can be, so that no later text needs more room.
        self.buckets.reserve(super::words::DISTINCT_WORDS as usize);
        for &word in words {
            self.add(bucket(word));
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

    #[test]
    fn the_hash_is_fnv1a() {
        assert_eq!(fnv1a(*b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(*b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(*b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn words_of_one_bucket_count_once_and_the_text_before_is_forgotten() {
        let mut ngrams = Ngrams::default();
        ngrams.read(&[3, 5, 3 + BUCKETS as u64]);
        assert_eq!(ngrams.buckets(), [3, 5]);
        ngrams.read(&[5, 0x0000_0001_0000_0000]);
        assert_eq!(ngrams.buckets(), [5, 1]);
        ngrams.read(&[]);
        assert_eq!(ngrams, Ngrams::default());
    }
}
