//! One `multi-stream-input` socket: a context for each reply, by the documented rules of the service.
//!
//! `Service` keeps those rules as protocol facts have them; the tests let replies run against it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};
use voice_core::error::ProviderError;
use voice_core::ids::ReplyId;
use voice_core::sim::Random;
use voice_core::time::SessionTime;
use voice_core::tts::SpeechEvent;
use voice_core::tts::elevenlabs::{ContextEvent, ContextLimits, Contexts, ElevenLabsConfig};

const fn at(ms: u64) -> SessionTime {
    SessionTime::from_millis(ms)
}

fn contexts() -> Contexts {
    let config = ElevenLabsConfig::builder("sk_hush").build().expect("sound");
    Contexts::new(config, ContextLimits::default())
}

fn opened() -> Contexts {
    let mut contexts = contexts();
    contexts.handle_opened(0, Duration::ZERO, at(0));
    contexts
}

fn sent(contexts: &mut Contexts) -> Vec<Value> {
    std::iter::from_fn(|| contexts.poll_message()).map(|m| serde_json::from_str(&m).expect("JSON")).collect()
}

/// Milliseconds of audio at 24 kHz, `|` for a clause's end, `.` for the reply's, `!` for a failure.
fn said(contexts: &mut Contexts) -> Vec<String> {
    let one = |event: ContextEvent| match event {
        ContextEvent::Speech { reply, event: SpeechEvent::Audio { samples, .. } } => {
            format!("{reply}:{}", samples.len() / 24)
        }
        ContextEvent::Speech { reply, event: SpeechEvent::ClauseEnd } => format!("{reply}|"),
        ContextEvent::Speech { reply, event: SpeechEvent::Alignment(marks) } => {
            format!("{reply}m{}", marks.len())
        }
        ContextEvent::Finished { reply } => format!("{reply}."),
        ContextEvent::Failed { reply, error } => format!("{reply}! {error}"),
        ContextEvent::Retired => "retired".to_owned(),
        ContextEvent::Lost { error } => format!("lost: {error}"),
    };
    std::iter::from_fn(|| contexts.poll_event()).map(one).collect()
}

/// A piece of 100 ms.
fn piece(context: &str) -> String {
    let audio = "AAAA".repeat(1_600);
    json!({"audio": audio, "isFinal": null, "alignment": null, "normalizedAlignment": null, "contextId": context}).to_string()
}

fn last(context: &str) -> String {
    json!({"isFinal": true, "contextId": context}).to_string()
}

const R1: ReplyId = ReplyId(1);
const R2: ReplyId = ReplyId(2);

#[test]
fn a_reply_opens_its_context_flushes_each_clause_and_closes_it() {
    let mut c = opened();
    c.handle_begin(R1, at(10));
    assert_eq!(sent(&mut c), [json!({"text": " ", "context_id": "c0"})]);
    c.handle_clause(R1, "It has two rooms.", at(20));
    c.handle_clause(R1, "  And a pool.", at(30));
    c.handle_end(R1, at(40));
    assert_eq!(
        sent(&mut c),
        [
            json!({"text": "It has two rooms. ", "context_id": "c0", "flush": true}),
            json!({"text": "And a pool. ", "context_id": "c0", "flush": true}),
            json!({"context_id": "c0", "close_context": true}),
        ]
    );
    assert!(c.is_generating());
    c.handle_message(&piece("c0"), at(200));
    assert_eq!(said(&mut c), ["1:100"]);
    c.handle_message(&last("c0"), at(300));
    assert_eq!(said(&mut c), ["1|", "1|", "1."]);
    assert_eq!((c.live(), c.is_generating()), (0, false));
}

#[test]
fn what_is_said_before_the_socket_is_open_waits_for_it() {
    let mut c = contexts();
    c.handle_begin(R1, at(0));
    c.handle_clause(R1, "Hello.", at(1));
    assert!(sent(&mut c).is_empty());
    assert_eq!(c.poll_timeout(), None);
    c.handle_opened(0, Duration::ZERO, at(3_000));
    assert_eq!(sent(&mut c).len(), 2);
    assert!(said(&mut c).is_empty(), "the wait for the socket counts for nothing");
}

