//! Calls with recognisers in the cloud: whole calls in virtual time against services that keep the documented rules.
//!
//! A word is a stretch of one loudness, so the services here know what was said from the samples alone, and the tests
//! know which words belong to which utterance, over lost connections too.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use voice_core::audio::{FRAME_SAMPLES, Frame};
use voice_core::error::ProviderError;
use voice_core::ids::UtteranceId;
use voice_core::sim::Random;
use voice_core::stt::deepgram::DeepgramConfig;
use voice_core::stt::elevenlabs::{Scribe, ScribeConfig};
use voice_core::stt::{SttEvent, SttOptions, SttProtocol, Transmit, TurnSign};
use voice_core::time::SessionTime;

fn frame(level: i16) -> Frame {
    std::array::from_fn(|i| if i % 2 == 0 { level } else { -level })
}

/// Finds words in samples. A segment is what came since the last cut.
#[derive(Default)]
struct Ear {
    heard: u64,
    last: u16,
    segment: Vec<String>,
    segment_start: u64,
}

impl Ear {
    fn take(&mut self, samples: impl Iterator<Item = i16>) {
        for sample in samples {
            let level = sample.unsigned_abs();
            if level >= 1_000 && level != self.last {
                self.segment.push(format!("w{level}"));
            }
            self.last = level;
            self.heard += 1;
        }
    }

    fn words(&self) -> String {
        self.segment.join(" ")
    }

    fn is_silent(&self) -> bool {
        self.last < 1_000
    }

    fn cut(&mut self) {
        self.segment.clear();
        self.segment_start = self.heard;
    }

    fn seconds(&self) -> (f64, f64) {
        (self.segment_start as f64 / 16_000.0, self.heard as f64 / 16_000.0)
    }
}

fn samples(bytes: &[u8]) -> impl Iterator<Item = i16> {
    bytes.as_chunks().0.iter().map(|pair| i16::from_le_bytes(*pair))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Scribe,
    /// With the timed copy of each commit.
    ScribeTwice,
    Live,
    Flux,
}

/// A connection's other end.
struct Service {
    kind: Kind,
    ear: Ear,
    answers: VecDeque<String>,
    uncommitted: usize,
    chunks: u32,
    turn: u64,
}

impl Service {
    fn new(kind: Kind) -> Self {
        Self { kind, ear: Ear::default(), answers: VecDeque::new(), uncommitted: 0, chunks: 0, turn: 0 }
    }

    fn take(&mut self, transmit: &Transmit) {
        match transmit {
            Transmit::Binary(bytes) => {
                assert!(!bytes.is_empty(), "an empty message would end the stream");
                assert!(bytes.len() <= 8_000, "250 ms at most");
                self.ear.take(samples(bytes));
            }
            Transmit::Text(text) => {
                let message: Value = serde_json::from_str(text).expect("JSON");
                self.take_text(&message);
            }
        }
    }

    fn take_text(&mut self, message: &Value) {
        match message["type"].as_str() {
            Some("Finalize") => self.settle(true),
            Some("KeepAlive") => assert_eq!(self.kind, Kind::Live),
            Some("ForceEndTurn") => self.end_turn("manual"),
            Some(other) => panic!("{other}"),
            None => {
                assert_eq!(message["message_type"], "input_audio_chunk");
                let bytes =
                    STANDARD.decode(message["audio_base_64"].as_str().expect("audio")).expect("base64");
                let previous = message.get("previous_text");
                assert!(previous.is_none() || self.chunks == 0, "only with the first chunk");
                self.chunks += 1;
                self.uncommitted += bytes.len() / 2;
                self.ear.take(samples(&bytes));
                if message["commit"] == true {
                    assert!(self.uncommitted >= 4_800, "a commit of less than 0.3 s ends the session");
                    self.uncommitted = 0;
                    self.commit();
                }
            }
        }
    }

