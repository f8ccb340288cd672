//! Postgres 15 or newer, Supabase among it: direct, through a session pooler or through a transaction pooler.
//!
//! Each operation is one transaction that first says, for this transaction alone, whose rows it may see; row-level security
//! holds it to that. Through a transaction pooler nothing may outlive a transaction, so statements have no names there.

#[path = "../sql/mod.rs"]
mod sql;

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow, Postgres};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};

use super::migrations::POSTGRES as MIGRATIONS;
use super::{DataError, Scope};
use crate::config::Secret;

type Db = Postgres;
type Row = PgRow;
type Database = PostgresStore;

/// A store in Postgres. Cheap to share.
pub struct PostgresStore {
    pool: PgPool,
    /// Whether statements may have names: not where a pooler gives each transaction another connection.
    named: bool,
}

/// Connections that are kept open.
const KEPT: u32 = 20;
/// Connections at most.
const MOST: u32 = 50;
/// A connection is closed and made anew after this.
const LIFETIME: Duration = Duration::from_secs(300);
/// How long an operation waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Port of Supabase's transaction poolers.
const TRANSACTION_PORT: u16 = 6_543;

/// How connections reach the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooling {
    /// Through a transaction pooler where the port is Supabase's for that, 6543; else as a session.
    #[default]
    Auto,
    /// Direct, or through a session pooler: a connection keeps its state.
    Session,
    /// Through a transaction pooler.
    Transaction,
}

/// What this database has in words of its own.
mod dialect {
    /// A conversation that is about to be changed; others wait until this transaction ends.
    pub(super) const LOCK_CONVERSATION: &str =
        "SELECT 1 AS one FROM conversations WHERE id = $1 AND organization_id = $2 FOR NO KEY UPDATE";

    /// An organization whose users are about to be counted.
    pub(super) const LOCK_ORGANIZATION: &str =
        "SELECT 1 AS one FROM organizations WHERE id = $1 FOR NO KEY UPDATE";

    /// Whether the words of conversation `w` are among them, the last one perhaps only begun. Each is small ASCII letters and
    /// digits alone.
    pub(super) fn says(words: &[String], begun: bool) -> String {
        format!("w.{}", has_words(words, begun))
    }

    /// What follows FROM: those with these words, by the index, as `w`; then comes a comparison of the place.
    pub(super) fn who_says(words: &[String], begun: bool) -> String {
        let says = says(words, begun);
        format!("conversation_words w WHERE {says} AND w.place ")
    }
    pub(super) const WHO_SAYS_LAST: &str = " ORDER BY w.place DESC";
    /// Whether the index puts together all that a begun word may become: by its statistics Postgres goes along the order where
    /// that is less.
    pub(super) const BEGUN_WORDS_ARE_PUT_TOGETHER: bool = false;

    /// The words `$1` as they are kept.
    pub(super) const KEPT_WORDS: &str = "array_to_tsvector(string_to_array($1, ' '))";

    /// By which index a table is read: the planner knows.
    pub(super) fn by_index(_: &str) -> String {
        String::new()
    }

    /// One statement of several, all in one order, which `end` gives and ends. Each says it for itself: Postgres does not look
    /// for an order through a policy, but keeps one that it finds.
    pub(super) fn merged(parts: Vec<String>, end: &str) -> String {
        match parts.as_slice() {
            [part] => format!("{part}{end}"),
            parts => {
                let parts: Vec<String> = parts.iter().map(|part| format!("({part}{end})")).collect();
                format!("{}{end}", parts.join(" UNION ALL "))
            }
        }
    }

    /// Behind a table that is read by number.
    pub(super) const BY_NUMBER: &str = "";

    /// Whether a number is one of a list, and whether that is bound, so that the statement is always the same.
    pub(super) fn push_one_of(query: &mut sqlx::QueryBuilder<super::Db>, numbers: &[i64]) {
        query.push("= ANY(").push_bind(numbers.to_vec()).push(")");
    }
    pub(super) const LISTS_ARE_BOUND: bool = true;

