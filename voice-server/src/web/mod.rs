//! The talk page at `/`: press, speak, hear, see transcript and latency; and `/setup`, by which the first admin comes in. Files of this folder, built into the program.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName};

use crate::app::App;

/// The page runs its own files only: no inline script, no other host.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const PERMISSIONS: HeaderName = HeaderName::from_static("permissions-policy");

/// The page and its files.
pub fn routes() -> Router<App> {
    const HTML: &str = "text/html; charset=utf-8";
    const JS: &str = "text/javascript; charset=utf-8";
    const CSS: &str = "text/css; charset=utf-8";
    Router::new()
        .route("/", get(async || file(HTML, include_str!("index.html"))))
        .route("/talk.js", get(async || file(JS, include_str!("talk.js"))))
        .route("/worklet.js", get(async || file(JS, include_str!("worklet.js"))))
        .route("/setup", get(async || file(HTML, include_str!("setup.html"))))
        .route("/setup.js", get(async || file(JS, include_str!("setup.js"))))
        .route("/talk.css", get(async || file(CSS, include_str!("talk.css"))))
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (PERMISSIONS, "microphone=(self)"),
        // The files change with the program only, and the program restarts then.
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}
