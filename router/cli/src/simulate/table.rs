//! The study as people read it.

use super::attempt;
use super::row::{Row, Share};
use super::scenario::HARMLESS;
use super::study::Study;

/// Prints one line a row, in Markdown.
pub(crate) fn print(study: &Study, rows: &[Row]) {
    let settings = &study.settings;
    println!(
        "{} runs of at most {} requests (trial of a whole attempt: {}), seed {}; {} requests a second; rivals' canary {} %; alpha {}, margins {} \
         (uncertainty) and {} (escalation), limit of faults {}",
        study.runs,
        study.requests,
        study.attempt_requests,
        study.seed,
        study.per_second,
        f64::from(study.weight.get()) / 100.0,
        settings.alpha(),
        settings.uncertainty_margin(),
        settings.escalation_margin(),
        settings.error_rate(),
    );
    println!();
    let head =
        ["scenario", "traffic", "method", "pods", "what", "share [95 %]", "samples", "seconds", "exposed"];
    let body: Vec<[String; 9]> = rows.iter().map(|row| cells(row, study.per_second)).collect();
    let width = |column: usize| {
        let longest =
            body.iter().filter_map(|cells| cells.get(column)).map(|cell| cell.chars().count()).max();
        longest.unwrap_or(0).max(head.get(column).map_or(0, |cell| cell.len()))
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    line(&widths, &head.map(str::to_owned));
    line(&widths, &widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>());
    for cells in &body {
        line(&widths, cells);
    }
    predict(study, rows);
}

fn line(widths: &[usize], cells: &[String]) {
    let cells: Vec<_> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    println!("| {} |", cells.join(" | "));
}

fn cells(row: &Row, per_second: f64) -> [String; 9] {
    let what = match row.share {
        Share::FalseAlarm => "false alarm",
        Share::Detected => "detected",
        Share::Passed => "passed",
    };
    let (share, low, high) = row.ended();
    let percent = |share: f64| format!("{:.1}", share * 100.0);
    let samples = |share| row.quantile(share, |end| end.samples);
    let exposed = row.quantile(0.5, |end| end.exposed);
    let pair = |format: &dyn Fn(u64) -> String| match (samples(0.5), samples(0.95)) {
        (Some(median), Some(p95)) => format!("{}, {}", format(median), format(p95)),
        (Some(median), None) => format!("{}, -", format(median)),
        (None, _) => "-".to_owned(),
    };
    [
        row.scenario.to_owned(),
        row.tenants.as_str().to_owned(),
        row.method.clone(),
        row.pods.map_or_else(|| "-".to_owned(), |pods| pods.to_string()),
        what.to_owned(),
        format!("{} % [{}, {}]", percent(share), percent(low), percent(high)),
        pair(&|samples| samples.to_string()),
        pair(&|samples| format!("{:.1}", samples as f64 / per_second)),
        exposed.map_or_else(|| "-".to_owned(), |exposed| exposed.to_string()),
    ]
}

/// What an operator of such a fleet may expect of a sound candidate.
fn predict(study: &Study, rows: &[Row]) {
    let per_run = attempt::phases().count() + 1;
    let passed: Vec<&Row> =
        rows.iter().filter(|row| row.scenario == HARMLESS && row.share == Share::Passed).collect();
    if !passed.is_empty() {
        println!();
    }
    for rows in passed.chunks(per_run) {
        let Some(first) = rows.first() else { continue };
        let seconds = |row: &&Row| {
            let name = row.method.trim_start_matches("passes ");
            match row.quantile(0.5, |end| end.samples) {
                Some(samples) => format!("{name} {:.0} s", samples as f64 / study.per_second),
                None => format!("{name} more than {:.0} s", study.attempt_requests as f64 / study.per_second),
            }
        };
        println!(
            "plan: a sound candidate on {} at {} requests a second ({}), median: {}",
            match first.pods {
                None | Some(1) => "1 pod".to_owned(),
                Some(pods) => format!("{pods} pods"),
            },
            study.per_second,
            first.tenants.as_str(),
            rows.iter().map(seconds).collect::<Vec<_>>().join(", "),
        );
    }
}
