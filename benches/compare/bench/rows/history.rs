//! A row of the history, without an embedding: queued, written by the writer's thread on the same core, and on disk. The
//! clock is the one on the wall, because most of the work is another thread's and the disk's.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use tinydancer_compare::measure::Operation;
use tinydancer_engine::features::STATISTICS;
use tinydancer_guards::Arm;
use tinydancer_history::{Decision, History, Options, Tier};

use super::{Row, Rows};

/// Decisions that wait for the disk together; no more than the queue holds.
const GROUP: u64 = 4_096;

pub(crate) fn add(all: &mut Rows, folder: &Path) -> Result<()> {
    all.add("history/full-group-commit", |_| {
        let (history, _) = History::open(&folder.join("full.db"), &Options::default())?;
        Ok(Row::of(insert(history)).beside("history"))
    })
}

fn insert(history: History) -> Operation {
    let mut number = 0_u64;
    Operation::in_groups(GROUP, move |count| {
        let begin = Instant::now();
        for _ in 0..count.div_ceil(GROUP) {
            for _ in 0..GROUP {
                number += 1;
                history.record_decision(decision(number));
            }
            if history.flush().is_err() || history.dropped() > 0 {
                // A time nobody takes for a good one.
                return Duration::MAX;
            }
        }
        let groups = count.div_ceil(GROUP) * GROUP;
        begin.elapsed().mul_f64(count as f64 / groups as f64)
    })
}

fn decision(number: u64) -> Decision {
    Decision {
        id: format!("support-0.{number:016x}"),
        at: 1_700_000_000 + number / 1_000,
        arm: Arm::Stable,
        digest: Some("sha256:0123456789abcdef".to_owned()),
        tier: if number.is_multiple_of(3) { Tier::Powerful } else { Tier::Lightweight },
        upstream: Some("small".to_owned()),
        score: Some(0.25),
        uncertainty: Some(0.125),
        good_enough: Some(0.875),
        statistics: vec![0.5; STATISTICS],
        shadow: None,
        propensity: 1.0,
        explored: false,
    }
}
