//! The shared breaker, whose threads count successes apart, against its own state machine, told of
//! every outcome as it comes.

use std::time::Duration;

use proptest::prelude::*;

use super::core::{Core, Period};
use super::tests::{any_settings, seconds};
use super::window::{Ruler, Taken, Window};
use super::*;

/// A breaker and a state machine to which the same happens.
struct Both {
    breaker: Breaker,
    core: Core,
    nothing: Taken,
    under_way: Vec<(Permit, Period)>,
    now: Duration,
}

impl Both {
    fn new(settings: Settings) -> Self {
        Self {
            breaker: Breaker::new(settings),
            core: Core::new(settings, Period::first(u64::MAX)),
            nothing: Taken { recent: Window::new(Ruler::new(settings.window)), all: 0 },
            under_way: Vec::new(),
            now: Duration::ZERO,
        }
    }

    fn admit(&mut self) -> bool {
        match (self.breaker.admit(self.now), self.core.admit(self.now)) {
            (Admission::Admit(permit), Ok(period)) => {
                self.under_way.push((permit, period));
                true
            }
            (Admission::Refuse { retry_after }, Err(expected)) => retry_after == expected,
            _ => false,
        }
    }

    fn finish(&mut self, which: usize, failed: bool, jitter: u64, elsewhere: bool) {
        let outcome = if failed { Outcome::Failure } else { Outcome::Success };
        let (permit, period) = self.under_way.swap_remove(which % self.under_way.len());
        let (breaker, now) = (&self.breaker, self.now);
        if elsewhere {
            std::thread::scope(|scope| scope.spawn(|| breaker.record(permit, outcome, now, jitter)).join())
                .expect("must not panic");
        } else {
            breaker.record(permit, outcome, now, jitter);
        }
        if period == self.core.period() {
            self.core.record(outcome, now, jitter);
        }
    }

    fn abandon(&mut self, which: usize) {
        let (permit, period) = self.under_way.swap_remove(which % self.under_way.len());
        drop(permit);
        if period == self.core.period() {
            self.core.abandon();
        }
    }

    fn snapshots(&self) -> (Snapshot, Snapshot) {
        (self.breaker.snapshot(self.now), self.core.snapshot(self.now, &self.nothing))
    }
}

#[derive(Debug, Clone)]
enum Step {
    Wait { milliseconds: u64 },
    Admit,
    Finish { which: usize, failed: bool, jitter: u64, elsewhere: bool },
    Abandon { which: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let finish = (any::<usize>(), prop::bool::weighted(0.2), any::<u64>(), prop::bool::weighted(0.2));
    prop_oneof![
        1 => (0_u64..4_000).prop_map(|milliseconds| Step::Wait { milliseconds }),
        4 => Just(Step::Admit),
        4 => finish.prop_map(|(which, failed, jitter, elsewhere)| Step::Finish { which, failed, jitter, elsewhere }),
        1 => any::<usize>().prop_map(|which| Step::Abandon { which }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn wherever_threads_count_the_breaker_says_what_its_state_machine_says(
        settings in any_settings(),
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let mut both = Both::new(settings);
        for step in steps {
            match step {
                Step::Wait { milliseconds } => both.now += Duration::from_millis(milliseconds),
                Step::Admit => prop_assert!(both.admit(), "both must admit or refuse alike"),
                Step::Finish { .. } | Step::Abandon { .. } if both.under_way.is_empty() => {}
                Step::Finish { which, failed, jitter, elsewhere } => both.finish(which, failed, jitter, elsewhere),
                Step::Abandon { which } => both.abandon(which),
            }
            let (said, expected) = both.snapshots();
            prop_assert_eq!(said, expected);
            prop_assert_eq!(both.breaker.admits(both.now), expected.admits);
        }
    }
}

#[test]
fn every_success_of_every_thread_is_in_the_share_that_a_failure_is_measured_by() {
    let settings =
        Settings { consecutive_failures: u32::MAX, failure_rate_permille: 1000, ..Settings::default() };
    let breaker = Breaker::new(settings);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let breaker = &breaker;
            scope.spawn(move || {
                for call in 0..25_000_u64 {
                    let now = Duration::from_micros(100 * call + thread);
                    let Admission::Admit(permit) = breaker.admit(now) else { return };
                    let failed = call % 10 == 0;
                    let outcome = if failed { Outcome::Failure } else { Outcome::Success };
                    breaker.record(permit, outcome, now, 0);
                }
            });
        }
    });
    let snapshot = breaker.snapshot(seconds(3));
    assert_eq!((snapshot.recent_requests, snapshot.recent_failures), (100_000, 10_000));
    assert_eq!(breaker.snapshot(seconds(60)).recent_requests, 0);
}

#[test]
fn a_permit_of_another_breaker_says_nothing_and_its_probe_goes_back_there() {
    let settings = Settings { consecutive_failures: 1, ..Settings::default() };
    let (one, other) = (Breaker::new(settings), Breaker::new(settings));
    let admit = |breaker: &Breaker, now| match breaker.admit(now) {
        Admission::Admit(permit) => permit,
        Admission::Refuse { .. } => unreachable!("must admit"),
    };
    for outcome in [Outcome::Success, Outcome::Failure] {
        other.record(admit(&one, seconds(0)), outcome, seconds(0), 0);
    }
    let untouched = Breaker::new(settings).snapshot(seconds(0));
    assert_eq!((one.snapshot(seconds(0)), other.snapshot(seconds(0))), (untouched, untouched));
    one.record(admit(&one, seconds(0)), Outcome::Failure, seconds(0), 0);
    other.record(admit(&one, seconds(5)), Outcome::Failure, seconds(5), 0);
    assert_eq!((one.snapshot(seconds(5)).probes_under_way, other.snapshot(seconds(5)).opened), (0, 0));
}
