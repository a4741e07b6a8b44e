//! Running other programs and saying what went wrong when they fail.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a program to its end and gives what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to start {}", name(command)))?;
    if !output.status.success() {
        bail!(
            "failed to run {} ({}): {}",
            spelled(command),
            output.status,
            last_lines(&String::from_utf8_lossy(&output.stderr), 5)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program whose output people see as it comes.
pub(crate) fn show(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("failed to start {}", name(command)))?;
    if !status.success() {
        bail!("failed to run {} ({status})", spelled(command));
    }
    Ok(())
}

/// The last lines of a text, joined for a one-line message.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let start = lines.len().saturating_sub(count);
    lines[start..].join(" | ")
}

fn name(command: &Command) -> String {
    Path::new(command.get_program()).display().to_string()
}

fn spelled(command: &Command) -> String {
    let mut text = name(command);
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_is_named_with_what_it_said() {
        let error = output(Command::new("sh").args(["-c", "echo no such thing >&2; exit 3"]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.ends_with("no such thing"), "{error}");
    }

    #[test]
    fn a_message_keeps_the_last_lines_and_no_empty_ones() {
        assert_eq!(last_lines("one\ntwo\n\nthree\n", 2), "two | three");
        assert_eq!(last_lines("", 2), "");
    }
}
