//! What merged evidence says.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::betting::Moments;
use crate::evidence::{EvidenceSnapshot, GuardEvidence};
use crate::guard::{ApplicableGuards, GuardName};
use crate::settings::GuardSettings;

/// Tests that one attempt makes: of the trial, and of the watch after promotion.
const TESTS: f64 = 2.0;

/// What the evidence allows to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verdict {
    /// Harm is ruled out: exposure may grow.
    Pass,
    /// Harm is shown: roll back.
    Fail,
    /// Neither yet: hold.
    Inconclusive,
}

/// Which limit harm lies beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Direction {
    /// Above the upper limit.
    Above,
    /// Below the lower limit.
    Below,
}

/// An interval for people; the verdict is the e-values'.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// What one guard says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GuardJudgement {
    /// Which guard.
    pub guard: GuardName,
    /// What it says.
    pub verdict: Verdict,
    /// The direction in which there is more evidence of harm; `None` for a guard with one limit only, and without evidence.
    pub direction: Option<Direction>,
    /// The mean of what was observed; `None` without observations.
    pub estimate: Option<f64>,
    /// Where the mean may lie; `None` without observations.
    pub interval: Option<Interval>,
    /// The limit of the mean's size.
    pub limit: f64,
    /// Natural logarithm of the e-value against "no harm", the larger of the directions'.
    pub log_e_value: f64,
    /// What `log_e_value` must reach for Fail.
    pub log_e_value_to_fail: f64,
    /// Natural logarithm of the e-value against "harm", the smaller of the directions'.
    pub safe_log_e_value: f64,
    /// What `safe_log_e_value` must reach for Pass.
    pub safe_log_e_value_to_pass: f64,
    /// How many requests said something to this guard.
    pub observations: u64,
}

/// What all applicable guards say together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Judgement {
    /// Fail if any guard fails, Pass if all pass, else Inconclusive.
    pub verdict: Verdict,
    /// Each applicable guard in its fixed order.
    pub guards: Vec<GuardJudgement>,
    /// The guard to name: of those that fail the one furthest beyond its threshold; if inconclusive the one furthest from passing.
    pub decisive: Option<GuardName>,
}

impl Judgement {
    /// What the decisive guard says.
    pub fn decisive_judgement(&self) -> Option<&GuardJudgement> {
        self.guards.iter().find(|judgement| Some(judgement.guard) == self.decisive)
    }
}

/// Judges evidence merged over pods.
///
/// Fail tests share alpha over all harm directions of the applicable guards (Bonferroni) and over the two tests that an
/// attempt makes, the trial and the watch after promotion, so that an attempt with a harmless candidate fails with
/// probability at most alpha. Each Pass test has the whole alpha: all must reject, so a harmful candidate passes with
/// probability at most alpha (intersection-union test, Berger 1982).
/// A guard without observations is Inconclusive; so is a judgement by no guard at all. [`GuardName::UpstreamFailures`]
/// is not asked before the candidate decided anything, nor in a fleet that sends nothing on; [`GuardName::Coverage`] is
/// never waited for.
pub fn judge(
    merged: &EvidenceSnapshot,
    settings: &GuardSettings,
    applicable: &ApplicableGuards,
) -> Judgement {
    judge_at(merged, *settings, applicable, settings.alpha())
}

/// What one of `pods` pods concludes from its own evidence when no operator merges: alpha over the number of pods, so
/// that a false alarm anywhere in the fleet is as rare as with [`judge`].
pub fn judge_alone(
    own: &EvidenceSnapshot,
    settings: &GuardSettings,
    applicable: &ApplicableGuards,
    pods: NonZeroU32,
) -> Judgement {
    judge_at(own, *settings, applicable, settings.alpha() / f64::from(pods.get()))
}

