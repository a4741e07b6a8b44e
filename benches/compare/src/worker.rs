//! The peer's end of the line: a program that measures what it is told to, one line a turn.
//!
//! It says its version first. Then each line `ROW MILLISECONDS` is answered with nanoseconds an operation, or with
//! `none` for a row it does not have. It ends with its input.

use std::io::{BufRead, Write};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::measure::Operation;

/// What is answered for a row that is not there.
pub const NONE: &str = "none";

/// Answers until the input ends.
///
/// # Errors
/// If a line is not a row and a number, or the output is gone.
pub fn serve(
    version: &str,
    rows: &mut [(String, Operation)],
    input: impl BufRead,
    mut output: impl Write,
) -> Result<()> {
    writeln!(output, "{version}")?;
    output.flush()?;
    for line in input.lines() {
        let line = line.context("failed to read the next turn")?;
        let (name, milliseconds) = line
            .split_once(' ')
            .context("a turn must be a row and milliseconds, such as \"similarity 20\"")?;
        let length =
            Duration::from_millis(milliseconds.parse().context("the milliseconds must be a number")?);
        match rows.iter_mut().find(|(row, _)| row == name) {
            Some((_, operation)) => writeln!(output, "{}", operation.turn(length))?,
            None => writeln!(output, "{NONE}")?,
        }
        output.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_answered_with_its_time_and_an_unknown_one_with_none() {
        let mut rows = [("a".to_owned(), Operation::new(|count| Duration::from_nanos(7 * count)))];
        let mut output = Vec::new();
        serve("1.2.3", &mut rows, "a 1\nb 1\na 1\n".as_bytes(), &mut output).expect("must serve");
        assert_eq!(String::from_utf8(output).expect("must be text"), "1.2.3\n7\nnone\n7\n");
    }

    #[test]
    fn a_line_that_is_no_turn_is_named() {
        let error = serve("1", &mut [], "similarity\n".as_bytes(), Vec::new()).expect_err("must fail");
        assert!(error.to_string().contains("must be a row and milliseconds"));
    }
}
