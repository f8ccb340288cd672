//! From a caller's words to what is asked. Rules only, most specific first; never fails, at worst it did not understand.
//!
//! Pure: the same words after the same conversation are the same question. Callers: the module's root, `memory`.

use crate::text::spoken_numbers::read_numbers;

use super::criteria::{Criteria, phrase};
use super::fact::{Fact, asked_facts};
use super::homes::Facts;
use super::memory::{Memory, Offer};
use super::question::{Extreme, Question, asked_extreme};
use super::refer::{referred, searches_many};
use super::streets::{Mention, unknown_street};
use super::wanted::heard_words;

/// What `text` asks, said after what `memory` holds.
pub(super) fn understand(text: &str, memory: &Memory, facts: &Facts) -> Question {
    let words = heard_words(text);
    if words.is_empty() {
        return Question::NotUnderstood;
    }
    let heard = Heard::new(&words, memory, facts);
    heard
        .call_itself()
        .or_else(|| heard.not_on_our_list())
        .or_else(|| heard.viewing())
        .or_else(|| heard.person())
        .or_else(|| heard.comparison())
        .or_else(|| heard.extreme())
        .or_else(|| heard.coverage())
        .or_else(|| heard.count())
        .or_else(|| heard.fact())
        .or_else(|| heard.search())
        .or_else(|| heard.pleasantry())
        .or_else(|| heard.beyond_the_data())
        .unwrap_or(Question::NotUnderstood)
}

/// A house number said without its street, as in "what about 1208?", and which words it takes.
fn lone_number(words: &[String], facts: &Facts) -> Option<(usize, (usize, usize))> {
    read_numbers(words).into_iter().find_map(|(at, number)| {
        // Round numbers are prices more often than houses.
        if number.value % 50.0 == 0.0 {
            return None;
        }
        let before = at.checked_sub(1).map_or("", |i| words[i].as_str());
        let after = words.get(at + number.words).map_or("", String::as_str);
        let introduced = matches!(
            before,
            "" | "about"
                | "number"
                | "is"
                | "at"
                | "and"
                | "does"
                | "the"
                | "of"
                | "see"
                | "in"
                | "on"
                | "or"
                | "with"
        );
        let counted = matches!(
            after,
            "square" | "dollars" | "feet" | "sqft" | "minutes" | "thousand" | "a" | "k" | "or"
        );
        let home = facts.streets.home_by_number(&number.to_string())?;
        (introduced && !counted).then_some((home, (at, at + number.words)))
    })
}

/// One utterance with what can be read from it.
pub(super) struct Heard<'a> {
    pub(super) words: &'a [String],
    pub(super) memory: &'a Memory,
    pub(super) facts: &'a Facts,
    pub(super) mentions: Vec<Mention>,
    /// Words that belong to addresses.
    pub(super) taken: Vec<(usize, usize)>,
    /// Named or referred to.
    pub(super) homes: Vec<usize>,
    pub(super) named: bool,
    pub(super) criteria: Criteria,
    pub(super) asked: Vec<Fact>,
}

impl<'a> Heard<'a> {
    pub(super) fn new(words: &'a [String], memory: &'a Memory, facts: &'a Facts) -> Self {
        let mentions = facts.streets.find_mentions(words);
        let mut taken: Vec<(usize, usize)> = mentions.iter().map(|m| (m.start, m.end)).collect();
        let mut homes: Vec<usize> = Vec::new();
        for home in mentions.iter().filter(|m| m.unlisted.is_none()).flat_map(|m| &m.homes) {
            if !homes.contains(home) {
                homes.push(*home);
            }
        }
        if mentions.is_empty()
            && let Some((home, span)) = lone_number(words, facts)
        {
            homes.push(home);
            taken.push(span);
        }
        let renting = memory.criteria.as_ref().is_some_and(|c| c.lease == Some(true));
        let mut criteria = Criteria::read(words, &taken, &facts.places, renting);
        let named = !homes.is_empty();
        if named {
            criteria.place = None;
        } else {
            homes = referred(words, memory, facts);
        }
        let mut asked = asked_facts(words);
        // The word that names the home is not what is asked: "the one with the pool".
        if !named && !homes.is_empty() && asked.len() > 1 {
            let span: Vec<&str> = words.iter().skip_while(|w| *w != "with").map(String::as_str).collect();
            asked.retain(|fact| match fact {
                Fact::Pool => !span.contains(&"pool"),
                Fact::Garage => !span.contains(&"garage"),
                _ => true,
            });
        }
        Self { words, memory, facts, mentions, taken, homes, named, criteria, asked }
    }