#[test]
fn an_interruption_closes_the_context_and_its_late_audio_is_dropped() {
    let mut c = opened();
    c.handle_begin(R1, at(0));
    c.handle_clause(R1, "It has two rooms.", at(0));
    c.handle_message(&piece("c0"), at(100));
    c.handle_cancel(R1, at(150));
    assert!(said(&mut c).is_empty(), "not even what had come");
    c.handle_begin(R2, at(150));
    assert_eq!(
        sent(&mut c)[2..],
        [json!({"context_id": "c0", "close_context": true}), json!({"text": " ", "context_id": "c1"})]
    );
    c.handle_message(&piece("c0"), at(160));
    c.handle_message(&piece("c1"), at(170));
    c.handle_message(&last("c0"), at(180));
    assert_eq!(said(&mut c), ["2:100"]);
    assert_eq!((c.dropped(), c.live()), (1, 1));
}

#[test]
fn a_sixth_context_waits_until_one_is_final() {
    let mut c = opened();
    for id in 1..=5 {
        c.handle_begin(ReplyId(id), at(0));
        c.handle_cancel(ReplyId(id), at(0));
    }
    c.handle_begin(ReplyId(6), at(0));
    c.handle_clause(ReplyId(6), "Yes.", at(0));
    let opens = |sent: &[Value]| sent.iter().filter(|m| m["text"] == " ").count();
    assert_eq!(opens(&sent(&mut c)), 5);
    c.handle_message(&last("c3"), at(50));
    assert_eq!(
        sent(&mut c),
        [
            json!({"text": " ", "context_id": "c5"}),
            json!({"text": "Yes. ", "context_id": "c5", "flush": true})
        ]
    );
}

#[test]
fn a_reply_that_gets_no_context_fails_and_the_socket_is_recycled() {
    let mut c = opened();
    for id in 1..=5 {
        c.handle_begin(ReplyId(id), at(0));
        c.handle_cancel(ReplyId(id), at(0));
    }
    c.handle_begin(ReplyId(6), at(100));
    assert_eq!(c.poll_timeout(), Some(at(2_100)));
    c.handle_timeout(at(2_100));
    let said = said(&mut c);
    assert_eq!(said[0], "6! elevenlabs is over its limit: no context of the socket became free");
    assert_eq!(said[1], "retired");
    assert_eq!(sent(&mut c).last(), Some(&json!({"close_socket": true})));
    assert!(c.is_over());
}

#[test]
fn a_reply_that_pauses_is_kept_alive_with_an_empty_text() {
    let mut c = opened();
    c.handle_begin(R1, at(0));
    c.handle_clause(R1, "Let me look.", at(0));
    c.handle_message(&piece("c0"), at(100));
    sent(&mut c);
    assert_eq!(c.poll_timeout(), Some(at(15_000)));
    c.handle_timeout(at(14_999));
    assert!(sent(&mut c).is_empty());
    c.handle_timeout(at(15_000));
    assert_eq!(sent(&mut c), [json!({"text": "", "context_id": "c0"})]);
    assert_eq!(c.poll_timeout(), Some(at(30_000)));
    for k in 2..=20 {
        c.handle_timeout(at(15_000 * k));
    }
    assert_eq!(sent(&mut c).len(), 19);
    c.handle_timeout(at(15_000 * 21));
    assert!(said(&mut c).iter().any(|event| event == "1! elevenlabs gave no answer within 300s"), "given up");
}

#[test]
fn an_idle_socket_is_retired_before_the_service_ends_it() {
    let mut c = opened();
    c.handle_begin(R1, at(1_000));
    c.handle_end(R1, at(1_000));
    assert_eq!(said(&mut c), ["1."], "nothing to speak");
    c.handle_message(&last("c0"), at(1_100));
    sent(&mut c);
    assert_eq!(c.poll_timeout(), Some(at(16_000)));
    c.handle_timeout(at(16_000));
    assert_eq!(said(&mut c), ["retired"]);
    assert_eq!(sent(&mut c), [json!({"close_socket": true})]);
    c.handle_begin(R2, at(16_001));
    assert_eq!(said(&mut c), ["2! elevenlabs cannot be reached: the socket is over"]);
    c.handle_closed(Some(1000), "");
    assert!(said(&mut c).is_empty(), "an end that was asked for is no loss");
}

