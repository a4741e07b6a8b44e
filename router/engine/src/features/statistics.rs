//! Fifteen numbers about a prompt.

use super::words::{DISTINCT_WORDS, DistinctWords};
use crate::numerics::ln_1p;

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
/// A prompt with more characters is very long.
pub(crate) const VERY_LONG: u32 = 2_000;

/// The statistics of a text, in the order of [`NAMES`]. All finite; all 0 for an empty text. Its first
/// words go to `distinct`, which must be empty.
pub(crate) fn of(text: &str, distinct: &mut DistinctWords) -> [f32; COUNT] {
    let mut words = Words { distinct, all: 0, characters: 0, negations: 0, code: 0 };
    let characters = Characters::read(text, &mut words);
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
        share(words.distinct.hashes().len() as u32, words.all.min(DISTINCT_WORDS)),
        f32::from(u8::from(characters.digits > 0)),
        f32::from(u8::from(characters.all > VERY_LONG)),
    ]
}

/// The natural logarithm of one plus the count.
fn log(count: u32) -> f32 {
    ln_1p(count as f32)
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
    /// Counts the characters of a text and gives its words to `words`, in one pass.
    fn read(text: &str, words: &mut Words<'_>) -> Self {
        let mut counts = Self::default();
        let mut underscores = 0_u32;
        let (mut word_start, mut word_characters) = (0, 0_u32);
        for (at, character) in text.char_indices() {
            let class = Class::of(character);
            counts.all += 1;
            counts.digits += u32::from(character.is_ascii_digit());
            counts.capitals += class.count(Class::CAPITAL);
            counts.math += class.count(Class::MATH);
            counts.newlines += u32::from(character == '\n');
            counts.question_marks += u32::from(character == '?');
            underscores = if character == '_' { underscores + 1 } else { 0 };
            // A run is counted once, when it reaches its second character.
            counts.blanks += u32::from(underscores == 2);
            if class.count(Class::ALPHANUMERIC) == 1 {
                word_characters += 1;
                continue;
            }
            words.add(text.as_bytes().get(word_start..at).unwrap_or_default(), word_characters);
            (word_start, word_characters) = (at + character.len_utf8(), 0);
        }
        words.add(text.as_bytes().get(word_start..).unwrap_or_default(), word_characters);
        counts
    }
}

/// What a character is, as bits.
#[derive(Clone, Copy)]
struct Class(u8);

impl Class {
    const ALPHANUMERIC: u8 = 1;
    const CAPITAL: u8 = 2;
    const MATH: u8 = 4;
    const ASCII: [Self; 128] = Self::ascii();

    fn of(character: char) -> Self {
        Self::ASCII.get(character as usize).copied().unwrap_or_else(|| {
            let alphanumeric = u8::from(character.is_alphanumeric()) * Self::ALPHANUMERIC;
            let capital = u8::from(character.is_uppercase()) * Self::CAPITAL;
            let math = u8::from(MATH_BLOCK.contains(&character)) * Self::MATH;
            Self(alphanumeric | capital | math)
        })
    }

    const fn ascii() -> [Self; 128] {
        let mut classes = [Self(0); 128];
        let mut byte = 0;
        while byte < 128_u8 {
            let class = &mut classes[byte as usize];
            class.0 |= byte.is_ascii_alphanumeric() as u8 * Self::ALPHANUMERIC;
            class.0 |= byte.is_ascii_uppercase() as u8 * Self::CAPITAL;
            byte += 1;
        }
        let math = MATH_SIGNS.as_bytes();
        let mut index = 0;
        while index < math.len() {
            classes[math[index] as usize].0 |= Self::MATH;
            index += 1;
        }
        classes
    }

    /// 1 if the character has this bit, else 0.
    fn count(self, bit: u8) -> u32 {
        u32::from(self.0 & bit != 0)
    }
}

/// Counts that look at words.
struct Words<'a> {
    all: u32,
    characters: u32,
    negations: u32,
    code: u32,
    distinct: &'a mut DistinctWords,
}

impl Words<'_> {
    /// Counts a word, given by its bytes; nothing if it is empty.
    fn add(&mut self, word: &[u8], characters: u32) {
        if word.is_empty() {
            return;
        }
        if self.all < DISTINCT_WORDS {
            self.distinct.add(word);
        }
        self.all += 1;
        self.characters += characters;
        let Some(packed) = packed(word) else { return };
        self.negations += u32::from(PACKED_NEGATIONS.contains(&packed));
        self.code += u32::from(PACKED_CODE_WORDS.contains(&packed));
    }
}

