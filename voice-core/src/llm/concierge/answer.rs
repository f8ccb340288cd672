//! From a question to what is said: one to three short sentences, made of the listings' facts.
//!
//! It claims no booking, no call back and nothing that the data does not hold. Pure; caller: the module's root.

use super::criteria::Criteria;
use super::fact::Fact;
use super::homes::Facts;
use super::listing::{Listing, Status};
use super::memory::{
    ASK_CONTACT, ASK_MORE, ASK_NUMBER, ASK_SEE, ASK_WHEN, ASK_WHICH, ASK_WHICH_MORE, Memory, Offer,
};
use super::question::{Extreme, Question};
use super::tell::{
    baths_phrase, beds_phrase, count_word, dollars, grouped, line, listed, price, standing, standing_opening,
    summary, tell,
};
use crate::text::chunker::Chunker;

/// Homes that are named one by one in an answer; a listener keeps no more in mind.
const MAX_NAMED: usize = 3;

/// What is said before anything was asked.
pub(super) fn greeting(facts: &Facts) -> String {
    match cities(facts) {
        Some(cities) => format!("Hello, how can I help? You can ask me about homes in {cities}."),
        None if !facts.whole => "Hello, how can I help? You can ask me about our homes.".into(),
        None => "Hello, how can I help? I have no homes on my list at the moment.".into(),
    }
}

/// Most words of the first clause: the voice starts when it has been made, so it is kept short.
const MAX_FIRST_WORDS: usize = 5;

/// The answer to a question; never empty. Its first clause has at most [`MAX_FIRST_WORDS`] words.
pub(super) fn answer(question: &Question, memory: &Memory, facts: &Facts) -> String {
    start_early(answer_in_full(question, memory, facts))
}

/// Opens an answer whose first clause is long, such as one that starts with an address, with a short one.
fn start_early(answer: String) -> String {
    let mut chunker = Chunker::default();
    chunker.push_delta(&answer);
    chunker.finish();
    let first = chunker.poll_clause().map_or(0, |clause| clause.split_whitespace().count());
    if first > MAX_FIRST_WORDS { format!("Let me see. {answer}") } else { answer }
}

fn answer_in_full(question: &Question, memory: &Memory, facts: &Facts) -> String {
    match question {
        Question::Greeting => greeting(facts),
        Question::Thanks => "You are very welcome. Is there anything else you would like to know?".into(),
        Question::Goodbye => "Thank you for calling. Goodbye!".into(),
        Question::Repeat => match &memory.last_answer {
            Some(last) => last.clone(),
            None => format!("I have said nothing yet. {}", help()),
        },
        Question::Yes => yes(memory, facts),
        Question::No => "No problem at all. Is there anything else you would like to know?".into(),
        Question::Human => format!("I will pass that on. The team reads this conversation. {ASK_CONTACT}"),
        Question::HowAreYou => "I am well, thank you. Which home can I tell you about?".into(),
        Question::WhoAreYou => {
            "I am an automated assistant. I answer questions about the homes on our list.".into()
        }
        Question::WhatCanYouDo => format!("I know our homes. {}", help()),
        Question::Contact { name, phone } => contact(name.as_deref(), *phone),
        Question::Viewing { home, when } => viewing(*home, when.as_deref(), memory, facts),
        Question::Search(criteria) => search(criteria, memory, facts),
        Question::Others(criteria) => others(criteria, memory, facts),
        Question::Coverage => coverage(facts),
        Question::Count(criteria) => count(criteria, memory, facts),
        Question::Extreme(extreme, criteria) => extreme_home(*extreme, criteria, memory, facts),
        Question::Fact { homes, facts: asked } => fact(homes, asked, memory, facts),
        Question::Compare { homes, facts: asked } => compare(*homes, asked, facts),
        Question::UnknownStreet { said, near } => {
            let near = near.filter(|home| facts.listings.at(*home).is_some_and(Listing::is_available));
            let rest = match near {
                Some(home) => nearest_home(&[home], facts),
                None => cities(facts)
                    .map_or_else(|| help().to_owned(), |cities| format!("I know homes in {cities}.")),
            };
            // A number that was said stands first.
            let missing = if said.starts_with(|c: char| c.is_ascii_digit()) {
                format!("{said} is not on our list.")
            } else {
                format!("There is nothing on {said} on our list.")
            };
            format!("I don't have that one. {missing} {rest}")
        }
        Question::Unlisted { said, homes } => {
            format!("I don't have that one. {said} is not on our list. {}", nearest_home(homes, facts))
        }
        Question::NotUnderstood => format!("Sorry, I missed that. {}", help()),
    }
}

