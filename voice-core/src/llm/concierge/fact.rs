//! Which facts of a home a question asks about. Pure; callers: `understand`, `tell`.

use super::criteria::phrase;

/// Something that can be asked about one home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    Price,
    Fee,
    Taxes,
    Beds,
    Baths,
    Garage,
    Pool,
    Lot,
    Size,
    Year,
    Stories,
    Fireplace,
    Pets,
    Schools,
    /// Whether it is available.
    Status,
    /// What its status is, also asked as "is it sold?", which no plain yes or no may answer.
    Standing,
    /// Whether it is for rent, and the rent.
    ForRent,
    /// Whether it is for sale.
    ForSale,
    Agent,
    Place,
    Kind,
    Number,
    /// Everything in short.
    Describe,
    /// A word that only the description can answer.
    Other(String),
}

/// Facts asked about at once that are answered; more would be a speech.
const MAX_FACTS: usize = 3;

/// The facts that the words ask about, in the order of the list above; empty where none is named.
pub(super) fn asked_facts(words: &[String]) -> Vec<Fact> {
    let has = |list: &[&str]| words.iter().any(|w| list.contains(&w.as_str()));
    let says = |p: &[&str]| phrase(words, p);
    let fee = has(&["hoa", "association", "fee", "fees", "dues", "homeowners"]) || says(&["h", "o", "a"]);
    let taxes = has(&["tax", "taxes"]);
    let rent = has(&["rent", "rents", "lease", "leasing", "renting"]);
    let sale = says(&["for", "sale"]) || has(&["buy", "purchase"]);
    let yard = has(&["yard", "backyard"]) && (says(&["how", "big"]) || says(&["how", "large"]));
    let lot = has(&["acre", "acres", "acreage", "land", "plot"])
        || says(&["the", "lot"])
        || says(&["its", "lot"])
        || says(&["lot", "size"])
        || says(&["a", "big", "lot"])
        || yard;
    let terms = rent || sale;
    // Amounts that are neither the price nor in the data.
    let other_cost = has(&["deposit", "mortgage", "insurance", "utilities", "electricity", "loan"]);
    let mut facts = Vec::new();
    let mut add = |asked: bool, fact: Fact| {
        if asked {
            facts.push(fact);
        }
    };
    let beds = has(&["bed", "beds", "bedroom", "bedrooms", "rooms"]);
    let baths = has(&["bath", "baths", "bathroom", "bathrooms"]);
    let schools = has(&["school", "schools", "district"]);
    let space = has(&["space", "footage", "sqft", "spacious"])
        || says(&["square", "feet"])
        || says(&["square", "foot"]);
    let standing = has(&["status", "pending", "sold", "contract", "taken", "gone", "rented"])
        || says(&["coming", "soon"])
        || says(&["off", "the", "market"]);
    let counted = beds || baths || space || lot || has(&["garage", "cars", "parking"]);
    add(
        has(&["price", "priced", "cost", "costs", "asking", "expensive", "pricing", "money"])
            && !fee
            && !taxes
            && !terms
            || says(&["how", "much"]) && !fee && !taxes && !terms && !other_cost && !counted
            || says(&["go", "for"])
            || says(&["going", "for"]),
        Fact::Price,
    );
    add(rent, Fact::ForRent);
    add(sale && !rent, Fact::ForSale);
    add(fee, Fact::Fee);
    add(taxes, Fact::Taxes);
    add(beds, Fact::Beds);
    add(baths, Fact::Baths);
    add(has(&["garage", "parking", "carport", "cars", "park"]), Fact::Garage);
    add(has(&["pool", "swimming", "swim"]), Fact::Pool);
    add(lot, Fact::Lot);
    let big = says(&["how", "big"]) || says(&["how", "large"]) || says(&["how", "small"]) || has(&["size"]);
    // "How many square feet is the lot" asks about the lot alone.
    let inside = has(&["living", "interior", "inside"]);
    add((space || big && !beds) && (!lot || inside), Fact::Size);
    add(
        has(&["built", "age", "constructed"])
            || says(&["how", "old"])
            || says(&["how", "new"])
            || says(&["what", "year"]),
        Fact::Year,
    );
    add(has(&["stories", "story", "storey", "storeys", "floors", "levels"]), Fact::Stories);
    add(has(&["fireplace", "fireplaces"]), Fact::Fireplace);
    add(has(&["pet", "pets", "dog", "dogs", "cat", "cats"]), Fact::Pets);
    add(schools, Fact::Schools);
    add((has(&["available"]) || says(&["on", "the", "market"])) && !standing && !terms, Fact::Status);
    add(standing, Fact::Standing);
    add(
        has(&["agent", "realtor", "agent's", "broker"])
            || says(&["who", "is", "selling"])
            || says(&["who's", "selling"]),
        Fact::Agent,
    );
    add(
        has(&["where", "where's", "located", "location", "address", "neighborhood", "neighbourhood"])
            || says(&["what", "area"])
            || says(&["which", "area"])
            || says(&["part", "of", "town"])
            || says(&["what", "city"])
            || says(&["which", "city"]),
        Fact::Place,
    );
    add(
        says(&["what", "kind"])
            || says(&["what", "type"])
            || says(&["is", "it", "a"])
            || says(&["is", "that", "a"]),
        Fact::Kind,
    );
    add(says(&["listing", "number"]) || has(&["mls"]) || says(&["listing", "id"]), Fact::Number);
    if facts.is_empty() {
        facts.extend(other_fact(words));
    }
    if facts.is_empty()
        && (says(&["tell", "me"])
            || has(&[
                "describe",
                "details",
                "detail",
                "description",
                "information",
                "info",
                "features",
                "more",
            ])
            || says(&["what's", "it", "like"])
            || says(&["what", "is", "it", "like"])
            || says(&["know", "about"])
            || says(&["hear", "about"])
            || says(&["interested", "in"])
            || says(&["anything", "else", "about"]))
    {
        facts.push(Fact::Describe);
    }
    facts.truncate(MAX_FACTS);
    facts
}

