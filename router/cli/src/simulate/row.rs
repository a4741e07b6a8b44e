//! One line of the table.

use serde_json::{Value, json};
use tinydancer_guards::{Arm, wilson};

use super::traffic::Tenants;

/// The standard normal quantile of a two-sided 95 % interval.
const Z_95: f64 = 1.959_963_984_540_054;

/// When a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct End {
    /// Requests of the whole fleet until then.
    pub(crate) samples: u64,
    /// Of them, those that the candidate decided.
    pub(crate) exposed: u64,
}

impl End {
    /// One more request, decided by this arm.
    pub(crate) fn see(&mut self, arm: Arm) {
        self.samples += 1;
        self.exposed += u64::from(arm == Arm::Candidate);
    }
}

/// What the end of a run means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// A sound candidate was turned away or held.
    FalseAlarm,
    /// A bad one was found.
    Detected,
    /// A sound one was allowed to go on.
    Passed,
}

/// What a method made of a scenario.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) scenario: &'static str,
    pub(crate) tenants: Tenants,
    pub(crate) method: String,
    /// `None` where pods make no difference.
    pub(crate) pods: Option<usize>,
    pub(crate) share: Share,
    /// Of each run.
    pub(crate) ends: Vec<Option<End>>,
}

impl Row {
    /// The share of runs that ended, with its Wilson interval at 95 %.
    pub(crate) fn ended(&self) -> (f64, f64, f64) {
        let ended = self.ends.iter().flatten().count() as u64;
        let runs = self.ends.len() as u64;
        let share = ended as f64 / runs.max(1) as f64;
        wilson(ended, runs, Z_95).map_or((share, 0.0, 1.0), |interval| (share, interval.low, interval.high))
    }

    /// The value of `of` below which this share of all runs lies, a run without an end being endless.
    pub(crate) fn quantile(&self, share: f64, of: impl Fn(&End) -> u64) -> Option<u64> {
        let mut values: Vec<u64> = self.ends.iter().flatten().map(of).collect();
        values.sort_unstable();
        let rank = ((self.ends.len() as f64 * share).ceil() as usize).max(1);
        values.get(rank - 1).copied()
    }

    /// The row as JSON; what does not apply is null.
    pub(crate) fn json(&self, per_second: f64) -> Value {
        let (share, low, high) = self.ended();
        let is = |wanted| (self.share == wanted).then_some(share);
        let (median, p95) = (self.quantile(0.5, |end| end.samples), self.quantile(0.95, |end| end.samples));
        let seconds = |samples: Option<u64>| samples.map(|samples| samples as f64 / per_second);
        json!({
            "scenario": self.scenario,
            "traffic": self.tenants.as_str(),
            "method": self.method,
            "pods": self.pods,
            "runs": self.ends.len(),
            "false_alarm": is(Share::FalseAlarm),
            "detected": is(Share::Detected),
            "passed": is(Share::Passed),
            "low": low,
            "high": high,
            "median_samples": median,
            "p95_samples": p95,
            "median_seconds": seconds(median),
            "p95_seconds": seconds(p95),
            "median_exposed": self.quantile(0.5, |end| end.exposed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ends: Vec<Option<u64>>) -> Row {
        let end = |samples: Option<u64>| samples.map(|samples| End { samples, exposed: samples / 10 });
        Row {
            scenario: "a-a",
            tenants: Tenants::Uniform,
            method: "made".to_owned(),
            pods: None,
            share: Share::Detected,
            ends: ends.into_iter().map(end).collect(),
        }
    }

    #[test]
    fn a_run_that_never_ended_counts_as_endless() {
        let half = row(vec![Some(30), None, Some(10), None]);
        assert_eq!(half.quantile(0.5, |end| end.samples), Some(30));
        assert_eq!(half.quantile(0.95, |end| end.samples), None);
        let fewer = row(vec![Some(30), None, None, None]);
        assert_eq!(fewer.quantile(0.5, |end| end.samples), None);
    }

    #[test]
    fn what_does_not_apply_is_null() {
        let json = row(vec![None, None]).json(40.0);
        assert_eq!((&json["detected"], &json["false_alarm"]), (&json!(0.0), &Value::Null));
        assert_eq!((&json["median_samples"], &json["pods"]), (&Value::Null, &Value::Null));
        let json = row(vec![Some(400)]).json(40.0);
        assert_eq!((&json["median_seconds"], &json["median_exposed"]), (&json!(10.0), &json!(40)));
    }
}
