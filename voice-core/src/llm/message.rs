//! What a conversation with a model is made of: messages, and the tools that it may ask for.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One contribution to the conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Whose words.
    pub role: Role,
    /// The words: of the assistant only what the caller heard, of a tool its result as JSON.
    pub text: String,
    /// Tools that the assistant asked for with this message. A [`Role::Tool`] message for each must follow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
    /// Of a tool's message: the [`ToolCall::id`] that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<String>,
}

impl Message {
    /// A message of words.
    pub fn new(role: Role, text: impl Into<String>) -> Self {
        Self { role, text: text.into(), calls: Vec::new(), answers: None }
    }

    /// The assistant asks for tools, perhaps with words before that.
    pub fn calling(text: impl Into<String>, calls: Vec<ToolCall>) -> Self {
        Self { calls, ..Self::new(Role::Assistant, text) }
    }

    /// What a tool gave for the call with this id.
    pub fn result(call: impl Into<String>, text: impl Into<String>) -> Self {
        Self { answers: Some(call.into()), ..Self::new(Role::Tool, text) }
    }
}

/// Whose words a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Standing instructions and facts.
    System,
    /// The caller.
    User,
    /// Our voice.
    Assistant,
    /// A tool that the assistant asked for.
    Tool,
}

/// A model's wish to use a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Names the call within one conversation.
    pub id: String,
    /// Which tool, as the model wrote it.
    pub name: String,
    /// What the model wrote for arguments. Should be a JSON object; may be anything.
    pub arguments: String,
}

/// What a model is told about a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// Up to 64 letters, digits, `_` and `-`.
    pub name: String,
    /// What the tool does and when to use it, for the model.
    pub description: String,
    /// JSON Schema of the arguments; an object.
    pub parameters: Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_written_without_the_fields_of_tools_and_read_without_them() {
        let message = Message::new(Role::User, "Hi");
        let text = r#"{"role":"user","text":"Hi"}"#;
        assert_eq!(serde_json::to_string(&message).expect("plain data"), text);
        assert_eq!(serde_json::from_str::<Message>(text).expect("as written"), message);
    }
}
