//! The plan: one look at one policy.

use jiff::Timestamp;
use tinydancer_crds::{
    Digest, Problem, RoutingPolicyStatus, ValidPolicy,
    conditions::{self, reasons},
    routing_policy::{KeyReference, OnDelete},
    valid::Commands,
};
use tinydancer_protocol::{Assignment, PROTOCOL_VERSION, PolicyIdentity};

use crate::{
    advance::{Circumstances, advance},
    assignment,
    build::{record_object, selector},
    calibration, children,
    conditions::{Findings, wishes},
    drift, explain,
    observed::{Observed, ObservedRecord, PolicyInput},
    plan::{Commit, Event, Plan},
    record::{RECORD_VERSION, Record, StepClock, TemplateInputs},
    resolve::{self, Target},
    rollout::{Cause, EvidenceBank, Owner, Rollout, counts, judged, step},
    status,
};

/// Poll intervals between two looks for a cure that no watch tells of.
const CURE_POLLS: u32 = 5;

/// What is to be done about one policy. The same arguments give the same plan; nothing else is looked at.
pub fn plan(policy: &PolicyInput, observed: &Observed, now: Timestamp) -> Plan {
    if policy.being_deleted {
        return idle(observed, observed.status.clone());
    }
    let before = match &observed.record {
        ObservedRecord::Broken(why) => {
            let problem = Problem {
                field: "the ConfigMap with the rollout record".to_owned(),
                message: format!("cannot be used, so nothing is changed: {why}"),
                reason: reasons::RECORD_UNREADABLE,
            };
            return idle(observed, described(policy, observed, None, &Outcome::of(vec![problem]), now));
        }
        ObservedRecord::Absent => None,
        ObservedRecord::Present { record, .. } => Some(record.as_ref()),
    };
    match (&policy.spec, before) {
        (Err(problems), None) => {
            idle(observed, described(policy, observed, None, &Outcome::of(problems.clone()), now))
        }
        (Err(problems), Some(record)) => planned(policy, observed, record.clone(), None, problems, now),
        (Ok(valid), Some(record)) => planned(policy, observed, record.clone(), Some(valid), &[], now),
        (Ok(valid), None) => {
            let record = first_record(&policy.identity, valid, observed);
            planned(policy, observed, record, Some(valid), &[], now)
        }
    }
}

fn idle(observed: &Observed, status: RoutingPolicyStatus) -> Plan {
    let wake = observed.settings.settled_interval;
    Plan { commit: None, status, events: Vec::new(), actions: Vec::new(), wake }
}

/// What was found out on the way, for the conditions.
#[derive(Default)]
struct Outcome {
    problems: Vec<Problem>,
    target: Option<Target>,
    deleted: Option<Problem>,
}

impl Outcome {
    fn of(problems: Vec<Problem>) -> Self {
        Self { problems, ..Self::default() }
    }
}

fn planned(
    policy: &PolicyInput,
    observed: &Observed,
    recorded: Record,
    valid: Option<&ValidPolicy>,
    problems: &[Problem],
    now: Timestamp,
) -> Plan {
    let mut record = recorded.clone();
    adopt(&mut record, &policy.identity);
    let target = valid.map(|valid| resolve::target(valid, &record, &observed.models));
    let is_due = absorb(&mut record, observed, now);
    let event = transition(&mut record, valid, &policy.commands, target.as_ref(), observed, now);
    if let Some(valid) = valid {
        configure(&mut record, &recorded, valid, observed);
    }
    calibration::renew(&mut record, &observed.pods, now);
    drift::renew(&mut record, &observed.pods, now);
    assignment::renew(&mut record, &recorded.assignment, observed);
    if !is_due && event.is_none() && is_only_evidence(&record, &recorded) {
        record = recorded;
    }
    let mut problems = problems.to_vec();
    problems.extend(hindrances(policy, observed, valid, target.as_ref(), &record));
    let outcome = Outcome { problems, deleted: resolve::deleted_in_use(&record, &observed.models), target };
    let status = described(policy, observed, Some(&record), &outcome, now);
    let mut actions =
        valid.map(|valid| children::actions(&policy.identity, valid, &record, observed)).unwrap_or_default();
    actions.extend(assignment::due(&record, observed));
    let wake = assignment::wake(&record, observed);
    let wake = match &outcome.target {
        Some(Target::Pending(_)) => observed.settings.poll_interval,
        _ if outcome.problems.iter().any(is_cured_unseen) => {
            wake.min(observed.settings.poll_interval * CURE_POLLS)
        }
        _ => wake,
    };
    let commit = commit(policy, observed, valid, record);
    Plan { commit, status, events: event.into_iter().collect(), actions, wake }
}

