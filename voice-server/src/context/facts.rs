//! Facts of an organization and of a caller's earlier calls as short texts. Pure.
//!
//! Each is one plain sentence or two with bounded quotations. Whoever puts them before a model quotes them as data.

use jiff::Timestamp as Moment;
use jiff::tz::TimeZone;
use voice_core::llm::concierge::{Homes, Listing};

use crate::data::{ConversationDetail, Organization, Turn};

/// Sentences of an organization that are given at most.
const MOST_FACTS: usize = 20;
/// Exchanges told of one earlier call: the last ones, in which it was decided what it came to.
const MOST_EXCHANGES: usize = 3;
/// Cities that are named.
const MOST_CITIES: usize = 6;
/// Characters quoted of one side of an exchange.
const QUOTED: usize = 140;

/// What the organization says about itself, and the time where it is.
pub(super) fn of_organization(organization: &Organization, now: Moment) -> Vec<String> {
    let settings = &organization.settings;
    let mut facts = vec![format!("The office that is called is {}.", organization.name)];
    if let Some(zone) = &settings.time_zone
        && let Ok(zone) = TimeZone::get(zone)
    {
        let there = now.to_zoned_datetime(zone).strftime("%A, %B %-d, %Y, %-I:%M %p");
        facts.push(format!("It is now {there} at the office."));
    }
    let own = settings.facts.iter().filter(|fact| !fact.trim().is_empty());
    facts.extend(own.take(MOST_FACTS).cloned());
    facts
}

/// How many homes there are and where, so that a model knows what it can be asked about; `None` where they are too many to
/// be known as a whole.
pub(super) fn of_homes(homes: &Homes) -> Option<String> {
    if !homes.is_whole() {
        return None;
    }
    let available: Vec<&Listing> = homes.listings().all().iter().filter(|home| home.is_available()).collect();
    let terms = |lease: bool| {
        let prices = available.iter().filter(|home| home.lease == lease).map(|home| home.price);
        let (count, least, most) = (prices.clone().count(), prices.clone().min()?, prices.max()?);
        let (what, each) = if lease { ("rent", " a month") } else { ("sale", "") };
        Some(format!("{count} for {what} from ${least} to ${most}{each}"))
    };
    let told: Vec<String> = [terms(false), terms(true)].into_iter().flatten().collect();
    if told.is_empty() {
        return Some("The office has no homes available at the moment.".to_owned());
    }
    let mut cities: Vec<&str> = Vec::new();
    for home in &available {
        if !cities.contains(&home.city.as_str()) && cities.len() < MOST_CITIES {
            cities.push(&home.city);
        }
    }
    Some(format!(
        "The office has these homes available: {}; in {}. Only those that the caller named are told here one by one.",
        told.join(" and "),
        cities.join(", ")
    ))
}

/// What was spoken of in one earlier call of the same caller; `None` where nothing was.
pub(super) fn of_call(call: &ConversationDetail, zone: Option<&str>) -> Option<String> {
    let mut exchanges: Vec<&Turn> = call.turns.iter().filter(|turn| !turn.said.trim().is_empty()).collect();
    exchanges.drain(..exchanges.len().saturating_sub(MOST_EXCHANGES));
    if exchanges.is_empty() {
        return None;
    }
    let zone = zone.and_then(|zone| TimeZone::get(zone).ok()).unwrap_or(TimeZone::UTC);
    let at = Moment::from_millisecond(call.conversation.created_at.as_millis()).ok()?.to_zoned_datetime(zone);
    let mut fact = format!("In an earlier call, on {},", at.strftime("%B %-d, %Y"));
    for (place, turn) in exchanges.iter().enumerate() {
        let then = if place == 0 { " this caller said" } else { "; then said" };
        fact.push_str(&format!("{then} '{}'", quoted(&turn.said)));
        if !turn.heard.trim().is_empty() {
            fact.push_str(&format!(" and heard '{}'", quoted(&turn.heard)));
        }
    }
    fact.push('.');
    Some(fact)
}

