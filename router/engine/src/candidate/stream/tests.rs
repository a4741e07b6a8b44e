use proptest::prelude::*;

use super::*;
use crate::candidate::network::CandidateWeights;
use crate::testing;

fn network() -> CandidateNetwork {
    CandidateNetwork::new(&testing::candidate(3))
}

fn call(seconds: u64, succeeded: bool) -> FinishedCall {
    FinishedCall { at: Duration::from_secs(seconds), succeeded, latency: 0.5, prompt_tokens: 100 }
}

fn request() -> RequestSignals {
    RequestSignals { similarity: 0.4, previous_turn: 0.1, prompt_tokens: 250, overlap: 0.5 }
}

/// Calls in order, of any length, latency and outcome.
fn calls() -> impl Strategy<Value = Vec<FinishedCall>> {
    let call = (0..100_000_000_u64, any::<bool>(), 0.0_f32..100.0, any::<u32>());
    prop::collection::vec(call, 0..40).prop_map(|mut calls| {
        calls.sort_unstable_by_key(|call| call.0);
        let finished = |(micros, succeeded, latency, prompt_tokens)| FinishedCall {
            at: Duration::from_micros(micros),
            succeeded,
            latency,
            prompt_tokens,
        };
        calls.into_iter().map(finished).collect()
    })
}

#[test]
fn the_order_of_a_history_changes_the_score() {
    let network = network();
    let heads = |outcomes: [bool; 8]| {
        let calls = outcomes.iter().enumerate().map(|(index, succeeded)| call(60 * index as u64, *succeeded));
        let stream = Stream::restore(&network, 0.7, calls).expect("must restore");
        stream.standing().heads(&network, &request(), Duration::from_mins(10))
    };
    // The same outcomes, the last a success each time: smoothed shares, counts and times are equal.
    let early = [false, false, false, true, true, true, true, true];
    let late = [true, true, true, true, false, false, false, true];
    assert!((heads(early)[0] - heads(late)[0]).abs() > 1e-3, "{:?} {:?}", heads(early), heads(late));
}

#[test]
fn the_smoothed_numbers_are_means_of_the_first_calls_and_forget_later() {
    let network = network();
    let mut stream = Stream::new(0.0).expect("must be a price");
    for index in 0..4 {
        stream.finish(&network, &call(index, index != 2)).expect("must be taken");
    }
    assert_eq!(stream.standing().success, 0.75);
    for index in 4..200 {
        stream.finish(&network, &call(index, false)).expect("must be taken");
    }
    let standing = stream.standing();
    assert!(standing.success > 0.0 && standing.success < 1e-6);
    assert_eq!((stream.calls(), standing.outcome, standing.latency), (200, -1.0, 0.5));
    assert_eq!(standing.frequency, ln_1p(200.0));
}

#[test]
fn a_candidate_without_a_call_says_nothing_of_calls() {
    let signals = Stream::new(0.5).expect("must be a price").standing().signals(&request(), Duration::MAX);
    assert_eq!(signals, [0.4, 0.1, ln_1p(250.0), 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0, 1.0]);
}

#[test]
fn recency_halves_in_a_half_life_and_nothing_is_later_than_now() {
    let at = |now: Duration| elapsed(Some(HALF_LIFE), now);
    assert_eq!(at(HALF_LIFE), [0.0, 1.0]);
    assert_eq!(at(Duration::ZERO), [0.0, 1.0]);
    assert!((at(2 * HALF_LIFE)[1] - 0.5).abs() < 1e-6 && (at(3 * HALF_LIFE)[1] - 0.25).abs() < 1e-6);
    assert!(at(Duration::MAX).iter().all(|number| number.is_finite()));
}

#[test]
fn a_call_that_is_no_call_is_refused_by_name_and_changes_nothing() {
    let network = network();
    let mut stream = Stream::restore(&network, 0.0, [call(10, true)]).expect("must restore");
    let before = stream.clone();
    assert!(
        matches!(stream.finish(&network, &call(9, true)), Err(StreamError::Backwards { by }) if by.as_secs() == 1)
    );
    for latency in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.1] {
        let refused = stream.finish(&network, &FinishedCall { latency, ..call(11, true) });
        assert!(matches!(refused, Err(StreamError::Latency(_))), "{latency}");
    }
    for price in [f32::NAN, f32::INFINITY, -1.0] {
        assert!(matches!(stream.set_price(price), Err(StreamError::Price(_))));
        assert!(matches!(Stream::new(price), Err(StreamError::Price(_))));
    }
    assert_eq!(stream, before);
    assert_eq!(stream.finish(&network, &call(10, false)), Ok(()), "at the same time is not backwards");
}

