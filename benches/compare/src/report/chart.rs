//! A run as an SVG that is read in light and dark, on a logarithmic scale: the rows that have a peer, at the level that the
//! engine chose, with embeddings of four bytes a number and of one.

use std::fmt::Write as _;

use super::{Report, Row, table::ratio, time};

const WIDTH: f64 = 980.0;
/// Where bars begin and end.
const LEFT: f64 = 270.0;
const RIGHT: f64 = 900.0;
const TOP: f64 = 96.0;
/// Height of a row and of a bar in it.
const ROW: f64 = 44.0;
const BAR: f64 = 15.0;

const STYLE: &str = r#"<style>
text{font-family:ui-sans-serif,system-ui,"Segoe UI","DejaVu Sans",Arial,sans-serif;font-size:13px;fill:#17202b}
.h{font-size:16px;font-weight:600}.s{font-size:12px;fill:#52606f}.r{font-weight:600}
.bg{fill:#ffffff}.grid{stroke:#dde3ea;stroke-width:1}
.ours{fill:#0b5fcc}.peer{fill:#a9b4c0}.limit{stroke:#f59e0b;stroke-width:3}
@media (prefers-color-scheme: dark) {
text{fill:#e8edf3}.s{fill:#a5b1be}.bg{fill:#0d1117}.grid{stroke:#27313c}
.ours{fill:#6cb0ff}.peer{fill:#55616e}.limit{stroke:#ffd166}
}
</style>
"#;

/// Levels of instructions, as rows are named by them.
const LEVELS: [&str; 4] = ["avx512", "avx2", "neon", "portable"];

/// Draws a run.
pub fn draw(report: &Report) -> String {
    let is_shown = |row: &&Row| {
        let mut parts = row.name.split('/');
        row.peer_ns.is_some()
            && parts.all(|part| part == report.level || !LEVELS.contains(&part) && part != "f16")
    };
    let rows: Vec<&Row> = report.rows.iter().filter(is_shown).collect();
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, report, &rows);
    out
}

/// Powers of ten from one that no time is below to one that none is above.
struct Scale {
    low: i32,
    high: i32,
}

impl Scale {
    fn of(rows: &[&Row]) -> Self {
        let times = || rows.iter().flat_map(|row| [Some(row.ours_ns), row.peer_ns, row.limit_ns]).flatten();
        let low = times().fold(f64::INFINITY, f64::min).max(0.01);
        let high = times().fold(1.0, f64::max);
        let low = if low.is_finite() { low } else { 1.0 };
        Self { low: low.log10().floor() as i32, high: high.log10().ceil() as i32 }
    }

    fn x(&self, nanoseconds: f64) -> f64 {
        let share =
            (nanoseconds.max(1e-3).log10() - f64::from(self.low)) / f64::from((self.high - self.low).max(1));
        LEFT + share.max(0.0) * (RIGHT - LEFT)
    }
}

fn write(out: &mut String, report: &Report, rows: &[&Row]) -> std::fmt::Result {
    let scale = Scale::of(rows);
    let bottom = TOP + ROW * rows.len() as f64;
    let height = bottom + 48.0;
    let version = rows.iter().find_map(|row| row.peer_version.as_deref()).unwrap_or("none");
    writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-labelledby="title description">"#
    )?;
    writeln!(out, r#"<title id="title">Time of an operation, ours and the peer's</title>"#)?;
    writeln!(out, r#"<desc id="description">{}</desc>"#, described(rows))?;
    out.push_str(STYLE);
    writeln!(out, r#"<rect class="bg" width="{WIDTH}" height="{height}"/>"#)?;
    writeln!(
        out,
        r#"<text class="h" x="24" y="30">Time of an operation (logarithmic), ours and the peer's</text>"#
    )?;
    writeln!(out, r#"<text class="s" x="24" y="50">{}</text>"#, escaped(&report.heading()[0]))?;
    writeln!(
        out,
        r#"<rect class="ours" x="24" y="62" width="14" height="12"/><text x="44" y="73">ours</text>
<rect class="peer" x="94" y="62" width="14" height="12"/><text x="114" y="73">peer {version}</text>
<line class="limit" x1="204" x2="204" y1="60" y2="76"/><text x="212" y="73">limit measured in the run</text>"#
    )?;
    for power in scale.low..=scale.high {
        let (x, label) = (scale.x(10_f64.powi(power)), time(10_f64.powi(power)));
        writeln!(out, r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{bottom}"/>"#)?;
        let label = label.replace(".00", "").replace(".0", "");
        writeln!(
            out,
            r#"<text class="s" x="{x:.1}" y="{}" text-anchor="middle">{label}</text>"#,
            bottom + 20.0
        )?;
    }
    for (index, row) in rows.iter().enumerate() {
        bars(out, row, TOP + ROW * index as f64, &scale)?;
    }
    writeln!(out, "</svg>")
}

/// A row: its name, both bars with their times, the bound, the ratio.
fn bars(out: &mut String, row: &Row, top: f64, scale: &Scale) -> std::fmt::Result {
    let middle = top + ROW / 2.0;
    writeln!(
        out,
        r#"<text x="{}" y="{}" text-anchor="end">{}</text>"#,
        LEFT - 12.0,
        middle + 4.0,
        escaped(&row.name)
    )?;
    let times =
        [("ours", row.ours_ns, middle - BAR - 1.0), ("peer", row.peer_ns.unwrap_or(0.0), middle + 1.0)];
    for (class, nanoseconds, y) in times {
        let end = scale.x(nanoseconds);
        // Beside the mark of the bound, not under it.
        let text =
            if class == "ours" { end.max(row.limit_ns.map_or(end, |limit| scale.x(limit))) } else { end };
        writeln!(
            out,
            r#"<rect class="{class}" x="{LEFT}" y="{y:.1}" width="{:.1}" height="{BAR}"/><text class="s" x="{:.1}" y="{:.1}">{}</text>"#,
            (end - LEFT).max(1.0),
            text + 6.0,
            y + BAR - 3.0,
            time(nanoseconds)
        )?;
    }
    if let Some(limit) = row.limit_ns {
        let x = scale.x(limit);
        writeln!(
            out,
            r#"<line class="limit" x1="{x:.1}" x2="{x:.1}" y1="{:.1}" y2="{:.1}"/>"#,
            middle - BAR - 2.0,
            middle
        )?;
    }
    let ratio = row.ratio.map_or_else(String::new, ratio);
    writeln!(
        out,
        r#"<text class="r" x="{}" y="{}" text-anchor="end">{ratio}</text>"#,
        WIDTH - 16.0,
        middle + 4.0
    )
}

fn described(rows: &[&Row]) -> String {
    let against = |row: &&Row| {
        format!("{}: {} against {}.", escaped(&row.name), time(row.ours_ns), time(row.peer_ns.unwrap_or(0.0)))
    };
    rows.iter().map(against).collect::<Vec<_>>().join(" ")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn a_chart_has_a_bar_for_each_side_and_none_for_rows_without_a_peer() {
        let chart = draw(&report());
        assert_eq!(chart.matches(r#"<rect class="ours" x="270""#).count(), 1);
        assert_eq!(chart.matches(r#"<rect class="peer" x="270""#).count(), 1);
        assert!(!chart.contains("text/p99") && chart.contains("70x"));
        assert!(chart.contains("&lt;of ours&gt;") && !chart.contains("<of ours>"));
    }

    #[test]
    fn rows_of_another_level_are_left_to_the_table() {
        let mut report = report();
        for (row, name) in report.rows.iter_mut().zip(["decision/100/int8/portable", "text"]) {
            name.clone_into(&mut row.name);
        }
        assert!(!draw(&report).contains("portable"));
        report.level = "portable".to_owned();
        assert!(draw(&report).contains("decision/100/int8/portable"));
    }

    #[test]
    fn a_longer_time_has_a_longer_bar() {
        let report = report();
        let scale = Scale::of(&[&report.rows[0]]);
        assert!(LEFT <= scale.x(800.0) && scale.x(800.0) < scale.x(1_130.0));
        assert!(scale.x(1_130.0) < scale.x(79_400.0) && scale.x(79_400.0) <= RIGHT);
    }
}
