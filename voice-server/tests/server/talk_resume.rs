//! The real engine behind connections that drop: what a caller hears and is heard to say, and what is stored of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use voice_core::sim::Random;

use crate::harness::Server;
use crate::virtual_caller::{Caller, Got, PER_BYTE, SAID, server};

const MS: Duration = Duration::from_millis(1);
fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// Seeds that drop somewhere else each.
const SEEDS: u64 = 20;
const ASK: &str = r#"{"type":"text","text":"How much is it?"}"#;
const RAW: &str = "?in=pcm16&out=pcm16&out_rate=16000";

/// What a caller got, by number; `session`s, of which there is one more with each resumption, apart.
#[derive(Default)]
struct Heard {
    by_seq: BTreeMap<u64, Got>,
    last: u64,
    sessions: Vec<Value>,
    first_audio: Option<Instant>,
}

impl Heard {
    fn take(&mut self, came: Vec<(Instant, Got)>) {
        for (at, got) in came {
            let seq = match &got {
                Got::Binary(bytes) => u64::from(u32::from_be_bytes(bytes[..4].try_into().unwrap())),
                Got::Text(value) => value["seq"].as_u64().unwrap(),
                Got::Closed(code) => panic!("closed with {code}"),
            };
            assert!(seq > self.last, "{seq} after {}", self.last);
            self.last = seq;
            match &got {
                Got::Text(value) if value["type"] == "session" => {
                    self.sessions.push(value.clone());
                    continue;
                }
                Got::Binary(_) => _ = self.first_audio.get_or_insert(at),
                _ => {}
            }
            self.by_seq.insert(seq, got);
        }
    }

    fn token(&self) -> String {
        self.sessions[0]["resumeToken"].as_str().unwrap().to_owned()
    }

    /// The audio of all replies in order, each behind its number.
    fn audio(&self) -> Vec<u8> {
        let audio = self
            .by_seq
            .values()
            .filter_map(|got| if let Got::Binary(b) = got { Some(&b[4..]) } else { None });
        audio.flatten().copied().collect()
    }

    /// Messages of these types without their numbers and without what time does to them.
    fn texts(&self, kinds: &[&str]) -> Vec<Value> {
        let texts =
            self.by_seq.values().filter_map(|got| if let Got::Text(text) = got { Some(text) } else { None });
        texts
            .filter(|text| kinds.iter().any(|kind| text["type"] == *kind))
            .map(|text| {
                let mut text = text.clone();
                for name in ["seq", "ledger", "totalMs"] {
                    text.as_object_mut().unwrap().remove(name);
                }
                text
            })
            .collect()
    }
}

/// Waits until the answer's turn has been told, which waits for the disk: the caller's clock stands meanwhile, or the server
/// would miss the answers to its pings.
async fn finish(caller: &mut Caller, heard: &mut Heard) {
    heard.take(caller.until_quiet(Duration::from_secs(5)).await);
    for _ in 0..1_000 {
        if !heard.texts(&["turn"]).is_empty() {
            return;
        }
        caller.settle(10 * MS).await;
        heard.take(caller.waiting());
    }
    panic!("no turn ended: {:?}", heard.texts(&["transcript", "reply", "notice", "speech_started"]));
}

/// Asks, and waits until the answer has been heard for `time`.
async fn ask(server: &Server, time: Duration) -> (Caller, Heard) {
    let mut caller = Caller::dial(server, RAW, Some("voice.v1")).await;
    let mut heard = Heard::default();
    caller.tell(ASK).await;
    while heard.first_audio.is_none() {
        heard.take(vec![caller.next().await]);
    }
    let until = heard.first_audio.unwrap() + time;
    while Instant::now() < until {
        tokio::time::sleep((20 * MS).min(until - Instant::now())).await;
        caller.settle(MS).await;
        heard.take(caller.waiting());
    }
    (caller, heard)
}

