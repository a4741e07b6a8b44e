//! From numbers to [`Signals`].

use std::time::Duration;

use jiff::Timestamp;
use tinydancer_crds::{
    ValidPolicy, routing_policy,
    valid::{ApprovedStep, Commands},
};
use tinydancer_guards::{EvidenceSnapshot, Judgement, TripCause, Verdict, judge};
use tinydancer_protocol::{ModelState, guard_settings};

use super::{
    banked::SampleRatio,
    state::{Halt, PauseReason, Rollout},
    step::{Approval, Signals, Wish},
};
use crate::{
    fleet::{FleetView, is_silent, model_state},
    observed::Observed,
    record::{Record, TrialRecord},
};

/// The signals, and what the explanation of a transition is made from.
pub(crate) struct Judged {
    pub(crate) signals: Signals,
    /// What the guards say; `None` without evidence.
    pub(crate) judgement: Option<Judgement>,
    /// The pod that tripped the candidate, and why.
    pub(crate) trip: Option<(String, TripCause)>,
    /// The pod that refuses the candidate, and why.
    pub(crate) refusal: Option<(String, String)>,
}

/// Judges the recorded trial, with the newest evidence absorbed, against the spec and the fleet.
pub(crate) fn judged(
    record: &Record,
    valid: Option<&ValidPolicy>,
    commands: &Commands,
    wish: Wish,
    observed: &Observed,
    now: Timestamp,
) -> Judged {
    let fleet = FleetView::new(&observed.pods, &record.assignment, &observed.settings);
    let trial = record.trial.as_ref();
    let judgement = trial.and_then(|trial| Seen::of(trial).judgement);
    let trip = trial.and_then(|trial| trip(trial, observed));
    let refusal = trial.and_then(|trial| refusal(trial, fleet, observed));
    let named = |attempt: Option<u64>| trial.is_some_and(|trial| attempt == Some(trial.attempt));
    let signals = Signals {
        wish,
        abort: named(commands.abort),
        promote: named(commands.promote),
        retry: commands.retry.as_deref().is_some_and(|token| record.is_fresh(token)),
        held: valid.is_some_and(|valid| valid.paused),
        approval: valid.map_or(Approval::NotNeeded, |valid| approval(record, valid, commands.approve)),
        configuration_changed: valid
            .is_some_and(|valid| valid.configuration != record.assignment.configuration),
        tripped: trip.is_some(),
        refused: refusal.is_some(),
        verdict: judgement.as_ref().map_or(Verdict::Inconclusive, |judgement| judgement.verdict),
        acknowledged: trial.is_some_and(|trial| {
            fleet.all_counted(|report| model_state(report, trial.model.digest) == Some(&ModelState::Verified))
        }),
        promoted: trial
            .is_some_and(|trial| fleet.all_counted(|report| report.stable == Some(trial.model.digest))),
        released: fleet.released(),
        minimums_met: valid.is_some_and(|valid| minimums_met(record, valid, fleet)),
        overdue: valid
            .filter(|valid| is_overdue(record, valid, observed, now))
            .map(|valid| valid.rollout.on_deadline),
        blind: is_silent(&observed.pods, observed.settings.blind_limit),
        uneven: sample_ratio(record).is_some_and(SampleRatio::is_uneven),
        // A spec that cannot be used keeps the way back.
        watched: record.stable.is_some() && valid.is_none_or(|valid| valid.rollout.watch_seconds > 0),
        watch_over: valid
            .is_some_and(|valid| fleet.elapsed() >= Duration::from_secs(valid.rollout.watch_seconds)),
        weights: valid
            .map(|valid| valid.rollout.steps.iter().map(|step| step.weight_percent).collect())
            .unwrap_or_default(),
    };
    Judged { signals, judgement, trip, refusal }
}

/// What a trial's pods saw, added up once, and what the guards say about it.
pub(crate) struct Seen {
    pub(crate) evidence: EvidenceSnapshot,
    /// `None` as long as the pods saw nothing.
    pub(crate) judgement: Option<Judgement>,
}

impl Seen {
    pub(crate) fn of(trial: &TrialRecord) -> Self {
        let evidence = trial.evidence.merged();
        let judge = || judge(&evidence, &guard_settings(trial.margins), &trial.guards);
        Self { judgement: (evidence.pairs > 0).then(judge), evidence }
    }
}

