//! The distinct words at the start of a prompt.

use super::ngram::fnv1a;

/// Words that are looked at.
pub(crate) const DISTINCT_WORDS: u32 = 512;
const PLACES: usize = 2 * DISTINCT_WORDS as usize;

/// Hashes of distinct words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DistinctWords {
    /// In the order they first occur.
    hashes: Vec<u64>,
    /// The same hashes for looking up, at most half full; 0 is free.
    seen: Box<[u64; PLACES]>,
}

impl Default for DistinctWords {
    fn default() -> Self {
        Self { hashes: Vec::with_capacity(DISTINCT_WORDS as usize), seen: Box::new([0; PLACES]) }
    }
}

impl DistinctWords {
    /// Forgets all words.
    pub(crate) fn clear(&mut self) {
        self.hashes.clear();
        self.seen.fill(0);
    }

    /// Adds a word in ASCII lower case; its hash is FNV-1a 64, or 1 for 0. At most [`DISTINCT_WORDS`]
    /// words may be added.
    pub(crate) fn add(&mut self, word: &[u8]) {
        let hash = fnv1a(word.iter().map(u8::to_ascii_lowercase)).max(1);
        // Looked up from the place its upper bits name.
        let mut place = (hash >> 32) as usize % PLACES;
        while self.seen[place] != hash {
            if self.seen[place] == 0 {
                self.seen[place] = hash;
                self.hashes.push(hash);
                return;
            }
            place = (place + 1) % PLACES;
        }
    }

    pub(crate) fn hashes(&self) -> &[u64] {
        &self.hashes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_counts_once_whatever_its_capitals_and_clearing_forgets_it() {
        let mut words = DistinctWords::default();
        for word in ["Rain", "sun", "rain", "SUN", "snow"] {
            words.add(word.as_bytes());
        }
        let hash = |word: &str| fnv1a(word.bytes());
        assert_eq!(words.hashes(), [hash("rain"), hash("sun"), hash("snow")]);
        words.clear();
        assert_eq!(words, DistinctWords::default());
    }
}