/// A thing that listings describe in their own words, or that is asked for in the form "does it have a ...".
fn other_fact(words: &[String]) -> Option<Fact> {
    const THINGS: [&str; 53] = [
        "negotiable",
        "mortgage",
        "loan",
        "financing",
        "deposit",
        "balcony",
        "elevator",
        "yard",
        "backyard",
        "patio",
        "porch",
        "kitchen",
        "view",
        "views",
        "gym",
        "basement",
        "attic",
        "washer",
        "dryer",
        "laundry",
        "furnished",
        "air",
        "heating",
        "cooling",
        "wifi",
        "internet",
        "crime",
        "noise",
        "noisy",
        "neighbors",
        "roof",
        "insurance",
        "appliances",
        "storage",
        "office",
        "study",
        "wheelchair",
        "solar",
        "terrace",
        "deck",
        "doorman",
        "carpet",
        "windows",
        "closet",
        "closets",
        "fence",
        "fenced",
        "hardwood",
        "wood",
        "utilities",
        "electricity",
        "stairs",
        "dishwasher",
    ];
    if let Some(thing) = words.iter().find(|w| THINGS.contains(&w.as_str())) {
        return Some(Fact::Other(thing.clone()));
    }
    let at = words.windows(3).position(|w| {
        matches!(w[0].as_str(), "does" | "has" | "is") && matches!(w[1].as_str(), "it" | "there")
            || w[1] == "have"
    })?;
    let thing = words[at + 2..].iter().find(|w| {
        !matches!(w.as_str(), "have" | "has" | "a" | "an" | "any" | "got" | "come" | "with" | "the" | "in")
    })?;
    (thing.len() > 2 && !matches!(thing.as_str(), "one" | "that" | "like" | "anything" | "something"))
        .then(|| Fact::Other(thing.clone()))
}
