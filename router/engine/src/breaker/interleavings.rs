//! Every interleaving of a few threads, and every value that the memory model lets them read.
//!
//! The sources of the breaker are compiled a second time here, upon loom's atomics and locks in
//! place of those of the standard library, so that plain `cargo test` runs this without a flag. The
//! state machine, which has neither, is the very same.

mod sync {
    pub(super) use loom::sync::atomic::AtomicU64;
    pub(super) use loom::sync::{Arc, Mutex, MutexGuard};

    use std::cell::Cell;

    pub(super) const PLACES: usize = 2;

    loom::thread_local! {
        static PLACE: Cell<usize> = Cell::new(0);
    }

    pub(super) fn place() -> usize {
        PLACE.with(Cell::get)
    }

    /// Lets the thread count at another place than the first.
    pub(super) fn take_place(place: usize) {
        PLACE.with(|held| held.set(place));
    }
}

#[expect(unreachable_pub, clippy::duplicate_mod, reason = "once more upon loom; there it is public")]
#[path = "shared.rs"]
mod shared;
#[expect(clippy::duplicate_mod, reason = "once more upon loom")]
#[path = "successes.rs"]
mod successes;

use std::time::Duration;

use loom::thread;

use self::shared::{Admission, Breaker, Permit};
use super::{BreakerState, Outcome, Settings, Snapshot, core, window};

const OPENED: Duration = Duration::ZERO;
/// When the time is over for which it opened.
const LATER: Duration = Duration::from_secs(5);

/// Tries all interleavings in which threads are stopped at most so often without need.
fn all_interleavings(stops: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(stops);
    builder.check(model);
}

fn closed(consecutive_failures: u32, half_open_probes: u32) -> Breaker {
    Breaker::new(Settings { consecutive_failures, half_open_probes, ..Settings::default() })
}

fn open(half_open_probes: u32) -> Breaker {
    let breaker = closed(1, half_open_probes);
    let permit = admit(&breaker, OPENED).expect("must admit");
    breaker.record(permit, Outcome::Failure, OPENED, u64::MAX);
    breaker
}

fn admit(breaker: &Breaker, now: Duration) -> Option<Permit> {
    match breaker.admit(now) {
        Admission::Admit(permit) => Some(permit),
        Admission::Refuse { retry_after } => {
            assert!(!retry_after.is_zero());
            None
        }
    }
}

/// Asks for a call and lets it succeed; whether there was one.
fn succeed(breaker: &Breaker) -> bool {
    admit(breaker, LATER).map(|permit| breaker.record(permit, Outcome::Success, LATER, 0)).is_some()
}

fn beside(breaker: &Breaker, work: impl FnOnce(&Breaker) + Send + 'static) -> thread::JoinHandle<()> {
    let breaker = breaker.clone();
    thread::spawn(move || {
        sync::take_place(1);
        work(&breaker);
    })
}

fn ended(thread: thread::JoinHandle<()>) {
    thread.join().expect("must not panic");
}

fn now(breaker: &Breaker) -> Snapshot {
    breaker.snapshot(LATER)
}

#[test]
fn however_threads_meet_exactly_the_probes_are_admitted() {
    all_interleavings(3, || {
        let breaker = open(2);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let breaker = breaker.clone();
                thread::spawn(move || [admit(&breaker, LATER), admit(&breaker, LATER)])
            })
            .collect();
        let mut permits: Vec<_> = admit(&breaker, LATER).into_iter().collect();
        for thread in threads {
            permits.extend(thread.join().expect("must not panic").into_iter().flatten());
        }
        assert_eq!((permits.len(), now(&breaker).probes_under_way), (2, 2));
    });
}

#[test]
fn a_thread_that_saw_it_open_does_not_push_back_a_breaker_that_has_just_closed() {
    all_interleavings(2, || {
        let breaker = open(1);
        let late: Vec<_> = (0..2)
            .map(|_| {
                beside(&breaker, |breaker| {
                    let _ = (breaker.admits(LATER), now(breaker));
                    drop(admit(breaker, LATER));
                })
            })
            .collect();
        let closed = succeed(&breaker);
        late.into_iter().for_each(ended);
        let snapshot = now(&breaker);
        assert_eq!(snapshot.state == BreakerState::Closed, closed);
        assert_eq!((snapshot.opened, snapshot.probes_under_way), (1, 0));
        assert!(succeed(&breaker), "it admits the next call, whatever has happened");
    });
}

