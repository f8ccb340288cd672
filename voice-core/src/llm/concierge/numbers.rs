//! What numbers in a question mean: prices with their bounds, counts of rooms, years, sizes.
//!
//! Callers leave out what is clear to them: "under five hundred" of a home for sale is $500,000. Pure; caller:
//! `criteria`.

use crate::text::spoken_numbers::{SpokenNumber, read_numbers};

/// What a bound word before a number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// "under", "up to", "at most".
    Most,
    /// "over", "at least", "from".
    Least,
    /// "around", "about".
    Near,
    /// Nothing was said.
    Bare,
}

/// A range with open ends.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Range {
    pub(super) least: Option<f64>,
    pub(super) most: Option<f64>,
}

impl Range {
    pub(super) fn is_set(&self) -> bool {
        self.least.is_some() || self.most.is_some()
    }

    pub(super) fn holds(&self, value: f64) -> bool {
        self.least.is_none_or(|least| value >= least) && self.most.is_none_or(|most| value <= most)
    }

    fn of(bound: Bound, value: f64, bare: Bound) -> Self {
        match if bound == Bound::Bare { bare } else { bound } {
            Bound::Most => Self { least: None, most: Some(value) },
            Bound::Least => Self { least: Some(value), most: None },
            Bound::Near => Self { least: Some(value * 0.85), most: Some(value * 1.15) },
            Bound::Bare => Self { least: Some(value), most: Some(value) },
        }
    }
}

/// Everything that the numbers of a question ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct NumberWishes {
    pub(super) price: Range,
    pub(super) beds: Range,
    pub(super) baths: Range,
    /// Living area.
    pub(super) sqft: Range,
    /// The lot, also in square feet.
    pub(super) lot: Range,
    pub(super) year: Range,
    pub(super) cars: Option<u32>,
    pub(super) stories: Option<u32>,
}