    /// `place(text, part)`, from 1; 0 where the part is not in it.
    pub(super) const PLACE_IN: &str = "strpos";

    /// Number of a listing in the index of words, and the condition on its words.
    pub(super) const WORDS_NUMBER: &str = "number";
    pub(super) fn has_words(words: &[String], begun: bool) -> String {
        // Small ASCII letters and digits alone.
        let star = if begun { ":*" } else { "" };
        format!("words @@ '{}{star}'::tsquery", words.join(" & "))
    }

    /// Whether the index of words knows where listings are, and is asked for it: a listing's row costs more than its entry.
    pub(super) const WORDS_HAVE_WHEREABOUTS: bool = true;
    /// The same where the listing is also in one of the places of each list.
    pub(super) fn has_words_at(words: &[String], begun: bool, places: &[Vec<String>]) -> String {
        let any: Vec<String> = places.iter().map(|any| format!("({})", any.join(" | "))).collect();
        let words = has_words(words, begun);
        if any.is_empty() { words } else { format!("{words} AND words @@ '{}'::tsquery", any.join(" & ")) }
    }

    /// Where a listing's words go in. They are words already; Postgres' own reading would part some.
    pub(super) const WORDS_IN: &str = "INSERT INTO property_words (number, words) ";
    pub(super) const WORDS_FROM: &str = "array_to_tsvector(string_to_array(";
    pub(super) const WORDS_FROM_END: &str = ", ' '))";

    /// Before rows of people are deleted: the database overwrites them when it tidies.
    pub(super) async fn forget_for_good(_: &mut super::sql::Work) -> Result<(), sqlx::Error> {
        Ok(())
    }

    /// A refresh token by its hash, to be rotated. Locked until the end of the transaction.
    pub(super) const TOKEN_TO_ROTATE: &str = "SELECT t.organization_id, t.user_id, t.family, t.expires_at, t.rotated_at,
         t.revoked_at, u.disabled FROM refresh_tokens t JOIN users u ON u.id = t.user_id WHERE t.hash = $1 FOR UPDATE OF t";
}

impl PostgresStore {
    /// Connects, and brings the tables up to this version, unless through a transaction pooler: that cannot hold the lock
    /// which keeps two servers from doing so at the same time.
    ///
    /// # Errors
    /// The address is wrong, the database does not answer, or its tables are of another version and must be migrated.
    pub async fn open(address: &Secret, pooling: Pooling) -> Result<Self, DataError> {
        let store = Self::connect(address, pooling).await?;
        if store.named {
            store.migrate().await?;
        } else {
            store.is_current().await?;
        }
        Ok(store)
    }

