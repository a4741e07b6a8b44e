//! Outcome streams: every finished call is one step of its candidate's state.
//!
//! A stream is fed in the order in which calls finished and can be made again from a list of them, to the bit.
//! What a decision needs of it is a [`Standing`].

use std::time::Duration;

use super::network::{CandidateNetwork, HEADS, HIDDEN, INPUTS};
use crate::numerics::{exp, ln_1p};

/// After this time without a call, recency is a half.
pub const HALF_LIFE: Duration = Duration::from_hours(6);
/// Smoothed numbers are the mean of the first calls, so many; then each call counts one part in as many.
pub const SMOOTHED_CALLS: u32 = 10;
/// A call that took more times its objective than this counts as one that took this many.
pub const LONGEST_LATENCY: f32 = 64.0;
/// A candidate whose price is more times the lowest than e to this counts as one at this.
pub const HIGHEST_PRICE: f32 = 16.0;

/// A call that has ended, as a history keeps it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FinishedCall {
    /// When it ended, since any start that is the same for all calls and decisions.
    pub at: Duration,
    /// Whether there was an answer.
    pub succeeded: bool,
    /// Latency over the objective; not negative.
    pub latency: f32,
    /// Tokens of the prompt; 0 if they are not known.
    pub prompt_tokens: u32,
}

/// What a request says about itself, and about itself and one candidate. What is not known is 0.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RequestSignals {
    /// Cosine of the request's embedding and the candidate's centre, -1 to 1.
    pub similarity: f32,
    /// Cosine of the request and the turn before, -1 to 1.
    pub previous_turn: f32,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Overlap of the request's metadata with the candidate's, 0 to 1.
    pub overlap: f32,
}

/// A call or a price that no stream takes. The stream stays as it was.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum StreamError {
    /// The call ended before the one that was told last.
    #[error(
        "a finished call must not end before the one told last, this one ended {by:?} earlier; sort them"
    )]
    Backwards {
        /// How much earlier.
        by: Duration,
    },
    /// The latency is infinite, negative or no number.
    #[error("the latency over the objective must be finite and not negative, this one is {0}")]
    Latency(f32),
    /// The price is infinite, negative or no number.
    #[error("the logarithm of the price over the lowest must be finite and not negative, this one is {0}")]
    Price(f32),
    /// Extreme weights made a state that is no number.
    #[error("the state after a call must be finite, unit {unit} is not")]
    State {
        /// The first such hidden unit.
        unit: usize,
    },
}

/// What is known of a candidate at one moment and does not depend on a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// The state after the last call.
    pub state: [f32; HIDDEN],
    /// Natural logarithm of the price over the lowest.
    pub price: f32,
    /// Smoothed latency over the objective.
    pub latency: f32,
    /// Natural logarithm of one plus the calls.
    pub frequency: f32,
    /// Smoothed share of successes.
    pub success: f32,
    /// Of the last call: 1 success, -1 failure, 0 none.
    pub outcome: f32,
    /// When the last call ended.
    pub last_call: Option<Duration>,
}

impl Standing {
    /// The inputs of the step that a decision takes.
    pub fn signals(&self, request: &RequestSignals, now: Duration) -> [f32; INPUTS] {
        let [gap, recency] = elapsed(self.last_call, now);
        let tokens = ln_1p(request.prompt_tokens as f32);
        let (latency, success) = (self.latency, self.success);
        [
            request.similarity,
            request.previous_turn,
            tokens,
            self.price,
            latency,
            gap,
            recency,
            self.frequency,
            success,
            request.overlap,
            self.outcome,
            1.0,
        ]
    }

    /// What the network says about the candidate for this request: one step that is not kept, then the heads.
    pub fn heads(&self, network: &CandidateNetwork, request: &RequestSignals, now: Duration) -> [f32; HEADS] {
        let mut state = self.state;
        network.step(&self.signals(request, now), &mut state);
        network.heads(&state)
    }
}

/// What the calls to one candidate have shown so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    state: [f32; HIDDEN],
    price: f32,
    latency: f32,
    success: f32,
    calls: u32,
    outcome: f32,
    last_call: Option<Duration>,
}

