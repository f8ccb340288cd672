//! Addresses: house numbers, streets, units, states, postal codes.

use super::numbers::{digits, house, ordinal};
use super::plain::ordinal_of;
use super::{Said, Word};

pub(super) fn say(words: &[Word], at: usize) -> Option<Said> {
    unit(words, at)
        .or_else(|| postal_code(words, at))
        .or_else(|| house_number(words, at))
        .or_else(|| state(words, at))
        .or_else(|| direction(words, at))
        .or_else(|| street(words, at))
}

/// `Unit 12`, `Apt. 1204`, `#4B`, `Ste 300`.
fn unit(words: &[Word], at: usize) -> Option<Said> {
    let word = &words[at];
    if let Some(number) = word.core.strip_prefix('#') {
        // `MLS# 1234567` and `# 4` put a gap behind the mark.
        return match number {
            "" => Some(Said::new(format!("number {}", code(&words.get(at + 1)?.core)?), 2)),
            _ => Some(Said::new(format!("number {}", code(number)?), 1)),
        };
    }
    if let Some(what) = word.core.strip_suffix('#').filter(|what| what.chars().all(char::is_alphabetic)) {
        return Some(Said::new(format!("{what} number {}", code(&words.get(at + 1)?.core)?), 2));
    }
    let name = match word.core.as_str() {
        "Unit" | "unit" => "unit",
        "Apt" | "apt" | "Apartment" | "apartment" => "apartment",
        "Ste" | "Suite" | "suite" => "suite",
        "Lot" | "lot" => "lot",
        "Bldg" | "bldg" => "building",
        "Zip" | "ZIP" | "zip" => "zip",
        _ => return None,
    };
    let next = words.get(at + 1).filter(|_| word.trail.is_empty() || word.trail == ".");
    let number = next.and_then(|next| code(next.core.trim_start_matches('#')));
    match number {
        Some(number) => Some(Said::new(format!("{name} {number}"), 2)),
        None if name != word.lower() => Some(Said::abbreviation(name, 1)),
        None => None,
    }
}

/// The number of a unit or a listing: `12`, `4B`, `B12`, `1234567`.
fn code(text: &str) -> Option<String> {
    if !text.chars().any(|c| c.is_ascii_digit())
        || !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    {
        return None;
    }
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let run = rest.find(|c: char| c.is_ascii_digit() != first.is_ascii_digit()).unwrap_or(rest.len());
        let (part, behind) = rest.split_at(run);
        if !first.is_ascii_digit() {
            let letters = part.chars().filter(char::is_ascii_alphabetic);
            out.extend(letters.map(|c| c.to_ascii_uppercase().to_string()));
        } else if part.len() > 4 || part.starts_with('0') {
            out.push(digits(part));
        } else {
            out.extend(part.parse().map(house));
        }
        rest = behind;
    }
    Some(out.join(" "))
}

/// Five digits behind a state, or nine with a dash.
fn postal_code(words: &[Word], at: usize) -> Option<Said> {
    let word = &words[at];
    let (five, four) = word.core.split_once('-').unwrap_or((&word.core, "0000"));
    let is_code = five.len() == 5 && four.len() == 4 && [five, four].iter().all(|part| all_digits(part));
    if !is_code || at == 0 {
        return None;
    }
    let before = &words[at - 1];
    let placed = state_name(&before.core).is_some()
        || STATES.iter().any(|(_, name)| name.ends_with(&before.core) && before.is_capitalised())
        || matches!(before.lower().as_str(), "zip" | "code")
        || word.core.len() == 10;
    placed.then(|| Said::new(word.core.split('-').map(digits).collect::<Vec<_>>().join(" , "), 1))
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// A number in front of a name: `1208 Barton Springs Rd`, `310 E 5th St`.
fn house_number(words: &[Word], at: usize) -> Option<Said> {
    let word = &words[at];
    if !all_digits(&word.core) || word.core.len() > 5 || word.core.starts_with('0') || !word.trail.is_empty()
    {
        return None;
    }
    let next = words.get(at + 1)?;
    let named = next.is_capitalised() && !is_counted(&next.core);
    let numbered = ordinal_of(&next.core).is_some()
        && words
            .get(at + 2)
            .is_some_and(|word| suffix(&word.core).is_some() || FULL.contains(&word.core.as_str()));
    let number: u64 = word.core.parse().ok()?;
    (named || numbered).then(|| Said::new(house(number), 1))
}

/// Capitalised words that a number counts.
fn is_counted(core: &str) -> bool {
    matches!(core, "Bedrooms" | "Bathrooms" | "Beds" | "Baths" | "Units" | "Homes" | "Listings" | "AM" | "PM")
}

/// Whether a house number, a street's name and at most two words more stand before this word.
fn in_address(words: &[Word], at: usize) -> bool {
    (1..=4).any(|back| {
        at.checked_sub(back).is_some_and(|number| {
            let number = &words[number];
            number.is_open() && all_digits(&number.core) && number.core.len() <= 5
        })
    })
}

/// `TX` behind a comma or before a postal code.
fn state(words: &[Word], at: usize) -> Option<Said> {
    let name = state_name(&words[at].core)?;
    let before = at.checked_sub(1).map(|before| &words[before]);
    let coded = words.get(at + 1).is_some_and(|next| {
        next.core.len() >= 5 && next.core.as_bytes()[..5].is_ascii() && all_digits(&next.core[..5])
    });
    let listed = before.is_some_and(|before| before.trail.contains(',') && before.is_capitalised());
    (coded || listed).then(|| Said::abbreviation(name, 1))
}

fn state_name(code: &str) -> Option<&'static str> {
    STATES.iter().find(|(short, _)| *short == code).map(|(_, name)| *name)
}

