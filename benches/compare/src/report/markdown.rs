//! A run as a block of a page, between two marks, so that a page is brought up to date by a run.

use anyhow::{Context, Result, ensure};

use super::table::{ratio, share, versions};
use super::{Report, time};

/// Where the block begins.
pub const BEGIN: &str = "<!-- begin: cargo xtask bench -->";
/// Where it ends.
pub const END: &str = "<!-- end: cargo xtask bench -->";

/// The page with the run in place of what stood between the marks.
///
/// # Errors
/// If the page does not have both marks, in order.
pub fn write_into(page: &str, report: &Report) -> Result<String> {
    let (before, rest) =
        page.split_once(BEGIN).with_context(|| format!("the page must have a line {BEGIN}"))?;
    let (_, after) =
        rest.split_once(END).with_context(|| format!("the page must have a line {END} after it"))?;
    ensure!(!after.contains(BEGIN), "the page must have {BEGIN} once");
    Ok(format!("{before}{BEGIN}\n{}{END}{after}", block(report)))
}

fn block(report: &Report) -> String {
    let versions = versions(&report.rows);
    let [machine, method] = report.heading();
    let mut lines = vec![format!("{machine}; {method}."), String::new()];
    let peers: String = versions.iter().map(|version| format!(" peer {version} |")).collect();
    lines.push(format!("| row | ours | spread |{peers} ratio | limit | share | counted |"));
    lines.push(format!("|---|---|---|{}---|---|---|---|", "---|".repeat(versions.len())));
    for row in &report.rows {
        let peers: String = versions
            .iter()
            .map(|version| row.peers.iter().find(|peer| peer.version == *version))
            .map(|peer| format!(" {} |", peer.map_or_else(String::new, |peer| time(peer.ns))))
            .collect();
        lines.push(format!(
            "| {} | {} | {} |{peers} {} | {} | {} | {} |",
            row.name,
            time(row.ours_ns),
            share(row.ours_spread),
            row.ratio.map_or_else(String::new, ratio),
            row.limit_ns.map_or_else(String::new, time),
            share(row.share_of_limit),
            row.counted_ns.map_or_else(String::new, time),
        ));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn a_page_keeps_everything_but_the_block() {
        let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let once = write_into(&page, &report()).expect("must be written");
        assert!(once.starts_with("before\n") && once.ends_with("\nafter\n") && !once.contains("old"));
        assert!(once.contains(
            "| decision/100/int8 | 1.13 us | 2 % | 75.3 us | 79.4 us | 70x | 800 ns | 71 % | 280 ns |"
        ));
        assert_eq!(write_into(&once, &report()).expect("must be written"), once);
    }

    #[test]
    fn a_page_without_marks_is_refused() {
        assert!(write_into("nothing", &report()).is_err());
        assert!(write_into(&format!("{END}{BEGIN}"), &report()).is_err());
    }
}
