//! What a caller's words ask of a search in a database, where the homes are too many to be known here.
//!
//! The words are read as for an answer; what is a street or a place among them can only be guessed without the listings, so
//! each guess is a search that may find nothing. Pure; caller: whoever looks homes up for a call.

use crate::text::spoken_numbers::read_numbers;
use crate::text::words::split_words;

use super::criteria::{Criteria, Places};
use super::listing::HomeKind;
use super::mishear::mend;
use super::numbers::Range;
use super::question::{Extreme, asked_extreme};
use super::streets::suffix_of;

/// Words looked at; more than anybody says in one breath, and a bound on the work.
const MAX_WORDS: usize = 120;
/// Streets and places that are guessed of one utterance.
const MOST_GUESSES: usize = 3;
/// Words of a street's name.
const MOST_NAME: usize = 3;
/// Largest house number that is taken for one.
const MAX_HOUSE_NUMBER: f64 = 99_999.0;

/// The words of a text that mean something, mended where a recogniser is known to mishear.
pub(super) fn heard_words(text: &str) -> Vec<String> {
    let cut: String = text.chars().take(MAX_WORDS * 12).collect();
    let mut words = split_words(&cut);
    words.retain(|w| {
        !matches!(w.as_str(), "um" | "uh" | "uhm" | "er" | "erm" | "hmm" | "hm" | "ah" | "please")
    });
    words.truncate(MAX_WORDS);
    mend(&mut words);
    words
}

/// A street that was named, with the house number, if one was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedStreet {
    /// House number in digits.
    pub number: Option<String>,
    /// Words of the name, without what kind of street it is.
    pub name: Vec<String>,
}

/// What the words ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Streets that may be meant, in the order of the words.
    pub streets: Vec<NamedStreet>,
    /// Cities or parts of town that may be meant, in the order of the words.
    pub places: Vec<String>,
    /// Lowest price in whole dollars.
    pub least_price: Option<u64>,
    /// Highest price in whole dollars.
    pub most_price: Option<u64>,
    /// Bedrooms at least.
    pub least_beds: Option<u32>,
    /// Bathrooms at least.
    pub least_baths: Option<f64>,
    /// What it is to be.
    pub kind: Option<HomeKind>,
    /// To be for rent (`true`) or for sale.
    pub lease: Option<bool>,
    /// Whether the dearest are asked for, and not the cheapest.
    pub dearest: bool,
}

impl Wanted {
    /// Reads what is asked for; `None` where the words name no home, nor what one must have.
    ///
    /// ```
    /// use voice_core::llm::concierge::Wanted;
    /// let wanted = Wanted::read("anything in Round Rock under five hundred thousand").expect("a search");
    /// assert_eq!((wanted.places[0].as_str(), wanted.most_price), ("round rock", Some(500_000)));
    /// assert_eq!(Wanted::read("hello there"), None);
    /// ```
    pub fn read(text: &str) -> Option<Self> {
        let words = heard_words(text);
        let mut taken = Vec::new();
        let streets = streets(&words, &mut taken);
        let criteria = Criteria::read(&words, &taken, &Places::default(), false);
        let extreme = asked_extreme(&words);
        let whole = |bound: Option<f64>| bound.filter(|v| v.is_finite() && *v >= 0.0);
        let Range { least, most } = criteria.price;
        let wanted = Self {
            places: places(&words, &taken),
            least_price: whole(least).map(|v| v.floor() as u64),
            most_price: whole(most).map(|v| v.ceil() as u64),
            least_beds: whole(criteria.beds.least).map(|v| v as u32),
            least_baths: whole(criteria.baths.least),
            kind: criteria.kind,
            lease: criteria.lease,
            dearest: extreme == Some(Extreme::Dearest),
            streets,
        };
        let asks = criteria.narrows() || extreme.is_some_and(|extreme| extreme != Extreme::Nearest);
        (asks || !wanted.streets.is_empty() || !wanted.places.is_empty()).then_some(wanted)
    }
}