    pub(super) fn has(&self, list: &[&str]) -> bool {
        self.words.iter().any(|w| list.contains(&w.as_str()))
    }

    pub(super) fn says(&self, list: &[&str]) -> bool {
        phrase(self.words, list)
    }

    pub(super) fn any(&self, phrases: &[&[&str]]) -> bool {
        phrases.iter().any(|p| self.says(p))
    }

    pub(super) fn short(&self, most: usize) -> bool {
        self.words.len() <= most
    }

    /// An address that no listing has. Asked before anything else about homes, so that no other home is taken for it.
    fn not_on_our_list(&self) -> Option<Question> {
        let unlisted = self.mentions.iter().find(|mention| mention.unlisted.is_some());
        let question = match unlisted {
            Some(Mention { unlisted: Some(said), homes, .. }) => {
                Question::Unlisted { said: said.clone(), homes: homes.clone() }
            }
            _ if self.named => return None,
            _ => {
                let said = unknown_street(self.words, &self.mentions)?;
                Question::UnknownStreet { near: self.facts.streets.nearest_to(&said), said }
            }
        };
        // "My name is Anna Lane", "I want to talk to somebody about 12 Elm Street".
        self.person().is_none().then_some(question)
    }

    fn comparison(&self) -> Option<Question> {
        let compares = self.has(&["compare", "comparison", "difference", "versus", "vs", "differ", "better"]);
        let which = self.has(&["which", "or", "than"]) && asked_extreme(self.words).is_some();
        let pair = match self.homes[..] {
            [_, _, _, ..] if !self.named => return None,
            [a, b, ..] => (a, b),
            [a] if compares || which => {
                // "Compare it with the one on Oak", "is it bigger than Maple Street?"
                let other = self.memory.focus.filter(|focus| *focus != a)?;
                (other, a)
            }
            [] if compares => match self.memory.shown[..] {
                [a, b, ..] => (a, b),
                _ => return None,
            },
            _ => return None,
        };
        if !(compares || which) {
            return None;
        }
        let facts = match asked_extreme(self.words) {
            Some(Extreme::Cheapest | Extreme::Dearest) => vec![Fact::Price],
            Some(Extreme::Largest | Extreme::Smallest) => vec![Fact::Size],
            Some(Extreme::LargestLot | Extreme::SmallestLot) => vec![Fact::Lot],
            Some(Extreme::Newest | Extreme::Oldest) => vec![Fact::Year],
            Some(Extreme::MostBeds) => vec![Fact::Beds],
            _ => self.asked.clone(),
        };
        Some(Question::Compare { homes: pair, facts })
    }

