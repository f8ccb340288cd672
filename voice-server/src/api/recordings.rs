//! `GET /api/v1/recordings/{id}` through a signed link, and `DELETE /api/v1/callers/{phone}`.
//!
//! A link is all the right that hearing takes: a page's player cannot sign in. Ranges are those of RFC 9110, section 14, one
//! at a time, so that a player can seek; sound is read from the storage in steps while it is sent.

use std::ops::Range;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use hyper::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_RANGE, RANGE,
};
use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::id_of;
use crate::app::App;
use crate::auth::{Identity, Right};
use crate::cache::{Area, Cache as _, Group};
use crate::data::{RecordingState, Timestamp};
use crate::http::Problem;
use crate::recording::keep::{self, EraseError, Erased};
use crate::storage::{Reader, StorageError};

/// Bytes that are read from the storage at a time.
const STEP: u64 = 512 * 1024;
/// Longest telephone number that is looked for; E.164 has 16 characters.
const PHONE: usize = 40;

/// The query of a signed link.
#[derive(Debug, Deserialize)]
pub struct LinkQuery {
    #[serde(default)]
    expires: String,
    #[serde(default)]
    signature: String,
}

/// The sound of a recording, all or a range. Also for HEAD.
///
/// # Errors
/// 403 where the link is not valid (any more), 404 where the recording is gone, 503 where the storage does not answer.
#[utoipa::path(
    get,
    path = "/api/v1/recordings/{id}",
    tag = "recordings",
    params(
        ("id" = uuid::Uuid, Path, description = "The recording"),
        ("expires" = Option<String>, Query, description = "From the link in the conversation"),
        ("signature" = Option<String>, Query, description = "From the link in the conversation"),
        ("Range" = Option<String>, Header, description = "A part of it"),
    ),
    responses(
        (status = 200, description = "Ogg/Opus, the caller on the left", content_type = "audio/ogg"),
        (status = 206, description = "The part that was asked for", content_type = "audio/ogg"),
        (status = 403, description = "The link is not valid, or not any more"),
        (status = 416, description = "The part lies past the end"),
    ),
)]
pub async fn one(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    query: Result<Query<LinkQuery>, QueryRejection>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let refused = || {
        Problem::forbidden(
            "the link is not valid, or not any more; read the conversation again for a new one",
        )
    };
    let unknown = || Problem::not_found("there is no such recording");
    let Ok(Query(LinkQuery { expires, signature })) = query else { return Err(refused()) };
    let id = id_of(id).ok_or_else(refused)?;
    let organization = app.links.check(id, &expires, &signature, Timestamp::now()).ok_or_else(refused)?;
    let recording = app.store.recording(organization, id).await?.ok_or_else(unknown)?;
    if recording.state != RecordingState::Stored {
        return Err(unknown());
    }
    let reader = app.blobs.open(&recording.object).await.map_err(|error| problem(&error))?;
    let size = reader.size();
    // An object never changes under its id.
    let tag = format!("\"{}\"", id.simple());
    let applies = headers.get(IF_RANGE).is_none_or(|known| known.as_bytes() == tag.as_bytes());
    let asked = headers.get(RANGE).filter(|_| applies).and_then(|range| range.to_str().ok());
    let (status, range) = match asked.map_or(Asked::All, |text| parse_range(text, size)) {
        Asked::All => (StatusCode::OK, 0..size),
        Asked::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Asked::Nothing => {
            let detail = "the range lies past the end of the recording";
            let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", detail);
            let mut response = problem.into_response();
            response.headers_mut().insert(CONTENT_RANGE, value(&format!("bytes */{size}")));
            return Ok(response);
        }
    };
    let length = range.end - range.start;
    let whole = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
    let body = if method == Method::HEAD { Body::empty() } else { stream(reader, range) };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("audio/ogg"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(ETAG, value(&tag));
    if status == StatusCode::PARTIAL_CONTENT {
        headers.insert(CONTENT_RANGE, value(&whole));
    }
    Ok(response)
}

/// A header of digits and plain letters, which is always one.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

fn stream(reader: Reader, range: Range<u64>) -> Body {
    let steps = futures::stream::try_unfold((reader, range), |(reader, range)| async move {
        if range.is_empty() {
            return Ok::<_, StorageError>(None);
        }
        let until = (range.start + STEP).min(range.end);
        let bytes = reader.read(range.start..until).await.inspect_err(|error| {
            tracing::warn!(%error, "a recording broke off while it was sent");
        })?;
        Ok(Some((bytes, (reader, until..range.end))))
    });
    Body::from_stream(steps)
}

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    All,
    Part(Range<u64>),
    /// It cannot be had.
    Nothing,
}