/// The record of a fleet that is seen for the first time.
fn first_record(identity: &PolicyIdentity, valid: &ValidPolicy, observed: &Observed) -> Record {
    let assignment = Assignment {
        protocol_version: PROTOCOL_VERSION,
        policy: identity.clone(),
        epoch: 0,
        configuration: valid.configuration.clone(),
        stable: None,
        trial: None,
        watch: None,
        calibration: None,
    };
    Record {
        version: RECORD_VERSION,
        boot: assignment.clone(),
        assignment,
        template: template(valid, observed),
        stable: None,
        previous: None,
        rollout: Rollout::Stable,
        trial: None,
        attempt: 0,
        quarantine: Vec::new(),
        spent_tokens: Vec::new(),
        past: Vec::new(),
        history: Vec::new(),
        calibrations: Vec::new(),
        drift: None,
    }
}

fn template(valid: &ValidPolicy, observed: &Observed) -> TemplateInputs {
    let fleet = &valid.fleet;
    TemplateInputs {
        image: fleet.image.clone().unwrap_or_else(|| observed.settings.router_image.clone()),
        resources: fleet.resources.clone(),
        node_selector: fleet.node_selector.clone(),
        tolerations: fleet.tolerations.clone(),
    }
}

/// Takes up the record of a policy of the same name. Its stable model is trusted, its trial is not: the evidence
/// belongs to pods that are gone. A watch goes on with evidence of its own.
fn adopt(record: &mut Record, identity: &PolicyIdentity) {
    if record.assignment.policy == *identity {
        return;
    }
    if record.rollout.is_under_way() {
        record.rollout = Rollout::Stable;
        record.trial = None;
    }
    if let Some(trial) = record.trial.as_mut().filter(|_| record.rollout == Rollout::Watching) {
        trial.evidence = EvidenceBank::default();
    }
    record.assignment.policy = identity.clone();
}

/// Takes in what the pods report and moves the clock. Returns whether that has to be written down even if nothing else
/// happened.
fn absorb(record: &mut Record, observed: &Observed, now: Timestamp) -> bool {
    let counts = counts(record, observed);
    let configuration = record.assignment.configuration.digest();
    let is_followed = record.rollout.is_followed();
    let Some(trial) = record.trial.as_mut().filter(|_| is_followed) else { return false };
    let owner = Owner {
        policy_uid: &record.assignment.policy.uid,
        attempt: trial.attempt,
        digest: trial.model.digest,
        configuration,
        phase: trial.phase,
    };
    let before = (trial.evidence.clone(), trial.clock.counted_millis);
    let is_due = trial.clock.is_due(trial.phase, now);
    let has_banked = trial.evidence.absorb(owner, &observed.pods);
    trial.clock = trial.clock.moved(now, counts);
    let has_changed = before != (trial.evidence.clone(), trial.clock.counted_millis);
    has_banked || (is_due && has_changed)
}

/// Lets the rollout go on by at most one transition. `Some` where it did, with the event it makes.
fn transition(
    record: &mut Record,
    valid: Option<&ValidPolicy>,
    commands: &Commands,
    target: Option<&Target>,
    observed: &Observed,
    now: Timestamp,
) -> Option<Event> {
    let wish = target.map_or(crate::rollout::Wish::Unknown, |target| resolve::wish(target, record));
    let judged = judged(record, valid, commands, wish, observed, now);
    let from = record.rollout;
    let transition = step(from, &judged.signals)?;
    let target = match target {
        Some(Target::Model { model, .. }) => Some(model),
        _ => None,
    };
    let subject = match transition.to {
        Rollout::Staging { .. } => target.map(|model| model.name.clone()),
        _ => record.trial.as_ref().map(|trial| trial.model.name.clone()),
    };
    let message = explain::message(transition, &judged, record, target.map(|model| model.name.as_str()));
    let event = explain::event(transition, subject.unwrap_or_default(), message.clone());
    let evidence = explain::evidence(transition, &judged, record);
    let token = commands.retry.as_deref();
    advance(record, transition, &Circumstances { target, token, message, evidence, now });
    Some(event)
}

/// Takes over what the spec says and pods or objects are made from.
fn configure(record: &mut Record, recorded: &Record, valid: &ValidPolicy, observed: &Observed) {
    record.assignment.configuration = valid.configuration.clone();
    let gathers = matches!(
        record.rollout,
        Rollout::Staging { .. }
            | Rollout::Shadow
            | Rollout::Canary(_)
            | Rollout::Paused { .. }
            | Rollout::Watching
    );
    if let Some(trial) = record.trial.as_mut().filter(|_| gathers) {
        trial.steps = u32::try_from(valid.rollout.steps.len()).unwrap_or(u32::MAX);
        trial.margins = valid.configuration.guards;
    }
    if let Some(trial) = record.trial.as_mut() {
        trial.watch_seconds = valid.rollout.watch_seconds;
    }
    // Pods are not replaced under a trial.
    if !recorded.rollout.is_under_way() {
        record.template = template(valid, observed);
    }
}

/// Whether the records differ in evidence and time at most.
fn is_only_evidence(record: &Record, recorded: &Record) -> bool {
    let without = |record: &Record| {
        let mut record = record.clone();
        if let Some(trial) = record.trial.as_mut() {
            trial.evidence = EvidenceBank::default();
            trial.clock = StepClock::started(Timestamp::UNIX_EPOCH);
        }
        record
    };
    without(record) == without(recorded)
}

