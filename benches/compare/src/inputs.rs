//! Made-up inputs that are the same for everybody who is measured.

/// Numbers of an embedding.
pub const DIMENSIONS: usize = 384;
/// Requests that take turns, so that no answer can be remembered by a branch predictor.
pub const QUERIES: usize = 64;
/// Hidden units of the network that the peers run.
pub const UNITS: usize = 8;
/// Inputs of that network.
pub const FEATURES: usize = 5;

/// A sequence of numbers that is the same for a seed (splitmix64).
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    /// The sequence of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, every bit as good as another.
    pub const fn next_bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next number in 0 to 1.
    pub fn next_share(&mut self) -> f32 {
        (self.next_bits() >> 40) as f32 / (1_u32 << 24) as f32
    }

    /// The next number between minus and plus `size`.
    pub fn next_between(&mut self, size: f32) -> f32 {
        (self.next_share() * 2.0 - 1.0) * size
    }
}

/// What is known about a candidate, as both sides take it.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidateInput {
    /// Its name.
    pub id: String,
    /// Where it is good.
    pub embedding: Vec<f32>,
    /// Seconds since it was made or last used.
    pub age_seconds: u32,
    /// How often it was used.
    pub calls: u32,
    /// Share of successes.
    pub success: f32,
}

/// `count` candidates.
pub fn candidates(count: usize) -> Vec<CandidateInput> {
    let mut numbers = Numbers::new(1);
    (0..count)
        .map(|index| CandidateInput {
            id: format!("candidate-{index}"),
            embedding: embedding(&mut numbers),
            age_seconds: (numbers.next_share() * 3_600.0) as u32,
            calls: (numbers.next_share() * 1_000.0) as u32,
            success: numbers.next_share(),
        })
        .collect()
}

/// The embeddings of the requests that take turns.
pub fn queries() -> Vec<Vec<f32>> {
    let mut numbers = Numbers::new(2);
    (0..QUERIES).map(|_| embedding(&mut numbers)).collect()
}

/// `count` inputs of the network of [`FEATURES`] inputs.
pub fn features(count: usize) -> Vec<[f32; FEATURES]> {
    let mut numbers = Numbers::new(3);
    (0..count).map(|_| [0.0; FEATURES].map(|_| numbers.next_share())).collect()
}

/// Made-up texts of 500 characters, of words as prompts have them: most are frequent, some have digits or capitals.
pub fn texts(count: usize) -> Vec<String> {
    let mut numbers = Numbers::new(4);
    (0..count).map(|_| text(&mut numbers)).collect()
}

fn embedding(numbers: &mut Numbers) -> Vec<f32> {
    (0..DIMENSIONS).map(|_| numbers.next_between(1.0)).collect()
}

/// Characters of a text.
const CHARACTERS: usize = 500;
const WORDS: [&str; 32] = [
    "the",
    "of",
    "and",
    "to",
    "a",
    "in",
    "is",
    "that",
    "for",
    "it",
    "with",
    "on",
    "write",
    "function",
    "explain",
    "list",
    "what",
    "number",
    "between",
    "result",
    "Python",
    "how",
    "many",
    "because",
    "following",
    "answer",
    "question",
    "sentence",
    "compute",
    "return",
    "37",
    "value",
];
const SYLLABLES: [&str; 16] =
    ["ka", "ren", "tol", "mi", "shu", "per", "an", "or", "vel", "is", "dun", "ta", "lo", "bri", "ex", "um"];

fn text(numbers: &mut Numbers) -> String {
    let mut text = String::with_capacity(CHARACTERS + 16);
    while text.len() < CHARACTERS {
        let drawn = numbers.next_bits();
        if drawn.is_multiple_of(4) {
            for place in 0..2 + (drawn >> 8) % 3 {
                text.push_str(SYLLABLES[(drawn >> (16 + 4 * place)) as usize % SYLLABLES.len()]);
            }
        } else {
            text.push_str(WORDS[(drawn >> 8) as usize % WORDS.len()]);
        }
        text.push_str(match (drawn >> 56) % 16 {
            0 => ". ",
            1 => ", ",
            2 => "?\n",
            _ => " ",
        });
    }
    text.truncate(CHARACTERS);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_who_asks_gets_the_same_inputs() {
        assert_eq!(candidates(10), candidates(100)[..10]);
        assert_eq!(queries(), queries());
        assert_eq!(texts(3), texts(5)[..3]);
    }

    #[test]
    fn a_text_has_five_hundred_characters_and_no_two_are_the_same() {
        let mut texts = texts(100);
        assert!(texts.iter().all(|text| text.chars().count() == CHARACTERS));
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), 100);
    }
}
