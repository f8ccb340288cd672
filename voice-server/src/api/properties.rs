//! `GET /api/v1/properties` and `GET /api/v1/properties/{id}`: the organization's listings, searched.
//!
//! A value that cannot be understood is refused with its field's name, not ignored: a list with too much in it looks right.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use hyper::http::request::Parts;
use serde::Deserialize;
use utoipa::IntoParams;

use super::kept::or_kept;
use super::{List, id_of};
use crate::app::App;
use crate::auth::{Identity, Right};
use crate::data::{Circle, Property, PropertyCursor, PropertyFilter, PropertySort, search_words};
use crate::http::Problem;

/// Listings on one page where nothing is asked.
const DEFAULT_LIMIT: u32 = 20;
/// Listings on one page at most.
const MAX_LIMIT: u32 = 100;
/// Kilometres around a place where nothing is asked, and at most.
const DEFAULT_RADIUS: f64 = 50.0;
const MAX_RADIUS: f64 = 500.0;
/// Words of a search, and values of `type` and `status`, at most.
const MOST_WORDS: usize = 8;
/// Characters of a value.
const LONGEST: usize = 200;
/// Nothing costs more.
const HIGHEST_PRICE: f64 = 1e12;
/// No home has more rooms of a kind.
const MOST_ROOMS: f64 = 1_000.0;

/// What a list of listings may ask. Texts, so that a malformed one is reported by its name.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct PropertyQuery {
    /// In this city; capitals, accents and punctuation do not matter.
    city: Option<String>,
    /// Lowest price.
    #[param(value_type = Option<f64>, minimum = 0, maximum = 1_000_000_000_000_u64)]
    min_price: Option<String>,
    /// Highest price.
    #[param(value_type = Option<f64>, minimum = 0, maximum = 1_000_000_000_000_u64)]
    max_price: Option<String>,
    /// Bedrooms at least.
    #[param(value_type = Option<u32>, maximum = 1_000)]
    min_beds: Option<String>,
    /// Bathrooms at least; a half one counts as half.
    #[param(value_type = Option<f64>, minimum = 0, maximum = 1_000)]
    min_baths: Option<String>,
    /// `propertyType` or `propertySubType`, such as `Residential` or `Condominium`; several with commas between. A type's name as
    /// `propertySubType` counts only where there is no `propertyType`.
    r#type: Option<String>,
    /// `standardStatus`, such as `Active`; several with commas between.
    status: Option<String>,
    /// Words that the address or the description have, all of them; the last may be only begun, from three letters on.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Degrees north of the place around which is searched.
    #[param(value_type = Option<f64>, minimum = -90, maximum = 90)]
    lat: Option<String>,
    /// Degrees east of it.
    #[param(value_type = Option<f64>, minimum = -180, maximum = 180)]
    lon: Option<String>,
    /// Kilometres around it; 50 where nothing is asked.
    #[param(value_type = Option<f64>, exclusive_minimum = 0, maximum = 500)]
    radius_km: Option<String>,
    /// `-listed` (newest first, the default), `listed`, `price`, `-price`, `beds`, `-beds`, `distance` (with `lat` and `lon`).
    sort: Option<String>,
    /// The `nextCursor` of the page before, of the same search.
    cursor: Option<String>,
    /// Entries of a page, 20 where nothing is asked.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<String>,
}

/// The organization's listings that pass, in order. A page can hold fewer than `limit` and still have a `nextCursor`, where what
/// was asked is so rare that the search was cut: the next page goes on where it stopped.
///
/// # Errors
/// The request may not read, a value of the query is malformed, or the database fails.
#[utoipa::path(get, path = "/api/v1/properties", tag = "properties", params(PropertyQuery), responses(
    (status = 200, description = "A page of listings", body = List<Property>),
    (status = 422, description = "A value of the query is not what it must be; `field` names it"),
))]
pub async fn list(
    State(app): State<App>,
    query: Result<Query<PropertyQuery>, QueryRejection>,
    who: Identity,
    parts: Parts,
) -> Result<Response, Problem> {
    who.may(Right::ReadProperties)?;
    let Query(query) = query.map_err(|_| Problem::bad_value("query", "the query cannot be read"))?;
    let asked = Asked::parse(&query)?;
    let (filter, sort) = (asked.filter.clone(), asked.sort);
    let read = async {
        let page = app.store.properties(who.organization, filter, sort, asked.cursor, asked.limit).await?;
        let next_cursor = page.next.map(|next| next.encode(&asked.filter, sort));
        Ok(List { items: page.items, next_cursor })
    };
    or_kept(&app, &parts, who.organization, read, |_| None).await
}