    fn commit(&mut self) {
        let text = self.ear.words();
        let one = json!({"message_type": "committed_transcript", "text": text});
        self.answers.push_back(one.to_string());
        if self.kind == Kind::ScribeTwice {
            let two =
                json!({"message_type": "committed_transcript_with_timestamps", "text": text, "words": []});
            self.answers.push_back(two.to_string());
        }
        self.ear.cut();
    }

    fn results(&self, is_final: bool, from_finalize: bool) -> String {
        let (start, end) = self.ear.seconds();
        json!({
            "type": "Results", "start": start, "duration": end - start, "is_final": is_final,
            "from_finalize": from_finalize, "channel": {"alternatives": [{"transcript": self.ear.words()}]},
        })
        .to_string()
    }

    fn settle(&mut self, from_finalize: bool) {
        self.answers.push_back(self.results(true, from_finalize));
        self.ear.cut();
    }

    fn turn_info(&self, event: &str, trigger: &str) -> String {
        json!({
            "type": "TurnInfo", "event": event, "turn_index": self.turn, "audio_window_end": self.ear.seconds().1,
            "transcript": self.ear.words(), "end_of_turn_confidence": 0.5, "trigger": trigger,
        })
        .to_string()
    }

    fn end_turn(&mut self, trigger: &str) {
        self.answers.push_back(self.turn_info("EndOfTurn", trigger));
        self.turn += 1;
        self.ear.cut();
    }

    /// What it says by itself.
    fn think(&mut self, random: &mut Random) {
        let settles = self.ear.is_silent() && random.chance(0.1);
        match self.kind {
            Kind::Scribe | Kind::ScribeTwice => {
                let partial = json!({"message_type": "partial_transcript", "text": self.ear.words()});
                self.answers.push_back(partial.to_string());
            }
            Kind::Live if settles => self.settle(false),
            Kind::Live => self.answers.push_back(self.results(false, false)),
            Kind::Flux if settles => self.end_turn("model"),
            Kind::Flux => self.answers.push_back(self.turn_info("Update", "")),
        }
    }
}

/// A call: the protocol, and what must come of it.
struct Call {
    protocol: Box<dyn SttProtocol>,
    kind: Kind,
    service: Option<Service>,
    now: SessionTime,
    /// Words of each utterance that was begun.
    spoken: BTreeMap<UtteranceId, Vec<String>>,
    finalised: BTreeMap<UtteranceId, bool>,
    finals: BTreeMap<UtteranceId, String>,
    open: Option<UtteranceId>,
    next: u32,
    level: i16,
    reconnects: u32,
}

impl Call {
    fn new(kind: Kind) -> Self {
        let options = SttOptions { language: "en".into(), ..SttOptions::default() };
        let protocol: Box<dyn SttProtocol> = match kind {
            Kind::Scribe | Kind::ScribeTwice => {
                let config = ScribeConfig::builder("sk_hush").build().expect("sound").for_call(&options);
                Box::new(Scribe::new(config, "How can I help?"))
            }
            Kind::Live => DeepgramConfig::builder("hush").build().expect("sound").open(&options),
            Kind::Flux => DeepgramConfig::builder("hush")
                .model("flux-general-en")
                .build()
                .expect("sound")
                .open(&options),
        };
        Self {
            protocol,
            kind,
            service: None,
            now: SessionTime::ZERO,
            spoken: BTreeMap::new(),
            finalised: BTreeMap::new(),
            finals: BTreeMap::new(),
            open: None,
            next: 0,
            level: 8_000,
            reconnects: 0,
        }
    }

    fn connected(kind: Kind) -> Self {
        let mut call = Self::new(kind);
        call.connect();
        call
    }

    fn connect(&mut self) {
        if self.service.is_none() {
            self.service = Some(Service::new(self.kind));
            self.protocol.handle_connected(self.now);
            self.reconnects += 1;
        }
    }

    fn cut(&mut self) {
        if self.service.take().is_some() {
            let error = self.protocol.handle_closed(None, "");
            assert!(matches!(error, ProviderError::Unreachable { .. }));
        }
    }

