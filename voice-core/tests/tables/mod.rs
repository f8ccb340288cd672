//! Tables of `fixtures/wire`, and what every parser must do with what is no message.
//!
//! Shared by the tests of provider wire formats.
#![allow(dead_code, unreachable_pub)]

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use voice_core::error::ProviderError;
use voice_core::wire::parse_retry_after;

/// The rows of a table.
pub fn table<T: DeserializeOwned>(folder: &str, name: &str) -> Vec<T> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/wire");
    let text = std::fs::read_to_string(format!("{root}/{folder}/{name}.json")).expect("a table");
    let rows: Vec<T> = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{folder}/{name}: {e}"));
    assert!(!rows.is_empty(), "{folder}/{name} has no rows");
    rows
}

/// What stands for a message in a table: a text for its bytes, anything else for its JSON.
pub fn bytes_of(message: &Value) -> String {
    message.as_str().map_or_else(|| message.to_string(), str::to_owned)
}

/// An error has this kind and this text, and repeats nothing that was said.
pub fn check_error(name: &str, error: &ProviderError, kind: &str, text: Option<&str>) {
    let debug = format!("{error:?}");
    assert!(debug.starts_with(&format!("{kind} ")), "{name}: {debug}");
    assert!(!debug.contains("hush"), "{name}: {debug}");
    if let Some(text) = text {
        assert_eq!(error.to_string(), text, "{name}");
    }
}

/// An HTTP answer that is no success.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Refusal {
    name: String,
    status: u16,
    retry_after: Option<String>,
    body: Value,
    kind: String,
    error: String,
    retry_after_ms: Option<u64>,
}

/// Every row of a folder's `errors` becomes the error that stands beside it.
pub fn check_refusals(folder: &str, parse: impl Fn(u16, Option<Duration>, &[u8]) -> ProviderError) {
    for row in table::<Refusal>(folder, "errors") {
        let after = row.retry_after.as_deref().and_then(parse_retry_after);
        let body = bytes_of(&row.body);
        let error = parse(row.status, after, body.as_bytes());
        check_error(&row.name, &error, &row.kind, Some(&row.error));
        let told = match error {
            ProviderError::Limited { retry_after, .. } => retry_after,
            _ => None,
        };
        assert_eq!(told, row.retry_after_ms.map(Duration::from_millis), "{}", row.name);
        // Whatever else the body is, the status still says what can be done, and nothing of it is repeated.
        for_each_damage(&body, |damaged| {
            let error = parse(row.status, after, damaged.as_bytes());
            assert!(!error.to_string().contains("hush"), "{}: {error}", row.name);
        });
    }
}

/// The end of a socket.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Close {
    name: String,
    code: Option<u16>,
    reason: String,
    kind: String,
    error: Option<String>,
}

/// Every row of a folder's `closes` becomes the error that stands beside it.
pub fn check_closes(folder: &str, parse: impl Fn(Option<u16>, &str) -> ProviderError) {
    for row in table::<Close>(folder, "closes") {
        let error = parse(row.code, &row.reason);
        check_error(&row.name, &error, &row.kind, row.error.as_deref());
    }
}

/// The text cut at every place and with every byte replaced: most of these are no messages any more.
pub fn for_each_damage(text: &str, mut with: impl FnMut(&str)) {
    for (at, old) in text.char_indices() {
        with(&text[..at]);
        for new in ['\0', '"', '9', '}', 'é'] {
            with(&format!("{}{new}{}", &text[..at], &text[at + old.len_utf8()..]));
        }
    }
}
