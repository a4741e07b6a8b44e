//! Whether requests still look to the stable model as they did where it was trained, as far as pods say so.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tinydancer_crds::{
    Digest,
    conditions::{Wish, reasons, types},
};
use tinydancer_guards::drift::psi;
use tinydancer_protocol::{DriftInput, DriftSums};

use crate::{
    explain::{decimals, grouped},
    observed::ObservedPod,
    plan::{Event, EventKind, Notice},
    record::Record,
};

/// Drift that was found, with the numbers of that moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DriftFound {
    /// The stable model then.
    pub digest: Digest,
    /// What has changed.
    pub input: DriftInput,
    /// Its mean in training.
    pub reference: f64,
    /// Its mean at the pod that found it, since that pod's process started.
    pub mean: f64,
    /// Over so many requests.
    pub requests: u64,
    /// Population stability index of the scores over all pods; `None` without a reference.
    pub stability_index: Option<f64>,
    /// When it was found.
    pub since: Timestamp,
}

/// Takes in what the pods say. What one pod found stands until no pod says so any more; without a word from any it stands
/// as well.
pub(crate) fn renew(record: &mut Record, pods: &[ObservedPod], now: Timestamp) {
    let stable = record.stable.as_ref().map(|stable| stable.model.digest);
    record.drift = record.drift.take().filter(|found| Some(found.digest) == stable);
    let Some(digest) = stable else { return };
    let mut seen = sums(pods, digest).peekable();
    if seen.peek().is_none() {
        return;
    }
    let found = sums(pods, digest).find_map(|sums| found(sums, pods, now));
    record.drift = match (record.drift.take(), found) {
        (Some(standing), Some(_)) => Some(standing),
        (_, found) => found,
    };
}

/// Whether any pod compares requests with how they were in training.
pub(crate) fn is_looked_for(record: &Record, pods: &[ObservedPod]) -> bool {
    let stable = record.stable.as_ref().map(|stable| stable.model.digest);
    record.drift.is_some() || stable.is_some_and(|digest| sums(pods, digest).next().is_some())
}

fn found(sums: &DriftSums, pods: &[ObservedPod], now: Timestamp) -> Option<DriftFound> {
    let test = sums.tests.iter().find(|test| test.seen.drift().is_some())?;
    let (mean, requests) = test.seen.mean()?;
    // A number that is none could never be read back from the record.
    let is_number = [mean, test.reference].into_iter().all(f64::is_finite);
    is_number.then(|| DriftFound {
        digest: sums.digest,
        input: test.input,
        reference: test.reference,
        mean,
        requests,
        stability_index: stability_index(pods, sums.digest),
        since: now,
    })
}

/// Population stability index of the scores of all pods against training.
fn stability_index(pods: &[ObservedPod], digest: Digest) -> Option<f64> {
    let reference = &sums(pods, digest).next()?.reference;
    let mut counts = vec![0_u64; reference.len()];
    for sums in sums(pods, digest).filter(|sums| sums.scores.len() == reference.len()) {
        for (count, more) in counts.iter_mut().zip(&sums.scores) {
            *count = count.saturating_add(*more);
        }
    }
    let all: u64 = counts.iter().fold(0, |all, count| all.saturating_add(*count));
    let shares: Vec<f64> = counts.iter().map(|count| *count as f64 / all as f64).collect();
    let index = psi(reference, &shares);
    (all > 0 && index.is_finite()).then_some(index)
}

fn sums(pods: &[ObservedPod], digest: Digest) -> impl Iterator<Item = &DriftSums> {
    let reports = pods.iter().filter_map(|pod| pod.report.as_ref());
    reports.filter_map(|report| report.drift.as_ref()).filter(move |sums| sums.digest == digest)
}

/// The condition; `None` where no pod compares anything.
pub(crate) fn condition(record: &Record, pods: &[ObservedPod]) -> Option<Wish> {
    let type_ = types::INPUTS_AS_TRAINED;
    let name = &record.stable.as_ref()?.model.name;
    if let Some(found) = &record.drift {
        return Some(Wish {
            type_,
            status: Some(false),
            reason: reasons::DRIFTED,
            message: message(name, found),
        });
    }
    let message = format!("nothing speaks against requests looking as those that {name} was trained on");
    let wish = Wish { type_, status: Some(true), reason: reasons::NO_DRIFT_FOUND, message };
    is_looked_for(record, pods).then_some(wish)
}

/// The event of drift that was found.
pub(crate) fn notice(record: &Record) -> Option<Notice> {
    let (found, stable) = (record.drift.as_ref()?, record.stable.as_ref()?);
    let message = message(&stable.model.name, found);
    let reason = reasons::DRIFTED;
    let event = Event { kind: EventKind::Warning, reason, message, model: stable.model.name.clone() };
    let occasion = format!("{reason}/{}/{}", found.digest.short(), found.since.as_second());
    Some(Notice { event, since: found.since, occasion })
}

fn message(name: &str, found: &DriftFound) -> String {
    let what = match found.input {
        DriftInput::Novelty => "mean share of words that it does not know",
        DriftInput::Uncertainty => "mean uncertainty",
    };
    let index = found.stability_index.map(|index| {
        format!("; population stability index of its scores {} (above 0.25 is much)", decimals(index))
    });
    format!(
        "requests do not look as those that {name} was trained on: {what} {} in {} requests, {} in training{}; look at what \
         changed, and train a model on requests like these",
        decimals(found.mean),
        grouped(found.requests),
        decimals(found.reference),
        index.unwrap_or_default()
    )
}
