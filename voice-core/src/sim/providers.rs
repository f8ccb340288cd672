//! Scripted providers for the real engine, for its tests and for benches: known words, known delays, known faults.
//!
//! Delays are those of the scripts, counted on tokio's clock inside streams that dropping cancels. Must be used inside
//! a tokio runtime. They allocate freely: what is measured around them is the engine.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::audio::{Frame, SampleRate};
use crate::error::ProviderError;
use crate::ids::{ReplyId, UtteranceId};
use crate::llm::{FinishReason, LanguageModel, LlmEvent, LlmRequest, Role};
use crate::stt::{SpeechToText, SttEvent, SttEvents, SttOptions, SttStream};
use crate::tts::{SpeechEvent, TextToSpeech, Voice, VoiceOptions};

use super::scripts::{LlmFault, LlmScript, SttFault, SttScript, TtsFault, TtsScript};

fn failed() -> ProviderError {
    ProviderError::Failed { provider: "scripted", detail: "as the script says".to_owned() }
}

/// A recogniser that hears, in each call, one text after another and then the first again.
#[derive(Clone, Debug)]
pub struct ScriptedStt {
    /// Delays and faults; the faults are those of each call.
    pub script: SttScript,
    /// What the utterances of a call say. None: every utterance is empty.
    pub texts: Vec<String>,
    /// Audio for each word of a partial transcript.
    pub per_word: Duration,
}

impl ScriptedStt {
    /// Hears these texts with the usual delays.
    pub fn hearing(texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let texts = texts.into_iter().map(Into::into).collect();
        Self { script: SttScript::default(), texts, per_word: Duration::from_millis(300) }
    }
}

impl SpeechToText for ScriptedStt {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn open(&self, _options: SttOptions, events: Arc<dyn SttEvents>) -> Box<dyn SttStream> {
        Box::new(Hearing { stt: self.clone(), events, open: None, utterances: 0, answers: JoinSet::new() })
    }
}

struct Hearing {
    stt: ScriptedStt,
    events: Arc<dyn SttEvents>,
    open: Option<Utterance>,
    utterances: usize,
    /// Events that are on their way; they end with the stream.
    answers: JoinSet<()>,
}

struct Utterance {
    id: UtteranceId,
    text: String,
    fault: SttFault,
    frames: u32,
    partial_at: Duration,
    shown: usize,
}

impl Hearing {
    fn answer(&mut self, after: Duration, event: SttEvent) {
        while self.answers.try_join_next().is_some() {}
        if after.is_zero() {
            self.events.handle_stt_event(event);
            return;
        }
        let events = self.events.clone();
        self.answers.spawn(async move {
            sleep(after).await;
            events.handle_stt_event(event);
        });
    }

    fn partial(&mut self) {
        let Some(open) = self.open.as_mut().filter(|o| o.fault != SttFault::Mute) else { return };
        let heard = FRAME * open.frames;
        let words = (heard.as_micros() / self.stt.per_word.as_micros().max(1)) as usize;
        if words <= open.shown {
            return;
        }
        open.shown = words;
        let text = open.text.split_whitespace().take(words).collect::<Vec<_>>().join(" ");
        let event = SttEvent::Partial { utterance: open.id, stable: text.len(), text };
        self.answer(self.stt.script.partial_lag, event);
    }
}

impl SttStream for Hearing {
    fn begin(&mut self, utterance: UtteranceId) {
        let k = self.utterances;
        self.utterances += 1;
        let text = if self.stt.texts.is_empty() {
            String::new()
        } else {
            self.stt.texts[k % self.stt.texts.len()].clone()
        };
        let fault = self.stt.script.faults.get(k).copied().unwrap_or_default();
        let partial_at = self.stt.script.partial_every;
        self.open = Some(Utterance { id: utterance, text, fault, frames: 0, partial_at, shown: 0 });
    }

    fn push(&mut self, _frame: &Frame) {
        let Some(open) = &mut self.open else { return };
        open.frames += 1;
        if FRAME * open.frames >= open.partial_at {
            open.partial_at += self.stt.script.partial_every;
            self.partial();
        }
    }

