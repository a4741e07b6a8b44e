//! The loop around a clock.
//!
//! The clock is the thread's own: it stands still while another program has the core. On a machine that does nothing else
//! it agrees with the one on the wall; on one that does, what it shows is still the work's.

use std::{hint::black_box, sync::Barrier, time::Duration};

use nix::time::{ClockId, clock_gettime};

use crate::machine;

/// What is measured: does it so many times and says how long that took.
pub type Repeat = Box<dyn FnMut(u64) -> Duration>;

/// An operation whose speed is roughly known, so that a turn can be given a length.
pub struct Operation {
    repeat: Repeat,
    /// Fewest repetitions of a turn, where they come in groups.
    least: u64,
    nanoseconds: Option<f64>,
}

impl Operation {
    /// Of a function that repeats it by itself.
    pub fn new(repeat: impl FnMut(u64) -> Duration + 'static) -> Self {
        Self::in_groups(1, repeat)
    }

    /// As [`Operation::new`], at least `least` times a turn.
    pub fn in_groups(least: u64, repeat: impl FnMut(u64) -> Duration + 'static) -> Self {
        Self { repeat: Box::new(repeat), least, nanoseconds: None }
    }

    /// Of something that is done once a call. It is handed the number of the call.
    pub fn of<T: 'static>(operation: impl FnMut(usize) -> T + 'static) -> Self {
        Self::new(repeat(operation))
    }

    /// Of something that does `group` operations a call.
    pub fn of_groups<T: 'static>(group: u64, operation: impl FnMut(usize) -> T + 'static) -> Self {
        let mut repeat = repeat(operation);
        Self::in_groups(group, move |count| {
            let calls = count.div_ceil(group);
            repeat(calls).mul_f64(count as f64 / (calls * group) as f64)
        })
    }

    /// Measures for about this long: nanoseconds an operation.
    pub fn turn(&mut self, length: Duration) -> f64 {
        let known = self.nanoseconds.unwrap_or_else(|| self.warm_up(length / 4));
        let count = ((length.as_nanos() as f64 / known.max(0.01)) as u64).max(self.least);
        let nanoseconds = (self.repeat)(count).as_nanos() as f64 / count as f64;
        self.nanoseconds = Some(nanoseconds);
        nanoseconds
    }

    /// Runs it the fewest times that are possible, to see that it runs.
    pub fn once(&mut self) {
        self.repeat(self.least);
    }

    /// Runs it so many times.
    pub fn repeat(&mut self, times: u64) {
        (self.repeat)(times);
    }

    fn warm_up(&mut self, length: Duration) -> f64 {
        let mut count = self.least;
        loop {
            let took = (self.repeat)(count);
            if took >= length || count > u64::MAX / 4 {
                return took.as_nanos() as f64 / count as f64;
            }
            count *= 2;
        }
    }
}

/// A function that repeats an operation with one clock around all repetitions.
pub fn repeat<T>(mut operation: impl FnMut(usize) -> T) -> impl FnMut(u64) -> Duration {
    move |count| {
        let begin = thread_time();
        for number in 0..count as usize {
            black_box(operation(number));
        }
        thread_time().saturating_sub(begin)
    }
}

/// How long the calling thread has run.
///
/// # Panics
/// On a system without such a clock, where nothing here can be measured.
#[expect(clippy::expect_used, reason = "a measurement without a clock must not go on")]
pub fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("the system must have a clock for threads").into()
}

/// Repeats an operation on two threads at once, each on a core of its own; the slower one counts.
pub fn on_two_threads(cores: [usize; 2], count: u64, operation: impl Fn() + Sync) -> Duration {
    let barrier = Barrier::new(2);
    let run = |core: usize| {
        // Where a thread cannot be pinned the kernel places it, which two busy threads come well out of.
        let _ = machine::pin(core);
        barrier.wait();
        let begin = thread_time();
        for _ in 0..count {
            operation();
        }
        thread_time().saturating_sub(begin)
    };
    std::thread::scope(|scope| {
        let threads = cores.map(|core| {
            let run = &run;
            scope.spawn(move || run(core))
        });
        threads.into_iter().filter_map(|thread| thread.join().ok()).max().unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_turn_repeats_as_often_as_its_length_holds() {
        let told = Rc::new(Cell::new(0));
        let seen = Rc::clone(&told);
        let mut operation = Operation::new(move |count| {
            seen.set(count);
            Duration::from_nanos(50 * count)
        });
        assert!((operation.turn(Duration::from_micros(100)) - 50.0).abs() < 1e-9);
        assert_eq!(told.get(), 2_000);
    }

    #[test]
    fn what_comes_in_groups_is_never_measured_below_one() {
        let told = Rc::new(Cell::new(0));
        let seen = Rc::clone(&told);
        let mut operation = Operation::in_groups(256, move |count| {
            seen.set(count);
            Duration::from_millis(count)
        });
        operation.turn(Duration::from_millis(1));
        assert_eq!(told.get(), 256);
    }

    #[test]
    fn a_thread_that_sleeps_takes_no_time() {
        let begin = thread_time();
        std::thread::sleep(Duration::from_millis(30));
        assert!(thread_time().saturating_sub(begin) < Duration::from_millis(15));
    }

    #[test]
    fn a_group_is_told_for_one_of_it() {
        let calls = Rc::new(Cell::new(0_u64));
        let seen = Rc::clone(&calls);
        let mut operation = Operation::of_groups(100, move |_| seen.set(seen.get() + 1));
        operation.once();
        assert_eq!(calls.get(), 1);
        assert!(operation.turn(Duration::from_micros(10)) < 1_000.0);
    }

    #[test]
    fn both_threads_do_all_the_repetitions() {
        let done = AtomicU64::new(0);
        on_two_threads([0, 1], 1_000, || {
            done.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(done.into_inner(), 2_000);
    }
}
