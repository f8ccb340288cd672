//! Tables of conversations with the concierge: what each answer must say and must not.
#![allow(clippy::unwrap_used, unreachable_pub)]

use std::fmt::Write as _;

use voice_core::llm::concierge::{Concierge, Listings};
use voice_core::llm::{Message, Role};
use voice_core::text::chunker::Chunker;

/// A question and what its answer must contain; a leading `!` marks what it must not.
pub type Asked = (&'static str, &'static [&'static str]);

/// Most words of the first clause of an answer: speech starts when it has been made.
const MAX_FIRST_WORDS: usize = 5;

/// Holds the conversations and reports all unexpected answers at once; gives the number of questions.
pub fn hold(listings: &Listings, conversations: &[&[Asked]]) -> usize {
    let concierge = Concierge::new(listings.clone());
    let mut wrong = String::new();
    let mut asked = 0;
    for conversation in conversations {
        let mut messages: Vec<Message> = Vec::new();
        for (question, expected) in *conversation {
            asked += 1;
            messages.push(Message::new(Role::User, *question));
            let answer = concierge.answer(&messages);
            for part in *expected {
                let fits = match part.strip_prefix('!') {
                    Some(absent) => !answer.contains(absent),
                    None => answer.contains(part),
                };
                if !fits {
                    writeln!(wrong, "{question:?} wants {part:?}\n    got {answer:?}").unwrap();
                }
            }
            let first = first_clause(&answer);
            if first.split_whitespace().count() > MAX_FIRST_WORDS {
                writeln!(wrong, "{question:?} starts late: {first:?}\n    got {answer:?}").unwrap();
            }
            messages.push(Message::new(Role::Assistant, answer));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    asked
}

/// The same for questions that stand alone.
pub fn hold_each(listings: &Listings, questions: &[Asked]) -> usize {
    hold(listings, &questions.iter().map(std::slice::from_ref).collect::<Vec<_>>())
}

fn first_clause(answer: &str) -> String {
    let mut chunker = Chunker::default();
    chunker.push_delta(answer);
    chunker.finish();
    chunker.poll_clause().unwrap_or_default()
}
