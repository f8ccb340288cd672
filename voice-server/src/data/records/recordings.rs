//! Recordings, what callers agreed to, and answers kept for requests that come twice.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::Timestamp;

/// The sound of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub organization_id: Uuid,
    /// Of which conversation.
    pub conversation_id: Uuid,
    /// Where it lies in the object storage.
    pub object: String,
    /// How far it is.
    pub state: RecordingState,
    /// When its first sample was.
    pub started_at: Timestamp,
    /// Milliseconds of sound.
    pub audio_ms: i64,
    /// Size before encryption.
    pub bytes: i64,
    /// One, or two with the caller left.
    pub channels: i64,
    /// Whether it lies encrypted.
    pub encrypted: bool,
    /// When it is to be deleted.
    pub expires_at: Option<Timestamp>,
}

/// How far a recording is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingState {
    /// The call is going on, or was cut off by a crash.
    Open,
    /// It can be played.
    Stored,
    /// It could not be kept.
    Failed,
}

impl RecordingState {
    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Stored => "stored",
            Self::Failed => "failed",
        }
    }

    /// Reads [`RecordingState::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Open, Self::Stored, Self::Failed].into_iter().find(|state| state.as_str() == word)
    }
}

/// What a caller was told or agreed to, and where in the sound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Consent {
    /// Its id.
    pub id: Uuid,
    /// Of which conversation.
    pub conversation_id: Uuid,
    /// To what.
    pub kind: ConsentKind,
    /// Whether it was given.
    pub given: bool,
    /// When.
    pub at: Timestamp,
    /// Milliseconds into the call's audio.
    pub audio_ms: i64,
    /// The words that were said to the caller.
    pub wording: String,
}

/// What a consent is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConsentKind {
    /// That a machine answers.
    Disclosure,
    /// That the call is recorded.
    Recording,
}

impl ConsentKind {
    /// The word in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disclosure => "disclosure",
            Self::Recording => "recording",
        }
    }

    /// Reads [`ConsentKind::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Disclosure, Self::Recording].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// What is known of a request that may have come before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It is the first; its answer is to be stored.
    First,
    /// The same came before and was answered like this.
    Answered {
        /// The status.
        status: u16,
        /// The body.
        body: String,
    },
    /// The same is being worked on.
    UnderWay,
    /// Another request came with this key.
    Other,
}
