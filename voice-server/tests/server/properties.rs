//! Listings over HTTP: searched, paged, read, and every bad value refused by its name.

use serde_json::{Value, json};
use voice_server::config::{Config, Secret};
use voice_server::data::{DEMO_ORGANIZATION, Listings as _, NewProperty, Timestamp};

use crate::harness::{Server, Wish};

/// A server with 25 listings: of each price one, half of them condominiums, every fifth with a pool.
async fn server() -> Server {
    let server = Server::start().await;
    let listings = (0..25).filter_map(|number| {
        let data = json!({
            "ListingId": format!("A{number}"), "StreetNumber": number.to_string(), "StreetName": "Maple", "City": "Austin",
            "ListPrice": 100_000 + 1_000 * number, "BedroomsTotal": number % 5, "PropertyType": "Residential",
            "PropertySubType": if number % 2 == 0 { "Condominium" } else { "Townhouse" }, "StandardStatus": "Active",
            "Latitude": 30.25 + f64::from(number) / 100.0, "Longitude": -97.75,
            "PublicRemarks": if number % 5 == 0 { "With a pool." } else { "With a yard." },
        });
        NewProperty::from_reso(data, Timestamp::from_millis(1_000))
    });
    server.beside().await.save_properties(DEMO_ORGANIZATION, listings.collect()).await.unwrap();
    server
}

fn numbers(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item["mlsId"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn listings_are_searched_and_paged_in_resos_words() {
    let server = server().await;
    let page = server.read("/api/v1/properties?sort=price&maxPrice=105000&minBeds=1&type=condominium").await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert_eq!(numbers(&page.json()), ["A2", "A4"]);
    let first = &page.json()["items"][0];
    assert_eq!(first["listPrice"], 102_000.0);
    assert_eq!((&first["bedroomsTotal"], &first["standardStatus"]), (&json!(2), &json!("Active")));
    assert_eq!(first["propertyData"]["StreetName"], "Maple");
    assert_eq!(first["address"], "2 Maple, Austin");
    let mut path =
        "/api/v1/properties?q=pool&sort=distance&lat=30.25&lon=-97.75&radiusKm=40&limit=2".to_owned();
    let mut found = Vec::new();
    for _ in 0..5 {
        let page = server.read(&path).await.json();
        found.extend(numbers(&page));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = path.split("&cursor").next().unwrap().to_owned() + "&cursor=" + cursor;
    }
    assert_eq!(found, ["A0", "A5", "A10", "A15", "A20"], "nearest first");
    let cursor = path.split("cursor=").nth(1).unwrap();
    let other = server.read(&format!("/api/v1/properties?q=yard&cursor={cursor}")).await;
    assert_eq!((other.status, other.json()["field"].as_str()), (422, Some("cursor")));
}

#[tokio::test]
async fn one_listing_has_a_tag_that_spares_reading_it_again() {
    let server = server().await;
    let id =
        server.read("/api/v1/properties?limit=1").await.json()["items"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/properties/{id}");
    let answer = server.read(&path).await;
    assert_eq!((answer.status, answer.json()["mlsId"].as_str()), (200, Some("A24")));
    let tag = answer.whole_head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag");
    let known = format!("If-None-Match: {tag}");
    let again = server.ask("GET", &path, &["Host: localhost", server.admin().await, &known]).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    for unknown in ["nonsense", "%FF", "00000000-0000-0000-0000-00000000000a"] {
        let answer = server.read(&format!("/api/v1/properties/{unknown}")).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (404, Some("not_found")), "{unknown}");
    }
}

#[tokio::test]
async fn a_bad_value_is_a_problem_that_names_its_field() {
    let server = Server::start().await;
    for (query, field) in
        [("minPrice=x", "minPrice"), ("sort=distance", "sort"), ("limit=101", "limit"), ("lat=1", "lon")]
    {
        let answer = server.read(&format!("/api/v1/properties?{query}")).await;
        assert_eq!((answer.status, answer.json()["field"].as_str()), (422, Some(field)), "{query}");
    }
}

#[tokio::test]
async fn listings_are_read_by_nobody_without_sign_in_where_sign_in_is_configured() {
    let config = Config { auth_secret: Some(Secret::new("s")), ..Config::default() };
    let server = Server::with(Wish { config, ..Wish::default() }).await;
    for path in ["/api/v1/properties", "/api/v1/properties/00000000-0000-0000-0000-00000000000a"] {
        assert_eq!(server.fetch(path).await.status, 401, "{path}");
    }
}