/// One listing, with an `ETag` of its revision.
///
/// # Errors
/// The request may not read, there is no such listing, or the database fails.
#[utoipa::path(get, path = "/api/v1/properties/{id}", tag = "properties", params(
    ("id" = uuid::Uuid, Path, description = "The listing's id"),
    ("if-none-match" = Option<String>, Header, description = "The `ETag` that the client has"),
), responses(
    (status = 200, description = "The listing", body = Property, headers(("etag" = String))),
    (status = 304, description = "The client has it as it is"),
    (status = 404, description = "The organization has no such listing"),
))]
pub async fn one(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    who: Identity,
    parts: Parts,
) -> Result<Response, Problem> {
    who.may(Right::ReadProperties)?;
    let unknown = || Problem::not_found("there is no such property");
    let id = id_of(id).ok_or_else(unknown)?;
    let read = async { Ok(app.store.property(who.organization, id).await?.ok_or_else(unknown)?) };
    or_kept(&app, &parts, who.organization, read, |property: &Property| Some(property.revision)).await
}

/// The search that a query such as `city=Austin&sort=price` asks for: for load runs that ask the store itself.
///
/// # Errors
/// A value is malformed.
pub fn asked(query: &str) -> Result<(PropertyFilter, PropertySort), Problem> {
    let unreadable = || Problem::bad_value("query", "the query cannot be read");
    let uri = format!("/?{query}").parse().map_err(|_| unreadable())?;
    let Query(query) = Query::<PropertyQuery>::try_from_uri(&uri).map_err(|_| unreadable())?;
    Asked::parse(&query).map(|asked| (asked.filter, asked.sort))
}

/// A checked query.
#[derive(Debug, PartialEq)]
struct Asked {
    filter: PropertyFilter,
    sort: PropertySort,
    cursor: Option<PropertyCursor>,
    limit: u32,
}

