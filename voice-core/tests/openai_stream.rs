//! Streamed answers of every server: what comes of the bytes, however they are cut, broken or forged.

use serde::Deserialize;
use serde_json::{Value, json};
use voice_core::error::ProviderError;
use voice_core::llm::openai::wire::ReplyReader;
use voice_core::llm::{FinishReason, LlmEvent};
use voice_core::sim::Random;

const TABLES: [&str; 5] = ["openai", "ollama", "vllm", "llama_cpp", "other"];

#[derive(Deserialize)]
struct Table {
    provider: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    /// Objects stand for data, texts for bytes.
    stream: Vec<Value>,
    events: Vec<Value>,
}

impl Case {
    fn bytes(&self) -> Vec<u8> {
        let item = |item: &Value| match item {
            Value::String(text) => text.clone(),
            data => format!("data: {data}\n\n"),
        };
        self.stream.iter().map(item).collect::<String>().into_bytes()
    }

    fn whole(&self) -> usize {
        self.bytes().len()
    }
}

fn tables() -> Vec<(&'static str, Vec<Case>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/wire/openai_chat");
    let read = |name: &&str| {
        let text = std::fs::read_to_string(format!("{folder}/{name}.json")).expect("a table");
        let table: Table = serde_json::from_str(&text).expect("its form");
        // A provider's name lives as long as the program.
        (&*Box::leak(table.provider.into_boxed_str()), table.cases)
    };
    TABLES.iter().map(read).collect()
}

type Event = Result<LlmEvent, ProviderError>;

/// Gives the pieces one after the other and collects what comes, checking that nothing comes after the end.
fn read<'a>(provider: &'static str, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
    let mut reader = ReplyReader::new(provider);
    let mut events = Vec::new();
    for piece in pieces {
        reader.push(piece);
        events.extend(std::iter::from_fn(|| reader.poll_event()));
    }
    reader.finish();
    events.extend(std::iter::from_fn(|| reader.poll_event()));
    assert!(reader.is_over());
    reader.push(b"data: {\"choices\":[{\"delta\":{\"content\":\"late\"}}]}\n\ndata: [DONE]\n\n");
    reader.finish();
    assert!(reader.poll_event().is_none(), "something after the end");
    let is_end = |event: &Event| matches!(event, Ok(LlmEvent::Done(_)) | Err(_));
    assert_eq!(events.iter().filter(|e| is_end(e)).count(), 1, "{events:?}");
    assert!(events.last().is_some_and(is_end), "{events:?}");
    events
}

fn as_value(event: &Event) -> Value {
    match event {
        Ok(LlmEvent::Delta(text)) => json!({ "say": text }),
        Ok(LlmEvent::Filler(text)) => json!({ "filler": text }),
        Ok(LlmEvent::ToolCall(call)) => json!({ "call": call }),
        Ok(LlmEvent::Usage(u)) => {
            json!({"usage": {"input": u.input, "cached": u.cached, "output": u.output, "reasoning": u.reasoning}})
        }
        Ok(LlmEvent::Done(reason)) => json!({"done": match reason {
            FinishReason::Stop => "stop",
            FinishReason::Length => "length",
            FinishReason::ToolCalls => "tool_calls",
            FinishReason::Refused => "refused",
            FinishReason::Filtered => "filtered",
            _ => "unknown",
        }}),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

fn values(events: &[Event]) -> Vec<Value> {
    events.iter().map(as_value).collect()
}

/// All text of the answer.
fn said(events: &[Event]) -> String {
    let text = |event: &Event| match event {
        Ok(LlmEvent::Delta(text)) => text.clone(),
        _ => String::new(),
    };
    events.iter().map(text).collect()
}

#[test]
fn every_server_is_understood() {
    let mut cases = 0;
    for (provider, table) in tables() {
        for case in table {
            let events = read(provider, [&*case.bytes()]);
            assert_eq!(values(&events), case.events, "{provider}: {}", case.name);
            cases += 1;
        }
    }
    assert!(cases >= 50, "{cases} cases");
}

#[test]
fn every_split_of_every_stream_gives_the_same() {
    for (provider, table) in tables() {
        for case in table {
            let bytes = case.bytes();
            let by_byte = read(provider, bytes.chunks(1));
            assert_eq!(values(&by_byte), case.events, "{provider}: {} byte by byte", case.name);
            for at in 0..=bytes.len() {
                let (one, two) = bytes.split_at(at);
                let events = read(provider, [one, two]);
                assert_eq!(values(&events), case.events, "{provider}: {} split at {at}", case.name);
            }
        }
    }
}

#[test]
fn a_stream_that_is_cut_anywhere_is_never_taken_for_a_whole_one() {
    for (provider, table) in tables() {
        for case in table {
            let bytes = case.bytes();
            let whole = read(provider, [&*bytes]);
            let Some(reason) = case.events.last().and_then(|end| end.get("done")) else { continue };
            for at in 0..case.whole() {
                let events = read(provider, [&bytes[..at]]);
                let label = format!("{provider}: {} cut at {at}", case.name);
                assert!(said(&whole).starts_with(&said(&events)), "{label}");
                match values(&events).last().expect("an end").get("done") {
                    // The end was there; what is missing is the cost or the last line.
                    Some(end) => {
                        assert_eq!(end, reason, "{label}");
                        assert_eq!(said(&events), said(&whole), "{label}");
                    }
                    None => assert!(matches!(events.last(), Some(Err(_))), "{label}"),
                }
                let is_call = |event: &&Event| matches!(event, Ok(LlmEvent::ToolCall(_)));
                let calls: Vec<Value> = events.iter().filter(is_call).map(as_value).collect();
                let all: Vec<Value> = whole.iter().filter(is_call).map(as_value).collect();
                assert!(calls.is_empty() || calls == all, "{label}: a call that is not whole");
            }
        }
    }
}

#[test]
fn flipped_bits_give_events_or_an_error_and_one_end() {
    let mut errors = 0;
    for (provider, table) in tables() {
        for case in table {
            let bytes = case.bytes();
            for at in 0..bytes.len() {
                for bit in [0, 2, 5, 7] {
                    let mut broken = bytes.clone();
                    broken[at] ^= 1 << bit;
                    // The rules of `read` are what is tested.
                    errors += usize::from(read(provider, [&*broken]).iter().any(Result::is_err));
                }
            }
        }
    }
    assert!(errors > 1_000, "{errors}");
}

#[test]
fn shuffled_doubled_and_lost_messages_are_no_trouble() {
    let pool: Vec<String> = tables()
        .into_iter()
        .flat_map(|(_, table)| table)
        .flat_map(|case| case.stream)
        .map(|item| match item {
            Value::String(text) => text,
            data => format!("data: {data}\n\n"),
        })
        .collect();
    for seed in 0..3_000 {
        let mut random = Random::new(seed);
        let stream: String = (0..random.below(12)).map(|_| random.pick(&pool).as_str()).collect();
        let size = 1 + random.below(40) as usize;
        let whole = values(&read("any", [stream.as_bytes()]));
        assert_eq!(values(&read("any", stream.as_bytes().chunks(size))), whole, "seed {seed}");
    }
}

#[test]
fn no_error_repeats_what_a_server_said() {
    for (provider, table) in tables() {
        for case in table {
            for event in read(provider, [&*case.bytes()]) {
                assert!(!event.is_err_and(|error| error.to_string().contains("hush")), "{}", case.name);
            }
        }
    }
}

fn delta(delta: &Value) -> Vec<u8> {
    format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta}]})).into_bytes()
}

