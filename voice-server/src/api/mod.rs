//! REST: JSON in camelCase under `/api/v1`, and the health of the server.

pub mod access;
pub mod agents;
mod asked;
pub mod auth;
pub mod calls;
pub mod conversations;
pub mod events;
pub(crate) mod fields;
pub mod health;
mod kept;
pub mod keys;
pub mod metrics;
mod once;
mod openapi;
pub mod organization;
pub mod properties;
pub mod recordings;
mod revision;
pub(crate) mod routes;
pub mod users;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A part of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct List<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Give it as `cursor` to get what follows; `null` at the end.
    pub next_cursor: Option<String>,
}

/// The id in a path: a UUID with its hyphens, as it is stored and shown, and nothing that merely can be read as one.
/// `None` also where the path is no text; whoever asks answers 404.
pub(crate) fn id_of(path: Result<Path<String>, PathRejection>) -> Option<Uuid> {
    let Path(text) = path.ok()?;
    // Only the form with hyphens has 36 characters; braces, `urn:uuid:` and bare digits have more or fewer.
    (text.len() == 36).then(|| Uuid::try_parse(&text).ok()).flatten()
}