/// Whether the next growth of exposure waits for somebody.
fn approval(record: &Record, valid: &ValidPolicy, given: Option<ApprovedStep>) -> Approval {
    let (Some(trial), Some(at)) = (&record.trial, record.rollout.halt()) else { return Approval::NotNeeded };
    let steps = &valid.rollout.steps;
    let next = usize::try_from(at.next_step()).ok().and_then(|index| steps.get(index));
    let asked = next.map_or(valid.rollout.promotion, |step| step.approval);
    let wanted = at.to_approve(trial.attempt, u32::try_from(steps.len()).unwrap_or(u32::MAX));
    match asked {
        routing_policy::Approval::Automatic => Approval::NotNeeded,
        routing_policy::Approval::Manual if given == Some(wanted) => Approval::Given,
        routing_policy::Approval::Manual => Approval::Awaited,
    }
}

/// Whether the requests are split as the weight says that the pods hold; `None` where the candidate decides none, or too
/// few were seen.
pub(crate) fn sample_ratio(record: &Record) -> Option<SampleRatio> {
    let weight = record.assignment.trial.as_ref()?.weight;
    record.trial.as_ref()?.evidence.sample_ratio(record.assignment.epoch, weight)
}

fn trip(trial: &TrialRecord, observed: &Observed) -> Option<(String, TripCause)> {
    observed.pods.iter().find_map(|pod| {
        let trips = &pod.report.as_ref()?.trips;
        let trip =
            trips.iter().find(|trip| trip.digest == trial.model.digest && trip.attempt == trial.attempt)?;
        Some((pod.name.clone(), trip.cause))
    })
}

fn refusal(trial: &TrialRecord, fleet: FleetView<'_>, observed: &Observed) -> Option<(String, String)> {
    observed.pods.iter().filter(|pod| fleet.acknowledges(pod)).find_map(|pod| {
        match model_state(pod.report.as_ref()?, trial.model.digest)? {
            ModelState::Refused(why) => Some((pod.name.clone(), why.clone())),
            ModelState::Missing | ModelState::Verified => None,
        }
    })
}

fn minimums_met(record: &Record, valid: &ValidPolicy, fleet: FleetView<'_>) -> bool {
    let Some(trial) = &record.trial else { return false };
    let seen = trial.evidence.step(record.assignment.epoch);
    let steps = &valid.rollout.steps;
    let step_of =
        |index: u32| usize::try_from(index).ok().and_then(|index| steps.get(index)).or(steps.last());
    let samples_of = |at: Halt| match at {
        Halt::Shadow => Some(valid.rollout.shadow.min_samples),
        Halt::Canary(canary) => step_of(canary.step).map(|step| step.min_samples),
    };
    match record.rollout {
        Rollout::Shadow => {
            seen.pairs >= valid.rollout.shadow.min_samples
                && fleet.elapsed() >= Duration::from_secs(valid.rollout.shadow.min_seconds)
        }
        Rollout::Canary(canary) => step_of(canary.step).is_some_and(|step| {
            seen.candidate_decisions >= step.min_samples
                && fleet.elapsed() >= Duration::from_secs(step.min_seconds)
        }),
        // The candidate decides nothing while it waits: what counts is that there is traffic to be judged by.
        Rollout::Paused { reason: PauseReason::InsufficientData, at } => {
            samples_of(at).is_some_and(|samples| seen.pairs >= samples)
        }
        _ => false,
    }
}

fn is_overdue(record: &Record, valid: &ValidPolicy, observed: &Observed, now: Timestamp) -> bool {
    let Some(trial) = &record.trial else { return false };
    let counted = trial.clock.at(now, counts(record, observed));
    counted > Duration::from_secs(valid.rollout.step_deadline_seconds)
}

/// Whether time counts towards the step's deadline: neither paused nor blind.
pub(crate) fn counts(record: &Record, observed: &Observed) -> bool {
    matches!(record.rollout, Rollout::Shadow | Rollout::Canary(_))
        && !is_silent(&observed.pods, observed.settings.blind_limit)
}
