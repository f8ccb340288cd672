//! The seam between the server and the engine: what the socket asks of a call, and nothing else of the core.
//!
//! `voice::engine` implements it with `voice_core::session`, tests with a script. Input and output are two values,
//! because a call pushes audio and awaits output at the same time.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use uuid::Uuid;
use voice_core::metrics::Meter;
use voice_core::session::Tap;

use super::actor::{self, Socket};
use crate::metrics::Vitals;
use crate::recording::Plan;

/// What a call asks for when it opens.
#[derive(Clone, Debug, PartialEq)]
pub struct CallOptions {
    /// The conversation's id.
    pub id: Uuid,
    /// Whose calls it belongs to.
    pub organization: Uuid,
    /// Who calls, as far as it is sure when the call begins. Nothing that is said in it changes this.
    pub caller: Option<crate::data::Caller>,
    /// Where what the call uses of its providers is counted.
    pub meter: Meter,
    /// What the caller's audio is declared to be. Unset: recognised from its bytes.
    pub input: Option<DeclaredInput>,
    /// What the caller wants to hear.
    pub output: OutputFormat,
    /// Which profile the socket speaks.
    pub profile: Profile,
    /// Whether to greet the caller.
    pub greeting: bool,
    /// What must be said to him in the greeting, and who listens in.
    pub recording: Recorded,
}

/// The recording of a call, as far as the engine has to do with it.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// Makes the greeting of the plain one. `None`: that is said as it is.
    pub plan: Option<Plan>,
    /// Listens in. `None`: nobody does.
    pub tap: Option<Arc<dyn Tap>>,
}

impl PartialEq for Recorded {
    /// Two are equal where neither is anything: what listens in is like nothing else.
    fn eq(&self, other: &Self) -> bool {
        let is_empty = |it: &Self| it.plan.is_none() && it.tap.is_none();
        is_empty(self) && is_empty(other)
    }
}

/// Audio whose form the caller declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeclaredInput {
    /// Signed 16-bit little-endian samples.
    Pcm16 {
        /// Samples a second of one channel.
        rate: u32,
        /// One or two.
        channels: u8,
    },
    /// G.711 mu-law.
    Ulaw {
        /// Samples a second of one channel.
        rate: u32,
        /// One or two.
        channels: u8,
    },
    /// G.711 A-law.
    Alaw {
        /// Samples a second of one channel.
        rate: u32,
        /// One or two.
        channels: u8,
    },
    /// One Opus packet a message.
    Opus,
}

/// Audio to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// Each message a whole WAV file.
    Wav,
    /// Each message a whole Ogg/Opus file.
    Ogg,
    /// 20 ms frames of signed 16-bit little-endian samples, paced.
    Pcm16 {
        /// Samples a second.
        rate: u32,
    },
    /// 20 ms frames of G.711 mu-law, paced.
    Ulaw {
        /// Samples a second.
        rate: u32,
    },
}

/// What the socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Binary both ways and no text.
    Basic,
    /// `voice.v1`.
    Full,
}

/// An order from the caller's program.
#[derive(Clone, Debug, PartialEq)]
pub enum Control {
    /// How far a reply has been played.
    Position {
        /// Which reply.
        reply: u32,
        /// Milliseconds of it that were heard.
        played_ms: u64,
    },
    /// Stop talking.
    Interrupt,
    /// The microphone was switched off or on.
    Mute(bool),
    /// Typed instead of spoken.
    Text(String),
    /// The client's connection dropped: playback pauses.
    Away {
        /// Nothing had come from it for so many milliseconds.
        silent_ms: u64,
    },
    /// The client is there again: playback goes on.
    Back {
        /// Up to where it has got the audio, and of which reply.
        received: Option<(u32, Duration)>,
        /// How long the audio is that is sent again.
        again: Duration,
    },
    /// A person's words, to be spoken.
    Say(String),
    /// A person answers in the place of the model, or no longer.
    Attend(bool),
    /// End the call after what is under way.
    End,
}

/// What a call gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A message of audio.
    Audio {
        /// Of which reply.
        reply: u32,
        /// In the format that was asked for.
        payload: Bytes,
        /// Where in the reply's audio it begins.
        from: Duration,
        /// Where in the reply's audio it ends.
        upto: Duration,
    },
    /// Something that happened.
    Event(Event),
}

/// Something that happened in a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The caller's words so far, or all of a turn's.
    Transcript {
        /// Of which turn.
        turn: u32,
        /// The words.
        text: String,
        /// Whether they stay.
        is_final: bool,
    },
    /// Words of the answer, all so far.
    Reply {
        /// Of which turn.
        turn: u32,
        /// The words.
        text: String,
    },
    /// The caller began to speak.
    SpeechStarted,
    /// The caller stopped.
    SpeechEnded,
    /// Audio of this reply that was sent and not yet played is void.
    Clear {
        /// Which reply.
        reply: u32,
    },
    /// A turn is over and is to be stored.
    TurnEnded(TurnRecord),
    /// Something the caller should know.
    Notice {
        /// For programs.
        code: String,
        /// For people.
        text: String,
    },
    /// Something went wrong and the call goes on.
    Error {
        /// For programs.
        code: String,
        /// For people.
        text: String,
    },
    /// The call is over; nothing follows.
    Closed {
        /// Close code of the socket.
        code: u16,
        /// For people.
        reason: String,
    },
}