const PACKED_NEGATIONS: [u64; NEGATIONS.len()] = packed_all(NEGATIONS);
const PACKED_CODE_WORDS: [u64; CODE_WORDS.len()] = packed_all(CODE_WORDS);

/// A word of at most eight bytes in ASCII lower case as one number.
const fn packed(word: &[u8]) -> Option<u64> {
    if word.len() > 8 {
        return None;
    }
    let (mut number, mut index) = (0, 0);
    while index < word.len() {
        number = number << 8 | word[index].to_ascii_lowercase() as u64;
        index += 1;
    }
    Some(number)
}

/// A word that is too long would become 0, which no word is; the tests look for it.
const fn packed_all<const N: usize>(words: [&str; N]) -> [u64; N] {
    let mut numbers = [0; N];
    let mut index = 0;
    while index < N {
        if let Some(number) = packed(words[index].as_bytes()) {
            numbers[index] = number;
        }
        index += 1;
    }
    numbers
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(text: &str, name: &str) -> f32 {
        let index = NAMES.iter().position(|&known| known == name).unwrap();
        of(text, &mut DistinctWords::default())[index]
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
    fn every_listed_word_is_counted() {
        for word in NEGATIONS {
            assert_count(&format!("x {word}."), "log_negations", 1);
        }
        for word in CODE_WORDS {
            assert_count(&format!("x {word}."), "log_code_words", 1);
        }
        assert_count("notable nothing assertion tuples", "log_negations", 0);
        assert_count("notable nothing assertion tuples", "log_code_words", 0);
    }

    /// The definitions written down plainly.
    fn plain(text: &str) -> Vec<f64> {
        let count =
            |is: &dyn Fn(char) -> bool| text.chars().filter(|&character| is(character)).count() as f64;
        let words: Vec<String> = text
            .split(|character: char| !character.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_ascii_lowercase)
            .collect();
        let listed = |list: &[&str]| words.iter().filter(|word| list.contains(&word.as_str())).count() as f64;
        let first = &words[..words.len().min(512)];
        let distinct = first.iter().collect::<std::collections::BTreeSet<_>>().len() as f64;
        let share = |part: f64, whole: f64| if whole == 0.0 { 0.0 } else { part / whole };
        let all = count(&|_| true);
        let digits = count(&|character| character.is_ascii_digit());
        let math = count(&|character| "+-*/=<>^%$|~".contains(character) || ('∀'..='⋿').contains(&character));
        let letters = words.iter().map(|word| word.chars().count()).sum::<usize>() as f64;
        vec![
            all.ln_1p(),
            (words.len() as f64).ln_1p(),
            share(digits, all),
            share(count(&char::is_uppercase), all),
            share(math, all),
            count(&|character| character == '\n').ln_1p(),
            count(&|character| character == '?').ln_1p(),
            f64::from(has_choices(text)),
            share(letters, words.len() as f64),
            listed(&NEGATIONS).ln_1p(),
            (text.split(|character| character != '_').filter(|run| run.len() > 1).count() as f64).ln_1p(),
            listed(&CODE_WORDS).ln_1p(),
            share(distinct, first.len() as f64),
            f64::from(digits > 0.0),
            f64::from(all > 2_000.0),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn one_pass_gives_what_the_plain_definitions_give(
            text in "(\\PC|[A-C]\\.|not|Write|__|\n|∑|[0-9?= ]){0,300}",
        ) {
            for ((name, found), expected) in NAMES.iter().zip(of(&text, &mut DistinctWords::default())).zip(plain(&text)) {
                prop_assert!((f64::from(found) - expected).abs() < 1e-5, "{} of {:?}: {}, not {}", name, text, found, expected);
            }
        }
    }

    #[test]
    fn flags_are_zero_or_one() {
        assert_eq!(named("seven", "has_digit"), 0.0);
        assert_eq!(named("7", "has_digit"), 1.0);
        assert_eq!(named(&"é".repeat(2_000), "very_long"), 0.0);
        assert_eq!(named(&"é".repeat(2_001), "very_long"), 1.0);
    }
}
