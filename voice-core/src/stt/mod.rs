//! Speech-to-text: the trait that every recogniser, local or in the cloud, stands behind.
//!
//! One [`SttStream`] serves one call. The session opens an utterance when speech starts, pushes its frames (with
//! some audio from before the start), and finalises it at the decision that the turn is over. Each event carries the
//! utterance's id; the session drops those of utterances it has left. Caller: `session`.

mod absent;
pub(crate) mod backlog;
pub mod deepgram;
pub mod elevenlabs;
pub mod openai;
mod protocol;
#[cfg(feature = "runtime")]
mod resilient;
#[cfg(feature = "cloud")]
mod socket;
#[cfg(feature = "runtime")]
mod told;
pub(crate) mod words;

use std::sync::Arc;

pub use absent::AbsentRecogniser;
pub use protocol::{MOST_MESSAGE, SttProtocol, Transmit, TurnSign};
#[cfg(feature = "runtime")]
pub use resilient::{RecogniserCandidate, RecogniserProbe, ResilientRecogniser};
#[cfg(feature = "cloud")]
pub use socket::{Reconnect, SocketRecogniser};

use crate::audio::Frame;
use crate::error::ProviderError;
use crate::ids::UtteranceId;
use crate::metrics::Meter;

/// A recogniser, shared by all calls.
pub trait SpeechToText: Send + Sync {
    /// Name for logs, health and the start-up page, such as `moonshine`.
    fn name(&self) -> &'static str;

    /// Opens one call's stream. Returns at once; connecting happens behind the stream, which keeps what is pushed
    /// meanwhile up to a limit of its own. Failures come as [`SttEvent::Failed`].
    fn open(&self, options: SttOptions, events: Arc<dyn SttEvents>) -> Box<dyn SttStream>;
}

/// What a call asks of its recogniser.
#[derive(Clone, Debug, Default)]
pub struct SttOptions {
    /// BCP 47 language, such as `en`. Empty: the recogniser's own choice.
    pub language: String,
    /// Words that this call makes likely (street names, agents), most important first.
    pub key_terms: Vec<String>,
    /// Where what is sent is counted.
    pub meter: Meter,
}

/// One call's recogniser. Dropping it abandons whatever is under way.
pub trait SttStream: Send {
    /// Starts an utterance; an unfinished one before it is abandoned and never ends. A finalised one keeps its end.
    fn begin(&mut self, utterance: UtteranceId);

    /// The next 20 ms of the open utterance. Must not block; without an open utterance it does nothing.
    fn push(&mut self, frame: &Frame);

    /// The caller seems to have stopped: a good moment to bring the partial transcript up to date. The utterance
    /// stays open. `true`: a partial transcript of all up to here follows, also where its words are the same as before or
    /// none, unless the caller goes on or the utterance ends first. May be ignored; without an open utterance it is.
    fn hint_pause(&mut self) -> bool {
        false
    }

    /// No more audio for this utterance: [`SttEvent::Final`] or [`SttEvent::Failed`] must follow, once, and ends it. This
    /// holds whatever became of its audio, and where the service has no answer. Without an open utterance it does nothing.
    fn finalise(&mut self);
}

/// Where a stream's events go. Must not block.
pub trait SttEvents: Send + Sync {
    /// Takes one event.
    fn handle_stt_event(&self, event: SttEvent);
}

/// What a recogniser reports.
#[derive(Clone, Debug)]
pub enum SttEvent {
    /// The words so far; each partial replaces the one before, and none comes behind the end. `stable` is the length in
    /// bytes of the prefix of `text`, whole characters, that is not expected to change.
    Partial {
        /// Of which utterance.
        utterance: UtteranceId,
        /// All words so far.
        text: String,
        /// Bytes of `text` that stay.
        stable: usize,
    },
    /// The words of a finalised utterance; empty where nothing was understood.
    Final {
        /// Of which utterance.
        utterance: UtteranceId,
        /// The words.
        text: String,
    },
    /// The utterance is lost; the stream stays usable for the next one. It may come while the utterance is open: then
    /// what is pushed is left out, and it comes again when the utterance is finalised.
    Failed {
        /// Of which utterance.
        utterance: UtteranceId,
        /// Why.
        error: ProviderError,
    },
}
