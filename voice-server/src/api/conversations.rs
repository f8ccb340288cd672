//! `GET /api/v1/conversations` and `GET /api/v1/conversations/{id}`: what was said, for who may read it.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::{List, id_of};
use crate::app::App;
use crate::auth::{Identity, Right};
use crate::data::{Conversation, ConversationDetail, ConversationFilter, Cursor};
use crate::http::Problem;

/// Conversations on one page where nothing is asked.
const DEFAULT_LIMIT: u32 = 20;
/// Conversations on one page at most.
const MAX_LIMIT: u32 = 100;

/// The query of a list. Texts, so that a malformed one is reported by its name.
#[derive(Debug, Deserialize)]
pub struct ListQuery {
    cursor: Option<String>,
    limit: Option<String>,
}

/// The organization's conversations, newest first.
///
/// # Errors
/// The request may not read, a value of the query is malformed, or the database fails.
pub async fn list(
    State(app): State<App>,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
    who: Identity,
) -> Result<Json<List<Conversation>>, Problem> {
    who.may(Right::ReadConversations)?;
    let Query(query) = query.map_err(|_| Problem::bad_value("query", "the query cannot be read"))?;
    let limit = match query.limit.as_deref() {
        None => DEFAULT_LIMIT,
        Some(text) => text.parse().ok().filter(|n| (1..=MAX_LIMIT).contains(n)).ok_or_else(|| {
            Problem::bad_value("limit", format!("limit must be a whole number from 1 to {MAX_LIMIT}"))
        })?,
    };
    let cursor = match query.cursor.as_deref() {
        None | Some("") => None,
        Some(text) => Some(Cursor::parse(text).ok_or_else(|| {
            Problem::bad_value("cursor", "cursor must be the nextCursor of an earlier answer")
        })?),
    };
    let page =
        app.store.conversations(who.organization, ConversationFilter::default(), cursor, limit).await?;
    Ok(Json(List { items: page.items, next_cursor: page.next.map(Cursor::encode) }))
}

/// One conversation with its transcript and turns.
///
/// # Errors
/// The request may not read, there is no such conversation, or the database fails.
pub async fn one(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    who: Identity,
) -> Result<Json<ConversationDetail>, Problem> {
    who.may(Right::ReadConversations)?;
    let unknown = || Problem::not_found("there is no such conversation");
    let id = id_of(id).ok_or_else(unknown)?;
    app.store.conversation(who.organization, id).await?.map(Json).ok_or_else(unknown)
}
