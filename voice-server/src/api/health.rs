//! `/health`, `/health/live` and `/health/ready`.
//!
//! `/health` tries what is configured, at most once in a few seconds, and spends no provider's credit. `live` says
//! that the process answers; `ready` that it may be given calls: the engine is there, the database
//! answers and no end has begun.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use hyper::StatusCode;
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::app::App;
use crate::events::{Event, Kind};

/// How long a result is given again without trying.
const FRESH: Duration = Duration::from_secs(3);
/// A component that takes longer does not work.
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// The health of the server and of each configured component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Report {
    /// `healthy` where every component works.
    pub status: &'static str,
    /// Whether each component works.
    pub checks: BTreeMap<&'static str, bool>,
}

/// The last report and its age. One probe runs at a time; whoever comes meanwhile gets its result.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Option<(Instant, Report)>>>);

impl Health {
    /// The health of `app`, at most three seconds old.
    pub async fn report(&self, app: &App) -> Report {
        // This lock is what makes others wait for the probe under way; a probe ends within its limit.
        let mut last = self.0.lock().await;
        if let Some((at, report)) = &*last
            && at.elapsed() < FRESH
        {
            return report.clone();
        }
        let report = probe(app).await;
        if last.as_ref().is_some_and(|(_, before)| *before != report) {
            let data = serde_json::json!({"status": report.status, "checks": report.checks});
            app.events.announce(&Event::new(Kind::Health, data));
        }
        *last = Some((Instant::now(), report.clone()));
        report
    }
}

async fn probe(app: &App) -> Report {
    let mut checks = BTreeMap::new();
    let (database, storage, services) =
        tokio::join!(database_answers(app), storage_answers(app), app.answerer.services());
    checks.insert("database", database);
    checks.insert("storage", storage);
    checks.extend(services);
    if let (Some(cache), Some(events)) = (app.cache.is_redis_up(), app.events.is_redis_up()) {
        checks.insert("redis", cache && events);
    }
    for stage in app.answerer.stages() {
        checks.insert(stage.stage, stage.ready);
    }
    let healthy = checks.values().all(|works| *works);
    Report { status: if healthy { "healthy" } else { "unhealthy" }, checks }
}

async fn database_answers(app: &App) -> bool {
    matches!(tokio::time::timeout(PROBE_LIMIT, app.store.ping()).await, Ok(Ok(())))
}

async fn storage_answers(app: &App) -> bool {
    matches!(tokio::time::timeout(PROBE_LIMIT, app.blobs.answers()).await, Ok(true))
}

/// `GET /health`: 200 where every component works, else 503.
#[utoipa::path(
    get,
    path = "/health",
    tag = "health",
    responses(
        (status = 200, description = "Every configured component works", body = Report),
        (status = 503, description = "At least one does not", body = Report),
    ),
)]
pub async fn report(State(app): State<App>) -> (StatusCode, Json<Report>) {
    let report = app.health.report(&app).await;
    let status = if report.status == "healthy" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report))
}

/// `GET /health/live`: the process answers.
pub async fn live() -> Json<serde_json::Value> {
    Json(serde_json::json!({"status": "live"}))
}

/// `GET /health/ready`: calls may come.
pub async fn ready(State(app): State<App>) -> (StatusCode, Json<serde_json::Value>) {
    if !app.shutdown.has_begun() && app.answerer.is_ready() && database_answers(&app).await {
        (StatusCode::OK, Json(serde_json::json!({"status": "ready"})))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(serde_json::json!({"status": "not ready"})))
    }
}
