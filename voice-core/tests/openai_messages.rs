//! What is sent to chat completion servers, and what their refusals mean.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use voice_core::error::ProviderError;
use voice_core::ids::SessionId;
use voice_core::llm::openai::OpenAiConfig;
use voice_core::llm::openai::failure::parse_failure;
use voice_core::llm::openai::request::encode_request;
use voice_core::llm::{LlmRequest, Message, ToolSpec, ToolUse};
use voice_core::sim::Random;

fn table<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/wire/openai_chat");
    let text = std::fs::read_to_string(format!("{folder}/{name}.json")).expect("a table");
    serde_json::from_str(&text).expect("its form")
}

#[derive(Deserialize)]
struct Sent {
    name: String,
    config: Config,
    request: Request,
    body: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    base_url: String,
    model: Option<String>,
    max_tokens: Option<u32>,
    temperature: Option<f32>,
    reasoning_effort: Option<String>,
    #[serde(default)]
    extra: Map<String, Value>,
}

#[derive(Deserialize)]
struct Request {
    messages: Vec<Message>,
    #[serde(default)]
    tools: Vec<ToolSpec>,
    #[serde(default)]
    forbidden: bool,
}

fn config(given: Config) -> OpenAiConfig {
    let mut builder = OpenAiConfig::builder().base_url(given.base_url).key("sk-hush");
    if let Some(model) = given.model {
        builder = builder.model(model);
    }
    if let Some(tokens) = given.max_tokens {
        builder = builder.max_tokens(tokens);
    }
    if let Some(temperature) = given.temperature {
        builder = builder.temperature(temperature);
    }
    if let Some(effort) = given.reasoning_effort {
        builder = builder.reasoning_effort(effort);
    }
    for (field, value) in given.extra {
        builder = builder.extra(field, value);
    }
    builder.build().expect("good settings")
}

#[test]
fn every_server_gets_the_body_that_it_takes() {
    for sent in table::<Sent>("requests") {
        let mut request = LlmRequest::new(SessionId::random(), sent.request.messages, "en");
        request.tools = sent.request.tools.into();
        request.tool_use = if sent.request.forbidden { ToolUse::Forbidden } else { ToolUse::Allowed };
        let text = String::from_utf8(encode_request(&config(sent.config), &request)).expect("UTF-8");
        assert!(!text.contains("hush"), "the key is no part of a body");
        let mut body: Value = serde_json::from_str(&text).expect("JSON");
        if let Some(key) = body.get_mut("prompt_cache_key") {
            assert_eq!(*key, request.session.to_string());
            *key = "SESSION".into();
        }
        assert_eq!(body, sent.body, "{}", sent.name);
    }
}

