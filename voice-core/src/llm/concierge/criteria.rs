//! What a caller looks for: read from words, matched against listings, loosened where nothing fits.
//!
//! Pure. Invariant: a criterion is only what was said; the only one assumed is that homes are for sale unless rent is
//! spoken of.

use std::collections::HashSet;

use super::listing::{HomeKind, Listing, Listings, Status};
use super::numbers::{NumberWishes, Range, read_wishes};
use super::streets::{LetterMask, capitalised, similarity, sound_of};

/// What a home must have to be named.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Criteria {
    pub(super) price: Range,
    pub(super) beds: Range,
    pub(super) baths: Range,
    /// Living area.
    pub(super) sqft: Range,
    pub(super) lot: Range,
    pub(super) year: Range,
    pub(super) cars: Option<u32>,
    pub(super) stories: Option<u32>,
    pub(super) kind: Option<HomeKind>,
    pub(super) bungalow: bool,
    /// City or part of town as written in the listings.
    pub(super) place: Option<String>,
    /// A town where there is nothing.
    pub(super) elsewhere: Option<String>,
    pub(super) pool: Option<bool>,
    pub(super) garage: Option<bool>,
    pub(super) fireplace: Option<bool>,
    pub(super) pets: bool,
    pub(super) no_fee: bool,
    pub(super) lease: Option<bool>,
    /// Both for sale and for rent were asked for.
    pub(super) both: bool,
}

impl Criteria {
    /// Reads what `words` ask for, leaving the word ranges of addresses alone.
    pub(super) fn read(words: &[String], taken: &[(usize, usize)], places: &Places, renting: bool) -> Self {
        let has = |list: &[&str]| words.iter().any(|w| list.contains(&w.as_str()));
        let mut lease = None;
        let both = phrase(words, &["sale", "or", "rent"])
            || phrase(words, &["sale", "or", "for", "rent"])
            || phrase(words, &["rent", "or", "buy"])
            || phrase(words, &["buy", "or", "rent"]);
        if both {
            // Neither is narrowed to.
        } else if has(&["rent", "rental", "rentals", "renting", "lease", "leasing", "monthly", "tenant"])
            || phrase(words, &["a", "month"])
            || phrase(words, &["per", "month"])
        {
            lease = Some(true);
        } else if has(&["buy", "buying", "sale", "sell", "purchase", "own"]) {
            lease = Some(false);
        }
        let apartment = has(&["apartment", "apartments"]);
        let rent = lease == Some(true) || lease.is_none() && (renting || apartment);
        let NumberWishes { price, beds, baths, sqft, lot, year, cars, stories } =
            read_wishes(words, taken, rent);
        if lease.is_none() && price.most.is_some_and(|most| most < 20_000.0) {
            lease = Some(true);
        }
        let mut criteria =
            Self { price, beds, baths, sqft, lot, year, cars, stories, lease, both, ..Self::default() };
        criteria.kind = if has(&["condo", "condos", "condominium", "condominiums"]) {
            Some(HomeKind::Condo)
        } else if has(&["townhouse", "townhouses", "townhome", "townhomes"])
            || phrase(words, &["town", "house"])
        {
            Some(HomeKind::Townhouse)
        } else if has(&["apartment", "apartments", "flat", "flats"]) {
            Some(HomeKind::Apartment)
        } else if has(&["house", "houses"]) || phrase(words, &["single", "family"]) {
            Some(HomeKind::House)
        } else {
            None
        };
        criteria.bungalow = has(&["bungalow", "bungalows"]);
        if phrase(words, &["single", "story"]) || phrase(words, &["one", "story"]) {
            criteria.stories = Some(1);
        }
        if has(&["studio"]) {
            criteria.beds = Range { least: None, most: Some(0.0) };
        }
        criteria.pool = wish(words, &["pool", "pools", "swimming"]);
        criteria.garage = wish(words, &["garage", "garages", "parking"]);
        criteria.fireplace = wish(words, &["fireplace", "fireplaces"]);
        criteria.pets = has(&["pet", "pets", "dog", "dogs", "cat", "cats"]);
        criteria.no_fee = wish(words, &["hoa", "fee", "fees"]) == Some(false);
        criteria.place = places.find(words, taken);
        if criteria.place.is_none() {
            criteria.elsewhere = find_elsewhere(words);
        }
        criteria
    }

    /// Whether anything was asked for.
    pub(super) fn is_set(&self) -> bool {
        *self != Self::default()
    }

    /// Whether anything was asked for that only a search can mean: a bound, a place, a kind.
    pub(super) fn narrows(&self) -> bool {
        self.price.is_set()
            || self.beds.is_set()
            || self.baths.is_set()
            || self.sqft.is_set()
            || self.lot.is_set()
            || self.year.is_set()
            || self.kind.is_some()
            || self.bungalow
            || self.place.is_some()
            || self.elsewhere.is_some()
            || self.lease.is_some()
            || self.both
    }

