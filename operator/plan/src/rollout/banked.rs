//! Evidence that outlives reports: the last word of every process that gathers it, and the sum of those that ended.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tinydancer_crds::Digest;
use tinydancer_guards::{BasisPoints, EvidenceSnapshot, merge, sample_ratio};
use tinydancer_protocol::{EvidenceOwner, EvidencePhase, Report, TrialEvidence};
use uuid::Uuid;

use crate::{observed::ObservedPod, record::push_bounded};

/// Processes that ended and whose late reports are recognised, and their pods; the oldest goes.
const CLOSED_LIMIT: usize = 256;

/// A split between the arms that has less than this chance is not what the weight says (Fabijan et al., KDD 2019, use
/// 0.0005).
const UNEVEN: f64 = 0.001;

/// The evidence of one attempt under one configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceBank {
    /// Processes that may still report, by incarnation.
    pub open: BTreeMap<Uuid, OpenEvidence>,
    /// The sum of those that ended.
    pub banked: EvidenceSnapshot,
    /// Their uncertainty.
    pub banked_uncertainty: UncertaintySum,
    /// What those that ended did at the newest epoch one of them knew.
    pub banked_step: StepCount,
    /// Incarnations that were banked: a late report of theirs counts for nothing.
    pub closed: Vec<Uuid>,
    /// Uids of the pods whose evidence was banked.
    pub banked_pods: Vec<String>,
}

/// To whom the evidence must belong, whatever the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner<'a> {
    pub(crate) policy_uid: &'a str,
    pub(crate) attempt: u64,
    pub(crate) digest: Digest,
    pub(crate) configuration: Digest,
    pub(crate) phase: EvidencePhase,
}

/// How likely a split between the arms as uneven as the most uneven pod's is, if every pod keeps the weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleRatio(f64);

impl SampleRatio {
    /// The chance, 0 to 1.
    pub const fn chance(self) -> f64 {
        self.0
    }

    /// Whether growth has to wait.
    pub const fn is_uneven(self) -> bool {
        self.0 < UNEVEN
    }
}

/// The last word of one process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenEvidence {
    /// Uid of its pod.
    pub pod_uid: String,
    /// Its streams.
    pub snapshot: EvidenceSnapshot,
    /// Its uncertainty.
    pub uncertainty: UncertaintySum,
    /// What it did at the epoch that held there.
    pub step: StepCount,
    /// Different buckets that the candidate decided for at that epoch.
    pub candidate_buckets: u32,
    /// Different buckets that the stable model decided for.
    pub stable_buckets: u32,
}

/// Sums of uncertainty over pairs, so that means can be taken over processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UncertaintySum {
    /// Of the candidate.
    pub candidate: f64,
    /// Of the stable model on the same requests.
    pub stable: f64,
    /// Pairs with a candidate's value.
    pub pairs: u64,
    /// Pairs with a stable model's value.
    pub stable_pairs: u64,
}

/// What happened at one epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepCount {
    /// The epoch.
    pub epoch: u64,
    /// Requests the candidate decided.
    pub candidate_decisions: u64,
    /// Requests both scored.
    pub pairs: u64,
}

impl EvidenceBank {
    /// Takes what the pods report. Evidence of exactly this owner (whatever the incarnation) replaces the last word of
    /// its process; a process whose pod is gone, or whose pod runs another process, is banked, once. Returns whether any
    /// was.
    pub(crate) fn absorb(&mut self, expected: Owner<'_>, pods: &[ObservedPod]) -> bool {
        for pod in pods {
            let Some(report) = &pod.report else { continue };
            let Some(evidence) = &report.evidence else { continue };
            let owner = &evidence.owner;
            let about = evidence.digest == expected.digest;
            let belongs = about && expected.matches(owner) && owner.incarnation == report.incarnation;
            if belongs && !self.closed.contains(&owner.incarnation) && is_plausible(&evidence.snapshot) {
                self.open.insert(owner.incarnation, OpenEvidence::of(&pod.uid, report, evidence));
            }
        }
        let ended: Vec<Uuid> =
            self.open.iter().filter(|(id, last)| has_ended(**id, last, pods)).map(|(id, _)| *id).collect();
        for incarnation in &ended {
            self.close(*incarnation);
        }
        !ended.is_empty()
    }

    fn close(&mut self, incarnation: Uuid) {
        let Some(last) = self.open.remove(&incarnation) else { return };
        self.banked = merge([&self.banked, &last.snapshot]);
        self.banked_uncertainty = self.banked_uncertainty.plus(last.uncertainty);
        match self.banked_step.epoch.cmp(&last.step.epoch) {
            std::cmp::Ordering::Less => self.banked_step = last.step,
            std::cmp::Ordering::Equal => self.banked_step = self.banked_step.plus(last.step),
            std::cmp::Ordering::Greater => {}
        }
        push_bounded(&mut self.closed, incarnation, CLOSED_LIMIT);
        if last.snapshot.pairs > 0 && !self.banked_pods.contains(&last.pod_uid) {
            push_bounded(&mut self.banked_pods, last.pod_uid, CLOSED_LIMIT);
        }
    }