#[tokio::test]
async fn an_answer_that_was_dropped_in_the_middle_is_heard_whole_and_once() {
    let server = server().await;
    let (mut caller, mut whole) = ask(&server, Duration::ZERO).await;
    finish(&mut caller, &mut whole).await;
    caller.hang_up(&server).await;
    let lasts = u64::try_from(whole.audio().len() / 32).unwrap();
    assert!(lasts > 2_000, "{lasts} ms");
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let (mut caller, mut heard) = ask(&server, ms(random.below(lasts - 500))).await;
        for _ in 0..1 + random.below(3) {
            caller.drop_line().await;
            heard.take(caller.waiting());
            tokio::time::sleep(ms(10 + random.below(55_000))).await;
            caller.resume(&server, &heard.token(), heard.last).await;
            tokio::time::sleep(ms(random.below(400))).await;
            heard.take(caller.waiting());
        }
        finish(&mut caller, &mut heard).await;
        assert!(heard.sessions.len() > 1, "seed {seed}");
        assert!(heard.audio() == whole.audio(), "seed {seed}: other audio");
        let kinds = ["transcript", "reply", "turn", "notice", "error", "clear"];
        assert_eq!(heard.texts(&kinds), whole.texts(&kinds), "seed {seed}");
        let turn = &caller.hang_up(&server).await["turns"][0];
        assert_eq!(
            (&turn["heard"], &turn["interrupted"]),
            (&turn["reply"], &Value::from(false)),
            "seed {seed}"
        );
    }
}

