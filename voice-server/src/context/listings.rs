//! The listings that fit a caller's words, as the store has them.
//!
//! [`ListingSource`] is all that a call needs of them. An organization's listings are known as a whole where they are few
//! enough (`homes`), and then found as the local answerer finds them, misheard streets included; of more than that only those
//! are known that the store's search finds (`search`). What is said in a call narrows what is found and nothing else:
//! whose listings they are was sure before. Callers: `source`, `app`.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use uuid::Uuid;
use voice_core::llm::concierge::{Homes, Listing};

use super::homes::Catalogues;
use super::search::Searches;
use crate::data::Store;

/// Finds homes by a caller's words.
pub trait ListingSource: Send + Sync {
    /// Homes of the organization that fit the words, those that can be had first, at most `limit`, each as one short plain
    /// text. Empty where nothing fits or the words name no home.
    ///
    /// # Errors
    /// What failed, in words without anything that the caller said.
    fn find(
        &self,
        organization: Uuid,
        words: String,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<String>, String>>;

    /// The homes of the organization for an answerer that speaks about them itself: all of them, or those that fit what was
    /// said lately, oldest first.
    ///
    /// # Errors
    /// What failed, in words without anything that the caller said.
    fn homes(&self, organization: Uuid, said: Vec<String>) -> BoxFuture<'static, Result<Homes, String>>;
}

/// A change of a listing is heard after this at the latest.
const FRESH: Duration = Duration::from_secs(15);

/// The listings of the store. Cheap to clone.
#[derive(Clone)]
pub struct StoredListings {
    catalogues: Catalogues,
    searches: Searches,
}

impl std::fmt::Debug for StoredListings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredListings").finish_non_exhaustive()
    }
}

impl StoredListings {
    /// Over this database. A change is heard within 15 s.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self::fresh_within(store, FRESH)
    }

    /// The same with changes heard within another time: each organization that is spoken about is read once in it.
    pub fn fresh_within(store: Arc<dyn Store>, fresh: Duration) -> Self {
        Self { catalogues: Catalogues::new(store.clone(), fresh), searches: Searches::new(store, fresh / 3) }
    }
}

impl ListingSource for StoredListings {
    fn find(
        &self,
        organization: Uuid,
        words: String,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<String>, String>> {
        let this = self.clone();
        async move {
            Ok(match this.catalogues.of(organization).await? {
                Some(homes) => homes.fitting(&words, limit).into_iter().map(told).collect(),
                None => {
                    this.searches.find(organization, &words).await?.iter().take(limit).map(told).collect()
                }
            })
        }
        .boxed()
    }

    fn homes(&self, organization: Uuid, said: Vec<String>) -> BoxFuture<'static, Result<Homes, String>> {
        let this = self.clone();
        async move {
            match this.catalogues.of(organization).await? {
                Some(homes) => Ok(homes),
                None => this.searches.homes(organization, &said).await,
            }
        }
        .boxed()
    }
}

