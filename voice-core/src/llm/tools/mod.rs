//! Tools: what a model may ask for before it answers, and the loop that gives it the results.
//!
//! A [`Tool`] is one thing that can be done, a [`Toolbox`] the checked set of them. [`ToolLoop`] decides, without clock
//! or sockets, what runs when and what the model is told; [`ToolUser`] carries that out around any
//! [`LanguageModel`](super::LanguageModel). Invariants: one answer a question, bounded rounds, every call ends in a
//! result, nothing with an effect runs before the commit barrier opens or twice in one answer.

mod rounds;
mod schema;
mod told;
#[cfg(feature = "runtime")]
mod user;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value;

pub use rounds::{CallKey, ToolLoop, ToolOrder};
pub use schema::{ArgumentSchema, SchemaError};
#[cfg(feature = "runtime")]
pub use user::ToolUser;

use super::ToolSpec;
use crate::ids::SessionId;

/// Something that a model can have done: look listings up, book a viewing.
pub trait Tool: Send + Sync {
    /// Up to 64 letters, digits, `_` and `-`; the model calls it by this name.
    fn name(&self) -> &str;

    /// What it does and when to use it, for the model.
    fn description(&self) -> &str;

    /// JSON Schema of its arguments; see [`ArgumentSchema`] for what is supported.
    fn parameters(&self) -> Value;

    /// Whether it changes anything.
    fn effect(&self) -> Effect;

    /// Longest time it may take, up to a minute. `None`: [`ToolLimits::time`].
    fn time_limit(&self) -> Option<Duration> {
        None
    }

    /// Whether it is known to take long, so that the caller is told at once.
    fn is_slow(&self) -> bool {
        false
    }

    /// Does it. `call.arguments` fit the schema. Must not block.
    ///
    /// Dropping the future cancels, which happens when the time is over, the caller interrupts or hangs up. A tool
    /// whose effect must not stop half-way hands it to a task of its own.
    fn call(&self, call: Invocation) -> BoxFuture<'static, Result<Value, ToolError>>;
}

/// Whether a tool changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It only looks. It may run for words that turn out not to be final, and several at a time.
    ReadOnly,
    /// It changes something outside. It runs after the commit barrier has opened, one at a time, in order.
    Changes,
}

/// One use of a tool.
#[derive(Clone, Debug, PartialEq)]
pub struct Invocation {
    /// Which call asks: what its caller may see and change is fixed there, not by the arguments.
    pub session: SessionId,
    /// BCP 47 language of the answer.
    pub language: String,
    /// A JSON object that fits the schema.
    pub arguments: Value,
}

/// Why a tool gave nothing. The text goes to the model, so that it can tell the caller or try something else: one plain
/// sentence without internals.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ToolError(pub String);

/// A checked set of tools.
#[derive(Clone, Default)]
pub struct Toolbox {
    entries: Arc<[Entry]>,
    specs: Arc<[ToolSpec]>,
}

#[derive(Clone)]
struct Entry {
    tool: Arc<dyn Tool>,
    schema: ArgumentSchema,
}

/// A tool that cannot be registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ToolboxError {
    /// Models and servers take only some characters.
    #[error("a tool's name has 1 to 64 letters, digits, _ and -, unlike {0}")]
    Name(String),
    /// Two tools of one name.
    #[error("there are two tools named {0}")]
    Twice(String),
    /// Every tool is read by the model before each answer.
    #[error("there are more than {MAX_TOOLS} tools")]
    TooMany,
    /// The arguments' schema cannot be checked.
    #[error("the schema of {tool} cannot be used")]
    Schema {
        /// Of which tool.
        tool: String,
        /// Why.
        source: SchemaError,
    },
}

/// Tools in one box. OpenAI takes 128; well before that a model chooses badly and reads long.
pub const MAX_TOOLS: usize = 64;
/// Length of a name that every server takes.
const MAX_NAME: usize = 64;
/// A caller waits in silence or behind one filler: no tool may take longer.
const MAX_TIME: Duration = Duration::from_secs(60);

impl Toolbox {
    /// Checks and keeps tools. The model sees them in this order.
    ///
    /// # Errors
    /// A name or a schema that cannot be used, two tools of one name, or too many.
    pub fn new(tools: impl IntoIterator<Item = Arc<dyn Tool>>) -> Result<Self, ToolboxError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut specs: Vec<ToolSpec> = Vec::new();
        for tool in tools {
            let name = tool.name().to_owned();
            if !is_tool_name(&name) {
                return Err(ToolboxError::Name(name));
            }
            if specs.iter().any(|spec| spec.name == name) {
                return Err(ToolboxError::Twice(name));
            }
            if specs.len() == MAX_TOOLS {
                return Err(ToolboxError::TooMany);
            }
            let parameters = tool.parameters();
            let schema = ArgumentSchema::parse(&parameters)
                .map_err(|source| ToolboxError::Schema { tool: name.clone(), source })?;
            specs.push(ToolSpec { name, description: tool.description().to_owned(), parameters });
            entries.push(Entry { tool, schema });
        }
        Ok(Self { entries: entries.into(), specs: specs.into() })
    }

    /// What a model is told about them.
    pub fn specs(&self) -> Arc<[ToolSpec]> {
        self.specs.clone()
    }

    /// The tool at a place, as [`ToolOrder::Run`] names it.
    pub fn tool(&self, place: usize) -> Option<&Arc<dyn Tool>> {
        self.entries.get(place).map(|entry| &entry.tool)
    }

    fn place_of(&self, name: &str) -> Option<usize> {
        self.specs.iter().position(|spec| spec.name == name)
    }

    /// Whether the tool at a place has an effect.
    fn changes(&self, place: usize) -> bool {
        self.entries.get(place).is_some_and(|entry| entry.tool.effect() == Effect::Changes)
    }

    fn entry(&self, place: usize) -> &Entry {
        // Places come from `place_of` only, and a box does not change.
        &self.entries[place]
    }
}

