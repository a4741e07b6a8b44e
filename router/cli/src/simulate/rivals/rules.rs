//! Rules that compare one number with one limit at each check, and a breaker.

use tinydancer_guards::Arm;

use crate::simulate::study::Method;
use crate::simulate::traffic::Request;

/// Requests of the canary in one check.
const CHECK: u32 = 50;
/// Checks until the canary is promoted.
const CHECKS: u32 = 10;

/// Which share of the canary's requests is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Share {
    Faults { limit: f64 },
    Slow { limit: f64, nanoseconds: u64 },
    Failures { limit: f64 },
}

impl Share {
    fn is_bad(self, request: &Request) -> bool {
        match self {
            Self::Faults { .. } => request.observation.is_fault(),
            Self::Slow { nanoseconds, .. } => {
                request.observation.scoring_nanoseconds.is_some_and(|(candidate, _)| candidate > nanoseconds)
            }
            Self::Failures { .. } => request.fails(Arm::Candidate),
        }
    }

    const fn limit(self) -> f64 {
        match self {
            Self::Faults { limit } | Self::Slow { limit, .. } | Self::Failures { limit } => limit,
        }
    }
}

/// The share of the last 50 requests of the canary against the limit, at each of ten checks; so many checks that were
/// not met end it. Checks that failed are never forgotten, as in Flagger.
pub(super) struct Rule {
    share: Share,
    failed_checks: u32,
    seen: u32,
    bad: u32,
    checks: u32,
}

impl Rule {
    pub(super) fn new(share: Share, failed_checks: u32) -> Self {
        Self { share, failed_checks, seen: 0, bad: 0, checks: 0 }
    }
}

impl Method for Rule {
    fn see(&mut self, request: &Request, arm: Arm) -> bool {
        if arm == Arm::Stable || self.checks >= CHECKS {
            return false;
        }
        self.seen += 1;
        self.bad += u32::from(self.share.is_bad(request));
        if self.seen < CHECK {
            return false;
        }
        let failed = f64::from(self.bad) / f64::from(self.seen) > self.share.limit();
        (self.seen, self.bad) = (0, 0);
        self.checks += 1;
        self.failed_checks = self.failed_checks.saturating_sub(u32::from(failed));
        self.failed_checks == 0
    }
}

/// Five faults in a row in the canary.
#[derive(Default)]
pub(super) struct FiveInARow(u32);

impl Method for FiveInARow {
    fn see(&mut self, request: &Request, arm: Arm) -> bool {
        if arm == Arm::Candidate {
            self.0 = if request.observation.is_fault() { self.0 + 1 } else { 0 };
        }
        self.0 >= 5
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::traffic::{Candidate, Stream, Tenants};

    /// The share of 600 canaries with these faults that the rule ends.
    fn ended(fault_rate: f64, failed_checks: u32) -> f64 {
        let ended = (0..600_u64).filter(|seed| {
            let candidate = Candidate { fault_rate, ..Candidate::SAME };
            let mut stream = Stream::new(&[*seed], Tenants::Uniform, candidate);
            let mut rule = Rule::new(Share::Faults { limit: 0.01 }, failed_checks);
            (0..600).any(|_| rule.see(&stream.request(), Arm::Candidate))
        });
        ended.count() as f64 / 600.0
    }

    #[test]
    fn the_rules_end_as_many_canaries_as_the_binomial_says() {
        // 0.5 % faults: a check fails with 1 - 0.995^50 = 0.2217; ten checks: 91.8 % and 4.9 %.
        let (argo, flagger) = (ended(0.005, 1), ended(0.005, 5));
        assert!((argo - 0.918).abs() < 0.04 && (flagger - 0.049).abs() < 0.03, "{argo} {flagger}");
    }

    #[test]
    fn five_faults_in_a_row_and_not_four_open_the_breaker() {
        let mut stream =
            Stream::new(&[1], Tenants::Uniform, Candidate { fault_rate: 1.0, ..Candidate::SAME });
        let mut breaker = FiveInARow::default();
        let alarms: Vec<_> = (0..5).map(|_| breaker.see(&stream.request(), Arm::Candidate)).collect();
        assert_eq!(alarms, [false, false, false, false, true]);
    }
}
