use std::time::Duration;

use proptest::prelude::*;

use super::*;

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A breaker whose time a test moves on.
struct Trial {
    breaker: Breaker,
    now: Duration,
}

impl Trial {
    fn new(settings: Settings) -> Self {
        Self { breaker: Breaker::new(settings), now: seconds(0) }
    }

    fn admit(&self) -> Option<Permit> {
        match self.breaker.admit(self.now) {
            Admission::Admit(permit) => Some(permit),
            Admission::Refuse { .. } => None,
        }
    }

    fn call(&self, outcome: Outcome) {
        let permit = self.admit().expect("must admit");
        self.record(permit, outcome, u64::MAX);
    }

    fn record(&self, permit: Permit, outcome: Outcome, jitter: u64) {
        self.breaker.record(permit, outcome, self.now, jitter);
    }

    fn snapshot(&self) -> Snapshot {
        self.breaker.snapshot(self.now)
    }

    fn fail_until_open(&self) {
        while self.snapshot().state == BreakerState::Closed {
            self.call(Outcome::Failure);
        }
    }

    /// Opens it and waits until its time is over.
    fn half_open(settings: Settings) -> Self {
        let mut trial = Self::new(settings);
        trial.fail_until_open();
        trial.now += trial.snapshot().retry_after.expect("must be open");
        trial
    }
}

#[test]
fn failures_in_a_row_open_it_and_a_success_between_does_not() {
    let trial = Trial::new(Settings::default());
    for outcome in [Outcome::Failure; 4].into_iter().chain([Outcome::Success]).chain([Outcome::Failure; 4]) {
        trial.call(outcome);
    }
    assert_eq!(trial.snapshot().state, BreakerState::Closed);
    trial.call(Outcome::Failure);
    assert_eq!(trial.snapshot().state, BreakerState::Open);
    assert!(trial.admit().is_none());
}

#[test]
fn half_the_requests_failing_open_it_once_there_are_enough() {
    let settings = Settings { consecutive_failures: 100, ..Settings::default() };
    let trial = Trial::new(settings);
    for _ in 0..9 {
        trial.call(Outcome::Success);
        trial.call(Outcome::Failure);
    }
    trial.call(Outcome::Success);
    assert_eq!(trial.snapshot().state, BreakerState::Closed);
    trial.call(Outcome::Failure);
    assert_eq!(trial.snapshot().state, BreakerState::Open);
}

#[test]
fn a_few_failures_spread_over_a_million_successes_never_open_it() {
    let mut trial = Trial::new(Settings::default());
    for number in 1..=1_000_000_u32 {
        trial.now += Duration::from_millis(1);
        trial.call(if number % 200_000 == 0 { Outcome::Failure } else { Outcome::Success });
    }
    assert_eq!(trial.snapshot().opened, 0);
}

#[test]
fn an_adaptive_breaker_lets_an_upstream_be_as_it_usually_is_and_opens_when_it_gets_much_worse() {
    let opened_after = |adaptive| {
        let settings = Settings {
            consecutive_failures: 1000,
            failure_rate_permille: 50,
            adaptive,
            minimum_requests: 80,
            ..Settings::default()
        };
        let mut trial = Trial::new(settings);
        // Ten calls a second: an hour of which one in 25 fails, two of which one in 8, then one in 2.
        let each = [(36_000, 25), (72_000, 8), (1000, 2)];
        let mut calls =
            each.into_iter().flat_map(|(calls, each)| (0..calls).map(move |call| call % each == 0));
        calls.position(|failed| {
            trial.now += Duration::from_millis(100);
            trial.call(if failed { Outcome::Failure } else { Outcome::Success });
            trial.snapshot().opened > 0
        })
    };
    let fixed = opened_after(false).expect("must open");
    assert!((36_000..36_100).contains(&fixed), "one in 8 is more than 5 %: {fixed}");
    let adaptive = opened_after(true).expect("must open");
    assert!((108_000..108_100).contains(&adaptive), "one in 8 is usual and one in 2 is not: {adaptive}");
}

#[test]
fn failures_older_than_the_window_are_forgotten() {
    let settings = Settings { consecutive_failures: 100, ..Settings::default() };
    let mut trial = Trial::new(settings);
    for _ in 0..19 {
        trial.call(Outcome::Failure);
    }
    trial.now += seconds(11);
    trial.call(Outcome::Failure);
    assert_eq!(trial.snapshot().state, BreakerState::Closed);
}

#[test]
fn it_closes_only_when_every_probe_has_succeeded() {
    let trial = Trial::half_open(Settings::default());
    for _ in 0..2 {
        trial.call(Outcome::Success);
        assert_eq!(trial.snapshot().state, BreakerState::HalfOpen);
    }
    trial.call(Outcome::Success);
    assert_eq!(trial.snapshot().state, BreakerState::Closed);
}

