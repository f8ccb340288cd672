//! The local answerer: finds out what a caller asks about homes and says what the listings say, nothing else.
//!
//! No network, no model, no chance: the same conversation gives the same answer within a millisecond. It books
//! nothing and promises nothing; wishes are said to go to the team because the conversation is kept for it. Invariant:
//! every figure in an answer comes from a listing or from the caller. Path of a question: `memory` (what was spoken
//! of) → `understand` and `talk` with `mishear`, `streets`, `criteria`, `numbers`, `refer`, `when`, `fact` → `answer`
//! with `tell`.

mod answer;
mod criteria;
mod fact;
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
mod when;

use std::collections::HashMap;
use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt};

use crate::error::ProviderError;
use crate::llm::{FinishReason, LanguageModel, LlmEvent, LlmRequest, Message, Role};

pub use listing::{
    HomeKind, Listing, ListingError, Listings, Pool, Status, sample_listings, sample_listings_json,
};

use memory::Memory;
use streets::Streets;
use understand::understand;

/// Everything known, prepared for looking up.
#[derive(Debug)]
struct Facts {
    listings: Listings,
    streets: Streets,
    /// Places of the listings by house number, with their address in full.
    by_number: HashMap<String, Vec<(String, usize)>>,
}

impl Facts {
    fn new(listings: Listings) -> Self {
        let mut by_number: HashMap<String, Vec<(String, usize)>> = HashMap::new();
        for (place, listing) in listings.all().iter().enumerate() {
            by_number.entry(listing.number.clone()).or_default().push((listing.address(), place));
        }
        // A unit's address contains the building's: the longer one is tried first.
        for homes in by_number.values_mut() {
            homes.sort_by_key(|(address, _)| std::cmp::Reverse(address.len()));
        }
        Self { streets: Streets::new(&listings), listings, by_number }
    }

    /// The homes whose address one of our answers has in full, in order, each once.
    fn homes_named_in(&self, text: &str) -> Vec<usize> {
        let mut named: Vec<usize> = Vec::new();
        let mut before = ' ';
        for (at, c) in text.char_indices() {
            let starts = c.is_alphanumeric() && !before.is_alphanumeric();
            before = c;
            if !starts {
                continue;
            }
            let rest = &text[at..];
            let word = rest.split(|c: char| !c.is_alphanumeric() && c != '-').next().unwrap_or("");
            let home =
                self.by_number.get(word).and_then(|homes| homes.iter().find(|(a, _)| rest.starts_with(a)));
            if let Some((_, place)) = home.filter(|(_, place)| !named.contains(place)) {
                named.push(*place);
            }
        }
        named
    }
}

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
    facts: Arc<Facts>,
}

impl Concierge {
    /// An answerer that knows `listings` and nothing else.
    pub fn new(listings: Listings) -> Self {
        Self { facts: Arc::new(Facts::new(listings)) }
    }

    /// An answerer for the sample listings, which are in Austin, Texas, and nowhere for sale.
    pub fn with_samples() -> Self {
        Self::new(sample_listings().clone())
    }

    /// The answer to the last message, which should be the caller's; never empty. Without one it greets.
    pub fn answer(&self, messages: &[Message]) -> String {
        let Some(last) = messages.iter().rposition(|m| m.role == Role::User) else {
            return answer::greeting(&self.facts);
        };
        let memory = Memory::recall(&messages[..last], &self.facts);
        let question = understand(&messages[last].text, &memory, &self.facts);
        answer::answer(&question, &memory, &self.facts)
    }

    /// Street names and agents, the words a recogniser should expect; the streets come first.
    pub fn key_terms(&self) -> Vec<String> {
        let mut terms: Vec<String> = Vec::new();
        let listings = self.facts.listings.all();
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
        // Nothing is worked out before the stream is polled, and all of it is ready at once.
        stream::once(async move { this.answer(&request.messages) })
            .flat_map(|answer| {
                let deltas = split_deltas(&answer).into_iter().map(LlmEvent::Delta);
                stream::iter(deltas.chain([LlmEvent::Done(FinishReason::Stop)]).map(Ok).collect::<Vec<_>>())
            })
            .boxed()
    }
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