impl Stream {
    /// A candidate without a call; `price` is the natural logarithm of its price over the lowest, and more than
    /// [`HIGHEST_PRICE`] counts as that.
    ///
    /// # Errors
    /// [`StreamError::Price`].
    pub fn new(price: f32) -> Result<Self, StreamError> {
        let price = checked_price(price)?;
        let state = [0.0; HIDDEN];
        Ok(Self { state, price, latency: 0.0, success: 0.0, calls: 0, outcome: 0.0, last_call: None })
    }

    /// The stream that these calls leave, the same to the bit as if each had been told when it ended.
    ///
    /// # Errors
    /// The first [`StreamError`].
    pub fn restore(
        network: &CandidateNetwork,
        price: f32,
        calls: impl IntoIterator<Item = FinishedCall>,
    ) -> Result<Self, StreamError> {
        let mut stream = Self::new(price)?;
        for call in calls {
            stream.finish(network, &call)?;
        }
        Ok(stream)
    }

    /// A new price for what comes; what was is kept.
    ///
    /// # Errors
    /// [`StreamError::Price`].
    pub fn set_price(&mut self, price: f32) -> Result<(), StreamError> {
        self.price = checked_price(price)?;
        Ok(())
    }

    /// Takes one step for a call that ended. Whoever shares a stream between threads reads the clock while it is
    /// held, so that times ascend.
    ///
    /// # Errors
    /// [`StreamError`]; then nothing has changed.
    pub fn finish(&mut self, network: &CandidateNetwork, call: &FinishedCall) -> Result<(), StreamError> {
        let signals = self.signals(call)?;
        let mut state = self.state;
        network.step(&signals, &mut state);
        if let Some(unit) = state.iter().position(|hidden| !hidden.is_finite()) {
            return Err(StreamError::State { unit });
        }
        self.state = state;
        self.calls = self.calls.saturating_add(1);
        let share = 1.0 / self.calls.min(SMOOTHED_CALLS) as f32;
        self.latency += share * (call.latency.min(LONGEST_LATENCY) - self.latency);
        self.success += share * (f32::from(u8::from(call.succeeded)) - self.success);
        self.outcome = outcome(call);
        self.last_call = Some(call.at);
        Ok(())
    }

    /// The inputs of the step of a call: what was known before it, and how it went.
    ///
    /// # Errors
    /// [`StreamError`] if this stream would not take the call.
    pub fn signals(&self, call: &FinishedCall) -> Result<[f32; INPUTS], StreamError> {
        if let Some(by) = self.last_call.and_then(|last| last.checked_sub(call.at)).filter(|by| !by.is_zero())
        {
            return Err(StreamError::Backwards { by });
        }
        if !(call.latency.is_finite() && call.latency >= 0.0) {
            return Err(StreamError::Latency(call.latency));
        }
        let [gap, recency] = elapsed(self.last_call, call.at);
        let tokens = ln_1p(call.prompt_tokens as f32);
        let (frequency, latency) = (ln_1p(self.calls as f32), call.latency.min(LONGEST_LATENCY));
        let outcome = outcome(call);
        Ok([0.0, 0.0, tokens, self.price, latency, gap, recency, frequency, self.success, 0.0, outcome, 0.0])
    }

    /// Calls so far.
    pub fn calls(&self) -> u32 {
        self.calls
    }

    /// What a decision needs.
    pub fn standing(&self) -> Standing {
        Standing {
            state: self.state,
            price: self.price,
            latency: self.latency,
            frequency: ln_1p(self.calls as f32),
            success: self.success,
            outcome: self.outcome,
            last_call: self.last_call,
        }
    }
}

/// Gap and recency: the natural logarithm of one plus the seconds since the last call, and two to the minus of the
/// half-lives since then. Both 0 without a call; a call that ended after `now` ended now.
pub fn elapsed(last_call: Option<Duration>, now: Duration) -> [f32; 2] {
    let Some(last) = last_call else { return [0.0; 2] };
    let seconds = now.saturating_sub(last).as_secs_f32();
    [ln_1p(seconds), exp(-std::f32::consts::LN_2 * (seconds / HALF_LIFE.as_secs_f32()))]
}

fn outcome(call: &FinishedCall) -> f32 {
    if call.succeeded { 1.0 } else { -1.0 }
}

fn checked_price(price: f32) -> Result<f32, StreamError> {
    if price.is_finite() && price >= 0.0 {
        Ok(price.min(HIGHEST_PRICE))
    } else {
        Err(StreamError::Price(price))
    }
}

#[cfg(test)]
mod tests;
