//! The local answerer: finds out what a caller asks about homes and says what the listings say, nothing else.
//!
//! No network, no model, no chance: the same conversation gives the same answer within a millisecond. It books
//! nothing and promises nothing; wishes are said to go to the team because the conversation is kept for it. Invariant:
//! every figure in an answer comes from a listing or from the caller. Whose listings: those of the request's
//! [`HomeSource`], where it has one, else its own. Path of a question: `memory` (what was spoken
//! of) → `understand` and `talk` with `mishear`, `streets`, `criteria`, `numbers`, `refer`, `when`, `fact` → `answer`
//! with `tell`.

mod answer;
mod criteria;
mod fact;
mod homes;
pub mod listing;
mod memory;
mod mishear;
mod numbers;
mod question;
mod refer;
mod reso;
mod streets;
mod talk;
mod tell;
mod understand;
mod wanted;
mod when;

use futures::stream::{self, BoxStream, StreamExt};

use crate::error::ProviderError;
use crate::llm::{FinishReason, LanguageModel, LlmEvent, LlmRequest, Message, Role};

pub use homes::{HomeSource, Homes};
pub use listing::{
    HomeKind, Listing, ListingError, Listings, Pool, Status, sample_listings, sample_listings_json,
};

pub use wanted::{NamedStreet, Wanted};

use homes::Facts;
use memory::Memory;
use understand::understand;

/// A deterministic answerer over a set of listings.
///
/// ```
/// use voice_core::llm::concierge::{Concierge, sample_listings};
/// use voice_core::llm::{Message, Role};
/// let concierge = Concierge::new(sample_listings().clone());
/// let asked = Message::new(Role::User, "How much is 1208 Maple Street?");
/// assert!(concierge.answer(&[asked]).contains("$525,000"));
/// ```
#[derive(Clone, Debug)]
pub struct Concierge {
    homes: Homes,
}

impl Concierge {
    /// An answerer that knows `listings` and nothing else.
    pub fn new(listings: Listings) -> Self {
        Self { homes: Homes::all_of(listings) }
    }

    /// An answerer for the sample listings, which are in Austin, Texas, and nowhere for sale.
    pub fn with_samples() -> Self {
        Self::new(sample_listings().clone())
    }

    /// The answer to the last message, which should be the caller's; never empty. Without one it greets.
    pub fn answer(&self, messages: &[Message]) -> String {
        answer_from(self.homes.facts(), messages)
    }

    /// Street names and agents, the words a recogniser should expect; the streets come first.
    pub fn key_terms(&self) -> Vec<String> {
        let mut terms: Vec<String> = Vec::new();
        let listings = self.homes.listings().all();
        let streets = listings.iter().map(|l| format!("{} {}", l.street, l.suffix).trim().to_owned());
        let areas =
            listings.iter().filter_map(|l| l.area.clone()).chain(listings.iter().map(|l| l.city.clone()));
        for term in streets.chain(areas).chain(listings.iter().filter_map(|l| l.agent.clone())) {
            if !terms.contains(&term) {
                terms.push(term);
            }
        }
        terms
    }
}

impl LanguageModel for Concierge {
    fn name(&self) -> &'static str {
        "concierge"
    }

    fn reply(&self, request: LlmRequest) -> BoxStream<'static, Result<LlmEvent, ProviderError>> {
        let this = self.clone();
        // Nothing is worked out before the stream is polled; once the homes are there all of it is ready at once.
        stream::once(async move {
            let homes = match &request.homes {
                Some(source) => source.homes(memory::said_lately(&request.messages)).await?,
                None => this.homes,
            };
            Ok(answer_from(homes.facts(), &request.messages))
        })
        .flat_map(|answer| {
            let events = match answer {
                Ok(answer) => {
                    let deltas = split_deltas(&answer).into_iter().map(LlmEvent::Delta);
                    deltas.chain([LlmEvent::Done(FinishReason::Stop)]).map(Ok).collect()
                }
                Err(error) => vec![Err(error)],
            };
            stream::iter(events)
        })
        .boxed()
    }
}

/// The answer to the last message, from these homes.
fn answer_from(facts: &Facts, messages: &[Message]) -> String {
    let Some(last) = messages.iter().rposition(|m| m.role == Role::User) else {
        return answer::greeting(facts);
    };
    let memory = Memory::recall(&messages[..last], facts);
    let question = understand(&messages[last].text, &memory, facts);
    answer::answer(&question, &memory, facts)
}

/// Cuts an answer behind the pauses, each piece with the space that tells the chunker that the pause is one.
fn split_deltas(answer: &str) -> Vec<String> {
    let mut deltas: Vec<String> = Vec::new();
    let mut pause = true;
    for word in answer.split_inclusive(' ') {
        match deltas.last_mut() {
            Some(last) if !pause => last.push_str(word),
            _ => deltas.push(word.to_owned()),
        }
        pause = word.trim_end().ends_with([',', '.', '?', '!', ':', ';']);
    }
    deltas
}
