//! A replay as people read it.

use std::fmt::Write as _;

use tinydancer_trainer::off_policy::Estimate;

use super::Reward;
use super::report::{Report, Spending};

/// The whole report.
pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, report);
    text
}

fn write(out: &mut String, report: &Report) -> std::fmt::Result {
    heading(out, report)?;
    estimates(out, report)?;
    audits(out, report)?;
    writeln!(
        out,
        "\n{:<34} {:>14} {:>10}",
        format!("price ratio {}", report.price_ratio),
        "to Lightweight",
        "saving"
    )?;
    for (name, spending) in [("the log", &report.log), ("the model", &report.candidate)] {
        let Spending { to_lightweight, saving } = spending;
        writeln!(out, "{name:<34} {:>12.1} % {:>8.1} %", to_lightweight * 100.0, saving * 100.0)?;
    }
    for warning in &report.warnings {
        writeln!(out, "\nwarning: {warning}")?;
    }
    Ok(())
}

fn heading(out: &mut String, report: &Report) -> std::fmt::Result {
    let model = &report.model;
    writeln!(out, "model   {} {} ({})", model.name, model.version, model.digest)?;
    let rule = model.threshold.map_or_else(
        || "everything to Powerful".to_owned(),
        |threshold| format!("Lightweight where the score is at most {threshold:.4}"),
    );
    let promise =
        model.risk_permille.map_or_else(String::new, |permille| format!(" (risk {permille} permille)"));
    writeln!(out, "rule    {rule}{promise}")?;
    writeln!(
        out,
        "scores  {} rows by scores that this model gave at the time, {} by prompt statistics only, {} left out",
        report.scored_by_recorded_scores, report.scored_by_statistics_only, report.left_out
    )
}

fn estimates(out: &mut String, report: &Report) -> std::fmt::Result {
    let Some((reward, found)) = report.reward.zip(report.off_policy.as_ref()) else { return Ok(()) };
    let reward = match reward {
        Reward::Grade => "the audit's grade of the answer given",
        Reward::Feedback => "feedback",
        Reward::Success => "whether the upstream answered",
    };
    let used = found.rows - found.outside_support;
    writeln!(
        out,
        "\nestimated from {reward}, {used} of {} rows, worth {:.0} of equal weight",
        found.rows, found.effective_rows
    )?;
    writeln!(out, "{:<34} {:<22} model minus log", "", "value [95 %]")?;
    if let Some(logged) = &found.logged {
        line(out, "the log", logged, None)?;
    }
    match &found.estimates {
        Some(said) => {
            line(out, "the model, IPS", &said.ips, None)?;
            line(out, "the model, SNIPS", &said.snips, None)?;
            line(out, "the model, DR", &said.dr, Some(&said.gain))
        }
        None => writeln!(out, "{:<34} no row took what the model would have taken", "the model"),
    }
}

fn audits(out: &mut String, report: &Report) -> std::fmt::Result {
    let Some(audited) = &report.audited else { return Ok(()) };
    writeln!(out, "\nknown from audits, {} rows", audited.pairs)?;
    writeln!(out, "{:<34} {:<22} model minus log", "", "quality [95 %]")?;
    line(out, "the log", &audited.logged, None)?;
    line(out, "the model", &audited.candidate, Some(&audited.gain))?;
    line(out, "always Powerful", &audited.always_powerful, None)?;
    line(out, "regret of the model", &audited.regret, None)?;
    writeln!(out, "{:<34} {:.3}", "at most, with confidence 95 %", audited.regret_bound)
}

fn line(out: &mut String, name: &str, value: &Estimate, gain: Option<&Estimate>) -> std::fmt::Result {
    let gain = gain
        .map_or_else(String::new, |gain| format!("{:+.3} [{:+.3}, {:+.3}]", gain.value, gain.low, gain.high));
    let text = format!(
        "{name:<34} {:<22} {gain}",
        format!("{:.3} [{:.3}, {:.3}]", value.value, value.low, value.high)
    );
    writeln!(out, "{}", text.trim_end())
}
