//! What a person sees while a run works: one line that is updated on a terminal, plain lines elsewhere.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where a terminal's line is drawn anew at most this often.
const TERMINAL_PAUSE: Duration = Duration::from_millis(100);
/// How often a plain line is written when nobody watches a terminal.
const PLAIN_PAUSE: Duration = Duration::from_secs(10);

/// Counts finished units of work. Shared by the threads of a run.
pub struct Progress {
    state: Mutex<State>,
}

struct State {
    out: Box<dyn Write + Send>,
    terminal: bool,
    label: String,
    total: usize,
    done: usize,
    start: Instant,
    shown: Option<Instant>,
}

impl Progress {
    /// Writes to `out`; `terminal` says whether it understands that a line is drawn over.
    pub fn new(out: Box<dyn Write + Send>, terminal: bool, label: &str, total: usize) -> Self {
        let state = State {
            out,
            terminal,
            label: label.to_owned(),
            total,
            done: 0,
            start: Instant::now(),
            shown: None,
        };
        Self { state: Mutex::new(state) }
    }

    /// Shows nothing.
    pub fn silent() -> Self {
        Self::new(Box::new(std::io::sink()), false, "", 0)
    }

    /// `units` more are done.
    pub fn advance(&self, units: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done += units;
        state.show();
    }
}

impl State {
    /// Progress is a courtesy: when it cannot be written the work goes on.
    fn show(&mut self) {
        let now = Instant::now();
        let finished = self.done >= self.total;
        let pause = if self.terminal { TERMINAL_PAUSE } else { PLAIN_PAUSE };
        if !finished && self.shown.is_some_and(|shown| now - shown < pause) {
            return;
        }
        self.shown = Some(now);
        let line = line(&self.label, self.done, self.total, now - self.start);
        let _ = match (self.terminal, finished) {
            (true, false) => write!(self.out, "\r\x1b[K{line}"),
            (true, true) => writeln!(self.out, "\r\x1b[K{line}"),
            (false, _) => writeln!(self.out, "{line}"),
        };
        let _ = self.out.flush();
    }
}

fn line(label: &str, done: usize, total: usize, elapsed: Duration) -> String {
    if done >= total {
        return format!("{label}: done in {:.1} s", elapsed.as_secs_f64());
    }
    let left = elapsed.as_secs_f64() / done.max(1) as f64 * (total - done) as f64;
    format!("{label}: {done} of {total}, about {left:.0} s left")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_remaining_time_is_the_time_so_far_over_the_share_done() {
        assert_eq!(line("train", 5, 20, Duration::from_secs(10)), "train: 5 of 20, about 30 s left");
        assert_eq!(line("train", 20, 20, Duration::from_secs(40)), "train: done in 40.0 s");
    }

    #[test]
    fn without_a_terminal_there_are_plain_lines_and_the_last_is_always_written() {
        let out = Shared::default();
        let progress = Progress::new(Box::new(out.clone()), false, "fit", 100);
        for _ in 0..100 {
            progress.advance(1);
        }
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert!(
            text.starts_with("fit: 1 of 100") && text.ends_with(" s\n") && !text.contains('\r'),
            "{text}"
        );
        assert!(text.contains("fit: done in"));
    }
}
