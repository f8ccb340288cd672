//! Abbreviations of every kind, with the next word where it decides.

use super::contacts::is_letter;
use super::word::{Word, sign_name};
use super::{Point, Said, measures};

pub(super) fn say(words: &[Word<'_>], at: usize) -> Option<Said> {
    let word = &words[at];
    if let Some(said) = initials(word).or_else(|| numeral(words, at)) {
        return Some(said);
    }
    let next = words.get(at + 1);
    if let Some(title) = personal_title(word) {
        return Some(Said { point: Point::Title, ..Said::new(title, 1) });
    }
    if word.core == "Jr" {
        return Some(Said::name("Junior", 1));
    }
    if word.trail.starts_with('.') {
        let name = match word.core {
            "Sr" => Some("Senior"),
            "Inc" => Some("Incorporated"),
            "Corp" => Some("Corporation"),
            "Esq" => Some("Esquire"),
            _ => None,
        };
        if let Some(name) = name {
            return Some(Said::name(name, 1));
        }
    }
    let numbered = next.is_some_and(Word::starts_with_digit);
    let scale = at > 0 && words[at - 1].core == "degrees" && words[at - 1].is_open();
    match word.core {
        "F" if scale => return Some(Said::new("Fahrenheit", 1)),
        "C" if scale => return Some(Said::new("Celsius", 1)),
        "Ph" if word.trail.starts_with(':') => return Some(Said::new("Phone", 1)),
        "ext" | "Ext" if numbered => return Some(Said::abbreviation("extension", 1)),
        _ => {}
    }
    let lower = word.lower();
    dotted(&lower, numbered)
        .filter(|_| word.trail.starts_with('.'))
        .or_else(|| shorthand(word.core, &lower))
        .map(|text| Said::abbreviation(text, 1))
        .or_else(|| sign(words, at).map(|text| Said::new(text, 1)))
        .or_else(|| glued(word.core))
}

/// Whether a word usually begins a sentence, where it has a capital.
pub(super) fn begins_sentences(word: &Word<'_>) -> bool {
    word.is_capitalised() && STARTERS.contains(&word.core.split('\'').next().unwrap_or_default())
}

const STARTERS: [&str; 73] = [
    "A", "After", "All", "Also", "An", "And", "Another", "Any", "Are", "As", "At", "Before", "Both", "But",
    "By", "Call", "Can", "Could", "Did", "Do", "Does", "Each", "For", "From", "Great", "He", "Her", "Here",
    "His", "How", "However", "I", "If", "In", "Is", "It", "Its", "Just", "Let", "My", "No", "Not", "Now",
    "On", "One", "Or", "Our", "Please", "Shall", "She", "Should", "So", "Some", "Sorry", "That", "The",
    "Their", "Then", "There", "These", "They", "This", "Those", "Was", "We", "What", "When", "Where",
    "Which", "Who", "Would", "Yes", "You",
];

/// `Mr.`, `Prof.`: a name follows.
fn personal_title(word: &Word<'_>) -> Option<&'static str> {
    Some(match word.core {
        "Mr" => "Mister",
        "Mrs" => "Missus",
        _ if !word.trail.starts_with('.') => return None,
        "Ms" => "Miz",
        "Dr" => "Doctor",
        "Prof" => "Professor",
        "Rev" => "Reverend",
        "Sgt" => "Sergeant",
        "Sen" => "Senator",
        "Gov" => "Governor",
        "Capt" => "Captain",
        "Lt" => "Lieutenant",
        "Gen" => "General",
        _ => return None,
    })
}

/// `U.S.`, `Ph.D.`: letters one by one. A lone `E.` keeps its point: without it, it would be a direction.
fn initials(word: &Word<'_>) -> Option<Said> {
    match word.core {
        "Ph.D" => return Some(Said::name("PhD", 1)),
        "e.g" => return Some(Said::abbreviation("for example", 1)),
        "i.e" => return Some(Said::abbreviation("that is", 1)),
        _ => {}
    }
    let single = |part: &str| part.chars().count() == 1 && part.starts_with(is_letter);
    let initials = word.core.contains('.') && word.core.split('.').all(single);
    initials.then(|| Said::name(word.core.to_uppercase().replace('.', " "), 1))
}

/// `Phase II` as "Phase two".
fn numeral(words: &[Word<'_>], at: usize) -> Option<Said> {
    let before = words.get(at.checked_sub(1)?)?;
    let counted = matches!(
        before.core,
        "Phase"
            | "Type"
            | "Section"
            | "Class"
            | "Level"
            | "Part"
            | "Chapter"
            | "War"
            | "Tier"
            | "Grade"
            | "Building"
    );
    let number = match words[at].core {
        "II" => "two",
        "III" => "three",
        "IV" => "four",
        "VI" => "six",
        "VII" => "seven",
        "VIII" => "eight",
        "IX" => "nine",
        _ => return None,
    };
    (counted && before.trail.is_empty()).then(|| Said::new(number, 1))
}

/// What is an abbreviation only with its point; before a number it may be another.
fn dotted(lower: &str, numbered: bool) -> Option<&'static str> {
    Some(match lower {
        "est" if numbered => "established",
        "est" => "estimated",
        "gar" => "garage",
        "no" if numbered => "number",
        "c" | "ca" if numbered => "circa",
        "pg" | "p" if numbered => "page",
        "tel" => "telephone",
        "ref" => "reference",
        "lic" => "license",
        "min" => "minimum",
        "max" => "maximum",
        "ft" => "feet",
        "dept" => "department",
        "co" => "company",
        "misc" => "miscellaneous",
        "temp" => "temperature",
        _ => return None,
    })
}

/// Abbreviations with or without a point.
fn shorthand(core: &str, lower: &str) -> Option<&'static str> {
    Some(match lower {
        "w/" => "with",
        "w/o" => "without",
        "w/in" => "within",
        "w/d" => "washer and dryer",
        "a/c" => "AC",
        "b/c" => "because",
        "b/w" => "between",
        "and/or" => "and or",
        "n/a" => "not available",
        "approx" | "appx" | "apprx" => "approximately",
        "avg" => "average",
        "etc" => "et cetera",
        "vs" => "versus",
        "incl" => "including",
        "excl" => "excluding",
        "mgmt" => "management",
        "bsmt" => "basement",
        "mstr" => "master",
        "hoa" if core != "HOA" => "HOA",
        "mls" if core != "MLS" => "MLS",
        "hvac" if core != "HVAC" => "HVAC",
        "fsbo" => "for sale by owner",
        "sfh" => "single family home",
        "nnn" => "triple net",
        "bbq" => "barbecue",
        "bd" | "bds" | "br" | "brs" | "bdrm" | "bdrms" => "bedrooms",
        "ba" if core != "Ba" => "baths",
        "lic" if core == "Lic" => "license",
        "ph" if core == "ph" => "phone",
        "sq" => "square",
        _ => return None,
    })
}

/// A sign that stands alone.
fn sign(words: &[Word<'_>], at: usize) -> Option<&'static str> {
    let before = at.checked_sub(1).map(|before| &words[before]);
    let next = words.get(at + 1);
    let numbered = next.is_some_and(|next| next.starts_with_digit() || next.core.starts_with('$'));
    Some(match words[at].core {
        "+" if numbered && before.is_some_and(Word::starts_with_digit) => "plus",
        // `12 ft x 10 ft`.
        "x" | "X" | "×" if numbered && before.is_some_and(|before| is_length(before.core)) => "by",
        "&" | "+" if next.is_some() && before.is_some() => "and",
        "&" if next.is_some() => "and",
        "+/-" | "±" if !numbered => "more or less",
        "+/-" => "plus or minus",
        // An arrow leads from one thing to another, or else adorns.
        "→" | "➡" | "->" | "=>" => {
            if before.is_some() && next.is_some() {
                "to"
            } else {
                ""
            }
        }
        core => {
            let mut chars = core.chars();
            let sign = chars.next().filter(|_| chars.next().is_none() && numbered)?;
            sign_name(sign)?
        }
    })
}

fn is_length(core: &str) -> bool {
    matches!(core, "ft" | "feet" | "in" | "inches" | "m" | "meters") || core.ends_with("ft")
}

/// `/month` and `w/pool`.
fn glued(core: &str) -> Option<Said> {
    if let Some(unit) = core.strip_prefix('/').filter(|unit| !unit.is_empty()) {
        return measures::per(unit).map(|text| Said::abbreviation(text, 1));
    }
    let rest = core.strip_prefix("w/").or_else(|| core.strip_prefix("W/"))?;
    (rest.len() > 1).then(|| Said::new(format!("with {}", super::plain::rest(rest)), 1))
}
