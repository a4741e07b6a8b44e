//! The harness's end of the line: a peer's program that is measured in turn with ours.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::worker::NONE;

/// A running peer. It waits, and costs nothing, while others are measured.
pub struct Peer {
    version: String,
    child: Child,
    turns: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts a peer's program, on the cores of the calling thread.
    ///
    /// # Errors
    /// If it cannot be started or does not say its version.
    pub fn start(program: &Path) -> Result<Self> {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to start {}", program.display()))?;
        let turns = child.stdin.take();
        let answers = child.stdout.take().context("a peer must have an output")?;
        let mut peer = Self { version: String::new(), child, turns, answers: BufReader::new(answers) };
        peer.version = peer.line()?;
        Ok(peer)
    }

    /// The version of the library that it measures.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Has a row measured for about this long: nanoseconds an operation; nothing if the peer has no such row.
    ///
    /// # Errors
    /// If the peer died.
    pub fn turn(&mut self, row: &str, length: Duration) -> Result<Option<f64>> {
        let turns = self.turns.as_mut().context("the peer must not have ended")?;
        writeln!(turns, "{row} {}", length.as_millis().max(1)).context("failed to give a peer its turn")?;
        turns.flush()?;
        let answer = self.line()?;
        if answer == NONE {
            return Ok(None);
        }
        answer.parse().map(Some).with_context(|| format!("a peer must answer with a number, not {answer:?}"))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.answers.read_line(&mut line).context("failed to read a peer's answer")? == 0 {
            bail!("the peer {} ended before it answered; what it said stands above", self.version);
        }
        Ok(line.trim().to_owned())
    }
}

impl Drop for Peer {
    /// It ends with its input.
    fn drop(&mut self) {
        self.turns = None;
        let _ = self.child.wait();
    }
}
