//! The shell around the pure parts: an [`Engine`] with its providers, and one actor for each call.
//!
//! A call is one task (`driver`): it waits for one thing, hands it to the turn machine, drains the orders and carries
//! them out. Samples move through one ring inside that task; models compute on the inference threads; providers are
//! streams that the task polls. Nothing here decides anything about turns: such a rule belongs in [`crate::turn`].

mod answer;
mod clock;
mod driver;
mod encode;
mod engine;
mod exits;
mod farewell;
mod intake;
mod judge;
mod listen;
mod lookahead;
mod mailbox;
mod stream;
mod tap;
mod timeline;
mod written;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

pub use encode::OutputFormat;
pub use engine::{Engine, EngineBuilder, EngineError};
pub use stream::ConverseError;
pub use tap::Tap;
pub use written::{NoAnswer, Question};

use crate::context::ContextSource;
use crate::ids::{ReplyId, SessionId};
use crate::ingress::Declared;
use crate::metrics::Meter;
use crate::turn::Event;

/// What a call is opened with.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The call's id.
    pub id: SessionId,
    /// The caller's audio format where it is declared; `None` recognises a container from its bytes.
    pub input: Option<Declared>,
    /// In which form the answer's audio leaves.
    pub output: OutputFormat,
    /// Whether the client throws away what it has buffered when told [`Event::Clear`], and reads answers whose voice
    /// failed. A client that does not (`false`) gets audio only: when the voice fails it hears a packaged sentence, and
    /// the call ends with [`SessionEnd::VoiceLost`].
    pub clears: bool,
    /// How far raw frames may leave before they are due. Raising it hides a slower network, lowering it makes
    /// interruptions of clients that cannot clear sharper.
    pub lead: Duration,
    /// Spoken before the caller says anything. `None`: the caller starts.
    pub greeting: Option<String>,
    /// How the playout of answers is waited for.
    pub playout: PlayoutClock,
    /// Listens in, for a recording. `None`: nobody does.
    pub tap: Option<Arc<dyn Tap>>,
    /// Where what the call uses of its providers is counted.
    pub meter: Meter,
    /// Where facts for this call's answers come from. `None`: where the engine's come from, if it has any.
    pub context: Option<Arc<dyn ContextSource>>,
}

impl SessionOptions {
    /// A live call in the basic form: any container in, WAV messages out, no greeting.
    pub fn new(id: SessionId) -> Self {
        Self {
            id,
            input: None,
            output: OutputFormat::Wav,
            clears: false,
            lead: Duration::from_millis(100),
            greeting: None,
            playout: PlayoutClock::Wall,
            tap: None,
            meter: Meter::default(),
            context: None,
        }
    }
}

/// How the playout of answers is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlayoutClock {
    /// As long as it lasts: somebody listens.
    Wall,
    /// Session time jumps over it and over every other pure wait: nobody listens, as in replay.
    Skip,
}

/// One call. Dropping it ends the call at once, without storing what is under way; [`SessionSender::close`] ends it well.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    sender: SessionSender,
    events: mpsc::Receiver<Event>,
    audio: mpsc::Receiver<AudioMessage>,
    end: Option<tokio::sync::oneshot::Receiver<SessionEnd>>,
    task: JoinHandle<()>,
}

/// What a call gives out.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Audio for the caller, to be sent at once.
    Audio(AudioMessage),
    /// Something happened.
    Event(Event),
    /// The call is over; the last output.
    Ended(SessionEnd),
}

/// Audio for the caller: one frame, or one complete file, as [`OutputFormat`] says.
#[derive(Clone, Debug)]
pub struct AudioMessage {
    /// Of which reply.
    pub reply: ReplyId,
    /// The bytes to send.
    pub payload: Bytes,
    /// Where in the reply's audio they begin.
    pub from: Duration,
    /// Where in the reply's audio they end, silence that fills the last of them up not counted.
    pub upto: Duration,
}

/// Why a call is over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEnd {
    /// The caller ended it, or all that was to be answered has been.
    Done,
    /// Nobody spoke for the idle limit.
    Idle,
    /// No voice could answer a caller who gets audio only; he was told so by a packaged sentence.
    VoiceLost,
    /// The caller's audio is not something we understand; the text says what it is and what is accepted.
    Unsupported(String),
    /// The caller sent more than the limits allow.
    TooBig(String),
    /// A fault of ours.
    Fault,
}

