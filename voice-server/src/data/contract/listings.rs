//! Listings: stored, changed, removed; and every search compared with one that looks at all of them.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;

use super::super::{
    Circle, DataError, NewProperty, Property, PropertyCursor, PropertyFilter, PropertySort, Saved, Store,
    Timestamp,
};
use super::an_organization;

pub(super) async fn all(store: &dyn Store) {
    a_listing_reads_back_in_resos_words(store).await;
    a_listing_that_comes_again_keeps_its_id_and_counts_its_changes(store).await;
    what_is_removed_is_not_found_any_more(store).await;
    odd_listings_are_kept(store).await;
    every_search_finds_what_looking_at_all_finds(store).await;
}

fn listing(data: Value, millis: i64) -> NewProperty {
    NewProperty::from_reso(data, Timestamp::from_millis(millis)).expect("a listing")
}

async fn found(store: &dyn Store, organization: Uuid, filter: PropertyFilter) -> Vec<Property> {
    store.properties(organization, filter, PropertySort::Newest, None, 100).await.expect("read").items
}

fn word(word: &str) -> PropertyFilter {
    PropertyFilter { words: vec![word.into()], ..Default::default() }
}

async fn a_listing_reads_back_in_resos_words(store: &dyn Store) {
    let organization = an_organization(store).await;
    let data = json!({
        "ListingId": "A1", "UnparsedAddress": "45 Lake Avenue, Austin", "City": "Austin", "StateOrProvince": "TX",
        "PostalCode": "78703", "ListPrice": 389_000.5, "BedroomsTotal": 2, "BathroomsFull": 2, "BathroomsHalf": 1,
        "PropertyType": "Residential", "PropertySubType": "Condominium", "StandardStatus": "Active", "Latitude": 30.25,
        "Longitude": -97.75, "LivingArea": 1_120, "OnMarketDate": "2024-05-01"
    });
    let new = listing(data.clone(), 1_700_000_000_123);
    let saved = store.save_properties(organization, vec![new.clone()]).await.expect("saved");
    assert_eq!(saved, Saved { added: 1, changed: 0 });
    let expected = Property {
        id: new.id,
        organization_id: organization,
        mls_id: Some("A1".into()),
        address: "45 Lake Avenue, Austin".into(),
        city: Some("Austin".into()),
        state_or_province: Some("TX".into()),
        postal_code: Some("78703".into()),
        list_price: Some(389_000.5),
        bedrooms_total: Some(2),
        bathrooms_total_integer: Some(3),
        bathrooms_total_decimal: Some(2.5),
        property_type: Some("Residential".into()),
        property_sub_type: Some("Condominium".into()),
        standard_status: Some("Active".into()),
        latitude: Some(30.25),
        longitude: Some(-97.75),
        living_area: Some(1_120.0),
        listed_at: Timestamp::parse("2024-05-01T00:00:00Z").expect("a moment"),
        created_at: new.at,
        updated_at: new.at,
        revision: 1,
        distance_km: None,
        property_data: data,
    };
    assert_eq!(store.property(organization, new.id).await.expect("read").as_ref(), Some(&expected));
    assert_eq!(found(store, organization, PropertyFilter::default()).await, [expected]);
    assert_eq!(store.property(organization, Uuid::new_v4()).await.expect("read"), None);
    let nowhere = store.save_properties(Uuid::new_v4(), vec![new]).await;
    assert!(matches!(nowhere, Err(DataError::NotFound | DataError::Exists)), "{nowhere:?}");
}

async fn a_listing_that_comes_again_keeps_its_id_and_counts_its_changes(store: &dyn Store) {
    let organization = an_organization(store).await;
    let at_first = listing(json!({"ListingId": "A1", "PublicRemarks": "A garden.", "ListPrice": 10}), 1_000);
    store.save_properties(organization, vec![at_first.clone()]).await.expect("saved");
    let same = listing(at_first.property_data.clone(), 2_000);
    assert_eq!(store.save_properties(organization, vec![same]).await.expect("saved"), Saved::default());
    let unread = listing(json!({"ListingId": "A1", "PublicRemarks": "A pond."}), 3_000);
    let changed = listing(json!({"ListingId": "A1", "PublicRemarks": "A pool.", "ListPrice": 20}), 3_000);
    let new = listing(json!({"ListingId": "B2"}), 3_000);
    let saved = store.save_properties(organization, vec![unread, new, changed]).await.expect("saved");
    assert_eq!(saved, Saved { added: 1, changed: 1 }, "the last of the same number holds");
    let now = store.property(organization, at_first.id).await.expect("read").expect("the same id");
    assert_eq!(
        (now.revision, now.list_price, now.created_at, now.updated_at.as_millis()),
        (2, Some(20.0), at_first.at, 3_000)
    );
    assert_eq!(now.listed_at, at_first.at, "it came when it came");
    assert!(found(store, organization, word("garden")).await.is_empty());
    assert_eq!(found(store, organization, word("pool")).await, [now]);
    // Without a number each is another.
    let bare = |price: i64| listing(json!({"City": "Waco", "ListPrice": price}), 4_000);
    let saved = store.save_properties(organization, vec![bare(1), bare(1)]).await.expect("saved");
    assert_eq!(saved.added, 2);
}

