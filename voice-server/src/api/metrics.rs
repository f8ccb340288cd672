//! `GET /metrics` for Prometheus, to this machine alone.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE};
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode};

use crate::app::App;
use crate::http::{Problem, locality};

/// Numbers as OpenMetrics text.
///
/// # Errors
/// 403 where the peer is not this machine, a proxy forwarded the request, or `Host` names another machine.
pub async fn report(State(app): State<App>, parts: Parts) -> Result<Response, Problem> {
    if !is_near(&parts) {
        return Err(Problem::forbidden(
            "metrics are given to this machine only, without a proxy between; run the collector beside the server",
        ));
    }
    let text = app.metrics.text(app.calls.active(), &app.answerer.vitals()).map_err(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the metrics cannot be written")
    })?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS), (CACHE_CONTROL, "no-store")], text).into_response())
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn is_near(parts: &Parts) -> bool {
    let headers: &HeaderMap = &parts.headers;
    // A request whose peer is unknown cannot be shown to come from here.
    parts.extensions.get::<ConnectInfo<SocketAddr>>().is_some_and(|ConnectInfo(peer)| {
        // A page of another site that got its name to point here would say that name.
        let named = locality::host(&parts.uri, headers).is_some_and(locality::names_this_machine);
        locality::is_loopback(peer.ip()) && locality::forwarded_by(headers).is_none() && named
    })
}