    fn begin(&mut self) -> UtteranceId {
        self.next += 1;
        let id = UtteranceId(self.next);
        self.protocol.handle_begin(id, self.now);
        self.spoken.insert(id, Vec::new());
        self.open = Some(id);
        id
    }

    /// Frames of one loudness, in real time.
    fn frames(&mut self, level: i16, count: usize) {
        for _ in 0..count {
            self.protocol.handle_audio(&frame(level), self.now);
            self.now += Duration::from_millis(20);
            self.pump();
        }
    }

    fn word(&mut self, count: usize) {
        self.level = if self.level > 16_000 { 8_000 } else { self.level + 1 };
        if let Some(words) = self.open.and_then(|open| self.spoken.get_mut(&open)) {
            words.push(format!("w{}", self.level));
        }
        self.frames(self.level, count);
        self.frames(0, 3);
    }

    fn finalise(&mut self) {
        if let Some(open) = self.open.take() {
            self.finalised.insert(open, true);
            self.protocol.handle_finalise(self.now);
            self.pump();
        }
    }

    /// Everything that is to be sent is sent, every event is looked at.
    fn pump(&mut self) {
        let mut most = 10_000;
        while let Some(transmit) = self.protocol.poll_transmit(self.now) {
            most -= 1;
            assert!(most > 0, "sending never ends");
            self.service.as_mut().expect("nothing is sent without a connection").take(&transmit);
        }
        while let Some(event) = self.protocol.poll_event() {
            match event {
                SttEvent::Partial { text, stable, .. } => {
                    assert!(text.is_char_boundary(stable), "{text:?} {stable}")
                }
                SttEvent::Final { utterance, text } => {
                    assert!(self.finalised.contains_key(&utterance), "{utterance} was not finalised");
                    assert_eq!(self.finals.insert(utterance, text), None, "{utterance} ended twice");
                }
                SttEvent::Failed { utterance, error } => panic!("{utterance}: {error}"),
            }
        }
        while self.protocol.poll_turn_sign().is_some() {}
    }

    /// The service's messages arrive, and a moment passes.
    fn deliver(&mut self) {
        let mut lost = false;
        while let Some(answer) = self.service.as_mut().and_then(|service| service.answers.pop_front()) {
            lost |= self.protocol.handle_message(&answer, self.now).is_err();
        }
        self.now += Duration::from_millis(20);
        if self.protocol.poll_timeout().is_some_and(|due| due <= self.now) {
            lost |= self.protocol.handle_timeout(self.now).is_err();
        }
        if lost {
            self.service = None;
            self.connect();
        }
        self.pump();
    }

    fn wait(&mut self, ms: u64) {
        (0..ms / 20).for_each(|_| self.deliver());
    }

    fn check_finals(&self, about: &str) {
        for id in self.finalised.keys() {
            let expected = self.spoken[id].join(" ");
            assert_eq!(self.finals.get(id), Some(&expected), "{about}: {id}");
        }
    }
}

const KINDS: [Kind; 4] = [Kind::Scribe, Kind::ScribeTwice, Kind::Live, Kind::Flux];

#[test]
fn each_utterance_gets_its_words_as_soon_as_it_is_finalised() {
    for kind in KINDS {
        let mut call = Call::connected(kind);
        for _ in 0..3 {
            call.begin();
            call.word(20);
            call.word(15);
            call.frames(0, 10);
            call.finalise();
            call.wait(40);
        }
        call.check_finals(&format!("{kind:?}"));
        assert_eq!(call.finals.len(), 3);
    }
}

#[test]
fn what_was_said_before_and_between_connections_is_heard() {
    for kind in KINDS {
        let mut call = Call::new(kind);
        call.begin();
        call.word(20);
        call.connect();
        call.word(20);
        call.cut();
        call.word(20);
        call.finalise();
        call.connect();
        call.pump();
        call.wait(100);
        call.check_finals(&format!("{kind:?}"));
        assert_eq!(call.protocol.lost_samples(), 0);
    }
}

