//! Whatever a caller or recogniser comes up with: the concierge answers, briefly, and with figures of the data only.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use futures::{FutureExt, StreamExt};
use proptest::prelude::*;
use voice_core::ids::SessionId;
use voice_core::llm::concierge::{Concierge, sample_listings, sample_listings_json};
use voice_core::llm::{FinishReason, LanguageModel, LlmEvent, LlmRequest, Message, Role};
use voice_core::text::chunker::Chunker;
use voice_core::text::spoken_numbers::read_numbers;
use voice_core::text::words::split_words;

/// All numbers of a text, written or spoken, as written.
fn numbers(text: &str) -> HashSet<String> {
    let words = split_words(text);
    let mut found: HashSet<String> =
        words.iter().filter(|w| w.bytes().any(|b| b.is_ascii_digit())).cloned().collect();
    found.extend(read_numbers(&words).iter().map(|(_, n)| n.to_string()));
    found
}

/// Every number in digits of an answer.
fn figures(answer: &str) -> Vec<String> {
    split_words(answer).into_iter().filter(|w| w.bytes().any(|b| b.is_ascii_digit())).collect()
}

/// What a caller may say: words of the trade in any order, and any characters at all.
fn utterance() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "how", "much", "many", "is", "the", "it", "one", "does", "have", "a", "pool", "garage", "price",
        "of", "1208", "Maple", "Street", "oak", "drive", "make", "pull", "lake", "avenue", "unit", "12",
        "under", "over", "between", "and", "five", "hundred", "thousand", "million", "half", "$500,000",
        "1.2", "three", "bedroom", "bedrooms", "baths", "condo", "house", "homes", "rent", "cheapest",
        "bigger", "newest", "compare", "second", "first", "other", "both", "which", "what", "about", "see",
        "saturday", "at", "ten", "10:30", "tomorrow", "yes", "no", "thanks", "my", "name", "number", "call",
        "me", "taxes", "hoa", "schools", "where", "who", "agent", "dallas", "austin", "downtown", "built",
        "after", "2010", "2000", "square", "feet", "repeat", "than", "with", "in", "for", "a.m.", "k",
        "1210", "14", "am", "i", "noon", "past", "lot", "acre", "sold", "lease", "sale", "to", "ate",
        "point", "zero", "oh", "99", "them", "elm", "not",
    ]);
    prop_oneof![
        8 => prop::collection::vec(word, 0..14).prop_map(|words| words.join(" ")),
        1 => any::<String>(),
        1 => "[ -~]{0,300}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_conversation_is_answered_from_the_data(talk in prop::collection::vec(utterance(), 1..7)) {
        let concierge = Concierge::new(sample_listings().clone());
        let mut known = numbers(sample_listings_json());
        let mut messages: Vec<Message> = Vec::new();
        for text in talk {
            known.extend(numbers(&text));
            messages.push(Message::new(Role::User, text));
            let answer = concierge.answer(&messages);
            prop_assert!(!answer.trim().is_empty());
            prop_assert!(answer.len() < 900, "{}", answer);
            for figure in figures(&answer) {
                prop_assert!(known.contains(&figure), "{figure} is from nowhere: {answer}");
            }
            messages.push(Message::new(Role::Assistant, answer));
        }
    }

    #[test]
    fn messages_of_any_role_and_text_are_no_trouble(
        talk in prop::collection::vec((0..4u8, prop_oneof![utterance(), any::<String>()]), 0..40),
    ) {
        let role = |n| [Role::System, Role::User, Role::Assistant, Role::Tool][usize::from(n)];
        let messages: Vec<Message> = talk.into_iter().map(|(n, text)| Message::new(role(n), text)).collect();
        let answer = Concierge::new(sample_listings().clone()).answer(&messages);
        prop_assert!(!answer.trim().is_empty());
    }
}

#[test]
fn the_stream_is_the_answer_in_clauses() {
    let concierge = Concierge::new(sample_listings().clone());
    let messages = vec![Message::new(Role::User, "Does 1208 Maple Street have a garage?")];
    let request = LlmRequest::new(SessionId::random(), messages.clone(), "en");
    let events: Vec<LlmEvent> = concierge
        .reply(request)
        .map(|event| event.unwrap())
        .collect::<Vec<_>>()
        .now_or_never()
        .expect("nothing to wait for");
    assert_eq!(events.last(), Some(&LlmEvent::Done(FinishReason::Stop)));
    let deltas: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            LlmEvent::Delta(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert!(deltas.len() > 1);
    assert_eq!(deltas.concat(), concierge.answer(&messages));
}

#[test]
fn speech_starts_with_a_short_clause() {
    let concierge = Concierge::new(sample_listings().clone());
    for question in [
        "Hello",
        "How much is 1208 Maple Street?",
        "Does 310 Oak Drive have a garage?",
        "homes under 400 thousand",
        "what is the cheapest home",
        "tell me about the bungalow",
        "how many condos",
        "who are you",
        "thanks",
        "Can I see 45 Lake Avenue on Saturday at ten?",
        "compare maple street and oak drive",
        "homes in Dallas",
        "hm",
        "is 77 cedar lane still available",
        "what schools are near 77 cedar lane",
        "a castle with ten bedrooms",
    ] {
        let answer = concierge.answer(&[Message::new(Role::User, question)]);
        let mut chunker = Chunker::default();
        chunker.push_delta(&answer);
        chunker.finish();
        let first = chunker.poll_clause().unwrap();
        let words = first.split_whitespace().count();
        assert!((3..=5).contains(&words), "{question:?} starts with {first:?} of {answer:?}");
    }
}

#[test]
fn an_answerer_without_homes_says_so() {
    let concierge = Concierge::new(Default::default());
    for question in
        ["hello", "homes under 400 thousand", "how much is it", "how many homes do you have", "the cheapest"]
    {
        let answer = concierge.answer(&[Message::new(Role::User, question)]);
        assert!(!answer.is_empty() && figures(&answer).is_empty(), "{answer}");
    }
}