#[test]
fn it_admits_exactly_the_probes() {
    let trial = Trial::half_open(Settings::default());
    let permits: Vec<_> = (0..3).map(|_| trial.admit().expect("must admit a probe")).collect();
    assert!(trial.admit().is_none());
    assert_eq!(trial.snapshot().probes_under_way, 3);
    for permit in permits {
        trial.record(permit, Outcome::Success, 0);
    }
    assert_eq!(trial.snapshot().state, BreakerState::Closed);
}

#[test]
fn successes_from_before_it_opened_are_no_probes() {
    let mut trial = Trial::new(Settings::default());
    for _ in 0..1000 {
        trial.call(Outcome::Success);
    }
    trial.fail_until_open();
    trial.now += seconds(5);
    trial.call(Outcome::Success);
    assert_eq!(trial.snapshot().state, BreakerState::HalfOpen);
}

#[test]
fn errors_that_are_the_callers_own_neither_open_it_nor_use_up_a_probe() {
    let settings = Settings { consecutive_failures: 1, half_open_probes: 1, ..Settings::default() };
    for trial in [Trial::new(settings), Trial::half_open(settings)] {
        for _ in 0..100 {
            drop(trial.admit().expect("must admit"));
        }
        let opened = trial.snapshot().opened;
        trial.call(Outcome::Success);
        assert_eq!((trial.snapshot().state, trial.snapshot().opened), (BreakerState::Closed, opened));
    }
}

#[test]
fn a_failed_probe_opens_it_for_longer_up_to_the_most() {
    let mut trial = Trial::half_open(Settings::default());
    for expected in [10, 20, 40, 80, 160, 300, 300] {
        trial.call(Outcome::Failure);
        assert_eq!(trial.snapshot().retry_after, Some(seconds(expected)));
        trial.now += seconds(expected);
    }
}

#[test]
fn after_it_was_closed_it_opens_for_the_first_time_again() {
    let mut trial = Trial::half_open(Settings::default());
    trial.call(Outcome::Failure);
    trial.now += seconds(10);
    for _ in 0..3 {
        trial.call(Outcome::Success);
    }
    trial.fail_until_open();
    assert_eq!(trial.snapshot().retry_after, Some(seconds(5)));
}

#[test]
fn reading_the_state_takes_no_probe() {
    let trial = Trial::half_open(Settings::default());
    let before = trial.snapshot();
    for _ in 0..100 {
        assert_eq!(trial.snapshot(), before);
    }
    assert_eq!((before.state, before.admits), (BreakerState::HalfOpen, true));
    assert!((0..3).filter_map(|_| trial.admit()).count() == 3);
}

#[test]
fn a_probe_whose_client_went_away_is_given_back() {
    let trial = Trial::half_open(Settings::default());
    for _ in 0..10 {
        drop(trial.admit().expect("must admit a probe"));
    }
    for _ in 0..3 {
        trial.call(Outcome::Success);
    }
    assert_eq!(trial.snapshot().state, BreakerState::Closed);
}

#[test]
fn calls_that_started_before_it_opened_say_nothing_about_later() {
    let mut trial = Trial::new(Settings::default());
    let late: Vec<_> = (0..10).filter_map(|_| trial.admit()).collect();
    trial.fail_until_open();
    trial.now += seconds(5);
    let probe = trial.admit().expect("must admit a probe");
    for (index, permit) in late.into_iter().enumerate() {
        let outcome = if index % 2 == 0 { Outcome::Success } else { Outcome::Failure };
        trial.record(permit, outcome, 0);
    }
    assert_eq!((trial.snapshot().state, trial.snapshot().probes_under_way), (BreakerState::HalfOpen, 1));
    trial.record(probe, Outcome::Success, 0);
    for _ in 0..2 {
        trial.call(Outcome::Success);
    }
    assert_eq!(trial.snapshot().state, BreakerState::Closed);
}

#[test]
fn a_probe_that_outlives_its_half_open_period_says_nothing_about_the_next() {
    let mut trial = Trial::half_open(Settings::default());
    let late = trial.admit().expect("must admit a probe");
    trial.call(Outcome::Failure);
    trial.now += seconds(10);
    let probe = trial.admit().expect("must admit a probe");
    trial.record(late, Outcome::Failure, 0);
    assert_eq!(trial.snapshot().state, BreakerState::HalfOpen);
    drop(probe);
    assert_eq!(trial.snapshot().probes_under_way, 0);
}

#[test]
fn a_probe_that_is_given_back_after_its_half_open_period_makes_no_room_in_the_next() {
    let mut trial = Trial::half_open(Settings::default());
    let late = trial.admit().expect("must admit a probe");
    trial.call(Outcome::Failure);
    trial.now += seconds(10);
    let probes: Vec<_> = (0..3).map(|_| trial.admit().expect("must admit a probe")).collect();
    drop(late);
    assert_eq!((trial.snapshot().probes_under_way, trial.admit().is_none()), (3, true));
    drop(probes);
}

