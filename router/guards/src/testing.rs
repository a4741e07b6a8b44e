//! Seeded traffic for the tests: what a stable model and a candidate say about the same requests.

use crate::{Evidence, EvidenceSnapshot, GuardSettings, Observation, merge};

/// `SplitMix64`; equal everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// 0 up to, but not, 1.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// Logistic-normal uncertainty; the two models' logits are correlated by 0.85, the candidate's are shifted and stretched.
#[derive(Clone, Copy)]
pub(crate) struct Traffic {
    pub(crate) shift: f64,
    pub(crate) stretch: f64,
    pub(crate) fault_rate: f64,
}

impl Traffic {
    pub(crate) const SAME: Self = Self { shift: 0.0, stretch: 1.0, fault_rate: 0.0 };

    /// One request. Both escalate where their uncertainty is above 0.4.
    pub(crate) fn request(&self, random: &mut Random) -> Observation {
        const CORRELATION: f64 = 0.85;
        const MEAN_LOGIT: f64 = -1.0;
        let shared = random.normal() * CORRELATION.sqrt();
        let own = (1.0 - CORRELATION).sqrt();
        let stable = logistic(MEAN_LOGIT + shared + own * random.normal());
        let candidate = logistic((MEAN_LOGIT + shared + own * random.normal()) * self.stretch + self.shift);
        if random.chance(self.fault_rate) {
            return Observation { fault: true, ..Observation::default() };
        }
        Observation {
            fault: false,
            uncertainty: Some((candidate as f32, stable as f32)),
            escalation: Some((candidate > 0.4, stable > 0.4)),
            scoring_nanoseconds: Some((9_000, 9_000)),
        }
    }
}

fn logistic(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// A fleet that spreads its requests evenly, up to `requests` in all; returns after how many of them `stop` was true of the
/// merged evidence. Looked at after every request.
pub(crate) fn run_fleet(
    traffic: Traffic,
    settings: GuardSettings,
    pods: usize,
    requests: usize,
    seed: u64,
    stop: impl Fn(&EvidenceSnapshot) -> bool,
) -> Option<usize> {
    let mut random = Random::new(seed);
    let mut fleet = vec![Evidence::new(settings); pods];
    for request in 0..requests {
        fleet[request % pods].observe(&traffic.request(&mut random));
        if stop(&merge(fleet.iter().map(Evidence::snapshot))) {
            return Some(request + 1);
        }
    }
    None
}

/// The value below which half of the runs lie; a run that never ended counts as endless.
pub(crate) fn median(mut ends: Vec<Option<usize>>) -> usize {
    ends.sort_by_key(|end| end.unwrap_or(usize::MAX));
    ends[ends.len() / 2].unwrap_or(usize::MAX)
}
