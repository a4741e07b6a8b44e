//! `cargo xtask study`: what takes too long for every run, and is written down instead.

mod quality;
mod rollouts;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::command;
use crate::workspace::Workspace;

/// Where the last output of each part is kept.
const OUTPUT: &str = "docs/studies/output";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    study: Study,
}

#[derive(clap::Subcommand)]
enum Study {
    /// False alarms, power, explored states, the hot path, and a cluster whose pods, operator and API server fail
    Rollouts(rollouts::Arguments),
    /// How well models of this kind route, out-of-fold on graded answers, beside what anybody gets without one
    Quality(quality::Arguments),
}

/// Runs a study and writes down what each part printed.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.study {
        Study::Rollouts(arguments) => rollouts::run(workspace, arguments),
        Study::Quality(arguments) => quality::run(workspace, arguments),
    }
}

/// One part of a study whose arguments are `A`.
struct Part<A> {
    name: &'static str,
    run: fn(&Workspace, &A) -> Result<String>,
}

/// Runs the parts whose names contain `only` and writes down what each printed.
fn run_parts<A>(
    workspace: &Workspace,
    parts: &[Part<A>],
    arguments: &A,
    only: Option<&str>,
) -> Result<ExitCode> {
    let folder = workspace.root().join(OUTPUT);
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    for part in parts.iter().filter(|part| only.is_none_or(|only| part.name.contains(only))) {
        println!("# {}", part.name);
        let started = Instant::now();
        let printed = (part.run)(workspace, arguments)?;
        let seconds = started.elapsed().as_secs();
        let path = folder.join(format!("{}.txt", part.name));
        fs::write(&path, printed).with_context(|| format!("failed to write {}", path.display()))?;
        println!("written after {seconds} s: {OUTPUT}/{}.txt", part.name);
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a program whose output people see as it comes, and gives it.
fn shown(program: &mut Command) -> Result<String> {
    let mut child = program.stdout(Stdio::piped()).spawn().context("failed to start a part of the study")?;
    let mut printed = String::new();
    for line in BufReader::new(child.stdout.take().context("the part's output must be there")?).lines() {
        let line = line.context("failed to read a part's output")?;
        println!("{line}");
        printed.push_str(&line);
        printed.push('\n');
    }
    let status = child.wait().context("failed to wait for a part of the study")?;
    ensure!(status.success(), "a part of the study failed ({status}): {}", command::last_lines(&printed, 5));
    Ok(printed)
}