/// The home to offer where another was asked for: the first that can be had, else the first.
fn nearest_home(homes: &[usize], facts: &Facts) -> String {
    let mut all = homes.iter().filter_map(|home| facts.listings.at(*home));
    let nearest = all.clone().find(|listing| listing.is_available()).or_else(|| all.next());
    nearest.map_or_else(|| help().to_owned(), |l| format!("The nearest I have is {}. {ASK_MORE}", line(l)))
}

/// What can be asked. It names no home, because "it" would be that home from then on.
fn help() -> &'static str {
    "You can ask for homes by price, area or bedrooms, or about one of them by its street."
}

/// Where the homes are; `None` where there are none, or where those that were found are only a part.
fn cities(facts: &Facts) -> Option<String> {
    if !facts.whole {
        return None;
    }
    let mut cities: Vec<String> = Vec::new();
    for listing in facts.listings.all().iter().filter(|listing| listing.is_available()) {
        if !cities.contains(&listing.city) {
            cities.push(listing.city.clone());
        }
    }
    cities.truncate(4);
    (!cities.is_empty()).then(|| listed(&cities))
}

fn yes(memory: &Memory, facts: &Facts) -> String {
    let home =
        memory.focus.or_else(|| memory.shown.first().copied()).and_then(|home| facts.listings.at(home));
    match (memory.offer, home) {
        (Some(Offer::Contact), _) => "Thank you, go ahead. Please say your name and your number.".into(),
        (Some(Offer::See | Offer::When), Some(_)) => format!("Very good, gladly. {ASK_WHEN}"),
        (_, Some(listing)) => described(listing),
        (_, None) => format!("Very good, gladly. {}", help()),
    }
}

fn described(listing: &Listing) -> String {
    match standing_opening(listing) {
        // What cannot be had is not offered.
        Some(opening) => format!("{opening} {}", summary(listing)),
        None => format!("Here is that home. {} {ASK_SEE}", summary(listing)),
    }
}

fn contact(name: Option<&str>, phone: bool) -> String {
    let thanks = name.map_or_else(|| "Thank you very much.".to_owned(), |name| format!("Thank you, {name}."));
    let what = match (name.is_some(), phone) {
        (true, true) => "your name and number",
        (true, false) => "your name",
        _ => "your number",
    };
    let missing = if phone { String::new() } else { format!(" {ASK_NUMBER}") };
    format!("{thanks} I will pass {what} on to the team.{missing}")
}

fn viewing(home: Option<usize>, when: Option<&str>, memory: &Memory, facts: &Facts) -> String {
    let earlier = memory.viewing.as_ref().and_then(|(_, when)| when.as_deref());
    let home = home.and_then(|home| facts.listings.at(home));
    if let Some(listing) = home.filter(|listing| listing.status == Status::Closed) {
        return format!(
            "I'm afraid not. {} It can no longer be seen.",
            standing(listing).unwrap_or_default()
        );
    }
    // A home that is taken or not out yet may be shown or not: the team knows.
    let but = home.and_then(standing).map_or_else(String::new, |standing| format!(" {standing}"));
    match (home, when.or(earlier)) {
        (Some(listing), Some(when)) => {
            format!(
                "I will pass that on. It goes to the team: viewing of {}, {when}.{but}",
                listing.address()
            )
        }
        (Some(listing), None) => {
            format!("I will pass that on.{but} It is a viewing of {}. {ASK_WHEN}", listing.address())
        }
        (None, Some(_)) => format!("I will pass that on. {ASK_WHICH}"),
        (None, None) => format!("I can pass that on. {ASK_WHICH}"),
    }
}