impl Asked {
    fn parse(query: &PropertyQuery) -> Result<Self, Problem> {
        let circle = circle(query)?;
        let sort = match given(query.sort.as_ref()) {
            None => PropertySort::default(),
            Some(word) => PropertySort::parse(word).ok_or_else(|| {
                Problem::bad_value(
                    "sort",
                    "sort must be -listed, listed, price, -price, beds, -beds or distance",
                )
            })?,
        };
        if sort == PropertySort::Nearest && circle.is_none() {
            return Err(Problem::bad_value("sort", "sort=distance needs lat and lon"));
        }
        let filter = PropertyFilter {
            city: city(query)?,
            min_price: number("minPrice", query.min_price.as_ref(), 0.0, HIGHEST_PRICE)?.map(cents),
            max_price: number("maxPrice", query.max_price.as_ref(), 0.0, HIGHEST_PRICE)?.map(cents),
            min_beds: whole("minBeds", query.min_beds.as_ref(), 0, MOST_ROOMS as u32)?.map(i64::from),
            min_half_baths: number("minBaths", query.min_baths.as_ref(), 0.0, MOST_ROOMS)?
                .map(|baths| (2.0 * baths).ceil() as i64),
            kinds: several("type", query.r#type.as_ref())?,
            statuses: several("status", query.status.as_ref())?,
            words: words(query)?,
            circle,
        };
        let limit = whole("limit", query.limit.as_ref(), 1, MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
        let cursor = match given(query.cursor.as_ref()) {
            None => None,
            Some(text) => Some(PropertyCursor::parse(text, &filter, sort).ok_or_else(|| {
                Problem::bad_value(
                    "cursor",
                    "cursor must be the nextCursor of an earlier answer to the same search",
                )
            })?),
        };
        Ok(Self { filter, sort, cursor, limit })
    }
}

/// A value that is there and not blank.
fn given(value: Option<&String>) -> Option<&str> {
    value.map(|text| text.trim()).filter(|text| !text.is_empty())
}

fn number(
    field: &'static str,
    value: Option<&String>,
    least: f64,
    most: f64,
) -> Result<Option<f64>, Problem> {
    let Some(text) = given(value) else { return Ok(None) };
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    let wrong = || Problem::bad_value(field, format!("{field} must be a number from {least} to {most}"));
    number.ok_or_else(wrong).map(Some)
}

fn whole(field: &'static str, value: Option<&String>, least: u32, most: u32) -> Result<Option<u32>, Problem> {
    let Some(text) = given(value) else { return Ok(None) };
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    let wrong =
        || Problem::bad_value(field, format!("{field} must be a whole number from {least} to {most}"));
    number.ok_or_else(wrong).map(Some)
}

fn cents(price: f64) -> i64 {
    (price * 100.0).round() as i64
}

fn several(field: &'static str, value: Option<&String>) -> Result<Vec<String>, Problem> {
    let Some(text) = given(value) else { return Ok(Vec::new()) };
    let values: Vec<String> = text.split(',').map(|value| value.trim().to_owned()).collect();
    let sound = values.len() <= MOST_WORDS
        && text.len() <= LONGEST
        && values.iter().all(|value| !search_words(value).is_empty());
    let wrong = || {
        Problem::bad_value(
            field,
            format!("{field} must be one value, or up to {MOST_WORDS} with commas between"),
        )
    };
    if sound { Ok(values) } else { Err(wrong()) }
}

fn city(query: &PropertyQuery) -> Result<Option<String>, Problem> {
    let Some(city) = given(query.city.as_ref()) else { return Ok(None) };
    if city.len() > LONGEST || search_words(city).is_empty() {
        return Err(Problem::bad_value("city", "city must be the name of a city"));
    }
    Ok(Some(city.to_owned()))
}

fn words(query: &PropertyQuery) -> Result<Vec<String>, Problem> {
    let Some(text) = given(query.q.as_ref()) else { return Ok(Vec::new()) };
    let words = if text.chars().count() <= LONGEST { search_words(text) } else { Vec::new() };
    if words.is_empty() || words.len() > MOST_WORDS {
        let detail = format!("q must have 1 to {MOST_WORDS} words in at most {LONGEST} characters");
        return Err(Problem::bad_value("q", detail));
    }
    Ok(words)
}

fn circle(query: &PropertyQuery) -> Result<Option<Circle>, Problem> {
    let latitude = number("lat", query.lat.as_ref(), -90.0, 90.0)?;
    let longitude = number("lon", query.lon.as_ref(), -180.0, 180.0)?;
    let radius_km = number("radiusKm", query.radius_km.as_ref(), 0.0, MAX_RADIUS)?;
    if radius_km == Some(0.0) {
        return Err(Problem::bad_value("radiusKm", "radiusKm must be more than 0"));
    }
    match (latitude, longitude) {
        (Some(latitude), Some(longitude)) => {
            Ok(Some(Circle { latitude, longitude, radius_km: radius_km.unwrap_or(DEFAULT_RADIUS) }))
        }
        (None, None) if radius_km.is_none() => Ok(None),
        (None, _) => {
            Err(Problem::bad_value("lat", "lat and lon must be given together, and radiusKm with them"))
        }
        (_, None) => {
            Err(Problem::bad_value("lon", "lat and lon must be given together, and radiusKm with them"))
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::Query;
    use hyper::Uri;

    use super::*;

    fn parse(query: &str) -> Result<Asked, Problem> {
        let uri: Uri = format!("/?{query}").parse().expect("an address");
        let Query(query) = Query::<PropertyQuery>::try_from_uri(&uri).expect("a query");
        Asked::parse(&query)
    }

    #[test]
    fn a_query_is_read_whole() {
        let asked = parse(
            "city=San%20Jos%C3%A9&minPrice=100000.5&maxPrice=2e5&minBeds=2&minBaths=1.5&type=Land,Condominium&status=Active\
             &q=garden+pool!&lat=30.25&lon=-97.75&sort=distance&limit=7",
        )
        .expect("a search");
        assert_eq!(asked.filter.min_price, Some(10_000_050));
        assert_eq!(asked.filter.max_price, Some(20_000_000));
        assert_eq!((asked.filter.min_beds, asked.filter.min_half_baths), (Some(2), Some(3)));
        assert_eq!(asked.filter.kinds, ["Land", "Condominium"]);
        assert_eq!(asked.filter.words, ["garden", "pool"]);
        assert_eq!(asked.filter.circle.map(|circle| circle.radius_km), Some(DEFAULT_RADIUS));
        assert_eq!((asked.sort, asked.limit, asked.cursor), (PropertySort::Nearest, 7, None));
        let plain = parse("city=&q=+&cursor=&unknown=1").expect("blank values ask nothing");
        assert_eq!(
            (plain.filter, plain.sort, plain.limit),
            (PropertyFilter::default(), PropertySort::Newest, 20)
        );
    }

    #[test]
    fn a_bad_value_is_refused_with_its_fields_name() {
        for (query, field) in [
            ("minPrice=cheap", "minPrice"),
            ("minPrice=-1", "minPrice"),
            ("maxPrice=NaN", "maxPrice"),
            ("maxPrice=inf", "maxPrice"),
            ("minBeds=1.5", "minBeds"),
            ("minBaths=1e9", "minBaths"),
            ("lat=91&lon=0", "lat"),
            ("lat=1", "lon"),
            ("lon=1", "lat"),
            ("radiusKm=5", "lat"),
            ("lat=1&lon=1&radiusKm=0", "radiusKm"),
            ("lat=1&lon=1&radiusKm=501", "radiusKm"),
            ("sort=colour", "sort"),
            ("sort=distance", "sort"),
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("q=%21%3F", "q"),
            ("q=a+b+c+d+e+f+g+h+i", "q"),
            ("city=%2C", "city"),
            ("type=Land,,Condominium", "type"),
            ("status=a,b,c,d,e,f,g,h,i", "status"),
            ("cursor=xyz", "cursor"),
        ] {
            let problem = parse(query).expect_err(query);
            assert_eq!((problem.status().as_u16(), problem.field()), (422, Some(field)), "{query}");
        }
    }

    #[test]
    fn a_cursor_of_another_search_is_refused() {
        let (filter, sort) =
            (PropertyFilter { min_beds: Some(2), ..Default::default() }, PropertySort::Cheapest);
        let cursor = PropertyCursor { key: 5, number: 6 };
        let text = cursor.encode(&filter, sort);
        let asked = parse(&format!("minBeds=2&sort=price&limit=3&cursor={text}")).expect("its own");
        assert_eq!(asked.cursor, Some(cursor));
        for other in ["minBeds=3&sort=price", "minBeds=2&sort=-price", "minBeds=2"] {
            let problem = parse(&format!("{other}&cursor={text}")).expect_err("another");
            assert_eq!(problem.field(), Some("cursor"), "{other}");
        }
    }
}
