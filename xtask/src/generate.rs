//! Files that are generated from code. A program of the crate that owns the
//! truth prints each, or another room here; this one only writes them or compares them.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::command;
use crate::gitops;
use crate::workspace::Workspace;

/// A generated file and what prints it.
struct Generated {
    source: Source,
    /// Where the file is in the checkout.
    path: &'static str,
}

enum Source {
    /// A program of the workspace.
    Program {
        /// The package and its program.
        package: &'static str,
        program: &'static str,
        /// What the program is asked for.
        arguments: &'static [&'static str],
    },
    /// Another room here.
    Room(fn(&Workspace) -> Result<String>),
}

const FILES: &[Generated] = &[
    Generated {
        source: Source::Program {
            package: "tinydancer-crds",
            program: "crdgen",
            arguments: &["routingpolicies"],
        },
        path: "config/crd/routing.tinydancer.dev_routingpolicies.yaml",
    },
    Generated {
        source: Source::Program {
            package: "tinydancer-crds",
            program: "crdgen",
            arguments: &["routermodels"],
        },
        path: "config/crd/routing.tinydancer.dev_routermodels.yaml",
    },
    Generated {
        source: Source::Program { package: "tinydancer-plan", program: "transitions", arguments: &[] },
        path: "docs/reference/transitions.md",
    },
    Generated { source: Source::Room(gitops::actions), path: "config/argocd/routingpolicy_actions.yaml" },
];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing, and fail if a file is not what would be written
    #[arg(long)]
    check: bool,
}

/// Writes or checks all generated files.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    if stale(workspace, !arguments.check)? == 0 {
        println!("{} generated files are up to date", FILES.len());
    } else if arguments.check {
        println!("write them with: cargo xtask generate");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails if a generated file is not what would be written.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let stale = stale(workspace, false)?;
    ensure!(stale == 0, "{stale} generated files are stale; write them with: cargo xtask generate");
    Ok(())
}

/// Names each file that is not what would be written, and writes it if asked to.
fn stale(workspace: &Workspace, write: bool) -> Result<usize> {
    let mut stale = 0;
    for file in FILES {
        let path = workspace.root().join(file.path);
        let wanted = print(workspace, file)?;
        // A file that is not there differs as an empty one does.
        let found = fs::read_to_string(&path).unwrap_or_default();
        if let Some(difference) = difference(&found, &wanted) {
            stale += 1;
            println!("{}: {difference}", file.path);
            if write {
                let folder = path.parent().context("a generated file must lie in a folder")?;
                fs::create_dir_all(folder)
                    .and_then(|()| fs::write(&path, wanted))
                    .with_context(|| format!("failed to write {}", path.display()))?;
            }
        }
    }
    Ok(stale)
}

fn print(workspace: &Workspace, file: &Generated) -> Result<String> {
    match file.source {
        Source::Program { package, program, arguments } => command::output(
            workspace
                .cargo()
                .args(["run", "--quiet", "--locked", "--package", package, "--bin", program, "--"])
                .args(arguments),
        ),
        Source::Room(print) => print(workspace),
    }
    .with_context(|| format!("failed to generate {}", file.path))
}

/// How two texts differ, in one line; none if they do not.
fn difference(found: &str, wanted: &str) -> Option<String> {
    if found == wanted {
        return None;
    }
    let (found, wanted): (Vec<&str>, Vec<&str>) = (found.lines().collect(), wanted.lines().collect());
    let same = found.iter().zip(&wanted).take_while(|(a, b)| a == b).count();
    let line =
        |lines: &[&str]| lines.get(same).map_or("the end".to_owned(), |line| format!("`{}`", line.trim()));
    Some(format!(
        "{} lines, {} wanted; the first difference is line {}: {} where {} is wanted",
        found.len(),
        wanted.len(),
        same + 1,
        line(&found),
        line(&wanted)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_do_not_differ() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
    }

    #[test]
    fn the_first_line_that_differs_is_named() {
        let text = difference("a\nb\n", "a\nc\nd\n").unwrap();
        assert!(text.contains("line 2: `b` where `c`"), "{text}");
        let text = difference("", "a\n").unwrap();
        assert!(text.contains("line 1: the end where `a`"), "{text}");
    }
}
