//! `/api/v1/conversations`: making them, reading them, noting what came of them, and the same dialogue in writing.

use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::http::request::Parts;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::asked::Asked;
use super::fields::Fields;
use super::kept::or_kept;
use super::once::{Once, once_for};
use super::{List, id_of, revision};
use crate::app::App;
use crate::auth::tickets::Purpose;
use crate::auth::{self, Identity, Right, Standing, address};
use crate::cost::Account;
use crate::data::{
    CallEnd, Consent, Conversation, ConversationChange, ConversationDetail, ConversationFilter, Cursor,
    DataError, NewConversation, Status, Timestamp, Turn,
};
use crate::events::Publisher;
use crate::http::Problem;
use crate::recording::link::Link;
use crate::voice::call::{NotWritten, Written};
use crate::voice::writing::Way;

/// Bytes of `metadata` at most, as JSON.
const METADATA_LIMIT: usize = 8 * 1024;
/// Characters of notes at most.
const NOTES_LIMIT: usize = 10_000;
/// Characters of a written message at most.
const TEXT_LIMIT: usize = 2_000;
/// A written answer is promised within 8 s; the rest of that is for storing and the way.
const ANSWER_LIMIT: Duration = Duration::from_millis(7_000);
/// Earlier exchanges that a written question is asked with.
const EARLIER: usize = 20;

/// What a list of conversations is asked by.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described; the values are read one by one, each fault by its name")]
pub(crate) struct ListParams {
    /// Only those that go on (`active`) or are over (`ended`).
    status: Option<Status>,
    /// Only of this user.
    #[param(rename = "userId")]
    user_id: Option<Uuid>,
    /// Only of this caller's number.
    #[param(rename = "clientPhone")]
    client_phone: Option<String>,
    /// Only created at or after this moment.
    from: Option<Timestamp>,
    /// Only created before this moment.
    to: Option<Timestamp>,
    /// Only those marked as leads, or not.
    lead: Option<bool>,
    /// Only where all these words were said, by either side; the last one may be begun only, from three letters on.
    q: Option<String>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// Entries on one page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
}

/// The organization's conversations, newest first.
///
/// # Errors
/// The request may not read, a value of the query is malformed, or the database fails.
#[utoipa::path(
    get,
    path = "/api/v1/conversations",
    tag = "conversations",
    params(ListParams),
    responses((status = 200, description = "A page, newest first", body = List<Conversation>)),
)]
pub async fn list(State(app): State<App>, who: Identity, parts: Parts) -> Result<Response, Problem> {
    who.may(Right::ReadConversations)?;
    let asked = Asked::of(&parts)?;
    let filter = ConversationFilter {
        status: asked.read("status", "active or ended", Status::parse)?,
        user_id: asked.id("userId")?,
        client_phone: asked.read("clientPhone", "a phone number, such as +15550100", phone)?,
        is_phone_trusted: false,
        from: asked.moment("from")?,
        to: asked.moment("to")?,
        lead: asked.switch("lead")?,
        words: asked.words("q"),
    };
    let (cursor, limit) = (asked.cursor()?, asked.limit()?);
    let read = async {
        let page = app.store.conversations(who.organization, filter, cursor, limit).await?;
        Ok(List { items: page.items, next_cursor: page.next.map(Cursor::encode) })
    };
    or_kept(&app, &parts, who.organization, read, |_| None).await
}

/// A conversation with all that is known of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Whole {
    /// With transcript and turns.
    #[serde(flatten)]
    detail: ConversationDetail,
    /// Its sound, where it was recorded.
    recordings: Vec<Link>,
    /// What the caller was told and agreed to.
    consents: Vec<Consent>,
}

