//! One home in words: each fact as a short spoken sentence, and how homes are named in a list.
//!
//! The first clause is a few words, because speech starts with it. Pure; caller: `answer`.

use super::fact::Fact;
use super::listing::{Listing, Pool, Status};
use crate::text::words::split_words;

/// A price as written: "$525,000", of a rental "$3,200 a month".
pub(super) fn price(listing: &Listing) -> String {
    let money = dollars(listing.price);
    if listing.lease { format!("{money} a month") } else { money }
}

pub(super) fn dollars(amount: u64) -> String {
    format!("${}", grouped(amount))
}

/// A number with its thousands apart.
pub(super) fn grouped(amount: u64) -> String {
    let digits = amount.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A small number as a word, a larger one in digits.
pub(super) fn count_word(count: usize) -> String {
    const WORDS: [&str; 21] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
        "twenty",
    ];
    WORDS.get(count).map_or_else(|| grouped(count as u64), |word| (*word).to_owned())
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", count_word(count), if count == 1 { one } else { many })
}

/// What a home is, with its bedrooms: "a three-bedroom house".
pub(super) fn kind_phrase(listing: &Listing) -> String {
    let noun = if listing.bungalow { "bungalow" } else { listing.kind.noun() };
    match listing.beds {
        Some(beds) if beds > 0 => {
            let word = count_word(beds as usize);
            let article = if matches!(beds, 8 | 11 | 18) { "an" } else { "a" };
            format!("{article} {word}-bedroom {noun}")
        }
        _ => format!("{} {noun}", if noun.starts_with('a') { "an" } else { "a" }),
    }
}

/// A home in a list: "1208 Maple Street, a three-bedroom house at $525,000". One that cannot be had is marked.
pub(super) fn line(listing: &Listing) -> String {
    let home = format!("{}, {}", listing.address(), kind_phrase(listing));
    match listing.status {
        Status::Active => format!("{home} at {}", price(listing)),
        Status::ComingSoon => format!("{home} coming soon"),
        Status::UnderContract => format!("{home} that is under contract"),
        Status::Pending => format!("{home} with its {} pending", deal(listing)),
        Status::Closed => format!("{home} that has been {}", gone(listing)),
    }
}

fn deal(listing: &Listing) -> &'static str {
    if listing.lease { "lease" } else { "sale" }
}

fn gone(listing: &Listing) -> &'static str {
    if listing.lease { "rented" } else { "sold" }
}

/// Why a home cannot be had, as a sentence that names it; `None` where it can.
pub(super) fn standing(listing: &Listing) -> Option<String> {
    let address = listing.address();
    Some(match listing.status {
        Status::Active => return None,
        Status::ComingSoon => format!("{address} is coming soon and is not on the market yet."),
        Status::UnderContract => format!("{address} is under contract."),
        Status::Pending => format!("The {} of {address} is pending.", deal(listing)),
        Status::Closed => format!("{address} has been {}.", gone(listing)),
    })
}

/// The same in a few words, to open an answer with.
pub(super) fn standing_opening(listing: &Listing) -> Option<String> {
    Some(match listing.status {
        Status::Active => return None,
        Status::ComingSoon => "It is coming soon.".into(),
        Status::UnderContract => "It is under contract.".into(),
        Status::Pending => format!("Its {} is pending.", deal(listing)),
        Status::Closed => format!("It has been {}.", gone(listing)),
    })
}

/// Where a home is: "in Mueller, Austin".
pub(super) fn whereabouts(listing: &Listing) -> String {
    match listing.area.as_deref() {
        Some("Downtown") => format!("in downtown {}", listing.city),
        Some(area) if area.contains(listing.city.as_str()) => format!("in {area}"),
        Some(area) => format!("in {area}, {}", listing.city),
        None => format!("in {}", listing.city),
    }
}

