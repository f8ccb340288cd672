//! The JSON messages of `voice.v1`: from the caller's program checked, to it written. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::{CallOptions, Control, DeclaredInput, OutputFormat};
use super::query::{self, Asked, Words};

/// What a message from the caller's program asks.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Request {
    /// How the call is to be; must come first.
    Start(Asked),
    /// Go on with a call that was dropped; must come first.
    Resume {
        /// The call's token.
        token: String,
        /// The number of the last thing that came.
        last_seq: u32,
    },
    /// An order for the session.
    Control(Control),
}

/// Why a message is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadMessage {
    /// It is no JSON object with a `type`.
    #[error("the message is not a JSON object with a known type")]
    Unreadable,
    /// A field is missing or not what it must be.
    #[error("{0}")]
    Field(String),
}

/// Characters of a typed message at most: as much as anybody says in a minute.
const TEXT_LIMIT: usize = 2_000;

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Wire {
    Start {
        #[serde(default, rename = "in")]
        input: Option<Format>,
        #[serde(default, rename = "out")]
        output: Option<Format>,
        #[serde(default)]
        greeting: Option<bool>,
    },
    Resume {
        token: String,
        #[serde(rename = "lastSeq")]
        last_seq: u32,
    },
    Position {
        reply: u32,
        #[serde(rename = "playedMs")]
        played_ms: f64,
    },
    Interrupt {},
    Mute {
        on: bool,
    },
    Text {
        text: String,
    },
    End {},
}

/// A format: its bare name, or an object with rate and channels.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(untagged)]
enum Format {
    Name(String),
    Full {
        format: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rate: Option<u32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        channels: Option<u8>,
    },
}

impl Format {
    fn parts(&self) -> (&str, Option<String>, Option<String>) {
        match self {
            Self::Name(name) => (name, None, None),
            Self::Full { format, rate, channels } => {
                (format, rate.map(|rate| rate.to_string()), channels.map(|channels| channels.to_string()))
            }
        }
    }
}

/// Reads one message.
pub(super) fn parse(text: &str) -> Result<Request, BadMessage> {
    // The type is looked at first, so that a wrong field of a known message is told apart from an unknown one.
    let value: Value = serde_json::from_str(text).map_err(|_| BadMessage::Unreadable)?;
    let known = ["start", "resume", "position", "interrupt", "mute", "text", "end"];
    let kind = value.get("type").and_then(Value::as_str).filter(|kind| known.contains(kind));
    let kind = kind.ok_or(BadMessage::Unreadable)?.to_owned();
    let wire: Wire = serde_json::from_value(value)
        .map_err(|_| BadMessage::Field(format!("a field of {kind} is missing or not what it must be")))?;
    Ok(match wire {
        Wire::Start { input, output, greeting } => Request::Start(start(input, output, greeting)?),
        Wire::Resume { token, last_seq } => Request::Resume { token, last_seq },
        Wire::Position { reply, played_ms } => {
            if !played_ms.is_finite() || played_ms < 0.0 {
                return Err(BadMessage::Field("playedMs must be a number of milliseconds".into()));
            }
            // `as` saturates, and no reply lasts longer than that.
            Request::Control(Control::Position { reply, played_ms: played_ms.round() as u64 })
        }
        Wire::Interrupt {} => Request::Control(Control::Interrupt),
        Wire::Mute { on } => Request::Control(Control::Mute(on)),
        Wire::Text { text } => {
            let text = text.trim();
            if text.is_empty() || text.chars().count() > TEXT_LIMIT {
                return Err(BadMessage::Field(format!("text must have 1 to {TEXT_LIMIT} characters")));
            }
            Request::Control(Control::Text(text.to_owned()))
        }
        Wire::End {} => Request::Control(Control::End),
    })
}

fn start(input: Option<Format>, output: Option<Format>, greeting: Option<bool>) -> Result<Asked, BadMessage> {
    let input = input.as_ref().map(Format::parts);
    let output = output.as_ref().map(Format::parts);
    if output.as_ref().is_some_and(|(_, _, channels)| channels.is_some()) {
        return Err(BadMessage::Field("out has one channel and takes no channels".into()));
    }
    let words = Words {
        input: input.as_ref().map(|(name, _, _)| *name),
        rate: input.as_ref().and_then(|(_, rate, _)| rate.as_deref()),
        channels: input.as_ref().and_then(|(_, _, channels)| channels.as_deref()),
        output: output.as_ref().map(|(name, _, _)| *name),
        out_rate: output.as_ref().and_then(|(_, rate, _)| rate.as_deref()),
        greeting: greeting.map(|greet| if greet { "1" } else { "0" }),
    };
    query::parse_words(words).map_err(|bad| BadMessage::Field(bad.to_string()))
}

