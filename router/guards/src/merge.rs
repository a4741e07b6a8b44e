//! The evidence of many pods as one.

use crate::evidence::{EvidenceSnapshot, GuardEvidence, LogWealth};

/// Adds up what pods saw: counts, sums and log-wealth. Pods see disjoint requests, and each pod's bets use its own past
/// only, so the product of their wealths is again a wealth. The order does not matter, nothing seen changes nothing.
pub fn merge<Snapshots>(snapshots: Snapshots) -> EvidenceSnapshot
where
    Snapshots: IntoIterator,
    Snapshots::Item: std::borrow::Borrow<EvidenceSnapshot>,
{
    let mut merged = EvidenceSnapshot::default();
    for snapshot in snapshots {
        let snapshot = std::borrow::Borrow::borrow(&snapshot);
        merged.pairs = merged.pairs.saturating_add(snapshot.pairs);
        merged.candidate_decisions = merged.candidate_decisions.saturating_add(snapshot.candidate_decisions);
        merged.stable_decisions = merged.stable_decisions.saturating_add(snapshot.stable_decisions);
        merged.outcomes = merged.outcomes.plus(snapshot.outcomes);
        merged.shapes.add(&snapshot.shapes);
        for (name, evidence) in &snapshot.guards {
            add(merged.guards.entry(*name).or_default(), evidence);
        }
    }
    merged
}

fn add(total: &mut GuardEvidence, part: &GuardEvidence) {
    total.observations = total.observations.saturating_add(part.observations);
    total.sum += part.sum;
    total.sum_of_squares += part.sum_of_squares;
    total.above = sum(total.above, part.above);
    total.below = match (total.below, part.below) {
        (Some(left), Some(right)) => Some(sum(left, right)),
        (left, right) => left.or(right),
    };
}

fn sum(left: LogWealth, right: LogWealth) -> LogWealth {
    LogWealth { harm: left.harm + right.harm, safe: left.safe + right.safe }
}

#[cfg(test)]
mod tests;