async fn what_is_removed_is_not_found_any_more(store: &dyn Store) {
    let organization = an_organization(store).await;
    let listings: Vec<_> = (0..3)
        .map(|n| listing(json!({"ListingId": format!("R{n}"), "PublicRemarks": "garden"}), n))
        .collect();
    store.save_properties(organization, listings.clone()).await.expect("saved");
    let gone = vec!["R0".into(), "R2".into(), "unknown".into()];
    assert_eq!(store.remove_properties(organization, gone).await.expect("removed"), 2);
    for filter in [PropertyFilter::default(), word("garden")] {
        let ids: Vec<_> = found(store, organization, filter).await.into_iter().map(|p| p.id).collect();
        assert_eq!(ids, [listings[1].id]);
    }
    assert_eq!(store.property(organization, listings[0].id).await.expect("read"), None);
}

async fn odd_listings_are_kept(store: &dyn Store) {
    let organization = an_organization(store).await;
    let odd = json!({
        "ListingId": "'; DROP TABLE properties; --", "City": "\u{0}S\u{e3}o Paulo\u{0}", "ListPrice": "1e400", "BedroomsTotal": -3,
        "Latitude": 91, "Longitude": 5, "PublicRemarks": format!("{}\u{1F3E0} \u{6771}\u{4eac} O'Neil", "word ".repeat(2_000)),
        "Media": [{"MediaURL": "https://example.com/\u{0}1.jpg"}], "ListingContractDate": "yesterday"
    });
    let new = listing(odd, 1_000);
    store.save_properties(organization, vec![new.clone()]).await.expect("saved");
    for filter in [
        PropertyFilter { city: Some("SAO PAULO".into()), ..Default::default() },
        word("oneil"),
        word("o\u{2019}neil"),
        word("\u{6771}\u{4eac}"),
    ] {
        let items = found(store, organization, filter.clone()).await;
        assert_eq!(items.len(), 1, "{filter:?}");
        assert_eq!((items[0].list_price, items[0].bedrooms_total, items[0].latitude), (None, None, None));
        assert_eq!(items[0].city.as_deref(), Some("S\u{e3}o Paulo"));
    }
}

/// A small generator, the same on every database.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

/// What a listing of the generated set says, beside the listing.
#[derive(Debug)]
struct Known {
    number: usize,
    city: usize,
    price: i64,
    beds: i64,
    half_baths: i64,
    kind: usize,
    status: usize,
    listed: i64,
    point: Option<(f64, f64)>,
    words: BTreeSet<&'static str>,
    new: NewProperty,
}

/// As they are written; the next ones are the same places in other writings.
const CITIES: [&str; 6] = ["Austin", "San Jos\u{e9}", "\u{c9}vian", "Zug", "austin", "SAN JOSE\u{301}"];
const KINDS: [(&str, &str); 5] = [
    ("Residential", "Single Family Residence"),
    ("Residential", "Condominium"),
    ("Residential Lease", "Condominium"),
    ("Land", ""),
    // In the type's place.
    ("Condominium", ""),
];
const STATUSES: [&str; 4] = ["Active", "Pending", "Active Under Contract", "ActiveUnderContract"];
const WORDS: [&str; 6] = ["garden", "pool", "garage", "gardener", "view", "atrium"];