/// A message to the caller's program, without its `seq`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Message {
    /// The call is open.
    Session {
        /// The conversation's id.
        id: String,
        /// For going on after a drop. `null`: this call cannot.
        #[serde(rename = "resumeToken")]
        resume_token: Option<String>,
        /// How the caller's audio is taken.
        #[serde(rename = "in")]
        input: Value,
        /// How audio is sent.
        out: Value,
    },
    /// The caller's words.
    Transcript {
        /// Of which turn.
        turn: u32,
        /// The words.
        text: String,
        /// Whether they stay.
        #[serde(rename = "final")]
        is_final: bool,
    },
    /// Words of the answer.
    Reply {
        /// Of which turn.
        turn: u32,
        /// All words so far.
        text: String,
    },
    /// The caller began to speak.
    SpeechStarted,
    /// The caller stopped.
    SpeechEnded,
    /// Drop this reply's audio.
    Clear {
        /// Which reply.
        reply: u32,
    },
    /// A turn is over.
    Turn {
        /// Its number.
        turn: u32,
        /// The caller's words.
        said: String,
        /// The answer.
        reply: String,
        /// What of it was heard.
        heard: String,
        /// Whether it was cut short.
        interrupted: bool,
        /// Milliseconds by stage.
        ledger: Value,
        /// Their sum.
        #[serde(rename = "totalMs")]
        total_ms: f64,
        /// Whether a person gave the reply.
        #[serde(rename = "byPerson")]
        by_person: bool,
    },
    /// Something to know.
    Notice {
        /// For programs.
        code: String,
        /// For people.
        text: String,
    },
    /// Something went wrong; the call goes on.
    Error {
        /// For programs.
        code: String,
        /// For people.
        text: String,
    },
}

impl Message {
    /// The greeting of a call that is open.
    pub(super) fn session(options: &CallOptions, resume_token: Option<String>) -> Self {
        Self::Session {
            id: options.id.to_string(),
            resume_token,
            input: match options.input {
                None => json!({"format": "auto"}),
                Some(DeclaredInput::Opus) => json!({"format": "opus"}),
                Some(DeclaredInput::Pcm16 { rate, channels }) => {
                    json!({"format": "pcm16", "rate": rate, "channels": channels})
                }
                Some(DeclaredInput::Ulaw { rate, channels }) => {
                    json!({"format": "ulaw", "rate": rate, "channels": channels})
                }
                Some(DeclaredInput::Alaw { rate, channels }) => {
                    json!({"format": "alaw", "rate": rate, "channels": channels})
                }
            },
            out: match options.output {
                OutputFormat::Wav => json!({"format": "wav"}),
                OutputFormat::Ogg => json!({"format": "ogg"}),
                OutputFormat::Pcm16 { rate } => json!({"format": "pcm16", "rate": rate}),
                OutputFormat::Ulaw { rate } => json!({"format": "ulaw", "rate": rate}),
            },
        }
    }

    /// The message as JSON with its sequence number.
    pub(super) fn encode(&self, seq: u32) -> String {
        #[derive(Serialize)]
        struct Numbered<'a> {
            seq: u32,
            #[serde(flatten)]
            message: &'a Message,
        }
        // Nothing in a message can fail to be JSON: no maps with odd keys, no foreign types.
        serde_json::to_string(&Numbered { seq, message: self }).unwrap_or_default()
    }
}

