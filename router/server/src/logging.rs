//! Logs: never a prompt, a key or a header of a request.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::arguments::LogFormat;

/// Crates that write headers or bodies into their detailed logs.
const TOO_TALKATIVE: [&str; 8] =
    ["hyper", "hyper_util", "h2", "reqwest", "rustls", "tower", "tower_http", "axum"];

/// Starts to log, and logs panics with their place only: a panic's message can quote the text it happened on.
///
/// # Errors
/// Where the filter is not one.
pub fn start(format: LogFormat, filter: &str) -> Result<(), ParseError> {
    let mut filter = EnvFilter::builder().parse(filter)?;
    for name in TOO_TALKATIVE {
        filter = filter.add_directive(format!("{name}=warn").parse()?);
    }
    let terminal = std::io::stderr().is_terminal();
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal);
    match format {
        LogFormat::Json => logs.json().flatten_event(true).with_current_span(false).init(),
        LogFormat::Human => logs.with_target(false).init(),
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "a part of the router panicked; the request it worked on failed");
    }));
    Ok(())
}