    /// How many pods saw anything.
    pub fn pods(&self) -> usize {
        let open = self.open.values().filter(|last| last.snapshot.pairs > 0).map(|last| &last.pod_uid);
        open.chain(&self.banked_pods).collect::<BTreeSet<_>>().len()
    }

    /// Whether the arms got the buckets that this weight gives them, by what each process saw at this epoch. Pods see the
    /// same keys, so they are never added up: the smallest chance counts, times the pods that give one (Bonferroni).
    /// `None` where no pod has seen enough to say.
    pub fn sample_ratio(&self, epoch: u64, weight: BasisPoints) -> Option<SampleRatio> {
        let chances: Vec<f64> = self
            .open
            .values()
            .filter(|last| last.step.epoch == epoch)
            .filter_map(|last| sample_ratio(weight, last.candidate_buckets, last.stable_buckets))
            .collect();
        let smallest = chances.iter().copied().reduce(f64::min)?;
        Some(SampleRatio((smallest * chances.len() as f64).min(1.0)))
    }

    /// Everything every process saw.
    pub fn merged(&self) -> EvidenceSnapshot {
        merge(self.open.values().map(|last| &last.snapshot).chain([&self.banked]))
    }

    /// What every process did at this epoch.
    pub fn step(&self, epoch: u64) -> StepCount {
        self.open
            .values()
            .map(|last| last.step)
            .chain([self.banked_step])
            .filter(|step| step.epoch == epoch)
            .fold(StepCount { epoch, ..StepCount::default() }, StepCount::plus)
    }

    /// Mean uncertainty over the pairs of all processes.
    pub fn uncertainty(&self) -> UncertaintySum {
        self.open.values().map(|last| last.uncertainty).fold(self.banked_uncertainty, UncertaintySum::plus)
    }
}

/// Whether sums of these numbers stay numbers: one that does not could never be read back from the record.
fn is_plausible(snapshot: &EvidenceSnapshot) -> bool {
    const LARGEST: f64 = 1e15;
    let is_small = |number: f64| number.abs() <= LARGEST;
    snapshot.guards.values().all(|guard| {
        let below = guard.below.unwrap_or_default();
        let numbers =
            [guard.sum, guard.sum_of_squares, guard.above.harm, guard.above.safe, below.harm, below.safe];
        numbers.into_iter().all(is_small)
    })
}

/// Whether the process will not report any more: its pod is gone or runs another one. A pod that is merely silent
/// may come back.
fn has_ended(incarnation: Uuid, last: &OpenEvidence, pods: &[ObservedPod]) -> bool {
    match pods.iter().find(|pod| pod.uid == last.pod_uid) {
        None => true,
        Some(pod) => pod.report.as_ref().is_some_and(|report| report.incarnation != incarnation),
    }
}

impl OpenEvidence {
    fn of(pod_uid: &str, report: &Report, evidence: &TrialEvidence) -> Self {
        let pairs = evidence.snapshot.pairs;
        let uncertainty = match (evidence.candidate_uncertainty, evidence.stable_uncertainty) {
            (None, _) => UncertaintySum::default(),
            (Some(candidate), stable) => UncertaintySum {
                candidate: candidate * pairs as f64,
                stable: stable.unwrap_or_default() * pairs as f64,
                pairs,
                stable_pairs: if stable.is_some() { pairs } else { 0 },
            },
        };
        Self {
            pod_uid: pod_uid.to_owned(),
            snapshot: evidence.snapshot.clone(),
            uncertainty,
            step: StepCount {
                epoch: report.epoch,
                candidate_decisions: report.step.candidate_decisions,
                pairs: report.step.pairs,
            },
            candidate_buckets: report.step.candidate_buckets,
            stable_buckets: report.step.stable_buckets,
        }
    }
}

impl Owner<'_> {
    fn matches(self, owner: &EvidenceOwner) -> bool {
        owner.policy_uid == self.policy_uid
            && owner.attempt == self.attempt
            && owner.configuration_digest == self.configuration
            && owner.phase == self.phase
    }
}

impl UncertaintySum {
    fn plus(self, other: Self) -> Self {
        Self {
            candidate: self.candidate + other.candidate,
            stable: self.stable + other.stable,
            pairs: self.pairs.saturating_add(other.pairs),
            stable_pairs: self.stable_pairs.saturating_add(other.stable_pairs),
        }
    }

    /// The candidate's mean.
    pub fn candidate_mean(&self) -> Option<f64> {
        (self.pairs > 0).then(|| self.candidate / self.pairs as f64)
    }

    /// The stable model's mean on the same requests.
    pub fn stable_mean(&self) -> Option<f64> {
        (self.stable_pairs > 0).then(|| self.stable / self.stable_pairs as f64)
    }
}

impl StepCount {
    fn plus(self, other: Self) -> Self {
        Self {
            epoch: self.epoch,
            candidate_decisions: self.candidate_decisions.saturating_add(other.candidate_decisions),
            pairs: self.pairs.saturating_add(other.pairs),
        }
    }
}
