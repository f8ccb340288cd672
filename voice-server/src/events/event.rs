//! One event: its kind, its data, its id, and the text that every subscriber gets.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use crate::data::Timestamp;

/// Bytes of an event's data at most; a longer transcript is for the REST surface.
pub(super) const MOST_DATA: usize = 32 * 1024;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A call began.
    ConversationStarted,
    /// A call ended.
    ConversationEnded,
    /// Something of a conversation changed.
    ConversationUpdated,
    /// A turn was stored.
    Turn,
    /// Words of a call so far. Told to who watches and not kept: the turn follows.
    Transcript,
    /// Listings were fetched.
    Sync,
    /// A part of the server fails or works again. Told to who watches and not kept.
    Health,
}

impl Kind {
    /// The word in `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConversationStarted => "conversation.started",
            Self::ConversationEnded => "conversation.ended",
            Self::ConversationUpdated => "conversation.updated",
            Self::Turn => "turn",
            Self::Transcript => "transcript",
            Self::Sync => "sync",
            Self::Health => "health",
        }
    }

    /// Whether who was away for a moment gets it afterwards.
    pub const fn is_kept(self) -> bool {
        !matches!(self, Self::Transcript | Self::Health)
    }
}

/// An event to be published.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub kind: Kind,
    /// When.
    pub at: Timestamp,
    /// To what: an object in camelCase.
    pub data: Value,
}

impl Event {
    /// Something that happened now.
    pub fn new(kind: Kind, data: Value) -> Self {
        Self { kind, at: Timestamp::now(), data }
    }
}

/// A place in an organization's events: milliseconds and a number, as Redis' streams have it. Sorts by time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct EventId {
    pub(super) millis: u64,
    pub(super) seq: u64,
}

impl EventId {
    /// Exactly as it is written, else `None`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (millis, seq) = text.split_once('-')?;
        let id = Self { millis: millis.parse().ok()?, seq: seq.parse().ok()? };
        (id.to_string() == text).then_some(id)
    }

    /// The first after this one that time allows.
    pub(super) fn next(self, now: Timestamp) -> Self {
        let now = u64::try_from(now.as_millis()).unwrap_or_default();
        if now > self.millis {
            Self { millis: now, seq: 0 }
        } else {
            Self { seq: self.seq.saturating_add(1), ..self }
        }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.seq)
    }
}

/// What goes between servers: whose, and under which name of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Posted {
    pub(super) organization: Uuid,
    /// Told once however often it comes.
    pub(super) uid: Uuid,
    pub(super) what: What,
}

/// What is posted. The text of an event is what follows the id in its message: `"type":…,"at":…,"data":…}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// An event for who watches now.
    Told(Arc<str>),
    /// An event that is also kept for who was away.
    Kept(Arc<str>),
    /// The place of an event whose text was erased.
    Gap,
    /// The order to erase what is kept of these conversations. No event; nobody is told.
    Erase(Arc<[Uuid]>),
}

/// Conversations in one order to erase at most.
pub(super) const MOST_ERASED: usize = 50;

impl Posted {
    /// `None` where the data is too large.
    pub(super) fn new(organization: Uuid, event: &Event) -> Option<Self> {
        let data = event.data.to_string();
        if data.len() > MOST_DATA {
            return None;
        }
        let body = format!(r#""type":"{}","at":"{}","data":{data}}}"#, event.kind.as_str(), event.at).into();
        let what = if event.kind.is_kept() { What::Kept(body) } else { What::Told(body) };
        Some(Self { organization, uid: Uuid::new_v4(), what })
    }

    /// The order to erase at most [`MOST_ERASED`] conversations.
    pub(super) fn erase(organization: Uuid, conversations: &[Uuid]) -> Self {
        Self { organization, uid: Uuid::new_v4(), what: What::Erase(conversations.into()) }
    }

    /// Whether other servers must get it, if later.
    pub(super) const fn is_owed(&self) -> bool {
        matches!(self.what, What::Kept(_) | What::Erase(_))
    }

    /// Whether it is an event of one of these conversations.
    pub(super) fn is_of(&self, conversations: &[Uuid]) -> bool {
        matches!(&self.what, What::Kept(body) if conversation_of(body).is_some_and(|of| conversations.contains(&of)))
    }
}

/// The message that a subscriber gets.
pub(super) fn message(id: Option<EventId>, body: &str) -> Arc<str> {
    match id {
        Some(id) => format!(r#"{{"id":"{id}",{body}"#).into(),
        None => format!(r#"{{"id":null,{body}"#).into(),
    }
}

/// The conversation that an event is of. Within a text its quotes would be escaped, so what a caller says names none.
pub(super) fn conversation_of(text: &str) -> Option<Uuid> {
    const NAME: &str = r#""conversationId":""#;
    let from = text.find(NAME)? + NAME.len();
    text.get(from..from + 36)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_sort_and_are_read_only_as_they_are_written() {
        let id = |text| EventId::parse(text).expect("an id");
        assert!(id("9-0") < id("10-0") && id("10-0") < id("10-1") && id("10-9") < id("10-10"));
        for odd in
            ["", "-", "1", "1-", "-1", "01-0", "1-+1", "1-0-0", " 1-0", "1-0 ", "99999999999999999999-0"]
        {
            assert_eq!(EventId::parse(odd), None, "{odd}");
        }
        let now = Timestamp::from_millis(5);
        assert_eq!(id("4-7").next(now), id("5-0"));
        assert_eq!(id("5-7").next(now), id("5-8"));
        assert_eq!(id("9-7").next(now), id("9-8"), "a clock that was set back");
    }

    #[test]
    fn a_message_has_id_type_time_and_data() {
        let at = Timestamp::from_millis(0);
        let event = Event { kind: Kind::Turn, at, data: json!({"said": "quote \" and {"}) };
        let posted = Posted::new(Uuid::nil(), &event).expect("small");
        let What::Kept(body) = posted.what else { panic!("{posted:?}") };
        let text: Value = serde_json::from_str(&message(EventId::parse("3-1"), &body)).expect("JSON");
        let expected = json!({
            "id": "3-1", "type": "turn", "at": "1970-01-01T00:00:00.000Z", "data": {"said": "quote \" and {"}
        });
        assert_eq!(text, expected);
        let text: Value = serde_json::from_str(&message(None, &body)).expect("JSON");
        assert_eq!(text["id"], Value::Null);
        let huge = Event::new(Kind::Turn, json!("x".repeat(MOST_DATA)));
        assert_eq!(Posted::new(Uuid::nil(), &huge), None);
    }

    #[test]
    fn an_event_is_of_the_conversation_that_its_data_name_and_of_none_that_a_caller_names() {
        let (own, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let said = format!(r#""conversationId":"{other}""#);
        for (data, expected) in [
            (json!({"conversationId": own, "said": said}), Some(own)),
            (json!({"attended": true, "conversationId": own}), Some(own)),
            (json!({"asked": said}), None),
            (json!({"conversationId": "short"}), None),
            (json!(7), None),
        ] {
            let posted = Posted::new(Uuid::nil(), &Event::new(Kind::Turn, data.clone())).expect("small");
            assert_eq!(posted.is_of(&[own]), expected.is_some(), "{data}");
            assert!(!posted.is_of(&[other]), "{data}");
        }
    }
}