    fn hint_pause(&mut self) -> bool {
        self.partial();
        false
    }

    fn finalise(&mut self) {
        let Some(open) = self.open.take() else { return };
        let delay = self.stt.script.final_delay;
        let words = SttEvent::Final { utterance: open.id, text: open.text };
        match open.fault {
            SttFault::None => self.answer(delay, words),
            SttFault::Late(late) => self.answer(delay + late, words),
            SttFault::Fail => self.answer(delay, SttEvent::Failed { utterance: open.id, error: failed() }),
            SttFault::Silent | SttFault::Mute => {}
        }
    }
}

/// One frame of the caller's audio.
const FRAME: Duration = Duration::from_millis(20);

/// A language model that answers a call's questions with its texts in turn.
#[derive(Clone, Debug, Default)]
pub struct ScriptedLlm {
    /// Delays, answers and faults; answers and faults are counted by the caller's contributions in the request.
    pub script: LlmScript,
}

impl LanguageModel for ScriptedLlm {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn reply(&self, request: LlmRequest) -> BoxStream<'static, Result<LlmEvent, ProviderError>> {
        let asked = request.messages.iter().filter(|m| m.role == Role::User).count().saturating_sub(1);
        let fault = self.script.faults.get(asked).copied().unwrap_or_default();
        let mut steps = VecDeque::new();
        let mut at = self.script.first_token;
        let mut end = Some(Ok(LlmEvent::Done(FinishReason::Stop)));
        for (k, token) in self.script.tokens(asked).into_iter().enumerate() {
            match fault {
                LlmFault::Fail { after } if after == k => {
                    end = Some(Err(failed()));
                    break;
                }
                LlmFault::Stall { after } if after == k => {
                    end = None;
                    break;
                }
                LlmFault::Empty => break,
                _ => steps.push_back((at, Some(Ok(LlmEvent::Delta(token))))),
            }
            at += self.script.token_every;
        }
        steps.push_back((at, end));
        stream::unfold((Instant::now(), steps), |(start, mut steps)| async move {
            let (at, event) = steps.pop_front()?;
            sleep_until(start + at).await;
            let Some(event) = event else { return std::future::pending().await };
            Some((event, (start, steps)))
        })
        .boxed()
    }
}

/// A voice that hums.
#[derive(Clone, Debug)]
pub struct ScriptedTts {
    /// Delays, speed and faults; the faults are those of each call.
    pub script: TtsScript,
    /// Rate of the samples.
    pub rate: SampleRate,
    /// What is heard, over and over. Empty: a tone of 220 Hz.
    pub samples: Arc<[i16]>,
}

impl Default for ScriptedTts {
    fn default() -> Self {
        Self { script: TtsScript::default(), rate: SampleRate::HZ_24000, samples: Arc::default() }
    }
}

impl TextToSpeech for ScriptedTts {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn open(&self, _options: VoiceOptions) -> Box<dyn Voice> {
        let mut tts = self.clone();
        if tts.samples.is_empty() {
            tts.samples = tone(tts.rate);
        }
        Box::new(Humming { tts, replies: 0 })
    }
}

/// One second of a tone, which goes on smoothly when it is repeated.
fn tone(rate: SampleRate) -> Arc<[i16]> {
    let turn = std::f64::consts::TAU * 220.0 / f64::from(rate.hz());
    (0..rate.hz()).map(|k| ((f64::from(k) * turn).sin() * 6_000.0) as i16).collect()
}

struct Humming {
    tts: ScriptedTts,
    replies: usize,
}

impl Voice for Humming {
    fn speak(
        &mut self,
        _reply: ReplyId,
        clauses: BoxStream<'static, String>,
    ) -> BoxStream<'static, Result<SpeechEvent, ProviderError>> {
        let fault = self.tts.script.faults.get(self.replies).copied().unwrap_or_default();
        self.replies += 1;
        let speech = Speech {
            tts: self.tts.clone(),
            clauses,
            fault,
            made: VecDeque::new(),
            free_at: None,
            given: Duration::ZERO,
            next_sample: 0,
            over: false,
        };
        stream::unfold(speech, |mut speech| async move { speech.next().await.map(|event| (event, speech)) })
            .boxed()
    }
}