/// RFC 9110, sections 14.1.1 and 14.2. Other units, several ranges and what is malformed count as not asked.
fn parse_range(text: &str, size: u64) -> Asked {
    let number = |digits: &str| {
        let sound = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        // A number past every size is one all the same.
        sound.then(|| digits.parse::<u64>().unwrap_or(u64::MAX))
    };
    let parts = text.strip_prefix("bytes=").and_then(|set| set.trim().split_once('-'));
    match parts.map(|(first, last)| (number(first), first.is_empty(), number(last), last.is_empty())) {
        Some((None, true, Some(suffix), _)) if suffix == 0 || size == 0 => Asked::Nothing,
        Some((None, true, Some(suffix), _)) => Asked::Part(size.saturating_sub(suffix)..size),
        Some((Some(first), _, None, true)) if first < size => Asked::Part(first..size),
        Some((Some(first), _, Some(last), _)) if first <= last && first < size => {
            Asked::Part(first..last.saturating_add(1).min(size))
        }
        Some((Some(first), _, Some(last), _)) if first > last => Asked::All,
        Some((Some(_), _, Some(_), _) | (Some(_), _, None, true)) => Asked::Nothing,
        _ => Asked::All,
    }
}

/// Deletes everything of a caller, whoever told his number: recordings, transcripts, consents, and events that are held.
///
/// # Errors
/// The request may not, the number is none, or storage or database fail: then the same again goes on.
#[utoipa::path(
    delete,
    path = "/api/v1/callers/{phone}",
    tag = "callers",
    params(("phone" = String, Path, description = "The number, however its conversations write it: its digits count")),
    responses((status = 200, description = "What was deleted; the same again finds nothing", body = Erased)),
)]
pub async fn erase(
    State(app): State<App>,
    phone: Result<Path<String>, PathRejection>,
    who: Identity,
) -> Result<Json<Erased>, Problem> {
    who.may(Right::EraseCallers)?;
    let bad = || Problem::bad_value("phone", "phone must be a telephone number, such as +15125550100");
    let Path(phone) = phone.map_err(|_| bad())?;
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | ' ' | '(' | ')' | '.');
    if phone.len() > PHONE || !phone.chars().all(plain) || !phone.contains(|c: char| c.is_ascii_digit()) {
        return Err(bad());
    }
    let erased = keep::erase_caller(&*app.store, &app.blobs, &app.events, who.organization, &phone).await;
    // Nor do copies of answers stay that are kept for when the database is down.
    let group = Group { area: Area::Read, organization: who.organization };
    if app.cache.remove_group(group).await.is_err() {
        tracing::warn!("kept answers could not be removed; they are forgotten by themselves within a day");
    }
    erased.map(Json).map_err(|error| match error {
        EraseError::Storage(error) => problem(&error),
        EraseError::Data(error) => error.into(),
    })
}

fn problem(error: &StorageError) -> Problem {
    match error {
        StorageError::NotFound => Problem::not_found("there is no such recording"),
        StorageError::Unavailable(_) | StorageError::TimedOut => {
            tracing::warn!(%error, "the storage failed");
            Problem::unavailable("storage_unavailable", "the storage does not answer; try again", 5)
        }
        _ => {
            tracing::error!(%error, "the storage failed");
            let detail = "something went wrong here; the log has the details";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        for (text, expected) in [
            ("bytes=0-0", Asked::Part(0..1)),
            ("bytes=10-19", Asked::Part(10..20)),
            ("bytes=10-", Asked::Part(10..100)),
            ("bytes=90-1000", Asked::Part(90..100)),
            ("bytes=0-99999999999999999999999", Asked::Part(0..100)),
            ("bytes=-10", Asked::Part(90..100)),
            ("bytes=-1000", Asked::Part(0..100)),
            ("bytes=100-", Asked::Nothing),
            ("bytes=100-200", Asked::Nothing),
            ("bytes=99999999999999999999999-", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=20-10", Asked::All),
            ("bytes=0-1,5-6", Asked::All),
            ("bytes=a-b", Asked::All),
            ("bytes=-", Asked::All),
            ("bytes=+1-2", Asked::All),
            ("bytes=5", Asked::All),
            ("items=0-1", Asked::All),
            ("", Asked::All),
        ] {
            assert_eq!(parse_range(text, 100), expected, "{text}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Asked::Nothing);
        assert_eq!(parse_range("bytes=-5", 0), Asked::Nothing);
    }
}
