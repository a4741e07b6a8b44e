//! Turns, and what is made of them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use tinydancer_compare::machine::Machine;
use tinydancer_compare::peer::Peer;
use tinydancer_compare::report::{self, Report};
use tinydancer_compare::statistics::{Summary, quantile};
use tinydancer_engine::simd::Level;

use crate::rows::{Figure, Row, Rows};

/// How long and where.
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) turn: Duration,
    pub(crate) core: usize,
}

/// Runs everything a first time, where it only matters that it runs.
pub(crate) fn once(rows: Rows) {
    let Rows { list, bounds, .. } = rows;
    for mut operation in list.into_iter().map(|row| row.operation).chain(bounds.into_values()) {
        operation.once();
    }
}

/// Runs the rows so many times; what bounds them is left out.
pub(crate) fn repeated(rows: Rows, times: u64) {
    for mut row in rows.list {
        row.operation.repeat(times);
    }
}

/// The turns of one peer by row.
#[derive(Default)]
struct PeerTurns(BTreeMap<String, Vec<f64>>);

/// Every row's turns, round after round.
pub(crate) fn measured(plan: &Plan, rows: Rows, mut peers: Vec<Peer>) -> Result<Report> {
    let Rows { list: mut rows, mut bounds, .. } = rows;
    let mut turns = vec![Vec::with_capacity(plan.rounds); rows.len()];
    let mut bound_turns: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut peer_turns: Vec<PeerTurns> = peers.iter().map(|_| PeerTurns::default()).collect();
    for round in 0..plan.rounds {
        for (row, turns) in rows.iter_mut().zip(&mut turns) {
            turns.push(row.operation.turn(plan.turn));
            for (peer, known) in peers.iter_mut().zip(&mut peer_turns) {
                known.turn(peer, row, round, plan.turn)?;
            }
        }
        for (name, bound) in &mut bounds {
            bound_turns.entry(name.clone()).or_default().push(bound.turn(plan.turn));
        }
    }
    let bounds = bound_turns
        .into_iter()
        .filter_map(|(name, turns)| Some((name, Summary::of(&turns)?.median)))
        .collect();
    let versions: Vec<&str> = peers.iter().map(Peer::version).collect();
    let rows = rows
        .iter()
        .zip(&turns)
        .map(|(row, turns)| told(row, turns, &versions, &peer_turns, &bounds))
        .collect::<Result<_>>()?;
    Ok(Report {
        machine: Machine::here(plan.core),
        level: Level::best().name().to_owned(),
        rounds: plan.rounds,
        turn_milliseconds: u64::try_from(plan.turn.as_millis())?,
        rows,
    })
}

impl PeerTurns {
    /// A peer's turn at a row, unless it had it this round beside another of ours.
    fn turn(&mut self, peer: &mut Peer, row: &Row, round: usize, length: Duration) -> Result<()> {
        let Some(name) = &row.peer else { return Ok(()) };
        let turns = self.0.entry(name.clone()).or_default();
        if turns.len() <= round
            && let Some(nanoseconds) = peer.turn(name, length)?
        {
            turns.push(nanoseconds);
        }
        Ok(())
    }
}

fn told(
    row: &Row,
    turns: &[f64],
    versions: &[&str],
    peers: &[PeerTurns],
    bounds: &BTreeMap<String, f64>,
) -> Result<report::Row> {
    let (ours, spread) = match &row.figure {
        Figure::Median => {
            let summary = Summary::of(turns).context("a row must have a turn")?;
            (summary.median, Some(summary.spread()))
        }
        Figure::Quantile { share, calls } => {
            (quantile(&calls.borrow(), *share).context("a row must have a call")?, None)
        }
    };
    let peers: Vec<(String, Summary)> = versions
        .iter()
        .zip(peers)
        .filter_map(|(version, turns)| {
            let turns = turns.0.get(row.peer.as_ref()?)?;
            Some(((*version).to_owned(), Summary::of(turns)?))
        })
        .collect();
    Ok(report::Row::new(&row.name, ours, spread, &peers, row.bounds.of(bounds)))
}
