//! Which answers are compared: each of the candidate's arm with the one of stable's arm that ended next to it.

use serde::{Deserialize, Serialize};

use crate::bucket::Arm;

/// Answers of one arm that wait for a partner; the oldest goes.
const WAITING_LIMIT: usize = 32;

/// How many requests of each arm were sent on, and how many of them got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutcomeCounts {
    /// Sent on by the candidate's decision.
    pub candidate: u64,
    /// Of them, without an answer.
    pub candidate_failures: u64,
    /// Sent on by stable's decision.
    pub stable: u64,
    /// Of them, without an answer.
    pub stable_failures: u64,
}

impl OutcomeCounts {
    pub(crate) fn count(&mut self, arm: Arm, failed: bool) {
        let (all, failures) = match arm {
            Arm::Candidate => (&mut self.candidate, &mut self.candidate_failures),
            Arm::Stable => (&mut self.stable, &mut self.stable_failures),
        };
        *all = all.saturating_add(1);
        *failures = failures.saturating_add(u64::from(failed));
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            candidate: self.candidate.saturating_add(other.candidate),
            candidate_failures: self.candidate_failures.saturating_add(other.candidate_failures),
            stable: self.stable.saturating_add(other.stable),
            stable_failures: self.stable_failures.saturating_add(other.stable_failures),
        }
    }
}

/// Answers that have no partner yet. Who becomes whose partner depends on arms and time only, never on how the answers
/// turned out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Matching {
    /// All of one arm.
    waiting: Vec<(Arm, bool)>,
}

impl Matching {
    /// Takes one answer; with its partner, the candidate's failure minus stable's.
    pub(crate) fn pair(&mut self, arm: Arm, failed: bool) -> Option<f64> {
        if self.waiting.last().is_none_or(|(waiting, _)| *waiting == arm) {
            self.waiting.push((arm, failed));
            if self.waiting.len() > WAITING_LIMIT {
                self.waiting.remove(0);
            }
            return None;
        }
        let (_, partner) = self.waiting.pop()?;
        let (candidate, stable) = match arm {
            Arm::Candidate => (failed, partner),
            Arm::Stable => (partner, failed),
        };
        Some(f64::from(i8::from(candidate) - i8::from(stable)))
    }
}