/// `N`, `SW` in front of a street's name or behind it.
fn direction(words: &[Word], at: usize) -> Option<Said> {
    let name = match words[at].core.as_str() {
        "N" => "North",
        "S" => "South",
        "E" => "East",
        "W" => "West",
        "NE" => "Northeast",
        "NW" => "Northwest",
        "SE" => "Southeast",
        "SW" => "Southwest",
        _ => return None,
    };
    let before = at.checked_sub(1).map(|before| &words[before])?;
    let numbered = all_digits(&before.core);
    let behind_street = suffix(&before.core).is_some() || FULL.contains(&before.core.as_str());
    let leads = words.get(at + 1).is_some_and(|next| {
        let street = words
            .get(at + 2)
            .is_some_and(|word| suffix(&word.core).is_some() || FULL.contains(&word.core.as_str()));
        (next.is_capitalised() || ordinal_of(&next.core).is_some()) && street
    });
    (numbered || behind_street || leads).then(|| Said::abbreviation(name, 1))
}

/// `Barton Dr`, `Oak St.`, `5th Ave`; also `Dr. Smith`, `St. Edward's`, `Mt. Bonnell`.
fn street(words: &[Word], at: usize) -> Option<Said> {
    let word = &words[at];
    let next = words.get(at + 1).filter(|_| word.trail.is_empty() || word.trail == ".");
    let leads_name = next.is_some_and(Word::is_capitalised);
    let before = at.checked_sub(1).map(|before| &words[before]).filter(|before| before.is_open());
    let named = before.is_some_and(|before| before.is_capitalised() || ordinal_of(&before.core).is_some());
    let title = match word.core.as_str() {
        "Dr" => Some("Doctor"),
        "St" => Some("Saint"),
        "Mt" => Some("Mount"),
        "Ft" => Some("Fort"),
        _ => None,
    };
    if let Some(title) = title
        && leads_name
        // Behind a house number, or glued to a name before it, the same letters end a street.
        && !(named && in_address(words, at))
        && !(named && word.trail.is_empty() && title != "Mount" && title != "Fort")
    {
        return Some(Said { is_title: true, ..Said::abbreviation(title, 1) });
    }
    let name = suffix(&word.core)?;
    let sure = !matches!(word.core.as_str(), "St" | "Dr" | "Ct" | "Pl" | "Sq" | "Ter" | "Cir" | "Pt" | "Trl");
    (named || sure).then(|| Said::abbreviation(name, 1))
}

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
        "Ter" => "Terrace",
        "Trl" => "Trail",
        "Hwy" => "Highway",
        "Fwy" => "Freeway",
        "Expy" => "Expressway",
        "Cv" => "Cove",
        "Sq" => "Square",
        "Pt" => "Point",
        "Xing" => "Crossing",
        "Bnd" => "Bend",
        "Hts" => "Heights",
        "Plz" => "Plaza",
        _ => return None,
    })
}

/// Street endings written in full.
const FULL: [&str; 12] = [
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
    "Trail",
    "Way",
];

/// "5th" as "fifth" wherever it stands.
pub(super) fn ordinal_word(core: &str) -> Option<String> {
    ordinal_of(core).map(ordinal)
}

const STATES: [(&str, &str); 51] = [
    ("AL", "Alabama"),
    ("AK", "Alaska"),
    ("AZ", "Arizona"),
    ("AR", "Arkansas"),
    ("CA", "California"),
    ("CO", "Colorado"),
    ("CT", "Connecticut"),
    ("DC", "D C"),
    ("DE", "Delaware"),
    ("FL", "Florida"),
    ("GA", "Georgia"),
    ("HI", "Hawaii"),
    ("ID", "Idaho"),
    ("IL", "Illinois"),
    ("IN", "Indiana"),
    ("IA", "Iowa"),
    ("KS", "Kansas"),
    ("KY", "Kentucky"),
    ("LA", "Louisiana"),
    ("ME", "Maine"),
    ("MD", "Maryland"),
    ("MA", "Massachusetts"),
    ("MI", "Michigan"),
    ("MN", "Minnesota"),
    ("MS", "Mississippi"),
    ("MO", "Missouri"),
    ("MT", "Montana"),
    ("NE", "Nebraska"),
    ("NV", "Nevada"),
    ("NH", "New Hampshire"),
    ("NJ", "New Jersey"),
    ("NM", "New Mexico"),
    ("NY", "New York"),
    ("NC", "North Carolina"),
    ("ND", "North Dakota"),
    ("OH", "Ohio"),
    ("OK", "Oklahoma"),
    ("OR", "Oregon"),
    ("PA", "Pennsylvania"),
    ("RI", "Rhode Island"),
    ("SC", "South Carolina"),
    ("SD", "South Dakota"),
    ("TN", "Tennessee"),
    ("TX", "Texas"),
    ("UT", "Utah"),
    ("VT", "Vermont"),
    ("VA", "Virginia"),
    ("WA", "Washington"),
    ("WV", "West Virginia"),
    ("WI", "Wisconsin"),
    ("WY", "Wyoming"),
];
