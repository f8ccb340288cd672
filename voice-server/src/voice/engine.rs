//! The engine behind the socket: `voice_core::session` in the shapes of [`super::call`].

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use voice_core::audio::{Channels, FormatError, SampleRate};
use voice_core::ids::{ReplyId, SessionId};
use voice_core::ingress::Declared;
use voice_core::session as core;
use voice_core::session::{PlayoutClock, Session, SessionEnd, SessionOptions, SessionSender};
use voice_core::tts::phrases::PhraseCache;
use voice_core::turn;

use super::call::{
    Answerer, CallInput, CallOptions, CallOutput, Control, DeclaredInput, Ended, Event, NotWritten, Output,
    OutputFormat, Profile, Refused, StageStatus, TurnRecord, Written,
};
use super::headroom::Share;
use crate::engine::Built;
use crate::metrics::{ProviderVitals, Vitals};

/// What callers are greeted with where a greeting is asked for.
pub(crate) const GREETING: &str = "Hello, and welcome. Which home can I tell you about?";
/// What a caller is told whom this machine's models could not answer in time.
const FULL: &str = "this machine can answer no more calls at the moment; call again in a moment";
/// Frames leave this early for clients that can throw them away, and that much for others.
const LEAD_CLEARING: Duration = Duration::from_millis(200);
const LEAD_BASIC: Duration = Duration::from_millis(100);

impl Answerer for Built {
    type Input = SessionSender;
    type Output = Heard;

    fn open(&self, options: CallOptions) -> Result<(SessionSender, Heard), Refused> {
        let share = match &self.headroom {
            None => None,
            Some(headroom) => {
                Some(headroom.take(Instant::now()).ok_or_else(|| Refused::Busy(FULL.to_owned()))?)
            }
        };
        let fault = |error: FormatError| Refused::Fault(error.to_string());
        let input = options.input.map(declared).transpose().map_err(fault)?;
        let full = options.profile == Profile::Full;
        let context = self.context.as_ref();
        let context = context.map(|context| context.source(options.organization, options.caller));
        let session = self
            .engine
            .open(SessionOptions {
                id: SessionId(options.id),
                input,
                output: output(options.output).map_err(fault)?,
                clears: full,
                lead: if full { LEAD_CLEARING } else { LEAD_BASIC },
                greeting: options.greeting.then(|| match &options.recording.plan {
                    Some(plan) => plan.greeting(GREETING),
                    None => GREETING.to_owned(),
                }),
                playout: PlayoutClock::Wall,
                tap: options.recording.tap,
                meter: options.meter,
                context,
            })
            .map_err(|error| Refused::Fault(error.to_string()))?;
        Ok((session.sender(), Heard { session, _share: share }))
    }

    fn stages(&self) -> Vec<StageStatus> {
        let [.., vad, turn_model] = self.engine.stages();
        let [stt, llm, tts] = self.names.each_ref().map(|names| match names.as_slice() {
            [] => "none".to_owned(),
            [first] => (*first).to_owned(),
            [first, rest @ ..] => format!("{first}, then {}", rest.join(", ")),
        });
        let down =
            |stage: &str| self.line_ups.iter().any(|line_up| line_up.stage() == stage && line_up.is_down());
        let note = |works: bool| if works { String::new() } else { self.notes.join("; ") };
        let status = |stage, provider: &str, ready: bool| StageStatus {
            stage,
            provider: provider.to_owned(),
            ready,
            note: note(ready),
        };
        vec![
            status("stt", &format!("{stt}, {vad}, {turn_model}"), self.hears && !down("stt")),
            status("llm", &llm, !down("llm")),
            status("tts", &tts, self.speaks && !down("tts")),
        ]
    }

    fn vitals(&self) -> Vitals {
        let providers = self.line_ups.iter().flat_map(|line_up| {
            let stage = line_up.stage();
            line_up.status().into_iter().map(move |status| ProviderVitals { stage, status })
        });
        Vitals {
            providers: providers.collect(),
            phrases: self.phrases.as_ref().map(PhraseCache::stats),
            inference_load: self.headroom.as_ref().map(|headroom| headroom.load()),
        }
    }

    fn write(&self, written: Written, limit: Duration) -> BoxFuture<'_, Result<String, NotWritten>> {
        Box::pin(async move {
            let Written { id, organization, caller, meter, earlier, text } = written;
            let said = || earlier.iter().map(|(said, _)| said.clone()).collect();
            let context = self.context.as_ref();
            let context = context.map(|context| context.source_after(organization, caller, said()));
            let question = core::Question { session: SessionId(id), earlier, text, meter, context };
            self.engine.answer(question, limit).await.map_err(|error| {
                tracing::warn!(conversation = %id, %error, "a written question was not answered");
                NotWritten::Failed
            })
        })
    }

    fn services(&self) -> BoxFuture<'_, Vec<(&'static str, bool)>> {
        Box::pin(async move {
            match &self.elevenlabs {
                Some(service) => vec![("elevenlabs", service.is_there().await)],
                None => Vec::new(),
            }
        })
    }
}

