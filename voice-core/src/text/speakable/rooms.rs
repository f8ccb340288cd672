//! Bedrooms and baths in the shorthand of listings.

use super::Said;
use super::amount::{Amount, Decimals, amount, leading_fraction, split_number};
use super::word::{Word, lowered};

/// `3bd`, `3 bd`, `4BR`, `2.5 baths`, `3-bed`, `2 1/2 ba`. The sides of `3bd/2.5ba` come one by one.
pub(super) fn say(words: &[Word<'_>], at: usize) -> Option<Said> {
    // `3 bd / 2 ba`: the slash is a pause.
    if words[at].core == "/"
        && at > 0
        && room(words[at - 1].core).or(counted_room(words[at - 1].core)).is_some()
    {
        return Some(Said::new(" , ", 1));
    }
    let Amount { text, one, words: taken, rest } = amount(words, at, Decimals::Halves)?;
    let (rest, more) = rest.strip_suffix('+').map_or((rest, ""), |rest| (rest, " plus"));
    if let Some(unit) = rest.strip_prefix('-') {
        let room = room(unit).or((unit == "story").then_some("story"))?;
        return Some(Said::abbreviation(format!("{text}{more} {room}"), taken));
    }
    if !rest.is_empty() {
        return Some(Said::abbreviation(format!("{text}{more} {}", plural(room(rest)?, one)), taken));
    }
    // `Baths: 2.5`.
    let listed = at.checked_sub(1).is_some_and(|before| {
        words[before].trail == ":" && room(words[before].core).is_some_and(|room| room.starts_with("bath"))
    });
    if listed {
        return Some(Said::new(text, taken));
    }
    let next = words.get(at + taken).filter(|_| words[at + taken - 1].trail.is_empty())?;
    Some(Said::abbreviation(format!("{text}{more} {}", plural(room(next.core)?, one)), taken + 1))
}

/// Whether a word with slashes in it counts rooms between them: `3bd/2ba`, `bd/2`, `Studio/1ba`; not `1/2ba`.
pub(super) fn lists_rooms(core: &str) -> bool {
    leading_fraction(core).is_none()
        && core.split('/').any(|part| room(part).or(counted_room(part)).is_some())
}

/// The room of `3bd`.
fn counted_room(part: &str) -> Option<&'static str> {
    let (_, unit) = split_number(part)?;
    room(unit.strip_prefix('-').unwrap_or(unit))
}

/// The room that an abbreviation means, in the singular.
fn room(unit: &str) -> Option<&'static str> {
    let lower = lowered(unit.trim_end_matches('.'));
    Some(match lower.as_ref() {
        "bd" | "bds" | "br" | "brs" | "bdr" | "bdrs" | "bdrm" | "bdrms" | "bedroom" | "bedrooms" => "bedroom",
        "bed" | "beds" => "bed",
        "ba" | "bas" | "bth" | "bths" | "bath" | "baths" => "bath",
        "bathroom" | "bathrooms" => "bathroom",
        _ => return None,
    })
}

fn plural(noun: &str, one: bool) -> String {
    if one { noun.to_owned() } else { format!("{noun}s") }
}
