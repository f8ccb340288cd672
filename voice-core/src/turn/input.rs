//! Facts that the turn machine is told. Each is something that has happened, with the id of what it belongs to.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{ReplyId, UtteranceId};
use crate::time::SessionTime;

/// One fact. Facts about an utterance or a reply that the machine has left change nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// Bytes of the caller came. In a live call this marks the cadence at which absence is told from silence.
    Arrived,
    /// The caller's audio has been judged up to here.
    Listened {
        /// Session time of the last judged sample.
        until: SessionTime,
    },
    /// The caller started to speak.
    SpeechStarted {
        /// First voiced sample.
        at: SessionTime,
    },
    /// The caller fell silent, perhaps only for breath.
    SpeechEnded {
        /// Last voiced sample.
        last_voiced: SessionTime,
    },
    /// The container ended or the recording ran out at its own end mark: nothing follows for now.
    AudioEnded,
    /// The recogniser reads the words up to the present pause; a partial transcript follows, also where it is the same.
    PauseUnread {
        /// Which utterance.
        utterance: UtteranceId,
    },
    /// The recogniser's words so far.
    Partial {
        /// Of which utterance.
        utterance: UtteranceId,
        /// All words so far.
        text: String,
    },
    /// The recogniser's last word on a finalised utterance.
    Final {
        /// Of which utterance.
        utterance: UtteranceId,
        /// The words; empty where nothing was understood.
        text: String,
    },
    /// The recogniser lost the utterance.
    SttFailed {
        /// Of which utterance.
        utterance: UtteranceId,
    },
    /// The turn model's judgement of the pause that began at `last_voiced`.
    Scored {
        /// Of which utterance.
        utterance: UtteranceId,
        /// Which pause was judged.
        last_voiced: SessionTime,
        /// How probable it is that the caller has finished, 0 to 1.
        complete: f32,
    },
    /// What the context source knows is there, or its deadline passed: the model is asked now.
    ContextReady {
        /// For which reply.
        reply: ReplyId,
    },
    /// More text of the answer.
    ReplyText {
        /// Of which reply.
        reply: ReplyId,
        /// To be appended.
        delta: String,
    },
    /// Words that bridge a wait: they belong to the reply, but are not the answer yet.
    ReplyFiller {
        /// Of which reply.
        reply: ReplyId,
        /// Whole sentences, to be appended.
        text: String,
    },
    /// The answer's text is complete.
    ReplyDone {
        /// Of which reply.
        reply: ReplyId,
    },
    /// The model failed; what came before stays.
    ReplyFailed {
        /// Of which reply.
        reply: ReplyId,
    },
    /// The voice's first audio of a reply came.
    FirstAudio {
        /// Of which reply.
        reply: ReplyId,
    },
    /// The first audio of a reply is encoded and could leave.
    AudioReady {
        /// Of which reply.
        reply: ReplyId,
    },
    /// The first audio of a reply left for the caller.
    AudioLeft {
        /// Of which reply.
        reply: ReplyId,
    },
    /// The voice has given all audio of a reply.
    SpeechDone {
        /// Of which reply.
        reply: ReplyId,
    },
    /// The voice failed; what came before stays.
    SpeechFailed {
        /// Of which reply.
        reply: ReplyId,
    },
    /// The client reports that it began to play a reply.
    PlaybackStarted {
        /// Of which reply.
        reply: ReplyId,
        /// When it began.
        at: SessionTime,
    },
    /// All audio of a reply has been played to the caller.
    Played {
        /// Of which reply.
        reply: ReplyId,
    },
    /// The answer to [`super::Command::CancelReply`] and [`super::Command::StopSpeech`]: what the caller heard of it.
    Silenced {
        /// Of which reply.
        reply: ReplyId,
        /// The part of the reply's text that was heard.
        heard: String,
    },
    /// The caller typed instead of speaking.
    Typed {
        /// The text.
        text: String,
    },
    /// The caller pressed stop.
    Interrupt,
    /// Session time was jumped over, as where a recording is played in faster than it was spoken: nobody was idle.
    Skipped {
        /// How much.
        by: Duration,
    },
    /// The client's connection dropped: nobody hears what is said until [`Input::Back`], and absence is no silence.
    Away,
    /// The caller's audio breaks here: what he said before is all there is of it, what follows was said later.
    Broken,
    /// The client is there again after [`Input::Away`].
    Back,
    /// Words of a person of ours, to be spoken to the caller as they are.
    Say {
        /// The words.
        text: String,
    },
    /// A person of ours answers this call, or no longer: the model is not asked meanwhile.
    Attend {
        /// Whether somebody does.
        on: bool,
    },
    /// The caller hung up or asked to end: finish what is under way, start nothing new.
    Hangup,
}
