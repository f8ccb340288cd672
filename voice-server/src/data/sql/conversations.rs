//! Conversations and their turns.

use sqlx::types::Json;
use sqlx::{QueryBuilder, Row as _};
use uuid::Uuid;

use super::super::super::types::{Id, Moment};
use super::super::super::{
    Answer, CallEnd, Caller, Conversation, ConversationChange, ConversationDetail, ConversationFilter,
    ConversationStore, Conversations, Cursor, DataError, NewConversation, Page, Performance, Scope, Status,
    Timestamp, Turn, within,
};
use super::accounts::{id_of, maybe_moment_of, moment_of};
use super::words::{self, Search};
use super::{Database, Db, Row, Work, dialect, performance};
use crate::cost::added;

/// A SELECT of all that a record holds, with its tail.
macro_rules! of {
    (conversation) => {
        "SELECT id, organization_id, CAST(status AS TEXT) AS status, client_phone, phone_trusted, created_at, ended_at, \
         metadata, user_id, notes, lead, viewings_booked, cost, revision FROM "
    };
    (conversation $tail:literal) => {
        concat!(of!(conversation), "conversations ", $tail)
    };
    (turn $tail:literal) => {
        concat!(
            "SELECT conversation_id, turn, said, reply, heard, started_ms, reply_started_ms, interrupted, ledger, \
             total_ms, by_person FROM turns ",
            $tail
        )
    };
}