/// A home as one plain text, with what callers ask about.
pub(crate) fn told(home: &Listing) -> String {
    let price =
        if home.lease { format!("rent ${} a month", home.price) } else { format!("price ${}", home.price) };
    let status = match home.status {
        voice_core::llm::concierge::Status::ComingSoon => "coming soon".to_owned(),
        voice_core::llm::concierge::Status::UnderContract => "under contract".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    };
    let mut facts = vec![home.address(), home.city.clone(), home.kind.noun().to_owned(), status, price];
    let mut add = |fact: Option<String>| facts.extend(fact);
    add(home.area.clone());
    add(home.beds.map(|beds| format!("{beds} bedrooms")));
    add(home.baths().map(|baths| format!("{baths} bathrooms")));
    add(home.area_sqft.map(|area| format!("{area} square feet")));
    add(home.lot_sqft.map(|lot| format!("lot {lot} square feet")));
    add(home.year.map(|year| format!("built {year}")));
    add(home.garage.map(|cars| format!("garage for {cars} cars")));
    add(home.pool.map(|pool| if pool.is_some() { "pool" } else { "no pool" }.to_owned()));
    add(home.fee.as_ref().map(|(fee, due)| {
        format!("association fee ${fee} {}", due.as_deref().unwrap_or_default()).trim_end().to_owned()
    }));
    add(home.taxes.map(|taxes| format!("taxes ${taxes} a year")));
    add((!home.schools.is_empty()).then(|| format!("schools {}", home.schools.join(" and "))));
    add((!home.pets.is_empty()).then(|| format!("pets {}", home.pets.join(" and "))));
    add(Some(format!("MLS number {}", home.id)));
    facts.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use voice_core::llm::concierge::sample_listings;

    use super::super::homes::MOST_WHOLE;
    use super::*;
    use crate::data::{DEMO_ORGANIZATION, NewProperty, SqliteStore, Timestamp};

    struct Office {
        folder: std::path::PathBuf,
        store: Arc<SqliteStore>,
    }

    impl Office {
        async fn open() -> Self {
            let folder = std::env::temp_dir().join(format!("voice-listings-{}", Uuid::new_v4()));
            let store = Arc::new(SqliteStore::open(&folder).await.expect("a store"));
            Self { folder, store }
        }

        async fn save(&self, organization: Uuid, listings: Vec<Value>) {
            let at = Timestamp::now();
            let new =
                listings.into_iter().filter_map(|listing| NewProperty::from_reso(listing, at)).collect();
            crate::data::Listings::save_properties(&*self.store, organization, new).await.expect("saved");
        }

        fn listings(&self, fresh: Duration) -> StoredListings {
            StoredListings::fresh_within(self.store.clone(), fresh)
        }
    }

    impl Drop for Office {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    fn home(id: &str, number: u32, street: &str, price: u64, more: Value) -> Value {
        let mut listing = json!({
            "ListingId": id, "StreetNumber": number.to_string(), "StreetName": street, "StreetSuffix": "St", "City": "Kyle",
            "ListPrice": price, "BedroomsTotal": 3, "PropertyType": "Residential",
            "PropertySubType": "Single Family Residence", "StandardStatus": "Active",
        });
        let (Some(listing_fields), Value::Object(more)) = (listing.as_object_mut(), more) else {
            return listing;
        };
        listing_fields.extend(more);
        listing
    }

    async fn found(listings: &StoredListings, organization: Uuid, words: &str) -> Vec<String> {
        listings.find(organization, words.to_owned(), 5).await.expect("found")
    }

    #[test]
    fn a_home_is_told_with_what_callers_ask() {
        let home = &sample_listings().all()[0];
        let told = told(home);
        assert!(
            told.starts_with("1208 Maple Street, Austin, house, active, price $525000, East Austin"),
            "{told}"
        );
        assert!(told.contains("3 bedrooms, 2 bathrooms, 1840 square feet") && told.chars().count() < 600);
    }

    #[tokio::test]
    async fn each_organization_finds_its_own_homes_and_none_of_anothers() {
        use crate::data::Accounts as _;
        let office = Office::open().await;
        let other = Uuid::from_u128(9);
        office.store.add_organization(other, "Other".into(), Timestamp::now()).await.expect("added");
        office.save(DEMO_ORGANIZATION, vec![home("A1", 12, "Foo", 400_000, json!({}))]).await;
        office.save(other, vec![home("B1", 14, "Bar", 300_000, json!({"StandardStatus": "Pending"}))]).await;
        let listings = office.listings(FRESH);
        let told = found(&listings, DEMO_ORGANIZATION, "how much is twelve fu street").await;
        assert!(
            told.len() == 1 && told[0].starts_with("12 Foo Street, Kyle, house, active, price $400000"),
            "{told:?}"
        );
        for nothing in [
            "",
            "hello there",
            "list all homes",
            "14 Bar Street",
            "anything under three hundred fifty thousand",
        ] {
            assert!(found(&listings, DEMO_ORGANIZATION, nothing).await.is_empty(), "{nothing}");
        }
        let told = found(&listings, other, "a house in Kyle").await;
        assert!(
            told.len() == 1 && told[0].contains("14 Bar Street") && told[0].contains("pending"),
            "{told:?}"
        );
        assert!(found(&listings, Uuid::from_u128(10), "a house in Kyle").await.is_empty());
    }

    #[tokio::test]
    async fn a_change_is_heard_in_time_and_a_database_that_fails_leaves_what_is_known() {
        let office = Office::open().await;
        let listings = office.listings(Duration::from_millis(30));
        for price in [400_000, 390_000] {
            office.save(DEMO_ORGANIZATION, vec![home("A1", 12, "Foo", price, json!({}))]).await;
            tokio::time::sleep(Duration::from_millis(31)).await;
            let told = found(&listings, DEMO_ORGANIZATION, "12 foo street").await;
            assert!(told[0].contains(&price.to_string()), "{told:?}");
        }
        crate::data::Upkeep::close(&*office.store).await;
        tokio::time::sleep(Duration::from_millis(31)).await;
        assert!(found(&listings, DEMO_ORGANIZATION, "12 foo street").await[0].contains("390000"));
        assert!(listings.find(Uuid::from_u128(9), "12 foo street".into(), 5).await.is_err());
    }

    #[tokio::test]
    async fn of_too_many_homes_the_search_finds_those_that_are_named() {
        let office = Office::open().await;
        let streets = ["Maple", "Oak", "Barton Hills", "Elm"];
        let many = (0..MOST_WHOLE as u32 + 4).map(|n| {
            let street = streets[n as usize % 4];
            home(
                &format!("A{n}"),
                100 + n,
                street,
                100_000 + 1_000 * u64::from(n),
                json!({"SubdivisionName": "Old Town"}),
            )
        });
        office.save(DEMO_ORGANIZATION, many.collect()).await;
        let condo = json!({"PropertySubType": "Condominium", "City": "Buda", "StreetSuffix": "Lane"});
        let sold = json!({"StandardStatus": "Closed"});
        let odd = vec![home("C1", 7, "Foo", 250_000, condo), home("C2", 9, "Foo", 240_000, sold)];
        office.save(DEMO_ORGANIZATION, odd).await;
        let listings = office.listings(FRESH);
        for (words, first) in [
            ("how much is 101 oak street please", "101 Oak Street"),
            ("is one oh two barton hills still there", "102 Barton Hills Street"),
            ("what do you have on foo lane", "7 Foo Lane"),
            ("a condo in Buda", "7 Foo Lane"),
            ("anything in Old Town under one hundred fifty thousand", "100 Maple Street"),
            ("your cheapest home", "100 Maple Street"),
        ] {
            let told = found(&listings, DEMO_ORGANIZATION, words).await;
            assert!(
                told.first().is_some_and(|told| told.starts_with(first)) && told.len() <= 5,
                "{words}: {told:?}"
            );
        }
        for nothing in ["hello there", "how many bedrooms has it", "12 Main Street", "a condo in Dallas"] {
            assert!(found(&listings, DEMO_ORGANIZATION, nothing).await.is_empty(), "{nothing}");
        }
        let said = ["how much is 101 Oak Street", "It is $101,000.", "how many bedrooms has it"];
        let homes = listings.homes(DEMO_ORGANIZATION, said.map(str::to_owned).to_vec()).await.expect("homes");
        assert!(
            !homes.is_whole() && homes.listings().all().iter().any(|home| home.address() == "101 Oak Street")
        );
    }
}
