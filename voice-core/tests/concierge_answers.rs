//! What the concierge answers: tables of conversations as callers and recognisers have them.
#![allow(clippy::unwrap_used)]

mod concierge_table;

use concierge_table::Asked;
use voice_core::llm::concierge::{Concierge, sample_listings};
use voice_core::llm::{Message, Role};

fn hold(conversations: &[&[Asked]]) -> usize {
    concierge_table::hold(sample_listings(), conversations)
}

fn hold_each(questions: &[Asked]) -> usize {
    concierge_table::hold_each(sample_listings(), questions)
}

#[test]
fn single_questions_about_one_home() {
    let asked = hold_each(&[
        ("How much is 1208 Maple Street?", &["$525,000", "1208 Maple Street"]),
        ("how much is twelve oh eight maple street", &["$525,000"]),
        ("What's the price of the house on Maple Street?", &["$525,000"]),
        ("um what does the uh make pull street one cost", &["$525,000"]),
        ("what is the asking price for maple st", &["$525,000"]),
        ("Tell me about 1208 Maple Street.", &["three-bedroom", "East Austin", "$525,000"]),
        ("How many bedrooms does 310 Oak Drive have?", &["four bedrooms"]),
        ("how many baths are in three ten oak drive", &["three baths"]),
        ("Does 310 Oak Drive have a pool?", &["Yes", "private pool"]),
        ("does oak drive have a swimming pool", &["Yes"]),
        ("Is there a pool at 45 Lake Avenue?", &["Yes", "shares a pool"]),
        ("Does 1208 Maple Street have a pool?", &["No", "has no pool"]),
        ("Does 1208 Maple Street have a garage?", &["Yes, it has one.", "two-car garage"]),
        ("is there parking at Barton Hills Road", &["three-car garage"]),
        ("does the Pecan Court house have a garage", &["No", "no garage"]),
        ("When was 310 Oak Drive built?", &["built in 2015"]),
        ("How old is the house on Maple?", &["1998"]),
        ("what year was perkin court built", &["1962", "9 Pecan Court"]),
        ("How big is 2201 Barton Hills Road?", &["3,480 square feet"]),
        ("how many square feet is cedar lane", &["1,610 square feet"]),
        ("How big is the lot at 1208 Maple Street?", &["7,200 square feet"]),
        ("how much are the taxes on maple street", &["$9,450", "!$525,000"]),
        ("What are the property taxes for 310 Oak Drive?", &["$13,480 a year"]),
        ("How much is the HOA fee at 45 Lake Avenue?", &["$410 a month"]),
        ("is there an h o a at 77 cedar lane", &["$165 a month"]),
        ("Does 1208 Maple Street have an HOA?", &["names no association fee"]),
        ("What schools are near 1208 Maple Street?", &["Govalle Elementary", "Eastside High School"]),
        ("Is 1208 Maple Street still available?", &["Yes, it is.", "available"]),
        ("Is the Rainey Street condo still on the market?", &["Not at the moment.", "pending"]),
        ("Who is the agent for 310 Oak Drive?", &["Dana Whitfield"]),
        ("who's selling the townhouse on cedar lane", &["Priya Raman"]),
        ("Where is 9 Pecan Court?", &["Montopolis"]),
        ("what part of town is 77 seeder lane in", &["Mueller"]),
        ("Does 310 Oak Drive have a fireplace?", &["Yes", "fireplace"]),
        ("Are pets allowed at 600 Congress Avenue?", &["Yes", "cats and dogs"]),
        ("Can I have a dog at 3300 Duval Road?", &["No pets"]),
        ("How much is the rent at 600 Congress Avenue?", &["$3,200 a month"]),
        (
            "how much is the apartment at six hundred congress avenue unit eighteen oh four",
            &["$3,200 a month"],
        ),
        ("Does 45 Lake Avenue have a balcony?", &["description mentions it", "balcony"]),
        ("Does 1208 Maple Street have a basement?", &["I don't have that here."]),
        ("does 9 pecan court have solar panels", &["I don't have that here."]),
        ("How many stories does 77 Cedar Lane have?", &["three stories"]),
        ("How many bathrooms does 77 Cedar Lane have?", &["two and a half baths"]),
        ("How many bedrooms and bathrooms does 1208 Maple Street have?", &["three bedrooms", "two baths"]),
        ("what's the price and the year built of 310 oak drive", &["$749,000", "2015"]),
        ("What about 1208?", &["1208 Maple Street"]),
        ("What kind of home is 77 Cedar Lane?", &["townhouse"]),
        ("how much is 12 Elm Street", &["don't have that one", "Elm Street", "!$"]),
        ("do you have anything on Juniper Street", &["88 Juniper Street"]),
        ("tell me about the bungalow", &["9 Pecan Court", "$329,000"]),
        ("how much is the townhouse", &["$459,000", "77 Cedar Lane"]),
        ("How much is the condo at 45 Lake Avenue, unit 12?", &["$389,000"]),
        ("how much is forty five leak avenue", &["$389,000", "45 Lake Avenue Unit 12"]),
        ("barton hills road how much", &["$1,150,000"]),
    ]);
    assert!(asked >= 50);
}

