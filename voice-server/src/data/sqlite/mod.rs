//! The embedded database: SQLite in a write-ahead log, one writer, a few readers, one server.
//!
//! `synchronous=FULL` makes a commit survive a power cut: the log is synced at each commit, and a turn is one commit.
//! The data folder is locked for as long as a server's store lives, so that two servers cannot both take themselves for
//! the only one. Commands such as `voice user add` [`attach`](SqliteStore::attach) beside it.

#[path = "../sql/mod.rs"]
mod sql;

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::sqlite::{
    Sqlite, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::migrations::SQLITE as MIGRATIONS;
use super::{DEMO_ORGANIZATION, DataError, Scope, Timestamp};

type Db = Sqlite;
type Row = SqliteRow;
type Database = SqliteStore;

/// The embedded store. Its file is `voice.sqlite3` in the data folder.
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    /// How a further connection is made.
    options: SqliteConnectOptions,
    /// How often people's rows were erased, and of how many of these the log is free. A start cannot know, and owes one.
    erasures: AtomicU64,
    settled: AtomicU64,
    /// Held, not read: unlocked when the store is dropped. `None`: attached beside a server.
    _lock: Option<File>,
}

/// How long a statement waits for another process that has the file, such as a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a query waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Readers do not wait for the writer nor for each other; four are more than two cores can use.
const READERS: u32 = 4;
/// Pages that each reader keeps, in KiB (negative, as SQLite wants it).
const CACHE: &str = "-65536";
/// Rows that a reader may be ahead of whoever takes them: each time it waits, two threads must be woken.
const ROWS_AHEAD: usize = 1_024;
/// Bytes of the file that are read through memory instead of calls: as many as SQLite maps at most.
const MAPPED: &str = "2147418112";

/// What this database has in words of its own.
mod dialect {
    /// A conversation that is about to be changed. A writer is alone here.
    pub(super) const LOCK_CONVERSATION: &str =
        "SELECT 1 AS one FROM conversations WHERE id = $1 AND organization_id = $2";

    /// An organization whose users are about to be counted.
    pub(super) const LOCK_ORGANIZATION: &str = "SELECT 1 AS one FROM organizations WHERE id = $1";

    /// Whether the words of conversation `w` are among them, the last one perhaps only begun. Each is small ASCII letters and
    /// digits alone.
    pub(super) fn says(words: &[String], begun: bool) -> String {
        let one = |(at, word): (usize, &String)| {
            let end = if begun && at + 1 == words.len() { "" } else { " " };
            format!("instr(w.words, ' {word}{end}') > 0")
        };
        words.iter().enumerate().map(one).collect::<Vec<_>>().join(" AND ")
    }

    /// What follows FROM: those with these words, by the index, as `w`; then comes a comparison of the place.
    pub(super) fn who_says(words: &[String], begun: bool) -> String {
        let star = if begun { "*" } else { "" };
        format!(
            "conversation_index i CROSS JOIN conversation_words w ON w.place = i.rowid
             WHERE conversation_index MATCH '{}{star}' AND i.rowid ",
            words.join(" ")
        )
    }
    pub(super) const WHO_SAYS_LAST: &str = " ORDER BY i.rowid DESC";
    /// Whether the index puts together all that a begun word may become.
    pub(super) const BEGUN_WORDS_ARE_PUT_TOGETHER: bool = true;

    /// The words `$1` as they are kept.
    pub(super) const KEPT_WORDS: &str = "' ' || $1 || ' '";

    /// By which index a table is read.
    pub(super) fn by_index(index: &str) -> String {
        format!(" INDEXED BY {index}")
    }

    /// One statement of several, all in one order, which `end` gives and ends.
    pub(super) fn merged(parts: Vec<String>, end: &str) -> String {
        format!("{}{end}", parts.join(" UNION ALL "))
    }

    /// Behind a table that is read by number: else SQLite goes through all of an organization.
    pub(super) const BY_NUMBER: &str = "NOT INDEXED";

    /// Whether a number is one of a list, and whether that is bound, so that the statement is always the same.
    pub(super) fn push_one_of(query: &mut sqlx::QueryBuilder<super::Db>, numbers: &[i64]) {
        query.push("IN (");
        let mut list = query.separated(", ");
        for number in numbers {
            list.push(*number);
        }
        query.push(")");
    }
    pub(super) const LISTS_ARE_BOUND: bool = false;

    /// `place(text, part)`, from 1; 0 where the part is not in it.
    pub(super) const PLACE_IN: &str = "instr";

    /// Number of a listing in the index of words, and the condition on its words.
    pub(super) const WORDS_NUMBER: &str = "rowid";
    pub(super) fn has_words(words: &[String], begun: bool) -> String {
        // Small ASCII letters and digits alone.
        let star = if begun { "*" } else { "" };
        format!("property_words MATCH '{}{star}'", words.join(" "))
    }

    /// Whether the index of words knows where listings are: a listing's row is found sooner than an entry among so many.
    pub(super) const WORDS_HAVE_WHEREABOUTS: bool = false;
    pub(super) fn has_words_at(words: &[String], begun: bool, _: &[Vec<String>]) -> String {
        has_words(words, begun)
    }

    /// Where a listing's words go in.
    pub(super) const WORDS_IN: &str = "INSERT INTO property_words (rowid, words) ";
    pub(super) const WORDS_FROM: &str = "";
    pub(super) const WORDS_FROM_END: &str = "";

