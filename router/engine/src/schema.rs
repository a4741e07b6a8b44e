//! The feature schema: what a model's inputs mean, as one text.
//!
//! An artifact names the sha256 of this text. A model that was trained on inputs of another
//! meaning is refused, because its shapes alone would fit.

use std::fmt::Write as _;

use crate::digest::Digest;
use crate::evidence::{INPUTS, NEAREST, SHARPNESS, SOURCES, TAGS_READ};
use crate::features::{NGRAM_BUCKETS, STATISTIC_NAMES, statistics, words};
use crate::novelty;

/// Parts of the meaning that no constant of the code says. Raise the number behind a line when
/// what it describes changes.
const MEANING: &str = "\
counts: natural logarithm of one plus the count (1)
words: maximal runs of alphanumeric characters, compared in ASCII lower case (1)
n-grams: distinct buckets of the distinct words, h ^ (h >> 32) of the word hash, low bits (2)
n-gram score: offset + scale * sum / sqrt(n) (1)
NGram: p_powerful - p_lightweight; 1 - value clipped to 0..1; log(1 + n) (1)
tag bucket: little endian start of sha256 of tag NUL key NUL value (1)
Tag: mean of q_P - q_L; share of good enough; from the most to the least frequent known tag each shrunk to the ones before; log(1 + last count) (2)
embedding: scaled to length 1; scalar products in f32, eight lanes, then lane by lane (1)
Prototype: counts of the nearest cells by cosine, times exp(sharpness * (cosine - best cosine)), shrunk as Tag; log(1 + weighted count) (1)
ReadOut: offset + scale * weight . embedding; as NGram; 0 (1)
word hash: FNV-1a 64 of the word in ASCII lower case, 1 for 0 (1)
novelty: share of distinct words not in the filter; bits first + i * (step | 1) of the halves of splitmix64's mixed hash (1)
input: value, good enough, weight, one-hot of NGram, Tag, Prototype, ReadOut, reserved (2)
functions: exp, sigmoid, tanh, log(1 + x) in f64 without fused operations, rounded once to f32 (1)
heads: Lightweight right, Powerful right, Lightweight good enough (1)
";

/// The text.
pub fn text() -> String {
    let mut text = String::from("tinydancer/features/v2\n");
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}: {value}");
    };
    line("statistics", STATISTIC_NAMES.join(" "));
    line("math signs", statistics::MATH_SIGNS.to_owned());
    line("math block", format!("{:?}", statistics::MATH_BLOCK));
    line("negations", statistics::NEGATIONS.join(" "));
    line("code words", statistics::CODE_WORDS.join(" "));
    line("distinct words", words::DISTINCT_WORDS.to_string());
    line("very long", statistics::VERY_LONG.to_string());
    line("n-gram buckets", NGRAM_BUCKETS.to_string());
    line("tags read", TAGS_READ.to_string());
    line("inputs", INPUTS.to_string());
    line("sources", SOURCES.to_string());
    line("nearest cells", NEAREST.to_string());
    line("sharpness", SHARPNESS.to_string());
    line("filter bits", novelty::FILTER_BITS.to_string());
    line("filter bits of a word", novelty::BITS_PER_WORD.to_string());
    line("least words", novelty::LEAST_WORDS.to_string());
    text + MEANING
}

/// The sha256 of the text, which artifacts name.
pub fn digest() -> Digest {
    Digest::of(text().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every model that exists names this digest. If this test fails, models must be trained again:
    /// change it only together with them.
    #[test]
    fn the_meaning_of_the_features_has_not_changed() {
        let known = "4b2eebaf64d6867f8673a22b2100c1d6247f54f3252bf5c64eed5e5e42c66ad0";
        assert_eq!(digest().to_hex(), known, "{}", text());
    }
}