struct Speech {
    tts: ScriptedTts,
    clauses: BoxStream<'static, String>,
    fault: TtsFault,
    /// Audio of the clause under way: when it is made, how long it is, whether it is the clause's last.
    made: VecDeque<(Instant, Duration, bool)>,
    /// Since when the voice is free for the next clause; `None` before the first.
    free_at: Option<Instant>,
    given: Duration,
    next_sample: usize,
    over: bool,
}

impl Speech {
    async fn next(&mut self) -> Option<Result<SpeechEvent, ProviderError>> {
        loop {
            if self.over {
                return None;
            }
            match self.fault {
                TtsFault::Fail { after } if self.given >= after && self.free_at.is_some() => {
                    self.over = true;
                    return Some(Err(failed()));
                }
                TtsFault::Stall { after } if self.given >= after => return std::future::pending().await,
                _ => {}
            }
            if let Some((at, lasts, last)) = self.made.pop_front() {
                sleep_until(at).await;
                if last && lasts.is_zero() {
                    return Some(Ok(SpeechEvent::ClauseEnd));
                }
                self.given += lasts;
                let samples = self.hum(lasts);
                return Some(Ok(SpeechEvent::Audio { rate: self.tts.rate, samples }));
            }
            let clause = self.clauses.next().await?;
            if self.fault != TtsFault::Empty {
                self.make(&clause);
            }
        }
    }

    /// Plans the audio of a clause.
    fn make(&mut self, clause: &str) {
        let script = &self.tts.script;
        let now = Instant::now();
        let mut at = self.free_at.map_or(now + script.first_audio, |free| free.max(now));
        let mut rest = script.length_of(clause);
        while !rest.is_zero() {
            let lasts = rest.min(PIECE);
            rest -= lasts;
            self.made.push_back((at, lasts, false));
            at += lasts.div_f64(script.speed.max(0.01));
        }
        self.made.push_back((self.made.back().map_or(at, |(made, _, _)| *made), Duration::ZERO, true));
        self.free_at = Some(at);
    }

    fn hum(&mut self, lasts: Duration) -> Vec<i16> {
        let samples = &self.tts.samples;
        let wanted = self.tts.rate.samples_in(lasts) as usize;
        let from = self.next_sample;
        self.next_sample = (from + wanted) % samples.len();
        samples.iter().cycle().skip(from).take(wanted).copied().collect()
    }
}

