//! What every language model keeps (`voice_core::llm`).

use std::sync::Arc;

use futures::StreamExt as _;
use serde_json::json;
use voice_core::error::ProviderError;
use voice_core::ids::SessionId;
use voice_core::llm::{
    FinishReason, LanguageModel, LlmEvent, LlmRequest, Message, Role, ToolCall, ToolSpec, ToolUse,
};
use voice_fixtures::standin::{Cloud, Fault, FaultRule, Moment, Stage, Target};

use crate::{sentences, soon, until};

sentences! { SENTENCES of Model:
    an_answer_is_words_and_then_one_end,
    every_order_of_roles_is_answered,
    the_conversation_is_read_in_order,
    a_tool_is_asked_for_and_its_result_is_read,
    tools_that_are_forbidden_are_not_asked_for,
    an_answer_without_words_ends_too,
    a_conversation_without_measure_ends_too,
    two_answers_at_once_keep_apart,
    a_dropped_answer_is_cancelled_and_the_next_one_comes,
    preparing_ends_and_may_be_dropped,
}

/// A language model, and what is known of it.
#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) llm: Arc<dyn LanguageModel>,
    /// Whether it understands what it is asked; else it says the same to everybody.
    pub(crate) understands: bool,
    /// Whether it knows tools.
    pub(crate) uses_tools: bool,
    /// The stand-ins that it talks to; the last one answers.
    pub(crate) clouds: Vec<Arc<Cloud>>,
}

impl Model {
    /// One that answers whatever it is asked.
    pub(crate) fn new(llm: impl LanguageModel + 'static) -> Self {
        Self { llm: Arc::new(llm), understands: false, uses_tools: false, clouds: Vec::new() }
    }

    /// The same with a stand-in behind it.
    pub(crate) fn of(mut self, cloud: Arc<Cloud>) -> Self {
        self.clouds.push(cloud);
        self
    }

    fn request(&self, messages: Vec<Message>) -> LlmRequest {
        LlmRequest::new(SessionId::random(), messages, "en")
    }

    async fn answer(&self, messages: Vec<Message>) -> Answer {
        self.answer_to(self.request(messages)).await
    }

    /// All of an answer; checks that it ends once and that nothing follows.
    async fn answer_to(&self, request: LlmRequest) -> Answer {
        let mut events = self.llm.reply(request);
        let mut answer = Answer::default();
        while let Some(event) = soon("the next piece of an answer", events.next()).await {
            assert!(answer.end.is_none(), "behind the end: {event:?}");
            match event {
                Ok(LlmEvent::Delta(text)) => answer.text.push_str(&text),
                Ok(LlmEvent::Filler(text)) => panic!("a filler without a tool loop: {text:?}"),
                Ok(LlmEvent::ToolCall(call)) => answer.calls.push(call),
                Ok(LlmEvent::Usage(_)) => answer.costs += 1,
                Ok(LlmEvent::Done(why)) => answer.end = Some(Ok(why)),
                Err(error) => answer.end = Some(Err(error)),
            }
        }
        assert!(answer.end.is_some(), "no end: {answer:?}");
        assert!(answer.costs <= 1, "the cost is told {} times", answer.costs);
        answer
    }
}

/// What an answer came to.
#[derive(Debug, Default)]
struct Answer {
    text: String,
    calls: Vec<ToolCall>,
    costs: u32,
    end: Option<Result<FinishReason, ProviderError>>,
}

impl Answer {
    /// Its words; it must be complete and have some.
    #[track_caller]
    fn words(&self) -> &str {
        let complete = matches!(self.end, Some(Ok(FinishReason::Stop)));
        assert!(complete && self.calls.is_empty() && !self.text.trim().is_empty(), "{self:?}");
        &self.text
    }
}

fn user(text: &str) -> Message {
    Message::new(Role::User, text)
}

fn assistant(text: &str) -> Message {
    Message::new(Role::Assistant, text)
}

fn system(text: &str) -> Message {
    Message::new(Role::System, text)
}

fn search() -> Arc<[ToolSpec]> {
    Arc::new([ToolSpec {
        name: "search_homes".to_owned(),
        description: "Finds homes for sale in a city. Always use it when homes are asked for.".to_owned(),
        parameters: json!({
            "type": "object",
            "properties": {"city": {"type": "string", "description": "The city."}},
            "required": ["city"],
        }),
    }])
}

const HOMES: &str = "Which homes do you have in Austin?";

/// "The stream ends after `Done` or an error."
async fn an_answer_is_words_and_then_one_end(model: &Model) {
    for question in ["Hello, who is there?", "How much is 1208 Maple Street?", "Thank you."] {
        model.answer(vec![user(question)]).await.words();
    }
}

/// Whoever spoke before, "the last message is what the caller just said": greetings, facts in between, a caller who goes on.
async fn every_order_of_roles_is_answered(model: &Model) {
    let orders = [
        vec![system("Be brief."), user("Hello.")],
        vec![assistant("Hello, how can I help?"), user("What do you have?")],
        vec![system("Be brief."), assistant("Hello, how can I help?"), user("What do you have?")],
        vec![user("Hello."), user("Are you there?")],
        vec![user("Hello."), assistant("Hello."), assistant("Still there?"), user("Yes.")],
        vec![user("Hello."), assistant("Hello."), system("The office is open."), user("Are you open?")],
        vec![system("Be brief."), system("The office is open."), user("Are you open?")],
        vec![user("Hello."), assistant(""), user("Are you there?")],
    ];
    for order in orders {
        println!("        {:?}", order.iter().map(|message| message.role).collect::<Vec<_>>());
        model.answer(order).await.words();
    }
}

