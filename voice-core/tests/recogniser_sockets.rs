//! Recognisers over real sockets, against the stand-ins on loopback: words, lost connections, refusals, silence.
#![cfg(feature = "cloud")]
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::{sleep, timeout};
use voice_core::audio::{FRAME_SAMPLES, Frame};
use voice_core::error::ProviderError;
use voice_core::ids::UtteranceId;
use voice_core::metrics::{Measure, Meter};
use voice_core::net::{Connector, SocketLimits};
use voice_core::resilience::{Backoff, Deadlines};
use voice_core::stt::deepgram::DeepgramConfig;
use voice_core::stt::elevenlabs::ScribeConfig;
use voice_core::stt::{
    RecogniserCandidate, Reconnect, ResilientRecogniser, SocketRecogniser, SpeechToText, SttEvent, SttEvents,
    SttOptions, SttStream,
};
use voice_fixtures::standin::{
    Cloud, Endpoint, Fault, FaultRule, Keys, LogEvent, Moment, Numbering, Script, Stage, Target, Transcripts,
};

const KEY: &str = "key-never-to-be-seen";
const FIRST: &str = "Is it still for sale?";
const SECOND: &str = "Thank you.";
/// A busy machine is not the subject here.
const PATIENCE: Duration = Duration::from_secs(40);
const SERVICES: [&str; 3] = ["deepgram", "flux", "scribe"];

fn script() -> Script {
    let mut script = Script::instant();
    script.stt.transcripts = Transcripts::Script(vec![FIRST.to_owned(), SECOND.to_owned()]);
    script.stt.numbering = Numbering::PerConnection;
    script
}

fn recogniser(service: &str, base: &str, key: &str) -> SocketRecogniser {
    let connector = Connector::new().unwrap();
    let deepgram = |model| DeepgramConfig::builder(key).base_url(base).model(model).build().unwrap();
    let recogniser = match service {
        "deepgram" => SocketRecogniser::deepgram(deepgram("nova-3"), connector),
        "flux" => SocketRecogniser::deepgram(deepgram("flux-general-en"), connector),
        _ => SocketRecogniser::scribe(ScribeConfig::builder(key).base_url(base).build().unwrap(), connector),
    };
    recogniser.with_reconnect(Reconnect {
        socket: SocketLimits { connect: Duration::from_secs(10), ..SocketLimits::default() },
        backoff: Backoff::new(Duration::from_millis(20), Duration::from_millis(200)),
        attempts: 4,
        rest: Duration::from_millis(200),
    })
}

struct Sink(UnboundedSender<SttEvent>);

impl SttEvents for Sink {
    fn handle_stt_event(&self, event: SttEvent) {
        let _ = self.0.send(event);
    }
}

/// One call.
struct Call {
    stream: Box<dyn SttStream>,
    events: UnboundedReceiver<SttEvent>,
}

impl Call {
    fn open(recogniser: &dyn SpeechToText) -> Self {
        Self::metered(recogniser, Meter::default())
    }

    fn metered(recogniser: &dyn SpeechToText, meter: Meter) -> Self {
        let (tx, events) = mpsc::unbounded_channel();
        let options = SttOptions { language: "en".to_owned(), key_terms: vec!["Maple".to_owned()], meter };
        Self { stream: recogniser.open(options, Arc::new(Sink(tx))), events }
    }

    /// Says 700 ms of something, four times as fast as a person.
    async fn say(&mut self, utterance: UtteranceId) {
        self.stream.begin(utterance);
        for at in 0..60_u32 {
            self.stream.push(&frame(if at < 35 { 4_000 } else { 0 }));
            sleep(Duration::from_millis(5)).await;
        }
        self.stream.hint_pause();
        self.stream.finalise();
    }

    /// How an utterance ends; partials before it must grow out of its words.
    async fn ending(&mut self, utterance: UtteranceId) -> Result<String, ProviderError> {
        let ended = async {
            loop {
                match self.events.recv().await.expect("an ending") {
                    SttEvent::Final { utterance: of, text } if of == utterance => return Ok(text),
                    SttEvent::Failed { utterance: of, error } if of == utterance => return Err(error),
                    _ => {}
                }
            }
        };
        timeout(PATIENCE, ended).await.expect("an ending in time")
    }
}

fn frame(level: i16) -> Frame {
    const { assert!(FRAME_SAMPLES == 320) };
    std::array::from_fn(|i| if i % 8 < 4 { level } else { -level })
}

/// Connections that were asked for.
fn opened(cloud: &Cloud) -> usize {
    let endpoints = [Endpoint::DeepgramLive, Endpoint::DeepgramFlux, Endpoint::ScribeRealtime];
    endpoints.map(|endpoint| cloud.seen().requests(endpoint)).iter().sum()
}