impl ConversationStore for Database {
    fn open_conversation(&self, new: NewConversation) -> Answer<'_, ()> {
        within(async move {
            let mut work = self.write(Scope::Of(new.organization_id)).await?;
            let query = work.query(
                "INSERT INTO conversations (id, organization_id, status, client_phone, created_at, metadata, user_id,
                                            key_id, phone_trusted)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            );
            let query = query
                .bind(Id(new.id))
                .bind(Id(new.organization_id))
                .bind(Status::Active.as_str())
                .bind(new.client_phone)
                .bind(Moment(new.created_at))
                .bind(Json(new.metadata))
                .bind(new.user_id.map(Id))
                .bind(new.key_id.map(Id))
                .bind(new.phone_trusted);
            query.execute(work.on()).await?;
            work.commit().await
        })
    }

    fn append_turn(&self, organization: Uuid, conversation: Uuid, turn: Turn) -> Answer<'_, ()> {
        within(async move {
            let mut work = self.write(Scope::Of(organization)).await?;
            // Two turns at the same time come one after the other, so that the words of both are kept.
            let query = work.query(dialect::LOCK_CONVERSATION).bind(Id(conversation)).bind(Id(organization));
            if query.fetch_optional(work.on()).await?.is_none() {
                return Err(DataError::NotFound);
            }
            let number = number_of(&mut work, conversation, &turn).await?;
            let query = work.query(
                "INSERT INTO turns (organization_id, conversation_id, turn, said, reply, heard, started_ms,
                                    reply_started_ms, interrupted, ledger, total_ms, by_person)
                 SELECT organization_id, id, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12 FROM conversations
                 WHERE id = $1 AND organization_id = $2
                 ON CONFLICT (conversation_id, turn) DO UPDATE SET
                     said = excluded.said, reply = excluded.reply, heard = excluded.heard,
                     started_ms = excluded.started_ms, reply_started_ms = excluded.reply_started_ms,
                     interrupted = excluded.interrupted, ledger = excluded.ledger, total_ms = excluded.total_ms,
                     by_person = excluded.by_person",
            );
            let query = query
                .bind(Id(conversation))
                .bind(Id(organization))
                .bind(number)
                .bind(turn.said)
                .bind(turn.reply)
                .bind(turn.heard)
                .bind(to_stored(turn.started_ms))
                .bind(to_stored(turn.reply_started_ms))
                .bind(turn.interrupted)
                .bind(Json(turn.ledger))
                .bind(turn.total_ms)
                .bind(turn.by_person);
            query.execute(work.on()).await?;
            words::keep(&mut work, organization, conversation).await?;
            work.commit().await
        })
    }

    fn end_conversation(&self, organization: Uuid, conversation: Uuid, end: CallEnd) -> Answer<'_, ()> {
        within(async move {
            let mut work = self.write(Scope::Of(organization)).await?;
            finish(&mut work, organization, conversation, Some(end)).await?;
            work.commit().await
        })
    }

    fn add_cost(
        &self,
        organization: Uuid,
        conversation: Uuid,
        report: serde_json::Value,
        micros: i64,
    ) -> Answer<'_, ()> {
        within(async move {
            let mut work = self.write(Scope::Of(organization)).await?;
            // The row is taken before it is read, so that nothing that is added meanwhile is lost.
            let query = work.query(
                "UPDATE conversations SET cost_micros = cost_micros + $3 WHERE id = $1 AND organization_id = $2",
            );
            let query = query.bind(Id(conversation)).bind(Id(organization)).bind(micros);
            if query.execute(work.on()).await?.rows_affected() == 0 {
                return Err(DataError::NotFound);
            }
            let found = self::conversation(&mut work, organization, conversation).await?;
            let found = found.ok_or(DataError::NotFound)?;
            let query =
                work.query("UPDATE conversations SET cost = $3 WHERE id = $1 AND organization_id = $2");
            let report = added(found.cost.as_ref(), &report);
            let query = query.bind(Id(conversation)).bind(Id(organization)).bind(Json(report));
            query.execute(work.on()).await?;
            work.commit().await
        })
    }

    fn conversation(&self, organization: Uuid, id: Uuid) -> Answer<'_, Option<ConversationDetail>> {
        within(async move {
            // One transaction, so that turns and state are of the same moment.
            let mut work = self.read(Scope::Of(organization)).await?;
            detail(&mut work, organization, id).await
        })
    }

    fn conversations(
        &self,
        organization: Uuid,
        filter: ConversationFilter,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Answer<'_, Conversations> {
        within(async move {
            if !filter.words.is_empty() {
                let mut work = self.read_by_indexes(Scope::Of(organization)).await?;
                return Search::new(organization, &filter, cursor, limit).find(&mut work).await;
            }
            let mut work = self.read(Scope::Of(organization)).await?;
            let mut query = QueryBuilder::new("");
            push_list(&mut query, &[], organization, &filter, cursor);
            // One entry more than asked tells whether a further page exists.
            query.push(" LIMIT ").push_bind(i64::from(limit) + 1);
            let rows = work.built(&mut query).fetch_all(work.on()).await?;
            let items = rows.iter().map(conversation_of).collect::<Result<Vec<_>, _>>()?;
            Ok(Page::of(items, limit, |c| Cursor { created_at: c.created_at, id: c.id }))
        })
    }

    fn change_conversation(
        &self,
        organization: Uuid,
        id: Uuid,
        change: ConversationChange,
        revision: Option<i64>,
    ) -> Answer<'_, Conversation> {
        within(async move {
            let mut work = self.write(Scope::Of(organization)).await?;
            let query = work.query(
                "UPDATE conversations SET notes = coalesce($3, notes), lead = coalesce($4, lead),
                     revision = revision + 1
                 WHERE id = $1 AND organization_id = $2 AND ($5 IS NULL OR revision = $5)",
            );
            let query =
                query.bind(Id(id)).bind(Id(organization)).bind(change.notes).bind(change.lead).bind(revision);
            let changed = query.execute(work.on()).await?.rows_affected();
            let now = conversation(&mut work, organization, id).await?.ok_or(DataError::NotFound)?;
            if changed == 0 {
                return Err(DataError::Changed);
            }
            work.commit().await?;
            Ok(now)
        })
    }

    fn history(&self, organization: Uuid, caller: Caller, limit: u32) -> Answer<'_, Vec<ConversationDetail>> {
        within(async move {
            let mut work = self.read(Scope::Of(organization)).await?;
            let filter = match caller {
                Caller::User(id) => ConversationFilter { user_id: Some(id), ..Default::default() },
                Caller::Phone(phone) => ConversationFilter {
                    client_phone: Some(phone),
                    is_phone_trusted: true,
                    ..Default::default()
                },
            };
            let filter = ConversationFilter { status: Some(Status::Ended), ..filter };
            let mut query = QueryBuilder::new("");
            push_list(&mut query, &[], organization, &filter, None);
            query.push(" LIMIT ").push_bind(i64::from(limit));
            let rows = work.built(&mut query).fetch_all(work.on()).await?;
            let mut found = Vec::with_capacity(rows.len());
            for row in &rows {
                let conversation = conversation_of(row)?;
                let turns = turns(&mut work, conversation.id).await?;
                found.push(ConversationDetail::new(conversation, turns));
            }
            Ok(found)
        })
    }

    fn performance(
        &self,
        organization: Uuid,
        user: Uuid,
        from: Timestamp,
        to: Timestamp,
        zone: jiff::tz::TimeZone,
    ) -> Answer<'_, Performance> {
        within(async move {
            let mut work = self.read(Scope::Of(organization)).await?;
            performance::of(&mut work, organization, user, from, to, &zone).await
        })
    }

    fn conversations_of_phone(&self, organization: Uuid, phone: String, limit: u32) -> Answer<'_, Vec<Uuid>> {
        within(async move {
            let mut work = self.read(Scope::Of(organization)).await?;
            // People write a number as they like; the digits are what it is.
            let query = work.query(
                "SELECT id FROM conversations WHERE organization_id = $1 AND client_phone IS NOT NULL
                 AND replace(replace(replace(replace(replace(replace(client_phone,
                     '+', ''), '-', ''), ' ', ''), '(', ''), ')', ''), '.', '') = $2
                 ORDER BY created_at DESC LIMIT $3",
            );
            let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
            let query = query.bind(Id(organization)).bind(digits).bind(i64::from(limit));
            query.fetch_all(work.on()).await?.iter().map(|row| id_of(row, "id")).collect()
        })
    }

    fn erase_conversations(&self, organization: Uuid, ids: Vec<Uuid>) -> Answer<'_, u64> {
        within(async move {
            let mut work = self.write(Scope::Of(organization)).await?;
            let (mut erased, mut personal) = (0, false);
            for id in ids {
                let query =
                    work.query("DELETE FROM idempotency WHERE organization_id = $1 AND asker LIKE $2");
                query.bind(Id(organization)).bind(format!("{id}:%")).execute(work.on()).await?;
                // A conversation in which nobody was yet leaves nothing that must be overwritten.
                let query = work.query(
                    "SELECT 1 AS one FROM conversations WHERE id = $1 AND organization_id = $2 AND (client_phone IS NOT NULL
                     OR EXISTS (SELECT 1 FROM turns WHERE conversation_id = $1))",
                );
                let query = query.bind(Id(id)).bind(Id(organization));
                if !personal && query.fetch_optional(work.on()).await?.is_some() {
                    personal = true;
                    dialect::forget_for_good(&mut work).await?;
                }
                // Turns, recordings and consents go with it.
                let query = work.query("DELETE FROM conversations WHERE id = $1 AND organization_id = $2");
                erased += query.bind(Id(id)).bind(Id(organization)).execute(work.on()).await?.rows_affected();
            }
            work.commit().await?;
            if personal {
                self.has_erased().await;
            }
            Ok(erased)
        })
    }
}

