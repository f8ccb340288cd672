//! The recogniser over HTTP, against the stand-in on loopback: words, pauses, pieces, refusals, silence, calls that end.
#![cfg(feature = "cloud")]
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::{sleep, timeout};
use voice_core::audio::{FRAME_SAMPLES, Frame};
use voice_core::error::ProviderError;
use voice_core::ids::UtteranceId;
use voice_core::net::HttpClient;
use voice_core::resilience::Backoff;
use voice_core::stt::openai::{OpenAiTranscriber, TranscriberLimits, TranscriptionConfig};
use voice_core::stt::{SpeechToText, SttEvent, SttEvents, SttOptions, SttStream};
use voice_fixtures::standin::{
    Cloud, Endpoint, Fault, FaultRule, Heard, Keys, LogEvent, Mark, Moment, Script, Stage, Target,
    Transcripts,
};

const KEY: &str = "sk-never-to-be-seen";
/// A busy machine is not the subject here.
const PATIENCE: Duration = Duration::from_secs(40);
/// Longer than any test is patient: what ends before it was ended.
const NEVER: Duration = Duration::from_secs(600);

/// A stretch of one loudness is a word, so that the words tell which samples came.
fn words(heard: &Heard<'_>) -> String {
    let mut words: Vec<String> = Vec::new();
    for frame in heard.samples.chunks(FRAME_SAMPLES) {
        let level = frame[0].unsigned_abs();
        let word = format!("w{level}");
        if level >= 1_000 && words.last() != Some(&word) {
            words.push(word);
        }
    }
    words.join(" ")
}

fn script() -> Script {
    let mut script = Script::instant();
    script.stt.transcripts = Transcripts::By(Arc::new(words));
    script
}

/// The same, but its answers never come.
fn stuck() -> Script {
    let mut script = script();
    script.stt.final_after = NEVER;
    script
}

fn limits() -> TranscriberLimits {
    TranscriberLimits {
        // What is given up is not given up for being late.
        head: NEVER,
        body: NEVER,
        backoff: Backoff::new(Duration::from_millis(10), Duration::from_millis(10)),
        ..TranscriberLimits::default()
    }
}

fn transcriber_with(base: &str, limits: TranscriberLimits) -> OpenAiTranscriber {
    let config = TranscriptionConfig::builder(Some(KEY)).base_url(&format!("{base}/v1")).build().unwrap();
    OpenAiTranscriber::new(config, HttpClient::new().unwrap(), limits)
}

fn transcriber(cloud: &Cloud) -> OpenAiTranscriber {
    transcriber_with(&cloud.base_url(), limits())
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
    fn open(transcriber: &OpenAiTranscriber) -> Self {
        let options = SttOptions {
            language: "en-GB".to_owned(),
            key_terms: vec!["Maple Street".to_owned(), "Söhne".to_owned()],
            ..SttOptions::default()
        };
        let (tx, events) = mpsc::unbounded_channel();
        Self { stream: transcriber.open(options, Arc::new(Sink(tx))), events }
    }

    fn begin(&mut self, number: u64) {
        self.stream.begin(utterance(number));
    }

    /// 20 ms frames of one loudness.
    fn push(&mut self, level: i16, frames: usize) {
        let frame: Frame = std::array::from_fn(|i| if i % 8 < 4 { level } else { -level });
        (0..frames).for_each(|_| self.stream.push(&frame));
    }

    /// One word with a pause behind it.
    fn say(&mut self, number: u64, level: i16) {
        self.begin(number);
        self.push(level, 35);
        self.push(0, 20);
        self.stream.finalise();
    }

    /// The next event.
    async fn event(&mut self) -> SttEvent {
        timeout(PATIENCE, self.events.recv()).await.expect("an event in time").expect("an event")
    }

    /// How an utterance ends. Nothing of another may come before it.
    async fn ending(&mut self, number: u64) -> Result<String, ProviderError> {
        loop {
            let (of, ended) = match self.event().await {
                SttEvent::Partial { utterance, .. } => (utterance, None),
                SttEvent::Final { utterance, text } => (utterance, Some(Ok(text))),
                SttEvent::Failed { utterance, error } => (utterance, Some(Err(error))),
            };
            assert_eq!(of, utterance(number));
            if let Some(ended) = ended {
                return ended;
            }
        }
    }
}

fn utterance(number: u64) -> UtteranceId {
    (1..number).fold(UtteranceId::default().next(), |id, _| id.next())
}

fn asked(cloud: &Cloud) -> usize {
    cloud.seen().requests(Endpoint::Transcription)
}

fn marks(cloud: &Cloud, mark: Mark) -> usize {
    cloud.seen().marks(Endpoint::Transcription, mark).len()
}

