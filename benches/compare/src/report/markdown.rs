//! A run as a block of a page, between two marks, so that a page is brought up to date by a run.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};

use super::Report;
use super::table::{cells, versions};

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
    let mut block = String::new();
    write(&mut block, report)?;
    Ok(format!("{before}{BEGIN}\n{block}{END}{after}"))
}

fn write(out: &mut String, report: &Report) -> std::fmt::Result {
    let versions = versions(&report.rows);
    let [machine, method] = report.heading();
    writeln!(out, "{machine}; {method}.\n")?;
    write!(out, "| row | ours | spread |")?;
    for version in &versions {
        write!(out, " peer {version} |")?;
    }
    writeln!(out, " ratio | limit | share | counted |")?;
    writeln!(out, "|---|---|---|{}---|---|---|---|", "---|".repeat(versions.len()))?;
    for row in &report.rows {
        let (first, peers, last) = cells(row, &versions);
        let cells: Vec<String> = first.into_iter().chain(peers).chain(last).collect();
        writeln!(out, "| {} |", cells.join(" | "))?;
    }
    Ok(())
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