    /// These criteria on top of earlier ones: what is said now replaces its like, the rest stays.
    pub(super) fn on_top_of(self, earlier: &Self) -> Self {
        let range = |now: Range, then: Range| if now.is_set() { now } else { then };
        let placed = self.place.is_some() || self.elsewhere.is_some();
        Self {
            price: if self.lease.is_some() && self.lease != earlier.lease {
                self.price
            } else {
                range(self.price, earlier.price)
            },
            beds: range(self.beds, earlier.beds),
            baths: range(self.baths, earlier.baths),
            sqft: range(self.sqft, earlier.sqft),
            lot: range(self.lot, earlier.lot),
            year: range(self.year, earlier.year),
            cars: self.cars.or(earlier.cars),
            stories: self.stories.or(earlier.stories),
            kind: self.kind.or(earlier.kind),
            bungalow: self.bungalow || earlier.bungalow,
            place: if placed { self.place } else { earlier.place.clone() },
            elsewhere: if placed { self.elsewhere } else { earlier.elsewhere.clone() },
            pool: self.pool.or(earlier.pool),
            garage: self.garage.or(earlier.garage),
            fireplace: self.fireplace.or(earlier.fireplace),
            pets: self.pets || earlier.pets,
            no_fee: self.no_fee || earlier.no_fee,
            lease: if self.both { None } else { self.lease.or(earlier.lease) },
            both: self.both || earlier.both && self.lease.is_none(),
        }
    }

    /// Places of the available listings that fit, cheapest first. Homes for sale, unless only rentals fit or rent was
    /// said.
    pub(super) fn find(&self, listings: &Listings) -> Vec<usize> {
        let fitting = |lease: bool| {
            let mut found: Vec<usize> = (0..listings.all().len())
                .filter(|place| {
                    listings
                        .at(*place)
                        .is_some_and(|l| l.is_available() && lease == l.lease && self.misses(l) == 0.0)
                })
                .collect();
            found.sort_by_key(|place| listings.at(*place).map(|l| l.price));
            found
        };
        match self.lease {
            Some(lease) => fitting(lease),
            None if self.both => [fitting(false), fitting(true)].concat(),
            None => {
                let sale = fitting(false);
                if sale.is_empty() { fitting(true) } else { sale }
            }
        }
    }

    /// What fits and cannot be had: taken already, or not on the market yet. Sold homes are past and stay out.
    pub(super) fn find_taken(&self, listings: &Listings) -> Vec<usize> {
        let lease = self.lease.unwrap_or(self.kind == Some(HomeKind::Apartment));
        (0..listings.all().len())
            .filter(|place| {
                listings.at(*place).is_some_and(|l| {
                    !l.is_available()
                        && l.status != Status::Closed
                        && l.lease == lease
                        && self.misses(l) == 0.0
                })
            })
            .collect()
    }

    /// The available listings that come nearest, best first, at most `most`. Rentals stay with rentals.
    pub(super) fn nearest(&self, listings: &Listings, most: usize) -> Vec<usize> {
        let lease = self.lease.unwrap_or(self.kind == Some(HomeKind::Apartment));
        let mut ranked: Vec<(f64, u64, usize)> = listings
            .all()
            .iter()
            .enumerate()
            .filter(|(_, listing)| listing.is_available() && listing.lease == lease)
            .map(|(place, listing)| (self.misses(listing), listing.price, place))
            .collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        ranked.into_iter().take(most).map(|(_, _, place)| place).collect()
    }

    /// Whether a listing has all that is wished.
    pub(super) fn fits(&self, listing: &Listing) -> bool {
        self.lease.is_none_or(|lease| lease == listing.lease) && self.misses(listing) == 0.0
    }

