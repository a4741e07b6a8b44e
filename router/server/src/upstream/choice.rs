//! The order in which candidates are asked. Pure.

use tinydancer_crds::routing_policy::Tier;

/// What the order of candidates depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Tier of the candidate.
    pub tier: Tier,
    /// Whether it has its key and its breaker admits a call.
    pub available: bool,
}

/// Positions of the candidates, first choice first. `standings` comes cheapest first.
///
/// The decided tier comes before the other one, so Powerful stands by for Lightweight, and Lightweight is the last resort
/// for Powerful. With `fallback`, only the first Lightweight is tried before Powerful. What is not available comes last.
pub fn chain(standings: &[Standing], decided: Tier, fallback: bool) -> Vec<usize> {
    let first = standings.iter().position(|standing| standing.tier == decided && standing.available);
    let group = |position: usize, standing: &Standing| match (standing.tier == decided, fallback) {
        (true, true) if Some(position) != first => 2,
        (true, _) => 0,
        (false, _) => 1,
    };
    let mut order: Vec<_> = standings
        .iter()
        .enumerate()
        .map(|(position, standing)| (!standing.available, group(position, standing), position))
        .collect();
    order.sort_unstable();
    order.into_iter().map(|(_, _, position)| position).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Tier::{Lightweight, Powerful};
    use proptest::prelude::*;

    fn standing(tier: Tier, available: bool) -> Standing {
        Standing { tier, available }
    }

    #[test]
    fn the_decided_tier_comes_first_and_cheapest_first_inside_it() {
        let standings = [Lightweight, Powerful, Lightweight, Powerful].map(|tier| standing(tier, true));
        assert_eq!(chain(&standings, Lightweight, false), [0, 2, 1, 3]);
        assert_eq!(chain(&standings, Powerful, false), [1, 3, 0, 2]);
    }

    #[test]
    fn with_fallback_powerful_stands_right_behind_the_first_lightweight() {
        let standings = [Lightweight, Powerful, Lightweight, Powerful].map(|tier| standing(tier, true));
        assert_eq!(chain(&standings, Lightweight, true), [0, 1, 3, 2]);
    }

    #[test]
    fn what_is_not_available_comes_last() {
        let standings = [standing(Lightweight, false), standing(Lightweight, true), standing(Powerful, true)];
        assert_eq!(chain(&standings, Lightweight, false), [1, 2, 0]);
        assert_eq!(chain(&standings, Lightweight, true), [1, 2, 0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_candidate_is_there_once_and_the_available_first(
            raw in prop::collection::vec((any::<bool>(), any::<bool>()), 0..12),
            powerful in any::<bool>(),
            fallback in any::<bool>(),
        ) {
            let tier = |powerful| if powerful { Powerful } else { Lightweight };
            let standings: Vec<_> = raw.iter().map(|&(p, available)| standing(tier(p), available)).collect();
            let order = chain(&standings, tier(powerful), fallback);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..standings.len()).collect::<Vec<_>>());
            let available: Vec<_> = order.iter().map(|&i| standings[i].available).collect();
            prop_assert!(available.is_sorted_by(|a, b| a >= b));
        }
    }
}