#[test]
fn single_searches() {
    let asked = hold_each(&[
        (
            "Do you have any three-bedroom homes under five hundred thousand?",
            &["77 Cedar Lane", "88 Juniper Street", "!Maple"],
        ),
        (
            "three bedroom homes under six hundred thousand dollars in Austin",
            &["1208 Maple Street", "77 Cedar Lane", "!Juniper"],
        ),
        ("show me homes under $400,000", &["9 Pecan Court", "45 Lake Avenue Unit 12", "88 Juniper Street"]),
        ("what do you have below half a million", &["9 Pecan Court", "$329,000"]),
        ("anything over a million", &["2201 Barton Hills Road", "$1,150,000"]),
        ("homes between four and five hundred thousand", &["77 Cedar Lane", "1502 Willow Trail", "!Maple"]),
        ("I'm looking for something between 700 and 800 thousand", &["310 Oak Drive", "one"]),
        ("Do you have any condos?", &["45 Lake Avenue Unit 12", "80 Rainey Street Unit 2203"]),
        ("are there any townhouses", &["77 Cedar Lane", "!Maple"]),
        ("Do you have anything with a pool?", &["45 Lake Avenue Unit 12", "310 Oak Drive"]),
        ("homes with a pool and four bedrooms", &["310 Oak Drive", "one", "!Lake"]),
        ("Do you have anything for rent?", &["$1,950 a month", "$2,650 a month", "$3,200 a month"]),
        (
            "I'm looking for an apartment downtown",
            &["600 Congress Avenue Unit 1804", "$3,200 a month", "!Rainey"],
        ),
        ("a one bedroom apartment to rent", &["600 Congress Avenue Unit 1804"]),
        (
            "rentals under three thousand a month",
            &["3300 Duval Road Unit 5", "740 Sunset Ridge", "!Congress"],
        ),
        ("something to rent under 2000", &["3300 Duval Road Unit 5", "!Sunset"]),
        ("what do you have in Round Rock", &["1502 Willow Trail", "!Maple"]),
        ("any homes in george town", &["88 Juniper Street", "2417 Harvest Moon Drive"]),
        ("do you have homes in Dallas", &["Not in Dallas", "Austin", "!$"]),
        ("a house with a three car garage", &["2417 Harvest Moon Drive", "2201 Barton Hills Road"]),
        ("homes built after 2010", &["four", "77 Cedar Lane", "2417 Harvest Moon Drive", "!Pecan"]),
        ("homes over 2500 square feet", &["310 Oak Drive", "2201 Barton Hills Road", "!Maple"]),
        ("do you have a five-bedroom house", &["2201 Barton Hills Road"]),
        ("a to bedroom condo", &["45 Lake Avenue Unit 12"]),
        ("tree bedroom houses in austin", &["1208 Maple Street", "4315 Magnolia Avenue"]),
        ("a six bedroom house under 300 thousand", &["nothing like that", "closest"]),
        ("at least four bedrooms", &["1502 Willow Trail", "310 Oak Drive"]),
        ("I need two and a half baths", &["77 Cedar Lane", "1502 Willow Trail"]),
        ("do you have a bungalow", &["9 Pecan Court"]),
        ("How many homes do you have?", &["thirteen homes", "Ten for sale", "three for rent"]),
        ("how many three bedroom homes do you have", &["There are four of those.", "77 Cedar Lane"]),
        (
            "how many condos are there",
            &["There is just one.", "sale of 80 Rainey Street Unit 2203 is pending"],
        ),
        ("How many homes have a pool?", &["There are three of those.", "310 Oak Drive"]),
        ("What's the cheapest home?", &["9 Pecan Court", "$329,000"]),
        ("which is the most expensive one you have", &["2201 Barton Hills Road", "$1,150,000"]),
        ("what is your largest house", &["2201 Barton Hills Road", "3,480 square feet"]),
        ("the newest home please", &["2417 Harvest Moon Drive", "2022"]),
        ("What is the oldest house?", &["4315 Magnolia Avenue", "1941"]),
        ("what's the cheapest four bedroom", &["1502 Willow Trail", "$415,000"]),
        ("the cheapest place to rent", &["3300 Duval Road Unit 5", "$1,950 a month"]),
        (
            "compare 1208 Maple Street and 310 Oak Drive",
            &["1208 Maple Street costs less", "$525,000", "$749,000"],
        ),
        ("which is bigger, maple street or oak drive", &["310 Oak Drive is larger", "2,650", "1,840"]),
        ("Which is newer, 9 Pecan Court or 77 Cedar Lane?", &["77 Cedar Lane is newer", "2017", "1962"]),
        ("what homes do you have for sale", &["ten", "9 Pecan Court"]),
        ("what is available in Hyde Park", &["4315 Magnolia Avenue"]),
        ("single story homes under 400k", &["9 Pecan Court", "88 Juniper Street"]),
        ("my budget is three fifty", &["9 Pecan Court", "!Lake Avenue"]),
    ]);
    assert!(asked >= 45);
}