/// "The conversation so far, oldest first."
async fn the_conversation_is_read_in_order(model: &Model) {
    let conversation = vec![
        system("Answer with one word."),
        user("My first colour is green."),
        assistant("Noted."),
        user("My second colour is red."),
        assistant("Noted."),
        user("What is my first colour?"),
    ];
    let answer = model.answer(conversation).await;
    let words = answer.words().to_lowercase();
    assert!(!model.understands || (words.contains("green") && !words.contains("red")), "{words:?}");
}

/// "The model asks for a tool", whole, and waits; with the result it goes on. "An answerer without tools ignores them."
async fn a_tool_is_asked_for_and_its_result_is_read(model: &Model) {
    let mut messages = vec![user(HOMES)];
    let mut request = model.request(messages.clone());
    request.tools = search();
    let answer = model.answer_to(request.clone()).await;
    if !model.uses_tools {
        answer.words();
        return;
    }
    assert!(matches!(answer.end, Some(Ok(FinishReason::ToolCalls))), "{answer:?}");
    let [call] = &answer.calls[..] else { panic!("one call: {answer:?}") };
    assert!(call.name == "search_homes" && !call.id.is_empty(), "{call:?}");
    let arguments: serde_json::Value = serde_json::from_str(&call.arguments).expect("whole arguments");
    assert!(!model.understands || arguments["city"] == "Austin", "{arguments}");
    messages.push(Message::calling(answer.text.clone(), answer.calls.clone()));
    messages.push(Message::result(call.id.clone(), r#"[{"street": "Barton Drive", "beds": 3}]"#));
    request.messages = messages;
    let answer = model.answer_to(request).await;
    assert!(!model.understands || answer.words().contains("Barton"), "{answer:?}");
}

/// "It sees them, but has to answer in words."
async fn tools_that_are_forbidden_are_not_asked_for(model: &Model) {
    let mut request = model.request(vec![user(HOMES)]);
    request.tools = search();
    request.tool_use = ToolUse::Forbidden;
    model.answer_to(request).await.words();
}

/// A model that has nothing to say ends all the same, by `Done` or, in a line-up, by an error.
async fn an_answer_without_words_ends_too(model: &Model) {
    let answer = model.answer(vec![user(NOTHING)]).await;
    assert!(answer.calls.is_empty(), "{answer:?}");
    assert!(model.clouds.is_empty() || answer.text.is_empty(), "the stand-in was to say nothing: {answer:?}");
}

/// To this the stand-ins say nothing.
pub(crate) const NOTHING: &str = "Answer with an empty message.";

/// More than some models take: an answer or an error that says so, and no wait without an end.
async fn a_conversation_without_measure_ends_too(model: &Model) {
    let talk = |k: usize| {
        [user(&format!("House number {k}, please. {}", "And so on. ".repeat(10))), assistant("Noted.")]
    };
    let mut messages: Vec<Message> = (0..300).flat_map(talk).collect();
    messages.push(user("Hello?"));
    let answer = model.answer(messages).await;
    if !matches!(answer.end, Some(Err(ProviderError::Rejected { .. }))) {
        answer.words();
    }
}

async fn two_answers_at_once_keep_apart(model: &Model) {
    let ask = |word: &str| model.answer(vec![user(&format!("Answer with this one word: {word}."))]);
    let (cedar, maple) = tokio::join!(ask("cedar"), ask("maple"));
    let (cedar, maple) = (cedar.words().to_lowercase(), maple.words().to_lowercase());
    let apart = cedar.contains("cedar") && !cedar.contains("maple") && maple.contains("maple");
    assert!(!model.understands || (apart && !maple.contains("cedar")), "{cedar:?} {maple:?}");
}

/// "Dropping it cancels."
async fn a_dropped_answer_is_cancelled_and_the_next_one_comes(model: &Model) {
    if let Some(cloud) = model.clouds.last() {
        // Says a sentence and then nothing more, so that only the drop can end it.
        let rule = FaultRule::new(Target::Stage(Stage::Llm), Fault::Stall, Moment::After(4)).times(1);
        cloud.faults().add(rule);
    }
    let mut events = model.llm.reply(model.request(vec![user("Hello, who is there?")]));
    let first = soon("the first words", events.next()).await;
    assert!(matches!(first, Some(Ok(LlmEvent::Delta(_)))), "{first:?}");
    drop(events);
    if let Some(cloud) = model.clouds.last() {
        until("the end of the cancelled answer", || cloud.live() == 0).await;
    }
    // Not even asked for.
    drop(model.llm.reply(model.request(vec![user("Hello?")])));
    model.answer(vec![user("Hello, who is there?")]).await.words();
}

/// "Awaited beside the call, and dropped with it."
async fn preparing_ends_and_may_be_dropped(model: &Model) {
    drop(model.llm.prepare(SessionId::random()));
    let mut preparing = model.llm.prepare(SessionId::random());
    let _ = futures::poll!(&mut preparing);
    drop(preparing);
    soon("the end of preparing", model.llm.prepare(SessionId::random())).await;
    model.answer(vec![user("Hello, who is there?")]).await.words();
}
