//! A mutex whose holder cannot leave it half-changed in a way that matters.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks; a panic of an earlier holder is no reason to stop routing: what stands behind these locks are counters and
/// maps that are whole after every statement.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
