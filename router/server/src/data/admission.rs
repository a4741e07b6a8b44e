//! What happens before and around every request: it is refused at once where too many are in flight, and a defect in
//! one request hurts no other.

use std::{any::Any, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::StatusCode;

use super::{DataPlane, error::ApiError, guarded::Guarded};

/// Bytes of the longest path and query.
const LONGEST_PATH: usize = 8 * 1024;
/// When a client that was refused may come again.
const COME_AGAIN: Duration = Duration::from_secs(1);

/// Lets a request in, or refuses it at once. It counts as in flight until its answer has been sent.
pub(super) async fn admit(State(plane): State<Arc<DataPlane>>, request: Request, next: Next) -> Response {
    let path = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if path > LONGEST_PATH {
        return ApiError::new(StatusCode::URI_TOO_LONG, "path_too_long", "the path is too long")
            .into_response();
    }
    let Ok(permit) = Arc::clone(&plane.in_flight).try_acquire_owned() else {
        return overloaded(&plane).into_response();
    };
    let guard = (permit, plane.metrics.in_flight());
    next.run(request).await.map(|body| Guarded::body(body, guard))
}

/// 429, counted: the router has as much to do as it takes on.
pub(super) fn overloaded(plane: &DataPlane) -> ApiError {
    plane.metrics.shed();
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", "too many requests are in flight: try again")
        .retry_after(COME_AGAIN)
}

/// What the client is told after a panic; the panic itself is logged by the process's hook, without its message.
pub(super) fn after_panic(_payload: Box<dyn Any + Send>) -> Response<Body> {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the router failed on this request")
        .into_response()
}
