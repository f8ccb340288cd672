//! What goes back to the model: its own calls in a form that every server takes, and why there is no result.
//!
//! Pure text. Caller: [`super::ToolLoop`].

use serde_json::{Value, json};

use crate::llm::ToolCall;

use super::is_tool_name;

/// Bytes of one call's arguments. A viewing or a search needs some hundred.
const MAX_ARGUMENTS: usize = 64 << 10;

/// Reads a call's arguments, and brings the call into a form that every server takes back: some parse the arguments
/// again, some check the name.
pub(super) fn tidy(call: &mut ToolCall) -> Option<Value> {
    if !is_tool_name(&call.name) {
        call.name = "unknown_tool".to_owned();
    }
    // No arguments at all is what some models write for an empty object.
    if matches!(call.arguments.trim(), "" | "null") {
        call.arguments = "{}".to_owned();
    }
    let small = call.arguments.len() <= MAX_ARGUMENTS;
    let parsed = if small { serde_json::from_str(&call.arguments).ok() } else { None };
    let arguments = parsed.filter(Value::is_object);
    if arguments.is_none() {
        call.arguments = "{}".to_owned();
    }
    arguments
}

/// A result that tells the model why there is none.
pub(super) fn refusal(why: &str) -> String {
    json!({ "error": why }).to_string()
}

/// The start of a text, up to `most` bytes.
pub(super) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
