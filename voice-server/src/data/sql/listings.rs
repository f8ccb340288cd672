//! Listings: stored, read, removed. How they are searched is in `search`.

use std::collections::HashMap;

use serde_json::Value;
use sqlx::types::Json;
use sqlx::{QueryBuilder, Row as _};
use uuid::Uuid;

use super::super::super::facts::{self, Facts};
use super::super::super::types::{Id, Moment};
use super::super::super::{
    Answer, Circle, DataError, Listings, NewProperty, Property, PropertyCursor, PropertyFilter, PropertyPage,
    PropertySort, Saved, Scope, StoredProperty, Timestamp, within,
};
use super::accounts::{id_of, moment_of};
use super::search::Search;
use super::{Database, Db, Row, Work, dialect};

/// Listings that go into one statement: SQLite binds at most 32,766 values in one.
const AT_ONCE: usize = 250;

const COLUMNS: &str = "SELECT number, id, organization_id, mls_id, address, property_data, created_at, updated_at, revision FROM properties ";

impl Listings for Database {
    fn properties(
        &self,
        organization: Uuid,
        filter: PropertyFilter,
        sort: PropertySort,
        cursor: Option<PropertyCursor>,
        limit: u32,
    ) -> Answer<'_, PropertyPage> {
        within(async move {
            let mut work = self.read_by_indexes(Scope::Of(organization)).await?;
            let found = Search::new(organization, &filter, sort, cursor, limit).find(&mut work).await?;
            let items = read(&mut work, organization, &found.numbers, filter.circle).await?;
            Ok(PropertyPage { items, next: found.next })
        })
    }

    fn property(&self, organization: Uuid, id: Uuid) -> Answer<'_, Option<Property>> {
        within(async move {
            let mut work = self.read(Scope::Of(organization)).await?;
            let mut query = QueryBuilder::<Db>::new(COLUMNS);
            query
                .push("WHERE id = ")
                .push_bind(Id(id))
                .push(" AND organization_id = ")
                .push_bind(Id(organization));
            let row = work.built(&mut query).fetch_optional(work.on()).await?;
            row.as_ref().map(|row| stored_of(row).map(Property::from)).transpose()
        })
    }

    fn save_properties(&self, organization: Uuid, listings: Vec<NewProperty>) -> Answer<'_, Saved> {
        within(async move {
            let listings: Vec<NewProperty> = last_of_each(listings).into_iter().map(clean).collect();
            let mut work = self.write(Scope::Of(organization)).await?;
            let mut saved = Saved::default();
            for part in listings.chunks(AT_ONCE) {
                save(&mut work, organization, part, &mut saved).await?;
            }
            work.commit().await?;
            Ok(saved)
        })
    }

    fn remove_properties(&self, organization: Uuid, mls_ids: Vec<String>) -> Answer<'_, u64> {
        within(async move {
            let mut work = self.write(Scope::Of(organization)).await?;
            let mut removed = 0;
            for part in mls_ids.chunks(AT_ONCE) {
                // Facts and words go with it.
                let mut query = QueryBuilder::<Db>::new("DELETE FROM properties WHERE organization_id = ");
                query.push_bind(Id(organization)).push(" AND mls_id IN (");
                let mut list = query.separated(", ");
                for id in part {
                    list.push_bind(id.clone());
                }
                query.push(")");
                removed += work.once(&mut query).execute(work.on()).await?.rows_affected();
            }
            work.commit().await?;
            Ok(removed)
        })
    }
}

/// The listings with these numbers, in their order.
async fn read(
    work: &mut Work,
    organization: Uuid,
    numbers: &[i64],
    circle: Option<Circle>,
) -> Result<Vec<Property>, DataError> {
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = QueryBuilder::<Db>::new(COLUMNS);
    query.push(dialect::BY_NUMBER).push(" WHERE organization_id = ");
    query.push_bind(Id(organization)).push(" AND number ");
    dialect::push_one_of(&mut query, numbers);
    let query = if dialect::LISTS_ARE_BOUND { work.built(&mut query) } else { work.once(&mut query) };
    let mut found = HashMap::with_capacity(numbers.len());
    for row in &query.fetch_all(work.on()).await? {
        let mut property = Property::from(stored_of(row)?);
        property.distance_km = circle.and_then(|circle| distance(circle, &property));
        found.insert(row.try_get::<i64, _>("number")?, property);
    }
    // One that was removed meanwhile is left out.
    Ok(numbers.iter().filter_map(|number| found.remove(number)).collect())
}

/// To ten metres.
fn distance(circle: Circle, property: &Property) -> Option<f64> {
    let here = facts::on_globe(property.latitude?, property.longitude?);
    let middle = facts::on_globe(circle.latitude, circle.longitude);
    let square = here.iter().zip(middle).map(|(a, b)| (a - b).pow(2)).sum();
    Some((facts::km_of_square(square) * 100.0).round() / 100.0)
}

/// Of listings with the same MLS number the last.
fn last_of_each(listings: Vec<NewProperty>) -> Vec<NewProperty> {
    let mut kept: Vec<NewProperty> = Vec::with_capacity(listings.len());
    let mut places = HashMap::new();
    for listing in listings {
        match listing.mls_id.clone().and_then(|id| places.insert(id, kept.len())) {
            Some(place) => {
                places.insert(listing.mls_id.clone().unwrap_or_default(), place);
                kept[place] = listing;
            }
            None => kept.push(listing),
        }
    }
    kept
}

