//! What can be asked of the concierge, and the ends of a scale ("cheapest") that questions name. Pure.

use super::criteria::{Criteria, phrase};
use super::fact::Fact;
use super::homes::Facts;
use super::numbers::is_lot_word;

/// What a caller wants to know or have done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Question {
    Greeting,
    Thanks,
    Goodbye,
    Repeat,
    Yes,
    No,
    Human,
    HowAreYou,
    WhoAreYou,
    WhatCanYouDo,
    /// A name or number was left.
    Contact {
        name: Option<String>,
        phone: bool,
    },
    Viewing {
        home: Option<usize>,
        when: Option<String>,
    },
    Search(Criteria),
    /// More of the same, without what was just named.
    Others(Criteria),
    /// Which towns and kinds of homes there are.
    Coverage,
    Count(Criteria),
    Extreme(Extreme, Criteria),
    /// Facts of homes; no home where it is unclear which one.
    Fact {
        homes: Vec<usize>,
        facts: Vec<Fact>,
    },
    Compare {
        homes: (usize, usize),
        facts: Vec<Fact>,
    },
    /// A street that no listing is on, and a home whose street sounds nearest to it.
    UnknownStreet {
        said: String,
        near: Option<usize>,
    },
    /// A house number or unit that no listing has, on a street where there are `homes`, the nearest number first.
    Unlisted {
        said: String,
        homes: Vec<usize>,
    },
    NotUnderstood,
}

/// The end of a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extreme {
    Cheapest,
    Dearest,
    Largest,
    Smallest,
    LargestLot,
    SmallestLot,
    Newest,
    Oldest,
    MostBeds,
    /// "Closest", which nobody can tell without knowing to what.
    Nearest,
}

impl Extreme {
    /// The one of `homes` at this end of the scale; the first of equals.
    pub(super) fn pick(self, homes: &[usize], facts: &Facts) -> Option<usize> {
        let mut best: Option<(i64, usize)> = None;
        for &home in homes {
            let listing = facts.listings.at(home)?;
            let size = listing.area_sqft.map(|v| v as i64);
            let lot = listing.lot_sqft.map(|v| v as i64);
            let year = listing.year.map(i64::from);
            let measure = match self {
                Self::Cheapest => Some(-(listing.price as i64)),
                Self::Dearest => Some(listing.price as i64),
                Self::Largest => size,
                Self::Smallest => size.map(|v| -v),
                Self::LargestLot => lot,
                Self::SmallestLot => lot.map(|v| -v),
                Self::Newest => year,
                Self::Oldest => year.map(|v| -v),
                Self::MostBeds => listing.beds.map(i64::from),
                Self::Nearest => None,
            };
            if let Some(measure) = measure
                && best.is_none_or(|(most, _)| measure > most)
            {
                best = Some((measure, home));
            }
        }
        best.map(|(_, home)| home)
    }
}

/// The extreme or comparative that the words name.
pub(super) fn asked_extreme(words: &[String]) -> Option<Extreme> {
    let has = |list: &[&str]| words.iter().any(|w| list.contains(&w.as_str()));
    let says = |p: &[&str]| phrase(words, p);
    let lot = words.iter().any(|w| is_lot_word(w));
    Some(
        if has(&["cheapest", "cheaper", "lowest"])
            || says(&["least", "expensive"])
            || says(&["most", "affordable"])
            || says(&["less", "expensive"])
            || says(&["costs", "less"])
            || says(&["too", "expensive"])
            || says(&["too", "much"])
        {
            Extreme::Cheapest
        } else if has(&["priciest", "dearest", "highest", "pricier"])
            || says(&["most", "expensive"])
            || says(&["more", "expensive"])
            || says(&["costs", "more"])
        {
            Extreme::Dearest
        } else if says(&["most", "bedrooms"]) || says(&["more", "bedrooms"]) {
            Extreme::MostBeds
        } else if has(&["largest", "biggest", "larger", "bigger"]) || says(&["most", "land"]) {
            if lot { Extreme::LargestLot } else { Extreme::Largest }
        } else if has(&["smallest", "smaller"]) {
            if lot { Extreme::SmallestLot } else { Extreme::Smallest }
        } else if has(&["newest", "newer"]) || says(&["most", "recent"]) {
            Extreme::Newest
        } else if has(&["oldest", "older"]) {
            Extreme::Oldest
        } else if has(&["closest", "nearest"]) {
            Extreme::Nearest
        } else {
            return None;
        },
    )
}
