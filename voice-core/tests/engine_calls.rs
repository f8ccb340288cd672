//! The engine with scripted providers: what a caller gets who sends one recording and nothing else.
#![cfg(feature = "runtime")]
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use voice_core::context::{ContextQuery, ContextSource, LookUp};
use voice_core::error::ProviderError;
use voice_core::ids::{ReplyId, SessionId};
use voice_core::llm::{LanguageModel, LlmEvent, LlmRequest};
use voice_core::metrics::Stage;
use voice_core::session::{Engine, Output, PlayoutClock, Session, SessionEnd, SessionOptions};
use voice_core::sim::{LlmFault, ScriptedLlm, ScriptedStt, ScriptedTts, SttFault};
use voice_core::tts::{AbsentVoice, SpeechEvent, TextToSpeech, Voice, VoiceOptions};
use voice_core::turn::{Event, Failure, TurnRecord};

fn engine(tts: Arc<dyn TextToSpeech>) -> Engine {
    Engine::builder()
        .stt(Arc::new(ScriptedStt::hearing(["How much is it?", "Does it have a garage?"])))
        .llm(Arc::new(ScriptedLlm::default()))
        .tts(tts)
        .build()
        .unwrap()
}

fn options() -> SessionOptions {
    let mut options = SessionOptions::new(SessionId::random());
    options.playout = PlayoutClock::Skip;
    options
}

fn two_questions() -> Bytes {
    Bytes::from(voice_fixtures::read("questions", "two_questions.wav").unwrap())
}

async fn outcome(call: Session) -> (usize, Vec<TurnRecord>, SessionEnd) {
    let Heard { messages, turns, end, .. } = hear(call).await;
    (messages, turns, end)
}

/// All that a call gave.
struct Heard {
    messages: usize,
    /// Bytes of samples in all messages.
    audio: usize,
    turns: Vec<TurnRecord>,
    end: SessionEnd,
}

async fn hear(mut call: Session) -> Heard {
    let (mut messages, mut audio, mut turns) = (0, 0, Vec::new());
    let all = async {
        loop {
            match call.next().await.expect("an end before nothing") {
                Output::Audio(message) => {
                    assert_eq!(&message.payload[..4], b"RIFF");
                    audio += message.payload.len() - 44;
                    messages += 1;
                }
                Output::Event(Event::TurnEnded(turn)) => turns.push(*turn),
                Output::Ended(end) => return end,
                _ => {}
            }
        }
    };
    let end = tokio::time::timeout(Duration::from_secs(60), all).await.expect("the call ends");
    Heard { messages, audio, turns, end }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn two_recorded_questions_get_two_answers_in_order() {
    let call = engine(Arc::new(ScriptedTts::default())).open(options()).unwrap();
    call.sender().push(two_questions()).await.unwrap();
    call.sender().finish().await.unwrap();
    let (messages, turns, end) = outcome(call).await;
    let said: Vec<&str> = turns.iter().map(|t| t.said.as_str()).collect();
    assert_eq!(said, ["How much is it?", "Does it have a garage?"]);
    assert!(turns.iter().all(|t| t.heard == t.reply && !t.heard.is_empty() && t.failure.is_none()));
    assert!(messages >= 2);
    assert_eq!(end, SessionEnd::Done);
}

/// A voice that keeps what it is given to say.
struct Noting {
    voice: ScriptedTts,
    given: Arc<Mutex<String>>,
}

struct NotingVoice {
    voice: Box<dyn Voice>,
    given: Arc<Mutex<String>>,
}

impl TextToSpeech for Noting {
    fn name(&self) -> &'static str {
        "noting"
    }

    fn open(&self, options: VoiceOptions) -> Box<dyn Voice> {
        Box::new(NotingVoice { voice: self.voice.open(options), given: self.given.clone() })
    }
}

