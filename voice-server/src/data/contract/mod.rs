//! What every store must do, as one suite that each database's tests run.

mod accounts;
mod conversations;
mod listings;
mod recordings;
mod tenancy;
mod upkeep;

use serde_json::json;
use uuid::Uuid;

use super::{
    Circle, DEMO_ORGANIZATION, DataError, NewConversation, NewUser, PropertyFilter, PropertySort, Role,
    Store, Timestamp, Turn, facts,
};

/// Adds the organization that the suite's calls belong to.
pub(super) async fn prepare(store: &dyn Store) {
    match store.add_organization(DEMO_ORGANIZATION, "Demo".into(), Timestamp::now()).await {
        Ok(()) | Err(DataError::Exists) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Runs the whole suite on a fresh store.
pub(super) async fn keeps_the_contract(store: &dyn Store) {
    accounts::all(store).await;
    conversations::all(store).await;
    listings::all(store).await;
    recordings::all(store).await;
    upkeep::all(store).await;
    tenancy::nothing_of_one_organization_is_reached_from_another(store).await;
}

/// A conversation of the demo organization, created at `millis`.
pub(super) fn conversation(id: Uuid, millis: i64) -> NewConversation {
    NewConversation::anonymous(id, DEMO_ORGANIZATION, Timestamp::from_millis(millis))
}

/// A turn whose every field is different from its default.
pub(super) fn turn(number: u32) -> Turn {
    Turn {
        turn: number,
        said: format!("question {number}"),
        reply: format!("answer {number}"),
        heard: "answer".into(),
        started_ms: 1_000 * u64::from(number),
        reply_started_ms: 1_000 * u64::from(number) + 350,
        interrupted: true,
        ledger: json!({"endpoint": 200.5, "stt": 50.0}),
        total_ms: 250.5,
        by_person: true,
    }
}

/// Ids of [`older_calls`]: told by a secret key, by a publishable one, by a user, and by a key that is gone.
const OLDER: [Uuid; 4] = [Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3), Uuid::from_u128(4)];

/// Calls with a number as the version had them that did not know who told it; `now` is a moment of the database.
pub(super) fn older_calls(now: &str) -> Vec<String> {
    let (organization, secret, publishable) = (DEMO_ORGANIZATION, Uuid::from_u128(11), Uuid::from_u128(12));
    let mut rows = vec![format!(
        "INSERT INTO organizations (id, name, created_at) VALUES ('{organization}', 'Old', {now})"
    )];
    for (id, kind) in [(secret, "secret"), (publishable, "publishable")] {
        rows.push(format!(
            "INSERT INTO api_keys (id, organization_id, kind, name, hash, hint, created_at)
             VALUES ('{id}', '{organization}', '{kind}', 'a', '{id}', 'h', {now})"
        ));
    }
    let by = [Some(secret), Some(publishable), None, None];
    for (id, key) in OLDER.into_iter().zip(by) {
        let key = key.map_or("NULL".to_owned(), |key| format!("'{key}'"));
        rows.push(format!(
            "INSERT INTO conversations (id, organization_id, status, client_phone, key_id, created_at)
             VALUES ('{id}', '{organization}', 'active', '+15550111', {key}, {now})"
        ));
    }
    rows
}

/// What must have become of [`older_calls`].
pub(super) async fn a_number_of_an_older_call_counts_where_a_secret_key_told_it(store: &dyn Store) {
    for (place, id) in OLDER.into_iter().enumerate() {
        let found =
            store.conversation(DEMO_ORGANIZATION, id).await.expect("read").expect("kept").conversation;
        assert_eq!((found.client_phone.as_deref(), found.phone_trusted), (Some("+15550111"), place == 0));
    }
}

/// State, type and sub-type of each of [`older_listings`].
fn older_kinds() -> impl Iterator<Item = [&'static str; 3]> {
    const STATES: [&str; 3] = ["Active", "Closed", "Pending"];
    const TYPES: [&str; 6] = ["", "Residential", "Residential Lease", "Land", "Farm", "Townhouse"];
    const SUB_TYPES: [&str; 5] = ["", "Townhouse", "Condominium", "Farm", "Land"];
    STATES.into_iter().flat_map(|state| {
        TYPES
            .into_iter()
            .flat_map(move |kind| SUB_TYPES.into_iter().map(move |sub_kind| [state, kind, sub_kind]))
    })
}

/// Where all of [`older_listings`] are.
const OLDER_PLACE: Circle = Circle { latitude: 30.27, longitude: -97.74, radius_km: 5.0 };

/// Listings as the version had them that knew no shelves; `now` is a moment of the database, and `words_in` its statement for
/// the index of words up to the number, and what stands before and after the words.
pub(super) fn older_listings(now: &str, [words_in, before, after]: [&str; 3]) -> Vec<String> {
    let organization = DEMO_ORGANIZATION;
    let mut rows = vec![format!(
        "INSERT INTO organizations (id, name, created_at) VALUES ('{organization}', 'Old', {now})"
    )];
    let number = |word: &str| if word.is_empty() { 0 } else { facts::few(word) };
    for (place, words) in older_kinds().enumerate() {
        let (id, [status, kind, sub_kind]) = (Uuid::from_u128(place as u128 + 1), words.map(number));
        rows.push(format!(
            "INSERT INTO properties (id, organization_id, address, property_data, created_at, updated_at)
             VALUES ('{id}', '{organization}', '1 Oak St', '{{}}', {now}, {now})"
        ));
        let (owner, city) = (facts::owner(organization), facts::place(organization, "Austin"));
        let cell = facts::cell_of(OLDER_PLACE.latitude, OLDER_PLACE.longitude);
        let [x, y, z] = facts::on_globe(OLDER_PLACE.latitude, OLDER_PLACE.longitude);
        let words = format!(" oak w{place} ");
        rows.push(format!(
            "INSERT INTO property_facts (number, owner, place, listed, price, beds, half_baths, status, kind, sub_kind,
                                         cell, x, y, z, words)
             SELECT number, {owner}, {city}, 1, 1, 1, 1, {status}, {kind}, {sub_kind}, {cell}, {x}, {y}, {z}, '{words}'
             FROM properties WHERE id = '{id}'"
        ));
        let marked = facts::marked(organization, &words);
        rows.push(format!(
            "INSERT INTO property_words {words_in} SELECT number, {before}'{marked}'{after} FROM properties
             WHERE id = '{id}'"
        ));
    }
    rows
}

