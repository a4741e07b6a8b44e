//! The calibration for people: condition, status and event.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tinydancer_crds::{
    conditions::{Wish, reasons, types},
    routing_policy::{CalibrationState, CalibrationStatus, CoverageStatus},
};

use super::{LEAST_PAIRS, ModelCalibration, Promise, Threshold, fraction, mean_loss, state};
use crate::{
    explain::grouped,
    plan::{Event, EventKind, Notice},
    record::Record,
    rollout::Rollout,
    status::{identity, number},
};

/// The condition; `None` where nothing is promised or audited.
pub(crate) fn condition(record: &Record) -> Option<Wish> {
    let (state, promise, recorded) = state(record)?;
    let status = match recorded.map_or(Threshold::Artifact, |recorded| recorded.threshold) {
        Threshold::Artifact => None,
        Threshold::Kept(_) => Some(true),
        Threshold::Nowhere => Some(false),
    };
    let message = message(record, state, promise, recorded) + &recorded.map(fallen_short).unwrap_or_default();
    Some(Wish { type_: types::ONLINE_CALIBRATION, status, reason: reason(state), message })
}

const fn reason(state: CalibrationState) -> &'static str {
    match state {
        CalibrationState::Collecting => reasons::COLLECTING,
        CalibrationState::Calibrated => reasons::CALIBRATED,
        CalibrationState::Frozen => reasons::FROZEN,
        CalibrationState::PromiseUnmet => reasons::PROMISE_UNMET,
    }
}

fn message(
    record: &Record,
    state: CalibrationState,
    promise: Promise,
    recorded: Option<&ModelCalibration>,
) -> String {
    let name = record.stable.as_ref().map_or("the stable model", |stable| stable.model.name.as_str());
    let seen = seen(promise, recorded);
    match state {
        CalibrationState::Collecting => {
            let pairs = recorded.map_or(0, |recorded| recorded.pairs);
            format!(
                "{name} decides by its artifact's threshold: {} of the {LEAST_PAIRS} audited requests that another \
                 one needs; {seen}",
                grouped(pairs)
            )
        }
        CalibrationState::Calibrated | CalibrationState::PromiseUnmet => {
            recorded.map(|recorded| found(name, promise, recorded)).unwrap_or_default()
        }
        CalibrationState::Frozen => {
            let other = record.trial.as_ref().map_or("another model", |trial| trial.model.name.as_str());
            let doing = if record.rollout == Rollout::Watching { "watched" } else { "on trial" };
            format!("{name} decides by {} while {other} is {doing}; {seen}", threshold(recorded))
        }
    }
}

fn threshold(recorded: Option<&ModelCalibration>) -> String {
    match recorded.map_or(Threshold::Artifact, |recorded| recorded.threshold) {
        Threshold::Artifact => "its artifact's threshold".to_owned(),
        Threshold::Kept(lambda) => format!("the threshold {}", decimals(lambda)),
        Threshold::Nowhere => "no threshold, everything goes to Powerful,".to_owned(),
    }
}

/// What a calibration came to.
fn found(name: &str, promise: Promise, recorded: &ModelCalibration) -> String {
    let seen = seen(promise, Some(recorded));
    match recorded.threshold {
        Threshold::Artifact => format!("{name} decides by its artifact's threshold; {seen}"),
        Threshold::Kept(lambda) => {
            format!("{name} sends scores up to {} to Lightweight: {seen}", decimals(lambda))
        }
        Threshold::Nowhere => format!(
            "no threshold keeps what {name} promises, so everything goes to Powerful: {seen}; train a model on requests \
             like these, promise less, or look at what the grader says"
        ),
    }
}

/// Promise against observation.
fn seen(promise: Promise, recorded: Option<&ModelCalibration>) -> String {
    let promised = format!("promised {} permille", promise.permille);
    let observed = recorded.map(|recorded| recorded.observed);
    match observed.and_then(|observed| Some((mean_loss(observed)?, observed.pairs))) {
        None => format!("{promised}, nothing was seen yet"),
        Some(((mean, bound), pairs)) => format!(
            "{promised}, seen {} (95 % upper bound {}) in {} audited requests",
            permille(mean),
            permille(bound),
            grouped(pairs)
        ),
    }
}

/// Which truths the model's sets surely hold less often than its artifact promises; nothing where they do not.
fn fallen_short(recorded: &ModelCalibration) -> String {
    let Some(promised) = recorded.coverage_promised_permille.map(fraction) else { return String::new() };
    let truths = [(recorded.coverage.good_enough, "was"), (recorded.coverage.not_good_enough, "was not")];
    let short = truths.into_iter().filter(|(counts, _)| counts.falls_short(promised));
    let words = short.filter_map(|(counts, was)| {
        Some(format!(
            "; sets that should hold the truth in {} of all cases hold it in {} of {} in which Lightweight {was} good enough",
            crate::explain::decimals(promised),
            crate::explain::decimals(counts.share()?),
            grouped(counts.pairs),
        ))
    });
    words.collect()
}

/// What the status shows: the numbers by which was decided last, so that a settled policy stands still.
pub(crate) fn status(record: &Record) -> Option<CalibrationStatus> {
    let (state, promise, recorded) = state(record)?;
    let stable = record.stable.as_ref()?;
    let loss = recorded.and_then(|recorded| mean_loss(recorded.observed));
    Some(CalibrationStatus {
        model: identity(&stable.model),
        state,
        pairs: number(recorded.map_or(0, |recorded| recorded.pairs)),
        threshold: recorded.and_then(ModelCalibration::online).map(|online| decimals(online.lambda)),
        promised_permille: i32::from(promise.permille),
        observed_permille: loss.map(|(mean, _)| permille(mean)),
        upper_bound_permille: loss.map(|(_, bound)| permille(bound)),
        coverage: recorded.and_then(coverage),
        since: recorded.map(|recorded| Time(recorded.since)),
    })
}

fn coverage(recorded: &ModelCalibration) -> Option<CoverageStatus> {
    let counts = recorded.coverage;
    let share = |share: Option<f64>| share.map(|share| format!("{share:.3}"));
    let coverage = CoverageStatus {
        good_enough: share(counts.good_enough.share()),
        not_good_enough: share(counts.not_good_enough.share()),
    };
    (coverage != CoverageStatus::default()).then_some(coverage)
}

/// The event of the threshold that holds: one for each that is found. None for the artifact's.
pub(crate) fn notice(record: &Record) -> Option<Notice> {
    let (_, promise, recorded) = state(record)?;
    let (stable, recorded) = (record.stable.as_ref()?, recorded?);
    let (kind, reason) = match recorded.threshold {
        Threshold::Artifact => return None,
        Threshold::Kept(_) => (EventKind::Normal, reasons::CALIBRATED),
        Threshold::Nowhere => (EventKind::Warning, reasons::PROMISE_UNMET),
    };
    let message = found(&stable.model.name, promise, recorded);
    let since = recorded.since;
    let occasion = format!("{reason}/{}/{}/{}", promise.digest.short(), promise.permille, since.as_second());
    let event = Event { kind, reason, message, model: stable.model.name.clone() };
    Some(Notice { event, since, occasion })
}

/// Thousandths with one decimal where it is not 0.
fn permille(share: f64) -> String {
    let text = format!("{:.1}", share * 1000.0);
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn decimals(lambda: f32) -> String {
    crate::explain::decimals(f64::from(lambda))
}
