//! Quality over the share of calls to Powerful, as an SVG that is read in light and dark.

use std::fmt::Write as _;

use tinydancer_trainer::scoreboard::Scoreboard;

const WIDTH: f64 = 980.0;
const HEIGHT: f64 = 860.0;
/// Left and right edge of both panels; the legend is to their right.
const LEFT: f64 = 72.0;
const RIGHT: f64 = 690.0;
/// Lines of the grid in a panel, at most.
const MOST_LINES: f64 = 8.0;
/// Colour in light, colour in dark, dashes. Lines differ in more than colour.
const STYLES: [(&str, &str, &str); 10] = [
    ("#0b5fcc", "#6cb0ff", ""),
    ("#b3261e", "#ff8a80", ""),
    ("#6a3fb5", "#bb9af7", "7 4"),
    ("#00796b", "#5fd3c0", "2 3"),
    ("#8a5a00", "#f0b354", "9 3 2 3"),
    ("#a0306f", "#f48fc0", "5 2"),
    ("#4f6b00", "#b8d65c", "3 5"),
    ("#5b6470", "#a5b1be", "1 4"),
    ("#17202b", "#e8edf3", "12 4"),
    ("#006a8a", "#66cfe8", "6 6"),
];

/// Draws every router's curve twice: as it is, and as what it has above a router that knows nothing.
pub(super) fn draw(board: &Scoreboard) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, board);
    out
}

/// A plot with its own scale.
struct Panel {
    top: f64,
    bottom: f64,
    low: f64,
    high: f64,
    step: f64,
}

impl Panel {
    fn new(top: f64, bottom: f64, curves: &[Vec<f64>]) -> Self {
        let values = || curves.iter().flatten().copied();
        let low = values().fold(f64::INFINITY, f64::min);
        let high = values().fold(f64::NEG_INFINITY, f64::max);
        let span = (high - low).max(1e-6);
        let step = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2]
            .into_iter()
            .find(|step| span / step <= MOST_LINES)
            .unwrap_or(0.5);
        Self { top, bottom, low: (low / step).floor() * step, high: (high / step).ceil() * step, step }
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom - (value - self.low) / (self.high - self.low) * (self.bottom - self.top)
    }

    fn lines(&self) -> impl Iterator<Item = f64> + '_ {
        let count = ((self.high - self.low) / self.step).round() as u32;
        (0..=count).map(|line| self.low + self.step * f64::from(line))
    }
}

fn x(share: f64) -> f64 {
    LEFT + share * (RIGHT - LEFT)
}

fn write(out: &mut String, board: &Scoreboard) -> std::fmt::Result {
    let quality: Vec<Vec<f64>> = board.routers.iter().map(|router| router.curve.clone()).collect();
    let panel = Panel::new(64.0, 430.0, &quality);
    head(out, board)?;
    grid(out, board, &panel)?;
    levels(out, board, &panel)?;
    for (index, curve) in quality.iter().enumerate() {
        line(out, curve, index, &panel)?;
    }
    legend(out, board)?;
    // The oracle is so far above that nobody else could be told apart beside it.
    let gains: Vec<Vec<f64>> = quality.iter().map(|curve| above_chance(curve)).collect();
    let shown = if gains.len() > 1 { &gains[..gains.len() - 1] } else { &gains[..] };
    let panel = Panel::new(510.0, 780.0, shown);
    writeln!(
        out,
        r#"<text class="h" x="{LEFT}" y="494">Quality above a router that knows nothing, for the same calls</text>"#
    )?;
    grid(out, board, &panel)?;
    for (index, curve) in shown.iter().enumerate() {
        line(out, curve, index, &panel)?;
    }
    writeln!(out, "</svg>")
}

/// A curve less the straight line between its ends, where calls are dealt at random.
fn above_chance(curve: &[f64]) -> Vec<f64> {
    let (Some(first), Some(last)) = (curve.first(), curve.last()) else { return Vec::new() };
    let points = curve.len().saturating_sub(1).max(1) as f64;
    let chance = |point: usize| first + (last - first) * point as f64 / points;
    curve.iter().enumerate().map(|(point, quality)| quality - chance(point)).collect()
}