fn generated() -> Vec<Known> {
    let mut dice = Dice(7);
    (0..600)
        .map(|number| {
            let (city, kind, status) = (dice.roll(6), dice.roll(5), dice.roll(4));
            // Few prices and days, so that many are equal.
            let price = if dice.roll(12) == 0 { -1 } else { 10_000_000 * (1 + dice.roll(8) as i64) };
            let beds = dice.roll(7) as i64 - 1;
            let half_baths = if dice.roll(10) == 0 { -1 } else { dice.roll(9) as i64 };
            let day = 1 + dice.roll(20);
            let point = (dice.roll(9) != 0).then(|| {
                // Clusters around two places, one of them where longitudes meet.
                let (latitude, longitude): (f64, f64) = if dice.roll(5) == 0 { (-17.0, 179.98) } else { (30.27, -97.74) };
                let mut near = || (dice.roll(2_000) as f64 - 1_000.0) / 4_000.0;
                let (latitude, longitude) = (latitude + near(), longitude + near());
                (latitude, if longitude > 180.0 { longitude - 360.0 } else { longitude })
            });
            // Ever rarer.
            let words: BTreeSet<&str> =
                WORDS.iter().enumerate().filter(|(rank, _)| dice.roll(2 + 4 * rank) == 0).map(|(_, word)| *word).collect();
            let mut data = json!({
                "ListingId": format!("G{number}"), "City": CITIES[city], "PropertyType": KINDS[kind].0,
                "PropertySubType": KINDS[kind].1, "StandardStatus": STATUSES[status],
                "OnMarketDate": format!("2024-03-{day:02}"),
                "PublicRemarks": words.iter().map(|word| format!("{}, ", word.to_uppercase())).collect::<String>(),
            });
            if price >= 0 {
                data["ListPrice"] = json!(price / 100);
            }
            if beds >= 0 {
                data["BedroomsTotal"] = json!(beds);
            }
            if half_baths >= 0 {
                data["BathroomsFull"] = json!(half_baths / 2);
                data["BathroomsHalf"] = json!(half_baths % 2);
            }
            if let Some((latitude, longitude)) = point {
                data["Latitude"] = json!(latitude);
                data["Longitude"] = json!(longitude);
            }
            let new = listing(data, 1_000);
            let listed = day as i64;
            Known { number, city, price, beds, half_baths, kind, status, listed, point, words, new }
        })
        .collect()
}

/// Kilometres between two places, by the haversine.
fn way(a: (f64, f64), b: (f64, f64)) -> f64 {
    let (north, east) = ((b.0 - a.0).to_radians() / 2.0, (b.1 - a.1).to_radians() / 2.0);
    let h = north.sin().powi(2) + a.0.to_radians().cos() * b.0.to_radians().cos() * east.sin().powi(2);
    2.0 * 6_371.008_8 * h.sqrt().asin()
}

/// The same search by looking at all: numbers in order, and the way to each.
fn expected(all: &[Known], filter: &PropertyFilter, sort: PropertySort) -> Vec<usize> {
    let city_of = |city: usize| [0, 1, 2, 3, 0, 1][city];
    let asked_city =
        filter.city.as_deref().map(|asked| CITIES.iter().position(|city| *city == asked).map(city_of));
    let away = |known: &Known| {
        let circle = filter.circle?;
        Some(way((circle.latitude, circle.longitude), known.point?))
    };
    let mut found: Vec<&Known> = all
        .iter()
        .filter(|k| asked_city.is_none_or(|city| city == Some(city_of(k.city))))
        .filter(|k| filter.min_price.is_none_or(|least| k.price >= least))
        .filter(|k| filter.max_price.is_none_or(|most| (0..=most).contains(&k.price)))
        .filter(|k| filter.min_beds.is_none_or(|least| k.beds >= least))
        .filter(|k| filter.min_half_baths.is_none_or(|least| k.half_baths >= least))
        .filter(|k| {
            let (kind, sub_kind) = KINDS[k.kind];
            filter.kinds.is_empty() || filter.kinds.iter().any(|asked| asked == kind || asked == sub_kind)
        })
        .filter(|k| {
            let status = if k.status == 3 { STATUSES[2] } else { STATUSES[k.status] };
            filter.statuses.is_empty() || filter.statuses.iter().any(|asked| asked == status)
        })
        .filter(|k| {
            filter.words.iter().enumerate().all(|(at, word)| {
                let begun = at + 1 == filter.words.len() && word.len() >= 3;
                k.words.iter().any(|has| *has == word || (begun && has.starts_with(word.as_str())))
            })
        })
        .filter(|k| filter.circle.is_none_or(|circle| away(k).is_some_and(|km| km <= circle.radius_km)))
        .collect();
    found.sort_by(|a, b| {
        let by = |key: fn(&Known) -> i64| (key(a), a.number).cmp(&(key(b), b.number));
        match sort {
            PropertySort::Oldest => by(|k| k.listed),
            PropertySort::Newest => by(|k| k.listed).reverse(),
            PropertySort::Cheapest => by(|k| k.price),
            PropertySort::Dearest => by(|k| k.price).reverse(),
            PropertySort::FewestBeds => by(|k| k.beds),
            PropertySort::MostBeds => by(|k| k.beds).reverse(),
            PropertySort::Nearest => away(a).unwrap_or(0.0).total_cmp(&away(b).unwrap_or(0.0)),
        }
    });
    found.iter().map(|k| k.number).collect()
}

