//! Addresses: house numbers, streets, units, states, postal codes.

use super::abbreviations::begins_sentences;
use super::amount::ordinal_of;
use super::codes::code;
use super::numbers::{digits, house};
use super::states::{ends_state, state_name};
use super::word::{Word, all_digits};
use super::{Point, Said, measures, rooms};

pub(super) fn say(words: &[Word<'_>], at: usize) -> Option<Said> {
    unit(words, at)
        .or_else(|| postal_code(words, at))
        .or_else(|| house_number(words, at))
        .or_else(|| state(words, at))
        .or_else(|| direction(words, at))
        .or_else(|| street(words, at))
}

/// Whether a word behind an abbreviation's point may begin a sentence. What goes on with an address does not.
pub(super) fn may_begin_sentence(next: &Word<'_>) -> bool {
    let letter = next.core.len() == 1 && !matches!(next.core, "A" | "I");
    next.is_capitalised()
        && !letter
        && unit_name(next.core).is_none()
        && direction_name(next.core).is_none()
        && suffix(next.core).is_none_or(|_| title(next.core).is_some())
}

/// `Unit 12`, `Apt. 1204`, `Apt #4B`, `Ste 300`, `Unit B`, `3rd Fl`.
fn unit(words: &[Word<'_>], at: usize) -> Option<Said> {
    let word = &words[at];
    let name = unit_name(word.core)?;
    let next = words.get(at + 1).filter(|_| word.is_joined());
    // `lot 5 acres` and `apartment 2 bd` count something else.
    let counts =
        next.is_some() && (rooms::say(words, at + 1).is_some() || measures::say(words, at + 1).is_some());
    let number = next.filter(|_| !counts).and_then(|next| {
        let number = next.core.strip_prefix('#').unwrap_or(next.core);
        let letter = number.len() == 1 && number.starts_with(|c: char| c.is_ascii_uppercase());
        if letter && number != "I" { Some(number.to_owned()) } else { code(number) }
    });
    if let Some(number) = number {
        return Some(Said::new(format!("{name} {number}"), 2));
    }
    let short = !name.eq_ignore_ascii_case(word.core);
    // `FL` is Florida, `Rm` and `Sec` may be anything.
    let sure = !matches!(name, "floor" | "room" | "section" | "block")
        || at.checked_sub(1).is_some_and(|before| ordinal_of(words[before].core).is_some());
    (short && sure).then(|| Said::abbreviation(name, 1))
}

fn unit_name(core: &str) -> Option<&'static str> {
    Some(match core {
        "Unit" | "unit" => "unit",
        "Apt" | "apt" | "APT" | "Apartment" | "apartment" => "apartment",
        "Ste" | "Suite" | "suite" => "suite",
        "Lot" | "lot" => "lot",
        "Bldg" | "bldg" => "building",
        "Zip" | "ZIP" | "zip" => "zip",
        "Fl" | "fl" => "floor",
        "Rm" | "rm" => "room",
        "Blk" | "blk" => "block",
        "Sec" => "section",
        "Box" => "Box",
        _ => return None,
    })
}

/// Five digits behind a state, or nine with a dash.
fn postal_code(words: &[Word<'_>], at: usize) -> Option<Said> {
    let word = &words[at];
    let (five, four) = word.core.split_once('-').unwrap_or((word.core, "0000"));
    let is_code = five.len() == 5 && four.len() == 4 && all_digits(five) && all_digits(four);
    if !is_code {
        return None;
    }
    // Round numbers of five digits are counts.
    let uneven = !five.ends_with("00");
    let named = words.get(at + 1).is_some_and(|next| matches!(next.lower().as_ref(), "zip" | "zipcode"));
    let placed = four != "0000"
        || named
        || at.checked_sub(1).is_some_and(|before| {
            let before = &words[before];
            state_name(before.core).is_some()
                || before.is_name() && ends_state(before.core)
                || matches!(before.lower().as_ref(), "zip" | "code")
                || uneven && before.is_open() && matches!(before.core, "in" | "near" | "around" | "outside")
                || uneven && before.is_open() && before.is_name() && !begins_sentences(before)
        });
    placed.then(|| Said::new(word.core.split('-').map(digits).collect::<Vec<_>>().join(" , "), 1))
}

/// A number in front of a name: `1208 Barton Springs Rd`, `310 E 5th St`, `123A Main St`.
fn house_number(words: &[Word<'_>], at: usize) -> Option<Said> {
    let word = &words[at];
    let number = word.core.trim_end_matches(|c: char| c.is_ascii_uppercase());
    let lettered = word.core.len() - number.len();
    if !all_digits(number)
        || number.len() > 5
        || number.starts_with('0')
        || lettered > 1
        || !word.trail.is_empty()
    {
        return None;
    }
    let next = words.get(at + 1)?;
    let named = next.is_capitalised() && !is_counted(next.core);
    let ends_street =
        |word: &Word<'_>| suffix(&capitalised(word.core)).is_some() || FULL.contains(&word.core);
    let street_follows = words[at + 1..].iter().skip(1).take(2).any(ends_street)
        && (next.core.starts_with(char::is_alphabetic) || ordinal_of(next.core).is_some());
    let said = house(number.parse().ok()?);
    let letter = &word.core[number.len()..];
    (street_follows || named && letter.is_empty()).then(|| Said::new(format!("{said} {letter}"), 1))
}

/// Capitalised words that a number counts.
fn is_counted(core: &str) -> bool {
    matches!(core, "Bedrooms" | "Bathrooms" | "Beds" | "Baths" | "Units" | "Homes" | "Listings" | "AM" | "PM")
}

/// Whether a house number, a street's name and at most two words more stand before this word.
fn in_address(words: &[Word<'_>], at: usize) -> bool {
    (2..=5).any(|back| {
        at.checked_sub(back).is_some_and(|number| {
            let number = &words[number];
            let digits = number.core.trim_end_matches(|c: char| c.is_ascii_uppercase());
            number.is_open()
                && all_digits(digits)
                && digits.len() <= 5
                && number.core.len() <= digits.len() + 1
        })
    })
}

/// `TX` behind a comma, before a postal code, or behind a city if it can be nothing else.
fn state(words: &[Word<'_>], at: usize) -> Option<Said> {
    let core = words[at].core;
    let name = state_name(core)?;
    let before = at.checked_sub(1).map(|before| &words[before]);
    let next = words.get(at + 1);
    let coded = next.is_some_and(|next| {
        let (five, four) = next.core.split_once('-').unwrap_or((next.core, "0000"));
        let code = five.len() == 5 && four.len() == 4 && all_digits(five) && all_digits(four);
        code && matches!(words[at].trail, "" | "." | ",")
    });
    let city = before.filter(|before| before.is_name() && suffix(before.core).is_none());
    // What is a word too needs its city.
    let word = matches!(core, "HI" | "ID" | "IN" | "ME" | "OH" | "OK" | "OR" | "PA");
    let coded = coded && (!word || city.is_some());
    let listed = city.is_some_and(|before| before.trail == ",");
    let sure =
        matches!(core, "TX" | "FL" | "NY" | "NJ" | "AZ" | "NV" | "TN" | "WA" | "NM" | "NH" | "KY" | "GA");
    let behind_city = sure && city.is_some_and(Word::is_open);
    let loan = core == "VA" && next.is_some_and(|next| next.core.starts_with("loan"));
    (coded || (listed || behind_city) && !loan).then(|| Said::name(name, 1))
}

/// `N`, `SW` in front of a street's name or behind it.
fn direction(words: &[Word<'_>], at: usize) -> Option<Said> {
    let word = &words[at];
    let name = direction_name(word.core)?;
    let before = at.checked_sub(1).map(|before| &words[before]);
    let ends_street = |word: &Word<'_>| suffix(word.core).is_some() || FULL.contains(&word.core);
    let behind_street =
        before.is_some_and(|before| ends_street(before) && matches!(before.trail, "" | "." | ","));
    // A house number, or a road's: `I-35 N`.
    let number = |word: &Word<'_>| word.core.rsplit('-').next().is_some_and(all_digits);
    let numbered = before.is_some_and(|before| number(before) && before.is_open());
    let placed = before.is_some_and(|before| {
        matches!(before.lower().as_ref(), "on" | "at" | "near" | "off" | "along" | "and" | "&" | "of")
    });
    let next = words.get(at + 1).filter(|_| word.is_joined());
    let side = next.is_some_and(|next| matches!(next.core, "side" | "corner" | "part" | "end" | "quadrant"));
    let ordinal = next.is_some_and(|next| ordinal_of(next.core).is_some());
    let named = next.is_some_and(Word::is_name);
    let street = words.get(at + 2..).is_some_and(|rest| rest.iter().take(3).any(ends_street));
    // A letter with a point before a name may be a first name's.
    let leads = ordinal
        || side && name.len() > "South".len()
        || named && (street || placed || numbered || word.trail.is_empty());
    let point = if leads { Point::Title } else { Point::Abbreviation };
    (numbered || behind_street || leads).then(|| Said { point, ..Said::new(name, 1) })
}

fn direction_name(core: &str) -> Option<&'static str> {
    Some(match core {
        "N" => "North",
        "S" => "South",
        "E" => "East",
        "W" => "West",
        "NE" | "N.E" => "Northeast",
        "NW" | "N.W" => "Northwest",
        "SE" | "S.E" => "Southeast",
        "SW" | "S.W" => "Southwest",
        _ => return None,
    })
}

/// `Barton Dr`, `Oak St.`, `5th Ave`; also `Dr. Smith`, `St. Edward's`, `Mt. Bonnell`.
fn street(words: &[Word<'_>], at: usize) -> Option<Said> {
    let word = &words[at];
    if word.core.len() > LONGEST_ENDING {
        return None;
    }
    let before = at.checked_sub(1).map(|before| &words[before]);
    let named = before.is_some_and(|before| {
        let point = before.trail == "." && matches!(before.core, "Jr" | "Sr");
        (before.is_open() || point) && (before.is_capitalised() || ordinal_of(before.core).is_some())
    });
    let addressed = in_address(words, at);
    if let Some(title) = title(word.core)
        && let Some(next) = words.get(at + 1).filter(|next| word.is_joined() && next.is_capitalised())
        && leads_name(words, at, next, named, addressed)
    {
        return Some(Said { point: Point::Title, ..Said::new(title, 1) });
    }
    let name = match suffix(word.core) {
        None if addressed => suffix(&capitalised(word.core))?,
        exact => exact?,
    };
    let sure =
        !matches!(word.core, "St" | "Dr" | "Ct" | "Pl" | "Sq" | "Ter" | "Cir" | "Pt" | "Trl" | "Lk" | "Est");
    let numbered = before.is_some_and(|before| all_digits(before.core));
    (named || addressed && !numbered || sure && word.is_capitalised()).then(|| Said::abbreviation(name, 1))
}

/// Whether `Dr`, `St`, `Mt`, `Ft` stand before the name that they belong to, and not behind a street's.
fn leads_name(words: &[Word<'_>], at: usize, next: &Word<'_>, named: bool, addressed: bool) -> bool {
    let word = &words[at];
    if begins_sentences(next) || direction_name(next.core).is_some() || unit_name(next.core).is_some() {
        return false;
    }
    let saint = word.core == "St" && SAINTS.contains(&next.core.trim_end_matches("'s"));
    // `Old St. Augustine Rd`: the street's end is still to come.
    let street = words[at + 1..].iter().skip(1).take(2).any(|word| suffix(word.core).is_some());
    if named && addressed {
        return saint && street;
    }
    saint || !named || matches!(word.core, "Mt" | "Ft") || word.core == "Dr" && word.trail == "."
}

/// What `Dr` and its like are before a name.
fn title(core: &str) -> Option<&'static str> {
    Some(match core {
        "Dr" => "Doctor",
        "St" => "Saint",
        "Mt" => "Mount",
        "Ft" => "Fort",
        _ => return None,
    })
}

/// Saints of towns, churches and streets. Behind a name, `St.` before anything else is a street.
const SAINTS: [&str; 32] = [
    "Albans",
    "Andrew",
    "Andrews",
    "Ann",
    "Anne",
    "Anthony",
    "Augustine",
    "Charles",
    "Clair",
    "Cloud",
    "Croix",
    "David",
    "Edward",
    "Elmo",
    "Francis",
    "George",
    "Helena",
    "James",
    "John",
    "Johns",
    "Joseph",
    "Louis",
    "Lucie",
    "Luke",
    "Mark",
    "Martin",
    "Mary",
    "Michael",
    "Patrick",
    "Paul",
    "Petersburg",
    "Thomas",
];

/// With a capital and small letters: an ending in sloppy writing.
fn capitalised(core: &str) -> String {
    let mut chars = core.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars.map(|c| c.to_ascii_lowercase())).collect()
}

/// Letters of the longest ending that is short for another: `Pkwy`.
const LONGEST_ENDING: usize = 4;

/// The full word for a street's ending.
fn suffix(core: &str) -> Option<&'static str> {
    Some(match core {
        "St" => "Street",
        "Ave" | "Av" => "Avenue",
        "Rd" => "Road",
        "Dr" => "Drive",
        "Ln" => "Lane",
        "Ct" => "Court",
        "Blvd" => "Boulevard",
        "Pkwy" => "Parkway",
        "Pl" => "Place",
        "Cir" => "Circle",
        "Ter" | "Terr" => "Terrace",
        "Trl" => "Trail",
        "Hwy" => "Highway",
        "Fwy" => "Freeway",
        "Expy" => "Expressway",
        "Tpke" => "Turnpike",
        "Aly" => "Alley",
        "Cres" => "Crescent",
        "Ctr" => "Center",
        "Crk" => "Creek",
        "Cv" => "Cove",
        "Lk" => "Lake",
        "Sq" => "Square",
        "Pt" => "Point",
        "Xing" => "Crossing",
        "Bnd" => "Bend",
        "Hts" => "Heights",
        "Plz" => "Plaza",
        "Rdg" => "Ridge",
        "Spgs" => "Springs",
        "Vlg" => "Village",
        "Vw" => "View",
        _ => return None,
    })
}

/// Street endings written in full.
const FULL: [&str; 16] = [
    "Street",
    "Avenue",
    "Road",
    "Drive",
    "Lane",
    "Court",
    "Boulevard",
    "Parkway",
    "Place",
    "Circle",
    "Terrace",
    "Trail",
    "Way",
    "Highway",
    "Loop",
    "Cove",
];
