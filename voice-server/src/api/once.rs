//! Requests that may come twice: a POST with an `Idempotency-Key` is done once, and whoever repeats it gets the first answer.
//!
//! Keys are told apart by organization and asker, and kept for a day. The same key with another request is refused. What
//! failed on our side is forgotten, so that it may be tried again; what was refused stays refused.

use axum::Json;
use bytes::Bytes;
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::app::App;
use crate::auth::Identity;
use crate::data::{Begun, Timestamp};
use crate::http::Problem;

/// The header.
const HEADER: &str = "idempotency-key";
/// Characters of a key at most.
const LONGEST: usize = 200;

/// An answer that may be kept.
pub(crate) type Once = (StatusCode, Json<Value>);

/// Does what `work` does, once for each key.
///
/// # Errors
/// Whatever `work` refuses; 409 while the same request is being worked on; 422 for a key that belongs to another request.
pub(crate) async fn once<F>(
    app: &App,
    who: &Identity,
    parts: &Parts,
    body: &Bytes,
    work: F,
) -> Result<Once, Problem>
where
    F: Future<Output = Result<(StatusCode, Value), Problem>> + Send,
{
    once_for(app, who.organization, who.asker(), parts, body, work).await
}

/// The same for an asker who is no identity.
///
/// # Errors
/// See [`once`].
pub(crate) async fn once_for<F>(
    app: &App,
    organization: Uuid,
    asker: String,
    parts: &Parts,
    body: &Bytes,
    work: F,
) -> Result<Once, Problem>
where
    F: Future<Output = Result<(StatusCode, Value), Problem>> + Send,
{
    let Some(key) = key(&parts.headers)? else {
        return work.await.map(|(status, body)| (status, Json(body)));
    };
    let print = fingerprint(parts, body);
    let begun =
        app.store.begin_once(organization, asker.clone(), key.clone(), print, Timestamp::now()).await?;
    match begun {
        Begun::First => {}
        Begun::Answered { status, body } => {
            let status = StatusCode::from_u16(status).map_err(|_| Problem::internal())?;
            let body: Value = serde_json::from_str(&body).map_err(|_| Problem::internal())?;
            return Ok((status, Json(body)));
        }
        Begun::UnderWay => {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "under_way",
                "a request with this Idempotency-Key is being worked on; try again in a moment",
            ));
        }
        Begun::Other => {
            return Err(Problem::bad_value(
                "Idempotency-Key",
                "this Idempotency-Key was used for another request; take a new one",
            ));
        }
    }
    let outcome = work.await;
    let kept = outcome.as_ref().ok().map(|(status, body)| (status.as_u16(), body.to_string()));
    if let Err(error) = app.store.finish_once(organization, asker, key, kept).await {
        // The work is done and is answered; a repetition is told that it is under way until it may come again.
        tracing::warn!(%error, "the answer to a request was not kept");
    }
    outcome.map(|(status, body)| (status, Json(body)))
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let text = value.to_str().ok().map(str::trim).filter(|text| (1..=LONGEST).contains(&text.len()));
    text.map(|text| Some(text.to_owned())).ok_or_else(|| {
        Problem::bad_value(
            "Idempotency-Key",
            format!("Idempotency-Key must have 1 to {LONGEST} plain characters"),
        )
    })
}

fn fingerprint(parts: &Parts, body: &Bytes) -> String {
    let mut digest = Sha256::new();
    digest.update(parts.method.as_str());
    digest.update([0]);
    digest.update(parts.uri.path());
    digest.update([0]);
    digest.update(body);
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