/// Reads what the numbers in `words` ask for. Numbers inside `taken` word ranges (addresses) are left alone.
pub(super) fn read_wishes(words: &[String], taken: &[(usize, usize)], rent: bool) -> NumberWishes {
    let mut wishes = NumberWishes::default();
    let mut numbers = read_numbers(words);
    numbers.retain(|(at, n)| taken.iter().all(|(start, end)| at + n.words <= *start || *end <= *at));
    if let Some(lot) = read_part_of_acre(words) {
        wishes.lot = lot;
    }
    let mut i = 0;
    while let Some(&(at, number)) = numbers.get(i) {
        i += 1;
        let end = at + number.words;
        let next = |k: usize| words.get(end + k).map_or("", String::as_str);
        let bound = bound_before(words, at);
        let after = bound_after(words, end);
        let value = number.value;
        // "two or three bedrooms", "three to four": the noun stands behind the second.
        let pair = numbers.get(i).copied().filter(|(other, _)| {
            *other == end + 1 && matches!(next(0), "or" | "to") || *other == end && value < 10.0
        });
        let noun_at = pair.map_or(end, |(other, n)| other + n.words);
        let noun = noun_after(words, noun_at);
        let upper = pair.map(|(_, n)| n.value);
        let rooms = |value: f64| {
            if let Some(upper) = upper.filter(|upper| *upper >= value) {
                return Range { least: Some(value), most: Some(upper) };
            }
            Range::of(if after { Bound::Least } else { bound }, value, Bound::Bare)
        };
        match noun {
            Noun::Beds if value <= 20.0 => {
                wishes.beds = rooms(value);
                i += usize::from(pair.is_some());
                continue;
            }
            Noun::Baths if value <= 20.0 => {
                wishes.baths = rooms(value);
                i += usize::from(pair.is_some());
                continue;
            }
            Noun::Sqft => {
                let range = Range::of(bound, value, Bound::Least);
                if measures_lot(words, at, noun_at) {
                    wishes.lot = range;
                } else {
                    wishes.sqft = range;
                }
                continue;
            }
            Noun::Acres => {
                wishes.lot = Range::of(bound, value * ACRE_SQFT, Bound::Least);
                continue;
            }
            Noun::Cars if value <= 20.0 => {
                wishes.cars = Some(value as u32);
                continue;
            }
            Noun::Stories if value <= 100.0 => {
                wishes.stories = Some(value as u32);
                continue;
            }
            Noun::Other => continue,
            _ => {}
        }
        if let Some(range) = read_year(words, at, value) {
            wishes.year = range;
            continue;
        }
        let between =
            words[at.saturating_sub(2)..at].iter().any(|w| matches!(w.as_str(), "between" | "from"));
        let range = numbers.get(i).copied().filter(|(other, _)| {
            let joined = *other <= end + 2 && matches!(next(0), "and" | "to" | "$" | "dollars");
            joined && (between || next(0) == "to") || *other == end && value >= 50.0
        });
        if let Some((other, high)) = range
            && let Some((low, high)) = scale_pair(value, high, &words[other..other + high.words], rent)
        {
            wishes.price = Range { least: Some(low.min(high)), most: Some(low.max(high)) };
            i += 1;
            continue;
        }
        let money = at > 0 && words[at - 1] == "$" || matches!(next(0), "dollars" | "bucks");
        if !money && bound == Bound::Bare && value < 1000.0 {
            continue;
        }
        if let Some(value) = scale_price(value, rent) {
            let least = after || matches!(next(0), "plus");
            wishes.price = if least {
                Range::of(Bound::Least, value, Bound::Least)
            } else {
                Range::of(bound, value, Bound::Most)
            };
        }
    }
    wishes
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Noun {
    None,
    Beds,
    Baths,
    Sqft,
    Acres,
    Cars,
    Stories,
    /// Something that is no price: minutes, miles, homes, people, percent.
    Other,
}

/// What is counted by the number that ends before `at`. "or more" and "plus" may stand between.
fn noun_after(words: &[String], at: usize) -> Noun {
    let mut at = at;
    while matches!(
        words.get(at).map(String::as_str),
        Some("or" | "more" | "plus" | "full" | "at" | "least" | "separate")
    ) {
        at += 1;
    }
    match words.get(at).map_or("", String::as_str) {
        "bed" | "beds" | "bedroom" | "bedrooms" | "br" | "bd" | "bedded" | "bedder" => Noun::Beds,
        "bath" | "baths" | "bathroom" | "bathrooms" | "ba" => Noun::Baths,
        "square" | "sqft" | "sq" | "feet" | "foot" => Noun::Sqft,
        "acre" | "acres" => Noun::Acres,
        "car" | "cars" => Noun::Cars,
        "story" | "stories" | "storey" | "floors" | "level" | "levels" => Noun::Stories,
        "minute" | "minutes" | "mile" | "miles" | "people" | "kids" | "children" | "percent" | "homes"
        | "houses" | "years" | "days" | "weeks" | "months" | "am" | "pm" | "o'clock" | "dogs" | "cats" => {
            Noun::Other
        }
        _ => Noun::None,
    }
}

/// Square feet of an acre.
const ACRE_SQFT: f64 = 43_560.0;
/// Words before a size in which the thing measured is looked for: "a lot that has at least 8,000 square feet".
const MEASURED_WITHIN: usize = 6;

pub(super) fn is_lot_word(word: &str) -> bool {
    matches!(word, "lot" | "lots" | "land" | "yard" | "backyard" | "plot" | "acreage")
}

/// Whether the number at `at`, whose unit stands at `noun`, measures the lot and not the living area.
fn measures_lot(words: &[String], at: usize, noun: usize) -> bool {
    let behind = words[noun.min(words.len())..]
        .iter()
        .find(|w| !matches!(w.as_str(), "square" | "sqft" | "sq" | "feet" | "foot" | "of" | "a"));
    if behind.is_some_and(|w| is_lot_word(w)) {
        return true;
    }
    let other = |w: &str| {
        matches!(w, "house" | "home" | "condo" | "townhouse" | "apartment" | "living" | "inside" | "space")
    };
    let nearest =
        words[at.saturating_sub(MEASURED_WITHIN)..at].iter().rev().find(|w| is_lot_word(w) || other(w));
    nearest.is_some_and(|w| is_lot_word(w))
}

/// "half an acre", "a quarter acre", "an acre".
fn read_part_of_acre(words: &[String]) -> Option<Range> {
    let acre = words.iter().position(|w| w == "acre")?;
    let part =
        (acre.saturating_sub(3)..acre).rev().find(|i| !matches!(words[*i].as_str(), "an" | "a" | "of"));
    let (share, start) = match part.map(|i| (words[i].as_str(), i)) {
        Some(("half", i)) => (0.5, i),
        Some(("quarter", i)) => (0.25, i),
        _ if acre > 0 && words[acre - 1] == "an" => (1.0, acre - 1),
        _ => return None,
    };
    let bound = bound_before(words, start);
    Some(Range::of(bound, share * ACRE_SQFT, Bound::Least))
}

fn bound_before(words: &[String], at: usize) -> Bound {
    let mut seen = at;
    for _ in 0..4 {
        let Some(i) = seen.checked_sub(1) else { break };
        let two = (i.checked_sub(1).map_or("", |j| words[j].as_str()), words[i].as_str());
        let bound = match two {
            ("less" | "cheaper" | "lower" | "fewer", "than") | ("up" | "close", "to") | ("at", "most") => {
                Bound::Most
            }
            ("more" | "bigger" | "larger" | "greater" | "higher", "than") | ("at", "least") => Bound::Least,
            (
                _,
                "under" | "below" | "beneath" | "maximum" | "max" | "within" | "budget" | "afford" | "spend",
            ) => Bound::Most,
            (_, "over" | "above" | "minimum" | "exceeding" | "starting") => Bound::Least,
            (_, "around" | "about" | "roughly" | "near" | "approximately") => Bound::Near,
            (_, "$" | "the" | "of" | "is" | "a" | "than" | "to" | "price" | "at") => {
                seen = i;
                continue;
            }
            _ => break,
        };
        // "no more than", "nothing over", "not above": turned around.
        let negated = i.checked_sub(2).is_some_and(|j| matches!(words[j].as_str(), "no" | "not" | "nothing"))
            || matches!(two.0, "no" | "not" | "nothing");
        return match (bound, negated) {
            (Bound::Least, true) => Bound::Most,
            (Bound::Most, true) => Bound::Least,
            (bound, _) => bound,
        };
    }
    Bound::Bare
}

/// Whether "or more", "plus", "and up" follows.
fn bound_after(words: &[String], at: usize) -> bool {
    let two = (words.get(at).map_or("", String::as_str), words.get(at + 1).map_or("", String::as_str));
    matches!(two, ("plus", _) | ("or" | "and", "more" | "up" | "above" | "over")) || {
        let late =
            (words.get(at + 1).map_or("", String::as_str), words.get(at + 2).map_or("", String::as_str));
        matches!(late, ("or" | "and", "more" | "up" | "above"))
    }
}

fn read_year(words: &[String], at: usize, value: f64) -> Option<Range> {
    if !(1800.0..=2100.0).contains(&value) || value.fract() != 0.0 {
        return None;
    }
    let before = &words[at.saturating_sub(3)..at];
    let says = |list: &[&str]| before.iter().any(|w| list.contains(&w.as_str()));
    if says(&["$"]) {
        None
    } else if says(&["after", "since", "newer"]) {
        Some(Range { least: Some(value), most: None })
    } else if says(&["before", "older"]) {
        Some(Range { least: None, most: Some(value) })
    } else if says(&["built", "in", "from", "year"]) {
        Some(Range { least: Some(value), most: Some(value) })
    } else {
        None
    }
}

/// A price as meant. Of a sale nobody says the thousands; below fifty a number is no price but a small part of one.
fn scale_price(value: f64, rent: bool) -> Option<f64> {
    let scaled = match value {
        v if v >= 1000.0 => v,
        v if rent && v >= 300.0 => v,
        v if rent && v < 10.0 && v.fract() != 0.0 => v * 1e3,
        v if rent => return (1.0..10.0).contains(&v).then_some(v * 1e3),
        v if v >= 50.0 => v * 1e3,
        v if v < 10.0 && v.fract() != 0.0 => v * 1e6,
        _ => return None,
    };
    Some(scaled)
}

/// Both ends of a price range; the lower takes its scale from the upper: "between four and five hundred thousand".
fn scale_pair(low: f64, high: SpokenNumber, high_words: &[String], rent: bool) -> Option<(f64, f64)> {
    let top = scale_price(high.value, rent)?;
    if low >= 1000.0 {
        return Some((low, top));
    }
    if rent && top < 20_000.0 {
        return scale_price(low, true).map(|low| (low, top));
    }
    let says = |w: &str| high_words.iter().any(|x| x == w);
    let scale = if says("million") && top >= 1e6 && low < 10.0 {
        1e6
    } else if says("hundred") && says("thousand") && low < 10.0 {
        1e5
    } else if low >= 10.0 || low.fract() == 0.0 && high.value < 10.0 {
        1e3
    } else {
        return None;
    };
    Some((low * scale, top)).filter(|(low, top)| low <= top)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::words::split_words;

    fn wishes(text: &str) -> NumberWishes {
        read_wishes(&split_words(text), &[], text.contains("rent"))
    }

    fn price(text: &str) -> (Option<f64>, Option<f64>) {
        let range = wishes(text).price;
        (range.least, range.most)
    }

    #[test]
    fn prices_are_read_as_they_are_said() {
        for (text, expected) in [
            ("homes under five hundred thousand", (None, Some(500_000.0))),
            ("below half a million", (None, Some(500_000.0))),
            ("less than $500,000", (None, Some(500_000.0))),
            ("under 500", (None, Some(500_000.0))),
            ("up to 1.2 million", (None, Some(1_200_000.0))),
            ("no more than four fifty", (None, Some(450_000.0))),
            ("over seven hundred k", (Some(700_000.0), None)),
            ("at least a million", (Some(1_000_000.0), None)),
            ("between four and five hundred thousand", (Some(400_000.0), Some(500_000.0))),
            ("between 300 and 400 thousand", (Some(300_000.0), Some(400_000.0))),
            ("from $300,000 to $400,000", (Some(300_000.0), Some(400_000.0))),
            ("between one and two million", (Some(1_000_000.0), Some(2_000_000.0))),
            ("four hundred to five hundred thousand", (Some(400_000.0), Some(500_000.0))),
            ("something to rent under three thousand", (None, Some(3000.0))),
            ("my budget is six hundred thousand", (None, Some(600_000.0))),
            ("nothing over 400k", (None, Some(400_000.0))),
            ("a three bedroom home", (None, None)),
            ("built after 2010", (None, None)),
            ("over 2000 square feet", (None, None)),
        ] {
            assert_eq!(price(text), expected, "{text}");
        }
    }

    #[test]
    fn rooms_sizes_and_years_are_told_apart() {
        let w = wishes(
            "a three-bedroom two and a half bath home over 2,000 square feet built after 2010 under $600,000",
        );
        assert_eq!(w.beds, Range { least: Some(3.0), most: Some(3.0) });
        assert_eq!(w.baths, Range { least: Some(2.5), most: Some(2.5) });
        assert_eq!(w.sqft, Range { least: Some(2000.0), most: None });
        assert_eq!(w.year, Range { least: Some(2010.0), most: None });
        assert_eq!(w.price.most, Some(600_000.0));
        assert_eq!(wishes("at least four bedrooms").beds, Range { least: Some(4.0), most: None });
        assert_eq!(wishes("3+ bedrooms").beds, Range { least: Some(3.0), most: None });
        assert_eq!(wishes("three bedrooms or more").beds, Range { least: Some(3.0), most: None });
        assert_eq!(wishes("two or three bedrooms").beds, Range { least: Some(2.0), most: Some(3.0) });
        assert_eq!(wishes("a two-car garage").cars, Some(2));
    }

    #[test]
    fn the_lot_is_not_the_living_area() {
        let sizes = |text: &str| {
            let w = wishes(text);
            (w.sqft.least, w.lot.least)
        };
        for (text, expected) in [
            ("over 2000 square feet", (Some(2000.0), None)),
            ("a lot over 8,000 square feet", (None, Some(8000.0))),
            ("8000 square feet of land", (None, Some(8000.0))),
            ("a house over 2000 square feet on a lot over 8000 square feet", (Some(2000.0), Some(8000.0))),
            ("a lot of 8000 square feet and a home of 2000 square feet", (Some(2000.0), Some(8000.0))),
            ("at least a quarter of an acre", (None, Some(10_890.0))),
            ("more than half an acre", (None, Some(21_780.0))),
            ("on two acres", (None, Some(87_120.0))),
            ("an acre", (None, Some(43_560.0))),
        ] {
            assert_eq!(sizes(text), expected, "{text}");
        }
    }
}