    fn extreme(&self) -> Option<Question> {
        let extreme = asked_extreme(self.words).filter(|e| *e != Extreme::Nearest)?;
        let than = self.says(&["newer", "than"])
            || self.says(&["older", "than"])
            || self.says(&["cheaper", "than"])
            || self.says(&["bigger", "than"])
            || self.says(&["larger", "than"])
            || self.says(&["smaller", "than"]);
        if self.named
            || (than
                && (self.criteria.price.is_set()
                    || self.criteria.sqft.is_set()
                    || self.criteria.year.is_set()))
        {
            return None;
        }
        let superlative = self.words.iter().any(|w| w.ends_with("est") && w.len() > 5 && w != "interest")
            || self.has(&["most", "least"]);
        let mut criteria = self.criteria.clone();
        // "anything cheaper?" goes on from the home last spoken of.
        if !superlative && !self.has(&["which"]) {
            if let [_] = self.homes[..]
                && !searches_many(self.words)
                && !self.has(&["too"])
            {
                return None;
            }
            let listing = self.memory.focus.and_then(|home| self.facts.listings.at(home))?;
            criteria.lease = Some(listing.lease);
            let price = listing.price as f64;
            match extreme {
                Extreme::Cheapest => criteria.price.most = Some(price - 1.0),
                Extreme::Dearest => criteria.price.least = Some(price + 1.0),
                Extreme::Largest => criteria.sqft.least = Some(listing.area_sqft? as f64 + 1.0),
                Extreme::Smallest => criteria.sqft.most = Some(listing.area_sqft? as f64 - 1.0),
                Extreme::LargestLot => criteria.lot.least = Some(listing.lot_sqft? as f64 + 1.0),
                Extreme::SmallestLot => criteria.lot.most = Some(listing.lot_sqft? as f64 - 1.0),
                Extreme::Newest => criteria.year.least = Some(f64::from(listing.year?) + 1.0),
                Extreme::Oldest => criteria.year.most = Some(f64::from(listing.year?) - 1.0),
                Extreme::MostBeds | Extreme::Nearest => {
                    criteria.beds.least = Some(f64::from(listing.beds?) + 1.0)
                }
            }
            return Some(Question::Search(criteria));
        }
        if extreme == Extreme::MostBeds {
            criteria.beds = Default::default();
        }
        // "Which of them is cheapest?" asks about those just named.
        let among = !criteria.is_set()
            && self.memory.shown.len() > 1
            && (self.has(&["them", "those", "these", "which"]) && !searches_many(self.words));
        if among && let Some(home) = extreme.pick(&self.memory.shown, self.facts) {
            let fact = match extreme {
                Extreme::Cheapest | Extreme::Dearest => Fact::Price,
                Extreme::Largest | Extreme::Smallest => Fact::Size,
                Extreme::LargestLot | Extreme::SmallestLot => Fact::Lot,
                Extreme::MostBeds => Fact::Beds,
                _ => Fact::Year,
            };
            return Some(Question::Fact { homes: vec![home], facts: vec![fact] });
        }
        Some(Question::Extreme(extreme, criteria))
    }

    /// A question about a known home for which there are no rules: better said than misread.
    fn beyond_the_data(&self) -> Option<Question> {
        let asks = matches!(
            self.words[0].as_str(),
            "is" | "does"
                | "has"
                | "how"
                | "are"
                | "can"
                | "do"
                | "what's"
                | "what"
                | "will"
                | "would"
                | "and"
        );
        (asks && self.homes.len() == 1)
            .then(|| Question::Fact { homes: self.homes.clone(), facts: vec![Fact::Other(String::new())] })
    }

    fn count(&self) -> Option<Question> {
        let at = self.words.windows(2).position(|w| w[0] == "how" && w[1] == "many")?;
        let noun = self.words.get(at + 2).map_or("", String::as_str);
        let counts_rooms = matches!(
            noun,
            "bed"
                | "beds"
                | "bedroom"
                | "bedrooms"
                | "bath"
                | "baths"
                | "bathroom"
                | "bathrooms"
                | "rooms"
                | "cars"
                | "stories"
                | "floors"
                | "levels"
                | "square"
                | "acres"
                | "car"
                | "garages"
                | "spaces"
                | "full"
                | "half"
        );
        if counts_rooms || self.named {
            return None;
        }
        let refines = self.has(&["those", "them", "these"]);
        Some(Question::Count(self.with_earlier(refines)))
    }

    /// The criteria of this question, with the earlier ones below where it goes on from them.
    fn with_earlier(&self, refines: bool) -> Criteria {
        match &self.memory.criteria {
            Some(earlier) if refines => self.criteria.clone().on_top_of(earlier),
            _ => self.criteria.clone(),
        }
    }

    fn leads_on(&self) -> bool {
        matches!(
            self.words[0].as_str(),
            "and" | "what" | "how" | "but" | "only" | "with" | "in" | "under" | "over" | "or" | "then"
        ) && (self.words[0] != "what" && self.words[0] != "how"
            || self.words.get(1).is_some_and(|w| w == "about"))
    }