impl fmt::Debug for Toolbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.specs.iter().map(|spec| &spec.name)).finish()
    }
}

/// Whether every server takes this for the name of a tool.
pub(super) fn is_tool_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// How far a tool loop goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolLimits {
    /// Times that a model may ask for tools before it must answer, default 4. Each costs the caller one more wait for
    /// the model's first word. 0: it may not.
    pub rounds: u32,
    /// Calls in one round, default 8. Calls beyond are answered with an error.
    pub calls: usize,
    /// Time for one tool that has no limit of its own, default 5 s. A tool that takes longer is cancelled, and the
    /// model is told.
    pub time: Duration,
    /// Longest wait for the commit barrier, default 6 s. Then the tools with effects are answered with an error.
    /// Like `silence` under the 8 s after which the turn machine gives an answer up, so that the model can say why.
    pub commit: Duration,
    /// Longest silence of the model, default 6 s: no event at all. Then the answer fails.
    pub silence: Duration,
    /// Bytes of one result as JSON, default 8,192, some 2,000 tokens to read before the answer. A longer result is not
    /// cut, since half a figure is a wrong figure, but answered with an error that asks for less.
    pub result_bytes: usize,
    /// How long a round of tools may take before the filler comes, default 700 ms: about the pause after which a caller
    /// asks whether anybody is there. Where the model has just said something, 2 s more.
    pub filler_after: Duration,
    /// What is said then, once an answer: whole sentences. Empty: nothing, and no later filler either. Without it a tool
    /// with effects runs only where the model says something before it, or the session opens the barrier on other
    /// grounds.
    pub filler: String,
    /// How long after a filler the next one comes while tools still run, default 5 s: before the caller hangs up, and
    /// before the turn machine gives the answer up for want of words.
    pub filler_every: Duration,
    /// What is said then, as often as it takes. Empty: nothing.
    pub filler_again: String,
}

impl Default for ToolLimits {
    fn default() -> Self {
        Self {
            rounds: 4,
            calls: 8,
            time: Duration::from_secs(5),
            commit: Duration::from_secs(6),
            silence: Duration::from_secs(6),
            result_bytes: 8_192,
            filler_after: Duration::from_millis(700),
            filler: "One moment, let me check.".to_owned(),
            filler_every: Duration::from_secs(5),
            filler_again: "Still checking, one more moment.".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use serde_json::json;

    use super::*;

    struct Named(&'static str, Value);

    impl Tool for Named {
        fn name(&self) -> &str {
            self.0
        }
        fn description(&self) -> &str {
            "does nothing"
        }
        fn parameters(&self) -> Value {
            self.1.clone()
        }
        fn effect(&self) -> Effect {
            Effect::ReadOnly
        }
        fn call(&self, _call: Invocation) -> BoxFuture<'static, Result<Value, ToolError>> {
            std::future::ready(Ok(Value::Null)).boxed()
        }
    }

    fn toolbox(names: &[&'static str]) -> Result<Toolbox, ToolboxError> {
        let tool = |name: &&'static str| Arc::new(Named(name, json!({"type": "object"}))) as Arc<dyn Tool>;
        Toolbox::new(names.iter().map(tool).collect::<Vec<_>>())
    }

    #[test]
    fn tools_keep_their_order_and_are_found_by_name() {
        let toolbox = toolbox(&["search", "book-viewing", "A_1"]).expect("good names");
        let names: Vec<String> = toolbox.specs().iter().map(|spec| spec.name.clone()).collect();
        assert_eq!(names, ["search", "book-viewing", "A_1"]);
        assert_eq!(toolbox.place_of("A_1"), Some(2));
        assert_eq!(toolbox.place_of("a_1"), None);
        assert_eq!(toolbox.tool(1).map(|tool| tool.name()), Some("book-viewing"));
    }

    #[test]
    fn a_box_with_a_wrong_tool_is_refused() {
        for name in ["", "two words", "größe", "a.b"] {
            assert_eq!(toolbox(&[name]).err(), Some(ToolboxError::Name(name.to_owned())));
        }
        assert_eq!(toolbox(&["a", "a"]).err(), Some(ToolboxError::Twice("a".to_owned())));
        let schema = Named("a", json!({"type": "object", "oneOf": []}));
        let refused = Toolbox::new([Arc::new(schema) as Arc<dyn Tool>]).err();
        assert!(matches!(refused, Some(ToolboxError::Schema { tool, .. }) if tool == "a"));
        let names: Vec<&'static str> =
            (0..=MAX_TOOLS).map(|n| &*Box::leak(format!("t{n}").into_boxed_str())).collect();
        assert!(toolbox(&names[..MAX_TOOLS]).is_ok());
        assert_eq!(toolbox(&names).err(), Some(ToolboxError::TooMany));
    }
}