fn utterance(number: u64) -> UtteranceId {
    (1..number).fold(UtteranceId::default().next(), |id, _| id.next())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_utterances_of_a_call_give_their_words_over_one_connection() {
    for service in SERVICES {
        let cloud = Cloud::start(script()).await.unwrap();
        let mut call = Call::open(&recogniser(service, &cloud.base_url(), KEY));
        for (number, words) in [(1, FIRST), (2, SECOND)] {
            call.say(utterance(number)).await;
            assert_eq!(call.ending(utterance(number)).await.unwrap(), words, "{service}");
        }
        assert_eq!(opened(&cloud), 1, "{service}");
        drop(call);
        let gone = async {
            while cloud.live() > 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, gone).await.expect("no connection is left behind");
    }
}

/// Bytes of audio that reached the stand-in.
fn received(cloud: &Cloud) -> u64 {
    let audio = cloud.seen().entries().into_iter().map(|entry| match entry.event {
        LogEvent::Audio { bytes, .. } => bytes,
        _ => 0,
    });
    audio.sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_audio_that_is_sent_is_counted_silence_and_repetition_included() {
    for service in SERVICES {
        for cut in [false, true] {
            let cloud = Cloud::start(script()).await.unwrap();
            if cut {
                let rule = FaultRule::new(Target::Stage(Stage::Stt), Fault::Cut, Moment::During);
                cloud.faults().add(rule.times(1));
            }
            let meter = Meter::start();
            let mut call = Call::metered(&recogniser(service, &cloud.base_url(), KEY), meter.clone());
            call.say(utterance(1)).await;
            call.ending(utterance(1)).await.unwrap();
            let [used] = meter.used().try_into().expect("one line");
            assert_eq!(used.measure, Measure::Audio);
            assert_eq!(used.provider, if service == "scribe" { "elevenlabs" } else { "deepgram" });
            let model = match service {
                "deepgram" => "nova-3",
                "flux" => "flux-general-en",
                _ => "scribe_v2_realtime",
            };
            assert_eq!(&*used.model, model);
            let (sent, came) = (used.quantity * 2, received(&cloud));
            assert!(used.quantity >= 60 * 320, "{service}: {used:?}");
            if cut {
                // What was on its way when the connection broke was sent, and may not have come.
                assert!(sent >= came, "{service}: {sent} bytes were sent, {came} came");
            } else {
                assert_eq!(sent, came, "{service}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_fallback_hears_is_booked_to_the_fallback() {
    let (mut gone, there) = (Cloud::start(script()).await.unwrap(), Cloud::start(script()).await.unwrap());
    gone.close_port().await;
    let candidate = |service, cloud: &Cloud| RecogniserCandidate {
        recogniser: Arc::new(recogniser(service, &cloud.base_url(), KEY)),
        probe: None,
    };
    let candidates = vec![candidate("deepgram", &gone), candidate("scribe", &there)];
    let both = ResilientRecogniser::new(candidates, &Deadlines::default(), 7).unwrap();
    let meter = Meter::start();
    let mut call = Call::metered(&both, meter.clone());
    call.say(utterance(1)).await;
    assert_eq!(call.ending(utterance(1)).await.unwrap(), FIRST);
    let [used] = meter.used().try_into().expect("nothing of the one that is gone");
    assert_eq!((used.provider, used.quantity * 2), ("elevenlabs", received(&there)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_that_passes_costs_time_and_no_words() {
    let faults = [
        (Fault::Refused, Moment::Before),
        (Fault::ServerError, Moment::Before),
        (Fault::Cut, Moment::During),
        (Fault::Malformed, Moment::During),
    ];
    for service in SERVICES {
        for (fault, moment) in faults {
            let cloud = Cloud::start(script()).await.unwrap();
            cloud.faults().add(FaultRule::new(Target::Stage(Stage::Stt), fault, moment).times(1));
            let mut call = Call::open(&recogniser(service, &cloud.base_url(), KEY));
            call.say(utterance(1)).await;
            let ended = call.ending(utterance(1)).await;
            assert!(ended.as_ref().is_ok_and(|text| text == FIRST), "{service}, {fault:?}: {ended:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_key_fails_at_once_and_is_not_repeated() {
    for service in SERVICES {
        let mut script = script();
        script.keys = Keys::Only(vec!["another".to_owned()]);
        let cloud = Cloud::start(script).await.unwrap();
        let recogniser = recogniser(service, &cloud.base_url(), KEY);
        let mut call = Call::open(&recogniser);
        call.say(utterance(1)).await;
        let error = call.ending(utterance(1)).await.unwrap_err();
        assert!(matches!(error, ProviderError::Unauthorised { .. }), "{service}: {error:?}");
        assert!(!format!("{error:?} {error} {recogniser:?}").contains(KEY));
        let tries = opened(&cloud);
        assert!(tries <= 2, "{service}: {tries} attempts");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_gone_fails_the_utterance_and_serves_the_next_when_it_is_back() {
    for service in SERVICES {
        let mut cloud = Cloud::start(script()).await.unwrap();
        cloud.close_port().await;
        let mut call = Call::open(&recogniser(service, &cloud.base_url(), KEY));
        call.say(utterance(1)).await;
        let error = call.ending(utterance(1)).await.unwrap_err();
        assert!(matches!(error, ProviderError::Unreachable { .. }), "{service}: {error:?}");
        cloud.open_port().await.unwrap();
        sleep(Duration::from_millis(300)).await;
        call.say(utterance(2)).await;
        assert_eq!(call.ending(utterance(2)).await.unwrap(), FIRST, "{service}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_opens_and_says_nothing_ends_in_a_failure() {
    for service in SERVICES {
        let cloud = Cloud::start(script()).await.unwrap();
        cloud.faults().add(FaultRule::new(Target::Stage(Stage::Stt), Fault::Silent, Moment::Before));
        let mut call = Call::open(&recogniser(service, &cloud.base_url(), KEY));
        call.say(utterance(1)).await;
        let error = call.ending(utterance(1)).await.unwrap_err();
        println!("{service}: {error}");
    }
}

#[test]
fn outside_a_runtime_nothing_panics() {
    let (tx, mut events) = mpsc::unbounded_channel();
    let recogniser = recogniser("scribe", "http://127.0.0.1:1", KEY);
    let mut stream = recogniser.open(SttOptions::default(), Arc::new(Sink(tx)));
    stream.begin(utterance(1));
    stream.finalise();
    assert!(matches!(events.try_recv(), Ok(SttEvent::Failed { .. })));
}