#[test]
fn a_stalled_reply_fails_and_its_context_is_closed() {
    let mut c = opened();
    c.handle_begin(R1, at(0));
    c.handle_clause(R1, "Hello.", at(0));
    sent(&mut c);
    assert_eq!(c.poll_timeout(), Some(at(10_000)));
    c.handle_timeout(at(10_000));
    assert_eq!(said(&mut c), ["1! elevenlabs gave no answer within 10s"]);
    assert_eq!(sent(&mut c), [json!({"context_id": "c0", "close_context": true})]);
    c.handle_timeout(at(20_000));
    assert_eq!(said(&mut c), ["retired"], "a socket that does not even close a context is of no more use");
}

#[test]
fn a_context_that_the_service_closes_early_is_told() {
    let mut c = opened();
    c.handle_begin(R1, at(0));
    c.handle_clause(R1, "Hello.", at(0));
    c.handle_message(&last("c0"), at(50));
    let said = said(&mut c);
    assert_eq!(
        said,
        ["1! elevenlabs cannot be reached: the context was closed before its text was complete"]
    );
}

#[test]
fn whatever_ends_the_socket_fails_each_reply_once_with_the_reason() {
    let refusal = ProviderError::Unauthorised { provider: "elevenlabs", detail: "invalid_api_key".into() };
    type End<'a> = &'a dyn Fn(&mut Contexts);
    let ends: [(End<'_>, &str); 4] = [
        (&|c| c.handle_closed(None, ""), "cannot be reached: the socket broke"),
        (&|c| c.handle_refused(refusal.clone()), "refused the key: invalid_api_key"),
        (
            &|c| c.handle_message(r#"{"message":"hush","error":"quota_exceeded"}"#, at(9)),
            "has no credit left: quota_exceeded",
        ),
        (&|c| c.handle_message("hush", at(9)), "failed: a message that is not readable"),
    ];
    for (end, reason) in ends {
        let mut c = opened();
        c.handle_begin(R1, at(0));
        c.handle_begin(R2, at(0));
        end(&mut c);
        end(&mut c);
        let expected = [
            format!("1! elevenlabs {reason}"),
            format!("2! elevenlabs {reason}"),
            format!("lost: elevenlabs {reason}"),
        ];
        assert_eq!(said(&mut c), expected);
        assert!(c.is_over() && c.poll_timeout().is_none() && sent(&mut c).is_empty());
    }
}

#[test]
fn a_reply_is_bounded_and_so_are_replies() {
    let mut c = opened();
    c.handle_begin(R1, at(0));
    let clause = "word ".repeat(10_000);
    (0..3).for_each(|_| c.handle_clause(R1, &clause, at(0)));
    assert_eq!(said(&mut c), ["1! elevenlabs does not take the request: a reply of more than 128 KiB"]);
    for id in 10..=18 {
        c.handle_begin(ReplyId(id), at(0));
    }
    assert_eq!(said(&mut c), ["18! elevenlabs is over its limit: more replies at once than a call has"]);
}

/// The rules of the service.
#[derive(Default)]
struct Service {
    contexts: BTreeMap<String, Context>,
    answers: VecDeque<String>,
    finals_owed: VecDeque<String>,
    closing: bool,
}

struct Context {
    touched: SessionTime,
    closing: bool,
}

impl Service {
    fn take(&mut self, message: &Value, now: SessionTime) {
        assert!(!self.closing, "nothing may follow the end of the socket: {message}");
        if message["close_socket"] == true {
            self.closing = true;
            return;
        }
        let id = message["context_id"].as_str().expect("each message names its context").to_owned();
        if message["close_context"] == true {
            let context = self.contexts.get_mut(&id).expect("only a live context is closed");
            assert!(!std::mem::replace(&mut context.closing, true), "once");
            self.finals_owed.push_back(id);
            return;
        }
        let text = message["text"].as_str().expect("a text");
        if text == " " {
            assert!(!self.contexts.contains_key(&id), "an id is not used twice");
            self.contexts.insert(id, Context { touched: now, closing: false });
            assert!(self.contexts.len() <= 5, "with a sixth context the socket dies");
            return;
        }
        let context = self.contexts.get_mut(&id).expect("text goes to a live context");
        assert!(!context.closing, "no text behind the end");
        context.touched = now;
        if !text.is_empty() {
            assert!(text.ends_with(' ') && message["flush"] == true);
            self.answers.push_back(piece(&id));
        }
    }

    fn step(&mut self, contexts: &mut Contexts, random: &mut Random, now: SessionTime) {
        for context in self.contexts.values() {
            let quiet = now.since(context.touched);
            assert!(context.closing || quiet < Duration::from_secs(20), "kept alive");
        }
        if let Some(answer) = self.answers.pop_front() {
            contexts.handle_message(&answer, now);
        } else if random.chance(0.5)
            && let Some(id) = self.finals_owed.pop_front()
        {
            self.contexts.remove(&id);
            contexts.handle_message(&last(&id), now);
        }
    }
}

/// What one reply must and may still give.
#[derive(Default)]
struct Expected {
    clauses: usize,
    ends: usize,
    ended: bool,
    over: bool,
}

#[test]
fn no_order_of_events_breaks_a_rule_of_the_service_or_loses_a_reply() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let mut c = contexts();
        let (mut service, mut now, mut next) = (Service::default(), at(0), 0u32);
        let mut replies: BTreeMap<ReplyId, Expected> = BTreeMap::new();
        let mut retired = false;
        for step in 0..400 {
            let open: Vec<ReplyId> = replies.iter().filter(|(_, e)| !e.over).map(|(id, _)| *id).collect();
            let operation = if step < 300 { *random.pick(&[0, 1, 1, 2, 3, 4, 5, 5, 5, 5]) } else { 5 };
            match (operation, open.is_empty()) {
                (0, _) if open.len() < 7 && !retired => {
                    next += 1;
                    replies.insert(ReplyId(next), Expected::default());
                    c.handle_begin(ReplyId(next), now);
                }
                (1, false) => {
                    let id = *random.pick(&open);
                    let clause = *random.pick(&["Yes.", "It has two rooms,", " … "]);
                    if let Some(expected) = replies.get_mut(&id) {
                        expected.clauses += usize::from(!expected.ended);
                    }
                    c.handle_clause(id, clause, now);
                }
                (2, false) => {
                    let id = *random.pick(&open);
                    c.handle_end(id, now);
                    replies.entry(id).or_default().ended = true;
                }
                (3, false) => {
                    let id = *random.pick(&open);
                    c.handle_cancel(id, now);
                    replies.remove(&id);
                }
                (4, _) => c.handle_opened(0, Duration::ZERO, now),
                _ => {
                    now += random.up_to(Duration::from_millis(400));
                    service.step(&mut c, &mut random, now);
                    if c.poll_timeout().is_some_and(|due| due <= now) {
                        c.handle_timeout(now);
                    }
                }
            }
            if step == 300 {
                c.handle_opened(0, Duration::ZERO, now);
                replies.keys().for_each(|id| c.handle_end(*id, now));
            }
            sent(&mut c).iter().for_each(|message| service.take(message, now));
            while let Some(event) = c.poll_event() {
                let (reply, kind) = match event {
                    ContextEvent::Speech { reply, event } => {
                        (reply, if matches!(event, SpeechEvent::ClauseEnd) { 1 } else { 0 })
                    }
                    ContextEvent::Finished { reply } => (reply, 2),
                    ContextEvent::Failed { reply, .. } => (reply, 3),
                    ContextEvent::Retired => {
                        assert!(replies.values().all(|e| e.over), "seed {seed}: retired under a reply");
                        retired = true;
                        continue;
                    }
                    ContextEvent::Lost { error } => panic!("seed {seed}: {error}"),
                };
                let expected =
                    replies.get_mut(&reply).unwrap_or_else(|| panic!("seed {seed}: {reply} was cancelled"));
                assert!(!expected.over, "seed {seed}: {reply} was over");
                expected.ends += usize::from(kind == 1);
                expected.over = kind >= 2;
                assert!(expected.ends <= expected.clauses, "seed {seed}: more ends than clauses");
                assert!(
                    kind != 2 || expected.ends == expected.clauses,
                    "seed {seed}: fewer ends than clauses"
                );
            }
        }
        assert!(replies.values().all(|e| e.over), "seed {seed}: a reply never ended");
        assert!(retired || c.poll_timeout().is_some(), "seed {seed}: an idle socket has an end");
    }
}