/// The ledger of a turn in JSON: milliseconds by stage, and their sum. Microseconds in, so that the parts add up.
pub(super) fn ledger_ms(ledger: &[(&'static str, u64)]) -> (Value, f64) {
    let total: u64 = ledger.iter().map(|(_, micros)| micros).sum();
    let stages = ledger.iter().map(|(stage, micros)| ((*stage).to_owned(), json!(*micros as f64 / 1_000.0)));
    (Value::Object(stages.collect()), total as f64 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::voice::call::Profile;

    #[test]
    fn every_client_message_is_read() {
        let pcm = DeclaredInput::Pcm16 { rate: 48_000, channels: 2 };
        let asked = Asked { input: Some(Some(pcm)), output: Some(OutputFormat::Ogg), greeting: Some(true) };
        for (text, request) in [
            (
                r#"{"type":"start","in":{"format":"pcm16","rate":48000,"channels":2},"out":"ogg","greeting":true}"#,
                Request::Start(asked),
            ),
            (r#"{"type":"start"}"#, Request::Start(Asked::default())),
            (
                r#"{"type":"resume","token":"t","lastSeq":7}"#,
                Request::Resume { token: "t".into(), last_seq: 7 },
            ),
            (
                r#"{"type":"position","reply":3,"playedMs":1234.5}"#,
                Request::Control(Control::Position { reply: 3, played_ms: 1_235 }),
            ),
            (r#"{"type":"interrupt"}"#, Request::Control(Control::Interrupt)),
            (r#"{"type":"mute","on":true}"#, Request::Control(Control::Mute(true))),
            (r#"{"type":"text","text":" hi "}"#, Request::Control(Control::Text("hi".into()))),
            (r#"{"type":"end","more":1}"#, Request::Control(Control::End)),
        ] {
            assert_eq!(parse(text), Ok(request), "{text}");
        }
    }

    #[test]
    fn what_is_no_message_is_told_apart_from_a_wrong_field() {
        for text in ["", "x", "[]", "1", "{}", r#"{"type":1}"#, r#"{"type":"play"}"#] {
            assert_eq!(parse(text), Err(BadMessage::Unreadable), "{text}");
        }
        let long = format!(r#"{{"type":"text","text":"{}"}}"#, "a".repeat(TEXT_LIMIT + 1));
        for text in [
            r#"{"type":"position","reply":-1,"playedMs":0}"#,
            r#"{"type":"position","reply":1,"playedMs":-1}"#,
            r#"{"type":"mute"}"#,
            r#"{"type":"resume","token":"t"}"#,
            r#"{"type":"resume","token":"t","lastSeq":-1}"#,
            r#"{"type":"text","text":"  "}"#,
            r#"{"type":"start","in":"mp3"}"#,
            r#"{"type":"start","out":{"format":"pcm16","channels":2}}"#,
            r#"{"type":"start","out":{"format":"wav","rate":8000}}"#,
            &long,
        ] {
            assert!(matches!(parse(text), Err(BadMessage::Field(_))), "{text}");
        }
    }

    #[test]
    fn every_server_message_has_its_type_and_seq() {
        let options = CallOptions {
            id: Uuid::nil(),
            organization: Uuid::nil(),
            caller: None,
            meter: voice_core::metrics::Meter::default(),
            input: Some(DeclaredInput::Pcm16 { rate: 16_000, channels: 1 }),
            output: OutputFormat::Pcm16 { rate: 24_000 },
            profile: Profile::Full,
            greeting: false,
            recording: super::super::call::Recorded::default(),
        };
        let (ledger, total_ms) = ledger_ms(&[("endpoint", 200_100), ("stt", 50_000)]);
        let (said, reply, heard) = ("a".to_owned(), "b".to_owned(), "b".to_owned());
        let turn = Message::Turn {
            turn: 1,
            said,
            reply,
            heard,
            interrupted: false,
            ledger,
            total_ms,
            by_person: false,
        };
        for (message, expected) in [
            (
                Message::session(&options, Some("t".into())),
                json!({"type": "session", "id": Uuid::nil(), "resumeToken": "t",
                       "in": {"format": "pcm16", "rate": 16000, "channels": 1},
                       "out": {"format": "pcm16", "rate": 24000}}),
            ),
            (
                Message::Transcript { turn: 1, text: "hi".into(), is_final: false },
                json!({"type": "transcript", "turn": 1, "text": "hi", "final": false}),
            ),
            (
                Message::Reply { turn: 1, text: "yes".into() },
                json!({"type": "reply", "turn": 1, "text": "yes"}),
            ),
            (Message::SpeechStarted, json!({"type": "speech_started"})),
            (Message::SpeechEnded, json!({"type": "speech_ended"})),
            (Message::Clear { reply: 4 }, json!({"type": "clear", "reply": 4})),
            (
                turn,
                json!({"type": "turn", "turn": 1, "said": "a", "reply": "b", "heard": "b", "interrupted": false,
                       "ledger": {"endpoint": 200.1, "stt": 50.0}, "totalMs": 250.1, "byPerson": false}),
            ),
            (
                Message::Notice { code: "c".into(), text: "t".into() },
                json!({"type": "notice", "code": "c", "text": "t"}),
            ),
            (
                Message::Error { code: "c".into(), text: "t".into() },
                json!({"type": "error", "code": "c", "text": "t"}),
            ),
        ] {
            let mut expected = expected;
            expected["seq"] = json!(9);
            let found: Value = serde_json::from_str(&message.encode(9)).expect("JSON");
            assert_eq!(found, expected);
        }
    }
}
