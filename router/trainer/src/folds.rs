//! Who is predicted by whom: the folds of a run, and work over them on several threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::random::Random;

/// Folds of every out-of-fold step.
pub const FOLDS: usize = 5;

/// A fold of 0 to `FOLDS - 1` for each of `rows` rows: random, and as even as can be.
pub fn assign(rows: usize, random: &mut Random) -> Vec<usize> {
    let mut folds: Vec<usize> = (0..rows).map(|row| row % FOLDS).collect();
    random.shuffle(&mut folds);
    folds
}

/// The folds that a fit leaves out: at most two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut {
    first: Option<usize>,
    second: Option<usize>,
}

impl LeftOut {
    /// Every row is used.
    pub const NOTHING: Self = Self { first: None, second: None };

    /// Leaves out one fold, or two different ones.
    pub fn folds(one: usize, other: usize) -> Self {
        Self { first: Some(one.min(other)), second: (one != other).then_some(one.max(other)) }
    }

    /// Whether rows of `fold` are left out.
    pub fn contains(self, fold: usize) -> bool {
        self.first == Some(fold) || self.second == Some(fold)
    }

    /// Where this is in [`LeftOut::all`].
    pub fn position(self) -> usize {
        let Some(first) = self.first else { return 0 };
        let before: usize = (0..first).map(|fold| FOLDS - fold).sum();
        1 + before + self.second.map_or(0, |second| second - first)
    }

    /// Nothing, each fold, and each pair of folds.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::NOTHING];
        for one in 0..FOLDS {
            all.extend((one..FOLDS).map(|other| Self::folds(one, other)));
        }
        all
    }
}

/// Runs `work(0)` to `work(count - 1)` on `threads` threads; results come in order, so that nothing depends on which
/// thread was faster.
pub fn parallel<T: Send>(count: usize, threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    if threads <= 1 {
        return (0..count).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(count));
    std::thread::scope(|scope| {
        for _ in 0..threads.min(count) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    let result = work(index);
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_even() {
        let folds = assign(103, &mut Random::stream(1, 1));
        for fold in 0..FOLDS {
            let size = folds.iter().filter(|f| **f == fold).count();
            assert!((20..=21).contains(&size));
        }
    }

    #[test]
    fn every_pair_of_folds_is_left_out_once() {
        let all = LeftOut::all();
        assert_eq!((all.len(), LeftOut::NOTHING.position()), (16, 0));
        for one in 0..FOLDS {
            for other in 0..FOLDS {
                let pair = LeftOut::folds(one, other);
                assert!(pair.contains(one) && pair.contains(other));
                assert_eq!(all.iter().filter(|left| **left == pair).count(), 1);
                assert_eq!(all[pair.position()], pair);
            }
        }
    }

    #[test]
    fn results_come_in_order_on_any_number_of_threads() {
        let squares: Vec<usize> = (0..50).map(|x| x * x).collect();
        for threads in [1, 2, 7, 80] {
            assert_eq!(parallel(50, threads, |x| x * x), squares);
        }
    }
}
