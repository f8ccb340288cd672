//! The statements, in the SQL that both databases understand. Each database's module takes this folder in as its own, with
//! its own `Db`, `Row` and `dialect`; what differs stands there.

mod accounts;
mod conversations;
mod listings;
mod performance;
mod recordings;
mod search;
mod upkeep;
mod words;

use sqlx::query::Query;
use sqlx::{QueryBuilder, Transaction};

use super::super::DataError;
use super::{Database, Db, Row, dialect};

type Arguments = <Db as sqlx::Database>::Arguments;

/// One transaction. Dropped without a commit, it leaves nothing.
pub(super) struct Work {
    transaction: Transaction<'static, Db>,
    named: bool,
}

impl Work {
    pub(super) fn new(transaction: Transaction<'static, Db>, named: bool) -> Self {
        Self { transaction, named }
    }

    /// A statement with `$1`, `$2` … to be bound.
    fn query(&self, statement: &'static str) -> Query<'static, Db, Arguments> {
        sqlx::query(statement).persistent(self.named)
    }

    /// A statement that was put together.
    fn built<'q>(&self, builder: &'q mut QueryBuilder<Db>) -> Query<'q, Db, Arguments> {
        builder.build().persistent(self.named)
    }

    /// A statement that was put together with its values in it: it comes like this once, so it is not kept.
    fn once<'q>(&self, builder: &'q mut QueryBuilder<Db>) -> Query<'q, Db, Arguments> {
        builder.build().persistent(false)
    }

    /// The rows of a statement that was put together with its values in it: one message there and one back. Nothing may be bound,
    /// and moments cannot be among what comes, since Postgres gives text then.
    async fn rows(&mut self, builder: QueryBuilder<Db>) -> Result<Vec<Row>, sqlx::Error> {
        debug_assert!(!builder.sql().as_str().contains(['$', '?']), "what is bound would be lost");
        sqlx::raw_sql(builder.into_sql()).fetch_all(self.on()).await
    }

    /// The same of a statement that has one row.
    async fn row(&mut self, builder: QueryBuilder<Db>) -> Result<Row, sqlx::Error> {
        self.rows(builder).await?.pop().ok_or(sqlx::Error::RowNotFound)
    }

    /// Where a statement runs.
    pub(super) fn on(&mut self) -> &mut <Db as sqlx::Database>::Connection {
        &mut self.transaction
    }

    async fn commit(self) -> Result<(), DataError> {
        Ok(self.transaction.commit().await?)
    }
}
