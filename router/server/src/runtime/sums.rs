//! What the audits of this pod say about each model, for as long as its volume lives and the same LLMs answer.

use serde::{Deserialize, Serialize};
use tinydancer_crds::Digest;
use tinydancer_history::PairSums;
use tinydancer_protocol::{CalibrationSums, parties};

use super::audits::{AuditedDecision, Grades, ModelScore};

/// Models whose sums are held; the one that was audited longest ago goes first.
const MODELS: usize = 16;

/// Sums by digest, the one audited last at the end.
#[derive(Debug, Default)]
pub(super) struct Sums(Vec<Entry>);

/// The sums of one model.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    /// Whose answers were graded by whom: grades of other LLMs' answers say nothing about these, so the sums begin anew.
    parties: Digest,
    sums: CalibrationSums,
}

impl Sums {
    /// What the volume remembers, oldest first. What cannot have come from counting is left out.
    pub(super) fn restored(stored: &[PairSums]) -> Self {
        let sound = stored.iter().filter_map(|stored| {
            let entry = serde_json::from_str(&stored.sums).ok().filter(|entry: &Entry| entry.sums.is_sound());
            if entry.is_none() {
                let digest = &stored.digest;
                tracing::error!(digest, "the sums of past audits cannot be read; they begin anew");
            }
            entry
        });
        Self(sound.collect())
    }

    /// Adds a pair, and says the new sums of the models that scored it as they are stored.
    pub(super) fn add(&mut self, decision: &AuditedDecision, grades: Grades) -> Vec<PairSums> {
        let parties = parties(&decision.configuration);
        let decided = (&decision.decided, true);
        let beside = decision.beside.iter().map(|beside| (beside, false));
        // The one that decided comes last: it is held longest.
        beside.chain([decided]).map(|(said, decided)| self.count(parties, said, decided, grades)).collect()
    }

    /// Of these models, those that were ever audited between the same parties.
    pub(super) fn of(&self, parties: Digest, digests: &[Digest]) -> Vec<CalibrationSums> {
        let same = self.0.iter().filter(|entry| entry.parties == parties).map(|entry| &entry.sums);
        same.filter(|sums| digests.contains(&sums.digest)).cloned().collect()
    }

    fn count(&mut self, parties: Digest, said: &ModelScore, decided: bool, grades: Grades) -> PairSums {
        let mut entry = self.take(parties, said.digest);
        let sums = &mut entry.sums;
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
            sums.coverage_promised_permille = said.promised;
        }
        // Numbers always serialise.
        let stored = serde_json::to_string(&entry).unwrap_or_default();
        self.0.push(entry);
        PairSums { digest: said.digest.to_string(), sums: stored }
    }

    /// The sums of a model, out of the list; new ones where there are none between these parties, for which the oldest
    /// make place.
    fn take(&mut self, parties: Digest, digest: Digest) -> Entry {
        let held = self.0.iter().position(|entry| entry.sums.digest == digest);
        let held = held.map(|held| self.0.remove(held)).filter(|entry| entry.parties == parties);
        held.unwrap_or_else(|| {
            if self.0.len() >= MODELS {
                self.0.remove(0);
            }
            Entry { parties, sums: CalibrationSums::of(digest) }
        })
    }
}
