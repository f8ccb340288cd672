//! Which homes a question means without naming them: "it", "the second one", "the condo", "the one with the pool".
//!
//! Pure; caller: `understand`.

use super::criteria::{Criteria, phrase};
use super::homes::Facts;
use super::listing::Status;
use super::memory::Memory;
use super::question::{Extreme, asked_extreme};

/// The homes meant, in the order they were named; empty where the words point at none.
pub(super) fn referred(words: &[String], memory: &Memory, facts: &Facts) -> Vec<usize> {
    if searches_many(words) {
        return Vec::new();
    }
    ordinal(words, memory)
        .or_else(|| other(words, memory))
        .or_else(|| better(words, memory, facts))
        .or_else(|| described(words, memory, facts))
        .or_else(|| pronoun(words, memory))
        .unwrap_or_default()
}

/// Whether the words speak of homes in general and not of one that was named.
pub(super) fn searches_many(words: &[String]) -> bool {
    let plural = words.iter().any(|w| {
        matches!(
            w.as_str(),
            "homes"
                | "houses"
                | "condos"
                | "condominiums"
                | "apartments"
                | "townhouses"
                | "townhomes"
                | "bungalows"
                | "properties"
                | "listings"
                | "rentals"
                | "places"
                | "options"
                | "anything"
                | "something"
                | "flats"
        )
    });
    plural && !phrase(words, &["anything", "else", "about"]) || indefinite(words)
}

/// "a condo", "a three-bedroom house", "one with a pool": any such home. "Is it a condo?" is about one.
fn indefinite(words: &[String]) -> bool {
    if words.iter().any(|w| matches!(w.as_str(), "it" | "it's" | "its")) {
        return false;
    }
    let any = words.iter().enumerate().any(|(at, w)| {
        let noun = matches!(
            w.as_str(),
            "home"
                | "house"
                | "condo"
                | "condominium"
                | "apartment"
                | "townhouse"
                | "townhome"
                | "bungalow"
                | "place"
                | "rental"
                | "flat"
                | "property"
                | "studio"
        );
        noun && words[at.saturating_sub(5)..at]
            .iter()
            .rev()
            .take_while(|w| !matches!(w.as_str(), "the" | "that" | "this"))
            .any(|w| matches!(w.as_str(), "a" | "an" | "any" | "another"))
    });
    any || phrase(words, &["have", "one", "with"]) || phrase(words, &["looking", "for"])
}

fn is_one(word: &str) -> bool {
    matches!(
        word,
        "one"
            | "home"
            | "house"
            | "condo"
            | "apartment"
            | "townhouse"
            | "townhome"
            | "bungalow"
            | "place"
            | "rental"
            | "property"
            | "listing"
            | "flat"
            | "condominium"
    )
}

fn ordinal(words: &[String], memory: &Memory) -> Option<Vec<usize>> {
    for (at, word) in words.iter().enumerate() {
        let next = words.get(at + 1).map_or("", String::as_str);
        if !(next.is_empty()
            || is_one(next)
            || matches!(next, "of" | "please" | "have" | "cost" | "then" | "and"))
        {
            continue;
        }
        let place = match word.as_str() {
            "first" | "1st" => 0,
            "second" | "2nd" => 1,
            "third" | "3rd" => 2,
            "fourth" | "4th" => 3,
            "last" => memory.shown.len().checked_sub(1)?,
            _ => continue,
        };
        return memory.shown.get(place).map(|home| vec![*home]);
    }
    None
}

fn other(words: &[String], memory: &Memory) -> Option<Vec<usize>> {
    let has = |list: &[&str]| words.iter().any(|w| list.contains(&w.as_str()));
    if phrase(words, &["other", "one"]) || phrase(words, &["the", "other"]) {
        let others: Vec<usize> =
            memory.shown.iter().copied().filter(|home| Some(*home) != memory.focus).collect();
        return (others.len() == 1).then_some(others);
    }
    let all = has(&["both", "them", "those", "they", "these", "each"]) && memory.shown.len() > 1;
    all.then(|| memory.shown.clone())
}

/// "the cheaper one" of those shown.
fn better(words: &[String], memory: &Memory, facts: &Facts) -> Option<Vec<usize>> {
    let extreme = asked_extreme(words)?;
    let one = words.iter().any(|w| w == "one")
        && words.iter().any(|w| w == "the")
        && !words.iter().any(|w| w == "which");
    if !one || memory.shown.len() < 2 || extreme == Extreme::Nearest {
        return None;
    }
    extreme.pick(&memory.shown, facts).map(|home| vec![home])
}

/// "the condo", "that three-bedroom", "the one with the pool".
fn described(words: &[String], memory: &Memory, facts: &Facts) -> Option<Vec<usize>> {
    if asked_extreme(words).is_some() && !words.iter().any(|w| matches!(w.as_str(), "or" | "than" | "too")) {
        return None;
    }
    let mut found: Vec<usize> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        if !matches!(word.as_str(), "the" | "that" | "this" | "your") {
            continue;
        }
        let noun = (at + 1..words.len().min(at + 6)).find(|i| is_one(&words[*i]));
        let home = noun.and_then(|noun| described_home(words, at, noun, memory, facts));
        found.extend(home.filter(|home| !found.contains(home)));
    }
    (!found.is_empty()).then_some(found)
}

/// The home that the words from "the" at `at` to the noun describe, with what follows in "the one with a pool".
fn described_home(words: &[String], at: usize, noun: usize, memory: &Memory, facts: &Facts) -> Option<usize> {
    let next = words.get(noun + 1).map_or("", String::as_str);
    let goes_on = matches!(next, "with" | "in" | "that" | "downtown" | "for" | "under");
    let end = if goes_on { words.len() } else { noun + 1 };
    let criteria = Criteria::read(&words[at..end], &[], &facts.places, false);
    if !criteria.is_set() {
        return memory.focus;
    }
    let fits = |home: &usize| facts.listings.at(*home).is_some_and(|listing| criteria.fits(listing));
    if let Some(home) = memory.focus.filter(|home| fits(home) && words[noun] != "one") {
        return Some(home);
    }
    let shown: Vec<usize> = memory.shown.iter().copied().filter(|home| fits(home)).collect();
    if let [home] = shown[..] {
        return Some(home);
    }
    // Of all homes a sold one is hardly meant.
    let open = |home: &usize| facts.listings.at(*home).is_some_and(|l| l.status != Status::Closed);
    let mut all = (0..facts.listings.all().len()).filter(|home| fits(home) && open(home));
    if let (Some(home), None) = (all.next(), all.next()) {
        return Some(home);
    }
    // The one last spoken of where several fit; "the house" of a condo is loosely meant.
    let fitting = memory.focus.filter(fits);
    let plain = noun == at + 1 && matches!(words[noun].as_str(), "house" | "place" | "apartment");
    fitting.or(memory.focus.filter(|_| plain))
}

fn pronoun(words: &[String], memory: &Memory) -> Option<Vec<usize>> {
    let points = words.iter().any(|w| {
        matches!(w.as_str(), "it" | "it's" | "its" | "that" | "this" | "that's" | "he" | "she")
            || w == "itself"
    });
    points.then_some(memory.focus?).map(|home| vec![home])
}