    /// Connects without looking at the tables.
    ///
    /// # Errors
    /// The address is wrong or the database does not answer.
    pub async fn connect(address: &Secret, pooling: Pooling) -> Result<Self, DataError> {
        // What a driver says of an address may show its password, so none of it is passed on.
        let options = PgConnectOptions::from_str(address.expose()).map_err(|_| {
            DataError::Folder(
                "the Postgres address cannot be read; it must be postgresql://USER:PASSWORD@HOST:PORT/NAME with \
                 special characters in percent-encoding (SUPABASE_CONNECTION_STRING or DATABASE_URL)"
                    .to_owned(),
            )
        })?;
        let named = match pooling {
            Pooling::Auto => options.get_port() != TRANSACTION_PORT,
            Pooling::Session => true,
            Pooling::Transaction => false,
        };
        // Poolers refuse this parameter, and values travel in binary anyway.
        let options = options.extra_float_digits(None);
        // What somebody searched for stands in statements.
        let options = options.disable_statement_logging();
        let options = if named { options } else { options.statement_cache_capacity(0) };
        let pool = PgPoolOptions::new()
            .min_connections(KEPT)
            .max_connections(MOST)
            .max_lifetime(LIFETIME)
            .test_before_acquire(true)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options.application_name("voice"))
            .await?;
        Ok(Self { pool, named })
    }

    /// Brings the tables up to this version, forward only.
    ///
    /// # Errors
    /// The tables were written by another version, or the database fails.
    pub async fn migrate(&self) -> Result<(), DataError> {
        if !self.named {
            return Err(pooled());
        }
        let was_current = self.has_current_tables().await?;
        MIGRATIONS.run(&self.pool).await.map_err(DataError::Migration)?;
        if !was_current {
            // A version may have written the tables of searches anew. Their indexes alone are read once this is done; the database
            // itself does it later.
            let tidied =
                sqlx::query("VACUUM (ANALYZE, SKIP_LOCKED) property_facts, property_words").persistent(false);
            if let Err(error) = tidied.execute(&self.pool).await {
                tracing::warn!(%error, "the tables are up to date, but not tidied yet");
            }
        }
        Ok(())
    }

    async fn is_current(&self) -> Result<(), DataError> {
        if self.has_current_tables().await? { Ok(()) } else { Err(pooled()) }
    }

    /// Whether the tables are there and of this version.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn has_current_tables(&self) -> Result<bool, DataError> {
        let newest = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
        let found = sqlx::query("SELECT max(version) AS version FROM _sqlx_migrations WHERE success")
            .persistent(false)
            .fetch_one(&self.pool)
            .await;
        match found {
            Ok(row) => Ok(row.try_get::<Option<i64>, _>("version")? == Some(newest)),
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether opening it brings the tables up to this version.
    pub fn migrates_when_opened(&self) -> bool {
        self.named
    }

    async fn read(&self, scope: Scope) -> Result<sql::Work, DataError> {
        self.begin("BEGIN READ ONLY", scope, "").await
    }

    /// Where the planner goes by indexes. It guesses little of words and nothing of cells, and a wrong guess reads the whole table
    /// or compiles the statement.
    async fn read_by_indexes(&self, scope: Scope) -> Result<sql::Work, DataError> {
        const BY_INDEXES: &str =
            ", set_config('enable_seqscan', 'off', TRUE), set_config('enable_hashjoin', 'off', TRUE),
             set_config('enable_mergejoin', 'off', TRUE), set_config('jit', 'off', TRUE)";
        self.begin("BEGIN READ ONLY", scope, BY_INDEXES).await
    }

    async fn write(&self, scope: Scope) -> Result<sql::Work, DataError> {
        self.begin("BEGIN", scope, "").await
    }

    /// Begin and settings go in one message. No worker is started for a statement: that takes longer than any of ours.
    async fn begin(&self, begin: &str, scope: Scope, settings: &str) -> Result<sql::Work, DataError> {
        let setting = match scope {
            Scope::Of(organization) => format!("set_config('voice.organization', '{organization}', TRUE)"),
            Scope::System => "set_config('voice.scope', 'system', TRUE)".to_owned(),
        };
        // Only a UUID and words of this file are in it.
        let statement = AssertSqlSafe(format!(
            "{begin}; SELECT {setting}, set_config('statement_timeout', '8000', TRUE),
             set_config('max_parallel_workers_per_gather', '0', TRUE){settings}"
        ));
        // To its end even where nobody waits any more, such as a lookup whose time is over: sqlx 0.9.0 gives a connection back in
        // the transaction that was given up at its begin (issue 4393), read-only or seeing every organization. What is begun for
        // nobody is rolled back. Such tasks wait ACQUIRE_TIMEOUT at most, and then have one of the pool's connections each.
        let pool = self.pool.clone();
        let begun = tokio::spawn(async move { pool.begin_with(statement).await });
        let transaction = begun.await.map_err(|_| sqlx::Error::WorkerCrashed)??;
        Ok(sql::Work::new(transaction, self.named))
    }

    /// After rows of people were deleted.
    async fn has_erased(&self) {}

    /// Upkeep of what was erased: the database's own.
    async fn settle_log(&self) {}

    async fn end(&self) {
        self.pool.close().await;
    }
}

fn pooled() -> DataError {
    DataError::Folder(
        "the tables must be brought up to this version first: run `voice migrate` with the direct or the session \
         pooler's address (port 5432), since a transaction pooler cannot do it"
            .to_owned(),
    )
}

#[cfg(test)]
mod tests;