fn search(criteria: &Criteria, memory: &Memory, facts: &Facts) -> String {
    if !facts.whole && !criteria.is_set() {
        return many();
    }
    if facts.whole && facts.listings.all().is_empty() {
        return "I have nothing right now. There are no homes on our list.".into();
    }
    let found = criteria.find(&facts.listings);
    if found.is_empty() {
        return nothing_found(criteria, memory, facts);
    }
    let kind = if criteria.is_set() { "like that" } else { "for sale" };
    let opening = match found.len() {
        // Of many homes these were found, and nobody counted the others.
        n if n > 1 && !facts.whole => format!("I found {} {kind}.", count_word(n)),
        n => format!("We have {} {kind}.", count_word(n)),
    };
    named(&found, &opening, &taken(criteria, &found, facts), facts)
}

/// More of what was searched for, without what was just named.
fn others(criteria: &Criteria, memory: &Memory, facts: &Facts) -> String {
    let mut found = criteria.find(&facts.listings);
    found.retain(|home| !memory.shown.contains(home));
    if found.is_empty() && !facts.whole {
        return "I have no more at hand. You can ask for other homes by price, area or bedrooms.".into();
    }
    if found.is_empty() {
        return "That is all of them. You can ask for other homes by price, area or bedrooms.".into();
    }
    named(&found, &format!("There are {} more.", count_word(found.len())), "", facts)
}

/// That other homes would fit, and why they cannot be had; said where there is little else to name.
fn taken(criteria: &Criteria, found: &[usize], facts: &Facts) -> String {
    if found.len() >= MAX_NAMED || !criteria.narrows() {
        return String::new();
    }
    let room = MAX_NAMED - found.len();
    let taken = criteria.find_taken(&facts.listings);
    let taken = taken.iter().filter_map(|home| facts.listings.at(*home)).filter_map(standing);
    taken.take(room).map(|standing| format!(" {standing}")).collect()
}

/// The first of the homes found, behind the sentence that counts them; `taken` goes before the question.
fn named(found: &[usize], opening: &str, taken: &str, facts: &Facts) -> String {
    let lines: Vec<String> =
        found.iter().take(MAX_NAMED).filter_map(|home| facts.listings.at(*home)).map(line).collect();
    match found.len() {
        1 if opening.starts_with("We") => {
            format!("Yes, we have one. It is {}.{taken} {ASK_MORE}", lines.concat())
        }
        1 => format!("There is one more. It is {}. {ASK_MORE}", lines.concat()),
        n if n <= MAX_NAMED => format!("{opening} {}.{taken} {ASK_WHICH_MORE}", joined(&lines)),
        _ if !facts.whole => format!("{opening} Among them are {}. {ASK_WHICH_MORE}", joined(&lines)),
        _ => format!("{opening} The least expensive are {}. {ASK_WHICH_MORE}", joined(&lines)),
    }
}