#[test]
fn a_probe_that_is_given_back_while_others_ask_is_neither_lost_nor_doubled() {
    all_interleavings(3, || {
        let breaker = open(1);
        let probe = admit(&breaker, LATER).expect("must admit the probe");
        let other = breaker.clone();
        let other = thread::spawn(move || admit(&other, LATER));
        drop(probe);
        let mine = admit(&breaker, LATER);
        let theirs = other.join().expect("must not panic");
        assert_eq!((mine.iter().chain(&theirs).count(), now(&breaker).probes_under_way), (1, 1));
        drop((mine, theirs));
        assert!(succeed(&breaker));
        assert_eq!(now(&breaker).state, BreakerState::Closed);
    });
}

/// It opens and closes again while another call of the first period ends.
fn a_period_ends_beside(outcome: Outcome, stops: usize) {
    all_interleavings(stops, move || {
        let breaker = closed(1, 1);
        let [old, late] = [(), ()].map(|()| admit(&breaker, OPENED).expect("must admit"));
        let late = beside(&breaker, move |breaker| breaker.record(late, outcome, OPENED, u64::MAX));
        breaker.record(old, Outcome::Failure, OPENED, u64::MAX);
        assert!(succeed(&breaker));
        ended(late);
        let snapshot = now(&breaker);
        assert_eq!((snapshot.state, snapshot.opened), (BreakerState::Closed, 1));
        assert_eq!((snapshot.recent_requests, snapshot.failures_in_a_row), (0, 0));
    });
}

#[test]
fn a_success_of_an_old_period_never_counts_in_the_next() {
    a_period_ends_beside(Outcome::Success, 3);
}

#[test]
fn a_failure_of_an_old_period_never_counts_in_the_next() {
    a_period_ends_beside(Outcome::Failure, 3);
}

#[test]
fn failures_that_meet_open_it_together() {
    all_interleavings(3, || {
        let breaker = closed(3, 1);
        let permits = || admit(&breaker, LATER).expect("must admit");
        let (mine, others) = (permits(), [permits(), permits()]);
        let threads = others.map(|permit| {
            beside(&breaker, |breaker| breaker.record(permit, Outcome::Failure, LATER, u64::MAX))
        });
        breaker.record(mine, Outcome::Failure, LATER, u64::MAX);
        threads.into_iter().for_each(ended);
        assert_eq!(now(&breaker).state, BreakerState::Open);
    });
}

#[test]
fn no_success_is_lost_while_a_failure_takes_them_all() {
    all_interleavings(3, || {
        let breaker = closed(100, 1);
        let other = beside(&breaker, |breaker| assert!(succeed(breaker) && succeed(breaker)));
        for outcome in [Outcome::Success, Outcome::Failure, Outcome::Failure] {
            let permit = admit(&breaker, LATER).expect("must admit");
            breaker.record(permit, outcome, LATER, 0);
        }
        ended(other);
        let snapshot = now(&breaker);
        assert_eq!((snapshot.recent_requests, snapshot.recent_failures), (5, 2));
    });
}

#[test]
fn a_success_at_another_place_ends_the_row_of_failures_that_began_before_it() {
    all_interleavings(3, || {
        let breaker = closed(2, 1);
        let fail = |breaker: &Breaker| {
            let permit = admit(breaker, LATER).expect("must admit");
            breaker.record(permit, Outcome::Failure, LATER, 0);
        };
        fail(&breaker);
        ended(beside(&breaker, |breaker| assert!(succeed(breaker))));
        fail(&breaker);
        let snapshot = now(&breaker);
        assert_eq!((snapshot.state, snapshot.failures_in_a_row), (BreakerState::Closed, 1));
    });
}
