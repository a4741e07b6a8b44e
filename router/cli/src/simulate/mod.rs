//! `tiny-dancer simulate`.

mod attempt;
mod fleet;
mod random;
mod rivals;
mod row;
mod scenario;
mod study;
mod table;
mod traffic;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use clap::builder::PossibleValuesParser;
use tinydancer_guards::{BasisPoints, GuardSettings};

use row::Row;
use scenario::{HARMLESS, Rivals, SCENARIOS};
use study::Study;
use traffic::Tenants;

/// Try the guards that run in production on made-up traffic: how often they turn a sound candidate away, how soon they
/// find a bad one, how long a sound one takes to be promoted, and how other methods do on the same requests.
#[derive(Args)]
pub(crate) struct Simulate {
    /// Scenarios, joined by commas; left out: all.
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(scenario::names()))]
    scenario: Vec<String>,
    /// Runs of each scenario.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    runs: u64,
    /// Requests of a run at most, and of the watch after promotion.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    requests: u64,
    /// Requests of the trial of a whole attempt at most.
    #[arg(long, default_value_t = 40_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    attempt_requests: u64,
    /// Requests a second of the whole fleet; turns samples into seconds.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..))]
    requests_per_second: u32,
    /// Numbers of pods, joined by commas: each is tried.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10], value_parser = clap::value_parser!(u16).range(1..=100))]
    pods: Vec<u16>,
    /// Who sends the requests; left out: uniform, and Zipf as well where the candidate is sound.
    #[arg(long, value_enum)]
    tenants: Option<Tenants>,
    /// How far the mean uncertainty may move, in permille. A policy says 50 unless told otherwise.
    #[arg(long, default_value_t = 20, value_parser = permille())]
    margin_permille: u16,
    /// How far the share of requests sent to Powerful may move, in permille.
    #[arg(long, default_value_t = GuardSettings::default().escalation_margin_permille, value_parser = permille())]
    escalation_margin_permille: u16,
    /// The share of hard faults that is tolerated, in permille.
    #[arg(long, default_value_t = GuardSettings::default().error_rate_permille, value_parser = permille())]
    error_rate_permille: u16,
    /// The chance of a false alarm in a whole attempt, in permille.
    #[arg(long, default_value_t = GuardSettings::default().alpha_permille, value_parser = permille())]
    alpha_permille: u16,
    /// The candidate's share of the traffic for methods that need a canary, in percent.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=99))]
    weight_percent: u8,
    /// The same seed and flags give the same rows.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads; left out: as many as the machine has. They change nothing but the time.
    #[arg(long)]
    threads: Option<usize>,
    /// Write the rows as JSON to this file; `-` prints them instead of the table.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn permille() -> clap::builder::RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..=999)
}

impl Simulate {
    /// Runs the study and prints it.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let study = self.study();
        let mut rows = Vec::new();
        let asked = |name: &str| self.scenario.is_empty() || self.scenario.iter().any(|asked| asked == name);
        for scenario in SCENARIOS.iter().filter(|scenario| asked(scenario.name)) {
            for tenants in
                self.tenants(!scenario.is_harmful(&study.settings) && scenario.rivals != Rivals::Faults)
            {
                rows.extend(study.scenario(scenario, tenants));
            }
        }
        if asked(HARMLESS) {
            for tenants in self.tenants(true) {
                rows.extend(study.attempts(tenants));
            }
        }
        let json = self.json.as_deref();
        if let Some(path) = json {
            write(path, &study, &rows)?;
        }
        if json != Some(Path::new("-")) {
            table::print(&study, &rows);
        }
        Ok(())
    }

    fn study(&self) -> Study {
        let threads = self.threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from));
        Study {
            settings: GuardSettings {
                uncertainty_margin_permille: self.margin_permille,
                escalation_margin_permille: self.escalation_margin_permille,
                error_rate_permille: self.error_rate_permille,
                alpha_permille: self.alpha_permille,
                ..GuardSettings::default()
            },
            runs: self.runs,
            requests: self.requests,
            attempt_requests: self.attempt_requests,
            per_second: f64::from(self.requests_per_second),
            pods: self.pods.iter().map(|pods| usize::from(*pods)).collect(),
            weight: BasisPoints::from_percent(self.weight_percent),
            seed: self.seed,
            threads: threads.unwrap_or(1),
        }
    }

    fn tenants(&self, is_sound: bool) -> Vec<Tenants> {
        match self.tenants {
            Some(tenants) => vec![tenants],
            None if is_sound => vec![Tenants::Uniform, Tenants::Zipf],
            None => vec![Tenants::Uniform],
        }
    }
}

fn write(path: &Path, study: &Study, rows: &[Row]) -> anyhow::Result<()> {
    let rows: Vec<_> = rows.iter().map(|row| row.json(study.per_second)).collect();
    let json = serde_json::to_string_pretty(&rows)? + "\n";
    if path == Path::new("-") {
        print!("{json}");
        return Ok(());
    }
    std::fs::write(path, json).with_context(|| format!("failed to write the rows to {}", path.display()))
}