/// The number under which a turn is stored: its own, also where it is stored again. Where another turn has that, such as a
/// message that was written through another server while the call went on, it comes behind all, so that both stay.
async fn number_of(work: &mut Work, conversation: Uuid, turn: &Turn) -> Result<i64, DataError> {
    let own = i64::from(turn.turn);
    let mut last = None;
    let query = work
        .query("SELECT turn, started_ms FROM turns WHERE conversation_id = $1 AND turn >= $2 ORDER BY turn");
    for row in &query.bind(Id(conversation)).bind(own).fetch_all(work.on()).await? {
        let number: i64 = row.try_get("turn")?;
        if last.is_none() && number != own {
            break;
        }
        if row.try_get::<i64, _>("started_ms")? == to_stored(turn.started_ms) {
            return Ok(number);
        }
        last = Some(number);
    }
    Ok(last.map_or(own, |last| last.saturating_add(1)))
}

/// A list by everything but words; its limit is to follow. `among`: of these alone.
pub(super) fn push_list(
    query: &mut QueryBuilder<Db>,
    among: &[Uuid],
    organization: Uuid,
    filter: &ConversationFilter,
    cursor: Option<Cursor>,
) {
    query.push(of!(conversation));
    if among.is_empty() {
        query.push("conversations").push(dialect::by_index(narrowest(filter))).push(" WHERE ");
    } else {
        // From these, in this order, which SQLite takes as it stands: else it may go through all of the organization.
        query.push("(VALUES ");
        let mut list = query.separated(", ");
        for id in among {
            list.push("(").push_bind_unseparated(Id(*id)).push_unseparated(")");
        }
        query.push(") v CROSS JOIN conversations WHERE id = v.column1 AND ");
    }
    query.push("organization_id = ").push_bind(Id(organization));
    if let Some(status) = filter.status {
        // One of two words, and not bound: to the database a bound text is no status.
        query.push(" AND status = '").push(status.as_str()).push("'");
    }
    if let Some(user) = filter.user_id {
        query.push(" AND user_id = ").push_bind(Id(user));
    }
    if let Some(phone) = &filter.client_phone {
        query.push(" AND client_phone = ").push_bind(phone.clone());
    }
    if filter.is_phone_trusted {
        query.push(" AND phone_trusted");
    }
    if let Some(from) = filter.from {
        query.push(" AND created_at >= ").push_bind(Moment(from));
    }
    if let Some(to) = filter.to {
        query.push(" AND created_at < ").push_bind(Moment(to));
    }
    if let Some(lead) = filter.lead {
        query.push(" AND lead = ").push_bind(lead);
    }
    if let Some(cursor) = cursor {
        query.push(" AND (created_at, id) < (").push_bind(Moment(cursor.created_at));
        query.push(", ").push_bind(Id(cursor.id)).push(")");
    }
    query.push(" ORDER BY created_at DESC, id DESC");
}