fn declared(input: DeclaredInput) -> Result<Declared, FormatError> {
    let format = |rate, channels: u8| Ok((SampleRate::new(rate)?, Channels::new(channels.into())?));
    Ok(match input {
        DeclaredInput::Pcm16 { rate, channels } => {
            let (rate, channels) = format(rate, channels)?;
            Declared::Pcm16 { rate, channels }
        }
        DeclaredInput::Ulaw { rate, channels } => {
            let (rate, channels) = format(rate, channels)?;
            Declared::Ulaw { rate, channels }
        }
        DeclaredInput::Alaw { rate, channels } => {
            let (rate, channels) = format(rate, channels)?;
            Declared::Alaw { rate, channels }
        }
        DeclaredInput::Opus => Declared::OpusPackets { channels: Channels::Mono },
    })
}

fn output(format: OutputFormat) -> Result<core::OutputFormat, FormatError> {
    Ok(match format {
        OutputFormat::Wav => core::OutputFormat::Wav,
        OutputFormat::Ogg => core::OutputFormat::Ogg,
        OutputFormat::Pcm16 { rate } => core::OutputFormat::Pcm16 { rate: SampleRate::new(rate)? },
        OutputFormat::Ulaw { rate } => core::OutputFormat::Ulaw { rate: SampleRate::new(rate)? },
    })
}

impl CallInput for SessionSender {
    async fn push(&self, bytes: Bytes) -> Result<(), Ended> {
        Self::push(self, bytes).await.map_err(|_| Ended)
    }

    async fn break_off(&self) {
        // A call that has ended has told so by its outputs.
        let _ = Self::break_off(self).await;
    }

    async fn control(&self, control: Control) {
        let control = match control {
            Control::Position { reply, played_ms } => {
                core::Control::Position { reply: ReplyId(reply), played: Duration::from_millis(played_ms) }
            }
            Control::Interrupt => core::Control::Interrupt,
            Control::Mute(on) => core::Control::Mute(on),
            Control::Text(text) => core::Control::Text(text),
            Control::Away { silent_ms } => core::Control::Away { silent: Duration::from_millis(silent_ms) },
            Control::Back { received, again } => {
                core::Control::Back { received: received.map(|(reply, upto)| (ReplyId(reply), upto)), again }
            }
            Control::Say(text) => core::Control::Say(text),
            Control::Attend(on) => core::Control::Attend(on),
            Control::End => {
                // What is being said is finished first; a call that has ended has told so by its outputs.
                let _ = self.finish().await;
                return;
            }
        };
        // A call that has ended has told so by its outputs.
        let _ = Self::control(self, control).await;
    }

    fn close(&self) {
        Self::close(self);
    }
}

/// The outputs of one call.
pub struct Heard {
    session: Session,
    /// The call's share of this machine, given back with it.
    _share: Option<Share>,
}

impl CallOutput for Heard {
    async fn next(&mut self) -> Option<Output> {
        loop {
            let output = match self.session.next().await? {
                core::Output::Audio(message) => Output::Audio {
                    reply: message.reply.0,
                    payload: message.payload,
                    from: message.from,
                    upto: message.upto,
                },
                core::Output::Ended(end) => Output::Event(closed(end)),
                core::Output::Event(event) => match told(event) {
                    Some(event) => Output::Event(event),
                    None => continue,
                },
                _ => continue,
            };
            return Some(output);
        }
    }
}

fn closed(end: SessionEnd) -> Event {
    let (code, reason) = match end {
        SessionEnd::Done => (1000, "the call has ended".to_owned()),
        SessionEnd::Idle => (4408, "nobody spoke for too long".to_owned()),
        SessionEnd::VoiceLost => {
            (1013, "the voice does not work at the moment; please call again".to_owned())
        }
        SessionEnd::Unsupported(reason) => (1003, reason),
        SessionEnd::TooBig(reason) => (1009, reason),
        _ => (1011, "the call broke off through a fault of the server".to_owned()),
    };
    Event::Closed { code, reason }
}

fn told(event: turn::Event) -> Option<Event> {
    Some(match event {
        turn::Event::Transcript { turn, text, is_final } => {
            Event::Transcript { turn: turn.0, text, is_final }
        }
        turn::Event::Reply { turn, text } => Event::Reply { turn: turn.0, text },
        turn::Event::SpeechStarted => Event::SpeechStarted,
        turn::Event::SpeechEnded => Event::SpeechEnded,
        turn::Event::Clear { reply } => Event::Clear { reply: reply.0 },
        turn::Event::TurnEnded(record) => Event::TurnEnded(stored(*record)),
        turn::Event::Notice { code, text } => Event::Notice { code: code.as_str().to_owned(), text },
        // The session's own end follows and says why.
        _ => return None,
    })
}

fn stored(record: turn::TurnRecord) -> TurnRecord {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    TurnRecord {
        turn: record.turn.0,
        said: record.said,
        reply: record.reply,
        heard: record.heard,
        started_ms: record.started_at.as_millis(),
        zero_ms: record.ledger.zero().as_millis(),
        ledger: record.ledger.entries().map(|(stage, time)| (stage.name(), micros(time))).collect(),
        interrupted: record.interrupted,
        by_person: record.by_person,
    }
}
