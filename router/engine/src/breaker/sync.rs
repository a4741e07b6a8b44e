//! What threads share state with. The tests that try every interleaving put their own in its place.

pub(super) use std::sync::atomic::AtomicU64;
pub(super) use std::sync::{Arc, Mutex, MutexGuard};

use std::sync::atomic::{AtomicUsize, Ordering};

/// Places where threads count. More threads than places share some, which is slower and as right.
pub(super) const PLACES: usize = 16;

/// The place of this thread: threads take them in turn as they come.
pub(super) fn place() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static PLACE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % PLACES;
    }
    PLACE.with(|place| *place)
}