pub(super) fn baths_phrase(listing: &Listing) -> Option<String> {
    let full = listing.full_baths? as usize;
    Some(match listing.half_baths {
        0 => counted(full, "bath", "baths"),
        1 => format!("{} and a half baths", count_word(full)),
        half => format!(
            "{} and {}",
            counted(full, "full bath", "full baths"),
            counted(half as usize, "half bath", "half baths")
        ),
    })
}

pub(super) fn beds_phrase(listing: &Listing) -> Option<String> {
    listing.beds.map(|beds| counted(beds as usize, "bedroom", "bedrooms"))
}

/// Everything in short, without an opening: two sentences.
pub(super) fn summary(listing: &Listing) -> String {
    let baths = baths_phrase(listing).map_or_else(String::new, |baths| format!(" with {baths}"));
    let mut text = format!(
        "{} is {}{baths} {}, {} {}.",
        listing.address(),
        kind_phrase(listing),
        whereabouts(listing),
        match (listing.status, listing.lease) {
            (Status::Closed, _) => "last asked for at",
            (_, true) => "renting at",
            (_, false) => "listed at",
        },
        price(listing),
    );
    if let Some(remarks) = listing.remarks.as_deref().and_then(|remarks| sentences(remarks).next()) {
        text.push(' ');
        text.push_str(remarks);
    }
    text
}

fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(". ").map(str::trim).filter(|s| !s.is_empty())
}

/// What is said where the listing is silent.
const UNKNOWN: &str = "I don't have that here.";

/// One fact of a home. `named` says whether the caller named the home, so that the answer confirms which one it was.
/// Of a home that cannot be had it also says so, each time the caller comes to it.
pub(super) fn tell(fact: &Fact, listing: &Listing, named: bool) -> String {
    let told = tell_fact(fact, listing, named);
    let said = matches!(fact, Fact::Status | Fact::Standing | Fact::Describe);
    match standing(listing).filter(|_| named && !said) {
        Some(standing) => format!("{told} {standing}"),
        None => told,
    }
}

