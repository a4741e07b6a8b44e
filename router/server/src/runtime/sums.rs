//! What the audits of this pod say about each model, for as long as its volume lives.

use tinydancer_crds::Digest;
use tinydancer_history::PairSums;
use tinydancer_protocol::CalibrationSums;

use super::audits::{AuditedDecision, Grades, ModelScore};

/// Models whose sums are held; the one that was audited longest ago goes first.
const MODELS: usize = 16;

/// Sums by digest, the one audited last at the end.
#[derive(Debug, Default)]
pub(super) struct Sums(Vec<CalibrationSums>);

impl Sums {
    /// What the volume remembers, oldest first. What cannot have come from counting is left out.
    pub(super) fn restored(stored: &[PairSums]) -> Self {
        let sound = stored.iter().filter_map(|stored| {
            let sums = serde_json::from_str(&stored.sums).ok().filter(CalibrationSums::is_sound);
            if sums.is_none() {
                tracing::error!(
                    digest = stored.digest,
                    "the sums of past audits cannot be read; they begin anew"
                );
            }
            sums
        });
        Self(sound.collect())
    }

    /// Adds a pair, and says the new sums of the models that scored it as they are stored.
    pub(super) fn add(&mut self, decision: &AuditedDecision, grades: Grades) -> Vec<PairSums> {
        let decided = (&decision.decided, true);
        let beside = decision.beside.iter().map(|beside| (beside, false));
        // The one that decided comes last: it is held longest.
        beside.chain([decided]).map(|(said, decided)| self.count(said, decided, grades)).collect()
    }

    /// Of these models, those that were ever audited.
    pub(super) fn of(&self, digests: &[Digest]) -> Vec<CalibrationSums> {
        self.0.iter().filter(|sums| digests.contains(&sums.digest)).cloned().collect()
    }

    fn count(&mut self, said: &ModelScore, decided: bool, grades: Grades) -> PairSums {
        let mut sums = self.take(said.digest);
        sums.pairs += 1;
        // No threshold sends to Lightweight what is new to the model, so none loses anything on it.
        sums.regret.add(said.score, if said.novel { 0.0 } else { grades.regret() });
        if decided {
            sums.observed.pairs += 1;
            if said.lightweight {
                sums.observed.lightweight += 1;
                sums.observed.regret += grades.regret();
            }
        }
        if let Some(covered) = said.covers(grades) {
            sums.coverage.add(grades.good_enough(), covered);
        }
        // Numbers always serialise.
        let stored = serde_json::to_string(&sums).unwrap_or_default();
        self.0.push(sums);
        PairSums { digest: said.digest.to_string(), sums: stored }
    }

    /// The sums of a model, out of the list; new ones where there are none, for which the oldest make place.
    fn take(&mut self, digest: Digest) -> CalibrationSums {
        if let Some(held) = self.0.iter().position(|sums| sums.digest == digest) {
            return self.0.remove(held);
        }
        if self.0.len() >= MODELS {
            self.0.remove(0);
        }
        CalibrationSums::of(digest)
    }
}