async fn every_search_finds_what_looking_at_all_finds(store: &dyn Store) {
    let organization = an_organization(store).await;
    let all = generated();
    let numbers: std::collections::HashMap<Uuid, usize> = all.iter().map(|k| (k.new.id, k.number)).collect();
    // In several parts, and some twice: the order of arrival stays.
    let news: Vec<NewProperty> = all.iter().map(|k| k.new.clone()).collect();
    for part in news.chunks(170).chain([&news[40..60]]) {
        store.save_properties(organization, part.to_vec()).await.expect("saved");
    }
    let none = PropertyFilter::default;
    let circle = |latitude, longitude, radius_km| Some(Circle { latitude, longitude, radius_km });
    let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut filters = vec![
        none(),
        PropertyFilter { city: Some("Austin".into()), ..none() },
        PropertyFilter { city: Some("San Jos\u{e9}".into()), min_price: Some(30_000_000), ..none() },
        PropertyFilter { city: Some("Nowhere".into()), ..none() },
        PropertyFilter { min_price: Some(20_000_000), max_price: Some(50_000_000), ..none() },
        PropertyFilter { max_price: Some(10_000_000), ..none() },
        PropertyFilter { min_price: Some(80_000_000), min_beds: Some(5), min_half_baths: Some(8), ..none() },
        PropertyFilter { min_beds: Some(5), kinds: texts(&["Land"]), ..none() },
        PropertyFilter { kinds: texts(&["Condominium", "Land"]), min_half_baths: Some(5), ..none() },
        PropertyFilter { kinds: texts(&["Condominium"]), ..none() },
        PropertyFilter { kinds: texts(&["Condominium"]), statuses: texts(&["Active"]), ..none() },
        PropertyFilter {
            kinds: texts(&["Condominium", "Single Family Residence"]),
            min_price: Some(20_000_000),
            ..none()
        },
        PropertyFilter { kinds: texts(&["Townhouse", "Condominium"]), words: texts(&["pool"]), ..none() },
        PropertyFilter {
            kinds: texts(&["Condominium"]),
            max_price: Some(60_000_000),
            min_beds: Some(4),
            ..none()
        },
        PropertyFilter { statuses: texts(&["Active Under Contract"]), min_beds: Some(2), ..none() },
        PropertyFilter { statuses: texts(&["Active", "Pending"]), city: Some("Zug".into()), ..none() },
    ];
    for words in
        [&["garden"][..], &["gard"], &["ga"], &["pool", "gar"], &["atrium"], &["view", "pool"], &["moat"]]
    {
        filters.push(PropertyFilter { words: texts(words), ..none() });
        filters.push(PropertyFilter {
            words: texts(words),
            city: Some("Austin".into()),
            min_beds: Some(2),
            ..none()
        });
    }
    for circle in [
        circle(30.27, -97.74, 3.0),
        circle(30.2, -97.8, 20.0),
        circle(-17.0, 179.99, 25.0),
        circle(30.27, -97.74, 150.0),
    ] {
        filters.push(PropertyFilter { circle, ..none() });
        filters.push(PropertyFilter {
            circle,
            city: Some("Austin".into()),
            statuses: texts(&["Pending"]),
            ..none()
        });
        filters.push(PropertyFilter {
            circle,
            words: texts(&["pool"]),
            max_price: Some(40_000_000),
            ..none()
        });
        filters.push(PropertyFilter { circle, kinds: texts(&["Condominium"]), ..none() });
    }
    let sorts = [
        PropertySort::Newest,
        PropertySort::Oldest,
        PropertySort::Cheapest,
        PropertySort::Dearest,
        PropertySort::FewestBeds,
        PropertySort::MostBeds,
        PropertySort::Nearest,
    ];
    let mut whole = 0;
    for filter in &filters {
        for sort in sorts.into_iter().filter(|sort| *sort != PropertySort::Nearest || filter.circle.is_some())
        {
            let expected = expected(&all, filter, sort);
            whole += usize::from(!expected.is_empty());
            for limit in [7, 100] {
                let mut paged = Vec::new();
                let mut cursor = None;
                for _ in 0..1_000 {
                    let page = store
                        .properties(organization, filter.clone(), sort, cursor, limit)
                        .await
                        .expect("read");
                    assert!(page.items.len() <= limit as usize);
                    paged.extend(page.items.iter().map(|item| numbers[&item.id]));
                    let Some(next) = page.next else {
                        cursor = None;
                        break;
                    };
                    let text = next.encode(filter, sort);
                    cursor = Some(PropertyCursor::parse(&text, filter, sort).expect("a cursor reads back"));
                }
                assert_eq!(cursor, None, "the list does not end");
                assert_eq!(paged, expected, "{filter:?} {sort:?} by {limit}");
            }
        }
    }
    assert!(whole > 150, "the set is too small: {whole}");
    let near = PropertyFilter { circle: circle(30.27, -97.74, 20.0), ..none() };
    let page = store.properties(organization, near, PropertySort::Nearest, None, 5).await.expect("read");
    for item in page.items {
        let point = (item.latitude.expect("a place"), item.longitude.expect("a place"));
        let km = item.distance_km.expect("a distance");
        assert!((km - way((30.27, -97.74), point)).abs() < 0.02, "{km}");
    }
}
