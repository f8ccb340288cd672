//! Our side of a conversation: at most one answer at a time.
//!
//! Holds state and small questions about it; the rules are in [`super::dialogue`].

use crate::ids::ReplyId;
use crate::text::chunker::Chunker;
use crate::time::SessionTime;

use super::ear::Forming;

/// What our side does.
#[derive(Debug, Default)]
pub(super) enum Mouth {
    /// Nothing.
    #[default]
    Silent,
    /// Preparing or giving an answer.
    Answering(Box<Answer>),
    /// Cut short; waiting to learn what was heard.
    Cutting(Box<Answer>),
}

/// One answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) reply: ReplyId,
    /// The turn that is answered; its ledger is open.
    pub(super) turn: Forming,
    pub(super) said: String,
    pub(super) text: String,
    /// Something that is more than a filler has been written.
    pub(super) own_words: bool,
    /// A filler came before that.
    pub(super) bridged: bool,
    pub(super) chunker: Chunker,
    pub(super) context_ready: bool,
    pub(super) text_done: bool,
    pub(super) speaking: bool,
    pub(super) speech_done: bool,
    pub(super) first_audio: bool,
    pub(super) left_at: Option<SessionTime>,
    /// The client has said when it began to play.
    pub(super) client_booked: bool,
    /// The voice or the playout broke off, not the caller.
    pub(super) voice_lost: bool,
    /// These are a person's words, not the model's.
    pub(super) by_person: bool,
    /// What was heard before the voice broke off; the text goes on alone.
    pub(super) heard: Option<String>,
}

impl Answer {
    pub(super) fn new(reply: ReplyId, turn: Forming, said: String) -> Self {
        Self {
            reply,
            turn,
            said,
            text: String::new(),
            own_words: false,
            bridged: false,
            chunker: Chunker::default(),
            context_ready: false,
            text_done: false,
            speaking: false,
            speech_done: false,
            first_audio: false,
            left_at: None,
            client_booked: false,
            voice_lost: false,
            by_person: false,
            heard: None,
        }
    }
}

impl Mouth {
    /// The answer being given under this id.
    pub(super) fn answering(&mut self, reply: ReplyId) -> Option<&mut Answer> {
        match self {
            Self::Answering(answer) if answer.reply == reply => Some(answer),
            _ => None,
        }
    }

    /// Whether there is sound of an answer, heard or not.
    pub(super) fn has_sound(&self) -> bool {
        matches!(self, Self::Answering(answer) if answer.first_audio)
    }

    /// Whether the caller may be hearing something or, where the voice was lost, reading it.
    pub(super) fn is_audible(&self) -> bool {
        match self {
            Self::Silent => false,
            Self::Answering(answer) => answer.left_at.is_some() || answer.voice_lost,
            Self::Cutting(_) => true,
        }
    }
}