#[test]
fn words_of_an_utterance_that_was_abandoned_reach_no_other() {
    for kind in KINDS {
        for cut in [false, true] {
            let mut call = Call::connected(kind);
            call.begin();
            call.word(20);
            call.finalise();
            call.begin();
            // The last frames of it are not sent yet.
            call.word(21);
            call.begin();
            if cut {
                call.cut();
                call.connect();
            }
            call.word(20);
            call.finalise();
            call.wait(200);
            call.check_finals(&format!("{kind:?} {cut}"));
            assert_eq!(call.finals.len(), 2);
        }
    }
}

#[test]
fn a_quiet_connection_is_kept_open() {
    for kind in KINDS {
        let mut call = Call::connected(kind);
        let mut sent = 0;
        let mut quiet = call.now;
        for _ in 0..3_000 {
            call.now += Duration::from_millis(20);
            while call.protocol.poll_transmit(call.now).is_some() {
                sent += 1;
                quiet = call.now;
            }
            assert!(call.now.since(quiet) <= Duration::from_secs(5), "{kind:?}");
        }
        assert!((12..=20).contains(&sent), "{kind:?}: {sent} in a minute");
    }
}

#[test]
fn audio_behind_silence_of_a_kept_connection_is_still_found() {
    for kind in KINDS {
        let mut call = Call::connected(kind);
        for _ in 0..2 {
            call.wait(30_000);
            call.begin();
            call.word(20);
            call.finalise();
            call.wait(100);
        }
        call.check_finals(&format!("{kind:?}"));
    }
}

#[test]
fn an_utterance_of_nothing_ends_with_no_words() {
    for kind in KINDS {
        let mut call = Call::connected(kind);
        call.begin();
        call.finalise();
        call.wait(40);
        call.check_finals(&format!("{kind:?}"));
    }
}

#[test]
fn a_service_that_says_nothing_is_left_in_time() {
    for (kind, ms) in [(Kind::Scribe, 4_000), (Kind::Live, 1_500), (Kind::Flux, 1_500)] {
        let mut call = Call::connected(kind);
        call.begin();
        call.word(60);
        let since = call.now;
        call.finalise();
        let due = since + Duration::from_millis(ms);
        assert!(call.protocol.poll_timeout().is_some_and(|at| at <= due), "{kind:?}");
        call.protocol.handle_timeout(due).expect_err("deaf");
        assert!(call.finals.is_empty());
        // The next connection hears it all.
        call.service = None;
        call.connect();
        call.pump();
        call.wait(100);
        call.check_finals(&format!("{kind:?}"));
    }
}

#[test]
fn without_any_connection_each_utterance_fails_once_it_is_finalised() {
    for kind in KINDS {
        let mut protocol = Call::new(kind).protocol;
        let error = ProviderError::Unreachable { provider: "test", detail: "no route".into() };
        let mut failed = Vec::new();
        for id in [1, 2] {
            protocol.handle_begin(UtteranceId(id), SessionTime::ZERO);
            (0..5).for_each(|_| protocol.handle_audio(&frame(9_000), SessionTime::ZERO));
        }
        protocol.handle_finalise(SessionTime::ZERO);
        protocol.handle_begin(UtteranceId(3), SessionTime::ZERO);
        protocol.handle_audio(&frame(9_000), SessionTime::ZERO);
        protocol.fail(&error);
        protocol.handle_audio(&frame(9_000), SessionTime::ZERO);
        protocol.handle_finalise(SessionTime::ZERO);
        while let Some(event) = protocol.poll_event() {
            let SttEvent::Failed { utterance, .. } = event else { panic!("{event:?}") };
            failed.push(utterance.0);
        }
        assert_eq!(failed, [2, 3, 3], "{kind:?}: an open one is told at once and again");
    }
}