/// What a caller can do besides talking.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Control {
    /// The client has played this much of a reply.
    Position {
        /// Of which reply.
        reply: ReplyId,
        /// How much of it.
        played: Duration,
    },
    /// Stop the answer.
    Interrupt,
    /// Take the caller's audio as silence, or no longer.
    Mute(bool),
    /// Typed instead of spoken.
    Text(String),
    /// The client's connection dropped: playback pauses until [`Control::Back`], and bytes that stay away mean nothing.
    Away {
        /// Nothing had come from it for so long.
        silent: Duration,
    },
    /// The client is there again.
    Back {
        /// Up to where it has got the audio, and of which reply; what comes behind that is sent to it again.
        received: Option<(ReplyId, Duration)>,
        /// How long what is sent again lasts.
        again: Duration,
    },
    /// A person of ours says this to the caller, in the call's voice.
    Say(String),
    /// A person of ours answers this call, so the model does not; or no longer.
    Attend(bool),
}

/// The call has ended: nothing can be handed in any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call has ended")]
pub struct Ended;

#[derive(Debug)]
pub(crate) enum Incoming {
    /// With its share of the room for bytes that wait.
    Bytes(Bytes, OwnedSemaphorePermit),
    /// What follows is a new stream, said later.
    Break,
    Finish,
}

impl Session {
    /// The call's id.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// A handle that hands things in while this one gives things out. Cheap to clone.
    pub fn sender(&self) -> SessionSender {
        self.sender.clone()
    }

    /// The next thing the call gives out. Events come before audio that waits beside them. `None` after
    /// [`Output::Ended`]. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Output> {
        tokio::select! {
            biased;
            Some(event) = self.events.recv() => Some(Output::Event(event)),
            Some(audio) = self.audio.recv() => Some(Output::Audio(audio)),
            else => Some(Output::Ended(self.end.take()?.await.unwrap_or(SessionEnd::Fault))),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Hands things in to a call.
#[derive(Clone, Debug)]
pub struct SessionSender {
    input: mpsc::Sender<Incoming>,
    /// A permit for each byte that may wait.
    room: Arc<Semaphore>,
    controls: mpsc::Sender<Control>,
    hangup: Arc<Notify>,
}

impl SessionSender {
    /// The caller's bytes, one message as it came. Waits while the call has enough to do: 64 messages or 4 MiB of
    /// them, or a single larger one, wait at most. Dropping the future before it is ready hands nothing in.
    ///
    /// # Errors
    /// The call has ended.
    pub async fn push(&self, bytes: Bytes) -> Result<(), Ended> {
        // A message larger than all of the room waits until it is the only one.
        let permits = u32::try_from(bytes.len().min(MOST_WAITING)).unwrap_or(u32::MAX);
        let room = tokio::select! {
            room = self.room.clone().acquire_many_owned(permits) => room.map_err(|_| Ended)?,
            () = self.input.closed() => return Err(Ended),
        };
        self.input.send(Incoming::Bytes(bytes, room)).await.map_err(|_| Ended)
    }

    /// Something the caller did besides talking. It does not queue behind his audio. Dropping the future before it is
    /// ready hands nothing in.
    ///
    /// # Errors
    /// The call has ended.
    pub async fn control(&self, control: Control) -> Result<(), Ended> {
        self.controls.send(control).await.map_err(|_| Ended)
    }

    /// The caller's bytes break off: those before belong to a connection that dropped, and what is pushed after this is a new
    /// stream (a container begins anew). Queues behind what was pushed. Dropping the future before it is ready does nothing.
    ///
    /// # Errors
    /// The call has ended.
    pub async fn break_off(&self) -> Result<(), Ended> {
        self.input.send(Incoming::Break).await.map_err(|_| Ended)
    }

    /// No more audio will come: what is there is answered, then the call ends. Dropping the future before it is ready
    /// leaves the input open.
    ///
    /// # Errors
    /// The call has ended.
    pub async fn finish(&self) -> Result<(), Ended> {
        self.input.send(Incoming::Finish).await.map_err(|_| Ended)
    }

    /// The caller hung up: what was said is transcribed, nothing more is answered, and the call ends within 2 s. Never
    /// waits; a call that has ended takes no notice.
    pub fn close(&self) {
        self.hangup.notify_one();
    }
}

/// Bytes of messages that wait for the call: half a minute of WAV, many minutes of Opus.
const MOST_WAITING: usize = 4 << 20;
