//! ElevenLabs' voice over real sockets and requests, against the stand-ins on loopback.
#![cfg(feature = "cloud")]
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tokio::time::{sleep, timeout};
use voice_core::audio::SampleRate;
use voice_core::error::ProviderError;
use voice_core::ids::ReplyId;
use voice_core::metrics::{Measure, Meter};
use voice_core::net::{Connector, HttpClient};
use voice_core::tts::elevenlabs::{ContextLimits, ElevenLabs, ElevenLabsConfig, SpeechLimits};
use voice_core::tts::{SpeechEvent, TextToSpeech, Voice, VoiceOptions};
use voice_fixtures::standin::{
    Cloud, Endpoint, Fault, FaultRule, Keys, Moment, Script, Stage, Target, VoiceEntry,
};

const KEY: &str = "key-never-to-be-seen";
/// A busy machine is not the subject here.
const PATIENCE: Duration = Duration::from_secs(40);
const CLAUSES: [&str; 3] = ["Yes, it is.", "It has three bedrooms,", "and a garden."];

fn voices(base: &str) -> [(&'static str, ElevenLabs); 2] {
    let config = || ElevenLabsConfig::builder(KEY).base_url(base).build().unwrap();
    let (connector, http) = (Connector::new().unwrap(), HttpClient::new().unwrap());
    let parked = Duration::from_millis(100);
    let limits = SpeechLimits { rest: Duration::from_millis(200), parked, ..SpeechLimits::default() };
    [
        ("sockets", ElevenLabs::new(config(), connector.clone(), http.clone(), limits)),
        ("requests", ElevenLabs::over_http(config(), connector, http, limits)),
    ]
}

fn reply(number: u64) -> ReplyId {
    (0..number).fold(ReplyId::default(), |id, _| id.next())
}

fn said(clauses: &[&str]) -> BoxStream<'static, String> {
    let clauses: Vec<String> = clauses.iter().map(|clause| format!("{clause} ")).collect();
    stream::iter(clauses).boxed()
}

/// What a reply came to.
#[derive(Debug, Default)]
struct Heard {
    rate: Option<SampleRate>,
    samples: usize,
    ends: usize,
    words: usize,
    error: Option<ProviderError>,
}

async fn hear(speech: BoxStream<'static, Result<SpeechEvent, ProviderError>>) -> Heard {
    let mut heard = Heard::default();
    let all = speech.for_each(|piece| {
        match piece {
            Ok(SpeechEvent::Audio { rate, samples }) => {
                heard.rate = Some(rate);
                heard.samples += samples.len();
            }
            Ok(SpeechEvent::ClauseEnd) => heard.ends += 1,
            Ok(SpeechEvent::Alignment(words)) => heard.words += words.len(),
            Err(error) => heard.error = Some(error),
        }
        std::future::ready(())
    });
    timeout(PATIENCE, all).await.expect("an end of the speech");
    heard
}

