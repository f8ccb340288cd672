//! The concierge misleads nobody: what is taken is not offered, rent is not sale, no house is answered for another.
//!
//! Tables of questions, also as a recogniser writes them; the listings are the sample and one home of each status.
#![allow(clippy::unwrap_used)]

mod concierge_table;

use concierge_table::{Asked, hold, hold_each};
use voice_core::llm::concierge::{Listings, Status, sample_listings_json};

/// The sample, with a home of each status that the sample lacks.
fn listings() -> Listings {
    let row = |number: &str, street: &str, suffix: &str, status: &str, rest: &str| {
        format!(
            r#"{{"ListingId":"T{number}","StandardStatus":"{status}","StreetNumber":"{number}","StreetName":"{street}",
            "StreetSuffix":"{suffix}","City":"Austin","SubdivisionName":"Zilker",{rest}}}"#
        )
    };
    let house = r#""PropertyType":"Residential","PropertySubType":"Single Family Residence","BedroomsTotal":6,
        "BathroomsFull":4,"LivingArea":4100"#;
    let flat = r#""PropertyType":"Residential Lease","PropertySubType":"Apartment","BedroomsTotal":4,
        "BathroomsFull":2,"LivingArea":1400"#;
    let rows = [
        row(
            "52",
            "Hawthorn",
            "Lane",
            "Closed",
            &format!(r#"{house},"ListPrice":905000,"LotSizeSquareFeet":50000"#),
        ),
        row("61", "Sycamore", "Court", "ActiveUnderContract", &format!(r#"{house},"ListPrice":915000"#)),
        row("733", "Bluebonnet", "Road", "ComingSoon", &format!(r#"{house},"ListPrice":925000"#)),
        row("14", "Riverbend", "Drive", "Closed", &format!(r#"{flat},"ListPrice":2800"#)),
        row("25", "Yarrow", "Street", "Withdrawn", &format!(r#"{house},"ListPrice":935000"#)),
    ];
    let sample = sample_listings_json().trim_end();
    let open = sample.strip_suffix('}').unwrap().trim_end().strip_suffix(']').unwrap();
    Listings::parse(&format!("{open},{}]}}", rows.join(","))).unwrap()
}

fn table(questions: &[Asked]) {
    hold_each(&listings(), questions);
}

#[test]
fn the_table_has_a_home_of_each_status() {
    for status in [Status::Active, Status::ComingSoon, Status::UnderContract, Status::Pending, Status::Closed]
    {
        assert!(listings().all().iter().any(|l| l.status == status), "{status:?}");
    }
}

#[test]
fn homes_that_cannot_be_had_are_named_as_such() {
    table(&[
        ("Is 52 Hawthorn Lane still available?", &["afraid not", "has been sold", "!Yes"]),
        ("is fifty two hawthorne lane sold", &["It has been sold.", "52 Hawthorn Lane"]),
        ("How much is 52 Hawthorn Lane?", &["has been sold", "The price was $905,000"]),
        ("tell me about 52 hawthorn lane", &["It has been sold.", "!Would you like to see it?"]),
        ("how many bedrooms does 52 Hawthorn Lane have", &["six bedrooms", "has been sold"]),
        ("can I see 52 Hawthorn Lane tomorrow at noon", &["afraid not", "has been sold", "!pass that on"]),
        ("is 61 Sycamore Court available", &["Not at the moment.", "under contract"]),
        ("is sixty one sick a more court under contact", &["It is under contract.", "61 Sycamore Court"]),
        ("how much is 61 Sycamore Court", &["$915,000", "is under contract"]),
        (
            "can I see 61 Sycamore Court on Friday at 3 pm",
            &["Friday at three in the afternoon", "under contract"],
        ),
        ("is 733 Bluebonnet Road available", &["Not yet", "coming soon"]),
        ("what is the price of seven thirty three blue bonnet road", &["$925,000", "coming soon"]),
        ("what's the status of 733 Bluebonnet Road", &["It is coming soon.", "!Yes"]),
        ("what is the status of the Rainey Street condo", &["pending"]),
        ("Has 80 Rainey Street been sold?", &["Its sale is pending.", "!Yes"]),
        (
            "tell me about 80 rainy street",
            &["Its sale is pending.", "$675,000", "!Would you like to see it?"],
        ),
        ("Is 1208 Maple Street sold?", &["It is still available.", "!Yes", "!been sold"]),
        ("is maple street under contract", &["It is still available."]),
        ("is 14 Riverbend Drive still available", &["has been rented", "!sold"]),
        ("is 25 Yarrow Street for sale", &["don't have that one", "not on our list", "!$935,000"]),
        (
            "a six bedroom house",
            &["Nothing available", "61 Sycamore Court is under contract", "coming soon", "!Hawthorn"],
        ),
        ("what's the most expensive home", &["2201 Barton Hills Road", "!Sycamore"]),
        ("what is the largest house", &["2201 Barton Hills Road", "!4,100"]),
        ("do you have homes with six bedrooms", &["Nothing available", "!We have"]),
        (
            "do you have any condos",
            &["we have one", "45 Lake Avenue Unit 12", "The sale of 80 Rainey Street Unit 2203 is pending"],
        ),
        ("homes over nine hundred thousand", &["2201 Barton Hills Road", "!Hawthorn", "!$905,000"]),
        (
            "how many homes do you have",
            &["thirteen homes", "Ten for sale", "three for rent", "not available"],
        ),
        (
            "compare 80 Rainey Street and 45 Lake Avenue",
            &["$389,000", "The sale of 80 Rainey Street Unit 2203 is pending"],
        ),
        ("a four bedroom apartment", &["nothing like that", "!14 Riverbend"]),
    ]);
}

#[test]
fn times_of_a_viewing_are_read_and_i_am_is_none() {
    table(&[
        ("I am looking for a house in Georgetown", &["88 Juniper Street", "!viewing", "!morning"]),
        (
            "I am looking to visit 310 Oak Drive",
            &["viewing of 310 Oak Drive", "Which day and time", "!morning"],
        ),
        ("can I see the house at 310 Oak Drive", &["Which day and time suit you?", "!three ten"]),
        (
            "I am free on Saturday can I see 9 Pecan Court",
            &["viewing of 9 Pecan Court, Saturday.", "!at nine"],
        ),
        ("can I see 9 pecan court at half past two on Tuesday", &["9 Pecan Court, Tuesday at two thirty."]),
        (
            "can I tour maple street at a quarter to three tomorrow",
            &["1208 Maple Street, tomorrow at two forty-five."],
        ),
        ("I would like to view 310 Oak Drive at noon", &["310 Oak Drive, at noon."]),
        (
            "visit 45 lake avenue unit 12 at to pm on sunday",
            &["45 Lake Avenue Unit 12, Sunday at two in the afternoon."],
        ),
        ("book a tour of cedar lane friday at ate o'clock", &["77 Cedar Lane, Friday at eight."]),
        (
            "can we come by maple street at 9 a.m. on monday",
            &["1208 Maple Street, Monday at nine in the morning."],
        ),
        (
            "schedule a showing of 77 Cedar Lane on Wednesday at 10.30",
            &["77 Cedar Lane, Wednesday at ten thirty."],
        ),
        (
            "I am at work until five can I see maple street on friday after five",
            &["1208 Maple Street, Friday after five."],
        ),
    ]);
    hold(
        &listings(),
        &[
            &[
                ("tell me about 310 Oak Drive", &["Would you like to see it?"]),
                ("I am looking for something cheaper", &["!viewing", "!morning", "!team"]),
            ],
            &[
                ("tell me about 310 Oak Drive", &["Would you like to see it?"]),
                ("yes I am interested", &["Which day and time suit you?"]),
                ("tomorrow", &["310 Oak Drive, tomorrow."]),
                ("at half past ten", &["310 Oak Drive, tomorrow at ten thirty."]),
            ],
        ],
    );
}

#[test]
fn rent_is_not_sale() {
    table(&[
        ("are there homes for sale or rent in round rock", &["two", "1502 Willow Trail", "$2,650 a month"]),
        ("is 310 Oak Drive available for rent", &["It is for sale.", "not for rent", "!Yes"]),
        ("how much is the deposit for 740 Sunset Ridge", &["does not say", "!$2,650"]),
        (
            "How much is the rent at 1208 Maple Street?",
            &["It is for sale.", "not for rent", "!$525,000 a month"],
        ),
        ("can I rent 310 Oak Drive", &["It is for sale.", "not for rent"]),
        ("is 600 Congress Avenue for sale", &["It is for rent.", "$3,200 a month", "not for sale"]),
        ("can I buy the apartment at 600 Congress Avenue", &["It is for rent.", "not for sale"]),
        ("is 740 Sunset Ridge for rent", &["It is for rent.", "$2,650 a month", "!not for"]),
        ("is 77 Cedar Lane for sail", &["It is for sale.", "$459,000", "!not for"]),
        (
            "do you have a townhouse for rent",
            &["Not for rent", "77 Cedar Lane", "for sale", "closest for rent", "a month"],
        ),
        ("any houses for rent in Georgetown", &["Not for rent", "for sale", "closest for rent"]),
        ("I want to rent a house", &["740 Sunset Ridge", "!$525,000", "!Maple"]),
        ("I want to rent a condo", &["Not for rent", "45 Lake Avenue Unit 12", "for sale"]),
        ("a house for rant in round rock", &["740 Sunset Ridge", "$2,650 a month", "!Willow"]),
        ("do you have apartments for sale", &["Not for sale", "for rent", "a month", "closest for sale"]),
        ("I'd like to by a house in round rock", &["1502 Willow Trail", "!Sunset"]),
        (
            "compare 600 congress avenue with 9 pecan court",
            &["They are not alike", "for rent", "for sale", "!costs less"],
        ),
    ]);
    hold(
        &listings(),
        &[&[
            ("tell me about 740 Sunset Ridge", &["renting at $2,650 a month"]),
            ("how much is the rent", &["$2,650 a month", "!Duval"]),
            ("is it for sale too", &["It is for rent.", "not for sale"]),
        ]],
    );
}

#[test]
fn the_lot_is_not_the_living_area() {
    table(&[
        ("How many square feet is the lot at 310 Oak Drive?", &["8,900 square feet", "lot", "!2,650"]),
        ("how big is the yard at 310 Oak Drive", &["8,900 square feet", "!2,650"]),
        ("what is the lock size of maple street", &["7,200 square feet", "!1,840"]),
        ("how much land does 9 pecan court have", &["6,100 square feet", "!980", "!$"]),
        ("how many acres is 1502 Willow Trail", &["7,800 square feet", "lot", "!2,240"]),
        ("how many square feat is maple street", &["1,840 square feet", "living area", "!7,200"]),
        ("what's the living area of 310 oak drive in square feet", &["2,650 square feet", "!8,900"]),
        ("how big is the lot of 45 Lake Avenue", &["does not say", "!1,120"]),
        (
            "homes with a lot over 9000 square feet",
            &["2417 Harvest Moon Drive", "2201 Barton Hills Road", "!1208"],
        ),
        ("which home has the biggest lot", &["largest lot", "2201 Barton Hills Road", "11,300", "!3,480"]),
        (
            "which has the bigger lot, maple street or oak drive",
            &["310 Oak Drive has the larger lot", "8,900", "7,200"],
        ),
        ("a house on at least a quarter acre", &["2201 Barton Hills Road", "!Maple"]),
    ]);
}

#[test]
fn a_house_that_is_not_listed_is_not_another_house() {
    table(&[
        (
            "How much is 1210 Maple Street?",
            &["don't have that one", "1210 Maple Street is not on our list", "1208 Maple Street"],
        ),
        ("does twelve ten maple street have a garage", &["1210 Maple Street is not on our list", "!two-car"]),
        (
            "can I see 312 Oak Drive on Saturday",
            &["312 Oak Drive is not on our list", "310 Oak Drive", "!pass that on"],
        ),
        (
            "is forty five lake avenue unit fourteen available",
            &["45 Lake Avenue Unit 14 is not on our list", "45 Lake Avenue Unit 12", "!Yes"],
        ),
        ("how big is 45 Oak Avenue", &["45 Oak Avenue is not on our list", "310 Oak Drive", "!2,650"]),
        (
            "tell me about 500 West Lynn Street",
            &["500 West Lynn Street is not on our list", "!Here is that home"],
        ),
        ("can I see 12 Elm Street tomorrow", &["12 Elm Street is not on our list", "!pass that on"]),
        ("how much is one to oh ate make pull street", &["$525,000", "1208 Maple Street"]),
        ("how much is 12 0 8 maple street", &["$525,000"]),
        ("what does three ten oke drive cost", &["$749,000"]),
        ("how much is twenty four seventeen harvest moon drive", &["$598,000"]),
        ("what's the price of 22 01 barton hill road", &["$1,150,000"]),
        ("how many bath rooms does nine pekan court have", &["one bath"]),
        ("does three ten oak drive have a swimming pull", &["Yes", "private pool"]),
        ("does maple street have a garbage", &["Yes", "two-car garage"]),
        ("how much are the taxis on maple street", &["$9,450"]),
        ("a to bedroom condor", &["45 Lake Avenue Unit 12"]),
    ]);
    hold(
        &listings(),
        &[
            &[
                ("how much is 310 Oak Drive", &["$749,000"]),
                ("and 12 Elm Street", &["12 Elm Street is not on our list"]),
                ("does it have a pool", &["Which home do you mean?", "!310 Oak Drive"]),
            ],
            &[
                ("what condos do you have", &["we have one", "45 Lake Avenue Unit 12"]),
                ("does it have a pool", &["45 Lake Avenue Unit 12 shares a pool"]),
            ],
            &[
                ("how much is 1210 Maple Street", &["Shall I tell you more?", "!It is $"]),
                ("yes", &["1208 Maple Street", "three-bedroom"]),
            ],
            &[("my name is Anna Lane", &["Thank you, Anna Lane."])],
        ],
    );
}
