//! The policy's conditions: what is so, and what to do about it.

use tinydancer_crds::{
    Problem,
    conditions::{Wish, reasons, types},
};

use crate::{
    calibration, drift,
    fleet::lost,
    observed::Observed,
    record::Record,
    resolve::Target,
    rollout::{Rollout, SampleRatio, sample_ratio},
};

/// Problems named in one message; the rest is counted.
const NAMED_PROBLEMS: usize = 5;

/// Everything the conditions are made from.
pub(crate) struct Findings<'a> {
    /// What keeps the wish from being met until somebody acts.
    pub(crate) problems: Vec<Problem>,
    /// The model that the fleet should come to; `None` where the spec cannot be used.
    pub(crate) target: Option<&'a Target>,
    /// A serving model without RouterModel.
    pub(crate) deleted: Option<Problem>,
    pub(crate) record: Option<&'a Record>,
    pub(crate) observed: &'a Observed,
    /// Router pods asked for, where known.
    pub(crate) replicas: Option<usize>,
}

/// The conditions, in their fixed order.
pub(crate) fn wishes(findings: &Findings<'_>) -> Vec<Wish> {
    let always = [
        ready(findings),
        reconciling(findings),
        stalled(findings),
        model_resolved(findings),
        fleet_available(findings),
        candidate_healthy(findings),
    ];
    let calibration = findings.record.and_then(calibration::words::condition);
    let drift = findings.record.and_then(|record| drift::condition(record, &findings.observed.pods));
    always.into_iter().chain(calibration).chain(drift).collect()
}

const fn wish(type_: &'static str, status: Option<bool>, reason: &'static str, message: String) -> Wish {
    Wish { type_, status, reason, message }
}

impl Findings<'_> {
    fn ready_pods(&self) -> usize {
        self.observed.pods.iter().filter(|pod| pod.ready).count()
    }

    fn is_fleet_whole(&self) -> bool {
        self.replicas.is_some_and(|replicas| replicas > 0 && self.ready_pods() >= replicas)
    }

    /// Whether the model on trial is the one that the spec vouches for.
    fn is_vouched(&self) -> bool {
        matches!(self.target, Some(Target::Model { trusted: true, .. })) && self.rollout().is_under_way()
    }

    fn rollout(&self) -> Rollout {
        self.record.map_or(Rollout::Stable, |record| record.rollout)
    }
}

/// Ready speaks of the stable fleet only: a trial, or a wish that cannot be met, does not change it.
fn ready(findings: &Findings<'_>) -> Wish {
    let Some(record) = findings.record else {
        let (reason, message) = match findings.problems.first() {
            Some(problem) => (problem.reason, named(&findings.problems)),
            None => (reasons::FLEET_PROGRESSING, "the fleet is being made".to_owned()),
        };
        return wish(types::READY, Some(false), reason, message);
    };
    if !findings.is_fleet_whole() {
        let (reason, message) = match findings.problems.first() {
            Some(problem) if findings.observed.pods.is_empty() => (problem.reason, named(&findings.problems)),
            _ => (reasons::FLEET_PROGRESSING, fleet(findings)),
        };
        return wish(types::READY, Some(false), reason, message);
    }
    let Some(stable) = &record.stable else {
        if let Some(trial) = record.trial.as_ref().filter(|_| findings.is_vouched()) {
            let message = format!("{} is not on every pod yet", trial.model.name);
            return wish(types::READY, Some(false), reasons::FLEET_PROGRESSING, message);
        }
        let message = "no model serves yet; everything goes to the Powerful tier".to_owned();
        return wish(types::READY, Some(true), reasons::POWERFUL_ONLY, message);
    };
    let message = format!("{} {} serves", stable.model.name, stable.model.version);
    wish(types::READY, Some(true), reasons::SETTLED, message)
}

/// Reconciling and Stalled are never both true: kstatus takes the first it finds.
fn reconciling(findings: &Findings<'_>) -> Wish {
    if let Some(problem) = findings.problems.first() {
        let message = "waits for somebody to change something: see Stalled".to_owned();
        return wish(types::RECONCILING, Some(false), problem.reason, message);
    }
    if let Some(trial) = findings.record.and_then(|record| record.trial.as_ref())
        && findings.rollout().is_under_way()
    {
        let message = format!("{} is in {:?}", trial.model.name, findings.rollout().shown());
        return wish(types::RECONCILING, Some(true), reasons::ROLLOUT_IN_PROGRESS, message);
    }
    if let Some(Target::Pending(problem)) = findings.target {
        return wish(types::RECONCILING, Some(true), problem.reason, problem.to_string());
    }
    if findings.is_fleet_whole() {
        return wish(types::RECONCILING, Some(false), reasons::SETTLED, "nothing is left to do".to_owned());
    }
    wish(types::RECONCILING, Some(true), reasons::FLEET_PROGRESSING, fleet(findings))
}