fn quoted(text: &str) -> String {
    let mut words: String = text.split_whitespace().collect::<Vec<_>>().join(" ").replace(['\'', '"'], "’");
    if let Some((at, _)) = words.char_indices().nth(QUOTED) {
        let end = words[..at].rfind(' ').unwrap_or(at);
        words.truncate(end);
        words.push('…');
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::data::{Conversation, OrganizationSettings, Status, Timestamp};

    fn turn(number: u32, said: &str, heard: &str) -> Turn {
        Turn {
            turn: number,
            said: said.into(),
            reply: heard.into(),
            heard: heard.into(),
            started_ms: 0,
            reply_started_ms: 0,
            interrupted: false,
            ledger: json!({}),
            total_ms: 0.0,
            by_person: false,
        }
    }

    fn call(turns: Vec<Turn>) -> ConversationDetail {
        let conversation = Conversation {
            id: Uuid::nil(),
            organization_id: Uuid::nil(),
            status: Status::Ended,
            client_phone: None,
            phone_trusted: false,
            created_at: Timestamp::from_millis(1_700_000_000_000),
            ended_at: None,
            metadata: json!({}),
            user_id: None,
            notes: "nobody else's business".into(),
            lead: false,
            viewings_booked: 0,
            cost: None,
            revision: 1,
        };
        ConversationDetail::new(conversation, turns)
    }

    #[test]
    fn an_earlier_call_is_told_by_its_last_exchanges_in_bounded_quotations() {
        let zone = Some("America/Los_Angeles");
        assert_eq!(of_call(&call(vec![turn(1, "", "Hello.")]), zone), None);
        let told = of_call(&call(vec![turn(1, "Is 12 Oak Street\nfor sale?", "It's sold.")]), zone);
        assert_eq!(
            told.as_deref(),
            Some(
                "In an earlier call, on November 14, 2023, this caller said 'Is 12 Oak Street for sale?' and heard 'It’s sold.'."
            )
        );
        let long: Vec<Turn> =
            (0..50).map(|n| turn(n, &format!("question {n} {}", "x ".repeat(900)), "yes")).collect();
        let told = of_call(&call(long), None).expect("told");
        assert!(told.contains("question 49") && !told.contains("question 46"));
        assert!(told.chars().count() < 600 && !told.contains("business"), "{told}");
    }

    #[test]
    fn homes_are_told_by_their_number_their_prices_and_their_cities() {
        use voice_core::llm::concierge::{Listings, sample_listings};
        let told = of_homes(&Homes::all_of(sample_listings().clone())).expect("told");
        assert!(told.contains(" for sale from $") && told.contains(" for rent from $"), "{told}");
        assert!(told.contains("Austin") && told.chars().count() < 400, "{told}");
        assert_eq!(of_homes(&Homes::some_of(sample_listings().clone())), None);
        let none = of_homes(&Homes::all_of(Listings::default())).expect("told");
        assert!(none.contains("no homes"), "{none}");
    }

    #[test]
    fn an_organization_tells_its_facts_and_its_time() {
        let settings = OrganizationSettings {
            time_zone: Some("America/New_York".into()),
            facts: (0..100).map(|n| format!("Fact {n}.")).chain([" ".into()]).collect(),
            ..OrganizationSettings::default()
        };
        let mut organization = Organization {
            id: Uuid::nil(),
            name: "Oak Realty".into(),
            settings,
            created_at: Timestamp::from_millis(0),
            revision: 1,
        };
        let now = Moment::from_second(1_700_000_000).expect("a moment");
        let facts = of_organization(&organization, now);
        assert_eq!(facts.len(), 2 + MOST_FACTS);
        assert_eq!(facts[0], "The office that is called is Oak Realty.");
        assert_eq!(facts[1], "It is now Tuesday, November 14, 2023, 5:13 PM at the office.");
        organization.settings.time_zone = Some("Not/AZone".into());
        assert_eq!(of_organization(&organization, now)[1], "Fact 0.");
    }
}
