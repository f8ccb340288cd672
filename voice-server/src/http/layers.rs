//! What every request passes: correlation id, time limit, body limit, security headers, a line in the log.
//!
//! The log line has method, path, status and time. A query may hold a token and is never written, nor is a caller's number.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate as _};
use tower_http::cors::CorsLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;

use super::problem::{self, Problem};
use super::quota;
use crate::app::App;

/// The header with the id that joins a client's error with the server's log.
pub const CORRELATION: HeaderName = HeaderName::from_static("x-request-id");

/// Largest body of a request; the surface takes small JSON only. Sockets have their own limit.
const BODY_LIMIT: usize = 1024 * 1024;

/// Longest time for one answer. The longest promise of the surface is 8 s.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Puts the layers around the routes. `cors` tells browsers which other sites' pages may read the answers.
pub fn wrap(routes: Router, cors: CorsLayer, app: App) -> Router {
    // Sound is compressed already, and a part of it must stay the part that was asked for.
    let worth_it = DefaultPredicate::new().and(NotForContentType::new("audio/"));
    // The last one added is the outermost.
    routes
        .layer(RequestBodyLimitLayer::new(BODY_LIMIT))
        .layer(middleware::from_fn(limit_time))
        .layer(middleware::from_fn_with_state(app, quota::limit))
        .layer(middleware::from_fn(problem::finish))
        .layer(CompressionLayer::new().compress_when(worth_it))
        .layer(cors)
        .layer(middleware::from_fn(log))
        .layer(fixed(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(fixed(X_FRAME_OPTIONS, "DENY"))
        .layer(fixed(REFERRER_POLICY, "no-referrer"))
        .layer(fixed(CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
        .layer(fixed(CACHE_CONTROL, "no-store"))
        .layer(PropagateRequestIdLayer::new(CORRELATION))
        .layer(SetRequestIdLayer::new(CORRELATION, MakeRequestUuid))
        .layer(middleware::from_fn(drop_odd_id))
}

/// A header that a route may set otherwise.
fn fixed(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

/// A client's own id is kept only if it is short and plain, since it goes into logs and bodies.
async fn drop_odd_id(mut request: Request, next: Next) -> Response {
    let plain = |id: &HeaderValue| {
        let bytes = id.as_bytes();
        (1..=64).contains(&bytes.len())
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    if request.headers().get(CORRELATION).is_some_and(|id| !plain(id)) {
        request.headers_mut().remove(CORRELATION);
    }
    next.run(request).await
}

async fn limit_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(TIME_LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable("timed_out", "the answer took too long; try again", 5).into_response(),
    }
}

/// A path without what must not be in a log: the number of a caller who is erased.
fn told(path: &str) -> &str {
    const CALLERS: &str = "/api/v1/callers/";
    if path.starts_with(CALLERS) { CALLERS } else { path }
}

async fn log(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let path = told(request.uri().path()).to_owned();
    let id = request.headers().get(CORRELATION).cloned();
    let response = next.run(request).await;
    let id = id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default();
    let (status, ms) = (response.status().as_u16(), begun.elapsed().as_millis() as u64);
    // Orchestrators and collectors ask every few seconds; their lines would hide the others.
    if path.starts_with("/health") || path == "/metrics" {
        tracing::debug!(%method, path, status, ms, id, "request");
    } else {
        tracing::info!(%method, path, status, ms, id, "request");
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_number_is_not_told_to_the_log() {
        assert_eq!(told("/api/v1/callers/%2B15557770001"), "/api/v1/callers/");
        assert_eq!(told("/api/v1/conversations"), "/api/v1/conversations");
    }
}
