//! Progress for people: a line when a step begins and one when it ends.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// A step that was announced and is under way.
pub(crate) struct Step {
    title: String,
    started: Instant,
}

impl Step {
    /// Announces a step.
    pub(crate) fn start(title: impl Into<String>) -> Self {
        let title = title.into();
        println!("  {title} ...");
        Self { title, started: Instant::now() }
    }

    /// How long the step has been running.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Says how a long step is getting on.
    pub(crate) fn progress(&self, what: impl Display) {
        println!("  {} ... {what} ({:.0} s)", self.title, self.elapsed().as_secs_f64());
    }

    /// Says that the step is done and how long it took.
    pub(crate) fn done(self) {
        println!("  {}: done in {:.1} s", self.title, self.elapsed().as_secs_f64());
    }
}
