//! A closed breaker that is asked, by one thread and by two at once.

use std::hint::black_box;
use std::time::Duration;

use tinydancer_compare::machine;
use tinydancer_compare::measure::{Operation, on_two_threads};
use tinydancer_engine::breaker::{Breaker, Settings};

use super::{Row, Rows};

const NOW: Duration = Duration::from_secs(1);

pub(crate) fn add(all: &mut Rows) {
    let breaker = Breaker::new(Settings::default());
    let shared = breaker.clone();
    let one = Operation::of(move |_| black_box(&breaker).admit(black_box(NOW)));
    let two = Operation::new(move |count| {
        on_two_threads(machine::BOTH_CORES, count, || {
            drop(black_box(black_box(&shared).admit(black_box(NOW))));
        })
    });
    all.rows.push(Row::new("breaker/1-thread", one).beside("breaker/1"));
    all.rows.push(Row::new("breaker/2-threads", two).beside("breaker/2"));
}
