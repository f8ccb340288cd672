//! What is stored: organizations, conversations, turns, and the transcript that is read from the turns.

use serde::Serialize;
use uuid::Uuid;

use super::Timestamp;

/// Somebody whose calls, people and listings belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
}

/// The organization that an unconfigured server makes at its first start.
pub const DEMO_ORGANIZATION: Uuid = Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0001);

/// Whether a call is still going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The caller may still be talking.
    Active,
    /// The call is over.
    Ended,
}

/// A conversation without its turns.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conversation {
    /// The id in `/voice/{session_id}`.
    pub id: Uuid,
    /// Whose it is.
    pub organization_id: Uuid,
    /// Whether it is still going on.
    pub status: Status,
    /// The caller's number, where a carrier or an organization's server told it.
    pub client_phone: Option<String>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Whatever the organization keeps with it: a JSON object.
    pub metadata: serde_json::Value,
}

/// One exchange of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    /// Milliseconds by stage, as a JSON object; they sum to `total_ms`.
    pub ledger: serde_json::Value,
    /// Milliseconds from the caller's last voiced sample to the first sound.
    pub total_ms: f64,
}

/// One conversation as it is read: with transcript and turns.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
}

/// Whose words an entry of a transcript holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
                });
            }
            if !turn.reply.is_empty() {
                transcript.push(Utterance {
                    role: Speaker::Assistant,
                    text: turn.reply.clone(),
                    heard: turn.heard.clone(),
                    started_at: start.plus_millis(turn.reply_started_ms),
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
    /// The caller's number, if it is known.
    pub client_phone: Option<String>,
    /// A JSON object.
    pub metadata: serde_json::Value,
    /// When it begins.
    pub created_at: Timestamp,
}

/// Where the next page of a list goes on: after the conversation that was created then and has this id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// When the last conversation of the page before was created.
    pub created_at: Timestamp,
    /// Its id.
    pub id: Uuid,
}

impl Cursor {
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
pub struct Page {
    /// The conversations.
    pub items: Vec<Conversation>,
    /// Where the next page goes on; `None` at the end of the list.
    pub next: Option<Cursor>,
}
