//! A run as lines for a terminal.

use super::{Report, Row, time};

/// The rows as a table, with what was measured on.
pub fn table(report: &Report) -> String {
    let versions = versions(&report.rows);
    let mut lines = report.heading().to_vec();
    let mut head = format!("{:<44} {:>10} {:>7}", "row", "ours", "spread");
    for version in &versions {
        head += &format!(" {version:>10}");
    }
    lines.push(head + &format!(" {:>8} {:>10} {:>6} {:>10}", "ratio", "limit", "share", "counted"));
    lines.extend(report.rows.iter().map(|row| line(row, &versions)));
    lines.join("\n") + "\n"
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

fn line(row: &Row, versions: &[String]) -> String {
    let mut line = format!("{:<44} {:>10} {:>7}", row.name, time(row.ours_ns), share(row.ours_spread));
    for version in versions {
        let peer = row.peers.iter().find(|peer| peer.version == *version);
        line += &format!(" {:>10}", peer.map_or_else(String::new, |peer| time(peer.ns)));
    }
    line += &format!(
        " {:>8} {:>10} {:>6} {:>10}",
        row.ratio.map_or_else(String::new, ratio),
        row.limit_ns.map_or_else(String::new, time),
        share(row.share_of_limit),
        row.counted_ns.map_or_else(String::new, time),
    );
    line.trim_end().to_owned()
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