fn stalled(findings: &Findings<'_>) -> Wish {
    match findings.problems.first() {
        Some(problem) => wish(types::STALLED, Some(true), problem.reason, named(&findings.problems)),
        None => wish(types::STALLED, Some(false), reasons::SETTLED, "nothing stands in the way".to_owned()),
    }
}

fn model_resolved(findings: &Findings<'_>) -> Wish {
    let type_ = types::MODEL_RESOLVED;
    match findings.target {
        None => {
            let reason = findings.problems.first().map_or(reasons::INVALID_SPEC, |problem| problem.reason);
            wish(type_, None, reason, "the spec cannot be used: see Stalled".to_owned())
        }
        Some(Target::Unusable(problem)) => wish(type_, Some(false), problem.reason, problem.to_string()),
        Some(Target::Pending(problem)) => wish(type_, None, problem.reason, problem.to_string()),
        Some(Target::Model { model, .. }) => {
            if let Some(problem) = &findings.deleted {
                return wish(type_, Some(false), problem.reason, problem.to_string());
            }
            let message = format!("{} {} is verified and acceptable", model.name, model.version);
            wish(type_, Some(true), reasons::ARTIFACT_VERIFIED, message)
        }
    }
}

fn fleet_available(findings: &Findings<'_>) -> Wish {
    let mute: Vec<&str> = findings
        .observed
        .pods
        .iter()
        .filter(|pod| pod.report.as_ref().is_some_and(|report| !report.history_writable))
        .map(|pod| pod.name.as_str())
        .collect();
    let whole = findings.is_fleet_whole();
    let mut message = fleet(findings);
    let reason = if !mute.is_empty() {
        message =
            format!("{message}; the history of {} cannot be written: look at its volume", mute.join(", "));
        reasons::HISTORY_DEGRADED
    } else if whole {
        reasons::SETTLED
    } else {
        reasons::FLEET_PROGRESSING
    };
    wish(types::FLEET_AVAILABLE, Some(whole), reason, message)
}

/// Ready and wished pods, and those that are left out.
fn fleet(findings: &Findings<'_>) -> String {
    let wished = findings.replicas.map_or_else(|| "?".to_owned(), |replicas| replicas.to_string());
    let mut message = format!("{} of {wished} router pods are ready", findings.ready_pods());
    if findings.rollout().is_under_way() {
        let lost: Vec<&str> =
            lost(&findings.observed.pods, &findings.observed.settings).map(|pod| pod.name.as_str()).collect();
        if !lost.is_empty() {
            message =
                format!("{message}; {} cannot be reached and is left out of the trial", lost.join(", "));
        }
    }
    message
}

/// Speaks of the model on trial, and after its promotion of the same model in the watch.
fn candidate_healthy(findings: &Findings<'_>) -> Wish {
    let type_ = types::CANDIDATE_HEALTHY;
    let Some((record, trial)) =
        findings.record.and_then(|record| record.trial.as_ref().map(|trial| (record, trial)))
    else {
        return wish(type_, None, reasons::SETTLED, "no model is on trial".to_owned());
    };
    let name = &trial.model.name;
    match (record.rollout, record.armed()) {
        (Rollout::RollingBack { cause } | Rollout::RolledBack { cause }, _) => {
            wish(type_, Some(false), cause.reason(), trial.message.clone())
        }
        (Rollout::Paused { reason, .. }, _) => wish(type_, None, reason.reason(), trial.message.clone()),
        (_, Some(previous)) => {
            let message = format!("{name} shows no harm in the watch; {} stays armed", previous.model.name);
            wish(type_, Some(true), reasons::NO_HARM_FOUND, message)
        }
        _ if sample_ratio(record).is_some_and(SampleRatio::is_uneven) => {
            let message = format!(
                "the routers do not split the requests as the weight says, so {name} holds its share until they do: see \
                 status.rollout.sampleRatio, and look whether all routers run one version and whether somebody \
                 chooses conversation ids by where they are sent"
            );
            wish(type_, None, reasons::SAMPLE_RATIO_MISMATCH, message)
        }
        _ => wish(type_, Some(true), reasons::NO_HARM_FOUND, format!("{name} shows no harm")),
    }
}

fn named(problems: &[Problem]) -> String {
    let mut texts: Vec<String> = problems.iter().take(NAMED_PROBLEMS).map(ToString::to_string).collect();
    if problems.len() > NAMED_PROBLEMS {
        texts.push(format!("and {} more", problems.len() - NAMED_PROBLEMS));
    }
    texts.join("; ")
}
