//! What the pods are told: made from the record, with an epoch that rises with every change. The watch is part of what
//! they boot with: a pod that starts again without an operator still has its way back.

use std::{collections::BTreeSet, time::Duration};

use tinydancer_crds::Digest;
use tinydancer_guards::ApplicableGuards;
use tinydancer_protocol::{Assignment, ModelState, RefusalReason, Trial, Watch};

use crate::{
    calibration,
    fleet::{FleetView, model_state, newest_epoch},
    observed::{Observed, ObservedPod, Settings},
    plan::{Action, PodReference},
    record::Record,
    rollout::Rollout,
};

/// Brings the record's assignment and boot assignment in line with the rest of the record. What is not as the pods were
/// told last gets a larger epoch than any that the record or a pod knows.
pub(crate) fn renew(record: &mut Record, told: &Assignment, observed: &Observed) {
    let wished = wished(record, &observed.settings);
    let stable = record.stable.as_ref().map(|stable| stable.model.clone());
    let boot = Assignment {
        calibration: calibration::told(record, stable.as_ref()),
        stable,
        trial: None,
        // Until the promotion is over a pod boots with the model that served before.
        watch: wished.watch.clone().filter(|_| record.rollout == Rollout::Watching),
        epoch: record.boot.epoch,
        ..wished.clone()
    };
    let boot_changes = boot != record.boot || boot.epoch == 0;
    let changes = wished != *told || wished.epoch == 0 || is_overtaken(record, observed);
    if changes {
        let newest = newest_epoch(&observed.pods, &record.assignment.policy.uid);
        let mut epoch = newest.max(record.assignment.epoch).max(record.boot.epoch).saturating_add(1);
        if boot_changes {
            record.boot = Assignment { epoch, ..boot };
            // An epoch names one content only.
            if !same_content(&record.boot, &wished) {
                epoch = epoch.saturating_add(1);
            }
        }
        record.assignment = Assignment { epoch, ..wished };
    } else if boot_changes {
        // Promotion: the pods hold already what they are now to boot with.
        record.boot = Assignment { epoch: record.assignment.epoch, ..boot };
    }
}

fn wished(record: &Record, settings: &Settings) -> Assignment {
    let candidate = record.trial.as_ref();
    let stable = record.stable.as_ref().map(|stable| stable.model.clone());
    let trial = candidate.zip(record.rollout.exposure()).map(|(trial, (stage, weight))| Trial {
        model: trial.model.clone(),
        attempt: trial.attempt,
        stage,
        weight,
        lease_seconds: settings.lease_seconds,
        guards: trial.guards.clone(),
    });
    let stable = match record.rollout {
        Rollout::Promoting => candidate.map(|trial| trial.model.clone()).or(stable),
        _ => stable,
    };
    let calibration = calibration::told(record, stable.as_ref());
    Assignment { stable, trial, watch: watch(record), calibration, ..record.assignment.clone() }
}

/// The way back. It is there from the first moment of the promotion on, so that no pod serves the promoted model without it.
fn watch(record: &Record) -> Option<Watch> {
    let promoted = record.trial.as_ref()?;
    let previous = match record.rollout {
        Rollout::Watching => record.previous.as_ref()?,
        Rollout::Promoting if promoted.watch_seconds > 0 => record.stable.as_ref()?,
        _ => return None,
    };
    let guards = record.with_labels(ApplicableGuards::watch());
    Some(Watch { previous: previous.model.clone(), attempt: promoted.attempt, guards })
}

fn same_content(one: &Assignment, other: &Assignment) -> bool {
    *one == Assignment { epoch: one.epoch, ..other.clone() }
}

/// Whether a pod holds a newer epoch, or the same one with other content: a record that came from a backup.
fn is_overtaken(record: &Record, observed: &Observed) -> bool {
    let held = record.assignment.epoch;
    let uid = record.assignment.policy.uid.as_str();
    observed.pods.iter().any(|pod| {
        let reported = pod
            .report
            .as_ref()
            .is_some_and(|report| report.policy_uid.as_deref() == Some(uid) && report.epoch > held);
        let refused = pod.refusal.as_ref().is_some_and(|refusal| {
            matches!(refusal.reason, RefusalReason::StaleEpoch | RefusalReason::EpochConflict)
                && refusal.epoch >= held
        });
        reported || refused
    })
}

/// Bytes for pods that lack them, and the assignment for pods that do not hold it or whose turn it is.
pub(crate) fn due(record: &Record, observed: &Observed) -> Vec<Action> {
    let fleet = FleetView::new(&observed.pods, &record.assignment, &observed.settings);
    let interval = interval(record, &observed.settings);
    let mut actions = Vec::new();
    for pod in &observed.pods {
        let reference = PodReference { name: pod.name.clone(), uid: pod.uid.clone() };
        let lacking = lacking(record, fleet, pod, &observed.available);
        let is_due = !fleet.acknowledges(pod) || !lacking.is_empty() || pod.silent_for >= interval;
        let put = |digest| Action::PutModel { pod: reference.clone(), digest };
        actions.extend(lacking.into_iter().map(put));
        if is_due {
            let assignment = Box::new(record.assignment.clone());
            actions.push(Action::PutAssignment { pod: reference, assignment });
        }
    }
    actions
}

fn lacking(
    record: &Record,
    fleet: FleetView<'_>,
    pod: &ObservedPod,
    available: &BTreeSet<Digest>,
) -> BTreeSet<Digest> {
    let Some(report) = pod.report.as_ref().filter(|_| fleet.acknowledges(pod)) else {
        return BTreeSet::new();
    };
    let stable = record.assignment.stable.iter().map(|model| model.digest);
    let trial = record.assignment.trial.iter().map(|trial| trial.model.digest);
    let previous = record.assignment.watch.iter().map(|watch| watch.previous.digest);
    stable
        .chain(trial)
        .chain(previous)
        .filter(|digest| available.contains(digest))
        .filter(|digest| model_state(report, *digest) == Some(&ModelState::Missing))
        .collect()
}

/// A pod that was asked this long ago is asked again. In a trial and in the watch every look asks, but for those that events
/// cause in between.
fn interval(record: &Record, settings: &Settings) -> Duration {
    if record.rollout.is_followed() { settings.poll_interval / 2 } else { settings.settled_interval }
}

/// When to look again: at the short interval while pods are worked on or have to be told something, else when the next
/// pod's turn comes. A pod that has been silent for long is not waited for.
pub(crate) fn wake(record: &Record, observed: &Observed) -> Duration {
    let settings = &observed.settings;
    let fleet = FleetView::new(&observed.pods, &record.assignment, settings);
    let is_awaited = |pod: &ObservedPod| {
        let lacks = !lacking(record, fleet, pod, &observed.available).is_empty();
        pod.silent_for <= settings.blind_limit && (lacks || !fleet.acknowledges(pod))
    };
    if record.rollout.is_followed() || observed.pods.iter().any(is_awaited) {
        return settings.poll_interval;
    }
    let turns = observed.pods.iter().map(|pod| settings.settled_interval.saturating_sub(pod.silent_for));
    turns.min().unwrap_or(settings.settled_interval).max(settings.poll_interval)
}
