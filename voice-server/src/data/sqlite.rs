//! The embedded database: SQLite in a write-ahead log, one writer, a few readers, one server.
//!
//! `synchronous=FULL` makes a commit survive a power cut: the log is synced at each commit, and a turn is one commit.
//! The data folder is locked for as long as the store lives, so that two servers cannot both take themselves for
//! the only writer. What a crash left active is ended at the next start.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::Row as _;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use uuid::Uuid;

use super::{
    Conversation, ConversationDetail, Cursor, DEMO_ORGANIZATION, DataError, NewConversation, Organization,
    Page, Status, Store, Timestamp, Turn,
};

/// The embedded store. Its file is `voice.sqlite3` in the data folder.
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    /// Held, not read: unlocked when the store is dropped.
    _lock: File,
}

/// The tables; each file's checksum is compared with what was applied.
static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// How long a statement waits for another process that has the file, such as a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a query waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Readers do not wait for the writer nor for each other; four are more than two cores can use.
const READERS: u32 = 4;

impl SqliteStore {
    /// Opens the store in `folder`, making folder, file, tables and the demo organization where they are missing.
    ///
    /// # Errors
    /// The folder cannot be made or is in use by another server, or the tables cannot be brought up to date.
    pub async fn open(folder: &Path) -> Result<Self, DataError> {
        let lock = claim(folder)?;
        let file = folder.join("voice.sqlite3");
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = |connections| {
            SqlitePoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE_TIMEOUT)
        };
        let writer = pool(1).connect_with(options.clone()).await.map_err(|error| unusable(&file, &error))?;
        MIGRATIONS.run(&writer).await.map_err(DataError::Migration)?;
        let readers = pool(READERS).connect_lazy_with(options.read_only(true).create_if_missing(false));
        let store = Self { writer, readers, _lock: lock };
        store.prepare().await?;
        Ok(store)
    }

    /// Makes the demo organization and ends what a crash left active.
    async fn prepare(&self) -> Result<(), DataError> {
        sqlx::query(
            "INSERT INTO organizations (id, name, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(DEMO_ORGANIZATION.to_string())
        .bind("Demo Realty")
        .bind(Timestamp::now().as_millis())
        .execute(&self.writer)
        .await?;
        sqlx::query(
            "UPDATE conversations SET status = 'ended', ended_at = created_at + coalesce(
                 (SELECT max(reply_started_ms) FROM turns WHERE conversation_id = conversations.id), 0)
             WHERE status = 'active'",
        )
        .execute(&self.writer)
        .await?;
        Ok(())
    }
}

/// Makes the folder, for this user alone, and locks it.
fn claim(folder: &Path) -> Result<File, DataError> {
    let trouble = |detail: String| {
        DataError::Folder(format!(
            "the data folder {} cannot be used ({detail}); make it writable or choose another with --data or \
             VOICE_DATA",
            folder.display()
        ))
    };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| trouble(error.to_string()))?;
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join("lock"))
        .map_err(|error| trouble(error.to_string()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(DataError::Folder(format!(
            "another voice server is using the data folder {}; stop it, or choose another folder with --data or \
             VOICE_DATA",
            folder.display()
        ))),
        Err(std::fs::TryLockError::Error(error)) => Err(trouble(error.to_string())),
    }
}

fn unusable(file: &Path, error: &sqlx::Error) -> DataError {
    DataError::Folder(format!("the database {} cannot be opened: {error}", PathBuf::from(file).display()))
}

impl From<sqlx::Error> for DataError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(fault) if fault.is_unique_violation() => Self::Exists,
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Corrupt(error.to_string()),
            _ => Self::Unavailable(error),
        }
    }
}

