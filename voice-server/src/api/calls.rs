//! `/api/v1/calls`: the calls under way on this server, for people who listen, step in, or end them.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use bytes::Bytes;
use hyper::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::fields::Fields;
use super::{List, id_of};
use crate::app::App;
use crate::auth::{Identity, Right};
use crate::data::Timestamp;
use crate::http::Problem;
use crate::voice::registry::{NotOrdered, Order};

/// A call under way.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// The conversation's id.
    id: Uuid,
    /// When it began.
    started_at: Timestamp,
    /// The user who calls, if one is signed in.
    user_id: Option<Uuid>,
    /// Turns that have ended.
    turns: u32,
    /// Whether the client's connection has dropped and is waited for.
    away: bool,
    /// Whether a person answers in the place of the model.
    attended: bool,
}

/// The organization's calls under way on this server.
///
/// # Errors
/// The request may not read.
#[utoipa::path(
    get,
    path = "/api/v1/calls",
    tag = "calls",
    responses((status = 200, description = "All of them", body = List<Call>)),
)]
pub async fn list(State(app): State<App>, who: Identity) -> Result<Json<List<Call>>, Problem> {
    who.may(Right::ReadConversations)?;
    let live = app.calls.live(who.organization).into_iter().map(|call| Call {
        id: call.id,
        started_at: call.started,
        user_id: call.user_id,
        turns: call.turns,
        away: call.is_away,
        attended: call.is_attended,
    });
    Ok(Json(List { items: live.collect(), next_cursor: None }))
}

/// Ends a call, as if all had been said.
///
/// # Errors
/// The request may not, or there is no such call under way.
#[utoipa::path(
    post,
    path = "/api/v1/calls/{id}/end",
    tag = "calls",
    params(("id" = Uuid, Path, description = "The conversation")),
    responses(
        (status = 202, description = "It ends"),
        (status = 404, description = "There is none under way, or it is another organization's"),
    ),
)]
pub async fn end(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    who: Identity,
) -> Result<StatusCode, Problem> {
    order(&app, &who, id, |_| Ok(Order::End), &Bytes::new())
}

/// What is to be said.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described; the fields are read one by one, each fault by its name")]
pub(crate) struct Saying {
    /// A person's words.
    #[schema(min_length = 1, max_length = 2000)]
    text: String,
}

/// Says a person's words in the call's voice.
///
/// # Errors
/// The request may not, the text is malformed, or there is no such call under way.
#[utoipa::path(
    post,
    path = "/api/v1/calls/{id}/say",
    tag = "calls",
    params(("id" = Uuid, Path, description = "The conversation")),
    request_body = Saying,
    responses(
        (status = 202, description = "It is said next"),
        (status = 404, description = "There is none under way, or it is another organization's"),
    ),
)]
pub async fn say(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    who: Identity,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    order(&app, &who, id, |fields| fields.needed("text").map(Order::Say), &body)
}

/// Whether a person answers.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described; the fields are read one by one, each fault by its name")]
pub(crate) struct Attending {
    /// `true`: a person answers from now on, so the model does not. `false`: the model answers again.
    on: bool,
}

/// Takes a call over for a person, or gives it back.
///
/// # Errors
/// The request may not, the body is malformed, or there is no such call under way.
#[utoipa::path(
    post,
    path = "/api/v1/calls/{id}/attend",
    tag = "calls",
    params(("id" = Uuid, Path, description = "The conversation")),
    request_body = Attending,
    responses(
        (status = 202, description = "So it is"),
        (status = 404, description = "There is none under way, or it is another organization's"),
    ),
)]
pub async fn attend(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    who: Identity,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let on = |fields: &mut Fields| {
        let missing = || Problem::bad_value("on", "on must be true or false");
        fields.maybe_switch("on")?.map(Order::TakeOver).ok_or_else(missing)
    };
    order(&app, &who, id, on, &body)
}

fn order(
    app: &App,
    who: &Identity,
    id: Result<Path<String>, PathRejection>,
    read: impl FnOnce(&mut Fields) -> Result<Order, Problem>,
    body: &Bytes,
) -> Result<StatusCode, Problem> {
    who.may(Right::ControlCalls)?;
    let unknown = || Problem::not_found("there is no such call under way");
    let id = id_of(id).ok_or_else(unknown)?;
    let order = read(&mut Fields::parse(body)?)?;
    app.calls.order(who.organization, id, order).map_err(|error| match error {
        NotOrdered::BadText => Problem::bad_value("text", error.to_string()),
        NotOrdered::Busy => Problem::limited("too_many_orders", error.to_string(), 1),
        _ => unknown(),
    })?;
    Ok(StatusCode::ACCEPTED)
}
