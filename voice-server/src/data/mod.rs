//! Data: the one [`Store`] contract and the databases behind it.
//!
//! Every query names the organization whose rows it may see. A turn is durable when [`Store::append_turn`] has
//! returned. Each database runs the same suite of tests, `contract`. Callers: `api` reads, `voice` writes.

#[cfg(test)]
mod contract;
mod records;
mod sqlite;
mod timestamp;

use futures::future::BoxFuture;
use uuid::Uuid;

pub use records::{
    Conversation, ConversationDetail, Cursor, DEMO_ORGANIZATION, NewConversation, Organization, Page,
    Speaker, Status, Turn, Utterance,
};
pub use sqlite::SqliteStore;
pub use timestamp::Timestamp;

/// Where conversations are kept. Dropping a future leaves a write either whole or not begun.
pub trait Store: Send + Sync {
    /// Answers if the database can be read.
    fn ping(&self) -> BoxFuture<'_, Result<(), DataError>>;

    /// The organization with this id.
    fn organization(&self, id: Uuid) -> BoxFuture<'_, Result<Option<Organization>, DataError>>;

    /// Stores a new, active conversation.
    ///
    /// # Errors
    /// [`DataError::Exists`] where any organization has a conversation with this id.
    fn open_conversation(&self, new: NewConversation) -> BoxFuture<'_, Result<(), DataError>>;

    /// Stores one turn. It is on the disk when this returns. The same turn may be given again: the last one holds.
    ///
    /// # Errors
    /// [`DataError::NotFound`] where the organization has no such conversation.
    fn append_turn(
        &self,
        organization: Uuid,
        conversation: Uuid,
        turn: Turn,
    ) -> BoxFuture<'_, Result<(), DataError>>;

    /// Marks a conversation as ended at `at`; an ended one keeps its first end.
    ///
    /// # Errors
    /// [`DataError::NotFound`] where the organization has no such conversation.
    fn end_conversation(
        &self,
        organization: Uuid,
        conversation: Uuid,
        at: Timestamp,
    ) -> BoxFuture<'_, Result<(), DataError>>;

    /// One conversation with its turns; `None` where the organization has none of this id.
    fn conversation(
        &self,
        organization: Uuid,
        id: Uuid,
    ) -> BoxFuture<'_, Result<Option<ConversationDetail>, DataError>>;

    /// The organization's conversations, newest first, at most `limit`, after `cursor` or from the newest.
    fn conversations(
        &self,
        organization: Uuid,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Page, DataError>>;

    /// Writes what is pending and closes. Later calls fail.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// Why the database did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The id is in use. Take another.
    #[error("a conversation with this id exists")]
    Exists,
    /// There is no such row, or it is another organization's.
    #[error("no such conversation")]
    NotFound,
    /// The database cannot be reached, or is too busy. Try again later.
    #[error("the database does not answer")]
    Unavailable(#[source] sqlx::Error),
    /// A stored value is not what this version writes. File a bug.
    #[error("a stored value cannot be read: {0}")]
    Corrupt(String),
    /// The folder or file of the embedded database cannot be used. Mend the configuration.
    #[error("{0}")]
    Folder(String),
    /// The tables cannot be brought up to this version.
    #[error("the tables cannot be brought up to date")]
    Migration(#[source] sqlx::migrate::MigrateError),
}