fn judge_at(
    evidence: &EvidenceSnapshot,
    settings: GuardSettings,
    applicable: &ApplicableGuards,
    alpha: f64,
) -> Judgement {
    let directions: u32 =
        applicable.iter().map(|name| name.definition().hypothesis(settings).directions()).sum();
    let thresholds =
        Thresholds { fail: (TESTS * f64::from(directions) / alpha).ln(), pass: (1.0 / alpha).ln(), alpha };
    let guards: Vec<GuardJudgement> = applicable
        .iter()
        .map(|name| {
            let stream = evidence.guards.get(&name).copied().unwrap_or_default();
            judge_guard(name, &stream, settings, &thresholds)
        })
        .collect();
    let verdict = if guards.iter().any(|guard| guard.verdict == Verdict::Fail) {
        Verdict::Fail
    } else if !guards.is_empty() && asked(&guards, evidence).all(|guard| guard.verdict == Verdict::Pass) {
        Verdict::Pass
    } else {
        Verdict::Inconclusive
    };
    Judgement { verdict, decisive: decisive(verdict, asked(&guards, evidence)), guards }
}

/// The guards that must pass by now.
fn asked<'a>(
    guards: &'a [GuardJudgement],
    evidence: &EvidenceSnapshot,
) -> impl Iterator<Item = &'a GuardJudgement> {
    let outcomes = evidence.outcomes;
    let compares = evidence.candidate_decisions > 0 && outcomes.candidate + outcomes.stable > 0;
    guards.iter().filter(move |guard| match guard.guard {
        GuardName::UpstreamFailures => compares,
        GuardName::Coverage => guard.verdict == Verdict::Fail,
        _ => true,
    })
}

struct Thresholds {
    fail: f64,
    pass: f64,
    alpha: f64,
}

fn judge_guard(
    name: GuardName,
    stream: &GuardEvidence,
    settings: GuardSettings,
    thresholds: &Thresholds,
) -> GuardJudgement {
    let guard = name.definition();
    let hypothesis = guard.hypothesis(settings);
    let below = hypothesis.lower.map(|_| stream.below.unwrap_or_default());
    let harm = below.map_or(stream.above.harm, |below| stream.above.harm.max(below.harm));
    let safe = below.map_or(stream.above.safe, |below| stream.above.safe.min(below.safe));
    let verdict = if harm >= thresholds.fail {
        Verdict::Fail
    } else if stream.observations > 0 && safe >= thresholds.pass {
        Verdict::Pass
    } else {
        Verdict::Inconclusive
    };
    GuardJudgement {
        guard: name,
        verdict,
        direction: below
            .filter(|_| stream.observations > 0)
            .map(|below| if below.harm > stream.above.harm { Direction::Below } else { Direction::Above }),
        estimate: stream.mean(),
        interval: guard.interval(stream, thresholds.alpha),
        limit: hypothesis.upper,
        log_e_value: harm,
        log_e_value_to_fail: thresholds.fail,
        safe_log_e_value: safe,
        safe_log_e_value_to_pass: thresholds.pass,
        observations: stream.observations,
    }
}

fn decisive<'a>(verdict: Verdict, guards: impl Iterator<Item = &'a GuardJudgement>) -> Option<GuardName> {
    let chosen = match verdict {
        Verdict::Pass => None,
        Verdict::Fail => guards
            .filter(|guard| guard.verdict == Verdict::Fail)
            .max_by(|left, right| left.log_e_value.total_cmp(&right.log_e_value)),
        Verdict::Inconclusive => guards
            .filter(|guard| guard.verdict == Verdict::Inconclusive)
            .min_by(|left, right| left.safe_log_e_value.total_cmp(&right.safe_log_e_value)),
    };
    chosen.map(|guard| guard.guard)
}

impl Interval {
    /// An asymptotic confidence sequence for a mean (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central
    /// limit theory", 2024, equation 10 with rho^2 = 0.01): holds at all sample sizes together once there are a few dozen.
    /// Cut to `-half_range..=half_range`.
    pub(crate) fn of_mean(moments: &Moments, alpha: f64, half_range: f64) -> Option<Self> {
        const RHO_SQUARED: f64 = 0.01;
        if moments.observations == 0 {
            return None;
        }
        let count = moments.observations as f64;
        let mean = moments.sum / count;
        // A quarter of the range as one prior observation: two equal values do not make an interval of width 0.
        let variance = (half_range * half_range / 4.0 + moments.squared_deviations()) / count;
        let growth = count * RHO_SQUARED + 1.0;
        let radius =
            (2.0 * variance * growth / (count * count * RHO_SQUARED) * (growth.sqrt() / alpha).ln()).sqrt();
        Some(Self { low: (mean - radius).max(-half_range), high: (mean + radius).min(half_range) })
    }
}

#[cfg(test)]
mod tests;