impl Store for SqliteStore {
    fn ping(&self) -> BoxFuture<'_, Result<(), DataError>> {
        Box::pin(async move {
            sqlx::query("SELECT 1 FROM organizations LIMIT 1").fetch_optional(&self.readers).await?;
            Ok(())
        })
    }

    fn organization(&self, id: Uuid) -> BoxFuture<'_, Result<Option<Organization>, DataError>> {
        Box::pin(async move {
            let row = sqlx::query("SELECT name FROM organizations WHERE id = ?")
                .bind(id.to_string())
                .fetch_optional(&self.readers)
                .await?;
            row.map(|row| Ok(Organization { id, name: row.try_get(0)? })).transpose()
        })
    }

    fn open_conversation(&self, new: NewConversation) -> BoxFuture<'_, Result<(), DataError>> {
        Box::pin(async move {
            sqlx::query(
                "INSERT INTO conversations (id, organization_id, status, client_phone, created_at, metadata)
                 VALUES (?, ?, 'active', ?, ?, ?)",
            )
            .bind(new.id.to_string())
            .bind(new.organization_id.to_string())
            .bind(new.client_phone)
            .bind(new.created_at.as_millis())
            .bind(new.metadata.to_string())
            .execute(&self.writer)
            .await?;
            Ok(())
        })
    }

    fn append_turn(
        &self,
        organization: Uuid,
        conversation: Uuid,
        turn: Turn,
    ) -> BoxFuture<'_, Result<(), DataError>> {
        Box::pin(async move {
            let stored = sqlx::query(
                "INSERT INTO turns (conversation_id, turn, said, reply, heard, started_ms, reply_started_ms,
                                    interrupted, ledger, total_ms)
                 SELECT id, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM conversations WHERE id = ? AND organization_id = ?
                 ON CONFLICT (conversation_id, turn) DO UPDATE SET
                     said = excluded.said, reply = excluded.reply, heard = excluded.heard,
                     started_ms = excluded.started_ms, reply_started_ms = excluded.reply_started_ms,
                     interrupted = excluded.interrupted, ledger = excluded.ledger, total_ms = excluded.total_ms",
            )
            .bind(turn.turn)
            .bind(turn.said)
            .bind(turn.reply)
            .bind(turn.heard)
            .bind(to_stored(turn.started_ms))
            .bind(to_stored(turn.reply_started_ms))
            .bind(turn.interrupted)
            .bind(turn.ledger.to_string())
            .bind(turn.total_ms)
            .bind(conversation.to_string())
            .bind(organization.to_string())
            .execute(&self.writer)
            .await?;
            if stored.rows_affected() == 0 { Err(DataError::NotFound) } else { Ok(()) }
        })
    }

    fn end_conversation(
        &self,
        organization: Uuid,
        conversation: Uuid,
        at: Timestamp,
    ) -> BoxFuture<'_, Result<(), DataError>> {
        Box::pin(async move {
            let ended = sqlx::query(
                "UPDATE conversations SET status = 'ended', ended_at = coalesce(ended_at, ?)
                 WHERE id = ? AND organization_id = ?",
            )
            .bind(at.as_millis())
            .bind(conversation.to_string())
            .bind(organization.to_string())
            .execute(&self.writer)
            .await?;
            if ended.rows_affected() == 0 { Err(DataError::NotFound) } else { Ok(()) }
        })
    }

    fn conversation(
        &self,
        organization: Uuid,
        id: Uuid,
    ) -> BoxFuture<'_, Result<Option<ConversationDetail>, DataError>> {
        Box::pin(async move {
            // One transaction, so that turns and state are of the same moment.
            let mut read = self.readers.begin().await?;
            let row = sqlx::query("SELECT * FROM conversations WHERE id = ? AND organization_id = ?")
                .bind(id.to_string())
                .bind(organization.to_string())
                .fetch_optional(&mut *read)
                .await?;
            let Some(row) = row else { return Ok(None) };
            let turns = sqlx::query("SELECT * FROM turns WHERE conversation_id = ? ORDER BY turn")
                .bind(id.to_string())
                .fetch_all(&mut *read)
                .await?;
            let turns = turns.iter().map(turn_of).collect::<Result<Vec<_>, _>>()?;
            Ok(Some(ConversationDetail::new(conversation_of(&row)?, turns)))
        })
    }

    fn conversations(
        &self,
        organization: Uuid,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Page, DataError>> {
        Box::pin(async move {
            let (before, before_id) = match cursor {
                Some(cursor) => (cursor.created_at.as_millis(), cursor.id.to_string()),
                None => (i64::MAX, String::new()),
            };
            // One more than asked tells whether a further page exists.
            let rows = sqlx::query(
                "SELECT * FROM conversations WHERE organization_id = ? AND (created_at, id) < (?, ?)
                 ORDER BY created_at DESC, id DESC LIMIT ?",
            )
            .bind(organization.to_string())
            .bind(before)
            .bind(before_id)
            .bind(i64::from(limit) + 1)
            .fetch_all(&self.readers)
            .await?;
            let mut items = rows.iter().map(conversation_of).collect::<Result<Vec<_>, _>>()?;
            let more = items.len() > limit as usize;
            items.truncate(limit as usize);
            let next =
                items.last().filter(|_| more).map(|last| Cursor { created_at: last.created_at, id: last.id });
            Ok(Page { items, next })
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.readers.close().await;
            self.writer.close().await;
        })
    }
}