fn coverage(facts: &Facts) -> String {
    let mut kinds: Vec<String> = Vec::new();
    for listing in facts.listings.all().iter().filter(|listing| listing.is_available()) {
        let kind = format!("{}s", listing.kind.noun());
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    match cities(facts) {
        Some(cities) => format!("This is what we have: {}. They are in {cities}.", listed(&kinds)),
        None if !facts.whole => many(),
        None => search(&Criteria::default(), &Memory::default(), facts),
    }
}

/// Homes one after the other; each has a comma of its own, so they are parted by more than one.
fn joined(lines: &[String]) -> String {
    match lines {
        [first @ .., last] if !first.is_empty() => format!("{}; and {last}", first.join("; ")),
        _ => lines.concat(),
    }
}

fn nothing_found(criteria: &Criteria, memory: &Memory, facts: &Facts) -> String {
    if let Some(town) = &criteria.elsewhere {
        return match cities(facts) {
            Some(cities) => format!("Not in {town}, I'm afraid. Our homes are in {cities}."),
            None => format!("I found nothing in {town}. {}", help()),
        };
    }
    let opening = match (other_terms(criteria, facts), taken(criteria, &[], facts)) {
        (Some(other), _) => other,
        (None, taken) if !taken.is_empty() => format!("Nothing available, I'm afraid.{taken}"),
        _ => "I found nothing like that.".into(),
    };
    let near: Vec<String> = criteria
        .nearest(&facts.listings, 3)
        .iter()
        .filter(|home| Some(**home) != memory.focus)
        .take(2)
        .filter_map(|home| facts.listings.at(*home))
        .map(line)
        .collect();
    // So that the closest home is not taken for the other kind.
    let terms = match criteria.lease {
        Some(true) => " for rent",
        Some(false) => " for sale",
        None => "",
    };
    match near.len() {
        0 => format!("{opening} {}", help()),
        1 => format!("{opening} The closest{terms} is {}. {ASK_MORE}", near.concat()),
        _ => format!("{opening} The closest{terms} are {}. {ASK_WHICH_MORE}", joined(&near)),
    }
}

/// What there is for sale where nothing fits for rent, and the other way round.
fn other_terms(criteria: &Criteria, facts: &Facts) -> Option<String> {
    let lease = criteria.lease.filter(|_| facts.whole)?;
    let (asked, other) = if lease { ("rent", "sale") } else { ("sale", "rent") };
    let offered = facts.listings.all().iter().any(|l| l.is_available() && l.lease == lease);
    if !offered {
        return Some(format!("Nothing for {asked}, I'm afraid. All our homes are for {other}."));
    }
    let found = Criteria { lease: Some(!lease), ..criteria.clone() }.find(&facts.listings);
    let first = found.first().and_then(|home| facts.listings.at(*home))?;
    let rest = match found.len() {
        1 => format!("It is {}", line(first)),
        _ => format!("The least expensive is {}", line(first)),
    };
    let are = if found.len() == 1 { "is" } else { "are" };
    Some(format!(
        "Not for {asked}, I'm afraid. {} like that {are} for {other}. {rest}.",
        super::streets::capitalised(&count_word(found.len()))
    ))
}

/// Said of homes that are too many to be known here.
fn many() -> String {
    format!("We have many homes. {}", help())
}

fn count(criteria: &Criteria, memory: &Memory, facts: &Facts) -> String {
    if !facts.whole {
        return if criteria.is_set() { search(criteria, memory, facts) } else { many() };
    }
    if !criteria.is_set() {
        let all = facts.listings.all();
        let rent = all.iter().filter(|l| l.is_available() && l.lease).count();
        let sale = all.iter().filter(|l| l.is_available()).count() - rent;
        let taken = match all.iter().filter(|l| !l.is_available() && l.status != Status::Closed).count() {
            0 => "",
            1 => " Another one is not available at the moment.",
            _ => " Some others are not available at the moment.",
        };
        return format!(
            "We have {} homes. {} for sale and {} for rent.{taken}",
            count_word(sale + rent),
            super::streets::capitalised(&count_word(sale)),
            count_word(rent)
        );
    }
    let found = criteria.find(&facts.listings);
    let addresses: Vec<String> = found
        .iter()
        .take(MAX_NAMED)
        .filter_map(|home| facts.listings.at(*home))
        .map(Listing::address)
        .collect();
    let taken = taken(criteria, &found, facts);
    match found.len() {
        0 => nothing_found(criteria, memory, facts),
        1 => format!("There is just one. It is {}.{taken} {ASK_MORE}", addresses.concat()),
        n if n <= MAX_NAMED => {
            format!("There are {} of those. {}.{taken}", count_word(n), listed(&addresses))
        }
        n => format!("There are {} of those. {} among them.", count_word(n), listed(&addresses)),
    }
}

fn extreme_home(extreme: Extreme, criteria: &Criteria, memory: &Memory, facts: &Facts) -> String {
    let found = criteria.find(&facts.listings);
    match extreme.pick(&found, facts).and_then(|home| facts.listings.at(home)) {
        Some(listing) => {
            let why = match extreme {
                Extreme::Largest | Extreme::Smallest => {
                    listing.area_sqft.map(|area| format!(" It has {} square feet.", grouped(area)))
                }
                Extreme::LargestLot | Extreme::SmallestLot => {
                    listing.lot_sqft.map(|lot| format!(" Its lot has {} square feet.", grouped(lot)))
                }
                Extreme::Newest | Extreme::Oldest => {
                    listing.year.map(|year| format!(" It was built in {year}."))
                }
                _ => None,
            };
            let opening = match extreme {
                Extreme::Cheapest => "This is the least expensive",
                Extreme::Dearest => "This is the most expensive",
                Extreme::Largest => "This is the largest",
                Extreme::Smallest => "This is the smallest",
                Extreme::LargestLot => "This has the largest lot",
                Extreme::SmallestLot => "This has the smallest lot",
                Extreme::Newest => "This is the newest",
                Extreme::Oldest => "This is the oldest",
                Extreme::MostBeds => "This has the most bedrooms",
                Extreme::Nearest => "It is this one",
            };
            let opening = match opening.split_once("This ") {
                Some((_, rest)) if !facts.whole => format!("Of those I found, this {rest}"),
                _ => opening.to_owned(),
            };
            format!("{opening}: {}.{} {ASK_MORE}", line(listing), why.unwrap_or_default())
        }
        None => nothing_found(criteria, memory, facts),
    }
}

fn fact(homes: &[usize], asked: &[Fact], memory: &Memory, facts: &Facts) -> String {
    let listings: Vec<&Listing> = homes.iter().filter_map(|home| facts.listings.at(*home)).collect();
    match (&listings[..], asked) {
        ([], _) => {
            let shown: Vec<String> = memory
                .shown
                .iter()
                .take(MAX_NAMED)
                .filter_map(|h| facts.listings.at(*h))
                .map(Listing::address)
                .collect();
            if shown.len() > 1 {
                format!("I need to know which. There are {}. {ASK_WHICH}", listed(&shown))
            } else {
                format!("I can look that up. {ASK_WHICH}")
            }
        }
        ([listing], [Fact::Describe]) => described(listing),
        ([listing], [one]) => tell(one, listing, homes.first().copied() != memory.focus),
        ([listing], several) => {
            // Beds are told with the baths, so these two asked together are one sentence.
            let both = several.contains(&Fact::Beds) && several.contains(&Fact::Baths);
            let told: Vec<String> = several
                .iter()
                .filter(|fact| !(both && **fact == Fact::Baths))
                .map(|fact| tell(fact, listing, false))
                .collect();
            let fresh = homes.first().copied() != memory.focus;
            let standing = standing(listing).filter(|_| fresh).map_or_else(String::new, |s| format!(" {s}"));
            format!("{} That is {}.{standing}", told.join(" "), listing.address())
        }
        (several, [Fact::Describe] | []) => {
            let lines: Vec<String> = several.iter().take(MAX_NAMED).map(|l| line(l)).collect();
            format!("Here they are. {}.", joined(&lines))
        }
        (several, asked) => {
            let several = &several[..several.len().min(MAX_NAMED)];
            let told: Vec<String> = several
                .iter()
                .map(|l| {
                    let facts: Vec<String> = asked.iter().map(|fact| short_fact(fact, l)).collect();
                    format!("{} {}", l.address(), facts.join(" and "))
                })
                .collect();
            format!("Here is what I have: {}.{}", joined(&told), standings(several))
        }
    }
}

/// Which of the homes cannot be had, said behind what was told of them.
fn standings(listings: &[&Listing]) -> String {
    listings.iter().filter_map(|listing| standing(listing)).map(|standing| format!(" {standing}")).collect()
}

/// A fact behind an address, for homes told side by side: "has a two-car garage".
fn short_fact(fact: &Fact, listing: &Listing) -> String {
    let unknown = || "does not say".to_owned();
    let has = |have: Option<bool>, what: &str| match have {
        Some(true) => format!("has a {what}"),
        Some(false) => format!("has no {what}"),
        None => unknown(),
    };
    match fact {
        Fact::Price if listing.status == Status::Closed => format!("was {}", price(listing)),
        Fact::Price => format!("is {}", price(listing)),
        Fact::ForRent | Fact::ForSale => {
            format!("is for {} at {}", if listing.lease { "rent" } else { "sale" }, price(listing))
        }
        Fact::Beds => beds_phrase(listing).map_or_else(unknown, |beds| format!("has {beds}")),
        Fact::Baths => baths_phrase(listing).map_or_else(unknown, |baths| format!("has {baths}")),
        Fact::Size => {
            listing.area_sqft.map_or_else(unknown, |area| format!("has {} square feet", grouped(area)))
        }
        Fact::Lot => {
            listing.lot_sqft.map_or_else(unknown, |lot| format!("has a lot of {} square feet", grouped(lot)))
        }
        Fact::Year => listing.year.map_or_else(unknown, |year| format!("was built in {year}")),
        Fact::Garage => match listing.garage {
            Some(cars) if cars > 0 => format!("has a {}-car garage", count_word(cars as usize)),
            other => has(other.map(|_| false), "garage"),
        },
        Fact::Pool => has(listing.pool.map(|pool| pool.is_some()), "pool"),
        Fact::Fireplace => has(listing.fireplace, "fireplace"),
        Fact::Fee => match &listing.fee {
            Some((fee, _)) => format!("has a fee of {}", dollars(*fee)),
            None => "names no fee".into(),
        },
        Fact::Taxes => {
            listing.taxes.map_or_else(unknown, |taxes| format!("has taxes of {} a year", dollars(taxes)))
        }
        Fact::Place => format!("is in {}", listing.city),
        Fact::Agent => listing.agent.as_ref().map_or_else(unknown, |agent| format!("is with {agent}")),
        Fact::Schools if !listing.schools.is_empty() => format!("has {}", listed(&listing.schools)),
        Fact::Status | Fact::Standing if listing.is_available() => "is available".into(),
        // Said for all of them at the end.
        Fact::Status | Fact::Standing => "is not available".into(),
        Fact::Stories => {
            listing.stories.map_or_else(unknown, |s| format!("has stories: {}", count_word(s as usize)))
        }
        _ => unknown(),
    }
}

fn compare(homes: (usize, usize), asked: &[Fact], facts: &Facts) -> String {
    let (Some(a), Some(b)) = (facts.listings.at(homes.0), facts.listings.at(homes.1)) else {
        return format!("I need two homes. {ASK_WHICH}");
    };
    format!("{}{}", compared(a, b, asked), standings(&[a, b]))
}

fn compared(a: &Listing, b: &Listing, asked: &[Fact]) -> String {
    let by_price = || {
        let (low, high) = if b.price < a.price { (b, a) } else { (a, b) };
        if a.lease != b.lease {
            // A month's rent is not less than a price.
            let terms = |l: &Listing| format!("{} {}", l.address(), short_fact(&Fact::ForRent, l));
            format!("They are not alike: {}, and {}.", terms(a), terms(b))
        } else if low.price == high.price {
            format!("They cost the same: both {} and {} are {}.", a.address(), b.address(), price(a))
        } else {
            format!(
                "{} costs less: {}, against {} for {}.",
                low.address(),
                price(low),
                price(high),
                high.address()
            )
        }
    };
    match asked {
        [] | [Fact::Describe] => {
            let rooms = |l: &Listing| {
                let parts: Vec<String> =
                    [beds_phrase(l), l.area_sqft.map(|s| format!("{} square feet", grouped(s)))]
                        .into_iter()
                        .flatten()
                        .collect();
                format!("{} has {}", l.address(), listed(&parts))
            };
            format!("{} {}, and {}.", by_price(), rooms(a), rooms(b))
        }
        [Fact::Price] => by_price(),
        [Fact::Size] => match (a.area_sqft, b.area_sqft) {
            (Some(x), Some(y)) if x != y => {
                let (large, small, most, least) = if x > y { (a, b, x, y) } else { (b, a, y, x) };
                format!(
                    "{} is larger: {} square feet, against {} at {}.",
                    large.address(),
                    grouped(most),
                    grouped(least),
                    small.address()
                )
            }
            _ => side_by_side(a, b, asked),
        },
        [Fact::Lot] => match (a.lot_sqft, b.lot_sqft) {
            (Some(x), Some(y)) if x != y => {
                let (large, small, most, least) = if x > y { (a, b, x, y) } else { (b, a, y, x) };
                format!(
                    "{} has the larger lot: {} square feet, against {} at {}.",
                    large.address(),
                    grouped(most),
                    grouped(least),
                    small.address()
                )
            }
            _ => side_by_side(a, b, asked),
        },
        [Fact::Year] => match (a.year, b.year) {
            (Some(x), Some(y)) if x != y => {
                let (new, old, late, early) = if x > y { (a, b, x, y) } else { (b, a, y, x) };
                format!("{} is newer: built in {late}, against {early} for {}.", new.address(), old.address())
            }
            _ => side_by_side(a, b, asked),
        },
        _ => side_by_side(a, b, asked),
    }
}

fn side_by_side(a: &Listing, b: &Listing, asked: &[Fact]) -> String {
    let told = |l: &Listing| {
        let facts: Vec<String> = asked.iter().map(|fact| short_fact(fact, l)).collect();
        format!("{} {}", l.address(), facts.join(" and "))
    };
    format!("Here is the comparison: {}, and {}.", told(a), told(b))
}