/// All of [`older_listings`] are found by what they are.
pub(super) async fn older_listings_are_found_by_state_and_type(store: &dyn Store) {
    for status in ["", "Active", "Closed", "Pending"] {
        for kind in ["", "Residential", "Residential Lease", "Land", "Farm", "Townhouse", "Condominium"] {
            let is_one = |[is_status, is_kind, is_sub_kind]: [&str; 3]| {
                let is_asked = match kind {
                    "" => true,
                    // Land in place of a sub-type is a type.
                    "Land" => is_kind == "Land" || (is_sub_kind == "Land" && is_kind.is_empty()),
                    // And a townhouse in place of the type is a sub-type.
                    "Townhouse" => {
                        is_sub_kind == kind || (is_kind == kind && ["", "Land"].contains(&is_sub_kind))
                    }
                    _ => is_kind == kind || is_sub_kind == kind,
                };
                (status.is_empty() || is_status == status) && is_asked
            };
            let expected: Vec<Uuid> = older_kinds()
                .enumerate()
                .filter(|(_, words)| is_one(*words))
                .map(|(place, _)| Uuid::from_u128(place as u128 + 1))
                .collect();
            let given = |word: &str| if word.is_empty() { vec![] } else { vec![word.to_owned()] };
            let filter = PropertyFilter { statuses: given(status), kinds: given(kind), ..Default::default() };
            for sort in [PropertySort::Newest, PropertySort::Cheapest] {
                let found =
                    store.properties(DEMO_ORGANIZATION, filter.clone(), sort, None, 100).await.expect("read");
                let mut found: Vec<Uuid> = found.items.iter().map(|property| property.id).collect();
                found.sort_unstable();
                assert_eq!(found, expected, "{status} {kind} {sort:?}");
            }
        }
    }
    // By a word that one alone has, which is rare enough for the index of words.
    for (place, [status, ..]) in older_kinds().enumerate() {
        let one = PropertyFilter {
            statuses: vec![status.to_owned()],
            words: vec![format!("w{place}")],
            ..Default::default()
        };
        let in_city = PropertyFilter { city: Some("Austin".into()), ..one.clone() };
        let around = PropertyFilter { circle: Some(OLDER_PLACE), ..one.clone() };
        let elsewhere = PropertyFilter { city: Some("Dallas".into()), ..one.clone() };
        for (filter, is_there) in [(one, true), (in_city, true), (around, true), (elsewhere, false)] {
            let found = store
                .properties(DEMO_ORGANIZATION, filter, PropertySort::Newest, None, 100)
                .await
                .expect("read");
            // A begun word finds others too.
            let id = Uuid::from_u128(place as u128 + 1);
            assert_eq!(found.items.iter().any(|property| property.id == id), is_there, "w{place}");
        }
    }
}

/// A new organization of its own.
async fn an_organization(store: &dyn Store) -> Uuid {
    let id = Uuid::new_v4();
    store.add_organization(id, format!("Organization {id}"), Timestamp::from_millis(5)).await.expect("added");
    id
}

/// A new user of an organization.
async fn a_user(store: &dyn Store, organization_id: Uuid) -> Uuid {
    let id = Uuid::new_v4();
    store.add_user(new_user(organization_id, id, Role::Agent)).await.expect("added");
    id
}

fn new_user(organization_id: Uuid, id: Uuid, role: Role) -> NewUser {
    NewUser {
        id,
        organization_id,
        email: format!("{id}@Example.com"),
        name: "Ann".into(),
        role,
        password_hash: None,
        created_at: Timestamp::from_millis(7),
    }
}
