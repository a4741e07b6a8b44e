//! Quality over the share of calls to Powerful, as an SVG that is read in light and dark.

use std::fmt::Write as _;

use tinydancer_trainer::scoreboard::{RouterFigures, Scoreboard};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 560.0;
/// The plot, in from the edges: left, top, right (with room for the legend), bottom.
const LEFT: f64 = 72.0;
const TOP: f64 = 64.0;
const RIGHT: f64 = 290.0;
const BOTTOM: f64 = 64.0;
/// Lines of the grid each way, at most.
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

/// Draws every router's curve.
pub(super) fn draw(board: &Scoreboard) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, board);
    out
}

/// From quality to height.
struct Scale {
    low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    fn new(board: &Scoreboard) -> Self {
        let values = || board.routers.iter().flat_map(|router| router.curve.iter().copied());
        let low = values().fold(f64::INFINITY, f64::min);
        let high = values().fold(f64::NEG_INFINITY, f64::max);
        let span = (high - low).max(1e-6);
        let step = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2]
            .into_iter()
            .find(|step| span / step <= MOST_LINES)
            .unwrap_or(0.5);
        Self { low: (low / step).floor() * step, high: (high / step).ceil() * step, step }
    }

    fn y(&self, quality: f64) -> f64 {
        let share = (quality - self.low) / (self.high - self.low);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }

    fn lines(&self) -> impl Iterator<Item = f64> + '_ {
        let count = ((self.high - self.low) / self.step).round() as u32;
        (0..=count).map(|line| self.low + self.step * f64::from(line))
    }
}

fn x(share: f64) -> f64 {
    LEFT + share * (WIDTH - LEFT - RIGHT)
}

fn write(out: &mut String, board: &Scoreboard) -> std::fmt::Result {
    let scale = Scale::new(board);
    head(out, board)?;
    grid(out, board, &scale)?;
    for (index, router) in board.routers.iter().enumerate() {
        curve(out, router, index, &scale)?;
    }
    legend(out, board)?;
    writeln!(out, "</svg>")
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

fn grid(out: &mut String, board: &Scoreboard, scale: &Scale) -> std::fmt::Result {
    let (left, right, top, bottom) = (x(0.0), x(1.0), TOP, HEIGHT - BOTTOM);
    let places = if scale.step < 0.01 { 3 } else { 2 };
    for quality in scale.lines() {
        let y = scale.y(quality);
        writeln!(out, r#"<path class="grid" d="M{left} {y:.1}H{right}"/>"#)?;
        writeln!(
            out,
            r#"<text class="s" x="{:.1}" y="{:.1}" text-anchor="end">{quality:.places$}</text>"#,
            left - 8.0,
            y + 4.0
        )?;
    }
    for tenth in 0..=5 {
        let share = f64::from(tenth) / 5.0;
        let bill = share + (1.0 - share) / board.price_ratio;
        let at = x(share);
        writeln!(out, r#"<path class="grid" d="M{at:.1} {top}V{bottom}"/>"#)?;
        writeln!(
            out,
            r#"<text class="s" x="{at:.1}" y="{:.1}" text-anchor="middle">{:.0} %</text>"#,
            bottom + 18.0,
            100.0 * share
        )?;
        writeln!(
            out,
            r#"<text class="s" x="{at:.1}" y="{:.1}" text-anchor="middle">{:.0} %</text>"#,
            bottom + 36.0,
            100.0 * bill
        )?;
    }
    writeln!(
        out,
        r#"<text class="s" x="{:.1}" y="{:.1}">calls to Powerful</text>"#,
        right + 24.0,
        bottom + 18.0
    )?;
    writeln!(
        out,
        r#"<text class="s" x="{:.1}" y="{:.1}">bill, of always Powerful (price ratio {})</text>"#,
        right + 24.0,
        bottom + 36.0,
        board.price_ratio
    )?;
    for (name, quality) in
        [("Powerful", board.always_powerful), ("95 % of Powerful", 0.95 * board.always_powerful)]
    {
        let y = scale.y(quality);
        writeln!(out, r#"<path class="level" d="M{left} {y:.1}H{right}"/>"#)?;
        writeln!(
            out,
            r#"<text class="s" x="{:.1}" y="{:.1}" text-anchor="end">{name}</text>"#,
            right - 4.0,
            y - 5.0
        )?;
    }
    Ok(())
}

fn curve(out: &mut String, router: &RouterFigures, index: usize, scale: &Scale) -> std::fmt::Result {
    write!(out, r#"<path class="line r{}" d=""#, index % STYLES.len())?;
    let last = router.curve.len().saturating_sub(1).max(1) as f64;
    for (point, quality) in router.curve.iter().enumerate() {
        let command = if point == 0 { 'M' } else { 'L' };
        write!(out, "{command}{:.1} {:.1}", x(point as f64 / last), scale.y(*quality))?;
    }
    writeln!(out, r#""/>"#)
}

fn legend(out: &mut String, board: &Scoreboard) -> std::fmt::Result {
    let left = x(1.0) + 24.0;
    writeln!(out, r#"<text class="s" x="{:.1}" y="{:.1}">router, APGR</text>"#, left, TOP + 10.0)?;
    for (index, router) in board.routers.iter().enumerate() {
        let y = TOP + 36.0 + 24.0 * index as f64;
        writeln!(out, r#"<path class="line r{}" d="M{left:.1} {:.1}h34"/>"#, index % STYLES.len(), y - 4.0)?;
        let apgr = router.all.recovery.as_ref().map_or(0.0, |recovery| recovery.apgr.value);
        writeln!(
            out,
            r#"<text x="{:.1}" y="{y:.1}">{} {apgr:.3}</text>"#,
            left + 42.0,
            escaped(&router.router)
        )?;
    }
    Ok(())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