#[test]
fn strict_servers_never_get_two_of_one_side_or_a_late_system_message() {
    use voice_core::llm::{Role, ToolCall};
    let config = OpenAiConfig::builder().base_url("http://127.0.0.1:8080/v1").build().expect("fine");
    for seed in 0..2_000 {
        let mut random = Random::new(seed);
        let messages: Vec<Message> = (0..random.below(12))
            .flat_map(|n| match random.below(5) {
                0 => vec![Message::new(Role::System, "fact")],
                1 | 2 => vec![Message::new(Role::User, "said")],
                3 => vec![Message::new(Role::Assistant, "heard")],
                _ => {
                    let id = n.to_string();
                    let call = ToolCall { id: id.clone(), name: "a".into(), arguments: "{}".into() };
                    vec![Message::calling("", vec![call]), Message::result(id, "1")]
                }
            })
            .collect();
        let given = messages.len();
        let request = LlmRequest::new(SessionId::random(), messages, "en");
        let body: Value = serde_json::from_slice(&encode_request(&config, &request)).expect("JSON");
        let written = body["messages"].as_array().expect("messages");
        assert!(written.len() <= given);
        let mut before = "";
        for (at, message) in written.iter().enumerate() {
            let role = message["role"].as_str().expect("a role");
            assert!(role != "system" || at == 0, "seed {seed}: {body}");
            let again = role == before && (role == "user" || role == "assistant");
            assert!(!again, "seed {seed}: {body}");
            before = role;
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refused {
    name: String,
    provider: String,
    status: u16,
    headers: BTreeMap<String, String>,
    body: Value,
    kind: String,
    error: String,
    retry_after_ms: Option<u64>,
}

impl Refused {
    fn bytes(&self) -> Vec<u8> {
        match &self.body {
            Value::String(text) => text.clone().into_bytes(),
            body => body.to_string().into_bytes(),
        }
    }

    fn parse(&self, body: &[u8]) -> ProviderError {
        let provider: &'static str = Box::leak(self.provider.clone().into_boxed_str());
        parse_failure(provider, self.status, |name| self.headers.get(name).map(String::as_str), body)
    }
}

fn kind(error: &ProviderError) -> &'static str {
    match error {
        ProviderError::Unreachable { .. } => "Unreachable",
        ProviderError::Unauthorised { .. } => "Unauthorised",
        ProviderError::OutOfCredit { .. } => "OutOfCredit",
        ProviderError::Misconfigured { .. } => "Misconfigured",
        ProviderError::Rejected { .. } => "Rejected",
        ProviderError::Limited { .. } => "Limited",
        ProviderError::Failed { .. } => "Failed",
        _ => "another",
    }
}

#[test]
fn refusals_are_sorted_by_what_can_be_done() {
    for refused in table::<Refused>("errors") {
        let error = refused.parse(&refused.bytes());
        assert_eq!(error.to_string(), refused.error, "{}", refused.name);
        assert_eq!(kind(&error), refused.kind, "{}", refused.name);
        let after = match error {
            ProviderError::Limited { retry_after, .. } => retry_after,
            _ => None,
        };
        assert_eq!(after, refused.retry_after_ms.map(Duration::from_millis), "{}", refused.name);
        assert!(!refused.error.contains("hush"));
    }
}

#[test]
fn a_refusal_that_cannot_be_read_is_sorted_by_its_status() {
    for refused in table::<Refused>("errors") {
        let bytes = refused.bytes();
        for at in 0..bytes.len() {
            let cut = refused.parse(&bytes[..at]);
            assert!(!cut.to_string().contains("hush"), "{} cut at {at}: {cut}", refused.name);
            for bit in [0, 5] {
                let mut broken = bytes.clone();
                broken[at] ^= 1 << bit;
                assert!(!refused.parse(&broken).to_string().contains("hush"), "{} at {at}", refused.name);
            }
        }
    }
    for (status, expected) in [(401, "Unauthorised"), (429, "Limited"), (500, "Failed"), (503, "Unreachable")]
    {
        for body in
            [&b""[..], b"{", b"[]", b"null", b"7", b"\xFF", b"{\"error\":[]}", b"{\"error\":{\"code\":1e9}}"]
        {
            assert_eq!(kind(&parse_failure("openai", status, |_| None, body)), expected);
        }
    }
}

#[test]
fn times_to_come_back_never_overflow() {
    for value in
        ["1e308", "99999999999999999999h", "9999999999999999999999", "-1", "NaN", "", ".", "1.1.1s", "s", "5"]
    {
        for name in ["retry-after", "retry-after-ms", "x-ratelimit-reset-requests"] {
            let header = |asked: &str| match asked {
                "x-ratelimit-remaining-requests" => Some("0"),
                _ if asked == name => Some(value),
                _ => None,
            };
            let ProviderError::Limited { retry_after, .. } = parse_failure("openai", 429, header, b"") else {
                panic!("{name}: {value}");
            };
            assert!(retry_after.is_none_or(|after| after <= Duration::from_secs(3_600)), "{name}: {value}");
        }
    }
}
