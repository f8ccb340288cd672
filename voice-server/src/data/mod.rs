//! Data: the one [`Store`] contract and the databases behind it.
//!
//! Every query names the organization whose rows it may see. A turn is durable when [`ConversationStore::append_turn`] has
//! returned. The statements stand once, in `sql`, and are compiled for each database; each runs the same suite of tests,
//! `contract`. Callers: `api` reads, `voice` writes, `auth` asks who somebody is.

#[cfg(test)]
mod contract;
mod facts;
mod migrations;
pub mod postgres;
mod records;
pub mod sqlite;
mod store;
mod timestamp;
mod types;

use std::panic::Location;
use std::time::{Duration, Instant};

use uuid::Uuid;

pub use postgres::PostgresStore;
pub use records::*;
pub use sqlite::SqliteStore;
pub use store::{Accounts, Answer, ConversationStore, Listings, Recordings, Store, Upkeep};
pub use timestamp::Timestamp;

/// The words of a text as a search of listings takes them: small letters without accents, and digits.
pub fn search_words(text: &str) -> Vec<String> {
    facts::words(text)
}

/// Why the database did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The id, or another name that only one may have, is in use. Take another.
    #[error("it exists already")]
    Exists,
    /// There is no such row, or it is another organization's.
    #[error("there is no such thing")]
    NotFound,
    /// Somebody changed the row meanwhile. Read it again.
    #[error("it was changed meanwhile")]
    Changed,
    /// It would leave the organization without an admin who can sign in.
    #[error("the organization would have no admin")]
    LastAdmin,
    /// The database cannot be reached, or is too busy. Try again later.
    #[error("the database does not answer")]
    Unavailable(#[source] sqlx::Error),
    /// A stored value is not what this version writes. File a bug.
    #[error("a stored value cannot be read: {0}")]
    Corrupt(String),
    /// The folder, file or address of the database cannot be used. Mend the configuration.
    #[error("{0}")]
    Folder(String),
    /// The tables cannot be brought up to this version.
    #[error("the tables cannot be brought up to date")]
    Migration(#[source] sqlx::migrate::MigrateError),
}

impl From<sqlx::Error> for DataError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::error::ErrorKind;
        match &error {
            sqlx::Error::Database(refusal) => match refusal.kind() {
                ErrorKind::UniqueViolation => Self::Exists,
                ErrorKind::ForeignKeyViolation => Self::NotFound,
                _ => Self::Unavailable(error),
            },
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) | sqlx::Error::Decode(_) => {
                Self::Corrupt(error.to_string())
            }
            _ => Self::Unavailable(error),
        }
    }
}

/// What a transaction may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// One organization's rows.
    Of(Uuid),
    /// All rows: signing in, keys, upkeep.
    System,
}

/// An operation takes at most this long, waiting for a connection included.
const DEADLINE: Duration = Duration::from_secs(10);
/// An operation that takes this long is worth a line in the log.
const SLOW: Duration = Duration::from_secs(1);

/// Boxes an operation and limits its time.
#[track_caller]
fn within<'s, T: Send>(operation: impl Future<Output = Result<T, DataError>> + Send + 's) -> Answer<'s, T> {
    let place = Location::caller();
    Box::pin(async move {
        let begun = Instant::now();
        let outcome = tokio::time::timeout(DEADLINE, operation).await;
        let took = begun.elapsed();
        if took >= SLOW {
            // Its statements are not told: what somebody searched for stands in them.
            let (file, line, took_ms) = (place.file(), place.line(), took.as_millis());
            tracing::warn!(file, line, took_ms, "an operation of the database was slow");
        }
        outcome.unwrap_or(Err(DataError::Unavailable(sqlx::Error::PoolTimedOut)))
    })
}