/// Messages that are files may be cut elsewhere after a pause, since more was there to be cut; the samples are the same.
#[tokio::test]
async fn an_answer_in_files_is_heard_whole_and_once_too() {
    let server = server().await;
    let samples = |heard: &Heard| -> Vec<u8> {
        let files = heard
            .by_seq
            .values()
            .filter_map(|got| if let Got::Binary(b) = got { Some(&b[8 + 44..]) } else { None });
        let mut samples: Vec<u8> = files.flatten().copied().collect();
        // The last file may be filled up with silence.
        samples.truncate(samples.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        samples
    };
    let mut whole = None;
    for seed in 0..6 {
        let mut random = Random::new(seed);
        let mut caller = Caller::dial(&server, "?in=pcm16&out=wav", Some("voice.v1")).await;
        let mut heard = Heard::default();
        caller.tell(ASK).await;
        while heard.first_audio.is_none() {
            heard.take(vec![caller.next().await]);
        }
        if seed > 0 {
            tokio::time::sleep(ms(random.below(2_500))).await;
            caller.drop_line().await;
            heard.take(caller.waiting());
            tokio::time::sleep(ms(10 + random.below(50_000))).await;
            caller.resume(&server, &heard.token(), heard.last).await;
        }
        finish(&mut caller, &mut heard).await;
        let found = samples(&heard);
        assert!(*whole.get_or_insert_with(|| found.clone()) == found, "seed {seed}: other samples");
        caller.hang_up(&server).await;
    }
}

/// The text that has been spoken after `time`, to a word.
fn assert_heard(turn: &Value, time: Duration, case: &str) {
    let (heard, reply) = (turn["heard"].as_str().unwrap(), turn["reply"].as_str().unwrap());
    let spoken = usize::try_from(time.as_micros() / PER_BYTE.as_micros()).unwrap().min(reply.len());
    let word = reply.split(' ').map(str::len).max().unwrap() + 2;
    assert!(heard.len().abs_diff(spoken) <= word, "{case}: {heard:?} of {reply:?} after {time:?}");
}

#[tokio::test]
async fn what_counts_as_heard_is_what_was_played_by_the_drop() {
    let server = server().await;
    for seed in 0..SEEDS {
        let time = ms(300 + Random::new(seed).below(2_500));
        let (mut caller, _) = ask(&server, time).await;
        caller.drop_line().await;
        // Nobody comes back.
        tokio::time::sleep(Duration::from_secs(64)).await;
        tokio::time::resume();
        let found = server.ended_conversation(caller.id).await;
        assert_heard(&found["turns"][0], time, &format!("seed {seed}"));
    }
}

#[tokio::test]
async fn an_answer_that_is_stopped_after_a_drop_was_heard_as_far_as_it_sounded() {
    let server = server().await;
    let lead = 200 * MS;
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let time = ms(300 + random.below(1_000));
        let (mut caller, mut heard) = ask(&server, time).await;
        caller.drop_line().await;
        heard.take(caller.waiting());
        tokio::time::sleep(ms(1_000 + random.below(50_000))).await;
        caller.resume(&server, &heard.token(), heard.last).await;
        // What had come was played on meanwhile; now it goes on from there.
        let more = ms(100 + random.below(900));
        tokio::time::sleep(more).await;
        caller.tell(r#"{"type":"interrupt"}"#).await;
        caller.settle(20 * MS).await;
        heard.take(caller.waiting());
        finish(&mut caller, &mut heard).await;
        let turn = heard.texts(&["turn"]).remove(0);
        assert_eq!(turn["interrupted"], true, "seed {seed}");
        assert_heard(&turn, time + lead + more, &format!("seed {seed}, {time:?} and {more:?}"));
        caller.hang_up(&server).await;
    }
}

#[tokio::test]
async fn a_page_that_was_loaded_anew_hears_the_answer_from_where_it_had_played_it() {
    let server = server().await;
    let (mut caller, mut whole) = ask(&server, Duration::ZERO).await;
    finish(&mut caller, &mut whole).await;
    caller.hang_up(&server).await;
    let (mut caller, mut heard) = ask(&server, 1_000 * MS).await;
    caller.drop_line().await;
    heard.take(caller.waiting());
    // A second is played; the 200 ms that came ahead of time are gone with the page.
    let audio: Vec<u64> =
        heard.by_seq.iter().filter(|(_, got)| matches!(got, Got::Binary(_))).map(|(seq, _)| *seq).collect();
    let played = audio[audio.len() - 11];
    heard.by_seq.retain(|seq, _| *seq <= played);
    heard.last = played;
    tokio::time::sleep(4_000 * MS).await;
    caller.resume(&server, &heard.token(), played).await;
    finish(&mut caller, &mut heard).await;
    assert!(heard.audio() == whole.audio(), "other audio");
    caller.hang_up(&server).await;
}

/// A caller's sentence whose middle the network took: one turn, of what was said before and after.
#[tokio::test]
async fn a_sentence_that_a_drop_cut_in_two_is_one_turn() {
    for seed in 0..SEEDS {
        // Each has its own recogniser, which hears one line an utterance.
        let server = server().await;
        let mut random = Random::new(seed);
        let mut caller = Caller::dial(&server, RAW, Some("voice.v1")).await;
        let mut heard = Heard::default();
        for _ in 0..20 + random.below(40) {
            caller.frame(true).await;
        }
        caller.drop_line().await;
        heard.take(caller.waiting());
        tokio::time::sleep(ms(50 + random.below(55_000))).await;
        caller.resume(&server, &heard.token(), heard.last).await;
        for _ in 0..20 + random.below(40) {
            caller.frame(true).await;
        }
        assert!(heard.texts(&["reply", "turn"]).is_empty(), "seed {seed}: answered before the end");
        for _ in 0..60 {
            caller.frame(false).await;
        }
        heard.take(caller.waiting());
        finish(&mut caller, &mut heard).await;
        let turns = heard.texts(&["turn"]);
        assert_eq!(turns.len(), 1, "seed {seed}: {turns:?}");
        assert_eq!(turns[0]["said"], SAID.join(" "), "seed {seed}");
        assert_eq!(turns[0]["heard"], turns[0]["reply"], "seed {seed}");
        caller.hang_up(&server).await;
    }
}

#[tokio::test]
async fn a_sentence_that_was_over_when_the_line_dropped_is_answered_after_it() {
    let server = server().await;
    let mut caller = Caller::dial(&server, RAW, Some("voice.v1")).await;
    let mut heard = Heard::default();
    for _ in 0..40 {
        caller.frame(true).await;
    }
    caller.drop_line().await;
    heard.take(caller.waiting());
    tokio::time::sleep(10_000 * MS).await;
    caller.resume(&server, &heard.token(), heard.last).await;
    for _ in 0..60 {
        caller.frame(false).await;
    }
    heard.take(caller.waiting());
    finish(&mut caller, &mut heard).await;
    assert_eq!(heard.texts(&["turn"])[0]["said"], SAID[0]);
    caller.hang_up(&server).await;
}