impl Voice for NotingVoice {
    fn speak(
        &mut self,
        reply: ReplyId,
        clauses: BoxStream<'static, String>,
    ) -> BoxStream<'static, Result<SpeechEvent, ProviderError>> {
        let given = self.given.clone();
        let noted = clauses.inspect(move |clause| {
            let mut given = given.lock().unwrap();
            if !given.is_empty() && !clause.is_empty() {
                given.push(' ');
            }
            given.push_str(clause);
        });
        self.voice.speak(reply, noted.boxed())
    }
}

const LISTED: &str = "**It is $525,000**, 3bd/2.5ba with 1,850 sq ft. 🏠 Tours start Sat, Jun 7 at 10:30 am; call \
    (512) 555-0142.";

/// What the voice is given and the caller's record of one question that is answered with [`LISTED`].
async fn listed_in(language: &str) -> (String, TurnRecord) {
    let given = Arc::new(Mutex::new(String::new()));
    let mut llm = ScriptedLlm::default();
    llm.script.answers = vec![LISTED.to_owned()];
    let engine = Engine::builder()
        .stt(Arc::new(ScriptedStt::hearing(["How much is it?"])))
        .llm(Arc::new(llm))
        .tts(Arc::new(Noting { voice: ScriptedTts::default(), given: given.clone() }))
        .language(language)
        .build()
        .unwrap();
    let call = engine.open(options()).unwrap();
    call.sender().push(Bytes::from(voice_fixtures::read("questions", "q01.ogg").unwrap())).await.unwrap();
    call.sender().finish().await.unwrap();
    let (_, mut turns, _) = outcome(call).await;
    let given = given.lock().unwrap().clone();
    (given, turns.remove(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_voice_gets_words_and_the_record_keeps_what_was_written() {
    let (given, turn) = listed_in("en").await;
    assert_eq!(
        given,
        "It is five hundred twenty five thousand dollars, three bedrooms, two and a half baths with one thousand \
         eight hundred fifty square feet. Tours start Saturday, June seventh at ten thirty AM; call five one two, \
         five five five, zero one four two."
    );
    assert_eq!((turn.reply.as_str(), turn.heard.as_str()), (LISTED, LISTED));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_voice_of_another_language_gets_its_numbers_as_written() {
    let (given, turn) = listed_in("de-DE").await;
    assert!(given.starts_with("It is $525,000, 3bd/2.5ba") && given.ends_with("(512) 555-0142."), "{given}");
    assert!(!given.contains(['*', '🏠']), "{given}");
    assert_eq!(turn.heard, LISTED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_caller_without_a_voice_to_answer_hears_so_and_the_call_ends() {
    let reason = ProviderError::Unreachable { provider: "voice", detail: "nobody there".into() };
    let call = engine(Arc::new(AbsentVoice::new(reason))).open(options()).unwrap();
    call.sender().push(two_questions()).await.unwrap();
    call.sender().finish().await.unwrap();
    let (messages, turns, end) = outcome(call).await;
    assert!(messages >= 2, "the packaged sentence lasts over three seconds: {messages} messages");
    assert_eq!(turns[0].failure, Some(Failure::Tts));
    assert_eq!((turns[0].said.as_str(), turns[0].heard.as_str()), ("How much is it?", ""));
    assert_eq!(end, SessionEnd::VoiceLost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_one_call_form_streams_audio_for_audio() {
    let pieces: Vec<Bytes> = two_questions().chunks(1_000).map(Bytes::copy_from_slice).collect();
    let engine = engine(Arc::new(ScriptedTts::default()));
    let mut answers = engine.converse(options(), futures::stream::iter(pieces)).unwrap();
    let mut messages = 0;
    while let Some(answer) = answers.next().await {
        assert_eq!(&answer.unwrap()[..4], b"RIFF");
        messages += 1;
    }
    assert!(messages >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_hang_up_right_after_the_recording_keeps_the_words() {
    let call =
        engine(Arc::new(ScriptedTts::default())).open(SessionOptions::new(SessionId::random())).unwrap();
    call.sender().push(two_questions()).await.unwrap();
    call.sender().close();
    let (_, turns, end) = outcome(call).await;
    // Without time to wait out the pause between them, the two questions are one utterance: the script's first.
    let said: Vec<&str> = turns.iter().map(|t| t.said.as_str()).collect();
    assert_eq!(said, ["How much is it?"]);
    assert!(turns[0].reply.is_empty(), "nothing is answered any more");
    assert_eq!(end, SessionEnd::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_no_audio_ends_the_call_with_its_name() {
    let call = engine(Arc::new(ScriptedTts::default())).open(options()).unwrap();
    call.sender().push(Bytes::from(voice_fixtures::read("formats", "aac.mp4").unwrap())).await.unwrap();
    let (messages, turns, end) = outcome(call).await;
    assert_eq!((messages, turns.len()), (0, 0));
    assert!(matches!(&end, SessionEnd::Unsupported(reason) if reason.contains("MP4")), "{end:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_farewell_is_whole_whatever_failed_before_the_voice() {
    let reason = || ProviderError::Unreachable { provider: "voice", detail: "nobody there".into() };
    let mut lengths = Vec::new();
    for (stt_fault, llm_fault, finish) in [
        (None, None, false),
        (None, None, true),
        (Some(SttFault::Fail), None, true),
        (Some(SttFault::Mute), None, true),
        (None, Some(LlmFault::Fail { after: 0 }), true),
        (None, Some(LlmFault::Fail { after: 3 }), false),
    ] {
        let mut stt = ScriptedStt::hearing(["How much is it?"]);
        stt.script.faults.extend(stt_fault);
        let mut llm = ScriptedLlm::default();
        llm.script.faults.extend(llm_fault);
        let engine = Engine::builder()
            .stt(Arc::new(stt))
            .llm(Arc::new(llm))
            .tts(Arc::new(AbsentVoice::new(reason())))
            .build()
            .unwrap();
        let call = engine.open(options()).unwrap();
        call.sender().push(two_questions()).await.unwrap();
        if finish {
            call.sender().finish().await.unwrap();
        }
        let heard = hear(call).await;
        assert_eq!(heard.end, SessionEnd::VoiceLost, "{stt_fault:?} {llm_fault:?}");
        assert!(heard.turns.iter().any(|t| t.voice_lost), "{:?}", heard.turns);
        lengths.push(heard.audio);
    }
    assert!(lengths[0] > 2 * 2 * 24_000, "over two seconds: {lengths:?}");
    assert!(lengths.iter().all(|length| *length == lengths[0]), "{lengths:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_slow_recogniser_loses_no_question_of_a_recording() {
    let mut stt = ScriptedStt::hearing(["How much is it?", "Does it have a garage?"]);
    stt.script.final_delay = Duration::from_millis(1_500);
    let engine = Engine::builder()
        .stt(Arc::new(stt))
        .llm(Arc::new(ScriptedLlm::default()))
        .tts(Arc::new(ScriptedTts::default()))
        .build()
        .unwrap();
    let call = engine.open(options()).unwrap();
    call.sender().push(two_questions()).await.unwrap();
    call.sender().finish().await.unwrap();
    let (_, turns, end) = outcome(call).await;
    let said: Vec<&str> = turns.iter().map(|t| t.said.as_str()).collect();
    assert_eq!(said, ["How much is it?", "Does it have a garage?"]);
    assert!(turns.iter().all(|t| t.failure.is_none() && t.heard == t.reply), "{turns:?}");
    assert_eq!(end, SessionEnd::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn minutes_of_silence_in_a_recording_are_no_idle_caller() {
    let mut reader = hound::WavReader::new(std::io::Cursor::new(two_questions())).unwrap();
    let spec = reader.spec();
    let questions: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    let silence = vec![0_i16; spec.sample_rate as usize * 6 * 60];
    let mut file = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
    for sample in questions.iter().chain(&silence).chain(&questions) {
        writer.write_sample(*sample).unwrap();
    }
    writer.finalize().unwrap();
    let call = engine(Arc::new(ScriptedTts::default())).open(options()).unwrap();
    call.sender().push(file.into_inner().into()).await.unwrap();
    call.sender().finish().await.unwrap();
    let (_, turns, end) = outcome(call).await;
    assert_eq!(turns.len(), 4, "{turns:?}");
    assert_eq!(end, SessionEnd::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn bytes_that_the_call_cannot_take_wait_at_the_sender() {
    // Nobody takes what the call gives, so it comes to a stand, and with it what it takes.
    let call =
        engine(Arc::new(ScriptedTts::default())).open(SessionOptions::new(SessionId::random())).unwrap();
    let sender = call.sender();
    sender.push(two_questions()).await.unwrap();
    let mut taken = 0;
    let more = async {
        while taken < 64 {
            sender.push(Bytes::from(vec![0; 1 << 20])).await.unwrap();
            taken += 1;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(3), more).await.is_err(), "all was taken");
    assert!(taken <= 8, "{taken} MiB were taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn bytes_too_few_to_be_anything_end_the_call_with_what_is_accepted() {
    let call =
        engine(Arc::new(ScriptedTts::default())).open(SessionOptions::new(SessionId::random())).unwrap();
    call.sender().push(Bytes::from_static(b"RI")).await.unwrap();
    let (messages, _, end) = outcome(call).await;
    assert_eq!(messages, 0);
    assert!(matches!(&end, SessionEnd::Unsupported(reason) if reason.contains("WAV")), "{end:?}");
}

/// A model that notes for which calls it got ready.
struct Preparing(ScriptedLlm, Arc<Mutex<Vec<SessionId>>>);

impl LanguageModel for Preparing {
    fn name(&self) -> &'static str {
        "preparing"
    }

    fn reply(&self, request: LlmRequest) -> BoxStream<'static, Result<LlmEvent, ProviderError>> {
        self.0.reply(request)
    }

    fn prepare(&self, session: SessionId) -> BoxFuture<'static, ()> {
        let ready = self.1.clone();
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            ready.lock().unwrap().push(session);
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_model_gets_ready_while_the_caller_still_talks() {
    let ready = Arc::new(Mutex::new(Vec::new()));
    let engine = Engine::builder()
        .stt(Arc::new(ScriptedStt::hearing(["How much is it?"])))
        .llm(Arc::new(Preparing(ScriptedLlm::default(), ready.clone())))
        .tts(Arc::new(ScriptedTts::default()))
        .build()
        .unwrap();
    let call = engine.open(options()).unwrap();
    let id = call.id();
    call.sender().push(two_questions()).await.unwrap();
    call.sender().finish().await.unwrap();
    let (_, turns, _) = outcome(call).await;
    assert!(!turns.is_empty());
    assert_eq!(*ready.lock().unwrap(), [id], "once a call");
}

/// Knows something about everything, and keeps what it is told.
#[derive(Default)]
struct Known(Mutex<Vec<LookUp>>);

impl ContextSource for Known {
    fn name(&self) -> &'static str {
        "known"
    }

    fn look_up(&self, query: ContextQuery) -> BoxFuture<'static, Result<Vec<String>, ProviderError>> {
        Box::pin(std::future::ready(Ok(vec![format!("about {}", query.said)])))
    }

    fn note(&self, outcome: LookUp) {
        self.0.lock().unwrap().push(outcome);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn facts_are_looked_up_while_the_caller_speaks_and_are_there_at_the_end_of_the_turn() {
    let known = Arc::new(Known::default());
    let options = SessionOptions { context: Some(known.clone()), ..options() };
    let call = engine(Arc::new(ScriptedTts::default())).open(options).unwrap();
    call.sender().push(two_questions()).await.unwrap();
    call.sender().finish().await.unwrap();
    let (_, turns, end) = outcome(call).await;
    assert_eq!((turns.len(), end), (2, SessionEnd::Done));
    assert!(turns.iter().all(|turn| turn.ledger.of(Stage::Context) < Duration::from_millis(5)));
    let told = known.0.lock().unwrap().clone();
    assert!(told.len() >= 2 && told.iter().all(|outcome| *outcome == LookUp::Ahead), "{told:?}");
}
