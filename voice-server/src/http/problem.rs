//! Errors of the HTTP surface: `application/problem+json` (RFC 9457) with a stable code and the correlation id.
//!
//! A handler returns a [`Problem`]; the layer [`finish`] writes its body, because only there the correlation id is
//! known. The same layer turns refusals of libraries (a body too large, a method not allowed) into problems. What
//! went wrong inside stays in the log.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;

use crate::data::DataError;

/// One error as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    field: Option<String>,
    retry_after: Option<u32>,
}

impl Problem {
    /// An error with a status, a stable code that programs compare, and a sentence for people.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), field: None, retry_after: None }
    }

    /// 404: there is nothing, or it is not the caller's.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// 403 with the setting to change in `detail`.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 422: a value is not what it must be.
    pub fn bad_value(field: impl Into<String>, detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_value", detail);
        Self { field: Some(field.into()), ..problem }
    }

    /// 503: come back in `seconds`.
    pub fn unavailable(code: &'static str, detail: impl Into<String>, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail) }
    }

    /// 401: there is no access token, or none that counts.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    }

    /// 429: come back in `seconds`.
    pub fn limited(code: &'static str, detail: impl Into<String>, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..Self::new(StatusCode::TOO_MANY_REQUESTS, code, detail) }
    }

    /// 500: something went wrong here, and the log says what.
    pub fn internal() -> Self {
        Self::of_status(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The value of the request that is not what it must be.
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// What a library's bare refusal means.
    fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::NOT_FOUND => ("not_found", "there is nothing at this address"),
            StatusCode::METHOD_NOT_ALLOWED => {
                ("method_not_allowed", "this address does not take this method")
            }
            StatusCode::PAYLOAD_TOO_LARGE => ("body_too_large", "the body of the request is too large"),
            StatusCode::REQUEST_TIMEOUT => ("timed_out", "the request took too long"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                ("unsupported_media_type", "the body is not of a type taken here")
            }
            StatusCode::BAD_REQUEST => ("bad_request", "the request cannot be read"),
            StatusCode::UNPROCESSABLE_ENTITY => {
                ("invalid_value", "a value of the request is not what it must be")
            }
            _ if status.is_server_error() => {
                ("internal", "something went wrong here; the log has the details")
            }
            _ => ("refused", "the request was refused"),
        };
        Self::new(status, code, detail)
    }
}

impl From<DataError> for Problem {
    fn from(error: DataError) -> Self {
        match &error {
            DataError::NotFound => Self::not_found("there is no such thing"),
            DataError::Changed => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "changed",
                "somebody else changed this meanwhile; read it again, then make the change",
            ),
            DataError::LastAdmin => Self::new(
                StatusCode::CONFLICT,
                "last_admin",
                "this is the organization's last admin; make another one first",
            ),
            DataError::Exists => Self::new(StatusCode::CONFLICT, "exists", "this exists already"),
            DataError::Unavailable(cause) => {
                tracing::warn!(error = %cause, "the database does not answer");
                Self::unavailable("database_unavailable", "the database does not answer; try again", 2)
            }
            _ => {
                tracing::error!(%error, "the database failed");
                Self::of_status(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110, section 15.5.2, wants it said how to come in.
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[derive(Serialize)]
struct Document<'a> {
    code: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(rename = "correlationId", skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a str>,
}

/// The layer that writes the bodies of errors.
pub async fn finish(request: Request, next: Next) -> Response {
    let id = request.headers().get(super::layers::CORRELATION).cloned();
    let mut response = next.run(request).await;
    let status = response.status();
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        // Our own errors carry a problem; this one comes from a library, whose words are not for the client. A
        // health report that says 503 is no error: it is JSON already.
        None if status.is_client_error() || (status.is_server_error() && !is_json(&response)) => {
            Problem::of_status(status)
        }
        None => return response,
    };
    let document = Document {
        code: problem.code,
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail: &problem.detail,
        field: problem.field.as_deref(),
        correlation_id: id.as_ref().and_then(|id| id.to_str().ok()),
    };
    let body = serde_json::to_vec(&document).unwrap_or_default();
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    Response::from_parts(parts, Body::from(body))
}

fn is_json(response: &Response) -> bool {
    response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}
