//! A closed breaker that is asked, by one thread and by two at once.

use std::hint::black_box;
use std::time::Duration;

use anyhow::Result;
use tinydancer_compare::machine;
use tinydancer_compare::measure::{Operation, on_two_threads};
use tinydancer_engine::breaker::{Admission, Breaker, Settings};

use super::{Row, Rows};

const NOW: Duration = Duration::from_secs(1);

pub(crate) fn add(all: &mut Rows) -> Result<()> {
    all.add("breaker/1-thread", |_| {
        let breaker = Breaker::new(Settings::default());
        Ok(Row::of(Operation::of(move |_| is_admitted(&breaker))).beside("breaker/1"))
    })?;
    all.add("breaker/2-threads", |_| {
        let breaker = Breaker::new(Settings::default());
        let both = move |count| {
            on_two_threads(machine::BOTH_CORES, count, || {
                black_box(is_admitted(&breaker));
            })
        };
        Ok(Row::of(Operation::new(both)).beside("breaker/2"))
    })
}

/// What a call asks before it is made; the right to it is dropped.
fn is_admitted(breaker: &Breaker) -> bool {
    matches!(black_box(breaker).admit(black_box(NOW)), Admission::Admit(_))
}