#[test]
fn single_remarks_about_the_talk() {
    let asked = hold_each(&[
        ("Hello", &["how can I help", "Austin"]),
        ("hi good morning", &["how can I help"]),
        ("How are you?", &["I am well"]),
        ("are you a robot", &["automated assistant"]),
        ("what can you do", &["price, area or bedrooms"]),
        ("can you help me", &["price, area or bedrooms"]),
        ("thank you so much", &["welcome"]),
        ("that's all, goodbye", &["Goodbye"]),
        ("no thanks that's all", &["Goodbye"]),
        ("can I talk to a real person", &["pass that on", "name and number"]),
        ("I'd like to speak with an agent", &["pass that on"]),
        ("my name is Anna Hill", &["Thank you, Anna Hill.", "your name on to the team"]),
        ("my number is 512 555 0123", &["your number on to the team"]),
        ("call me at five one two five five five oh one two three", &["your number on to the team"]),
        ("my name is Joe and my number is 512-555-0123", &["Thank you, Joe.", "your name and number"]),
        ("blah foo bar", &["I missed that"]),
        ("", &["I missed that"]),
        ("can you say that again", &["said nothing yet"]),
        ("yes", &["Very good"]),
        ("no", &["No problem"]),
        ("does it have a garage", &["Which home do you mean?"]),
        ("I'd like to see it", &["Which home do you mean?"]),
        (
            "Can I see 45 Lake Avenue on Saturday at ten?",
            &["to the team: viewing of 45 Lake Avenue Unit 12, Saturday at ten."],
        ),
        (
            "I want to book a viewing of 310 oak drive tomorrow at 3 pm",
            &["viewing of 310 Oak Drive, tomorrow at three in the afternoon"],
        ),
        ("can I come by and see the bungalow", &["9 Pecan Court", "Which day and time suit you?"]),
    ]);
    assert!(asked >= 25);
}

