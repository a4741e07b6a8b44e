//! Quality: the scoreboard on graded answers.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use super::{Part, run_parts, shown};
use crate::workspace::Workspace;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Graded prompts, as docs/training.md describes them
    #[arg(long, value_name = "PATH", env = "TINYDANCER_ROUTING_DATA")]
    data: PathBuf,
    /// Seeds of the folds and of training
    #[arg(long, default_value = "1,2,3")]
    seeds: String,
    /// Run only the part whose name contains this
    #[arg(long, value_name = "PART")]
    only: Option<String>,
}

pub(super) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    run_parts(workspace, PARTS, arguments, arguments.only.as_deref())
}

const PARTS: &[Part<Arguments>] = &[
    Part { name: "quality-scoreboard", run: scoreboard },
    Part { name: "quality-left-out-topics", run: left_out_topics },
];

/// Sentence embeddings beside the prompts, for the baseline that needs them.
const EMBEDDINGS: &str = "minilm_f16.safetensors";

/// Every router on the same folds, and their curves as a picture.
fn scoreboard(workspace: &Workspace, arguments: &Arguments) -> Result<String> {
    evaluated(workspace, arguments, &["--svg", "docs/quality/curves.svg"])
}

/// The same on topics that nobody has seen, by what prompts say: topics are tags.
fn left_out_topics(workspace: &Workspace, arguments: &Arguments) -> Result<String> {
    let flags = ["--evidence", "ngram", "--leave-out", "subject", "--svg", "docs/quality/left-out.svg"];
    evaluated(workspace, arguments, &flags)
}

fn evaluated(workspace: &Workspace, arguments: &Arguments, flags: &[&str]) -> Result<String> {
    let mut cargo = workspace.cargo();
    cargo.args(["run", "--release", "--locked", "--quiet", "--package", "tinydancer-cli", "--", "evaluate"]);
    cargo.arg("--data").arg(&arguments.data).args(["--seeds", &arguments.seeds]).args(flags);
    let embeddings = arguments.data.join(EMBEDDINGS);
    if embeddings.is_file() {
        cargo.arg("--embeddings").arg(embeddings);
    }
    shown(&mut cargo)
}
