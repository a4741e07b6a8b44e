//! What a run found, and the forms it is shown in.

mod chart;
mod markdown;
mod table;

use serde::Serialize;

use crate::machine::Machine;
use crate::statistics::Summary;

pub use chart::draw;
pub use markdown::{BEGIN, END, write_into};
pub use table::table;

/// A run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What it ran on.
    pub machine: Machine,
    /// The instructions that the engine chose for this processor.
    pub level: String,
    /// Turns of each row.
    pub rounds: usize,
    /// Length of a turn.
    pub turn_milliseconds: u64,
    /// What was measured, in order.
    pub rows: Vec<Row>,
}

/// One operation, ours beside the peers'.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What it is.
    pub name: String,
    /// Nanoseconds an operation, the median of the turns.
    pub ours_ns: f64,
    /// How far the middle half of our turns lies apart, as a share of the median; nothing for a quantile, of which there
    /// is one.
    pub ours_spread: Option<f64>,
    /// The version that `peer_ns` and `ratio` are of: the last peer that was given and has the row.
    pub peer_version: Option<String>,
    /// Its nanoseconds.
    pub peer_ns: Option<f64>,
    /// How many times ours goes into it.
    pub ratio: Option<f64>,
    /// The bound that was measured on this machine: streaming the same bytes, and the cell alone in registers.
    pub limit_ns: Option<f64>,
    /// What share of our time the bound is.
    pub share_of_limit: Option<f64>,
    /// The bound by counting: operations over the throughput that was measured.
    pub counted_ns: Option<f64>,
    /// Every peer that has the row.
    pub peers: Vec<PeerFigure>,
}

/// A peer's time for a row.
#[derive(Debug, Clone, Serialize)]
pub struct PeerFigure {
    /// The version of its library.
    pub version: String,
    /// Nanoseconds an operation, the median of the turns.
    pub ns: f64,
    /// How far the middle half of the turns lies apart, as a share of the median.
    pub spread: f64,
}

/// Bounds of a row, in nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bounds {
    /// Stream and cell alone, both measured.
    pub limit: Option<f64>,
    /// By counting.
    pub counted: Option<f64>,
}

impl Row {
    /// Puts together what was measured. `peers` come oldest first.
    pub fn new(
        name: &str,
        ours_ns: f64,
        ours_spread: Option<f64>,
        peers: &[(String, Summary)],
        bounds: Bounds,
    ) -> Self {
        let newest = peers.last();
        Self {
            name: name.to_owned(),
            ours_ns,
            ours_spread,
            peer_version: newest.map(|(version, _)| version.clone()),
            peer_ns: newest.map(|(_, summary)| summary.median),
            ratio: newest.map(|(_, summary)| summary.median / ours_ns),
            limit_ns: bounds.limit,
            share_of_limit: bounds.limit.map(|limit| limit / ours_ns),
            counted_ns: bounds.counted,
            peers: peers
                .iter()
                .map(|(version, summary)| PeerFigure {
                    version: version.clone(),
                    ns: summary.median,
                    spread: summary.spread(),
                })
                .collect(),
        }
    }
}

impl Row {
    /// A peer's time, if it has the row.
    fn peer(&self, version: &str) -> Option<&PeerFigure> {
        self.peers.iter().find(|peer| peer.version == version)
    }
}

impl Report {
    /// The run in two lines: what it ran on and how.
    pub fn heading(&self) -> [String; 2] {
        let Machine { processor, features, cores, core, target } = &self.machine;
        [
            format!(
                "{processor}, {target}, {cores} cores, features {}; engine at {}",
                features.join(" "),
                self.level
            ),
            format!(
                "core {core} alone, {} interleaved turns of {} ms a row, medians",
                self.rounds, self.turn_milliseconds
            ),
        ]
    }
}

/// A time as people read it.
pub(crate) fn time(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        value if value < 999.5 => (value, "ns"),
        value if value < 999.5e3 => (value / 1e3, "us"),
        value => (value / 1e6, "ms"),
    };
    let digits = match value {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A run with a row that has everything and one that has nothing but a time.
    pub(crate) fn report() -> Report {
        let summary = |median| Summary { median, low: median * 0.99, high: median * 1.01 };
        let peers = [("0.1.1".to_owned(), summary(75_300.0)), ("2.3.0".to_owned(), summary(79_400.0))];
        let bounds = Bounds { limit: Some(800.0), counted: Some(280.0) };
        Report {
            machine: Machine {
                processor: "A processor <of ours>".to_owned(),
                features: vec!["avx2"],
                cores: 2,
                core: 1,
                target: "x86_64-linux".to_owned(),
            },
            level: "avx2".to_owned(),
            rounds: 15,
            turn_milliseconds: 20,
            rows: vec![
                Row::new("decision/100/int8", 1_130.0, Some(0.02), &peers, bounds),
                Row::new("text/p99", 9_996.0, None, &[], Bounds::default()),
            ],
        }
    }

    #[test]
    fn the_gate_is_the_newest_peer_over_ours_and_the_bound_over_ours() {
        let row = report().rows.swap_remove(0);
        assert_eq!(row.peer_version.as_deref(), Some("2.3.0"));
        assert!((row.ratio.expect("must be there") - 79_400.0 / 1_130.0).abs() < 1e-12);
        assert!((row.share_of_limit.expect("must be there") - 800.0 / 1_130.0).abs() < 1e-12);
        assert_eq!(row.peers.len(), 2);
    }

    #[test]
    fn a_row_without_a_peer_says_so_and_makes_none_up() {
        let row = serde_json::to_value(&report().rows[1]).expect("must be JSON");
        for field in ["peer_ns", "ratio", "limit_ns", "share_of_limit", "peer_version"] {
            assert!(row[field].is_null(), "{field}");
        }
    }

    #[test]
    fn times_have_three_digits() {
        assert_eq!(time(0.243), "0.24 ns");
        assert_eq!(time(57.84), "57.8 ns");
        assert_eq!(time(9_996.0), "10.0 us");
        assert_eq!(time(843_000.0), "843 us");
        assert_eq!(time(999_600.0), "1.00 ms");
        assert_eq!(time(2_500_000.0), "2.50 ms");
    }
}