/// Whether what puts it right is a Secret or somebody else's object, which the operator does not watch.
fn is_cured_unseen(problem: &Problem) -> bool {
    [reasons::API_KEY_NOT_FOUND, reasons::UNKNOWN_KEY, reasons::NAME_TAKEN].contains(&problem.reason)
}

/// What keeps the wish from being met until somebody acts.
fn hindrances(
    policy: &PolicyInput,
    observed: &Observed,
    valid: Option<&ValidPolicy>,
    target: Option<&Target>,
    record: &Record,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    match target {
        Some(Target::Unusable(problem)) => problems.push(problem.clone()),
        Some(Target::Model { model, .. })
            if !record.rollout.is_under_way() && record.is_quarantined(model.digest) =>
        {
            problems.push(Problem {
                field: "spec.model.name".to_owned(),
                message: format!(
                    "names '{}', which was rolled back: name another, or set the annotation '{}' to a new token",
                    model.name,
                    tinydancer_crds::RETRY_ANNOTATION
                ),
                reason: reasons::QUARANTINED,
            });
        }
        Some(Target::Model { model, .. }) if is_out_of_time(record, model.digest) => {
            problems.push(Problem {
                field: "spec.model.name".to_owned(),
                message: format!(
                    "names '{}', whose trial did not end in time: name another, or set the annotation '{}' to a new token",
                    model.name,
                    tinydancer_crds::RETRY_ANNOTATION
                ),
                reason: reasons::DEADLINE_EXCEEDED,
            });
        }
        _ => {}
    }
    problems.extend(children::taken(&policy.identity, observed));
    let keys = valid.into_iter().flat_map(|valid| valid.fleet.key_files());
    problems.extend(keys.filter(|(file, _)| observed.missing_api_keys.contains(file)).map(|(_, key)| {
        let KeyReference { name, key: entry } = key.reference;
        Problem {
            field: key.field,
            message: format!("must name a Secret with the key: there is no '{entry}' in '{name}'"),
            reason: reasons::API_KEY_NOT_FOUND,
        }
    }));
    problems
}

/// Whether the last trial was of this model and ended by its deadline: that is no judgement, and it starts no other either.
fn is_out_of_time(record: &Record, digest: Digest) -> bool {
    record.rollout == Rollout::RolledBack { cause: Cause::DeadlineExceeded }
        && record.trial.as_ref().is_some_and(|trial| trial.model.digest == digest)
}

fn described(
    policy: &PolicyInput,
    observed: &Observed,
    record: Option<&Record>,
    outcome: &Outcome,
    now: Timestamp,
) -> RoutingPolicyStatus {
    let ready = observed.pods.iter().filter(|pod| pod.ready).count();
    let replicas = replicas(policy, observed);
    let mut status = match record {
        // What cannot be read any more is still shown.
        None => observed.status.clone(),
        Some(_) => RoutingPolicyStatus::default(),
    };
    if let Some(record) = record {
        status::project(record, &mut status);
    }
    status.observed_generation = Some(policy.generation);
    status.replicas = i32::try_from(observed.pods.len()).unwrap_or(i32::MAX);
    status.selector = Some(selector(&policy.identity.name));
    status.fleet = replicas.map(|replicas| format!("{ready}/{replicas}"));
    let findings = Findings {
        problems: outcome.problems.clone(),
        target: outcome.target.as_ref(),
        deleted: outcome.deleted.clone(),
        record,
        observed,
        replicas,
    };
    let wishes = wishes(&findings);
    status.conditions = conditions::merge(&observed.status.conditions, &wishes, Some(policy.generation), now);
    status
}

/// Router pods asked for: by the spec, or where it cannot be used by the StatefulSet that stands.
fn replicas(policy: &PolicyInput, observed: &Observed) -> Option<usize> {
    let asked = match &policy.spec {
        Ok(valid) => Some(u64::from(valid.fleet.replicas)),
        Err(_) => observed
            .children
            .iter()
            .find(|child| child.kind == "StatefulSet" && child.owned)
            .and_then(|child| child.object.pointer("/spec/replicas")?.as_u64()),
    };
    asked.and_then(|replicas| usize::try_from(replicas).ok())
}

/// The commit, where the record or its owner has to change.
fn commit(
    policy: &PolicyInput,
    observed: &Observed,
    valid: Option<&ValidPolicy>,
    record: Record,
) -> Option<Commit> {
    let (replaces, owned) = match &observed.record {
        ObservedRecord::Present { record: before, resource_version, owned } => {
            let keeps_owner =
                valid.is_none_or(|valid| (valid.history.on_delete == OnDelete::Delete) == *owned);
            if **before == record && keeps_owner {
                return None;
            }
            (Some(resource_version.clone()), *owned)
        }
        ObservedRecord::Absent | ObservedRecord::Broken(_) => (None, false),
    };
    let on_delete = match valid {
        Some(valid) => valid.history.on_delete,
        None if owned => OnDelete::Delete,
        None => OnDelete::Retain,
    };
    let object = record_object(&policy.identity, &record, on_delete);
    Some(Commit { record, replaces, object })
}