    /// How far a listing is from what is wished: 0 fits.
    fn misses(&self, l: &Listing) -> f64 {
        let range = |range: &Range, value: Option<f64>, unit: f64| match value {
            Some(v) if range.holds(v) => 0.0,
            Some(v) => {
                let low = range.least.map_or(0.0, |least| (least - v).max(0.0));
                let high = range.most.map_or(0.0, |most| (v - most).max(0.0));
                0.2 + (low + high) / unit
            }
            None if range.is_set() => 3.0,
            None => 0.0,
        };
        let flag = |miss: bool, weight: f64| if miss { weight } else { 0.0 };
        let wanted = |wish: Option<bool>, has: bool| wish.is_some_and(|wish| wish != has);
        let price = l.price as f64;
        range(&self.price, Some(price), price * 0.15)
            + range(&self.beds, l.beds.map(f64::from), 1.0)
            + range(&self.baths, l.baths(), 1.0)
            + range(&self.sqft, l.area_sqft.map(|v| v as f64), 500.0)
            + range(&self.lot, l.lot_sqft.map(|v| v as f64), 3000.0)
            + range(&self.year, l.year.map(f64::from), 15.0)
            + flag(self.cars.is_some_and(|cars| l.garage.unwrap_or(0) < cars), 1.0)
            + flag(self.stories.is_some() && l.stories != self.stories, 1.0)
            + flag(self.kind.is_some_and(|kind| kind != l.kind), 1.5)
            + flag(self.bungalow && !l.bungalow, 1.5)
            + flag(self.place.as_ref().is_some_and(|p| *p != l.city && Some(p) != l.area.as_ref()), 1.5)
            + flag(self.elsewhere.is_some(), 4.0)
            + flag(wanted(self.pool, l.has_pool()), 1.2)
            + flag(wanted(self.garage, l.has_garage()), 1.0)
            + flag(wanted(self.fireplace, l.fireplace == Some(true)), 0.8)
            + flag(self.pets && !l.pets.iter().any(|p| p != "No"), 1.0)
            + flag(self.no_fee && l.fee.is_some(), 1.0)
    }
}

/// Whether the words stand in the text in this order, side by side.
pub(super) fn phrase(words: &[String], phrase: &[&str]) -> bool {
    words.windows(phrase.len()).any(|window| window.iter().zip(phrase).all(|(a, b)| a == b))
}

/// `Some(true)` where one of `names` is spoken of, `Some(false)` where it is to be absent.
fn wish(words: &[String], names: &[&str]) -> Option<bool> {
    let at = words.iter().position(|w| names.contains(&w.as_str()))?;
    let without =
        words[at.saturating_sub(3)..at].iter().any(|w| matches!(w.as_str(), "without" | "no" | "not"));
    Some(!without)
}

/// The cities and parts of town of the listings, prepared for comparing.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// As written, and in small letters without spaces.
    names: Vec<(String, Vec<char>, LetterMask)>,
}

impl Places {
    pub(super) fn new(listings: &Listings) -> Self {
        let mut seen = HashSet::new();
        let names = listings.all().iter().flat_map(|listing| listing.area.iter().chain([&listing.city]));
        let names = names.filter(|name| seen.insert(name.as_str())).map(|name| {
            let letters = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase);
            let letters: Vec<char> = letters.collect();
            let mask = LetterMask::of(&letters);
            (name.clone(), letters, mask)
        });
        Self { names: names.collect() }
    }

    /// City or part of town that is spoken of, as written in the listings; the longest name wins.
    fn find(&self, words: &[String], taken: &[(usize, usize)]) -> Option<String> {
        let mut best: Option<(f64, &String)> = None;
        for start in 0..words.len() {
            for len in 1..=3 {
                if start + len > words.len() || taken.iter().any(|(s, e)| start < *e && *s < start + len) {
                    continue;
                }
                let window: Vec<char> = words[start..start + len].iter().flat_map(|w| w.chars()).collect();
                if window.len() < 4 || window.len() > 24 {
                    continue;
                }
                let mask = LetterMask::of(&window);
                for (name, letters, known) in &self.names {
                    let longer = window.len().max(letters.len());
                    if window.len().abs_diff(letters.len()) > 3 || mask.most_alike(*known, longer) < 0.6 {
                        continue;
                    }
                    let spelled = similarity(&window, letters);
                    let near = spelled >= 0.8 && letters.len() >= 6;
                    let sounds = || similarity(&sound_of(&window), &sound_of(letters)) >= 0.9;
                    let close = near || spelled >= 0.6 && letters.len() >= 8 && sounds();
                    let score = spelled + letters.len() as f64 * 0.1;
                    if (window == *letters || close) && best.is_none_or(|(most, _)| score > most) {
                        best = Some((score, name));
                    }
                }
            }
        }
        best.map(|(_, name)| name.clone())
    }
}

/// A well-known town that no listing is in, so that nobody is told about homes elsewhere as if they were there.
fn find_elsewhere(words: &[String]) -> Option<String> {
    const TOWNS: [&[&str]; 22] = [
        &["dallas"],
        &["houston"],
        &["san", "antonio"],
        &["fort", "worth"],
        &["el", "paso"],
        &["waco"],
        &["kyle"],
        &["buda"],
        &["leander"],
        &["lakeway"],
        &["pflugerville"],
        &["hutto"],
        &["cedar", "park"],
        &["san", "marcos"],
        &["dripping", "springs"],
        &["new", "york"],
        &["los", "angeles"],
        &["chicago"],
        &["denver"],
        &["phoenix"],
        &["miami"],
        &["seattle"],
    ];
    TOWNS
        .iter()
        .find(|town| phrase(words, town))
        .map(|town| town.iter().map(|w| capitalised(w)).collect::<Vec<_>>().join(" "))
}