/// The index whose entries, in the order of the list, are the fewest: of what one number, one user, one state has.
fn narrowest(filter: &ConversationFilter) -> &'static str {
    match filter {
        ConversationFilter { client_phone: Some(_), is_phone_trusted: true, .. } => {
            "conversations_of_trusted_phone"
        }
        ConversationFilter { client_phone: Some(_), .. } => "conversations_of_phone",
        ConversationFilter { user_id: Some(_), .. } => "conversations_of_user",
        ConversationFilter { status: Some(_), .. } => "conversations_of_status",
        _ => "conversations_newest",
    }
}

/// Ends a conversation and writes its transcript down; one that has ended keeps its end. `None`: at its last turn.
pub(super) async fn finish(
    work: &mut Work,
    organization: Uuid,
    id: Uuid,
    end: Option<CallEnd>,
) -> Result<(), DataError> {
    // The row is taken before it is read, so that no cost that is added meanwhile is lost.
    let query = work.query("UPDATE conversations SET status = status WHERE id = $1 AND organization_id = $2");
    query.bind(Id(id)).bind(Id(organization)).execute(work.on()).await?;
    let found = detail(work, organization, id).await?.ok_or(DataError::NotFound)?;
    let last = found.turns.iter().map(|turn| turn.reply_started_ms).max().unwrap_or_default();
    let end = end.unwrap_or_else(|| CallEnd::at(found.conversation.created_at.plus_millis(last)));
    // The first end has the call's cost; an end that is told again has it too.
    let is_first = found.conversation.status == Status::Active || found.conversation.cost.is_none();
    let (cost, micros) = match (end.cost, &found.conversation.cost) {
        (Some(cost), before) if is_first => (Some(added(before.as_ref(), &cost)), end.cost_micros),
        _ => (None, 0),
    };
    let query = work.query(
        "UPDATE conversations SET transcript = $3, status = $4, ended_at = coalesce(ended_at, $5),
             cost = coalesce($6, cost), cost_micros = cost_micros + $7
         WHERE id = $1 AND organization_id = $2",
    );
    let query = query
        .bind(Id(id))
        .bind(Id(organization))
        .bind(Json(found.transcript))
        .bind(Status::Ended.as_str())
        .bind(Moment(end.at))
        .bind(cost.map(Json))
        .bind(micros);
    query.execute(work.on()).await?;
    Ok(())
}

