//! Logs: one JSON object a line.

use tracing_subscriber::{EnvFilter, filter::ParseError};

/// Starts logging.
///
/// # Errors
/// Where the filter cannot be read.
pub fn start(filter: &str) -> Result<(), ParseError> {
    let filter = EnvFilter::try_new(filter)?;
    tracing_subscriber::fmt().json().with_env_filter(filter).with_current_span(false).init();
    Ok(())
}