/// Waits for something that comes by itself.
async fn until(what: &str, happened: impl Fn() -> bool) {
    let wait = async {
        while !happened() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

fn always(fault: Fault, moment: Moment) -> FaultRule {
    FaultRule::new(Target::Stage(Stage::Stt), fault, moment)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_utterances_of_a_call_give_their_words_and_the_form_says_what_is_asked() {
    let cloud = Cloud::start(script()).await.unwrap();
    let mut call = Call::open(&transcriber(&cloud));
    for (number, level, word) in [(1, 4_000, "w4000"), (2, 5_000, "w5000")] {
        call.say(number, level);
        assert_eq!(call.ending(number).await.unwrap(), word);
    }
    let forms = cloud.seen().messages(Endpoint::Transcription);
    let forms: Vec<Value> = forms.iter().map(|form| serde_json::from_str(form).unwrap()).collect();
    let form = json!({
        "model": "gpt-4o-mini-transcribe", "response_format": "json", "language": "en",
        "prompt": "Maple Street, Söhne",
    });
    assert_eq!(forms, [form.clone(), form]);
    assert!(!format!("{:?}", cloud.seen().entries()).contains(KEY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_a_call_opens_a_connection_and_transcribes_nothing() {
    let cloud = Cloud::start(script()).await.unwrap();
    let call = Call::open(&transcriber(&cloud));
    until("a connection", || cloud.seen().requests(Endpoint::ChatModels) == 1).await;
    assert_eq!(asked(&cloud), 0);
    drop(call);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_that_came_at_a_pause_are_the_final_ones() {
    let cloud = Cloud::start(script()).await.unwrap();
    let mut call = Call::open(&transcriber(&cloud));
    call.begin(1);
    call.push(4_000, 35);
    call.push(0, 5);
    call.stream.hint_pause();
    let SttEvent::Partial { text, .. } = call.event().await else { panic!("words at the pause") };
    assert_eq!(text, "w4000");
    call.push(0, 20);
    call.stream.finalise();
    assert_eq!(call.ending(1).await.unwrap(), "w4000");
    assert_eq!(asked(&cloud), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_goes_on_gives_up_what_was_asked_at_the_pause() {
    let cloud = Cloud::start(stuck()).await.unwrap();
    let mut call = Call::open(&transcriber(&cloud));
    call.begin(1);
    for (pauses, level) in [(1, 4_000), (2, 5_000)] {
        call.push(level, 35);
        call.stream.hint_pause();
        until("the pause's request", || marks(&cloud, Mark::Finalized) == pauses).await;
        until("the one before to be given up", || marks(&cloud, Mark::Aborted) == pauses - 1).await;
    }
    cloud.set_script(script());
    call.push(6_000, 35);
    call.stream.finalise();
    assert_eq!(call.ending(1).await.unwrap(), "w4000 w5000 w6000");
    until("the last one to be given up", || marks(&cloud, Mark::Aborted) == 2).await;
    assert_eq!(asked(&cloud), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_utterance_is_asked_for_piece_by_piece() {
    let cloud = Cloud::start(script()).await.unwrap();
    let mut call = Call::open(&transcriber(&cloud));
    call.begin(1);
    call.push(4_000, 2_000);
    until("the first piece", || asked(&cloud) == 1).await;
    call.push(5_000, 50);
    call.stream.finalise();
    assert_eq!(call.ending(1).await.unwrap(), "w4000 w5000");
    assert_eq!(asked(&cloud), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_that_passes_costs_one_more_request_and_no_words() {
    for (fault, moment) in [
        (Fault::Refused, Moment::Before),
        (Fault::ServerError, Moment::Before),
        (Fault::Malformed, Moment::Before),
        (Fault::Malformed, Moment::During),
        (Fault::Cut, Moment::During),
    ] {
        let cloud = Cloud::start(script()).await.unwrap();
        cloud.faults().add(always(fault, moment).times(1));
        let mut call = Call::open(&transcriber(&cloud));
        call.say(1, 4_000);
        let ended = call.ending(1).await;
        assert!(ended.as_ref().is_ok_and(|text| text == "w4000"), "{fault:?}, {moment:?}: {ended:?}");
        assert_eq!((asked(&cloud), marks(&cloud, Mark::Faulted)), (2, 1), "{fault:?}, {moment:?}");
    }
}

/// How an utterance fails, in how many requests.
async fn failed(cloud: &Cloud, limits: TranscriberLimits) -> (ProviderError, usize) {
    let transcriber = transcriber_with(&cloud.base_url(), limits);
    let mut call = Call::open(&transcriber);
    call.say(1, 4_000);
    let error = call.ending(1).await.unwrap_err();
    let shown = format!("{error:?} {error} {transcriber:?}");
    assert!(!shown.contains(KEY) && !shown.contains("w4000") && !shown.contains("Maple"), "{shown}");
    (error, asked(cloud))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_that_stays_fails_after_two_requests() {
    for (fault, moment) in [
        (Fault::Refused, Moment::Before),
        (Fault::ServerError, Moment::Before),
        (Fault::Malformed, Moment::During),
        (Fault::Cut, Moment::During),
    ] {
        let cloud = Cloud::start(script()).await.unwrap();
        cloud.faults().add(always(fault, moment));
        let (error, requests) = failed(&cloud, limits()).await;
        let lost = matches!(fault, Fault::Refused | Fault::Cut);
        assert_eq!(matches!(error, ProviderError::Unreachable { .. }), lost, "{fault:?}: {error:?}");
        assert_eq!(matches!(error, ProviderError::Failed { .. }), !lost, "{fault:?}: {error:?}");
        assert_eq!(requests, 2, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_key_is_not_tried_again() {
    let mut script = script();
    script.keys = Keys::Only(vec!["another".to_owned()]);
    let cloud = Cloud::start(script).await.unwrap();
    let (error, requests) = failed(&cloud, limits()).await;
    assert!(matches!(error, ProviderError::Unauthorised { .. }), "{error:?}");
    assert_eq!(requests, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_has_a_limit_wherever_it_falls_and_is_not_tried_again() {
    for (fault, moment) in [
        (Fault::Stall, Moment::Before),
        (Fault::Silent, Moment::Before),
        (Fault::Silent, Moment::During),
        (Fault::Stall, Moment::During),
    ] {
        let cloud = Cloud::start(script()).await.unwrap();
        cloud.faults().add(always(fault, moment));
        let head = if (fault, moment) == (Fault::Stall, Moment::Before) {
            Duration::from_millis(200)
        } else {
            PATIENCE
        };
        let limits = TranscriberLimits { head, body: Duration::from_millis(200), ..limits() };
        let (error, requests) = failed(&cloud, limits).await;
        assert!(matches!(error, ProviderError::TimedOut { .. }), "{fault:?}, {moment:?}: {error:?}");
        assert_eq!(requests, 1, "{fault:?}, {moment:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_full_is_left_alone_for_as_long_as_it_asks() {
    let cloud = Cloud::start(script()).await.unwrap();
    let transcriber = transcriber(&cloud);
    let full = |seconds| Fault::TooMany { retry_after: Duration::from_secs(seconds) };
    cloud.faults().add(always(full(0), Moment::Before).times(1));
    cloud.faults().add(always(full(3_000), Moment::Before).times(1).skip(1));
    let mut call = Call::open(&transcriber);
    for (number, requests) in [(1, 1), (3, 3), (4, 3)] {
        call.say(number, 4_000);
        let error = call.ending(number).await.unwrap_err();
        let ProviderError::Limited { retry_after, .. } = error else { panic!("{error:?}") };
        let seconds = if number == 1 { 0 } else { 3_000 };
        assert_eq!(retry_after, Some(Duration::from_secs(seconds)));
        assert_eq!(asked(&cloud), requests, "utterance {number}");
        if number == 1 {
            call.say(2, 5_000);
            assert_eq!(call.ending(2).await.unwrap(), "w5000");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_gone_fails_the_utterance_and_serves_the_next_when_it_is_back() {
    let mut cloud = Cloud::start(script()).await.unwrap();
    cloud.close_port().await;
    let mut call = Call::open(&transcriber(&cloud));
    call.say(1, 4_000);
    let error = call.ending(1).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unreachable { .. }), "{error:?}");
    cloud.open_port().await.unwrap();
    call.say(2, 5_000);
    assert_eq!(call.ending(2).await.unwrap(), "w5000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_stream_gives_up_what_is_under_way() {
    let cloud = Cloud::start(stuck()).await.unwrap();
    let transcriber = transcriber(&cloud);
    let mut call = Call::open(&transcriber);
    call.say(1, 4_000);
    until("the request", || marks(&cloud, Mark::Finalized) == 1).await;
    let Call { stream, mut events } = call;
    drop(stream);
    until("the request to be given up", || marks(&cloud, Mark::Aborted) == 1).await;
    // The task is gone, and with it the only sender.
    let told = timeout(PATIENCE, events.recv()).await.expect("an end");
    assert!(told.is_none(), "{told:?}");
    drop(transcriber);
    until("the last connection to be closed", || cloud.live() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_calls_do_not_mix() {
    let cloud = Cloud::start(script()).await.unwrap();
    let transcriber = transcriber(&cloud);
    let mut calls = [3_000, 6_000].map(|level| (level, Call::open(&transcriber)));
    for number in 1..=5 {
        for (level, call) in &mut calls {
            call.say(number, *level + number as i16);
        }
    }
    for number in 1..=5 {
        for (level, call) in &mut calls {
            let word = format!("w{}", *level + number as i16);
            assert_eq!(call.ending(number).await.unwrap(), word);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_call_asks_for_a_few_utterances_at_once_and_for_all_in_the_end() {
    let inside = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let mut script = script();
    let seen = inside.clone();
    script.stt.transcripts = Transcripts::By(Arc::new(move |heard: &Heard<'_>| {
        let now = seen.0.fetch_add(1, Ordering::SeqCst) + 1;
        seen.1.fetch_max(now, Ordering::SeqCst);
        // Long enough for others to come in, if they may.
        std::thread::sleep(Duration::from_millis(100));
        seen.0.fetch_sub(1, Ordering::SeqCst);
        words(heard)
    }));
    let cloud = Cloud::start(script).await.unwrap();
    let limits = TranscriberLimits { at_once: 2, ..limits() };
    let mut call = Call::open(&transcriber_with(&cloud.base_url(), limits));
    for number in 1..=6 {
        call.say(number, 4_000 + number as i16);
    }
    for number in 1..=6 {
        assert_eq!(call.ending(number).await.unwrap(), format!("w{}", 4_000 + number));
    }
    let most = inside.1.load(Ordering::SeqCst);
    assert!((1..=2).contains(&most), "{most} at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_tells_a_service_that_is_there_and_transcribes_nothing() {
    let mut script = script();
    script.keys = Keys::Only(vec![KEY.to_owned()]);
    let mut cloud = Cloud::start(script).await.unwrap();
    transcriber(&cloud).probe().await.unwrap();
    assert_eq!(asked(&cloud), 0);
    let stranger =
        TranscriptionConfig::builder(Some("another")).base_url(&format!("{}/v1", cloud.base_url()));
    let stranger = OpenAiTranscriber::new(stranger.build().unwrap(), HttpClient::new().unwrap(), limits());
    let error = stranger.probe().await.unwrap_err();
    assert!(matches!(error, ProviderError::Unauthorised { .. }), "{error:?}");
    cloud.close_port().await;
    cloud.drop_connections();
    let error = transcriber(&cloud).probe().await.unwrap_err();
    assert!(matches!(error, ProviderError::Unreachable { .. }), "{error:?}");
    let statuses = cloud.seen().entries().into_iter().filter_map(|entry| match entry.event {
        LogEvent::Status(status) => Some(status),
        _ => None,
    });
    assert_eq!(statuses.collect::<Vec<_>>(), [200, 401]);
}

/// A server without a list of models, which answers a form with `reply`; gives what each request began with.
async fn bare_server(reply: &'static str) -> (SocketAddr, UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tx, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let request = read_request(&mut socket).await;
            let line = request.lines().next().unwrap_or_default().to_owned();
            let missing = "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            let answer = if line.starts_with("GET") { missing } else { reply };
            let _ = tx.send(line);
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, asked)
}

/// A whole request: what is left unread when a socket is closed may cost the answer.
async fn read_request(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4_096];
        let count = socket.read(&mut piece).await.unwrap();
        assert!(count > 0, "a whole request");
        bytes.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if length.is_none_or(|length| body.len() >= length.parse().unwrap()) {
            return text.into_owned();
        }
    }
}

#[tokio::test]
async fn a_server_without_a_list_of_models_is_probed_with_an_empty_form() {
    const BAD_FORM: &str = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
    const BAD_FORM_AS_200: &str =
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 19\r\n\r\n{\"error\":\"no file\"}";
    const A_PAGE: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 6\r\n\r\n<html>";
    const NOTHING: &str = "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    for (reply, is_there) in [(BAD_FORM, true), (BAD_FORM_AS_200, true), (A_PAGE, false), (NOTHING, false)] {
        let (address, mut asked) = bare_server(reply).await;
        let found = transcriber_with(&format!("http://{address}"), limits()).probe().await;
        match found {
            Ok(()) => assert!(is_there, "{reply}"),
            Err(error) => {
                assert!(!is_there && matches!(error, ProviderError::Misconfigured { .. }), "{error:?}")
            }
        }
        assert_eq!(asked.recv().await.unwrap(), "GET /v1/models HTTP/1.1");
        assert_eq!(asked.recv().await.unwrap(), "POST /v1/audio/transcriptions HTTP/1.1");
    }
}

#[test]
fn outside_a_runtime_nothing_panics() {
    let (tx, mut events) = mpsc::unbounded_channel();
    let transcriber = transcriber_with("http://127.0.0.1:1", limits());
    let mut stream = transcriber.open(SttOptions::default(), Arc::new(Sink(tx)));
    stream.begin(utterance(1));
    stream.finalise();
    assert!(matches!(events.try_recv(), Ok(SttEvent::Failed { .. })));
}
