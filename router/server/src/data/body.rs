//! Reading a body: bounded in size and time, then as JSON with errors that name the field.

use std::{ops::Deref, sync::Arc};

use axum::body::{Body, HttpBody as _};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;

use super::{DataPlane, admission, error::ApiError};

/// A body that was read. It counts among the bytes that all bodies together may take until it is dropped.
#[derive(Debug)]
pub(super) struct ReadBody {
    bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl Deref for ReadBody {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.bytes
    }
}

/// Reads a whole body of at most `limit` bytes.
///
/// # Errors
/// 413, 408, 429 where all bodies together take too much, or 400 where the connection or its framing failed.
pub(super) async fn read(plane: &DataPlane, body: Body, limit: usize) -> Result<ReadBody, ApiError> {
    let within = plane.limits.body_within;
    tokio::time::timeout(within, collect(plane, body, limit)).await.unwrap_or_else(|_| {
        Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_too_slow",
            format!("the body must arrive within {} seconds", within.as_secs_f64()),
        ))
    })
}

async fn collect(plane: &DataPlane, body: Body, limit: usize) -> Result<ReadBody, ApiError> {
    if usize::try_from(body.size_hint().lower()).map_or(true, |bytes| bytes > limit) {
        return Err(too_large(limit));
    }
    let mut body = Limited::new(body, limit);
    let mut bytes = BytesMut::new();
    let mut taken: Option<OwnedSemaphorePermit> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| if error.is::<LengthLimitError>() { too_large(limit) } else { incomplete() })?;
        let Ok(data) = frame.into_data() else { continue };
        let size = u32::try_from(data.len()).map_err(|_| too_large(limit))?;
        let Ok(more) = Arc::clone(&plane.body_room).try_acquire_many_owned(size) else {
            return Err(admission::overloaded(plane));
        };
        match &mut taken {
            Some(taken) => taken.merge(more),
            None => taken = Some(more),
        }
        bytes.extend_from_slice(&data);
    }
    Ok(ReadBody { bytes: bytes.freeze(), _room: taken })
}

fn too_large(limit: usize) -> ApiError {
    let message = format!("the body must have at most {limit} bytes");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
}

fn incomplete() -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "body_incomplete", "failed to read the body: it broke off")
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