fn error_of(events: &[Event]) -> String {
    match events.last() {
        Some(Err(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_answer_without_end_ends_at_its_longest_length() {
    let piece = delta(&json!({"content": "ü".repeat(1_000)}));
    let mut reader = ReplyReader::new("openai");
    let (mut bytes, mut end) = (0, None);
    for _ in 0..1_000 {
        reader.push(&piece);
        while let Some(event) = reader.poll_event() {
            match event.expect("no error") {
                LlmEvent::Delta(text) => bytes += text.len(),
                other => end = Some(other),
            }
        }
    }
    assert_eq!(bytes, 64 << 10);
    assert_eq!(end, Some(LlmEvent::Done(FinishReason::Length)));
}

#[test]
fn calls_lines_and_labels_without_end_are_refused() {
    let fragment = |index: u64, id: &str, arguments: &str| {
        delta(
            &json!({"tool_calls": [{"index": index, "id": id, "function": {"name": "a", "arguments": arguments}}]}),
        )
    };
    let many: Vec<u8> = (0..65).flat_map(|n| fragment(n, "", "{}")).collect();
    assert!(error_of(&read("openai", [&*many])).ends_with("tool calls without end"));
    let unnumbered: Vec<u8> = (0..65).flat_map(|n| fragment(0, &format!("id{n}"), "{}")).collect();
    assert!(error_of(&read("openai", [&*unnumbered])).ends_with("tool calls without end"));
    let long: Vec<u8> = (0..70).flat_map(|_| fragment(0, "", &"x".repeat(1_000))).collect();
    assert!(error_of(&read("openai", [&*long])).ends_with("a tool call without end"));
    let label = fragment(0, &"x".repeat(300), "");
    assert!(error_of(&read("openai", [&*label])).ends_with("a tool call without end"));
    let line = vec![b'x'; 3 << 20];
    assert!(error_of(&read("openai", line.chunks(10_000))).ends_with("a message without end"));
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    let deep = format!("data: {}\n\n", "[".repeat(100_000));
    assert!(error_of(&read("openai", [deep.as_bytes()])).ends_with("a message that is not JSON"));
}

#[test]
fn the_reader_tells_when_only_the_end_is_missing() {
    let mut reader = ReplyReader::new("openai");
    reader.push(&delta(&json!({"content": "Yes."})));
    assert!(!reader.is_settled());
    reader.push(b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
    assert!(reader.is_settled() && !reader.is_over());
    reader.finish();
    let last = std::iter::from_fn(|| reader.poll_event()).last().expect("an end").expect("no error");
    assert_eq!(last, LlmEvent::Done(FinishReason::Stop));
}