#[test]
fn a_state_that_is_no_number_is_refused_and_not_kept() {
    let mut weights = testing::candidate(3);
    weights.input_std = [f32::MIN_POSITIVE; INPUTS];
    weights.cell.w[4] =
        [f32::MAX, -f32::MAX, 0.0, 0.0, f32::MAX, -f32::MAX, 0.0, 0.0, 0.0, 0.0, -f32::MAX, 0.0];
    let network = CandidateNetwork::new(&weights);
    let mut stream = Stream::new(0.0).expect("must be a price");
    assert_eq!(stream.finish(&network, &call(1, true)), Err(StreamError::State { unit: 4 }));
    assert_eq!(stream, Stream::new(0.0).expect("must be a price"));
}

#[test]
fn what_is_too_long_or_too_dear_counts_as_the_most_there_is() {
    let network = network();
    let stream = |price, latency| {
        Stream::restore(&network, price, [FinishedCall { latency, ..call(1, true) }]).expect("must restore")
    };
    assert_eq!(stream(1e30, f32::MAX), stream(HIGHEST_PRICE, LONGEST_LATENCY));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The unrolled form computes every signal from the whole list, not from what a stream kept.
    #[test]
    fn a_stream_is_the_unrolled_network_to_the_bit(calls in calls(), price in 0.0_f32..8.0) {
        let network = network();
        let mut state = [0.0; HIDDEN];
        let (mut success, mut stream) = (0.0_f32, Stream::new(price).expect("must be a price"));
        for (index, call) in calls.iter().enumerate() {
            let [gap, recency] = elapsed(index.checked_sub(1).map(|before| calls[before].at), call.at);
            let outcome = if call.succeeded { 1.0 } else { -1.0 };
            let (tokens, frequency) = (ln_1p(call.prompt_tokens as f32), ln_1p(index as f32));
            let latency = call.latency.min(LONGEST_LATENCY);
            network.step(
                &[0.0, 0.0, tokens, price, latency, gap, recency, frequency, success, 0.0, outcome, 0.0],
                &mut state,
            );
            let share = 1.0 / (index as f32 + 1.0).min(SMOOTHED_CALLS as f32);
            success += share * (f32::from(u8::from(call.succeeded)) - success);
            stream.finish(&network, call).expect("must be taken");
            prop_assert_eq!(stream.standing().state.map(f32::to_bits), state.map(f32::to_bits));
        }
        prop_assert_eq!(stream.standing().success.to_bits(), success.to_bits());
    }

    #[test]
    fn a_stream_restored_from_its_calls_is_the_same_and_goes_on_the_same(calls in calls(), cut in 0..40_usize) {
        let network = network();
        let whole = Stream::restore(&network, 0.3, calls.iter().copied()).expect("must restore");
        let (kept, later) = calls.split_at(cut.min(calls.len()));
        let mut stream = Stream::restore(&network, 0.3, kept.iter().copied()).expect("must restore");
        for call in later {
            stream.finish(&network, call).expect("must be taken");
        }
        prop_assert_eq!(stream, whole);
    }

    #[test]
    fn whatever_is_told_the_heads_stay_finite(
        calls in prop::collection::vec((any::<u64>(), any::<bool>(), any::<f32>(), any::<u32>()), 0..20),
        now in any::<u64>(),
    ) {
        let network = network();
        let mut stream = Stream::new(0.0).expect("must be a price");
        for (nanos, succeeded, latency, prompt_tokens) in calls {
            let at = Duration::from_nanos(nanos);
            // Refused or taken: either way what is left can be judged.
            let _ = stream.finish(&network, &FinishedCall { at, succeeded, latency, prompt_tokens });
        }
        let heads = stream.standing().heads(&network, &request(), Duration::from_nanos(now));
        prop_assert!(heads.iter().all(|head| head.is_finite()));
    }
}

/// The tests above would pass with weights that do nothing.
#[test]
fn the_weights_of_the_tests_use_every_signal() {
    let weights: CandidateWeights = testing::candidate(3);
    for signal in 0..INPUTS {
        assert!(weights.cell.w.iter().any(|row| row[signal].abs() > 0.05), "{signal}");
    }
}
