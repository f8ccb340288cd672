//! The pages: talk at `/`, the console at `/console`, and `/setup`, by which the first admin comes in. Plain files of this folder, built into the program.
//!
//! There is no front-end build: what lies here is what a browser gets, compressed. The files run under a policy that allows
//! no inline code and no other host. `voice-client.js` and `worklet.js` alone may be imported by pages of other origins; what
//! such a page may then do at the socket is decided there.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::StatusCode;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName,
    HeaderValue, IF_NONE_MATCH,
};
use sha2::{Digest as _, Sha256};
use tower_http::compression::CompressionLayer;

use crate::app::App;

/// The pages run their own files only: no inline script, no other host.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; media-src 'self'; \
                      worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const PERMISSIONS: HeaderName = HeaderName::from_static("permissions-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

const HTML: &str = "text/html; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Where the worker finds the version of the files.
const VERSION: &str = "%VERSION%";
const WORKER: &str = "/sw.js";

/// One file as it is served.
struct File {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($path:literal $kind:ident $name:literal)*) => {
        &[$(File { path: $path, kind: $kind, text: include_str!($name) }),*]
    };
}

const FILES: &[File] = files! {
    "/" HTML "index.html"
    "/talk.css" CSS "talk.css"
    "/talk.js" JS "talk.js"
    "/voice-client.js" JS "voice-client.js"
    "/worklet.js" JS "worklet.js"
    "/setup" HTML "setup.html"
    "/setup.js" JS "setup.js"
    "/console" HTML "console.html"
    "/console.css" CSS "console.css"
    "/console.js" JS "console.js"
    "/api.js" JS "api.js"
    "/offline.js" JS "offline.js"
    "/live.js" JS "live.js"
    "/dom.js" JS "dom.js"
    "/charts.js" JS "charts.js"
    "/view-calls.js" JS "view-calls.js"
    "/view-conversations.js" JS "view-conversations.js"
    "/view-performance.js" JS "view-performance.js"
    "/view-settings.js" JS "view-settings.js"
    "/view-status.js" JS "view-status.js"
    "/base.css" CSS "base.css"
    "/waterfall.js" JS "waterfall.js"
    "/icon.svg" SVG "icon.svg"
    "/sw.js" JS "sw.js"
};

/// What other origins may load: the reference client and the part of it that runs on the audio thread.
const SHARED: [&str; 2] = ["/voice-client.js", "/worklet.js"];

/// One hash over all files: it changes when any of them does, and with it the worker.
static HASH: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for file in FILES {
        hash.update(file.path);
        hash.update(file.text);
    }
    hash.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect()
});
static WORKER_TEXT: LazyLock<String> = LazyLock::new(|| {
    let worker = FILES.iter().find(|file| file.path == WORKER);
    worker.map(|file| file.text.replacen(VERSION, &HASH, 1)).unwrap_or_default()
});

/// The pages and their files.
pub fn routes() -> Router<App> {
    let routes = FILES.iter().fold(Router::new(), |routes, file| {
        routes.route(file.path, get(async move |request: Request| serve(file, &request)))
    });
    routes.layer(CompressionLayer::new())
}

fn serve(file: &'static File, request: &Request) -> Response {
    // The files change with the program only, so one mark serves them all; `no-cache` has a browser ask for it each time.
    let mark = format!("W/\"{}\"", *HASH);
    let known = request.headers().get(IF_NONE_MATCH).and_then(|marks| marks.to_str().ok());
    let unchanged = known.is_some_and(|marks| marks.split(',').any(|one| one.trim() == mark));
    let headers = [
        (CONTENT_TYPE, file.kind.to_owned()),
        (CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (PERMISSIONS, "microphone=(self), speaker-selection=(self)".to_owned()),
        (CACHE_CONTROL, "no-cache".to_owned()),
        (ETAG, mark),
    ];
    let text = if file.path == WORKER { WORKER_TEXT.as_str() } else { file.text };
    let mut response = if unchanged {
        (StatusCode::NOT_MODIFIED, headers).into_response()
    } else {
        (headers, text).into_response()
    };
    if SHARED.contains(&file.path) {
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        response.headers_mut().insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    }
    response
}
