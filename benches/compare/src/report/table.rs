//! A run as lines for a terminal.

use std::fmt::Write as _;

use super::{Report, Row, time};

/// The rows as a table, with what was measured on.
pub fn table(report: &Report) -> String {
    let versions = versions(&report.rows);
    let mut out = report.heading().join("\n") + "\n";
    // Writing to a string cannot fail.
    let _ = write(&mut out, report, &versions);
    out.lines().map(str::trim_end).collect::<Vec<_>>().join("\n") + "\n"
}

fn write(out: &mut String, report: &Report, versions: &[String]) -> std::fmt::Result {
    line(out, ["row", "ours", "spread"], versions, ["ratio", "limit", "share", "counted"])?;
    for row in &report.rows {
        let (first, peers, last) = cells(row, versions);
        line(out, first.each_ref().map(String::as_str), &peers, last.each_ref().map(String::as_str))?;
    }
    Ok(())
}

fn line(out: &mut String, first: [&str; 3], peers: &[String], last: [&str; 4]) -> std::fmt::Result {
    let [name, ours, spread] = first;
    write!(out, "{name:<44} {ours:>10} {spread:>7}")?;
    for peer in peers {
        write!(out, " {peer:>10}")?;
    }
    let [ratio, limit, share, counted] = last;
    writeln!(out, " {ratio:>8} {limit:>10} {share:>6} {counted:>10}")
}

/// What is told of a row: itself, the time of each peer, and how they compare. What is not known is empty.
pub(super) fn cells(row: &Row, versions: &[String]) -> ([String; 3], Vec<String>, [String; 4]) {
    let known = |nanoseconds: Option<f64>| nanoseconds.map_or_else(String::new, time);
    let peers = versions.iter().map(|version| known(row.peer(version).map(|peer| peer.ns)));
    (
        [row.name.clone(), time(row.ours_ns), share(row.ours_spread)],
        peers.collect(),
        [
            row.ratio.map_or_else(String::new, ratio),
            known(row.limit_ns),
            share(row.share_of_limit),
            known(row.counted_ns),
        ],
    )
}

/// The peers' versions, oldest first.
pub(super) fn versions(rows: &[Row]) -> Vec<String> {
    let mut versions: Vec<String> = Vec::new();
    for peer in rows.iter().flat_map(|row| &row.peers) {
        if !versions.contains(&peer.version) {
            versions.push(peer.version.clone());
        }
    }
    versions
}

pub(super) fn ratio(ratio: f64) -> String {
    if ratio < 10.0 { format!("{ratio:.1}x") } else { format!("{ratio:.0}x") }
}

fn share(share: Option<f64>) -> String {
    share.map_or_else(String::new, |share| format!("{:.0} %", share * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn a_line_shows_both_peers_the_ratio_and_the_share() {
        let table = table(&report());
        let line = table.lines().find(|line| line.starts_with("decision/100/int8")).expect("must be there");
        for part in ["1.13 us", "75.3 us", "79.4 us", "70x", "800 ns", "71 %", "280 ns"] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
}