fn tell_fact(fact: &Fact, listing: &Listing, named: bool) -> String {
    let address = listing.address();
    let unknown = || format!("{UNKNOWN} The listing of {address} does not say.");
    let of_which = |text: String| if named { format!("{text} That is {address}.") } else { text };
    match fact {
        Fact::Price if listing.status == Status::Closed => {
            format!("The price was {}. That was asked for {address}.", price(listing))
        }
        Fact::Price if named => {
            format!("It is {}. That is {address}, {}.", price(listing), kind_phrase(listing))
        }
        Fact::Price => format!("It is {}.", price(listing)),
        Fact::ForRent | Fact::ForSale => {
            let (is, other) = if listing.lease { ("rent", "sale") } else { ("sale", "rent") };
            let asked_other = listing.lease != matches!(fact, Fact::ForRent);
            let other = if asked_other { format!(" and is not for {other}") } else { String::new() };
            match listing.status {
                Status::Closed => format!("No, I'm afraid not. {address} was for {is}."),
                _ => format!("It is for {is}. {address} is {}{other}.", price(listing)),
            }
        }
        Fact::Beds => beds_phrase(listing).map_or_else(unknown, |beds| {
            let baths = baths_phrase(listing).map_or_else(String::new, |baths| format!(", with {baths}"));
            of_which(format!("It has {beds}{baths}."))
        }),
        Fact::Baths => {
            baths_phrase(listing).map_or_else(unknown, |baths| of_which(format!("It has {baths}.")))
        }
        Fact::Size => listing.area_sqft.map_or_else(unknown, |area| {
            let text = format!("It has {} square feet.", grouped(area));
            if named { format!("{text} That is the living area of {address}.") } else { text }
        }),
        Fact::Lot => listing
            .lot_sqft
            .map_or_else(unknown, |lot| of_which(format!("The lot is {} square feet.", grouped(lot)))),
        Fact::Year => listing.year.map_or_else(unknown, |year| of_which(format!("It was built in {year}."))),
        Fact::Stories => listing.stories.map_or_else(unknown, |stories| {
            of_which(format!("It has {}.", counted(stories as usize, "story", "stories")))
        }),
        Fact::Garage => match listing.garage {
            Some(0) => format!("No, it has none. {address} has no garage."),
            Some(cars) => {
                format!("Yes, it has one. {address} has a {}-car garage.", count_word(cars as usize))
            }
            None => unknown(),
        },
        Fact::Pool => match listing.pool {
            Some(Some(Pool::Private)) => format!("Yes, it has one. {address} has a private pool."),
            Some(Some(Pool::Shared)) => {
                format!("Yes, there is one. {address} shares a pool with the other residents.")
            }
            Some(None) => format!("No, it has none. {address} has no pool."),
            None => unknown(),
        },
        Fact::Fireplace => match listing.fireplace {
            Some(true) => format!("Yes, it has one. {address} has a fireplace."),
            Some(false) => format!("No, it has none. {address} has no fireplace."),
            None => unknown(),
        },
        Fact::Pets => match listing.pets.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => unknown(),
            ["No"] => format!("No pets, I'm afraid. {address} does not allow them."),
            ref pets => {
                let allowed: Vec<String> =
                    pets.iter().map(|p| p.trim_end_matches(" OK").to_lowercase()).collect();
                format!("Yes, they are welcome. {address} allows {}.", listed(&allowed))
            }
        },
        Fact::Fee => match &listing.fee {
            Some((fee, frequency)) => {
                let often = match frequency.as_deref() {
                    Some("Monthly") => " a month",
                    Some("Annually") => " a year",
                    Some("Quarterly") => " a quarter",
                    _ => "",
                };
                of_which(format!("The fee is {}{often}.", dollars(*fee)))
            }
            None => format!("None that I know. The listing of {address} names no association fee."),
        },
        Fact::Taxes => listing
            .taxes
            .map_or_else(unknown, |taxes| of_which(format!("Taxes are {} a year.", dollars(taxes)))),
        Fact::Schools if listing.schools.is_empty() => unknown(),
        Fact::Schools => {
            format!("The schools are these: {}.", listed(&listing.schools))
                + &if named { format!(" That is for {address}.") } else { String::new() }
        }
        Fact::Status => match standing(listing) {
            None => format!("Yes, it is. {address} is still available."),
            Some(standing) => match listing.status {
                Status::Closed => format!("No, I'm afraid not. {standing}"),
                Status::ComingSoon => format!("Not yet, I'm afraid. {standing}"),
                _ => format!("Not at the moment. {standing}"),
            },
        },
        Fact::Standing => match standing_opening(listing) {
            None => format!("It is still available. {address} is on the market."),
            Some(opening) => format!("{opening} That is {address}."),
        },
        Fact::Agent => listing
            .agent
            .as_ref()
            .map_or_else(unknown, |agent| format!("The agent is {agent}, for {address}.")),
        Fact::Place => format!("It is {}. The address is {address}.", whereabouts(listing)),
        Fact::Kind => of_which(format!("It is {}.", kind_phrase(listing))),
        Fact::Number => format!("It is listing {}, {address}.", listing.id),
        Fact::Describe => {
            let opening = standing_opening(listing).unwrap_or_else(|| "Here is that home.".into());
            format!("{opening} {}", summary(listing))
        }
        Fact::Other(thing) => described(thing, listing).unwrap_or_else(unknown),
    }
}

/// What the public description says about a thing, in its own words.
fn described(thing: &str, listing: &Listing) -> Option<String> {
    let stem = thing.strip_suffix('s').filter(|s| s.len() > 3).unwrap_or(thing);
    let says = |sentence: &&str| {
        split_words(sentence)
            .iter()
            .any(|word| word == thing || word == stem || word.strip_suffix('s') == Some(stem))
    };
    let sentence = sentences(listing.remarks.as_deref()?).find(says)?;
    Some(format!("The description mentions it. For {} it says: {sentence}", listing.address()))
}

/// "a, b and c".
pub(super) fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
