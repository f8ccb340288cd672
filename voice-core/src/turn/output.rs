//! Orders that the turn machine gives, and what it reports of a call.

use serde::{Deserialize, Serialize};

use crate::ids::{ReplyId, TurnId, UtteranceId};
use crate::metrics::Ledger;
use crate::time::SessionTime;

/// One order to the session.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Open an utterance at the recogniser, with audio from `from` on (it lies a little before the first voiced
    /// sample).
    OpenUtterance {
        /// Its id.
        utterance: UtteranceId,
        /// Where its audio starts.
        from: SessionTime,
    },
    /// The caller paused: let the recogniser catch up and ask the turn model about the pause.
    JudgePause {
        /// Of which utterance.
        utterance: UtteranceId,
        /// Last voiced sample before the pause.
        last_voiced: SessionTime,
    },
    /// No more audio for the open utterance: ask for its final transcript.
    FinaliseUtterance {
        /// Its id.
        utterance: UtteranceId,
    },
    /// The open utterance is of no interest any more.
    AbandonUtterance {
        /// Its id.
        utterance: UtteranceId,
    },
    /// Look up context and ask the model for an answer.
    StartReply {
        /// The reply's id.
        reply: ReplyId,
        /// Of which turn.
        turn: TurnId,
        /// What the caller said.
        said: String,
    },
    /// Speak this clause after those before it. The first one opens the reply's speech.
    Speak {
        /// Of which reply.
        reply: ReplyId,
        /// Written text, to be made speakable.
        clause: String,
    },
    /// The turn is not taken back any more: what the answer under way wants done outside may be done. At most once a
    /// reply, and not where its text is complete.
    CommitReply {
        /// Which reply.
        reply: ReplyId,
    },
    /// No more clauses will come for this reply, also where its text failed: whatever still writes it is given up.
    FinishSpeech {
        /// Which reply.
        reply: ReplyId,
    },
    /// Stop the voice and the playout of this reply and go on with its text; answer with [`super::Input::Silenced`].
    StopSpeech {
        /// Which reply.
        reply: ReplyId,
    },
    /// Stop the model, the voice and the playout of this reply, and answer with [`super::Input::Silenced`].
    CancelReply {
        /// Which reply.
        reply: ReplyId,
    },
    /// Tell the outside.
    Emit(Event),
}

/// What a call reports while it goes on, in the words of the `voice.v1` protocol.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// What the caller said so far, or finally.
    Transcript {
        /// Of which turn.
        turn: TurnId,
        /// All words of the turn so far.
        text: String,
        /// Whether they may still change.
        is_final: bool,
    },
    /// The answer's text so far.
    Reply {
        /// Of which turn.
        turn: TurnId,
        /// All text so far.
        text: String,
    },
    /// The caller started to speak.
    SpeechStarted,
    /// The caller fell silent.
    SpeechEnded,
    /// Throw away what is buffered of this reply.
    Clear {
        /// Which reply.
        reply: ReplyId,
    },
    /// A turn is over.
    TurnEnded(Box<TurnRecord>),
    /// Something the caller should know; the call goes on.
    Notice {
        /// Stable word.
        code: NoticeCode,
        /// One sentence for people.
        text: String,
    },
    /// The call is over; nothing follows.
    Closed(CloseReason),
}

/// Why a notice is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoticeCode {
    /// The recogniser lost an utterance.
    SttFailed,
    /// The model gave no usable answer.
    LlmFailed,
    /// The voice failed: the answer is there as text only.
    TtsFailed,
}

impl NoticeCode {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SttFailed => "stt_failed",
            Self::LlmFailed => "llm_failed",
            Self::TtsFailed => "tts_failed",
        }
    }
}

/// Why a call is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The caller ended it.
    Ended,
    /// Nobody spoke for the idle limit.
    Idle,
    /// Neither the voice nor a substitute could answer.
    VoiceLost,
}

/// What went wrong in a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The recogniser.
    Stt,
    /// The language model.
    Llm,
    /// The voice.
    Tts,
}

/// One finished turn, as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnRecord {
    /// Its number; 0 is the greeting.
    pub turn: TurnId,
    /// The reply's number, where there was one.
    pub reply_id: Option<ReplyId>,
    /// What the caller said.
    pub said: String,
    /// The answer's text as far as it was written.
    pub reply: String,
    /// What the caller heard of it, a prefix of `reply`.
    pub heard: String,
    /// When the caller started to speak.
    pub started_at: SessionTime,
    /// When the answer's first audio left.
    pub answered_at: Option<SessionTime>,
    /// Where the time went.
    pub ledger: Ledger,
    /// Whether the caller cut the answer short.
    pub interrupted: bool,
    /// The first words were a filler: the ledger ends at its audio and is not to be counted with answers' own.
    pub bridged: bool,
    /// What failed first, if anything.
    pub failure: Option<Failure>,
    /// The voice or the playout broke off, whatever else failed before.
    pub voice_lost: bool,
    /// The reply is a person's of ours, not the model's.
    pub by_person: bool,
}