#[test]
fn jitter_keeps_the_time_within_the_upper_half() {
    for (jitter, milliseconds) in [(0, 2500), (u64::MAX / 2, 3750), (u64::MAX, 5000)] {
        let open_for = Settings::default().open_for(0, jitter);
        assert_eq!(open_for.as_millis(), milliseconds);
    }
    assert_eq!(Settings::default().open_for(u32::MAX, u64::MAX), seconds(300));
}

#[test]
fn threads_never_get_more_probes_than_there_are() {
    for _ in 0..50 {
        let trial = Trial::half_open(Settings::default());
        let admitted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..10).filter_map(|_| trial.admit()).collect::<Vec<_>>()))
                .collect();
            let permits: Vec<_> =
                threads.into_iter().flat_map(|thread| thread.join().expect("must not panic")).collect();
            permits.len()
        });
        assert_eq!(admitted, 3);
    }
}

/// One thing that happens to a breaker.
#[derive(Debug, Clone)]
enum Step {
    Wait { milliseconds: u64 },
    Admit,
    Finish { which: usize, failed: bool, jitter: u64 },
    Drop { which: usize },
    Read,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u64..20_000).prop_map(|milliseconds| Step::Wait { milliseconds }),
        Just(Step::Admit),
        Just(Step::Admit),
        (any::<usize>(), any::<bool>(), any::<u64>()).prop_map(|(which, failed, jitter)| Step::Finish {
            which,
            failed,
            jitter
        }),
        any::<usize>().prop_map(|which| Step::Drop { which }),
        Just(Step::Read),
    ]
}

pub(super) fn any_settings() -> impl Strategy<Value = Settings> {
    (0_u32..6, (0_u16..=1000, any::<bool>()), 0_u32..10, 0_u64..15_000, 0_u32..8, 0_u32..60, 0_u32..5)
        .prop_map(
            |(
                consecutive_failures,
                (failure_rate_permille, adaptive),
                minimum_requests,
                window,
                open,
                most,
                probes,
            )| {
                Settings {
                    consecutive_failures,
                    failure_rate_permille,
                    adaptive,
                    minimum_requests,
                    window: Duration::from_millis(window),
                    open_seconds: open,
                    max_open_seconds: most,
                    half_open_probes: probes,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_probes_stay_within_their_number_and_it_closes_again(
        settings in any_settings(),
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut trial = Trial::new(settings);
        let probes = settings.half_open_probes.max(1);
        let mut permits = Vec::new();
        for step in steps {
            match step {
                Step::Wait { milliseconds } => trial.now += Duration::from_millis(milliseconds),
                Step::Admit => {
                    let expected = trial.snapshot().admits;
                    let permit = trial.admit();
                    prop_assert_eq!(permit.is_some(), expected, "a snapshot must say what happens");
                    permits.extend(permit);
                }
                Step::Finish { which, failed, jitter } if !permits.is_empty() => {
                    let outcome = if failed { Outcome::Failure } else { Outcome::Success };
                    trial.record(permits.swap_remove(which % permits.len()), outcome, jitter);
                }
                Step::Drop { which } if !permits.is_empty() => drop(permits.swap_remove(which % permits.len())),
                Step::Finish { .. } | Step::Drop { .. } => {}
                Step::Read => prop_assert_eq!(trial.snapshot(), trial.snapshot()),
            }
            let snapshot = trial.snapshot();
            prop_assert!(snapshot.probes_under_way <= probes);
            let most = seconds(u64::from(settings.max_open_seconds.max(1)));
            prop_assert!(snapshot.retry_after.is_none_or(|left| left <= most));
        }
        // Every call that is still under way ends somehow; then a healthy upstream closes it.
        permits.clear();
        trial.now += seconds(60);
        for _ in 0..probes {
            trial.call(Outcome::Success);
        }
        prop_assert_eq!(trial.snapshot().state, BreakerState::Closed);
    }

    #[test]
    fn an_upstream_that_never_fails_never_opens_it(
        settings in any_settings(),
        waits in prop::collection::vec(0_u64..5_000, 1..300),
    ) {
        let mut trial = Trial::new(settings);
        for milliseconds in waits {
            trial.now += Duration::from_millis(milliseconds);
            trial.call(Outcome::Success);
        }
        prop_assert_eq!(trial.snapshot().opened, 0);
    }

    #[test]
    fn fewer_failures_than_the_rate_never_open_it(
        outcomes in prop::collection::vec(prop::bool::weighted(0.3), 20..400),
    ) {
        let settings = Settings { consecutive_failures: u32::MAX, ..Settings::default() };
        let trial = Trial::new(settings);
        let (mut requests, mut failures) = (0_u32, 0_u32);
        for failed in outcomes {
            // Only failures that keep the share below one half are let through.
            let failed = failed && (requests < 19 || 2 * (failures + 1) < requests + 1);
            requests += 1;
            failures += u32::from(failed);
            trial.call(if failed { Outcome::Failure } else { Outcome::Success });
        }
        prop_assert_eq!(trial.snapshot().opened, 0);
    }
}
