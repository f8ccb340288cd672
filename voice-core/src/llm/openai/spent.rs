//! What one answer takes, in tokens: as the server tells it, or by the length of the texts where it does not.
//!
//! An answer that is dropped before its end has cost all the same: what was sent and what had come by then is booked
//! when the account is dropped. A request that was refused costs nothing. Caller: `client`.

use crate::error::ProviderError;
use crate::llm::{LlmEvent, LlmRequest, Usage};
use crate::metrics::{Measure, Meter};

/// The account of one answer.
pub(super) struct Spent {
    meter: Meter,
    provider: &'static str,
    model: Box<str>,
    read: u64,
    written: u64,
    asked: bool,
    told: bool,
}

/// Characters of one token, of English text with usual models. Other languages take more tokens than that.
const TOKEN: u64 = 4;
/// What the form of one message takes, in characters.
const FORM: u64 = 16;

impl Spent {
    pub(super) fn new(provider: &'static str, model: &str, request: &LlmRequest) -> Self {
        let of_call = |arguments: &str, name: &str| chars(arguments) + chars(name) + FORM;
        let messages = request.messages.iter().map(|message| {
            let calls = message.calls.iter().map(|call| of_call(&call.arguments, &call.name));
            chars(&message.text) + FORM + calls.sum::<u64>()
        });
        let read = messages.sum();
        Self {
            meter: request.meter.clone(),
            provider,
            model: model.into(),
            read,
            written: 0,
            asked: false,
            told: false,
        }
    }

    /// The server takes the request.
    pub(super) fn note_asked(&mut self) {
        self.asked = true;
    }

    /// A part of the answer came.
    pub(super) fn note_event(&mut self, event: &Result<LlmEvent, ProviderError>) {
        match event {
            Ok(LlmEvent::Delta(text)) => self.written += chars(text),
            Ok(LlmEvent::ToolCall(call)) => self.written += chars(&call.arguments) + chars(&call.name) + FORM,
            // A server that counts nothing has not told.
            Ok(LlmEvent::Usage(usage)) if *usage != Usage::default() => {
                self.told = true;
                self.book(Measure::Input, usage.input.saturating_sub(usage.cached), false);
                self.book(Measure::Cached, usage.cached, false);
                self.book(Measure::Output, usage.output, false);
            }
            _ => {}
        }
    }

    fn book(&self, measure: Measure, tokens: u64, estimated: bool) {
        if tokens > 0 {
            self.meter.count(self.provider, &self.model, measure, estimated).add(tokens);
        }
    }
}

impl Drop for Spent {
    fn drop(&mut self) {
        if self.asked && !self.told {
            self.book(Measure::Input, self.read.div_ceil(TOKEN), true);
            self.book(Measure::Output, self.written.div_ceil(TOKEN), true);
        }
    }
}

fn chars(text: &str) -> u64 {
    text.chars().count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SessionId;
    use crate::llm::{Message, Role};

    fn spent(meter: &Meter) -> Spent {
        let messages = vec![Message::new(Role::User, "a".repeat(84))];
        let mut request = LlmRequest::new(SessionId::random(), messages, "en");
        request.meter = meter.clone();
        Spent::new("openai", "m", &request)
    }

    fn quantities(meter: &Meter) -> Vec<(Measure, u64, bool)> {
        meter.used().iter().map(|used| (used.measure, used.quantity, used.estimated)).collect()
    }

    #[test]
    fn what_a_server_tells_is_booked_once_and_what_it_read_before_apart() {
        let meter = Meter::start();
        let mut one = spent(&meter);
        one.note_asked();
        one.note_event(&Ok(LlmEvent::Delta("some words".to_owned())));
        one.note_event(&Ok(LlmEvent::Usage(Usage { input: 100, cached: 60, output: 7, reasoning: 2 })));
        drop(one);
        let expected =
            [(Measure::Input, 40, false), (Measure::Cached, 60, false), (Measure::Output, 7, false)];
        assert_eq!(quantities(&meter), expected);
    }

    #[test]
    fn an_answer_that_is_dropped_is_estimated_and_a_refused_one_costs_nothing() {
        let meter = Meter::start();
        drop(spent(&meter));
        assert_eq!(quantities(&meter), []);
        let mut one = spent(&meter);
        one.note_asked();
        one.note_event(&Ok(LlmEvent::Delta("nine char".to_owned())));
        one.note_event(&Ok(LlmEvent::Usage(Usage::default())));
        drop(one);
        assert_eq!(quantities(&meter), [(Measure::Input, 25, true), (Measure::Output, 3, true)]);
    }
}