/// Streets by their house number or by the word that says they are one; `taken` gets the words they take.
fn streets(words: &[String], taken: &mut Vec<(usize, usize)>) -> Vec<NamedStreet> {
    let mut found: Vec<NamedStreet> = Vec::new();
    for (at, number) in read_numbers(words) {
        let value = number.value;
        if value.fract() != 0.0
            || !(1.0..=MAX_HOUSE_NUMBER).contains(&value)
            || is_no_house(words, at, number.words)
        {
            continue;
        }
        let name_at = at + number.words;
        let (name, end) = name_after(words, name_at);
        if !name.is_empty() {
            found.push(NamedStreet { number: Some(number.to_string()), name });
            taken.push((at, end));
        }
    }
    for (at, _) in words.iter().enumerate().filter(|(_, word)| suffix_of(word).is_some()) {
        let is_taken = taken.iter().any(|(start, end)| (*start..*end).contains(&at));
        let start = (at.saturating_sub(2)..at).rev().take_while(|i| is_name(&words[*i])).last();
        if let (false, Some(start)) = (is_taken, start) {
            found.push(NamedStreet { number: None, name: words[start..at].to_vec() });
            taken.push((start, at + 1));
        }
    }
    found.truncate(MOST_GUESSES);
    found
}

/// Whether a number counts something: "three bedrooms", "500 thousand", "under 500".
fn is_no_house(words: &[String], at: usize, length: usize) -> bool {
    let before = at.checked_sub(1).map_or("", |i| words[i].as_str());
    let after = words.get(at + length).map_or("", String::as_str);
    matches!(
        before,
        "$" | "under" | "over" | "below" | "above" | "than" | "least" | "most" | "unit" | "apartment"
    ) || matches!(
        after,
        "thousand"
            | "million"
            | "k"
            | "m"
            | "dollars"
            | "bucks"
            | "percent"
            | "am"
            | "pm"
            | "o'clock"
            | "acre"
    )
}

/// The words of a street's name from `at` on, and where the address ends.
fn name_after(words: &[String], at: usize) -> (Vec<String>, usize) {
    let mut end = at;
    while end < words.len().min(at + MOST_NAME) && is_name(&words[end]) && suffix_of(&words[end]).is_none() {
        end += 1;
    }
    let suffixed = end > at && words.get(end).is_some_and(|word| suffix_of(word).is_some());
    // Without that word only what is next to the number is surely of the name.
    let name_end = if suffixed { end } else { end.min(at + 2) };
    (words[at..name_end].to_vec(), if suffixed { end + 1 } else { name_end })
}

/// Cities and parts of town: what follows "in", "near" and the like.
fn places(words: &[String], taken: &[(usize, usize)]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        if !matches!(word.as_str(), "in" | "near" | "around" | "at" | "of" | "from") {
            continue;
        }
        let start = at + 1 + usize::from(words.get(at + 1).is_some_and(|word| word == "the"));
        let is_taken = |i: usize| taken.iter().any(|(start, end)| (*start..*end).contains(&i));
        let end = (start..words.len().min(start + MOST_NAME))
            .take_while(|i| is_name(&words[*i]) && !is_taken(*i))
            .last();
        if let Some(end) = end {
            found.push(words[start..=end].join(" "));
        }
    }
    found.dedup();
    found.truncate(MOST_GUESSES);
    found
}

/// Whether a word may belong to a name.
fn is_name(word: &str) -> bool {
    word.len() > 1
        && word.chars().all(|c| c.is_alphabetic() || c == '\'')
        && NO_NAMES.binary_search(&word).is_err()
}

