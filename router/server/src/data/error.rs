//! Errors as clients see them, in OpenAI's shape.

use std::time::Duration;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// Longest message of a parser that is handed on; it may quote what the client sent.
const LONGEST_DETAIL: usize = 200;

/// An error that a client is told about. Never carries anything of another request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    parameter: Option<String>,
    retry_after: Option<Duration>,
}

/// `{"message", "type", "param", "code"}`.
#[derive(Debug, Serialize)]
pub(super) struct ErrorBody<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'a str>,
    code: &'static str,
}

/// `{"error": ...}`.
#[derive(Debug, Serialize)]
pub(super) struct ErrorEnvelope<'a> {
    error: ErrorBody<'a>,
}

impl ApiError {
    /// An error with this status and machine-readable code.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), parameter: None, retry_after: None }
    }

    /// 400: a field has a value it may not have. `rule` goes on after the field's name: "must be ...".
    pub fn field(field: impl Into<String>, rule: &str) -> Self {
        let field = field.into();
        let mut error = Self::new(StatusCode::BAD_REQUEST, "invalid_value", format!("`{field}` {rule}"));
        error.parameter = Some(field);
        error
    }

    /// 400: the body is not what the endpoint takes; `path` is the field where that was seen.
    pub fn body(path: &str, error: &serde_json::Error) -> Self {
        let detail: String = error.to_string().chars().take(LONGEST_DETAIL).collect();
        if error.is_data() && path != "." {
            let mut refused =
                Self::new(StatusCode::BAD_REQUEST, "invalid_value", format!("`{path}`: {detail}"));
            refused.parameter = Some(path.to_owned());
            return refused;
        }
        let code = if error.is_data() { "invalid_value" } else { "invalid_json" };
        Self::new(StatusCode::BAD_REQUEST, code, format!("failed to read the body as JSON: {detail}"))
    }

    /// Names the field the error is about.
    #[must_use]
    pub fn about(mut self, field: impl Into<String>) -> Self {
        self.parameter = Some(field.into());
        self
    }

    /// Says when to try again; at least one second.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Puts the field under a parent, for an item of a list.
    #[must_use]
    pub(super) fn within(mut self, parent: &str) -> Self {
        self.parameter = Some(match self.parameter {
            Some(field) => format!("{parent}.{field}"),
            None => parent.to_owned(),
        });
        self
    }

    /// The body of the answer.
    pub(super) fn envelope(&self) -> ErrorEnvelope<'_> {
        ErrorEnvelope {
            error: ErrorBody {
                message: &self.message,
                r#type: self.kind(),
                param: self.parameter.as_deref(),
                code: self.code,
            },
        }
    }

    fn kind(&self) -> &'static str {
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.envelope())).into_response();
        if let Some(after) = self.retry_after {
            let seconds = HeaderValue::from(after.as_secs_f64().ceil().max(1.0) as u64);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