#[test]
fn conversations_with_follow_up_questions() {
    let conversations: &[&[Asked]] = &[
        &[
            ("How much is 1208 Maple Street?", &["$525,000"]),
            ("Does it have a garage?", &["Yes, it has one.", "two-car garage", "1208 Maple Street"]),
            ("and the taxes?", &["$9,450"]),
            ("What about the one on Oak?", &["$13,480"]),
            ("does it have a pool", &["310 Oak Drive", "private pool"]),
            ("how old is it", &["2015"]),
            ("thanks", &["welcome"]),
            ("and how many bedrooms", &["four bedrooms"]),
        ],
        &[
            (
                "Do you have three-bedroom homes under five hundred thousand?",
                &["88 Juniper Street", "77 Cedar Lane"],
            ),
            ("tell me about the second one", &["77 Cedar Lane"]),
            ("what about the first one", &["88 Juniper Street"]),
            ("and the other one", &["77 Cedar Lane"]),
            ("is it still available", &["77 Cedar Lane", "available"]),
        ],
        &[
            ("what condos do you have", &["45 Lake Avenue Unit 12", "80 Rainey Street Unit 2203"]),
            ("which one is cheaper", &["$389,000", "!$675,000"]),
            ("yes can I see it", &["45 Lake Avenue Unit 12", "Which day and time suit you?"]),
            ("Saturday at ten", &["viewing of 45 Lake Avenue Unit 12, Saturday at ten."]),
            ("great thank you bye", &["Goodbye"]),
        ],
        &[
            ("show me houses in Austin", &["like that"]),
            ("under six hundred thousand", &["9 Pecan Court", "1208 Maple Street", "!Magnolia"]),
            ("and with three bedrooms", &["1208 Maple Street", "one"]),
            ("yes please", &["1208 Maple Street", "three-bedroom", "Would you like to see it?"]),
            ("yes", &["Which day and time suit you?"]),
            ("tomorrow afternoon", &["viewing of 1208 Maple Street, tomorrow afternoon."]),
        ],
        &[
            ("what's the cheapest home", &["9 Pecan Court"]),
            ("yes", &["9 Pecan Court", "bungalow", "Would you like to see it?"]),
            ("no", &["No problem"]),
            ("anything bigger in Austin", &["!9 Pecan Court"]),
        ],
        &[
            ("tell me about 310 Oak Drive", &["310 Oak Drive"]),
            ("do you have anything cheaper with a pool", &["45 Lake Avenue Unit 12", "!310 Oak Drive"]),
        ],
        &[
            ("I want to see a house", &["like that"]),
            ("does it have a garage", &["Which home do you mean?", "9 Pecan Court"]),
            ("the one on Juniper", &["88 Juniper Street", "one-car garage"]),
        ],
        &[
            ("can I schedule a tour for Friday at 4", &["Which home do you mean?"]),
            ("310 Oak Drive", &["viewing of 310 Oak Drive, Friday at four."]),
        ],
        &[
            ("How much is 77 Cedar Lane?", &["$459,000"]),
            ("sorry what did you say", &["$459,000"]),
            ("compare it with 1208 Maple Street", &["77 Cedar Lane costs less", "$459,000", "$525,000"]),
            (
                "which of them has a garage",
                &["77 Cedar Lane has a one-car garage", "1208 Maple Street has a two-car garage"],
            ),
        ],
        &[
            ("I'm looking for a rental", &["like that"]),
            ("under 2500", &["3300 Duval Road Unit 5", "!Sunset"]),
            ("are pets allowed", &["No pets"]),
        ],
        &[
            ("can I talk to someone", &["May I have your name and number?"]),
            ("Anna Hill", &["Thank you, Anna Hill.", "What is your number?"]),
            ("512 555 0123", &["number on to the team"]),
        ],
        &[
            ("tell me about the condo on lake avenue", &["45 Lake Avenue Unit 12"]),
            ("how much are the h o a fees", &["$410 a month"]),
            ("is there an elevator", &["elevator"]),
            ("does it have a wine cellar", &["I don't have that here."]),
            ("who's the agent", &["Marcus Lee"]),
            ("how big is it", &["1,120 square feet"]),
            ("what schools are nearby", &["Casis Elementary"]),
            ("where is it", &["Tarrytown"]),
            ("tell me more", &["45 Lake Avenue Unit 12", "balcony"]),
        ],
        &[
            ("Three bedrooms, under 600,000.", &["1208 Maple Street"]),
            ("houses in Austin", &["9 Pecan Court", "1208 Maple Street"]),
            ("and with three bedrooms under 600", &["one", "1208 Maple Street"]),
            ("tell me about the first one", &["1208 Maple Street is", "!Pecan"]),
            ("is it on a quiet street", &["I don't have that here.", "1208 Maple Street"]),
            ("that's too expensive", &["9 Pecan Court", "!$525,000"]),
        ],
        &[
            (
                "Can I visit the condo on Lake Avenue on Saturday morning?",
                &["45 Lake Avenue Unit 12, Saturday morning."],
            ),
            ("ten o'clock", &["45 Lake Avenue Unit 12, Saturday morning at ten."]),
            ("is there a pool", &["45 Lake Avenue Unit 12 shares a pool"]),
        ],
        &[
            (
                "which homes have a pool",
                &["three", "45 Lake Avenue Unit 12", "310 Oak Drive", "2201 Barton Hills Road"],
            ),
            ("and which of them is the cheapest", &["$389,000", "45 Lake Avenue Unit 12", "!Oak"]),
            ("who is the agent", &["Marcus Lee"]),
        ],
        &[
            ("I want to rent an apartment", &["3300 Duval Road Unit 5", "600 Congress Avenue Unit 1804"]),
            ("something downtown", &["600 Congress Avenue Unit 1804", "!Rainey"]),
            ("do they allow cats", &["Yes", "cats and dogs"]),
        ],
        &[
            ("three bedroom homes", &["four", "88 Juniper Street", "77 Cedar Lane", "1208 Maple Street"]),
            ("what else do you have", &["one more", "4315 Magnolia Avenue"]),
            (
                "what's the difference between the condo on lake avenue and the townhouse on cedar lane",
                &["45 Lake Avenue Unit 12 costs less", "$459,000"],
            ),
        ],
        &[
            ("do you have a castle", &["I missed that"]),
            ("what areas do you cover", &["Austin, Round Rock and Georgetown"]),
            ("compare the bungalow and the townhouse", &["9 Pecan Court costs less", "$329,000", "$459,000"]),
        ],
        &[
            ("how much is the house on Maple", &["$525,000"]),
            ("how much is the one on Pecan", &["$329,000"]),
            ("how many bathrooms does the house have", &["one bath"]),
        ],
    ];
    assert!(hold(conversations) >= 45);
}

#[test]
fn only_what_was_heard_is_remembered() {
    let concierge = Concierge::new(sample_listings().clone());
    let message = |role, text: &str| Message::new(role, text);
    let ask = |heard: &str| {
        concierge.answer(&[
            message(Role::User, "what condos do you have"),
            message(Role::Assistant, heard),
            message(Role::User, "how much is the second one"),
        ])
    };
    let both =
        "We have two like that. 45 Lake Avenue Unit 12, a condo; and 80 Rainey Street Unit 2203, a condo.";
    assert!(ask(both).contains("$675,000"));
    assert!(!ask("We have two like that. 45 Lake Avenue Unit 12,").contains("$675,000"));
}

#[test]
fn the_same_conversation_gets_the_same_answer() {
    let messages = [Message::new(Role::User, "homes with a pool")];
    let first = Concierge::new(sample_listings().clone()).answer(&messages);
    assert_eq!(Concierge::new(sample_listings().clone()).answer(&messages), first);
}
