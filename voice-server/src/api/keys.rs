//! `/api/v1/keys`: an organization's secret and publishable keys.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use bytes::Bytes;
use hyper::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::fields::Fields;
use super::{List, id_of};
use crate::app::App;
use crate::auth::keys::{self, KeyWish};
use crate::auth::{Identity, Right};
use crate::config::read_origin;
use crate::data::{ApiKey, DataError, KeyKind, Timestamp};
use crate::http::Problem;

/// Characters of a name at most.
const NAME_LIMIT: usize = 200;
/// Origins of one key at most.
const MOST_ORIGINS: usize = 50;
/// Calls at the same time that a key may be limited to.
const MOST_CALLS: i64 = 100_000;
/// Millionths of a dollar a day that a key may be limited to: a million dollars.
const MOST_SPEND: i64 = 1_000_000_000_000;

/// The organization's keys, newest first, the revoked ones too.
///
/// # Errors
/// The request may not read, or the database fails.
#[utoipa::path(
    get,
    path = "/api/v1/keys",
    tag = "keys",
    responses((status = 200, description = "All keys, without their secrets", body = List<ApiKey>)),
)]
pub async fn list(State(app): State<App>, who: Identity) -> Result<Json<List<ApiKey>>, Problem> {
    who.may(Right::ManageKeys)?;
    Ok(Json(List { items: app.store.keys(who.organization).await?, next_cursor: None }))
}

/// What is needed to make a key.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only described; the fields are read one by one, each fault by its name")]
pub(crate) struct Making {
    /// `secret` for servers, `publishable` for web pages.
    kind: KeyKind,
    /// For people.
    name: String,
    /// Web origins whose pages may use a publishable key.
    origins: Option<Vec<String>>,
    /// Calls at the same time.
    #[schema(minimum = 1, maximum = 100000)]
    max_calls: Option<i64>,
    /// Millionths of a dollar that its calls may cost a day.
    #[schema(minimum = 0, maximum = 1000000000000_i64)]
    daily_spend_micros: Option<i64>,
}

/// A key that was made. Its secret is shown here and never again.
#[derive(Debug, Serialize, ToSchema)]
pub struct Made {
    /// What is stored of it.
    #[serde(flatten)]
    stored: ApiKey,
    /// The key itself: `sk_…` or `pk_…`.
    key: String,
}

/// Makes a key. An `Idempotency-Key` has no effect here, since the answer must not be kept.
///
/// # Errors
/// The request may not, a field is malformed, or the database fails.
#[utoipa::path(
    post,
    path = "/api/v1/keys",
    tag = "keys",
    request_body = Making,
    responses((status = 201, description = "Made; `key` is shown this once", body = Made)),
)]
pub async fn make(
    State(app): State<App>,
    who: Identity,
    body: Bytes,
) -> Result<(StatusCode, Json<Made>), Problem> {
    who.may(Right::ManageKeys)?;
    let mut fields = Fields::parse(&body)?;
    let kind = fields.needed("kind")?;
    let kind = KeyKind::parse(&kind)
        .ok_or_else(|| Problem::bad_value("kind", "kind must be secret or publishable"))?;
    let name = fields.needed("name")?;
    if name.trim().is_empty() || name.chars().count() > NAME_LIMIT || name.contains('\0') {
        return Err(Problem::bad_value("name", format!("name must have 1 to {NAME_LIMIT} characters")));
    }
    let bad_origin = || Problem::bad_value("origins", "each origin must be like https://shop.example");
    let origins = fields.texts("origins", MOST_ORIGINS)?;
    let origins: Vec<String> =
        origins.iter().map(|origin| read_origin(origin).ok_or_else(bad_origin)).collect::<Result<_, _>>()?;
    if kind == KeyKind::Publishable && origins.is_empty() {
        return Err(Problem::bad_value(
            "origins",
            "a publishable key needs the origins of the pages that use it",
        ));
    }
    if kind == KeyKind::Secret && !origins.is_empty() {
        return Err(Problem::bad_value("origins", "a secret key is for servers, which have no origin"));
    }
    let wish = KeyWish {
        organization: who.organization,
        kind,
        name,
        origins,
        max_calls: fields.whole("maxCalls", 1, MOST_CALLS)?,
        daily_spend_micros: fields.whole("dailySpendMicros", 0, MOST_SPEND)?,
    };
    let (key, new) = keys::make(wish, Timestamp::now()).map_err(|_| Problem::internal())?;
    let stored = new.key.clone();
    app.store.add_key(new).await?;
    app.auth.keys.forget();
    Ok((StatusCode::CREATED, Json(Made { stored, key })))
}

/// Revokes a key. It and its tickets count for nothing from then on, on every server.
///
/// # Errors
/// The request may not, there is no such key, or the database fails.
#[utoipa::path(
    delete,
    path = "/api/v1/keys/{id}",
    tag = "keys",
    params(("id" = Uuid, Path, description = "The key")),
    responses(
        (status = 204, description = "Revoked"),
        (status = 404, description = "There is none, or it is another organization's"),
    ),
)]
pub async fn revoke(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    who: Identity,
) -> Result<StatusCode, Problem> {
    who.may(Right::ManageKeys)?;
    let unknown = || Problem::not_found("there is no such key");
    let id = id_of(id).ok_or_else(unknown)?;
    app.store.revoke_key(who.organization, id, Timestamp::now()).await.map_err(|error| match error {
        DataError::NotFound => unknown(),
        other => other.into(),
    })?;
    app.auth.denials.deny_key(id).await;
    app.auth.keys.forget();
    Ok(StatusCode::NO_CONTENT)
}