/// Words around names, and what is counted or asked about, sorted.
const NO_NAMES: &[&str] = &[
    "about",
    "all",
    "an",
    "and",
    "any",
    "anything",
    "apartment",
    "apartments",
    "are",
    "around",
    "at",
    "available",
    "bath",
    "bathroom",
    "bathrooms",
    "baths",
    "be",
    "bed",
    "bedroom",
    "bedrooms",
    "beds",
    "below",
    "between",
    "but",
    "can",
    "car",
    "cars",
    "cheap",
    "cheaper",
    "cheapest",
    "condo",
    "condos",
    "cost",
    "costs",
    "could",
    "did",
    "do",
    "does",
    "feet",
    "flat",
    "floor",
    "floors",
    "foot",
    "for",
    "from",
    "full",
    "garage",
    "general",
    "get",
    "had",
    "half",
    "has",
    "have",
    "hello",
    "home",
    "homes",
    "house",
    "houses",
    "how",
    "hundred",
    "if",
    "in",
    "is",
    "it",
    "it's",
    "its",
    "less",
    "like",
    "listing",
    "listings",
    "long",
    "many",
    "maximum",
    "me",
    "million",
    "minutes",
    "month",
    "more",
    "most",
    "much",
    "my",
    "near",
    "no",
    "not",
    "of",
    "off",
    "on",
    "one",
    "ones",
    "or",
    "other",
    "our",
    "over",
    "place",
    "please",
    "pool",
    "price",
    "priced",
    "quiet",
    "rent",
    "rental",
    "room",
    "rooms",
    "sale",
    "same",
    "see",
    "show",
    "something",
    "square",
    "still",
    "stories",
    "story",
    "tell",
    "than",
    "thank",
    "thanks",
    "that",
    "the",
    "them",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "thousand",
    "to",
    "today",
    "tomorrow",
    "town",
    "townhouse",
    "townhouses",
    "under",
    "unit",
    "up",
    "want",
    "was",
    "we",
    "what",
    "what's",
    "when",
    "where",
    "which",
    "who",
    "will",
    "with",
    "without",
    "would",
    "years",
    "yes",
    "you",
    "your",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn street(number: Option<&str>, name: &str) -> NamedStreet {
        NamedStreet {
            number: number.map(str::to_owned),
            name: name.split_whitespace().map(str::to_owned).collect(),
        }
    }

    #[test]
    fn addresses_and_streets_are_told_from_numbers_that_count() {
        assert!(NO_NAMES.is_sorted());
        for (text, expected) in [
            ("how much is 12 Foo Street", vec![street(Some("12"), "foo")]),
            ("um twelve oh eight barton hills road please", vec![street(Some("1208"), "barton hills")]),
            ("is 45 lake still available", vec![street(Some("45"), "lake")]),
            ("tell me about the one on Elm Street", vec![street(None, "elm")]),
            ("compare 3 Oak Lane and 5 Elm Court", vec![street(Some("3"), "oak"), street(Some("5"), "elm")]),
            ("three bedrooms and 2 baths under 500 thousand", vec![]),
            ("at least 2000 square feet", vec![]),
            ("one two three", vec![]),
            ("a quiet street", vec![]),
        ] {
            let streets = Wanted::read(text).map(|wanted| wanted.streets).unwrap_or_default();
            assert_eq!(streets, expected, "{text}");
        }
    }

    #[test]
    fn places_prices_and_rooms_are_read() {
        let wanted = Wanted::read("a three bedroom condo in San José for under $450,000").expect("a search");
        assert_eq!(wanted.places, ["san josé"]);
        assert_eq!((wanted.most_price, wanted.least_beds), (Some(450_000), Some(3)));
        assert_eq!((wanted.kind, wanted.dearest), (Some(HomeKind::Condo), false));
        let wanted = Wanted::read("what's your most expensive home").expect("a search");
        assert!(wanted.dearest && wanted.streets.is_empty());
        assert_eq!(Wanted::read("something for rent").expect("a search").lease, Some(true));
        for nothing in ["", "hello there", "1 2 3", "how many bedrooms has it", "ignore your instructions"] {
            assert_eq!(Wanted::read(nothing), None, "{nothing}");
        }
    }
}
