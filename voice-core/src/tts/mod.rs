//! Text-to-speech: the trait that every voice, local or in the cloud, stands behind.
//!
//! One [`Voice`] serves one call; [`Voice::speak`] makes one reply's audio from its clauses as they come. Dropping
//! the returned stream cancels. Caller: `session`.

mod absent;
pub mod elevenlabs;
#[cfg(feature = "runtime")]
pub mod phrases;
#[cfg(feature = "runtime")]
mod resilient;

use std::time::Duration;

use futures::stream::BoxStream;

pub use absent::AbsentVoice;
#[cfg(feature = "runtime")]
pub use resilient::{ResilientVoice, VoiceCandidate, VoiceProbe};

use crate::audio::SampleRate;
use crate::error::ProviderError;
use crate::ids::ReplyId;
use crate::metrics::Meter;

/// A speech synthesiser, shared by all calls.
pub trait TextToSpeech: Send + Sync {
    /// Name for logs, health and the start-up page, such as `piper`.
    fn name(&self) -> &'static str;

    /// Everything but the text that decides how a call with these options sounds: model, voice, settings, rate. Speech
    /// under the same words of this may be said again from memory. `None`, the default: nothing of it is to be kept.
    fn sound(&self, _options: &VoiceOptions) -> Option<String> {
        None
    }

    /// Opens one call's voice. Returns at once; connecting happens behind it.
    fn open(&self, options: VoiceOptions) -> Box<dyn Voice>;
}

/// What a call asks of its voice.
#[derive(Clone, Debug, Default)]
pub struct VoiceOptions {
    /// Name or id of the voice. Empty: the synthesiser's own choice.
    pub voice: String,
    /// BCP 47 language. Empty: the voice's own.
    pub language: String,
    /// Where what is spoken is counted. It does not change how a call sounds.
    pub meter: Meter,
}

/// One call's voice.
pub trait Voice: Send {
    /// Speaks one reply. `clauses` gives its pieces of speakable text in order and ends with the reply; audio must
    /// start with the first clause, not wait for the last. A reply without clauses is none, and well. After an error
    /// nothing follows; the voice stays usable for the next reply.
    fn speak(
        &mut self,
        reply: ReplyId,
        clauses: BoxStream<'static, String>,
    ) -> BoxStream<'static, Result<SpeechEvent, ProviderError>>;
}

/// A piece of speech.
#[derive(Clone, Debug)]
pub enum SpeechEvent {
    /// Mono samples that follow those before. `rate` is the same for the whole reply.
    Audio {
        /// Rate of the samples.
        rate: SampleRate,
        /// Signed 16-bit mono samples.
        samples: Vec<i16>,
    },
    /// All audio of the next clause in order has been given: a good place to cut, and how audio maps to text. Once for
    /// each clause of a reply that is spoken well; one without a word has no audio and ends as soon as those before it
    /// have. Some of the pause behind the words may still follow.
    ClauseEnd,
    /// Where words lie in the reply's audio, in order and following those before. Comes no later than that audio; a
    /// voice that does not know gives none, and one that knows only some words gives those.
    Alignment(Vec<WordMark>),
}

/// Where one word lies in the audio of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordMark {
    /// Which clause of the reply, counted from 0 in the order in which they were given to the voice.
    pub clause: usize,
    /// Bytes of that clause, as the voice was given it, up to and with the word.
    pub upto: usize,
    /// First moment of the word, from the first sample of the reply.
    pub start: Duration,
    /// Last moment of the word, likewise.
    pub end: Duration,
}
