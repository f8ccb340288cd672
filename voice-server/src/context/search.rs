//! Homes found by words among more than are known as a whole: what is asked for becomes a few bounded searches of the store.
//!
//! A street or a place that the words seem to name is a guess, and a search that finds nothing the answer to a wrong one.
//! Streets are found by how they are written, not by how they sound. What was found is kept a moment. Caller: `listings`.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use moka::future::Cache;
use uuid::Uuid;
use voice_core::context::gist;
use voice_core::llm::concierge::{HomeKind, Homes, Listing, Listings, NamedStreet, Wanted};

use super::homes::listing_of;
use crate::data::{DataError, PropertyFilter, PropertySort, Store, search_words};

/// Homes found for one utterance.
const MOST_FOUND: u32 = 8;
/// Words that were searched for, of all organizations, whose homes are kept.
const MOST_KEPT: u64 = 2_000;
/// What was said lately that homes are found for: a question about "it" means one of these.
const MOST_SAID: usize = 8;

/// Finds homes by words. Cheap to clone.
#[derive(Clone)]
pub(super) struct Searches {
    store: Arc<dyn Store>,
    /// By organization and what the words come to.
    found: Cache<(Uuid, String), Arc<Vec<Listing>>>,
}

/// One search and what of it counts.
struct Search<'w> {
    filter: PropertyFilter,
    sort: PropertySort,
    street: Option<&'w NamedStreet>,
    lease: Option<bool>,
}

impl Searches {
    /// Over this database; what was found is kept for `fresh`.
    pub(super) fn new(store: Arc<dyn Store>, fresh: Duration) -> Self {
        Self { store, found: Cache::builder().max_capacity(MOST_KEPT).time_to_live(fresh).build() }
    }

    /// The homes that the words name, those that can be had first unless an address was named.
    pub(super) async fn find(&self, organization: Uuid, words: &str) -> Result<Arc<Vec<Listing>>, String> {
        let Some(wanted) = Wanted::read(words) else { return Ok(Arc::default()) };
        let key = (organization, gist(words));
        if let Some(found) = self.found.get(&key).await {
            return Ok(found);
        }
        let searches = searches(&wanted);
        let found = try_join_all(searches.iter().map(|search| self.run(organization, search))).await;
        let found = found.map_err(|error| format!("the listings cannot be searched: {error}"))?;
        let mut homes: Vec<Listing> = Vec::new();
        for home in found.into_iter().flatten() {
            if !homes.iter().any(|known| known.id == home.id) {
                homes.push(home);
            }
        }
        if !wanted.streets.iter().any(|street| street.number.is_some()) {
            homes.sort_by_key(|home| !home.is_available());
        }
        homes.truncate(MOST_FOUND as usize);
        let homes = Arc::new(homes);
        self.found.insert(key, homes.clone()).await;
        Ok(homes)
    }

    /// The homes that what was said lately names, on both sides.
    pub(super) async fn homes(&self, organization: Uuid, said: &[String]) -> Result<Homes, String> {
        let lately = &said[said.len().saturating_sub(MOST_SAID)..];
        let found = try_join_all(lately.iter().map(|words| self.find(organization, words))).await?;
        let mut homes: Vec<Listing> = Vec::new();
        for home in found.iter().flat_map(|found| found.iter()) {
            if !homes.iter().any(|known| known.id == home.id) {
                homes.push(home.clone());
            }
        }
        Ok(Homes::some_of(Listings::of(homes)))
    }

    async fn run(&self, organization: Uuid, search: &Search<'_>) -> Result<Vec<Listing>, DataError> {
        let page =
            self.store.properties(organization, search.filter.clone(), search.sort, None, MOST_FOUND).await?;
        let homes = page.items.iter().filter_map(listing_of);
        Ok(homes.filter(|home| search.holds(home)).collect())
    }
}

impl Search<'_> {
    /// The search found the words anywhere in the listing: a street must be its street.
    fn holds(&self, home: &Listing) -> bool {
        let on_street = self.street.is_none_or(|street| {
            let words = search_words(&home.street);
            let named = search_words(&street.name.join(" "));
            named.iter().all(|name| words.iter().any(|word| word.starts_with(name.as_str())))
        });
        on_street && self.lease.is_none_or(|lease| lease == home.lease)
    }
}

/// The searches that the words come to, the likeliest first; at most seven.
fn searches(wanted: &Wanted) -> Vec<Search<'_>> {
    let mut searches = Vec::new();
    for street in &wanted.streets {
        let mut by = |number: Option<&String>| {
            let words = number.into_iter().chain(&street.name).flat_map(|word| search_words(word)).collect();
            let filter = PropertyFilter { words, ..PropertyFilter::default() };
            searches.push(Search { filter, sort: PropertySort::Newest, street: Some(street), lease: None });
        };
        if street.number.is_some() {
            by(street.number.as_ref());
        }
        by(None);
    }
    if !searches.is_empty() {
        return searches;
    }
    let filter = PropertyFilter {
        min_price: wanted.least_price.map(cents),
        max_price: wanted.most_price.map(cents),
        min_beds: wanted.least_beds.map(i64::from),
        min_half_baths: wanted.least_baths.map(|baths| (2.0 * baths).ceil() as i64),
        kinds: kinds(wanted),
        statuses: vec!["Active".to_owned()],
        ..PropertyFilter::default()
    };
    let sort = if wanted.dearest { PropertySort::Dearest } else { PropertySort::Cheapest };
    let search = |filter| Search { filter, sort, street: None, lease: wanted.lease };
    for place in &wanted.places {
        searches.push(search(PropertyFilter { city: Some(place.clone()), ..filter.clone() }));
        searches.push(search(PropertyFilter { words: search_words(place), ..filter.clone() }));
    }
    if searches.is_empty() {
        searches.push(search(filter));
    }
    searches
}

fn cents(dollars: u64) -> i64 {
    i64::try_from(dollars.saturating_mul(100)).unwrap_or(i64::MAX)
}

/// RESO's words for what it is to be; where any kind will do, for whether it is for rent.
fn kinds(wanted: &Wanted) -> Vec<String> {
    let words: &[&str] = match (wanted.kind, wanted.lease) {
        (Some(HomeKind::House), _) => &["Single Family Residence", "House"],
        (Some(HomeKind::Condo), _) => &["Condominium"],
        (Some(HomeKind::Townhouse), _) => &["Townhouse"],
        (Some(HomeKind::Apartment), _) => &["Apartment"],
        (_, Some(true)) => &["Residential Lease"],
        _ => &[],
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}
