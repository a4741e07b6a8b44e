//! Reading a body: bounded in size and time, then as JSON with errors that name the field.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Deserialize;

use super::error::ApiError;

/// Reads a whole body of at most `limit` bytes within `time`.
///
/// # Errors
/// 413, 408, or 400 where the connection or its framing failed.
pub(super) async fn read(body: Body, limit: usize, time: Duration) -> Result<Bytes, ApiError> {
    let collected = tokio::time::timeout(time, Limited::new(body, limit).collect()).await;
    match collected {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("the body must have at most {limit} bytes"),
        )),
        Ok(Err(_)) => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "body_incomplete",
            "failed to read the body: it broke off",
        )),
        Err(_) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_too_slow",
            format!("the body must arrive within {} seconds", time.as_secs_f64()),
        )),
    }
}

/// Reads JSON; an error names the field.
///
/// # Errors
/// 400, see [`ApiError::body`].
pub(super) fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ApiError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| ApiError::body(&error.path().to_string(), error.inner()))?;
    deserializer.end().map_err(|error| ApiError::body(".", &error))?;
    Ok(value)
}
