//! Conversations, their turns, the transcript that is read from the turns, and what is counted over them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::Timestamp;

/// Whether a call is still going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The caller may still be talking.
    Active,
    /// The call is over.
    Ended,
}

impl Status {
    /// The word in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Ended => "ended",
        }
    }

    /// Reads [`Status::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Active, Self::Ended].into_iter().find(|status| status.as_str() == word)
    }
}

/// A conversation without its turns.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Conversation {
    /// The id in `/voice/{session_id}`.
    pub id: Uuid,
    /// Whose it is.
    pub organization_id: Uuid,
    /// Whether it is still going on.
    pub status: Status,
    /// The caller's number, as whoever made the conversation told it.
    pub client_phone: Option<String>,
    /// Whether the number counts: it was told by somebody who is believed about it, such as the organization's server.
    pub phone_trusted: bool,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Whatever the organization keeps with it: a JSON object.
    #[schema(value_type = Object)]
    pub metadata: serde_json::Value,
    /// The user whose call it is.
    pub user_id: Option<Uuid>,
    /// What somebody wrote down about it.
    pub notes: String,
    /// Whether the caller may become a customer.
    pub lead: bool,
    /// Viewings that were booked in it.
    pub viewings_booked: i64,
    /// What its providers cost, with what was written. `null` until a call is over or an answer was written.
    #[schema(value_type = Option<Object>)]
    pub cost: Option<serde_json::Value>,
    /// Grows with each change.
    pub revision: i64,
}

/// One exchange of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// Its number in the conversation. The first is 1.
    pub turn: u32,
    /// The caller's words. Empty for a greeting.
    pub said: String,
    /// What was answered.
    pub reply: String,
    /// The part of the reply that the caller heard.
    pub heard: String,
    /// Milliseconds from the conversation's start to the turn's start.
    pub started_ms: u64,
    /// Milliseconds from the conversation's start to the first sound of the reply.
    pub reply_started_ms: u64,
    /// Whether the caller cut the reply short.
    pub interrupted: bool,
    /// Whether a person of the organization gave the reply, in the place of the model.
    pub by_person: bool,
    /// Milliseconds by stage, as a JSON object; they sum to `total_ms`.
    #[schema(value_type = Object)]
    pub ledger: serde_json::Value,
    /// Milliseconds from the caller's last voiced sample to the first sound.
    pub total_ms: f64,
}

/// One conversation as it is read: with transcript and turns.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConversationDetail {
    /// The conversation itself.
    #[serde(flatten)]
    pub conversation: Conversation,
    /// Who said what, in order.
    pub transcript: Vec<Utterance>,
    /// The turns, in order.
    pub turns: Vec<Turn>,
}

/// One entry of a transcript.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Utterance {
    /// Whose words.
    pub role: Speaker,
    /// The words: of the assistant the whole reply.
    pub text: String,
    /// The part of the words that the other side heard; the caller's words are always whole.
    pub heard: String,
    /// When they began.
    pub started_at: Timestamp,
    /// Whether they are a reply that a person of the organization gave, in the place of the model.
    pub by_person: bool,
}

/// Whose words an entry of a transcript holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Speaker {
    /// The caller.
    User,
    /// Our voice.
    Assistant,
}

impl ConversationDetail {
    /// Makes the transcript from the turns, which must be in order. Empty words give no entry.
    pub fn new(conversation: Conversation, turns: Vec<Turn>) -> Self {
        let start = conversation.created_at;
        let mut transcript = Vec::with_capacity(turns.len() * 2);
        for turn in &turns {
            if !turn.said.is_empty() {
                transcript.push(Utterance {
                    role: Speaker::User,
                    text: turn.said.clone(),
                    heard: turn.said.clone(),
                    started_at: start.plus_millis(turn.started_ms),
                    by_person: false,
                });
            }
            if !turn.reply.is_empty() {
                transcript.push(Utterance {
                    role: Speaker::Assistant,
                    text: turn.reply.clone(),
                    heard: turn.heard.clone(),
                    started_at: start.plus_millis(turn.reply_started_ms),
                    by_person: turn.by_person,
                });
            }
        }
        Self { conversation, transcript, turns }
    }
}

/// What is needed to open a conversation.
#[derive(Clone, Debug)]
pub struct NewConversation {
    /// Its id, which no conversation may have yet.
    pub id: Uuid,
    /// Whose it is.
    pub organization_id: Uuid,
    /// The caller's number, if somebody told it.
    pub client_phone: Option<String>,
    /// Whether that was somebody who is believed about it.
    pub phone_trusted: bool,
    /// A JSON object.
    pub metadata: serde_json::Value,
    /// When it begins.
    pub created_at: Timestamp,
    /// The user whose call it is.
    pub user_id: Option<Uuid>,
    /// The key by which it was opened.
    pub key_id: Option<Uuid>,
}

