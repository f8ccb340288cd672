//! What is written, what is to be said, and the way back.

mod calendar;
mod contacts;
mod listings;
mod markdown;
mod money;
mod numbers;
mod places;
mod way_back;
mod writing;

use std::collections::HashSet;
use std::time::Instant;

use proptest::prelude::*;

use super::speakable;

/// What is written, and what is said.
type Cases = &'static [(&'static str, &'static str)];

const TABLE: [Cases; 8] = [
    calendar::CASES,
    contacts::CASES,
    listings::CASES,
    markdown::CASES,
    money::CASES,
    numbers::CASES,
    places::CASES,
    writing::CASES,
];

/// Cases that the table must have at the least, so that none goes missing unseen.
const FEWEST_CASES: usize = 500;

#[test]
fn the_table_is_large_and_has_no_case_twice() {
    let written: HashSet<&str> =
        TABLE.iter().flat_map(|cases| cases.iter()).map(|(written, _)| *written).collect();
    let rows: usize = TABLE.iter().map(|cases| cases.len()).sum();
    assert_eq!(written.len(), rows);
    assert!(rows >= FEWEST_CASES, "{rows} cases");
}

fn check(cases: Cases) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(written, spoken)| {
            let said = speakable(written);
            (said != *spoken).then(|| format!("{written:?}\n   said   {said:?}\n   wanted {spoken:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    for (_, spoken) in cases {
        assert_eq!(speakable(spoken), *spoken, "doing it twice must change nothing more");
    }
}

#[test]
fn prices_are_said() {
    check(money::CASES);
}

#[test]
fn rooms_areas_and_measures_are_said() {
    check(listings::CASES);
}

#[test]
fn addresses_are_said() {
    check(places::CASES);
}

#[test]
fn times_dates_and_years_are_said() {
    check(calendar::CASES);
}

#[test]
fn plain_numbers_are_said() {
    check(numbers::CASES);
}

#[test]
fn telephone_and_listing_numbers_and_web_addresses_are_said() {
    check(contacts::CASES);
}

#[test]
fn abbreviations_are_said_and_emoji_are_not() {
    check(writing::CASES);
}

#[test]
fn layout_is_not_said() {
    check(markdown::CASES);
}

#[test]
fn whole_answers_are_said() {
    check(&[
        (
            "I found **2 homes** under $600k. 1208 Barton Dr is a 3bd/2.5ba with 1,850 sq ft for $525,000; \
             the other, at 310 E 5th St Unit 4B, was built in 1998. Shall I book Sat, Jun 7 at 10:30 am?",
            "I found two homes under six hundred thousand dollars. twelve oh eight Barton Drive is a three bedrooms, \
             two and a half baths with one thousand eight hundred fifty square feet for five hundred twenty five \
             thousand dollars; the other, at three ten East fifth Street unit four B, was built in nineteen ninety \
             eight. Shall I book Saturday, June seventh at ten thirty AM?",
        ),
        (
            "It's listed at $525,000 (down from $550,000), 3 bd/2.5 ba, ~1,850 sq ft on 0.25 ac.",
            "It's listed at five hundred twenty five thousand dollars, down from five hundred fifty thousand dollars, \
             three bedrooms, two and a half baths, about one thousand eight hundred fifty square feet on zero point \
             two five acres.",
        ),
        (
            "Call Dr. Lee at (512) 555-0142 ext. 12 or e-mail maria@example.com.",
            "Call Doctor Lee at five one two, five five five, zero one four two, extension one two or e-mail maria at \
             example dot com.",
        ),
        (
            "Year built: 1985 | Lot: 0.31 ac | HOA: $45/mo",
            "Year built: nineteen eighty five, Lot: zero point three one acres, HOA: forty five dollars per month",
        ),
        (
            "Open house Sat & Sun, 1-4 pm, 0.5 mi from I-35 and 12 min. from downtown.",
            "Open house Saturday and Sunday, one to four PM, zero point five miles from I thirty five and twelve \
             minutes from downtown.",
        ),
    ]);
}

/// Pieces of written text in any order, glued or apart: every rule's words in every other rule's company.
fn soup() -> impl Strategy<Value = String> {
    let cases: Vec<&str> = TABLE.iter().flat_map(|cases| cases.iter()).map(|(written, _)| *written).collect();
    let words: Vec<&str> = cases.iter().flat_map(|written| written.split(' ')).collect();
    let piece = prop_oneof![
        4 => prop::sample::select(words).prop_map(str::to_owned),
        2 => prop::sample::select(cases).prop_map(str::to_owned),
        1 => "[!-~]{1,4}",
        1 => "\\PC{0,3}",
    ];
    let gap = prop_oneof![6 => Just(" "), 1 => Just(""), 1 => Just("\n"), 1 => Just("  ")];
    prop::collection::vec((piece, gap), 0..14)
        .prop_map(|pieces| pieces.into_iter().map(|(a, b)| a + b).collect())
}

/// Anything that might be written.
fn written() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => soup(),
        1 => any::<String>(),
        1 => "\\PC{0,80}",
        1 => "[-0-9a-zA-Z $.,:/%#()&'+\n]{0,60}",
    ]
}

/// Texts that would take the square of their length if any rule searched the rest of the text from each of its words.
const REPEATED: [&str; 40] = [
    "[", "![", "](", "<", "<a ", "&", "&amp;", "*", " *", "  *  ", "**", "_", "`", "~~", "|", "\\", "(",
    "\"", "'", ".", "1.", "1.1", "1,000", "$", "$1-", "$1 - ", "5-", "-", "- ", "\n- ", "1/", "1/2 ", "w/",
    "a.b.", "St. ", "https://", "@", "1 x ", "512 ", "3bd/",
];
/// Bytes of the shorter text, and how many times as long the longer one is.
const SHORT: usize = 2_000;
const LONGER: usize = 32;
/// Linear is 32 times as long and square 1,024 times. Between them lies what a busy machine adds: it interrupts the
/// longer run several times and the shorter one not at all.
const MOST_TIMES: f64 = 200.0;

#[test]
fn the_time_grows_as_the_text_does() {
    let fastest = |text: &str| {
        let times = (0..3).map(|_| {
            let start = Instant::now();
            std::hint::black_box(speakable(text));
            start.elapsed().as_secs_f64()
        });
        times.fold(f64::INFINITY, f64::min)
    };
    for piece in REPEATED {
        let short = piece.repeat(SHORT / piece.len());
        let long = short.repeat(LONGER);
        // A busy machine is asked once more.
        let slow = (0..3).all(|_| fastest(&long) / fastest(&short).max(2e-5) > MOST_TIMES);
        assert!(!slow, "{piece:?} takes more than {MOST_TIMES} times as long");
    }
}

fn is_sayable(said: &str) -> bool {
    let sayable = |c: char| c.is_alphabetic() && !c.is_numeric() || " '-,.;:!?".contains(c);
    said.chars().all(sayable) && !said.contains("  ") && said.trim() == said
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_comes_in_only_words_and_pauses_come_out(text in written()) {
        let said = speakable(&text);
        prop_assert!(is_sayable(&said), "{said:?} from {text:?}");
    }

    #[test]
    fn what_is_speakable_already_stays_as_it_is(text in written()) {
        let said = speakable(&text);
        prop_assert_eq!(speakable(&said), said);
    }
}