    fn fact(&self) -> Option<Question> {
        let many = searches_many(self.words);
        let fact = |homes: Vec<usize>, facts: Vec<Fact>| Some(Question::Fact { homes, facts });
        if !self.homes.is_empty() && (self.named || !many) {
            let homes = self.homes.clone();
            if !self.asked.is_empty() && self.asked != [Fact::Describe] {
                return fact(homes, self.asked.clone());
            }
            // "What about the one on Oak?" asks the same of another home; so does naming the home we asked for.
            let same =
                self.leads_on() || self.memory.offer == Some(Offer::Which) && self.memory.focus.is_none();
            if same && !self.memory.facts.is_empty() && self.asked.is_empty() {
                return fact(homes, self.memory.facts.clone());
            }
            let pronoun = !self.named
                && self
                    .words
                    .iter()
                    .any(|w| matches!(w.as_str(), "it" | "that" | "this" | "that's" | "it's"));
            let refines = self.criteria.narrows() && pronoun;
            let bare_pronoun = pronoun
                && self.asked.is_empty()
                && !self.says(&["about", "it"])
                && !self.says(&["that", "one"]);
            if !refines && !bare_pronoun {
                return fact(homes, vec![Fact::Describe]);
            }
            return None;
        }
        if self.asked.is_empty() || many {
            return None;
        }
        if self.asked == [Fact::Describe] {
            let home = self.memory.focus?;
            let about_it = self.has(&["more", "details", "describe", "description", "information", "info"]);
            return if about_it && !self.criteria.narrows() {
                fact(vec![home], self.asked.clone())
            } else {
                None
            };
        }
        // "How much is the rent?" of the home spoken of.
        let the_rent = self.memory.focus.is_some() && self.says(&["the", "rent"]);
        let wants_such = !the_rent && self.criteria.narrows()
            || self.says(&["with", "a"])
            || self.says(&["do", "you", "have"])
            || self.has(&["with", "want", "need", "show"]);
        if wants_such {
            return None;
        }
        match (self.memory.focus, &self.memory.shown[..]) {
            (Some(home), _) => fact(vec![home], self.asked.clone()),
            // "Which one has a pool?" looks among those shown.
            (None, shown) if shown.len() > 1 && self.has(&["which", "any", "do"]) => {
                let fits =
                    |home: &usize| self.facts.listings.at(*home).is_some_and(|l| self.criteria.fits(l));
                let fitting: Vec<usize> = shown.iter().copied().filter(fits).collect();
                if self.criteria.is_set() && !fitting.is_empty() {
                    fact(fitting, self.asked.clone())
                } else {
                    fact(shown.to_vec(), self.asked.clone())
                }
            }
            _ if matches!(self.asked[..], [Fact::Other(_)]) && self.memory.shown.is_empty() => None,
            _ => fact(Vec::new(), self.asked.clone()),
        }
    }

    fn search(&self) -> Option<Question> {
        let many = searches_many(self.words);
        if self.any(&[
            &["what", "else"],
            &["anything", "else"],
            &["any", "others"],
            &["any", "other"],
            &["any", "more"],
            &["other", "ones"],
        ]) {
            return Some(Question::Others(self.with_earlier(true)));
        }
        let opens = many
            || self.any(&[
                &["show", "me"],
                &["looking", "for"],
                &["do", "you", "have"],
                &["have", "you", "got"],
                &["what", "do", "you"],
                &["i", "want"],
                &["i", "need"],
                &["for", "sale"],
                &["for", "rent"],
                &["find", "me"],
                &["search"],
            ]);
        if self.criteria.is_set() {
            let loosely = self.has(&["something", "anything", "ones", "those", "them"]);
            let fresh = many && !self.leads_on() && !loosely;
            return Some(Question::Search(self.with_earlier(!fresh)));
        }
        let asks_help = self.any(&[&["what", "can", "you"], &["what", "do", "you", "do"]]);
        (opens
            && !asks_help
            && (many
                || self.any(&[
                    &["what", "do", "you", "have"],
                    &["what", "have", "you", "got"],
                    &["for", "sale"],
                ])))
        .then(|| Question::Search(Criteria::default()))
    }
}
