//! `cargo xtask bench`: the engine beside its peers in one run, and the instructions that CI counts instead of times.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::command;
use crate::instructions;
use crate::step::Step;
use crate::workspace::Workspace;

/// The peers' own workspaces and their programs, oldest first.
const PEERS: [(&str, &str); 2] = [("v0_1_1", "peer-0-1-1"), ("v2_3_0", "peer-2-3-0")];
const FOLDER: &str = "benches/peers";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write the run as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the run as an SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Bring the block of a page up to date, such as docs/performance.md
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Only the rows whose names begin with one of these, separated by commas
    #[arg(long, value_name = "NAMES")]
    rows: Option<String>,
    /// The core to measure on
    #[arg(long, default_value_t = 1)]
    core: usize,
    /// Turns of each row
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Leave the peers out
    #[arg(long)]
    without_peers: bool,
    /// Count instructions and compare them with the committed ones, in place of measuring times
    #[arg(long, conflicts_with_all = ["json", "svg", "markdown", "rows"])]
    instructions: bool,
    /// Count instructions and commit to them
    #[arg(long, requires = "instructions")]
    update: bool,
}

/// Builds and runs the benches.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    if arguments.instructions {
        instructions::run(workspace, arguments.update)?;
        return Ok(ExitCode::SUCCESS);
    }
    let peers = if arguments.without_peers { Vec::new() } else { peers(workspace) };
    let mut bench = workspace.cargo();
    bench.args([
        "bench",
        "--locked",
        "--quiet",
        "--package",
        "tinydancer-compare",
        "--bench",
        "compare",
        "--",
    ]);
    bench.args(["--core", &arguments.core.to_string(), "--rounds", &arguments.rounds.to_string()]);
    for peer in &peers {
        bench.arg("--peer").arg(peer);
    }
    if let Some(rows) = &arguments.rows {
        bench.args(["--rows", rows]);
    }
    let files = [("--json", &arguments.json), ("--svg", &arguments.svg), ("--markdown", &arguments.markdown)];
    for (option, file) in files {
        if let Some(file) = file {
            bench.arg(option).arg(absolute(file)?);
        }
    }
    command::show(&mut bench)?;
    Ok(ExitCode::SUCCESS)
}

/// The programs of the peers that can be built. One that cannot, as without a network, is left out and named.
fn peers(workspace: &Workspace) -> Vec<PathBuf> {
    let build = |(folder, program): (&str, &str)| {
        let step = Step::start(format!("building {program}"));
        match peer(workspace, folder, program) {
            Ok(path) => {
                step.done();
                Some(path)
            }
            Err(error) => {
                println!("NOT RUN: {program}: {error:#}");
                None
            }
        }
    };
    PEERS.into_iter().filter_map(build).collect()
}

fn peer(workspace: &Workspace, folder: &str, program: &str) -> Result<PathBuf> {
    let target = workspace.target().join("peers").join(folder);
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--release", "--locked", "--quiet", "--manifest-path"]);
    cargo.arg(workspace.root().join(FOLDER).join(folder).join("Cargo.toml"));
    cargo.arg("--target-dir").arg(&target);
    command::output(&mut cargo)?;
    Ok(target.join("release").join(program))
}

/// Cargo runs a bench in its crate's folder, and people name files from theirs.
fn absolute(file: &Path) -> Result<PathBuf> {
    std::path::absolute(file).with_context(|| format!("failed to find the folder of {}", file.display()))
}