fn head(out: &mut String, board: &Scoreboard) -> std::fmt::Result {
    writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-labelledby="title description">"#
    )?;
    writeln!(out, r#"<title id="title">Quality over the share of calls to the Powerful model</title>"#)?;
    write!(out, r#"<desc id="description">{} rows. "#, board.rows)?;
    for router in &board.routers {
        if let Some(recovery) = &router.all.recovery {
            write!(out, "{}: APGR {:.3}. ", escaped(&router.router), recovery.apgr.value)?;
        }
    }
    writeln!(out, "</desc>\n<style>")?;
    writeln!(
        out,
        r#"text{{font-family:ui-sans-serif,system-ui,"Segoe UI","DejaVu Sans",Arial,sans-serif;font-size:13px;fill:#17202b}}"#
    )?;
    writeln!(out, ".h{{font-size:16px;font-weight:600}}.s{{font-size:12px;fill:#52606f}}")?;
    writeln!(
        out,
        ".bg{{fill:#ffffff}}.grid{{stroke:#dde3ea;stroke-width:1}}.level{{stroke:#8793a1;stroke-width:1;stroke-dasharray:4 4}}"
    )?;
    writeln!(out, ".line{{fill:none;stroke-width:2;stroke-linejoin:round}}")?;
    for (index, (light, _, dashes)) in STYLES.iter().enumerate() {
        let dashes = if dashes.is_empty() { String::new() } else { format!(";stroke-dasharray:{dashes}") };
        writeln!(out, ".r{index}{{stroke:{light}{dashes}}}")?;
    }
    writeln!(out, "@media (prefers-color-scheme: dark) {{")?;
    writeln!(
        out,
        "text{{fill:#e8edf3}}.s{{fill:#a5b1be}}.bg{{fill:#0d1117}}.grid{{stroke:#27313c}}.level{{stroke:#6b7885}}"
    )?;
    for (index, (_, dark, _)) in STYLES.iter().enumerate() {
        write!(out, ".r{index}{{stroke:{dark}}}")?;
    }
    writeln!(out, "\n}}\n</style>")?;
    writeln!(out, r#"<rect class="bg" width="{WIDTH}" height="{HEIGHT}" rx="8"/>"#)?;
    writeln!(out, r#"<text class="h" x="{LEFT}" y="30">Quality over the share of calls to Powerful</text>"#)?;
    writeln!(
        out,
        r#"<text class="s" x="{LEFT}" y="49">{} rows judged by routers that have not seen them; mean of {} seed{}</text>"#,
        board.rows,
        board.seeds.len(),
        if board.seeds.len() == 1 { "" } else { "s" }
    )
}

fn grid(out: &mut String, board: &Scoreboard, panel: &Panel) -> std::fmt::Result {
    let (top, bottom) = (panel.top, panel.bottom);
    let places = if panel.step < 0.01 { 3 } else { 2 };
    for value in panel.lines() {
        let y = panel.y(value);
        writeln!(out, r#"<path class="grid" d="M{LEFT} {y:.1}H{RIGHT}"/>"#)?;
        writeln!(
            out,
            r#"<text class="s" x="{:.1}" y="{:.1}" text-anchor="end">{value:.places$}</text>"#,
            LEFT - 8.0,
            y + 4.0
        )?;
    }
    for tick in 0..=5 {
        let share = f64::from(tick) / 5.0;
        let bill = share + (1.0 - share) / board.price_ratio;
        let at = x(share);
        writeln!(out, r#"<path class="grid" d="M{at:.1} {top}V{bottom}"/>"#)?;
        for (line, value) in [(18.0, share), (36.0, bill)] {
            writeln!(
                out,
                r#"<text class="s" x="{at:.1}" y="{:.1}" text-anchor="middle">{:.0} %</text>"#,
                bottom + line,
                100.0 * value
            )?;
        }
    }
    let left = RIGHT + 28.0;
    writeln!(out, r#"<text class="s" x="{left}" y="{:.1}">calls to Powerful</text>"#, bottom + 18.0)?;
    writeln!(
        out,
        r#"<text class="s" x="{left}" y="{:.1}">bill, of always Powerful (price ratio {})</text>"#,
        bottom + 36.0,
        board.price_ratio
    )
}

fn levels(out: &mut String, board: &Scoreboard, panel: &Panel) -> std::fmt::Result {
    let levels = [("always Powerful", board.always_powerful), ("95 % of it", 0.95 * board.always_powerful)];
    for (name, quality) in levels.into_iter().filter(|(_, quality)| *quality >= panel.low) {
        let y = panel.y(quality);
        writeln!(out, r#"<path class="level" d="M{LEFT} {y:.1}H{RIGHT}"/>"#)?;
        writeln!(out, r#"<text class="s" x="{:.1}" y="{:.1}">{name}</text>"#, LEFT + 5.0, y - 5.0)?;
    }
    Ok(())
}

fn line(out: &mut String, curve: &[f64], index: usize, panel: &Panel) -> std::fmt::Result {
    write!(out, r#"<path class="line r{}" d=""#, index % STYLES.len())?;
    let last = curve.len().saturating_sub(1).max(1) as f64;
    for (point, value) in curve.iter().enumerate() {
        let command = if point == 0 { 'M' } else { 'L' };
        write!(out, "{command}{:.1} {:.1}", x(point as f64 / last), panel.y(*value))?;
    }
    writeln!(out, r#""/>"#)
}

fn legend(out: &mut String, board: &Scoreboard) -> std::fmt::Result {
    let left = RIGHT + 28.0;
    writeln!(out, r#"<text class="s" x="{left}" y="74">router, APGR</text>"#)?;
    for (index, router) in board.routers.iter().enumerate() {
        let y = 100.0 + 24.0 * index as f64;
        writeln!(out, r#"<path class="line r{}" d="M{left} {:.1}h34"/>"#, index % STYLES.len(), y - 4.0)?;
        let apgr = router.all.recovery.as_ref().map_or(0.0, |recovery| recovery.apgr.value);
        let name = escaped(&router.router);
        writeln!(out, r#"<text x="{:.1}" y="{y:.1}">{name} {apgr:.3}</text>"#, left + 42.0)?;
    }
    Ok(())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_above_chance_begins_and_ends_at_nothing() {
        let above = above_chance(&[0.5, 0.8, 0.9]);
        assert!(above[0].abs() < 1e-12 && (above[1] - 0.1).abs() < 1e-12 && above[2].abs() < 1e-12);
    }

    #[test]
    fn a_panel_holds_every_value_between_round_lines() {
        let panel = Panel::new(0.0, 100.0, &[vec![0.691, 0.88], vec![0.7]]);
        assert!((panel.low - 0.65).abs() < 1e-9 && (panel.high - 0.9).abs() < 1e-9);
        assert_eq!(panel.lines().count(), 6);
        assert!((panel.y(0.65) - 100.0).abs() < 1e-9 && panel.y(0.9).abs() < 1e-9);
    }

    #[test]
    fn names_cannot_end_the_element_they_stand_in() {
        assert_eq!(escaped("a<b>&c"), "a&lt;b&gt;&amp;c");
    }
}
