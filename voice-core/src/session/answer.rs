//! One answer under way: the look-up, the model's text and the voice's audio, each a stream that the call polls.
//!
//! Dropping an [`Answer`] cancels all of it; late results cannot arrive, since nobody polls them.

use futures::StreamExt;
use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::audio::{Resampler, SampleRate};
use crate::error::ProviderError;
use crate::ids::ReplyId;
use crate::llm::{CommitBarrier, LanguageModel, LlmEvent, LlmRequest};
use crate::text::speakable::{Spoken, SpokenReply};
use crate::tts::{SpeechEvent, Voice};

pub(super) type TextStream = BoxStream<'static, Result<LlmEvent, ProviderError>>;
pub(super) type SpeechStream = BoxStream<'static, Result<SpeechEvent, ProviderError>>;

/// What is being done for one reply.
pub(super) struct Answer {
    pub(super) reply: ReplyId,
    context: Option<BoxFuture<'static, Vec<String>>>,
    pub(super) text: Option<TextStream>,
    /// Closed until the machine commits the answer.
    barrier: Option<CommitBarrier>,
    spoken: SpokenReply,
    clauses: Option<mpsc::Sender<String>>,
    pub(super) speech: Option<SpeechStream>,
    resampler: Option<(SampleRate, Resampler)>,
    pub(super) audio_came: bool,
    pub(super) audio_ready: bool,
}

/// What an answer's streams gave.
pub(super) enum Progress {
    /// The look-up is over.
    Context(Vec<String>),
    /// The model's next event; `None` at its end.
    Text(Option<Result<LlmEvent, ProviderError>>),
    /// The voice's next event; `None` at its end.
    Speech(Option<Result<SpeechEvent, ProviderError>>),
}

impl Answer {
    /// Nothing is under way yet. `language`: what the reply is spoken in.
    pub(super) fn new(reply: ReplyId, language: &str) -> Self {
        Self {
            reply,
            context: None,
            text: None,
            barrier: None,
            spoken: SpokenReply::in_language(language),
            clauses: None,
            speech: None,
            resampler: None,
            audio_came: false,
            audio_ready: false,
        }
    }

    /// Waits for facts, which come in time or not at all.
    pub(super) fn look_up(&mut self, facts: BoxFuture<'static, Vec<String>>) {
        self.context = Some(facts);
    }

    /// Asks the model. What it wants done that has an effect waits for [`commit`](Self::commit).
    pub(super) fn ask(&mut self, model: &dyn LanguageModel, mut request: LlmRequest) {
        request.commit = self.barrier.insert(CommitBarrier::new()).commit();
        self.text = Some(model.reply(request));
    }

    /// The turn is not taken back any more, so what its answer asks for may be done.
    pub(super) fn commit(&mut self) {
        if let Some(barrier) = self.barrier.take() {
            barrier.open();
        }
    }

    /// Gives a clause to the voice as it is to be said; the first one opens its stream.
    pub(super) fn speak(&mut self, voice: &mut dyn Voice, written: &str) -> Spoken {
        let spoken = self.spoken.push_clause(written);
        if self.clauses.is_none() {
            let (sender, clauses) = mpsc::channel(MOST_CLAUSES);
            self.clauses = Some(sender);
            self.speech = Some(voice.speak(self.reply, clauses.boxed()));
        }
        if let Some(sender) = &mut self.clauses {
            // A reply's length is limited, so this never refuses; if it did, the clause would be missing, not late.
            let _ = sender.try_send(spoken.text().to_owned());
        }
        spoken
    }

    /// No more clauses will come. A model that still works on it has been given up, and so has what it wants done.
    pub(super) fn finish_speech(&mut self) {
        self.text = None;
        self.barrier = None;
        if let Some(mut clauses) = self.clauses.take() {
            clauses.close_channel();
        }
    }

    /// The voice is given up; the text goes on.
    pub(super) fn stop_speech(&mut self) {
        self.clauses = None;
        self.speech = None;
    }

    /// Waits for the next progress. `speech_wanted`: whether there is room for more audio. Never ready where nothing
    /// is under way. Dropping the future loses nothing.
    pub(super) async fn progress(&mut self, speech_wanted: bool) -> Progress {
        let Self { context, text, speech, .. } = self;
        tokio::select! {
            biased;
            event = next(speech), if speech_wanted && speech.is_some() => Progress::Speech(event),
            event = next(text), if text.is_some() => Progress::Text(event),
            facts = ready(context), if context.is_some() => Progress::Context(facts),
            else => std::future::pending().await,
        }
    }

    /// The look-up is over.
    pub(super) fn end_look_up(&mut self) {
        self.context = None;
    }

    /// Whether something is under way whose result a wait would be for.
    pub(super) fn is_working(&self, speech_wanted: bool) -> bool {
        self.context.is_some() || self.text.is_some() || (speech_wanted && self.speech.is_some())
    }

    /// Brings the voice's samples to the output rate.
    pub(super) fn convert(&mut self, from: SampleRate, to: SampleRate, samples: &[i16], out: &mut Vec<i16>) {
        out.clear();
        if self.resampler.as_ref().is_none_or(|(rate, _)| *rate != from) {
            self.resampler = Some((from, Resampler::new(from, to)));
        }
        if let Some((_, resampler)) = &mut self.resampler {
            resampler.push_into(samples, out);
        }
    }

    /// The rest of what the conversion holds back.
    pub(super) fn convert_rest(&mut self, out: &mut Vec<i16>) {
        out.clear();
        if let Some((_, mut resampler)) = self.resampler.take() {
            resampler.finish_into(out);
        }
    }
}

/// A reply of the longest allowed text has fewer clauses.
const MOST_CLAUSES: usize = 4_096;

async fn next<T>(stream: &mut Option<BoxStream<'static, T>>) -> Option<T> {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

async fn ready<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