/// One conversation with its transcript and turns.
///
/// # Errors
/// The request may not read, there is no such conversation, or the database fails.
#[utoipa::path(
    get,
    path = "/api/v1/conversations/{id}",
    tag = "conversations",
    params(("id" = Uuid, Path, description = "The conversation")),
    responses(
        (status = 200, description = "With transcript and turns; `ETag` is for `If-Match`", body = Whole),
        (status = 304, description = "As `If-None-Match` has it"),
        (status = 404, description = "There is none, or it is another organization's"),
    ),
)]
pub async fn one(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    who: Identity,
    parts: Parts,
) -> Result<Response, Problem> {
    who.may(Right::ReadConversations)?;
    let id = id_of(id).ok_or_else(unknown)?;
    let read = async {
        let detail = app.store.conversation(who.organization, id).await?.ok_or_else(unknown)?;
        let (now, recordings) = (Timestamp::now(), app.store.recordings(who.organization, id).await?);
        let recordings = recordings.iter().filter_map(|recording| app.links.link(recording, now)).collect();
        Ok(Whole { detail, recordings, consents: app.store.consents(who.organization, id).await? })
    };
    let revision = |found: &Whole| Some(found.detail.conversation.revision);
    or_kept(&app, &parts, who.organization, read, revision).await
}

/// What is needed to make a conversation.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only described; the fields are read one by one, each fault by its name")]
pub(crate) struct Opening {
    /// The caller's number, with `+` and country code where it is known. It counts only from a secret key.
    #[schema(example = "+15550100")]
    client_phone: Option<String>,
    /// Whatever is to be kept with it: an object of at most 8 KiB.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

/// A conversation that was made, and the ticket that opens its socket once.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Opened {
    /// For `/voice/{id}`.
    id: Uuid,
    /// For `?ticket=`, once, within a minute.
    ticket: String,
    /// When the ticket is worth nothing any more.
    ticket_expires_at: Timestamp,
}

/// Makes a conversation and a ticket for it.
///
/// # Errors
/// The request may not, a field is malformed, or the database fails.
#[utoipa::path(
    post,
    path = "/api/v1/conversations",
    tag = "conversations",
    params(("Idempotency-Key" = Option<String>, Header, description = "A random text; repeated, it gives the same conversation again, with a new ticket")),
    request_body(content = Opening, description = "May be empty"),
    responses(
        (status = 201, description = "Made", body = Opened),
        (status = 409, description = "A request with this `Idempotency-Key` is being worked on"),
    ),
)]
pub async fn open(
    State(app): State<App>,
    who: Identity,
    parts: Parts,
    body: Bytes,
) -> Result<(StatusCode, Json<Opened>), Problem> {
    who.may(Right::OpenConversations)?;
    let mut fields = Fields::parse(&body)?;
    let client_phone = fields.text("clientPhone")?;
    if let Some(number) = &client_phone
        && phone(number).is_none()
    {
        return Err(Problem::bad_value(
            "clientPhone",
            "clientPhone must be a phone number, such as +15550100",
        ));
    }
    let metadata = fields.object("metadata", METADATA_LIMIT)?.unwrap_or_default();
    // A publishable key is everybody's who visits a site: of two visitors with one `Idempotency-Key` each has his own conversation.
    let asker = match who.standing {
        Standing::PublishableKey => format!("{}:{}", who.asker(), address::group(who.address)),
        _ => who.asker(),
    };
    let (status, Json(made)) = once_for(&app, who.organization, asker, &parts, &body, async {
        let new = NewConversation {
            id: Uuid::new_v4(),
            organization_id: who.organization,
            phone_trusted: client_phone.is_some() && who.standing.has(Right::VouchForPhone),
            client_phone,
            metadata: Value::Object(metadata),
            created_at: Timestamp::now(),
            user_id: who.user,
            key_id: who.key.as_ref().map(|key| key.id),
        };
        let id = new.id;
        app.store.open_conversation(new).await?;
        Ok((StatusCode::CREATED, json!({"id": id})))
    })
    .await?;
    // Not kept with the rest: whoever repeats the request gets one that is good still.
    let id = made.get("id").and_then(Value::as_str).and_then(|id| Uuid::try_parse(id).ok());
    let id = id.ok_or_else(Problem::internal)?;
    let no_ticket = |_| Problem::unavailable("busy", "no ticket can be given at the moment; try again", 2);
    let ticket = app.auth.tickets.issue(who.ticket(Purpose::Conversation(id)), SystemTime::now()).await;
    let (ticket, ticket_expires_at) = ticket.map_err(no_ticket)?;
    Ok((status, Json(Opened { id, ticket, ticket_expires_at })))
}

