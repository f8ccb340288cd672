//! Health, kept answers, and what has expired.

use futures::future::BoxFuture;
use sqlx::Row as _;
use uuid::Uuid;

use super::super::super::types::{Id, Moment};
use super::super::super::{Answer, Begun, DataError, Scope, Timestamp, Upkeep, within};
use super::accounts::id_of;
use super::{Database, conversations, words};

/// An answer is kept for this long.
const KEPT_MS: u64 = 24 * 3_600_000;
/// A request that was begun this long ago and has no answer broke off: it may come again.
const BROKEN_MS: u64 = 60_000;

impl Upkeep for Database {
    fn ping(&self) -> Answer<'_, ()> {
        within(async move {
            let mut work = self.read(Scope::System).await?;
            work.query("SELECT id FROM organizations LIMIT 1").fetch_optional(work.on()).await?;
            Ok(())
        })
    }

    fn end_abandoned(&self, before: Timestamp) -> Answer<'_, u64> {
        within(async move {
            let mut work = self.write(Scope::System).await?;
            let query = work.query(
                "SELECT id, organization_id FROM conversations WHERE ended_at IS NULL AND created_at < $1 LIMIT 10000",
            );
            let rows = query.bind(Moment(before)).fetch_all(work.on()).await?;
            for row in &rows {
                let organization = id_of(row, "organization_id")?;
                conversations::finish(&mut work, organization, id_of(row, "id")?, None).await?;
            }
            work.commit().await?;
            Ok(rows.len() as u64)
        })
    }

    fn begin_once(
        &self,
        organization: Uuid,
        asker: String,
        key: String,
        fingerprint: String,
        now: Timestamp,
    ) -> Answer<'_, Begun> {
        within(async move {
            let mut work = self.write(Scope::Of(organization)).await?;
            // Of two that come at once one inserts, and the other waits for it and then finds it.
            let query = work.query(
                "INSERT INTO idempotency (organization_id, asker, key, fingerprint, created_at)
                 VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (organization_id, asker, key) DO UPDATE SET
                     fingerprint = excluded.fingerprint, created_at = excluded.created_at, status = NULL, body = NULL
                 WHERE idempotency.created_at < $6 OR (idempotency.status IS NULL AND idempotency.created_at < $7)",
            );
            let query = query
                .bind(Id(organization))
                .bind(asker.clone())
                .bind(key.clone())
                .bind(fingerprint.clone())
                .bind(Moment(now))
                .bind(Moment(now.minus_millis(KEPT_MS)))
                .bind(Moment(now.minus_millis(BROKEN_MS)));
            if query.execute(work.on()).await?.rows_affected() > 0 {
                work.commit().await?;
                return Ok(Begun::First);
            }
            let query = work.query(
                "SELECT fingerprint, status, body FROM idempotency
                 WHERE organization_id = $1 AND asker = $2 AND key = $3",
            );
            let query = query.bind(Id(organization)).bind(asker).bind(key);
            let Some(row) = query.fetch_optional(work.on()).await? else { return Ok(Begun::UnderWay) };
            if row.try_get::<String, _>("fingerprint")? != fingerprint {
                return Ok(Begun::Other);
            }
            Ok(match row.try_get::<Option<i64>, _>("status")? {
                None => Begun::UnderWay,
                Some(status) => Begun::Answered {
                    status: u16::try_from(status)
                        .map_err(|_| DataError::Corrupt(format!("status {status}")))?,
                    body: row.try_get::<Option<String>, _>("body")?.unwrap_or_default(),
                },
            })
        })
    }

    fn finish_once(
        &self,
        organization: Uuid,
        asker: String,
        key: String,
        answer: Option<(u16, String)>,
    ) -> Answer<'_, ()> {
        within(async move {
            let mut work = self.write(Scope::Of(organization)).await?;
            let query = match &answer {
                Some(_) => work.query(
                    "UPDATE idempotency SET status = $4, body = $5
                     WHERE organization_id = $1 AND asker = $2 AND key = $3",
                ),
                None => work
                    .query("DELETE FROM idempotency WHERE organization_id = $1 AND asker = $2 AND key = $3"),
            };
            let query = query.bind(Id(organization)).bind(asker).bind(key);
            let query = match answer {
                Some((status, body)) => query.bind(i64::from(status)).bind(body),
                None => query,
            };
            query.execute(work.on()).await?;
            work.commit().await
        })
    }

    fn sweep(&self, now: Timestamp) -> Answer<'_, ()> {
        within(async move {
            let mut work = self.write(Scope::System).await?;
            let query = work.query("DELETE FROM refresh_tokens WHERE expires_at <= $1").bind(Moment(now));
            query.execute(work.on()).await?;
            let query = work
                .query("DELETE FROM idempotency WHERE created_at < $1")
                .bind(Moment(now.minus_millis(KEPT_MS)));
            query.execute(work.on()).await?;
            work.commit().await?;
            self.settle_log().await;
            Ok(())
        })
    }

    fn index_words(&self, most: u32) -> Answer<'_, u64> {
        within(async move {
            let mut work = self.write(Scope::System).await?;
            let settled = words::settle(&mut work, most).await?;
            work.commit().await?;
            Ok(settled)
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.end())
    }
}
