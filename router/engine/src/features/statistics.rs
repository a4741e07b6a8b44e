//! Fifteen numbers about a prompt.

use super::ngram::fnv1a;

/// How many statistics there are.
pub const COUNT: usize = 15;

/// What each statistic is called, in order.
pub const NAMES: [&str; COUNT] = [
    "log_characters",
    "log_words",
    "digit_share",
    "capital_share",
    "math_share",
    "log_newlines",
    "log_question_marks",
    "has_choices",
    "mean_word_length",
    "log_negations",
    "log_blanks",
    "log_code_words",
    "distinct_word_share",
    "has_digit",
    "very_long",
];

pub(crate) const NEGATIONS: [&str; 12] =
    ["not", "no", "never", "none", "neither", "nor", "without", "except", "cannot", "isn", "don", "doesn"];
pub(crate) const CODE_WORDS: [&str; 14] = [
    "def", "return", "function", "class", "import", "list", "array", "string", "python", "code", "write",
    "assert", "int", "tuple",
];
pub(crate) const MATH_SIGNS: &str = "+-*/=<>^%$|~";
pub(crate) const MATH_BLOCK: std::ops::RangeInclusive<char> = '\u{2200}'..='\u{22FF}';
/// Words that `distinct_word_share` looks at.
pub(crate) const DISTINCT_WORDS: usize = 512;
/// A prompt with more characters is very long.
pub(crate) const VERY_LONG: u32 = 2_000;

/// The statistics of a text, in the order of [`NAMES`]. All finite; all 0 for an empty text.
pub(crate) fn of(text: &str) -> [f32; COUNT] {
    let characters = Characters::of(text);
    let words = Words::of(text);
    [
        log(characters.all),
        log(words.all),
        share(characters.digits, characters.all),
        share(characters.capitals, characters.all),
        share(characters.math, characters.all),
        log(characters.newlines),
        log(characters.question_marks),
        f32::from(u8::from(has_choices(text))),
        share(words.characters, words.all),
        log(words.negations),
        log(characters.blanks),
        log(words.code),
        share(words.distinct(), words.all.min(DISTINCT_WORDS as u32)),
        f32::from(u8::from(characters.digits > 0)),
        f32::from(u8::from(characters.all > VERY_LONG)),
    ]
}

/// The natural logarithm of one plus the count.
fn log(count: u32) -> f32 {
    (count as f32).ln_1p()
}

fn share(part: u32, whole: u32) -> f32 {
    if whole == 0 { 0.0 } else { part as f32 / whole as f32 }
}

/// Whether one line starts with `A` and one with `B`, each followed by `.`, `)` or `:`.
fn has_choices(text: &str) -> bool {
    let (mut first, mut second) = (false, false);
    for line in text.split('\n') {
        match line.as_bytes() {
            [b'A', b'.' | b')' | b':', ..] => first = true,
            [b'B', b'.' | b')' | b':', ..] => second = true,
            _ => {}
        }
    }
    first && second
}

/// Counts that look at one character at a time.
#[derive(Default)]
struct Characters {
    all: u32,
    digits: u32,
    capitals: u32,
    math: u32,
    newlines: u32,
    question_marks: u32,
    blanks: u32,
}

impl Characters {
    fn of(text: &str) -> Self {
        let mut counts = Self::default();
        let mut underscores = 0_u32;
        for character in text.chars() {
            counts.all += 1;
            counts.digits += u32::from(character.is_ascii_digit());
            counts.capitals += u32::from(character.is_uppercase());
            counts.math += u32::from(MATH_SIGNS.contains(character) || MATH_BLOCK.contains(&character));
            counts.newlines += u32::from(character == '\n');
            counts.question_marks += u32::from(character == '?');
            underscores = if character == '_' { underscores + 1 } else { 0 };
            // A run is counted once, when it reaches its second character.
            counts.blanks += u32::from(underscores == 2);
        }
        counts
    }
}