/// A finished turn.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnRecord {
    /// Its number. The first is 1.
    pub turn: u32,
    /// The caller's words.
    pub said: String,
    /// The answer.
    pub reply: String,
    /// The part of the answer that was heard.
    pub heard: String,
    /// From the call's start to the turn's, in milliseconds.
    pub started_ms: u64,
    /// From the call's start to the last voiced sample, where the ledger begins, in milliseconds.
    pub zero_ms: u64,
    /// Microseconds by stage, in order; they sum to the total.
    pub ledger: Vec<(&'static str, u64)>,
    /// Whether the caller cut the answer short.
    pub interrupted: bool,
    /// Whether the answer is a person's, not the model's.
    pub by_person: bool,
}

/// Why a call was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No room; the caller may try again later.
    #[error("{0}")]
    Busy(String),
    /// It cannot work.
    #[error("{0}")]
    Fault(String),
}

/// The call has ended and takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call has ended")]
pub struct Ended;

/// The way in of one call.
pub trait CallInput: Send + Sync + 'static {
    /// Takes the caller's bytes. Waits while the call has enough; dropping the future then loses these bytes.
    fn push(&self, bytes: Bytes) -> impl Future<Output = Result<(), Ended>> + Send;

    /// The caller's bytes break off; what is pushed after this is a new stream. Waits behind what was pushed.
    fn break_off(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Takes an order. Never waits behind audio.
    fn control(&self, control: Control) -> impl Future<Output = ()> + Send;

    /// The caller has gone: finish the turn under way; the outputs end within 2 s.
    fn close(&self);
}

/// The way out of one call.
pub trait CallOutput: Send + 'static {
    /// The next output, in order; `None` after the last. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Option<Output>> + Send;
}

/// How ready a stage is, for the start-up page, `/health` and `voice doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageStatus {
    /// `stt`, `llm` or `tts`.
    pub stage: &'static str,
    /// The provider that serves it, such as `moonshine`.
    pub provider: String,
    /// Whether it works.
    pub ready: bool,
    /// What is missing and what works without; empty where all is well.
    pub note: String,
}

/// Whoever answers calls: the engine, or a script in tests.
pub trait Answerer: Send + Sync + 'static {
    /// Way in of a call.
    type Input: CallInput;
    /// Way out of a call.
    type Output: CallOutput;

    /// Opens a call. Returns at once.
    ///
    /// # Errors
    /// There is no room, or it cannot work.
    fn open(&self, options: CallOptions) -> Result<(Self::Input, Self::Output), Refused>;

    /// The stages and who serves them.
    fn stages(&self) -> Vec<StageStatus>;

    /// Outside services that serve several stages, and whether each is there and takes the key. Asked at most once in a
    /// while, without spending credit.
    fn services(&self) -> BoxFuture<'_, Vec<(&'static str, bool)>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    /// How it does at the moment, for metrics.
    fn vitals(&self) -> Vitals {
        Vitals::default()
    }

    /// Answers a typed question within `limit`, without a call.
    fn write(&self, _written: Written, _limit: Duration) -> BoxFuture<'_, Result<String, NotWritten>> {
        Box::pin(std::future::ready(Err(NotWritten::Failed)))
    }
}

/// A typed question and what was said before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The conversation.
    pub id: Uuid,
    /// Whose it is.
    pub organization: Uuid,
    /// Who writes, as far as it is sure.
    pub caller: Option<crate::data::Caller>,
    /// Where what the answer uses of its providers is counted.
    pub meter: Meter,
    /// Earlier exchanges, oldest first: what the caller said, and what was heard or read of the answer.
    pub earlier: Vec<(String, String)>,
    /// What is asked now.
    pub text: String,
}

/// Why a typed question was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotWritten {
    /// The engine is not there yet, and why.
    #[error("{0}")]
    Early(&'static str),
    /// The answerer failed or was late.
    #[error("the answerer failed")]
    Failed,
}

/// An answerer of any type. Erased once a call, so that nothing is boxed for each frame.
pub trait AnyAnswerer: Send + Sync {
    /// Carries one call from its open socket to its stored end.
    fn carry(self: Arc<Self>, socket: Socket) -> BoxFuture<'static, ()>;

    /// See [`Answerer::stages`].
    fn stages(&self) -> Vec<StageStatus>;

    /// See [`Answerer::services`].
    fn services(&self) -> BoxFuture<'_, Vec<(&'static str, bool)>>;

    /// See [`Answerer::vitals`].
    fn vitals(&self) -> Vitals;

    /// See [`Answerer::write`].
    fn write(&self, written: Written, limit: Duration) -> BoxFuture<'_, Result<String, NotWritten>>;

    /// Whether calls are answered at once.
    fn is_ready(&self) -> bool {
        true
    }
}

impl<A: Answerer> AnyAnswerer for A {
    fn carry(self: Arc<Self>, socket: Socket) -> BoxFuture<'static, ()> {
        Box::pin(actor::run(self, socket))
    }

    fn stages(&self) -> Vec<StageStatus> {
        Answerer::stages(self)
    }

    fn services(&self) -> BoxFuture<'_, Vec<(&'static str, bool)>> {
        Answerer::services(self)
    }

    fn vitals(&self) -> Vitals {
        Answerer::vitals(self)
    }

    fn write(&self, written: Written, limit: Duration) -> BoxFuture<'_, Result<String, NotWritten>> {
        Answerer::write(self, written, limit)
    }
}
