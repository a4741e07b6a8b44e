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
    write!(out, "{:<44} {:>10} {:>7}", "row", "ours", "spread")?;
    for version in versions {
        write!(out, " {version:>10}")?;
    }
    writeln!(out, " {:>8} {:>10} {:>6} {:>10}", "ratio", "limit", "share", "counted")?;
    for row in &report.rows {
        write!(out, "{:<44} {:>10} {:>7}", row.name, time(row.ours_ns), share(row.ours_spread))?;
        for version in versions {
            write!(out, " {:>10}", row.peer(version).map_or_else(String::new, |peer| time(peer.ns)))?;
        }
        let (limit, counted) = (row.limit_ns.map(time), row.counted_ns.map(time));
        writeln!(
            out,
            " {:>8} {:>10} {:>6} {:>10}",
            row.ratio.map_or_else(String::new, ratio),
            limit.unwrap_or_default(),
            share(row.share_of_limit),
            counted.unwrap_or_default(),
        )?;
    }
    Ok(())
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

pub(super) fn share(share: Option<f64>) -> String {
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