impl NewConversation {
    /// One that nobody is known to have opened.
    pub fn anonymous(id: Uuid, organization_id: Uuid, created_at: Timestamp) -> Self {
        Self {
            id,
            organization_id,
            client_phone: None,
            phone_trusted: false,
            metadata: serde_json::json!({}),
            created_at,
            user_id: None,
            key_id: None,
        }
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub struct CallEnd {
    /// When.
    pub at: Timestamp,
    /// What its providers cost, as a JSON object; `None` where nothing is known.
    pub cost: Option<serde_json::Value>,
    /// The same as one number, in millionths of a dollar.
    pub cost_micros: i64,
}

impl CallEnd {
    /// An end without costs.
    pub fn at(at: Timestamp) -> Self {
        Self { at, cost: None, cost_micros: 0 }
    }
}

/// What is to be changed of a conversation; unset stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConversationChange {
    /// What somebody wrote down about it.
    pub notes: Option<String>,
    /// Whether the caller may become a customer.
    pub lead: Option<bool>,
}

/// Which conversations a list shows; unset does not narrow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConversationFilter {
    /// Going on or over.
    pub status: Option<Status>,
    /// Of this user.
    pub user_id: Option<Uuid>,
    /// Of this number.
    pub client_phone: Option<String>,
    /// Only where the number counts.
    pub is_phone_trusted: bool,
    /// Created at or after.
    pub from: Option<Timestamp>,
    /// Created before.
    pub to: Option<Timestamp>,
    /// Marked as a lead, or not.
    pub lead: Option<bool>,
    /// All of these words were said in it, by either side; the last one may be the begin of a word, from three letters on.
    pub words: Vec<String>,
}

impl ConversationFilter {
    /// Whether anything but words narrows the list.
    pub(in super::super) fn has_more_than_words(&self) -> bool {
        Self { words: Vec::new(), ..self.clone() } != Self::default()
    }
}

/// Who called, as far as it is sure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A signed-in user.
    User(Uuid),
    /// A number that somebody told who is believed about it. Calls in which others told the same are not its caller's.
    Phone(String),
}

/// What a user's calls came to in a period.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Performance {
    /// Calls that began in the period, those in writing among them; not conversations in which nobody said anything.
    pub calls: i64,
    /// Seconds from begin to end of those that are over.
    pub talk_seconds: f64,
    /// Median of milliseconds from the caller's last sound, or written message, to the answer's first; `null` without answers.
    pub response_ms_p50: Option<f64>,
    /// 95th percentile of the same.
    pub response_ms_p95: Option<f64>,
    /// Answers that the caller cut short.
    pub interruptions: i64,
    /// Calls marked as leads.
    pub leads: i64,
    /// Viewings that were booked.
    pub viewings_booked: i64,
    /// The same by day of the period's time zone, without days that had no call.
    pub days: Vec<DayFigures>,
}

/// One day of a [`Performance`].
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DayFigures {
    /// The day, `YYYY-MM-DD`.
    pub date: String,
    /// Calls that began on it.
    pub calls: i64,
    /// Median response in milliseconds.
    pub response_ms_p50: Option<f64>,
    /// 95th percentile.
    pub response_ms_p95: Option<f64>,
}

/// Where the next page of a list goes on: after the entry that was created then and has this id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// When the last entry of the page before was created.
    pub created_at: Timestamp,
    /// Its id.
    pub id: Uuid,
}

impl Cursor {
    /// Before every entry of a list.
    pub(in super::super) const NEWEST: Self =
        Self { created_at: Timestamp::from_millis(i64::MAX), id: Uuid::max() };

    /// The cursor as text for an address.
    pub fn encode(self) -> String {
        format!("{:x}.{}", self.created_at.as_millis(), self.id.simple())
    }

    /// Reads what [`Cursor::encode`] wrote. `None`: it is something else.
    pub fn parse(text: &str) -> Option<Self> {
        let (millis, id) = text.split_once('.')?;
        Some(Self {
            created_at: Timestamp::from_millis(i64::from_str_radix(millis, 16).ok()?),
            id: Uuid::try_parse(id).ok()?,
        })
    }
}

/// A part of a list, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Where the next page goes on; `None` at the end of the list.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// The page of `limit` entries, from one entry more where there is a further page.
    pub(in super::super) fn of(mut items: Vec<T>, limit: u32, cursor: impl Fn(&T) -> Cursor) -> Self {
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(cursor);
        Self { items, next }
    }
}

/// A part of the list of conversations.
pub type Conversations = Page<Conversation>;
