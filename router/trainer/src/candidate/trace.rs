//! What a candidate network is trained on: the calls to one candidate in order, and the decisions between them.

use tinydancer_engine::candidate::network::INPUTS;

/// The calls to one candidate and the decisions about it, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// What happened.
    pub events: Vec<Event>,
}

/// One thing that happened; inputs are as the engine orders its signals.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A finished call, a step that is kept.
    Call([f64; INPUTS]),
    /// A decision: steps that are not kept, its own the last, and what came of it.
    Decision {
        /// Inputs of the conversation's turns, then of the decision.
        steps: Vec<[f64; INPUTS]>,
        /// What came of it.
        target: Target,
    },
}

/// What came of a decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// Whether the call succeeded: 1 or 0.
    pub success: f64,
    /// How good the answer was, 0 to 1 without its ends, if it was graded.
    pub quality: Option<f64>,
}

impl Trace {
    /// Every step, kept or not.
    fn steps(&self) -> impl Iterator<Item = &[f64; INPUTS]> {
        self.events.iter().flat_map(|event| match event {
            Event::Call(step) => std::slice::from_ref(step),
            Event::Decision { steps, .. } => steps,
        })
    }
}

/// How inputs are scaled before the cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalisation {
    /// Mean of each signal.
    pub mean: [f32; INPUTS],
    /// Standard deviation of each signal; 1 for a signal that never changes.
    pub std: [f32; INPUTS],
}

impl Normalisation {
    /// Over all steps of these traces.
    pub fn fit(traces: &[Trace]) -> Self {
        let steps = || traces.iter().flat_map(Trace::steps);
        let count = steps().count().max(1) as f64;
        let mean: [f64; INPUTS] =
            std::array::from_fn(|signal| steps().map(|step| step[signal]).sum::<f64>() / count);
        let std = std::array::from_fn(|signal| {
            let squares = steps().map(|step| (step[signal] - mean[signal]) * (step[signal] - mean[signal]));
            let deviation = (squares.sum::<f64>() / count).sqrt() as f32;
            if deviation > 1e-6 { deviation } else { 1.0 }
        });
        Self { mean: mean.map(|mean| mean as f32), std }
    }

    /// The traces with scaled inputs.
    pub fn apply(&self, traces: &[Trace]) -> Vec<Trace> {
        let mut traces = traces.to_vec();
        for event in traces.iter_mut().flat_map(|trace| &mut trace.events) {
            match event {
                Event::Call(step) => self.scale(step),
                Event::Decision { steps, .. } => {
                    for step in steps {
                        self.scale(step);
                    }
                }
            }
        }
        traces
    }

    fn scale(&self, step: &mut [f64; INPUTS]) {
        for (number, (mean, std)) in step.iter_mut().zip(self.mean.iter().zip(&self.std)) {
            *number = (*number - f64::from(*mean)) / f64::from(*std);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaled_inputs_have_mean_zero_and_deviation_one_and_constants_are_zero() {
        let call = |number| {
            let mut step = [0.25; INPUTS];
            step[3] = number;
            step
        };
        let target = Target { success: 1.0, quality: None };
        let events = vec![
            Event::Call(call(1.0)),
            Event::Decision { steps: vec![call(5.0), call(9.0)], target },
            Event::Call(call(13.0)),
        ];
        let traces = [Trace { events }];
        let scaled = Normalisation::fit(&traces).apply(&traces);
        let numbers: Vec<f64> = scaled[0].steps().map(|step| step[3]).collect();
        assert!(numbers.iter().sum::<f64>().abs() < 1e-6);
        assert!((numbers.iter().map(|number| number * number).sum::<f64>() / 4.0 - 1.0).abs() < 1e-6);
        assert!(scaled[0].steps().all(|step| step[0] == 0.0));
    }
}