#[test]
fn any_order_of_events_gives_each_utterance_its_own_words() {
    for kind in KINDS {
        for seed in 0..60 {
            let mut random = Random::new(seed);
            let mut call = Call::new(kind);
            for _ in 0..120 {
                match random.below(12) {
                    0 | 1 if call.finalised.len() - call.finals.len() < 7 => drop(call.begin()),
                    2 | 3 if call.open.is_some() => call.word(4 + random.below(30) as usize),
                    4 => call.frames(0, random.below(20) as usize),
                    5 => call.protocol.handle_pause(call.now),
                    6 | 7 => call.finalise(),
                    8 if random.chance(0.3) => call.cut(),
                    9 => call.connect(),
                    _ => {
                        if let Some(service) = &mut call.service {
                            service.think(&mut random);
                        }
                        call.deliver();
                    }
                }
            }
            call.finalise();
            call.connect();
            call.pump();
            call.wait(4_000);
            call.check_finals(&format!("{kind:?}, seed {seed}"));
            assert!(call.reconnects < 20, "{kind:?}, seed {seed}");
        }
    }
}

#[test]
fn what_flux_thinks_of_the_turn_comes_out_as_evidence() {
    let mut call = Call::connected(Kind::Flux);
    let open = call.begin();
    call.word(20);
    let mut signs = Vec::new();
    for event in ["StartOfTurn", "Update", "EagerEndOfTurn", "TurnResumed", "EndOfTurn", "EndOfTurn"] {
        let message = call.service.as_ref().expect("connected").turn_info(event, "model");
        call.protocol.handle_message(&message, call.now).expect("fine");
        signs.extend(std::iter::from_fn(|| call.protocol.poll_turn_sign()));
    }
    let confidence = 0.5;
    let expected = [
        TurnSign::Started,
        TurnSign::ProbablyOver { confidence },
        TurnSign::Resumed,
        TurnSign::Over { confidence },
    ];
    assert_eq!(
        signs,
        expected.map(|sign| (open, sign)),
        "and what is said of a turn that is over says nothing"
    );
}

#[test]
fn a_long_utterance_is_committed_on_the_way() {
    let mut call = Call::connected(Kind::ScribeTwice);
    call.begin();
    for _ in 0..40 {
        call.word(47);
        call.wait(20);
    }
    call.finalise();
    call.wait(100);
    // A cut in the middle of a word may give it twice; none is lost and none comes of another.
    let spoken = call.spoken[&UtteranceId(1)].clone();
    let mut heard: Vec<&str> = call.finals[&UtteranceId(1)].split(' ').collect();
    heard.dedup();
    assert_eq!(heard, spoken);
    assert_eq!(FRAME_SAMPLES, 320);
}

#[test]
fn no_message_breaks_a_call() {
    let messages = [
        "",
        "{}",
        "[]",
        "hush",
        "{\"type\":\"Results\"}",
        "{\"type\":1}",
        "{\"message_type\":null}",
        "{\"type\":\"TurnInfo\",\"event\":\"EndOfTurn\",\"turn_index\":18446744073709551615}",
        "{\"type\":\"Results\",\"start\":1e308,\"duration\":1e308,\"is_final\":true,\"from_finalize\":true,\"channel\":{}}",
        "{\"message_type\":\"committed_transcript\",\"text\":\"w1\"}",
        "{\"message_type\":\"committed_transcript_with_timestamps\",\"text\":\"w1\"}",
    ];
    for kind in KINDS {
        for first in messages {
            for second in messages {
                let mut call = Call::connected(kind);
                call.begin();
                call.frames(9_000, 7);
                for message in [first, second] {
                    if let Err(error) = call.protocol.handle_message(message, call.now) {
                        assert!(!error.to_string().contains("hush"));
                        call.service = None;
                        call.connect();
                    }
                    while call.protocol.poll_event().is_some() {}
                }
            }
        }
    }
}
