//! The body of a chat completion request.
//!
//! OpenAI takes messages in any order. Templates behind other servers can refuse a system message that is not the
//! first, or two messages of one side in a row, and fail the whole call; for them the same conversation is written in
//! the strictest order. Facts stay beside the question that they are for, so that what the server has read before, up
//! to the last question, is read from its cache.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::llm::{LlmRequest, Message, Role, ToolCall, ToolSpec, ToolUse};

use super::{Dialect, OpenAiConfig};

/// Fields that are written here and cannot be extras.
pub(super) const FIELDS: [&str; 14] = [
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "model",
    "n",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning_effort",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "functions",
];

/// The JSON of one request.
///
/// ```
/// use voice_core::ids::SessionId;
/// use voice_core::llm::openai::{OpenAiConfig, request::encode_request};
/// use voice_core::llm::{LlmRequest, Message, Role};
/// let config = OpenAiConfig::builder().base_url("http://127.0.0.1:8080/v1").model("m").build()?;
/// let asked = LlmRequest::new(SessionId::random(), vec![Message::new(Role::User, "Hi")], "en");
/// let body = String::from_utf8(encode_request(&config, &asked)).unwrap();
/// assert!(body.contains(r#""messages":[{"role":"user","content":"Hi"}]"#), "{body}");
/// # Ok::<(), voice_core::llm::openai::OpenAiConfigError>(())
/// ```
pub fn encode_request(config: &OpenAiConfig, request: &LlmRequest) -> Vec<u8> {
    let is_openai = config.dialect == Dialect::OpenAi;
    let messages = if is_openai {
        request.messages.iter().map(Cow::Borrowed).collect()
    } else {
        in_strict_order(&request.messages)
    };
    let body = Body {
        model: &config.model,
        messages: messages.iter().map(|message| Written(message)).collect(),
        stream: true,
        stream_options: StreamOptions { include_usage: true },
        max_completion_tokens: config.max_tokens.filter(|_| is_openai),
        max_tokens: config.max_tokens.filter(|_| !is_openai),
        temperature: config.temperature.map(shortest),
        reasoning_effort: config.reasoning_effort.as_deref(),
        tools: request.tools.iter().map(Offered).collect(),
        tool_choice: (request.tool_use == ToolUse::Forbidden && !request.tools.is_empty()).then_some("none"),
        // Questions of one call go where the conversation so far has been read.
        prompt_cache_key: is_openai.then(|| request.session.to_string()),
        extra: &config.extra,
    };
    // All keys are texts and no number is infinite, so this cannot fail.
    serde_json::to_vec(&body).unwrap_or_default()
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Written<'a>>,
    stream: bool,
    stream_options: StreamOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Offered<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_cache_key: Option<String>,
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// A message as the servers want it.
struct Written<'a>(&'a Message);

impl<'a> Serialize for Written<'a> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            role: Role,
            /// Beside calls, null: Ollama drops the calls beside an empty text, llama.cpp wants the field to be there.
            content: Option<&'a str>,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            tool_calls: Vec<Asked<'a>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            tool_call_id: Option<&'a str>,
        }
        #[derive(Serialize)]
        struct Asked<'a> {
            id: &'a str,
            r#type: &'static str,
            function: Function<'a>,
        }
        #[derive(Serialize)]
        struct Function<'a> {
            name: &'a str,
            arguments: &'a str,
        }
        let asked = |call: &'a ToolCall| Asked {
            id: &call.id,
            r#type: "function",
            function: Function { name: &call.name, arguments: &call.arguments },
        };
        let Message { role, text, calls, answers } = self.0;
        let fields = Fields {
            role: *role,
            content: (calls.is_empty() || !text.is_empty()).then_some(text),
            tool_calls: calls.iter().map(asked).collect(),
            tool_call_id: answers.as_deref(),
        };
        fields.serialize(serializer)
    }
}

/// A tool as the servers want it.
struct Offered<'a>(&'a ToolSpec);

impl Serialize for Offered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            r#type: &'static str,
            function: &'a ToolSpec,
        }
        Fields { r#type: "function", function: self.0 }.serialize(serializer)
    }
}

/// The number as it was written: 0.3, not 0.30000001192092896.
fn shortest(number: f32) -> f64 {
    number.to_string().parse().unwrap_or_else(|_| f64::from(number))
}

/// One system message first, then the caller and the assistant in turns; tools directly behind who asked for them.
fn in_strict_order(messages: &[Message]) -> Vec<Cow<'_, Message>> {
    let mut system: Vec<Cow<'_, str>> = Vec::new();
    let mut facts: Vec<&str> = Vec::new();
    let mut turns: Vec<Cow<'_, Message>> = Vec::new();
    for message in messages {
        match message.role {
            Role::System if turns.is_empty() => system.push(Cow::Borrowed(&message.text)),
            Role::System => facts.push(&message.text),
            Role::Assistant if turns.is_empty() && message.calls.is_empty() => {
                system.push(Cow::Owned(format!("You began the call with: {}", message.text)));
            }
            Role::User if !facts.is_empty() => {
                let text = format!("{}\n\nThe caller says: {}", facts.join("\n\n"), message.text);
                facts.clear();
                append(&mut turns, Cow::Owned(Message::new(Role::User, text)));
            }
            Role::User | Role::Assistant | Role::Tool => append(&mut turns, Cow::Borrowed(message)),
        }
    }
    // Facts without a question after them.
    system.extend(facts.into_iter().map(Cow::Borrowed));
    if !system.is_empty() {
        turns.insert(0, Cow::Owned(Message::new(Role::System, system.join("\n\n"))));
    }
    turns
}

/// Adds a message or, where the same side spoke last, its words.
fn append<'a>(turns: &mut Vec<Cow<'a, Message>>, message: Cow<'a, Message>) {
    match turns.last_mut() {
        Some(last) if last.role == message.role && message.role != Role::Tool && last.calls.is_empty() => {
            let last = last.to_mut();
            last.text = [last.text.as_str(), message.text.as_str()].join("\n").trim().to_owned();
            last.calls.clone_from(&message.calls);
        }
        _ => turns.push(message),
    }
}
