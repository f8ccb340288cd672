//! `docs/PROTOCOL.md` against the program: its schemas hold for its examples and for what the server really writes,
//! and its examples of the client's messages are read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use uuid::Uuid;
use voice_core::turn::NoticeCode;

use super::call::{CallOptions, DeclaredInput, OutputFormat, Profile, Recorded};
use super::messages::{self, Message, ledger_ms};
use super::resume::REFUSED;

struct Section {
    schema: Value,
    example: Value,
}

/// Schema and example of each message, by side and type.
fn sections() -> BTreeMap<(String, String), Section> {
    let document = include_str!("../../docs/PROTOCOL.md");
    let mut found = BTreeMap::new();
    for side in ["Client", "Server"] {
        for part in document.split(&format!("### {side}: `")).skip(1) {
            let name = part.split('`').next().expect("a name").to_owned();
            let block = |kind: &str| -> Value {
                let fence = format!("```json {kind}\n");
                let text =
                    part.split(&fence).nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
                serde_json::from_str(text).expect("a block is JSON")
            };
            found.insert(
                (side.to_owned(), name),
                Section { schema: block("schema"), example: block("example") },
            );
        }
    }
    found
}

/// Checks the part of JSON Schema that the document uses; an unknown keyword fails.
fn check(schema: &Value, value: &Value) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().ok_or("a schema is an object")? {
        let holds = match keyword.as_str() {
            "type" => match rule.as_str() {
                Some("object") => value.is_object(),
                Some("string") => value.is_string(),
                Some("boolean") => value.is_boolean(),
                Some("integer") => value.is_u64() || value.is_i64(),
                Some("number") => value.is_number(),
                Some("null") => value.is_null(),
                _ => return Err(format!("unknown type {rule}")),
            },
            "const" => value == rule,
            "enum" => rule.as_array().is_some_and(|values| values.contains(value)),
            "minimum" => value.as_f64() >= rule.as_f64(),
            "maximum" => value.as_f64() <= rule.as_f64(),
            "minLength" => value.as_str().map(|text| text.chars().count() as u64) >= rule.as_u64(),
            "maxLength" => value.as_str().map(|text| text.chars().count() as u64) <= rule.as_u64(),
            "required" => rule.as_array().is_some_and(|names| {
                names.iter().all(|name| name.as_str().is_some_and(|name| value.get(name).is_some()))
            }),
            "properties" => {
                for (name, schema) in rule.as_object().ok_or("properties is an object")? {
                    if let Some(value) = value.get(name) {
                        check(schema, value).map_err(|error| format!("{name}: {error}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                for (name, value) in value.as_object().ok_or("an object is wanted")? {
                    check(rule, value).map_err(|error| format!("{name}: {error}"))?;
                }
                true
            }
            "oneOf" => {
                let fitting = rule
                    .as_array()
                    .map(|any| any.iter().filter(|schema| check(schema, value).is_ok()).count());
                fitting == Some(1)
            }
            other => return Err(format!("unknown keyword {other}")),
        };
        if !holds {
            return Err(format!("{keyword} {rule} does not hold for {value}"));
        }
    }
    Ok(())
}

fn written() -> Vec<Message> {
    let options = |input, output| CallOptions {
        id: Uuid::nil(),
        organization: Uuid::nil(),
        caller: None,
        meter: voice_core::metrics::Meter::default(),
        input,
        output,
        profile: Profile::Full,
        greeting: false,
        recording: Recorded::default(),
    };
    let text = || "text".to_owned();
    let turn = |turn| {
        let (ledger, total_ms) = ledger_ms(&[("endpoint", 1), ("stt", 2)]);
        Message::Turn {
            turn,
            said: text(),
            reply: text(),
            heard: text(),
            interrupted: true,
            ledger,
            total_ms,
            by_person: turn == 1,
        }
    };
    vec![
        Message::session(&options(None, OutputFormat::Wav), None),
        Message::session(&options(Some(DeclaredInput::Opus), OutputFormat::Ogg), Some(text())),
        Message::session(
            &options(
                Some(DeclaredInput::Ulaw { rate: 8_000, channels: 2 }),
                OutputFormat::Ulaw { rate: 8_000 },
            ),
            None,
        ),
        Message::session(
            &options(
                Some(DeclaredInput::Pcm16 { rate: 48_000, channels: 1 }),
                OutputFormat::Pcm16 { rate: 48_000 },
            ),
            Some(text()),
        ),
        Message::Transcript { turn: 1, text: text(), is_final: true },
        Message::Reply { turn: 1, text: text() },
        // The greeting is turn 0.
        Message::Reply { turn: 0, text: text() },
        Message::SpeechStarted,
        Message::SpeechEnded,
        Message::Clear { reply: 0 },
        turn(1),
        turn(0),
        Message::Notice { code: text(), text: text() },
        Message::Error { code: text(), text: text() },
    ]
}

#[test]
fn every_example_fits_its_schema_and_no_other_of_its_side() {
    let sections = sections();
    assert_eq!(sections.len(), 16);
    for ((side, name), section) in &sections {
        for ((other_side, other), schema) in &sections {
            let fits = check(&schema.schema, &section.example);
            if (side, name) == (other_side, other) {
                assert_eq!(fits, Ok(()), "{name}");
            } else if side == other_side {
                assert!(fits.is_err(), "the example of {name} passes for {other}");
            }
        }
    }
}

#[test]
fn every_example_of_a_client_is_read() {
    for ((_, name), section) in sections().iter().filter(|((side, _), _)| side == "Client") {
        let read = messages::parse(&section.example.to_string());
        assert!(read.is_ok(), "{name}: {read:?}");
    }
}

#[test]
fn what_the_server_writes_fits_the_document_and_nothing_is_undocumented() {
    let sections = sections();
    let mut seen = BTreeSet::new();
    for message in written() {
        let value: Value = serde_json::from_str(&message.encode(1)).expect("JSON");
        let name = value["type"].as_str().expect("a type").to_owned();
        let section = sections
            .get(&("Server".to_owned(), name.clone()))
            .unwrap_or_else(|| panic!("{name} is undocumented"));
        assert_eq!(check(&section.schema, &value), Ok(()), "{name}");
        let documented = section.schema["properties"].as_object().expect("properties");
        for field in value.as_object().expect("an object").keys() {
            assert!(documented.contains_key(field), "{name}.{field} is undocumented");
        }
        seen.insert(name);
    }
    let documented = sections.keys().filter(|(side, _)| side == "Server").count();
    assert_eq!(seen.len(), documented, "a documented message is never written");
}

/// The first column of the table behind a heading.
fn listed(heading: &str) -> BTreeSet<String> {
    let document = include_str!("../../docs/PROTOCOL.md");
    let part = document.split(&format!("{heading}\n")).nth(1).expect("the heading");
    let rows = part.lines().skip_while(|line| !line.starts_with("|--")).skip(1);
    rows.take_while(|line| line.starts_with('|'))
        .flat_map(|line| line.split('|').nth(1).expect("a column").split(','))
        .map(|code| code.trim().trim_matches('`').to_owned())
        .collect()
}

#[test]
fn the_codes_of_notices_and_errors_are_those_that_are_sent() {
    let notices = [NoticeCode::SttFailed, NoticeCode::LlmFailed, NoticeCode::TtsFailed];
    let sources = [include_str!("actor.rs"), include_str!("actor/duties.rs")];
    let of_actor = sources.iter().flat_map(|source| {
        source.split("Message::Notice { code: \"").skip(1).filter_map(|rest| rest.split('"').next())
    });
    let notices = notices.iter().map(|code| code.as_str()).chain(of_actor);
    assert_eq!(listed("### Server: `notice`"), notices.map(str::to_owned).collect());
    let source = include_str!("inbound.rs");
    let said = source.split("say(outbox, \"").skip(1).filter_map(|rest| rest.split('"').next());
    assert_eq!(listed("### Server: `error`"), said.chain([REFUSED]).map(str::to_owned).collect());
}

#[test]
fn the_close_codes_are_those_that_are_sent() {
    let sources = [
        include_str!("actor.rs"),
        include_str!("actor/duties.rs"),
        include_str!("engine.rs"),
        include_str!("frames.rs"),
        include_str!("inbound.rs"),
        include_str!("resume.rs"),
    ];
    let mut sent = BTreeSet::new();
    for program in sources.map(|source| source.split("#[cfg(test)]").next().expect("a beginning")) {
        // Which codes a client may send is a list of ranges.
        let lines = program.lines().filter(|line| !line.contains("..=") && !line.trim().starts_with("//"));
        for word in lines.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')) {
            // 1005 stands for a close without a code.
            if matches!(word.parse::<u16>(), Ok(1000..=1004 | 1006..=1015 | 4400..=4499)) {
                sent.insert(word.to_owned());
            }
        }
    }
    assert_eq!(listed("## Closing"), sent);
}

#[test]
fn the_checker_refuses_what_does_not_fit() {
    let schema =
        json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "integer", "minimum": 1}}});
    for (value, fits) in [
        (json!({"a": 1}), true),
        (json!({"a": 0}), false),
        (json!({"a": "1"}), false),
        (json!({}), false),
        (json!([]), false),
    ] {
        assert_eq!(check(&schema, &value).is_ok(), fits, "{value}");
    }
    assert!(check(&json!({"pattern": "x"}), &json!("x")).is_err(), "an unknown keyword");
}