/// Audio is given in pieces this long.
const PIECE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use crate::audio::FRAME_SAMPLES;
    use crate::ids::SessionId;
    use crate::llm::Message;

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<SttEvent>>);

    impl SttEvents for Heard {
        fn handle_stt_event(&self, event: SttEvent) {
            self.0.lock().expect("not poisoned").push(event);
        }
    }

    impl Heard {
        fn lines(&self) -> Vec<String> {
            let events = self.0.lock().expect("not poisoned");
            let line = |event: &SttEvent| match event {
                SttEvent::Partial { utterance, text, .. } => format!("{utterance} {text}..."),
                SttEvent::Final { utterance, text } => format!("{utterance} {text}."),
                SttEvent::Failed { utterance, .. } => format!("{utterance} failed"),
            };
            events.iter().map(line).collect()
        }
    }

    fn at_once(texts: &[&str]) -> ScriptedStt {
        let mut stt = ScriptedStt::hearing(texts.iter().copied());
        stt.script.partial_lag = Duration::ZERO;
        stt.script.final_delay = Duration::ZERO;
        stt
    }

    fn run<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(future)
    }

    #[test]
    fn a_recogniser_hears_its_texts_word_by_word() {
        let heard = Arc::new(Heard::default());
        let mut stream = at_once(&["one two three", "four"]).open(SttOptions::default(), heard.clone());
        stream.begin(UtteranceId(1));
        for _ in 0..45 {
            stream.push(&[0; FRAME_SAMPLES]);
        }
        stream.finalise();
        stream.begin(UtteranceId(2));
        stream.finalise();
        stream.finalise();
        let wanted = ["1 one...", "1 one two...", "1 one two three.", "2 four."];
        assert_eq!(heard.lines().iter().map(String::as_str).collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn a_finalised_utterance_is_not_abandoned_by_the_next_one() {
        run(async {
            let heard = Arc::new(Heard::default());
            let mut stt = at_once(&["one", "two"]);
            stt.script.final_delay = Duration::from_millis(2);
            let mut stream = stt.open(SttOptions::default(), heard.clone());
            stream.begin(UtteranceId(1));
            stream.finalise();
            stream.begin(UtteranceId(2));
            stream.finalise();
            while heard.lines().len() < 2 {
                sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(heard.lines(), ["1 one.", "2 two."]);
        });
    }

    fn request() -> LlmRequest {
        LlmRequest::new(SessionId::random(), vec![Message::new(Role::User, "how much")], "en")
    }

    #[test]
    fn a_model_answers_no_sooner_than_its_script_says() {
        run(async {
            let mut llm = ScriptedLlm::default();
            llm.script.answers = vec!["It is two.".to_owned()];
            llm.script.first_token = Duration::from_millis(8);
            llm.script.token_every = Duration::from_millis(2);
            let start = Instant::now();
            let events: Vec<_> = llm.reply(request()).map(|e| e.expect("no fault")).collect().await;
            assert!(start.elapsed() >= Duration::from_millis(14));
            let delta = |text: &str| LlmEvent::Delta(text.to_owned());
            let done = LlmEvent::Done(FinishReason::Stop);
            assert_eq!(events, [delta("It "), delta("is "), delta("two."), done]);
        });
    }

    #[test]
    fn a_models_faults_are_those_of_the_script() {
        run(async {
            for (fault, events, errors) in [(LlmFault::Empty, 1, 0), (LlmFault::Fail { after: 2 }, 3, 1)] {
                let mut llm = ScriptedLlm::default();
                llm.script.first_token = Duration::ZERO;
                llm.script.token_every = Duration::ZERO;
                llm.script.faults.push_back(fault);
                let got: Vec<_> = llm.reply(request()).collect().await;
                assert_eq!(
                    (got.len(), got.iter().filter(|e| e.is_err()).count()),
                    (events, errors),
                    "{fault:?}"
                );
            }
        });
    }

    #[test]
    fn a_voice_gives_audio_in_proportion_to_its_text_and_ends_each_clause() {
        run(async {
            let mut tts = ScriptedTts::default();
            tts.script.first_audio = Duration::ZERO;
            tts.script.speed = 1_000.0;
            tts.script.per_byte = Duration::from_millis(50);
            let mut voice = tts.open(VoiceOptions::default());
            let clauses = stream::iter(["five.".to_owned(), " sixty".to_owned()]).boxed();
            let mut shape = Vec::new();
            let mut speech = voice.speak(ReplyId(1), clauses);
            while let Some(event) = speech.next().await {
                match event.expect("no fault") {
                    SpeechEvent::Audio { samples, .. } => shape.push(samples.len() / 24),
                    SpeechEvent::ClauseEnd => shape.push(0),
                    SpeechEvent::Alignment(_) => {}
                }
            }
            assert_eq!(shape, [100, 100, 50, 0, 100, 100, 100, 0]);
        });
    }

    #[test]
    fn a_voices_faults_are_those_of_the_script() {
        run(async {
            let mut tts = ScriptedTts::default();
            tts.script.first_audio = Duration::ZERO;
            tts.script.speed = 1_000.0;
            tts.script.faults.extend([TtsFault::Fail { after: Duration::from_millis(200) }, TtsFault::Empty]);
            let mut voice = tts.open(VoiceOptions::default());
            for wanted in [(3, 1), (0, 0)] {
                let clauses = stream::iter(["a clause of some length".to_owned()]).boxed();
                let got: Vec<_> = voice.speak(ReplyId(1), clauses).collect().await;
                assert_eq!((got.len(), got.iter().filter(|e| e.is_err()).count()), wanted);
            }
        });
    }
}
