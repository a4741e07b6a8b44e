//! The engine beside its peers, in one run on one core: every row has its turn, ours and then each peer's, round after
//! round, so that whatever else the machine does meets all of them.

mod bounds;
mod rows;
mod run;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use tinydancer_compare::{machine, peer::Peer, report};

use crate::run::Plan;

#[derive(Parser)]
#[command(name = "compare", about = "Measure the engine beside its peers")]
struct Arguments {
    /// A peer's program; repeated, oldest first
    #[arg(long, value_name = "PROGRAM")]
    peer: Vec<PathBuf>,
    /// Only the rows whose names begin with one of these, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    rows: Vec<String>,
    /// The core to measure on
    #[arg(long, default_value_t = 1)]
    core: usize,
    /// Turns of each row
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Length of a turn in milliseconds
    #[arg(long, default_value_t = 20)]
    turn: u64,
    /// Write the run as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the run
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Bring the block of a page up to date
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Run the rows so many times, one after the other, for a program that counts their instructions
    #[arg(long, value_name = "TIMES")]
    repeat: Option<u64>,
    /// Given by cargo bench
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    if !std::env::args().any(|argument| ["--bench", "--repeat"].contains(&argument.as_str())) {
        // A test, whose arguments are the test runner's: everything runs once and nothing is said of times.
        run::once(rows::all(folder.path(), &[])?);
        return Ok(());
    }
    let arguments = Arguments::parse();
    if let Some(times) = arguments.repeat {
        run::repeated(rows::all(folder.path(), &arguments.rows)?, times);
        return Ok(());
    }
    // Before anything that starts threads or programs: they inherit it.
    machine::pin(arguments.core)?;
    let rows = rows::all(folder.path(), &arguments.rows)?;
    let peers = arguments.peer.iter().map(|program| Peer::start(program)).collect::<Result<_>>()?;
    let plan =
        Plan { rounds: arguments.rounds, turn: Duration::from_millis(arguments.turn), core: arguments.core };
    let report = run::measured(&plan, rows, peers)?;
    print!("{}", report::table(&report));
    if let Some(path) = &arguments.json {
        write(path, &(serde_json::to_string_pretty(&report)? + "\n"))?;
    }
    if let Some(path) = &arguments.svg {
        write(path, &report::draw(&report))?;
    }
    if let Some(path) = &arguments.markdown {
        let page = fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
        write(path, &report::write_into(&page, &report)?)?;
    }
    Ok(())
}

fn write(path: &PathBuf, content: &str) -> Result<()> {
    fs::write(path, content).with_context(|| format!("failed to write {}", path.display()))
}