fn conversation_of(row: &SqliteRow) -> Result<Conversation, DataError> {
    let status: &str = row.try_get("status")?;
    Ok(Conversation {
        id: uuid_of(row, "id")?,
        organization_id: uuid_of(row, "organization_id")?,
        status: match status {
            "active" => Status::Active,
            "ended" => Status::Ended,
            other => return Err(DataError::Corrupt(format!("status {other:?}"))),
        },
        client_phone: row.try_get("client_phone")?,
        created_at: Timestamp::from_millis(row.try_get("created_at")?),
        ended_at: row.try_get::<Option<i64>, _>("ended_at")?.map(Timestamp::from_millis),
        metadata: json_of(row, "metadata")?,
    })
}

fn turn_of(row: &SqliteRow) -> Result<Turn, DataError> {
    Ok(Turn {
        turn: row.try_get("turn")?,
        said: row.try_get("said")?,
        reply: row.try_get("reply")?,
        heard: row.try_get("heard")?,
        started_ms: row.try_get::<i64, _>("started_ms")?.unsigned_abs(),
        reply_started_ms: row.try_get::<i64, _>("reply_started_ms")?.unsigned_abs(),
        interrupted: row.try_get("interrupted")?,
        ledger: json_of(row, "ledger")?,
        total_ms: row.try_get("total_ms")?,
    })
}

fn uuid_of(row: &SqliteRow, column: &str) -> Result<Uuid, DataError> {
    Uuid::try_parse(row.try_get(column)?).map_err(|error| DataError::Corrupt(format!("{column}: {error}")))
}

fn json_of(row: &SqliteRow, column: &str) -> Result<serde_json::Value, DataError> {
    serde_json::from_str(row.try_get(column)?)
        .map_err(|error| DataError::Corrupt(format!("{column}: {error}")))
}

/// SQLite's integers are signed; no call lasts longer than they reach.
fn to_stored(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::*;

    /// A folder that is gone when the value is dropped.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            Self(std::env::temp_dir().join(format!("voice-store-{}", Uuid::new_v4())))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test]
    async fn sqlite_keeps_the_contract() {
        let folder = Folder::new();
        let store = SqliteStore::open(&folder.0).await.expect("a new store");
        contract::keeps_the_contract(&store).await;
    }

    #[tokio::test]
    async fn a_second_server_on_the_same_folder_is_refused_by_name() {
        let folder = Folder::new();
        let _first = SqliteStore::open(&folder.0).await.expect("a new store");
        let error = SqliteStore::open(&folder.0).await.err().expect("refused").to_string();
        assert!(error.contains("another voice server") && error.contains("VOICE_DATA"), "{error}");
    }

    #[tokio::test]
    async fn turns_survive_and_what_was_left_active_is_ended_at_the_next_start() {
        let folder = Folder::new();
        let id = Uuid::new_v4();
        {
            let store = SqliteStore::open(&folder.0).await.expect("a new store");
            store.open_conversation(contract::conversation(id, 1_000)).await.expect("opened");
            store.append_turn(DEMO_ORGANIZATION, id, contract::turn(1)).await.expect("stored");
            // Dropped without closing, as a crash would leave it.
        }
        let store = SqliteStore::open(&folder.0).await.expect("the same store");
        let found = store.conversation(DEMO_ORGANIZATION, id).await.expect("read").expect("found");
        assert_eq!(found.turns, [contract::turn(1)]);
        assert_eq!(found.conversation.status, Status::Ended);
        assert!(found.conversation.ended_at >= Some(found.conversation.created_at));
    }

    #[tokio::test]
    async fn every_commit_is_synced_to_the_disk() {
        let folder = Folder::new();
        let store = SqliteStore::open(&folder.0).await.expect("a new store");
        let synchronous: i64 =
            sqlx::query("PRAGMA synchronous").fetch_one(&store.writer).await.expect("read").get(0);
        let journal: String =
            sqlx::query("PRAGMA journal_mode").fetch_one(&store.writer).await.expect("read").get(0);
        assert_eq!((synchronous, journal.as_str()), (2, "wal"), "2 is FULL");
    }

    /// Not a test of speed: prints what a durable turn costs on this machine. Run it by name with `--nocapture`.
    #[tokio::test]
    #[ignore = "measures this machine's disk; run by whoever states the number"]
    async fn cost_of_a_durable_turn() {
        let folder = Folder::new();
        let store = SqliteStore::open(&folder.0).await.expect("a new store");
        let id = Uuid::new_v4();
        store.open_conversation(contract::conversation(id, 1_000)).await.expect("opened");
        let mut took: Vec<Duration> = Vec::new();
        for number in 1..=500 {
            let begun = std::time::Instant::now();
            store.append_turn(DEMO_ORGANIZATION, id, contract::turn(number)).await.expect("stored");
            took.push(begun.elapsed());
        }
        took.sort();
        println!("append_turn p50 {:?} p99 {:?} max {:?}", took[250], took[495], took[499]);
    }
}