/// Postgres keeps no character zero.
fn clean(mut listing: NewProperty) -> NewProperty {
    fn without_zero(value: &mut Value) {
        match value {
            Value::String(text) if text.contains('\0') => text.retain(|c| c != '\0'),
            Value::Array(values) => values.iter_mut().for_each(without_zero),
            Value::Object(fields) => {
                fields.values_mut().for_each(without_zero);
                if fields.keys().any(|name| name.contains('\0')) {
                    fields.retain(|name, _| !name.contains('\0'));
                }
            }
            _ => {}
        }
    }
    without_zero(&mut listing.property_data);
    listing.address.retain(|c| c != '\0');
    if let Some(id) = &mut listing.mls_id {
        id.retain(|c| c != '\0');
    }
    listing
}

async fn save(
    work: &mut Work,
    organization: Uuid,
    listings: &[NewProperty],
    saved: &mut Saved,
) -> Result<(), DataError> {
    let mut query = QueryBuilder::<Db>::new(
        "INSERT INTO properties (id, organization_id, mls_id, address, property_data, created_at, updated_at) ",
    );
    query.push_values(listings, |mut row, listing| {
        row.push_bind(Id(listing.id))
            .push_bind(Id(organization))
            .push_bind(listing.mls_id.clone())
            .push_bind(listing.address.clone())
            .push_bind(Json(listing.property_data.clone()))
            .push_bind(Moment(listing.at))
            .push_bind(Moment(listing.at));
    });
    query.push(
        " ON CONFLICT (organization_id, mls_id) DO UPDATE SET address = excluded.address,
              property_data = excluded.property_data, updated_at = excluded.updated_at,
              revision = properties.revision + 1
          WHERE properties.address IS DISTINCT FROM excluded.address
             OR properties.property_data IS DISTINCT FROM excluded.property_data
          RETURNING number, id, mls_id, created_at, revision",
    );
    let rows = work.built(&mut query).fetch_all(work.on()).await?;
    let by_mls_id: HashMap<&str, &NewProperty> =
        listings.iter().filter_map(|listing| Some((listing.mls_id.as_deref()?, listing))).collect();
    let by_id: HashMap<Uuid, &NewProperty> = listings.iter().map(|listing| (listing.id, listing)).collect();
    let mut written = Vec::with_capacity(rows.len());
    let mut changed = Vec::new();
    for row in &rows {
        let mls_id: Option<String> = row.try_get("mls_id")?;
        let listing = match &mls_id {
            Some(mls_id) => by_mls_id.get(mls_id.as_str()),
            None => by_id.get(&id_of(row, "id")?),
        };
        let listing = listing.ok_or_else(|| DataError::Corrupt("a listing that was not given".to_owned()))?;
        let number: i64 = row.try_get("number")?;
        let came: Timestamp = moment_of(row, "created_at")?;
        written.push((number, Facts::of(organization, listing, came)));
        if row.try_get::<i64, _>("revision")? > 1 {
            changed.push(number);
        }
    }
    saved.changed += changed.len() as u64;
    saved.added += (written.len() - changed.len()) as u64;
    if written.is_empty() {
        return Ok(());
    }
    save_facts(work, &written).await?;
    save_words(work, organization, &written, &changed).await
}

async fn save_facts(work: &mut Work, written: &[(i64, Facts)]) -> Result<(), DataError> {
    let mut query = QueryBuilder::<Db>::new("INSERT INTO property_facts (number, ");
    query.push(Facts::COLUMNS).push(") ");
    query.push_values(written, |mut row, (number, facts)| {
        row.push(*number);
        for fact in facts.numbers {
            row.push(fact);
        }
        row.push_bind(facts.words.clone());
    });
    query.push(" ON CONFLICT (number) DO UPDATE SET ");
    let mut list = query.separated(", ");
    for column in Facts::COLUMNS.split(", ") {
        list.push(format_args!("{column} = excluded.{column}"));
    }
    work.once(&mut query).execute(work.on()).await?;
    Ok(())
}

async fn save_words(
    work: &mut Work,
    organization: Uuid,
    written: &[(i64, Facts)],
    changed: &[i64],
) -> Result<(), DataError> {
    if !changed.is_empty() {
        let mut query = QueryBuilder::<Db>::new("DELETE FROM property_words WHERE ");
        query.push(dialect::WORDS_NUMBER).push(" IN (");
        let mut list = query.separated(", ");
        for number in changed {
            list.push(*number);
        }
        query.push(")");
        work.once(&mut query).execute(work.on()).await?;
    }
    let mut query = QueryBuilder::<Db>::new(dialect::WORDS_IN);
    query.push_values(written, |mut row, (number, facts)| {
        row.push(*number);
        row.push(dialect::WORDS_FROM);
        let mut words = facts::marked(organization, &facts.words);
        if dialect::WORDS_HAVE_WHEREABOUTS {
            words.push_str(&facts.whereabouts(organization));
        }
        row.push_bind_unseparated(words);
        row.push_unseparated(dialect::WORDS_FROM_END);
    });
    work.once(&mut query).execute(work.on()).await?;
    Ok(())
}

fn stored_of(row: &Row) -> Result<StoredProperty, DataError> {
    let Json(property_data) = row.try_get("property_data")?;
    Ok(StoredProperty {
        id: id_of(row, "id")?,
        organization_id: id_of(row, "organization_id")?,
        mls_id: row.try_get("mls_id")?,
        address: row.try_get("address")?,
        property_data,
        created_at: moment_of(row, "created_at")?,
        updated_at: moment_of(row, "updated_at")?,
        revision: row.try_get("revision")?,
    })
}
