//! What this process has seen of one trial, or of one watch, under one configuration.

use std::{
    num::NonZeroU32,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tinydancer_crds::{Digest, valid::GuardMargins};
use tinydancer_guards::{
    ApplicableGuards, Arm, Evidence, LocalTrip, Observation, TripCause, Verdict, judge_alone,
};
use tinydancer_protocol::{EvidenceOwner, TrialEvidence, guard_settings};
use uuid::Uuid;

use super::{
    DecisionId,
    audits::{AuditedDecision, Grades},
    lock::lock,
    model::Mean,
};

/// Over so many pods the error budget is spread where a pod judges by itself: it does not know how many there are, and
/// with at most this many a false alarm anywhere is as rare as the policy says.
const PODS: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// The memory of a trial or a watch. Belongs to exactly one [`EvidenceOwner`].
#[derive(Debug)]
pub(crate) struct Ledger {
    owner: EvidenceOwner,
    digest: Digest,
    reference: Option<Digest>,
    /// Decisions named before this are older than the evidence.
    begun: Uuid,
    tripped: AtomicBool,
    /// Requests and outcomes in the evidence that was kept last.
    kept: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    evidence: Evidence,
    trip: LocalTrip,
    candidate: Mean,
    stable: Mean,
}

impl Ledger {
    /// Of the model with this digest beside the one it is compared with.
    pub(crate) fn new(
        owner: EvidenceOwner,
        digest: Digest,
        reference: Option<Digest>,
        margins: GuardMargins,
        tripped: bool,
    ) -> Self {
        let seen = Seen {
            evidence: Evidence::new(guard_settings(margins)),
            trip: LocalTrip::new(),
            candidate: Mean::default(),
            stable: Mean::default(),
        };
        Self {
            owner,
            digest,
            reference,
            begun: Uuid::now_v7(),
            tripped: AtomicBool::new(tripped),
            kept: AtomicU64::new(0),
            seen: Mutex::new(seen),
        }
    }

    pub(crate) fn owner(&self) -> &EvidenceOwner {
        &self.owner
    }

    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether it is about these two models, for this owner.
    pub(crate) fn is_of(&self, owner: &EvidenceOwner, digest: Digest, reference: Option<Digest>) -> bool {
        (&self.owner, self.digest, self.reference) == (owner, digest, reference)
    }

    /// Whether this digest is out of traffic since this attempt, be it written down already or not.
    pub(crate) fn tripped_in(&self, digest: Digest, attempt: u64) -> bool {
        self.is_tripped() && (self.digest, self.owner.attempt) == (digest, attempt)
    }

    pub(crate) fn is_tripped(&self) -> bool {
        self.tripped.load(Ordering::Acquire)
    }

    /// Takes one scored request and whose decision counted. Says why the digest must leave the traffic, once: on the
    /// request that shows it.
    pub(crate) fn observe(&self, observation: &Observation, decided: Arm) -> Option<TripCause> {
        let mut seen = lock(&self.seen);
        seen.evidence.observe(observation);
        seen.evidence.count_decision(decided);
        if let Some((candidate, stable)) = observation.uncertainty {
            seen.candidate.add(f64::from(candidate));
            seen.stable.add(f64::from(stable));
        }
        let cause = seen.trip.observe(observation.is_fault())?;
        self.trip().then_some(cause)
    }

    /// Takes how a request ended that one of the two models decided after this evidence began; other requests are not its
    /// own. An answer can end minutes after its decision, when another test has begun.
    pub(crate) fn observe_outcome(&self, decision: &DecisionId, failed: bool) {
        let Some(decided) = decision.model().filter(|_| self.is_about(decision)) else { return };
        let arm = if decided == self.digest.short() {
            Arm::Candidate
        } else if self.reference.is_some_and(|reference| decided == reference.short()) {
            Arm::Stable
        } else {
            return;
        };
        lock(&self.seen).evidence.observe_outcome(arm, failed);
    }

    /// Takes what an audit has found of a request that both models scored after this evidence began.
    pub(crate) fn observe_audit(&self, decision: &AuditedDecision, grades: Grades) {
        let Some(beside) = decision.beside.as_ref().filter(|_| self.is_about(&decision.id)) else { return };
        let (candidate, reference) = if decision.decided.digest == self.digest {
            (&decision.decided, beside)
        } else {
            (beside, &decision.decided)
        };
        if (candidate.digest, Some(reference.digest)) != (self.digest, self.reference) {
            return;
        }
        if let (Some(candidate), Some(reference)) = (candidate.covers(grades), reference.covers(grades)) {
            lock(&self.seen).evidence.observe_coverage(candidate, reference);
        }
    }

    /// Whether a decision was made after this evidence began.
    fn is_about(&self, decision: &DecisionId) -> bool {
        decision.unique() >= self.begun
    }

    /// Judges this process's own evidence without the rest of the fleet. Says why the digest must leave the traffic, once.
    pub(crate) fn judge_alone(&self, guards: &ApplicableGuards) -> Option<TripCause> {
        let evidence = self.evidence();
        let judgement = judge_alone(evidence.snapshot(), evidence.settings(), guards, PODS);
        let guard = judgement.decisive.filter(|_| judgement.verdict == Verdict::Fail)?;
        self.trip().then_some(TripCause::Guard(guard))
    }

    /// The evidence, if there is more than was kept last.
    pub(crate) fn unkept(&self) -> Option<Evidence> {
        let evidence = self.evidence();
        (observations(&evidence) != self.kept.load(Ordering::Relaxed)).then_some(evidence)
    }

    /// This evidence is kept.
    pub(crate) fn is_kept(&self, evidence: &Evidence) {
        self.kept.store(observations(evidence), Ordering::Relaxed);
    }

    fn evidence(&self) -> Evidence {
        lock(&self.seen).evidence.clone()
    }

    /// The evidence as it is reported.
    pub(crate) fn report(&self) -> TrialEvidence {
        let seen = lock(&self.seen);
        TrialEvidence {
            owner: self.owner.clone(),
            digest: self.digest,
            snapshot: seen.evidence.snapshot().clone(),
            candidate_uncertainty: seen.candidate.get(),
            stable_uncertainty: seen.stable.get(),
        }
    }

    /// Takes the digest out of traffic; whether it was in traffic before.
    fn trip(&self) -> bool {
        !self.tripped.swap(true, Ordering::AcqRel)
    }
}

/// Requests and outcomes.
fn observations(evidence: &Evidence) -> u64 {
    let snapshot = evidence.snapshot();
    snapshot.pairs.saturating_add(snapshot.outcomes.candidate).saturating_add(snapshot.outcomes.stable)
}
