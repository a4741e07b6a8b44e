//! Which requests are picked for an audit or an exploration: the random part of the decision's name says so, so that the
//! same name always says the same, and each share is exact in expectation.

use uuid::Uuid;

/// What a request is picked for; the draws are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Draw {
    /// The other tier answers as well, and both are graded.
    Audit,
    /// The other tier answers instead.
    Explore,
}

impl Draw {
    /// Whether the decision with this name is among so many thousandths of all.
    pub(super) fn picks(self, unique: Uuid, permille: u16) -> bool {
        let (high, low) = unique.as_u64_pair();
        let place = mix(mix(high ^ self.salt()) ^ low);
        (u128::from(place) * 1000) >> 64 < u128::from(permille)
    }

    const fn salt(self) -> u64 {
        match self {
            Self::Audit => 0x6175_6469_7400_0001,
            Self::Explore => 0x6578_706c_6f72_6502,
        }
    }
}

/// The finaliser of `SplitMix64` (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUESTS: u32 = 100_000;

    fn share(permille: u16, picked: impl Fn(Uuid) -> bool) {
        let count = (0..REQUESTS).filter(|_| picked(Uuid::now_v7())).count() as f64;
        let (requests, share) = (f64::from(REQUESTS), f64::from(permille) / 1000.0);
        let sigma = (requests * share * (1.0 - share)).sqrt();
        assert!((count - requests * share).abs() <= 4.5 * sigma, "{permille}: {count}");
    }

    #[test]
    fn the_share_is_what_was_asked_for() {
        for permille in [0, 1, 50, 200, 999, 1000] {
            share(permille, |unique| Draw::Audit.picks(unique, permille));
            share(permille, |unique| Draw::Explore.picks(unique, permille));
        }
    }

    #[test]
    fn audits_and_explorations_are_drawn_independently() {
        share(250, |unique| Draw::Audit.picks(unique, 500) && Draw::Explore.picks(unique, 500));
    }

    #[test]
    fn a_larger_share_keeps_what_a_smaller_one_picked() {
        for unique in std::iter::repeat_with(Uuid::now_v7).take(1000) {
            let picked: Vec<_> = (0..=1000).map(|permille| Draw::Audit.picks(unique, permille)).collect();
            assert!(picked.is_sorted() && !picked[0] && picked[1000]);
        }
    }
}