async fn say(voice: &mut dyn Voice, number: u64) -> Heard {
    hear(voice.speak(reply(number), said(&CLAUSES))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_are_spoken_with_their_clauses_and_words() {
    for (road, voices) in [0, 1].map(|at| (at, voices)) {
        let cloud = Cloud::start(Script::instant()).await.unwrap();
        let (name, speaker) = &voices(&cloud.base_url())[road];
        let mut voice = speaker.open(VoiceOptions::default());
        for number in 1..=3 {
            let heard = say(&mut *voice, number).await;
            assert!(heard.error.is_none(), "{name}: {heard:?}");
            assert_eq!((heard.ends, heard.words), (3, 10), "{name}: {heard:?}");
            // The stand-in speaks 65 ms a letter.
            let rate = heard.rate.unwrap().hz() as usize;
            assert!(heard.samples > rate && heard.samples < 6 * rate, "{name}: {heard:?}");
        }
        let opened = cloud.seen().requests(Endpoint::TtsMulti);
        assert_eq!(opened, [1, 0][road], "one socket for all replies of a call");
        drop(voice);
        let gone = async {
            while *name == "sockets" && cloud.live() > 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, gone).await.expect("no socket is left behind");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn characters_that_were_sent_are_counted_also_of_a_reply_that_is_dropped() {
    let characters: usize = CLAUSES.iter().map(|clause| clause.len() + 1).sum();
    for road in [0, 1] {
        let mut script = Script::instant();
        script.tts.speed = 4.0;
        let cloud = Cloud::start(script).await.unwrap();
        let (name, speaker) = &voices(&cloud.base_url())[road];
        let meter = Meter::start();
        let mut voice = speaker.open(VoiceOptions { meter: meter.clone(), ..VoiceOptions::default() });
        assert!(say(&mut *voice, 1).await.error.is_none(), "{name}");
        let [used] = meter.used().try_into().expect("one line");
        let told = (used.provider, &*used.model, used.measure, used.quantity as usize, used.estimated);
        let expected = ("elevenlabs", "eleven_turbo_v2", Measure::Characters, characters, false);
        assert_eq!(told, expected, "{name}");
        // One piece of the next is heard; by then its first clause at least has been sent.
        let mut speech = voice.speak(reply(2), said(&CLAUSES));
        timeout(PATIENCE, speech.next()).await.unwrap().unwrap().unwrap();
        drop(speech);
        let more = meter.used()[0].quantity as usize - characters;
        assert!(more > CLAUSES[0].len() && more <= characters, "{name}: {more}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_is_dropped_leaves_the_socket_to_the_next() {
    let mut script = Script::instant();
    script.tts.speed = 4.0;
    let cloud = Cloud::start(script).await.unwrap();
    let [(_, speaker), _] = voices(&cloud.base_url());
    let mut voice = speaker.open(VoiceOptions::default());
    for number in 1..=8 {
        let mut speech = voice.speak(reply(number), said(&CLAUSES).chain(stream::pending()).boxed());
        let first = timeout(PATIENCE, speech.next()).await.expect("audio in time");
        assert!(matches!(first, Some(Ok(_))), "{first:?}");
        drop(speech);
    }
    let heard = say(&mut *voice, 9).await;
    assert!(heard.error.is_none() && heard.ends == 3, "{heard:?}");
    assert_eq!(cloud.seen().requests(Endpoint::TtsMulti), 1, "interruptions cost no socket");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_fails_says_why_and_the_next_is_spoken() {
    let faults = [
        (Fault::Refused, Moment::Before),
        (Fault::ServerError, Moment::Before),
        (Fault::TooMany { retry_after: Duration::ZERO }, Moment::Before),
        (Fault::Cut, Moment::After(1)),
        (Fault::ServerError, Moment::After(1)),
    ];
    for (fault, moment) in faults {
        for road in [0, 1] {
            let cloud = Cloud::start(Script::instant()).await.unwrap();
            // The first request of a socket is its handshake: the warm one may take the fault for itself.
            cloud.faults().add(FaultRule::new(Target::Stage(Stage::Tts), fault, moment).times(1));
            let (name, speaker) = &voices(&cloud.base_url())[road];
            let mut voice = speaker.open(VoiceOptions::default());
            let first = say(&mut *voice, 1).await;
            sleep(Duration::from_millis(300)).await;
            let second = say(&mut *voice, 2).await;
            let said = [&first, &second].map(|heard| heard.error.is_none() && heard.ends == 3);
            assert!(said[1], "{name}, {fault:?}: {first:?} {second:?}");
            assert!(said[0] || first.error.is_some(), "{name}, {fault:?}: {first:?}");
            assert!(!format!("{first:?} {second:?}").contains(KEY));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_key_is_told_and_not_tried_again_at_once() {
    for road in [0, 1] {
        let script = Script { keys: Keys::Only(vec!["another".to_owned()]), ..Script::instant() };
        let cloud = Cloud::start(script).await.unwrap();
        let (name, speaker) = &voices(&cloud.base_url())[road];
        let mut voice = speaker.open(VoiceOptions::default());
        for number in 1..=3 {
            let heard = say(&mut *voice, number).await;
            let unauthorised = matches!(heard.error, Some(ProviderError::Unauthorised { .. }));
            assert!(unauthorised && heard.samples == 0, "{name}: {heard:?}");
        }
        assert!(cloud.seen().requests(Endpoint::TtsMulti) <= 2, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_socket_is_replaced_before_the_service_closes_it() {
    let cloud = Cloud::start(Script::instant()).await.unwrap();
    let config = ElevenLabsConfig::builder(KEY).base_url(&cloud.base_url()).build().unwrap();
    let contexts = ContextLimits { idle: Duration::from_millis(100), ..ContextLimits::default() };
    let limits = SpeechLimits { contexts, ..SpeechLimits::default() };
    let speaker = ElevenLabs::new(config, Connector::new().unwrap(), HttpClient::new().unwrap(), limits);
    let mut voice = speaker.open(VoiceOptions::default());
    sleep(Duration::from_millis(500)).await;
    let heard = say(&mut *voice, 1).await;
    assert!(heard.error.is_none() && heard.ends == 3, "{heard:?}");
    assert!(cloud.seen().requests(Endpoint::TtsMulti) >= 2, "the first socket was idle for too long");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_call_takes_the_socket_that_the_last_one_left() {
    let cloud = Cloud::start(Script::instant()).await.unwrap();
    let config = ElevenLabsConfig::builder(KEY).base_url(&cloud.base_url()).build().unwrap();
    let (connector, http) = (Connector::new().unwrap(), HttpClient::new().unwrap());
    let speaker = ElevenLabs::new(config, connector, http, SpeechLimits::default());
    let opened = || cloud.seen().requests(Endpoint::TtsMulti);
    let waiting = async |sockets: usize| {
        let until = async {
            while speaker.waiting_sockets() != sockets {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, until).await.expect("sockets wait for the next call");
    };
    for call in 1..=3 {
        let mut voice = speaker.open(VoiceOptions::default());
        for number in 1..=2 {
            let heard = say(&mut *voice, number).await;
            assert!(heard.error.is_none() && heard.ends == 3, "call {call}: {heard:?}");
        }
        drop(voice);
        waiting(1).await;
    }
    assert_eq!(opened(), 1, "one socket for calls that follow each other");
    let mut calls = [1, 2].map(|_| speaker.open(VoiceOptions::default()));
    for voice in &mut calls {
        assert!(say(&mut **voice, 1).await.error.is_none());
    }
    assert_eq!(opened(), 2, "a call beside another has its own");
    drop(calls);
    waiting(2).await;
    let mut other = speaker.open(VoiceOptions { voice: "George".to_owned(), ..VoiceOptions::default() });
    assert!(say(&mut *other, 1).await.error.is_none());
    assert_eq!((opened(), speaker.waiting_sockets()), (3, 2), "another voice is another socket");
    drop(other);
    waiting(3).await;
    // One that is interrupted in the middle of a reply is left to nobody.
    let mut voice = speaker.open(VoiceOptions::default());
    let mut speech = voice.speak(reply(1), said(&CLAUSES).chain(stream::pending()).boxed());
    assert!(matches!(timeout(PATIENCE, speech.next()).await, Ok(Some(Ok(_)))));
    assert_eq!((opened(), speaker.waiting_sockets()), (3, 2));
    drop((speech, voice));
    // Those that the service closed meanwhile are not taken.
    cloud.drop_connections();
    let gone = async {
        while cloud.live() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("the service has closed them");
    let mut voice = speaker.open(VoiceOptions::default());
    let heard = say(&mut *voice, 1).await;
    assert!(heard.error.is_none() && heard.ends == 3, "{heard:?}");
    assert_eq!(opened(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voice_of_the_account_is_found_by_its_name() {
    let mut script = Script::instant();
    let id = "abcdefghij0123456789".to_owned();
    script.elevenlabs.voices.push(VoiceEntry { id, name: "Nora".to_owned(), gender: "female".to_owned() });
    let cloud = Cloud::start(script).await.unwrap();
    for (name, speaker) in voices(&cloud.base_url()) {
        let mut voice = speaker.open(VoiceOptions { voice: "Nora".to_owned(), ..VoiceOptions::default() });
        let heard = say(&mut *voice, 1).await;
        assert!(heard.error.is_none() && heard.ends == 3, "{name}: {heard:?}");
        let mut nobody = speaker.open(VoiceOptions { voice: "Zed".to_owned(), ..VoiceOptions::default() });
        let heard = say(&mut *nobody, 1).await;
        assert!(matches!(heard.error, Some(ProviderError::Misconfigured { .. })), "{name}: {heard:?}");
    }
}