/// Changes what people note about a conversation.
///
/// # Errors
/// The request may not, a field is malformed, somebody else changed it meanwhile, or the database fails.
#[utoipa::path(
    patch,
    path = "/api/v1/conversations/{id}",
    tag = "conversations",
    params(
        ("id" = Uuid, Path, description = "The conversation"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` that the change was made from"),
    ),
    request_body = ConversationChange,
    responses(
        (status = 200, description = "As it is now", body = Conversation),
        (status = 404, description = "There is none, or it is another organization's"),
        (status = 412, description = "Somebody else changed it meanwhile"),
    ),
)]
pub async fn change(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    who: Identity,
    parts: Parts,
    body: Bytes,
) -> Result<Response, Problem> {
    who.may(Right::ChangeConversations)?;
    let id = id_of(id).ok_or_else(unknown)?;
    let mut fields = Fields::parse(&body)?;
    let change = ConversationChange { notes: fields.text("notes")?, lead: fields.maybe_switch("lead")? };
    fields.nothing_else()?;
    if change.notes.as_ref().is_some_and(|notes| notes.chars().count() > NOTES_LIMIT || notes.contains('\0'))
    {
        return Err(Problem::bad_value("notes", format!("notes must have at most {NOTES_LIMIT} characters")));
    }
    let expected = revision::expected(&parts.headers)?;
    let changed = app.store.change_conversation(who.organization, id, change, expected).await;
    let changed = changed.map_err(|error| match error {
        DataError::NotFound => unknown(),
        other => other.into(),
    })?;
    Publisher::new(app.events.clone(), who.organization, id).updated();
    Ok(revision::with_revision(&changed, changed.revision))
}

/// A written message.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described; the fields are read one by one, each fault by its name")]
pub(crate) struct Message {
    /// The caller's words.
    #[schema(min_length = 1, max_length = 2000)]
    text: String,
}

/// The answer to a written message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Answered {
    /// The answer.
    reply: String,
}

/// The same dialogue in writing: a message, and its answer within 8 s.
///
/// # Errors
/// The request may not, the text is malformed, there is no such conversation, or the answerer fails.
#[utoipa::path(
    post,
    path = "/api/v1/conversations/{id}/messages",
    tag = "conversations",
    params(
        ("id" = Uuid, Path, description = "The conversation"),
        ("ticket" = Option<String>, Query, description = "The conversation's ticket, instead of sign-in"),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeated, it gives the first answer again"),
    ),
    request_body = Message,
    responses(
        (status = 200, description = "Answered and stored", body = Answered),
        (status = 404, description = "There is none, or it is another organization's"),
        (status = 409, description = "The call is going on by voice: send `text` on its socket; or a request with this \
                                      `Idempotency-Key` is being worked on"),
        (status = 429, description = "The key's conversations have cost today what they may; or too many requests"),
        (status = 503, description = "The answerer does not answer; see `Retry-After`"),
    ),
)]
pub async fn write(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    parts: Parts,
    body: Bytes,
) -> Result<Once, Problem> {
    let id = id_of(id).ok_or_else(unknown)?;
    let who = auth::caller::writer_of(&app, &parts, id).await?;
    let text = Fields::parse(&body)?.needed("text")?;
    let text = text.trim().to_owned();
    if text.is_empty() || text.chars().count() > TEXT_LIMIT || text.contains('\0') {
        return Err(Problem::bad_value("text", format!("text must have 1 to {TEXT_LIMIT} characters")));
    }
    let (organization, asker) = (who.organization, asker_of(&who));
    once_for(&app, organization, asker, &parts, &body, async {
        let alone = app.writing.enter(id, Way::Message);
        // Whose conversation it is comes first: nobody learns what goes on in another's.
        let found = app.store.conversation(organization, id).await?.ok_or_else(unknown)?;
        let _alone = alone
            .map_err(|way| if way == Way::Call && app.calls.is_under_way(id) { live() } else { busy() })?;
        let spending = who.spending(&app).await?;
        let begun = Timestamp::now();
        let earlier = found.turns.iter().rev().take(EARLIER).rev();
        let account = Account::start(app.prices.clone());
        let written = Written {
            id,
            organization,
            caller: who.known(Some(&found.conversation)),
            meter: account.meter.clone(),
            earlier: earlier.map(|turn| (turn.said.clone(), turn.heard.clone())).collect(),
            text: text.clone(),
        };
        let reply = app.answerer.write(written, ANSWER_LIMIT).await;
        // What did not come in time, or failed half way, was used all the same.
        let cost = account.cost();
        tracing::info!(conversation = %id, cost_usd = cost.usd(), "a written message was answered");
        if !cost.is_empty() {
            spending.spent(cost.micros).await;
            if let Err(error) = app.store.add_cost(organization, id, cost.report, cost.micros).await {
                tracing::error!(conversation = %id, %error, "what an answer cost was not stored");
            }
        }
        let reply = reply.map_err(not_written)?;
        let since = |moment: Timestamp| {
            (moment.as_millis() - found.conversation.created_at.as_millis()).unsigned_abs()
        };
        let took = (Timestamp::now().as_millis() - begun.as_millis()).max(0) as f64;
        let turn = Turn {
            turn: found.turns.last().map_or(1, |turn| turn.turn.saturating_add(1)),
            said: text,
            heard: reply.clone(),
            reply: reply.clone(),
            started_ms: since(begun),
            reply_started_ms: since(Timestamp::now()),
            interrupted: false,
            ledger: json!({"llm": took}),
            total_ms: took,
            by_person: false,
        };
        app.store.append_turn(organization, id, turn).await?;
        if found.conversation.status == Status::Ended {
            // Its transcript was written down at its end, and is again with the new words.
            app.store.end_conversation(organization, id, CallEnd::at(Timestamp::now())).await?;
        }
        Ok((StatusCode::OK, json!(Answered { reply })))
    })
    .await
}

/// Begins with the conversation's id: what is kept of its answers is erased with it.
fn asker_of(who: &auth::Caller) -> String {
    let conversation = who.conversation;
    match (who.user, who.key) {
        (Some(user), _) => format!("{conversation}:user:{user}"),
        (None, Some(key)) => format!("{conversation}:key:{key}"),
        (None, None) => format!("{conversation}:ticket"),
    }
}

fn busy() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "under_way",
        "the message before this one is still being answered, or the call ends just now; send it again in a moment",
    )
}

fn live() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "call_is_live",
        "this conversation goes on by voice; send text on its socket",
    )
}

fn not_written(error: NotWritten) -> Problem {
    match error {
        NotWritten::Early(excuse) => Problem::unavailable("loading", excuse, 5),
        NotWritten::Failed => {
            Problem::unavailable("answerer_unavailable", "nobody can answer at the moment; try again", 5)
        }
    }
}

fn unknown() -> Problem {
    Problem::not_found("there is no such conversation")
}

/// A number as carriers write it: at most 20 of digits and the signs that people put between them, digits among them.
fn phone(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | ' ' | '(' | ')' | '.');
    let digits = text.chars().filter(char::is_ascii_digit).count();
    ((3..=15).contains(&digits) && text.len() <= 20 && text.chars().all(plain)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_from_other_texts() {
        for (text, good) in [
            ("+15550100", true),
            ("(555) 010-0000", true),
            ("110", true),
            ("", false),
            ("12", false),
            ("+1555010000000000", false),
            ("call me", false),
            ("1' OR '1'='1", false),
            ("+1555\u{661}\u{661}\u{661}", false),
        ] {
            assert_eq!(phone(text).is_some(), good, "{text}");
        }
    }
}
