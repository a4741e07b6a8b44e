//! Programs in Go: built when their sources have changed.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command;
use crate::step::Step;
use crate::tools;
use crate::unavailable::Unavailable;
use crate::workspace::{Workspace, fingerprint};

/// Room for Go's module and build caches and a binary.
const SPACE_MIB: u64 = 3 * 1024;
/// How often a long build says how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(15);

/// A program and what it is built from.
pub(crate) struct Program<'a> {
    /// The folder of its Go module in the checkout.
    pub(crate) sources: &'a str,
    /// The binary below the folder that cargo builds to.
    pub(crate) binary: &'a str,
    /// What people read while it is built.
    pub(crate) title: &'a str,
    /// What the linker is told.
    pub(crate) flags: &'a str,
}

/// Where the binary is, built or not.
pub(crate) fn path(workspace: &Workspace, program: &Program<'_>) -> PathBuf {
    workspace.target().join(program.binary)
}

/// Builds the binary if it is missing or its sources have changed.
pub(crate) fn ensure(workspace: &Workspace, program: &Program<'_>) -> Result<PathBuf> {
    let binary = path(workspace, program);
    let sources = workspace.root().join(program.sources);
    let folder = binary.parent().context("a binary must lie in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
    // Held until the end: two builds at once would only slow each other down.
    let lock = File::create(folder.join("build.lock"))?;
    lock.lock().with_context(|| format!("failed to lock the build of {}", program.sources))?;

    let current = fingerprint(&sources)?;
    let built_from = binary.with_extension("sources");
    if binary.exists() && fs::read_to_string(&built_from).is_ok_and(|built| built == current) {
        return Ok(binary);
    }
    let go = tools::find("go").ok_or_else(|| Unavailable::NoGo { needed: go_version(&sources) })?;
    tools::ensure_space(folder, SPACE_MIB)?;
    build(&go, &sources, &binary, program)?;
    fs::write(&built_from, current)?;
    Ok(binary)
}

fn build(go: &Path, sources: &Path, binary: &Path, program: &Program<'_>) -> Result<()> {
    let step = Step::start(format!("building {}", program.title));
    let mut build = Command::new(go)
        .args(["build", "-v", "-mod=readonly", "-trimpath", "-ldflags", program.flags, "-o"])
        .arg(binary)
        .arg(".")
        .current_dir(sources)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("failed to start go build")?;
    let (mut packages, mut modules) = (0, 0);
    let mut last_lines = String::new();
    let mut reported = Instant::now();
    // -v names each package on standard error when it has been compiled.
    for line in build.stderr.take().into_iter().flat_map(|pipe| BufReader::new(pipe).lines()) {
        let line = line.context("failed to read what go build says")?;
        if line.starts_with("go: downloading ") {
            modules += 1;
        } else if line.contains([' ', ':']) {
            last_lines.push_str(&line);
            last_lines.push('\n');
        } else {
            packages += 1;
        }
        if reported.elapsed() >= PROGRESS_INTERVAL {
            reported = Instant::now();
            step.progress(format!("{modules} modules fetched, {packages} packages compiled"));
        }
    }
    let status = build.wait().context("failed to wait for go build")?;
    if !status.success() {
        bail!("failed to build {}: {}", sources.display(), command::last_lines(&last_lines, 5));
    }
    step.done();
    Ok(())
}

/// The Go version that the module asks for.
fn go_version(sources: &Path) -> String {
    let module = fs::read_to_string(sources.join("go.mod")).unwrap_or_default();
    let version = module.lines().find_map(|line| line.strip_prefix("go "));
    version.unwrap_or("1.26").to_owned()
}
