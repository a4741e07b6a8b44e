//! What the inputs of a candidate network mean, as one text. An artifact names the sha256 of it.

use std::fmt::Write as _;

use super::conversation::MOST_TURNS;
use super::network::SIGNALS;
use super::stream::{HALF_LIFE, HIGHEST_PRICE, LONGEST_LATENCY, SMOOTHED_CALLS};
use crate::digest::Digest;

/// Parts of the meaning that no constant of the code says. Raise the number behind a line when what it describes
/// changes.
const MEANING: &str = "\
similarity: cosine of the embedding and the candidate's centre (1)
previous turn: cosine of the embeddings, or of the sets of distinct words of both turns (1)
prompt tokens, gap in seconds, frequency: natural logarithm of one plus the number (1)
price: natural logarithm of the price over the lowest (1)
latency: over the objective, of the call; smoothed at a decision (1)
recency: two to the minus of the half-lives since the last call (1)
success: smoothed over the calls before (1)
overlap: Jaccard of the metadata (1)
outcome: 1 success, -1 failure, 0 none (1)
turn: previous turn and prompt tokens, all else 0 (1)
heads: logit of success, logarithm of the precision of a Beta around it (1)
";

/// The text.
pub fn text() -> String {
    let mut text = String::from("tinydancer/signals/v1\n");
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}: {value}");
    };
    line("signals", SIGNALS.join(" "));
    line("half-life seconds", HALF_LIFE.as_secs().to_string());
    line("smoothed calls", SMOOTHED_CALLS.to_string());
    line("longest latency", LONGEST_LATENCY.to_string());
    line("highest price", HIGHEST_PRICE.to_string());
    line("most turns", MOST_TURNS.to_string());
    text + MEANING
}

/// The sha256 of the text.
pub fn digest() -> Digest {
    Digest::of(text().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every candidate network that exists names this digest. If this test fails, they must be trained again: change
    /// it only together with them.
    #[test]
    fn the_meaning_of_the_signals_has_not_changed() {
        assert_eq!(
            digest().to_hex(),
            "2ef88ea35cdd761b32aaa7a9bef142dea7e26c32d02bccf327471c82e3c2f8af",
            "{}",
            text()
        );
    }
}
