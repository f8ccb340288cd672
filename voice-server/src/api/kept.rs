//! Reads that go on while the database is down: each answer is kept, and given again with its age where the database does not
//! answer.
//!
//! While it does answer nothing kept is ever given, so whoever changes something reads his change.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::HeaderMap;
use hyper::http::request::Parts;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::revision;
use crate::app::App;
use crate::cache::{Area, Cache as _, Entry, Key};
use crate::data::DataError;
use crate::http::Problem;

/// How long an answer is better than none.
const BETTER_THAN_NOTHING: Duration = Duration::from_secs(24 * 3_600);

/// The place of what a request reads: address and query, and nothing of the asker but his organization.
fn place(parts: &Parts, organization: Uuid) -> Key {
    Key::new(Area::Read, organization, parts.uri.path_and_query().map_or("/", |target| target.as_str()))
}

/// What `read` gives, as JSON with an entity tag; where the database does not answer, what it gave last, with
/// `"meta":{"stale":true,"asOf":…}`. `revision` is that of what was read.
///
/// # Errors
/// `read` failed otherwise, or nothing is kept.
pub(crate) async fn or_kept<T: Serialize>(
    app: &App,
    parts: &Parts,
    organization: Uuid,
    read: impl Future<Output = Result<T, ReadError>>,
    revision: impl Fn(&T) -> Option<i64>,
) -> Result<Response, Problem> {
    let key = place(parts, organization);
    match read.await {
        Ok(found) => {
            let bytes = Bytes::from(serde_json::to_vec(&found).unwrap_or_default());
            let entry = Entry::new(bytes.clone(), Duration::ZERO, BETTER_THAN_NOTHING);
            // What cannot be kept is read all the same.
            let _ = app.cache.put(&key, entry, None).await;
            Ok(match revision(&found) {
                Some(revision) => revision::tagged_bytes(&parts.headers, revision, bytes),
                None => json_of(bytes),
            })
        }
        Err(ReadError::Problem(problem)) => Err(problem),
        Err(ReadError::Data(error @ DataError::Unavailable(_))) => {
            let kept = app.cache.look(&key).await.ok().and_then(|look| look.entry);
            let Some(entry) = kept else { return Err(error.into()) };
            let Ok(Value::Object(mut object)) = serde_json::from_slice(&entry.value) else {
                return Err(error.into());
            };
            tracing::warn!(path = parts.uri.path(), "the database does not answer; a kept answer is given");
            object.insert("meta".to_owned(), json!({"stale": true, "asOf": entry.at}));
            Ok(axum::Json(object).into_response())
        }
        Err(ReadError::Data(error)) => Err(error.into()),
    }
}

/// Why nothing was read.
pub(crate) enum ReadError {
    /// The database failed.
    Data(DataError),
    /// There is no such thing, and the like.
    Problem(Problem),
}

impl From<DataError> for ReadError {
    fn from(error: DataError) -> Self {
        Self::Data(error)
    }
}

impl From<Problem> for ReadError {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// JSON that is written already.
pub(crate) fn json_of(bytes: Bytes) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    (headers, Body::from(bytes)).into_response()
}