    /// Before rows of people are deleted: whole pages are overwritten too. The connection goes on so.
    pub(super) async fn forget_for_good(work: &mut super::sql::Work) -> Result<(), sqlx::Error> {
        sqlx::query("PRAGMA secure_delete = ON").execute(work.on()).await.map(drop)
    }

    /// A refresh token by its hash, to be rotated. A writer is alone here.
    pub(super) const TOKEN_TO_ROTATE: &str =
        "SELECT t.organization_id, t.user_id, t.family, t.expires_at, t.rotated_at,
         t.revoked_at, u.disabled FROM refresh_tokens t JOIN users u ON u.id = t.user_id WHERE t.hash = $1";
}

impl SqliteStore {
    /// Opens the store in `folder`, making folder, file, tables and the demo organization where they are missing.
    ///
    /// # Errors
    /// The folder cannot be made or is in use by another server, or the tables cannot be brought up to date.
    pub async fn open(folder: &Path) -> Result<Self, DataError> {
        let lock = claim(folder)?;
        Self::connect(folder, Some(lock)).await
    }

    /// The same beside a server that may be running on the folder.
    ///
    /// # Errors
    /// The folder cannot be made, or the tables cannot be brought up to date.
    pub async fn attach(folder: &Path) -> Result<Self, DataError> {
        make(folder)?;
        Self::connect(folder, None).await
    }

    async fn connect(folder: &Path, lock: Option<File>) -> Result<Self, DataError> {
        let file = folder.join("voice.sqlite3");
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // What leaves a page is overwritten there.
            .pragma("secure_delete", "FAST")
            .pragma("cache_size", CACHE)
            .pragma("mmap_size", MAPPED)
            .row_buffer_size(ROWS_AHEAD)
            .busy_timeout(BUSY_TIMEOUT)
            // What somebody searched for stands in statements.
            .disable_statement_logging();
        let pool = |connections| {
            SqlitePoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE_TIMEOUT)
        };
        let writer = pool(1).connect_with(options.clone()).await.map_err(|error| unusable(&file, &error))?;
        MIGRATIONS.run(&writer).await.map_err(DataError::Migration)?;
        let readers =
            pool(READERS).connect_lazy_with(options.clone().read_only(true).create_if_missing(false));
        let store = Self {
            writer,
            readers,
            options,
            erasures: AtomicU64::new(1),
            settled: AtomicU64::new(0),
            _lock: lock,
        };
        let demo = super::Accounts::add_organization(
            &store,
            DEMO_ORGANIZATION,
            "Demo Realty".to_owned(),
            Timestamp::now(),
        );
        match demo.await {
            Ok(()) | Err(DataError::Exists) => Ok(store),
            Err(error) => Err(error),
        }
    }

    /// A transaction that sees one moment of the database.
    async fn read(&self, _scope: Scope) -> Result<sql::Work, DataError> {
        Ok(sql::Work::new(self.readers.begin().await?, true))
    }

    /// The same: each statement names its index.
    async fn read_by_indexes(&self, scope: Scope) -> Result<sql::Work, DataError> {
        self.read(scope).await
    }

    /// A transaction that writes; it waits for the writers of other processes at its begin, not in its middle.
    async fn write(&self, _scope: Scope) -> Result<sql::Work, DataError> {
        Ok(sql::Work::new(self.writer.begin_with("BEGIN IMMEDIATE").await?, true))
    }

    /// After rows of people were deleted: their bytes are to leave the log too, and pages are let go again as usual.
    async fn has_erased(&self) {
        self.erasures.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = sqlx::query("PRAGMA secure_delete = FAST").execute(&self.writer).await {
            tracing::warn!(%error, "pages go on to be overwritten when they are let go");
        }
        self.settle_log().await;
    }

    /// Empties the log where something was erased since. Waits for no reader, since every write would wait with it: where one is in
    /// the way it is done later, by upkeep.
    async fn settle_log(&self) {
        let erasures = self.erasures.load(Ordering::Relaxed);
        if self.settled.load(Ordering::Relaxed) >= erasures {
            return;
        }
        // By a connection of its own, since its settings end with it whatever happens to this request.
        let settled = async {
            let mut aside = self.options.clone().busy_timeout(Duration::ZERO).connect().await?;
            let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut aside).await?;
            aside.close().await?;
            // The first column tells whether somebody was in the way.
            Ok::<bool, sqlx::Error>(row.try_get::<i64, _>(0)? == 0)
        };
        match settled.await {
            Ok(true) => {
                self.settled.fetch_max(erasures, Ordering::Relaxed);
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "what was erased stays in the database's log for now"),
        }
    }

    async fn end(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Makes the folder, for this user alone.
fn make(folder: &Path) -> Result<(), DataError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| trouble(folder, &error.to_string()))
}

fn trouble(folder: &Path, detail: &str) -> DataError {
    DataError::Folder(format!(
        "the data folder {} cannot be used ({detail}); make it writable or choose another with --data or VOICE_DATA",
        folder.display()
    ))
}

/// Makes the folder and locks it.
fn claim(folder: &Path) -> Result<File, DataError> {
    make(folder)?;
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join("lock"))
        .map_err(|error| trouble(folder, &error.to_string()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(DataError::Folder(format!(
            "another voice server is using the data folder {}; stop it, or choose another folder with --data or \
             VOICE_DATA",
            folder.display()
        ))),
        Err(std::fs::TryLockError::Error(error)) => Err(trouble(folder, &error.to_string())),
    }
}

fn unusable(file: &Path, error: &sqlx::Error) -> DataError {
    DataError::Folder(format!("the database {} cannot be opened: {error}", file.display()))
}

#[cfg(test)]
mod tests;
