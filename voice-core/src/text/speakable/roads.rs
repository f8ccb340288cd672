//! Numbered roads: `Hwy 71`, `I-35`, `US-183`, `FM 2222`.

use super::Said;
use super::numbers::house;
use super::states::state_name;
use super::word::{Word, all_digits};

/// The road's name, and its number as people say it: "one eighty three".
pub(super) fn say(words: &[Word<'_>], at: usize) -> Option<Said> {
    let word = &words[at];
    if let Some((front, number)) = word.core.split_once('-') {
        let known = matches!(front, "I" | "IH" | "US" | "SR" | "SH" | "FM" | "RM" | "RR" | "CR")
            || state_name(front).is_some() && word.core.len() > 4;
        let name = road(front).or_else(|| state_name(front)).unwrap_or(front);
        return number_of_road(number)
            .filter(|_| known)
            .map(|number| Said::new(format!("{name} {number}"), 1));
    }
    let name = road(word.core)?;
    let next = words.get(at + 1).filter(|_| word.is_joined())?;
    let unsure = name == "Road" && !at.checked_sub(1).is_some_and(|before| is_kind(words[before].core));
    let number = number_of_road(next.core).filter(|_| !unsure)?;
    Some(Said::new(format!("{name} {number}"), 2))
}

fn road(core: &str) -> Option<&str> {
    Some(match core {
        "Hwy" | "Highway" | "hwy" | "HWY" => "Highway",
        "Rte" | "Rt" | "Route" | "route" => "Route",
        "U.S" => "US",
        "Rd" => "Road",
        "Loop" | "Interstate" | "Road" | "IH" | "US" | "SR" | "SH" | "FM" | "RM" | "RR" | "CR" => core,
        _ => return None,
    })
}

/// What stands before `Road 12`.
fn is_kind(core: &str) -> bool {
    matches!(core, "Ranch" | "County" | "State" | "Farm" | "Market" | "Forest")
}

/// `35`, `183`, `2222`, `35W`.
fn number_of_road(text: &str) -> Option<String> {
    let number = text.trim_end_matches(['N', 'S', 'E', 'W']);
    let side = match &text[number.len()..] {
        "" => "",
        "N" => " North",
        "S" => " South",
        "E" => " East",
        "W" => " West",
        _ => return None,
    };
    let value = (all_digits(number) && number.len() <= 4 && !number.starts_with('0'))
        .then(|| number.parse().ok())??;
    Some(format!("{}{side}", house(value)))
}
