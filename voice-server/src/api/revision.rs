//! Entity tags (RFC 9110, section 8.8.3): a row's revision, so that nobody overwrites what he has not seen.

use axum::Json;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::header::{ETAG, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use hyper::{HeaderMap, StatusCode};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::kept::json_of;
use crate::http::Problem;

/// The tag of a revision.
fn tag(revision: i64) -> String {
    format!("\"r{revision}\"")
}

/// The revision that a change was made from; `None` where the client does not say, or says `*`.
///
/// # Errors
/// 412 for a tag that is none of ours: what it was made from is not what is stored.
pub(crate) fn expected(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let inner = text.strip_prefix("\"r").and_then(|rest| rest.strip_suffix('"'));
    // Behind the revision stands the content's digest, which also changes with what nobody can edit.
    let revision = inner.map(|inner| inner.split_once('-').map_or(inner, |(revision, _)| revision));
    revision.and_then(|revision| revision.parse().ok()).map(Some).ok_or_else(changed)
}

/// 412: it is not what the client has seen.
pub(crate) fn changed() -> Problem {
    Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "changed",
        "somebody else changed this meanwhile; read it again, then make the change",
    )
}

/// A row with its tag.
pub(crate) fn with_revision(body: &impl Serialize, revision: i64) -> Response {
    tagged(&tag(revision), Json(body).into_response())
}

/// What was read, as JSON, with a tag of its content; 304 where the client has exactly that.
pub(crate) fn tagged_bytes(headers: &HeaderMap, revision: i64, bytes: Bytes) -> Response {
    // The revision alone does not see a turn that came: the tag for reading holds the content too.
    let digest = Sha256::digest(&bytes);
    let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let content = format!("\"r{revision}-{short}\"");
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).is_some_and(|known| {
        known.trim() == "*" || known.split(',').any(|one| one.trim().trim_start_matches("W/") == content)
    });
    if known {
        return tagged(&content, StatusCode::NOT_MODIFIED.into_response());
    }
    tagged(&content, json_of(bytes))
}

fn tagged(tag: &str, mut response: Response) -> Response {
    if let Ok(value) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(ETAG, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: hyper::header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).expect("a value"))])
    }

    #[test]
    fn the_tag_of_an_answer_is_what_a_change_may_name() {
        let read = tagged_bytes(&HeaderMap::new(), 7, "[1,2]".into());
        let tag = read.headers()[ETAG].to_str().expect("text").to_owned();
        assert_eq!(expected(&headers(IF_MATCH, &tag)).ok(), Some(Some(7)));
        assert_eq!(expected(&headers(IF_MATCH, "\"r7\"")).ok(), Some(Some(7)));
        assert_eq!(expected(&headers(IF_MATCH, "*")).ok(), Some(None));
        assert_eq!(expected(&HeaderMap::new()).ok(), Some(None));
        for foreign in ["r7", "\"7\"", "\"rx\"", "", "W/\"r7\""] {
            let refused = expected(&headers(IF_MATCH, foreign)).err().map(|problem| problem.status());
            assert_eq!(refused, Some(StatusCode::PRECONDITION_FAILED), "{foreign}");
        }
        let again = tagged_bytes(&headers(IF_NONE_MATCH, &format!("\"x\", {tag}")), 7, "[1,2]".into());
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        let grown = tagged_bytes(&headers(IF_NONE_MATCH, &tag), 7, "[1,2,3]".into());
        assert_eq!(grown.status(), StatusCode::OK);
    }
}
