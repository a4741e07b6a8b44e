//! Synthetic traces with drift. They are made up: they show that the network can use what only an order of events
//! tells, and say nothing about any real model.
//!
//! A candidate answers from one of two backends, a good and a bad one. A call that is refused (a failure in next to
//! no time) moves it to the other. Latency that rises foretells that the good one gives out a few calls later. After
//! a quiet hour it was repaired.

use std::time::Duration;

use tinydancer_engine::candidate::conversation;
use tinydancer_engine::candidate::network::CandidateNetwork;
use tinydancer_engine::candidate::stream::{FinishedCall, RequestSignals, Stream, StreamError};

use super::network::{Memory, Parameters};
use super::trace::{Event, Normalisation, Target, Trace};
use crate::random::Random;

/// Calls of a trace.
const CALLS: usize = 40;
/// How often a call is refused.
const REFUSED: f64 = 0.15;
/// How often latency begins to rise.
const WARNED: f64 = 0.06;
/// Calls from the first warning until the good backend gives out.
const WARNING: u32 = 3;
/// How often there is a quiet time before a call.
const QUIET: f64 = 0.03;

/// Made-up traces, the same for a seed.
pub fn synthetic(count: usize, seed: u64) -> Vec<Trace> {
    let mut random = Random::stream(seed, 77);
    // Every call is one that a stream takes, so none is lost.
    (0..count).filter_map(|_| trace(&mut random).ok()).collect()
}

/// A candidate as it really is.
struct Candidate {
    /// How often each backend answers.
    rates: [f64; 2],
    good: bool,
    /// Calls until the good backend gives out, once latency has risen.
    warning: Option<u32>,
    /// Usual latency over the objective.
    latency: f64,
    now: Duration,
}

impl Candidate {
    fn new(random: &mut Random) -> Self {
        Self {
            rates: [0.08 + 0.2 * random.uniform(), 0.85 + 0.12 * random.uniform()],
            good: random.uniform() < 0.5,
            warning: None,
            latency: 0.3 + 0.5 * random.uniform(),
            now: Duration::ZERO,
        }
    }

    /// How likely the next call succeeds if it is not refused.
    fn rate(&self) -> f64 {
        self.rates[usize::from(self.good)]
    }

    fn wait(&mut self, random: &mut Random) {
        let quiet = random.uniform() < QUIET;
        let seconds = if quiet { 3_600.0 * (1.0 + random.uniform()) } else { 1.0 + 60.0 * random.uniform() };
        self.now += Duration::from_secs_f64(seconds);
        if quiet {
            self.good = true;
            self.warning = None;
        }
    }

    fn call(&mut self, succeeds: bool, random: &mut Random) -> FinishedCall {
        let noise = libm::exp(0.2 * random.normal());
        if random.uniform() < REFUSED {
            self.good = !self.good;
            self.warning = None;
            return self.finished(false, 0.02 * noise);
        }
        let slower = if self.warning.is_some() { 3.0 } else { 1.0 };
        match self.warning {
            Some(0) => {
                self.good = false;
                self.warning = None;
            }
            Some(left) => self.warning = Some(left - 1),
            None if self.good && random.uniform() < WARNED => self.warning = Some(WARNING - 1),
            None => {}
        }
        self.finished(succeeds, self.latency * slower * noise)
    }

    fn finished(&self, succeeded: bool, latency: f64) -> FinishedCall {
        FinishedCall { at: self.now, succeeded, latency: latency as f32, prompt_tokens: 200 }
    }
}

/// A decision before each call.
fn trace(random: &mut Random) -> Result<Trace, StreamError> {
    let unused = Normalisation { mean: [0.0; 12], std: [1.0; 12] };
    let network = CandidateNetwork::new(&Parameters::random(0.5, Memory::Recurrent, random).weights(unused));
    let mut candidate = Candidate::new(random);
    let mut stream = Stream::new((2.0 * random.uniform()) as f32)?;
    let mut events = Vec::with_capacity(2 * CALLS);
    for _ in 0..CALLS {
        candidate.wait(random);
        let (steps, rate) = request(&candidate, &stream, random);
        let succeeds = random.uniform() < rate;
        let quality = (rate + 0.1 * random.normal()).clamp(0.02, 0.98);
        let target = Target { success: f64::from(u8::from(succeeds)), quality: Some(quality) };
        events.push(Event::Decision { steps, target });
        let call = candidate.call(succeeds, random);
        events.push(Event::Call(stream.signals(&call)?.map(f64::from)));
        stream.finish(&network, &call)?;
    }
    Ok(Trace { events })
}

/// The steps of a decision and how likely the call succeeds: one that is not like what the candidate answers well, or
/// is asked a second time, is harder.
fn request(candidate: &Candidate, stream: &Stream, random: &mut Random) -> (Vec<[f64; 12]>, f64) {
    let again = random.uniform() < 0.2;
    let similarity = random.uniform() as f32;
    let signals = RequestSignals {
        similarity,
        previous_turn: if again { 1.0 } else { 0.0 },
        prompt_tokens: 200,
        overlap: random.uniform() as f32,
    };
    let turn = again.then(|| conversation::step(0.0, 200));
    let decision = stream.standing().signals(&signals, candidate.now);
    let steps = turn.into_iter().chain([decision]).map(|step| step.map(f64::from)).collect();
    let harder = if again { 0.7 } else { 1.0 };
    (steps, candidate.rate() * harder * (0.8 + 0.2 * f64::from(similarity)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_traces_and_none_is_lost() {
        let traces = synthetic(20, 4);
        assert_eq!(traces, synthetic(20, 4));
        assert_ne!(traces, synthetic(20, 5));
        assert_eq!(traces.len(), 20);
        assert!(traces.iter().all(|trace| trace.events.len() == 2 * CALLS));
    }
}