/// Counts that look at words.
struct Words {
    all: u32,
    characters: u32,
    negations: u32,
    code: u32,
    /// Hashes of the first words in ASCII lower case.
    first: [u64; DISTINCT_WORDS],
}

impl Words {
    fn of(text: &str) -> Self {
        let mut words = Self { all: 0, characters: 0, negations: 0, code: 0, first: [0; DISTINCT_WORDS] };
        for word in text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty())
        {
            words.add(word);
        }
        words
    }

    fn add(&mut self, word: &str) {
        if let Some(hash) = self.first.get_mut(self.all as usize) {
            *hash = fnv1a(word.bytes().map(|byte| byte.to_ascii_lowercase()));
        }
        self.all += 1;
        self.characters += word.chars().count() as u32;
        let is = |other: &&str| word.eq_ignore_ascii_case(other);
        self.negations += u32::from(NEGATIONS.iter().any(is));
        self.code += u32::from(CODE_WORDS.iter().any(is));
    }

    /// How many of the first words differ from each other.
    fn distinct(&self) -> u32 {
        let mut first = self.first;
        let (known, _) = first.split_at_mut((self.all as usize).min(DISTINCT_WORDS));
        known.sort_unstable();
        known.chunk_by(|left, right| left == right).count() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str, name: &str) -> f32 {
        let index = NAMES.iter().position(|&known| known == name).unwrap();
        of(text)[index]
    }

    fn assert_count(text: &str, name: &str, count: u8) {
        let (found, expected) = (f64::from(named(text, name)), f64::from(count).ln_1p());
        assert!((found - expected).abs() < 1e-6, "{name} of {text:?} is {found}, not {expected}");
    }

    #[test]
    fn counts_become_logarithms_of_one_more() {
        assert_count("äb c?\n", "log_characters", 6);
        assert_count("one two, three-four", "log_words", 4);
        assert_count("\n\n\n", "log_newlines", 3);
        assert_count("a? b??", "log_question_marks", 3);
        assert_count("This is NOT right, it isn't; nothing, no.", "log_negations", 3);
        assert_count("Write a Python function: def f(): return 1", "log_code_words", 5);
        assert_count("_ a __ b ______ c_", "log_blanks", 2);
    }

    #[test]
    fn shares_are_over_characters_or_words() {
        assert_eq!(named("a1b2", "digit_share"), 0.5);
        assert_eq!(named("ÄbCd", "capital_share"), 0.5);
        assert_eq!(named("x = ∑y", "math_share"), 2.0 / 6.0);
        assert_eq!(named("ab cdef", "mean_word_length"), 3.0);
        assert_eq!(named("The the cat", "distinct_word_share"), 2.0 / 3.0);
        assert_eq!(named("...", "mean_word_length"), 0.0);
    }

    #[test]
    fn distinct_words_are_counted_among_the_first_512_only() {
        let start = (0..512).map(|number| format!("w{number}")).collect::<Vec<_>>().join(" ");
        assert_eq!(named(&start, "distinct_word_share"), 1.0);
        assert_eq!(named(&format!("{start} w1 w1 w1"), "distinct_word_share"), 1.0);
        assert_eq!(named(&format!("w1 {start}"), "distinct_word_share"), 511.0 / 512.0);
    }

    #[test]
    fn choices_need_both_letters_at_the_start_of_a_line() {
        assert_eq!(named("Which?\nA. one\nB. two", "has_choices"), 1.0);
        assert_eq!(named("A) one\nB: two", "has_choices"), 1.0);
        assert_eq!(named("A. one\nC. two", "has_choices"), 0.0);
        assert_eq!(named("Which? A. one B. two", "has_choices"), 0.0);
        assert_eq!(named("A one\nB two", "has_choices"), 0.0);
    }

    #[test]
    fn flags_are_zero_or_one() {
        assert_eq!(named("seven", "has_digit"), 0.0);
        assert_eq!(named("7", "has_digit"), 1.0);
        assert_eq!(named(&"é".repeat(2_000), "very_long"), 0.0);
        assert_eq!(named(&"é".repeat(2_001), "very_long"), 1.0);
    }
}
