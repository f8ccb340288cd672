//! REST: JSON in camelCase under `/api/v1`, and the health of the server.

pub mod access;
pub mod conversations;
pub mod health;

use serde::Serialize;

/// A part of a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct List<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Give it as `cursor` to get what follows; `null` at the end.
    pub next_cursor: Option<String>,
}