async fn detail(
    work: &mut Work,
    organization: Uuid,
    id: Uuid,
) -> Result<Option<ConversationDetail>, DataError> {
    let Some(conversation) = conversation(work, organization, id).await? else { return Ok(None) };
    let turns = turns(work, id).await?;
    Ok(Some(ConversationDetail::new(conversation, turns)))
}

async fn conversation(
    work: &mut Work,
    organization: Uuid,
    id: Uuid,
) -> Result<Option<Conversation>, DataError> {
    let query = work.query(of!(conversation "WHERE id = $1 AND organization_id = $2"));
    let query = query.bind(Id(id)).bind(Id(organization));
    query.fetch_optional(work.on()).await?.as_ref().map(conversation_of).transpose()
}

/// For a conversation that is known to be the organization's.
async fn turns(work: &mut Work, conversation: Uuid) -> Result<Vec<Turn>, DataError> {
    let query = work.query(of!(turn "WHERE conversation_id = $1 ORDER BY turn")).bind(Id(conversation));
    query.fetch_all(work.on()).await?.iter().map(turn_of).collect()
}

pub(super) fn conversation_of(row: &Row) -> Result<Conversation, DataError> {
    let status: String = row.try_get("status")?;
    let Json(metadata) = row.try_get("metadata")?;
    Ok(Conversation {
        id: id_of(row, "id")?,
        organization_id: id_of(row, "organization_id")?,
        status: Status::parse(&status).ok_or_else(|| DataError::Corrupt(format!("status {status:?}")))?,
        client_phone: row.try_get("client_phone")?,
        phone_trusted: row.try_get("phone_trusted")?,
        created_at: moment_of(row, "created_at")?,
        ended_at: maybe_moment_of(row, "ended_at")?,
        metadata,
        user_id: row.try_get::<Option<Id>, _>("user_id")?.map(|Id(id)| id),
        notes: row.try_get("notes")?,
        lead: row.try_get("lead")?,
        viewings_booked: row.try_get("viewings_booked")?,
        cost: row.try_get::<Option<Json<serde_json::Value>>, _>("cost")?.map(|Json(cost)| cost),
        revision: row.try_get("revision")?,
    })
}

fn turn_of(row: &Row) -> Result<Turn, DataError> {
    let number: i64 = row.try_get("turn")?;
    let Json(ledger) = row.try_get("ledger")?;
    Ok(Turn {
        turn: u32::try_from(number).map_err(|_| DataError::Corrupt(format!("turn {number}")))?,
        said: row.try_get("said")?,
        reply: row.try_get("reply")?,
        heard: row.try_get("heard")?,
        started_ms: row.try_get::<i64, _>("started_ms")?.unsigned_abs(),
        reply_started_ms: row.try_get::<i64, _>("reply_started_ms")?.unsigned_abs(),
        interrupted: row.try_get("interrupted")?,
        ledger,
        total_ms: row.try_get("total_ms")?,
        by_person: row.try_get("by_person")?,
    })
}

/// The databases' integers are signed; no call lasts longer than they reach.
fn to_stored(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}
