//! Conversations: the request's own earlier turns, unrolled from a candidate's state when it decides. Nothing of
//! them is kept.
//!
//! A turn that repeats the one before, as after an answer that did not help, is seen as such: its cosine is 1.

use std::time::Duration;

use super::network::{CandidateNetwork, HEADS, INPUTS};
use super::stream::{RequestSignals, Standing};
use crate::numerics::ln_1p;

/// Turns that are unrolled before the request itself; of more, the last ones.
pub const MOST_TURNS: usize = 8;

/// What a user said once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Turn<'a> {
    /// Hashes of its distinct words, as [`crate::Features::words`] gives them.
    pub words: &'a [u64],
    /// Its tokens; 0 if they are not known.
    pub tokens: u32,
}

/// The turns of one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    /// Inputs of the steps before the request.
    steps: Vec<[f32; INPUTS]>,
    /// Cosine of the request and the turn before; 0 for a first turn.
    previous_turn: f32,
}

impl Conversation {
    /// Reads what the user said in this request, oldest first; the last turn is what is asked now.
    pub fn of(turns: &[Turn<'_>]) -> Self {
        let start = turns.len().saturating_sub(MOST_TURNS + 1);
        let similar = |index: usize| {
            let before = index.checked_sub(1).and_then(|before| turns.get(before));
            before.zip(turns.get(index)).map_or(0.0, |(before, turn)| cosine(before.words, turn.words))
        };
        let asked = turns.len().saturating_sub(1);
        let earlier = turns.iter().enumerate().take(asked).skip(start);
        let steps = earlier.map(|(index, turn)| step(similar(index), turn.tokens)).collect();
        Self { steps, previous_turn: similar(asked) }
    }

    /// What the request says with its turns: the cosine to the turn before is the conversation's.
    pub fn request(&self, request: RequestSignals) -> RequestSignals {
        RequestSignals { previous_turn: self.previous_turn, ..request }
    }

    /// What the network says about a candidate: a step a turn from its state, then that of the decision. None
    /// is kept.
    pub fn heads(
        &self,
        network: &CandidateNetwork,
        standing: &Standing,
        request: RequestSignals,
        now: Duration,
    ) -> [f32; HEADS] {
        let mut standing = *standing;
        for step in &self.steps {
            network.step(step, &mut standing.state);
        }
        standing.heads(network, &self.request(request), now)
    }
}

/// The inputs of an earlier turn's step: neither a call nor a decision, so all else is 0.
pub fn step(previous_turn: f32, tokens: u32) -> [f32; INPUTS] {
    let mut signals = [0.0; INPUTS];
    signals[1] = previous_turn;
    signals[2] = ln_1p(tokens as f32);
    signals
}

/// Cosine of two sets of words, each a vector of ones: what they share over the root of the product of their sizes.
fn cosine(one: &[u64], other: &[u64]) -> f32 {
    let mut sorted = other.to_vec();
    sorted.sort_unstable();
    let shared = one.iter().filter(|word| sorted.binary_search(word).is_ok()).count();
    if shared == 0 { 0.0 } else { shared as f32 / ((one.len() * other.len()) as f32).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candidate::stream::Stream;
    use crate::testing;

    const NOW: Duration = Duration::from_mins(1);

    fn turn(words: &[u64]) -> Turn<'_> {
        Turn { words, tokens: 20 }
    }

    fn heads(turns: &[Turn<'_>]) -> [f32; HEADS] {
        let network = CandidateNetwork::new(&testing::candidate(3));
        let standing = Stream::new(0.0).expect("must be a price").standing();
        Conversation::of(turns).heads(&network, &standing, RequestSignals::default(), NOW)
    }

    #[test]
    fn a_first_turn_is_a_request_without_a_conversation() {
        let network = CandidateNetwork::new(&testing::candidate(3));
        let standing = Stream::new(0.0).expect("must be a price").standing();
        let alone = standing.heads(&network, &RequestSignals::default(), NOW);
        assert_eq!(heads(&[turn(&[1, 2])]), alone);
        assert_eq!(heads(&[]), alone);
    }

    #[test]
    fn asking_again_is_seen_and_so_is_the_order_of_the_turns() {
        let (one, other) = ([1, 2, 3, 4], [5, 6, 7, 8]);
        let again = heads(&[turn(&one), turn(&one), turn(&one)]);
        let anew = heads(&[turn(&other), turn(&one), turn(&one)]);
        let back = heads(&[turn(&one), turn(&one), turn(&other)]);
        assert_ne!(again, anew);
        assert_ne!(anew, back);
    }

    #[test]
    fn the_steps_are_those_of_the_network_to_the_bit() {
        let network = CandidateNetwork::new(&testing::candidate(3));
        let mut standing = Stream::new(0.5).expect("must be a price").standing();
        let turns = [turn(&[1, 2]), turn(&[2, 3]), turn(&[3, 4])];
        let request = RequestSignals { similarity: 0.3, ..RequestSignals::default() };
        let read = Conversation::of(&turns).heads(&network, &standing, request, NOW);
        network.step(&step(0.0, 20), &mut standing.state);
        network.step(&step(0.5, 20), &mut standing.state);
        let unrolled = standing.heads(&network, &RequestSignals { previous_turn: 0.5, ..request }, NOW);
        assert_eq!(read.map(f32::to_bits), unrolled.map(f32::to_bits));
    }

    #[test]
    fn only_the_last_turns_count() {
        let words: Vec<[u64; 2]> = (0..30).map(|index| [index, index + 1]).collect();
        let turns: Vec<Turn<'_>> = words.iter().map(|words| turn(words)).collect();
        // The first turn that is unrolled still knows how close it is to the one before it.
        assert_eq!(heads(&turns), heads(&turns[30 - MOST_TURNS - 2..]));
        assert_eq!(Conversation::of(&turns).steps.len(), MOST_TURNS);
    }

    #[test]
    fn the_cosine_of_sets_is_one_for_equal_and_zero_for_disjoint_or_empty_ones() {
        assert_eq!(
            [cosine(&[1, 2], &[2, 1]), cosine(&[1], &[2]), cosine(&[], &[]), cosine(&[], &[1])],
            [1.0, 0.0, 0.0, 0.0]
        );
        assert_eq!(cosine(&[1], &[1, 2, 3, 4]), 0.5);
    }
}
