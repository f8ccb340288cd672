//! The way back from what was said to what was written.

use proptest::prelude::*;

use super::{is_sayable, soup, written};
use crate::text::chunker::Chunker;
use crate::text::speakable::{Spoken, SpokenReply, speak};

/// What stands written when `said` was said.
fn heard<'a>(written: &'a str, said: &str) -> &'a str {
    let spoken = speak(written);
    assert!(spoken.text().starts_with(said), "{:?} does not begin with {said:?}", spoken.text());
    &written[..spoken.written_end(said.len())]
}

#[test]
fn a_call_broken_off_shows_the_written_words_up_to_there() {
    let text = "It is $525,000 at 1208 Barton Dr, with 3bd/2.5ba.";
    for (said, shown) in [
        ("", ""),
        ("I", ""),
        ("It", "It"),
        ("It is five hundred twenty five thousand", "It is"),
        ("It is five hundred twenty five thousand dollars", "It is $525,000"),
        ("It is five hundred twenty five thousand dollars at twelve oh", "It is $525,000 at"),
        ("It is five hundred twenty five thousand dollars at twelve oh eight Bart", "It is $525,000 at 1208"),
        (
            "It is five hundred twenty five thousand dollars at twelve oh eight Barton Drive",
            "It is $525,000 at 1208 Barton Dr,",
        ),
        (
            "It is five hundred twenty five thousand dollars at twelve oh eight Barton Drive, with three bedrooms, two",
            "It is $525,000 at 1208 Barton Dr, with",
        ),
        (
            "It is five hundred twenty five thousand dollars at twelve oh eight Barton Drive, with three bedrooms, \
             two and a half baths",
            text,
        ),
    ] {
        assert_eq!(heard(text, said), shown, "{said:?}");
    }
}

#[test]
fn an_amount_of_several_words_is_booked_whole() {
    for amount in [
        "$1.2 million",
        "$400k - $500k",
        "$3,200 / month",
        "1,850 sq. ft.",
        "2 1/2 ba",
        "June 5th, 2025",
        "10:30 a.m.",
        "(512) 555-0142 ext. 12",
        "+44 20 7946 0958",
        "12 x 14 ft",
        "MLS# 1234567",
        "Unit 12",
        "I-35",
    ] {
        let spoken = speak(amount);
        let ends: Vec<usize> = (0..spoken.text().len()).map(|said| spoken.written_end(said)).collect();
        let whole = amount.len();
        assert!(ends.iter().all(|end| *end == 0 || *end == whole), "{amount}: {ends:?}");
        assert_eq!(spoken.spans().len(), 1, "{amount}");
    }
}

#[test]
fn layout_belongs_to_the_words_it_adorns() {
    let text = "**Two homes:**\n\n- [Oak Haven](https://example.com/1) 🏠\n- Elm Court 🎉";
    for (said, shown) in [
        ("Two homes", "**Two homes:**"),
        ("Two homes: Oak", "**Two homes:**\n\n- [Oak"),
        ("Two homes: Oak Haven", "**Two homes:**\n\n- [Oak Haven](https://example.com/1)"),
        ("Two homes: Oak Haven. Elm", "**Two homes:**\n\n- [Oak Haven](https://example.com/1) 🏠\n- Elm"),
        ("Two homes: Oak Haven. Elm Court.", text),
    ] {
        assert_eq!(heard(text, said), shown, "{said:?}");
    }
}

#[test]
fn what_makes_no_sound_is_all_said_at_once() {
    for text in ["", "  ", "👍", "---", "```\n```"] {
        let spoken = speak(text);
        assert_eq!(spoken.text(), "", "{text:?}");
        assert_eq!(spoken.written_end(0), text.len());
        assert_eq!(spoken.written_end_of_words(0), text.len());
    }
}

#[test]
fn words_are_counted_as_bytes_are() {
    let text = "It is $525,000 today.";
    let spoken = speak(text);
    let shown: Vec<&str> = (0..=9).map(|words| &text[..spoken.written_end_of_words(words)]).collect();
    let amount = "It is $525,000";
    let rest = ["It is"; 6].into_iter().chain([amount, text]);
    assert_eq!(shown, ["", "It"].into_iter().chain(rest).collect::<Vec<_>>());
    assert_eq!(spoken.written_end_of_words(usize::MAX), text.len());
}

#[test]
fn a_word_read_twice_still_leads_back() {
    // The second reading sees `St` behind a pause and before a name, which the first did not.
    let text = "Old:St Mary is here";
    let spoken = speak(text);
    assert_eq!(spoken.text(), "Old, Saint Mary is here");
    assert_eq!(&text[..spoken.written_end("Old".len())], "");
    assert_eq!(&text[..spoken.written_end("Old, Saint".len())], "Old:St");
    assert_eq!(&text[..spoken.written_end("Old, Saint Mary".len())], "Old:St Mary");
}

#[test]
fn clauses_are_read_in_the_light_of_those_before() {
    let mut reply = SpokenReply::default();
    let mut said = |clause: &str| reply.push_clause(clause).into_text();
    assert_eq!(said("Two homes in Austin,"), "Two homes in Austin,");
    assert_eq!(said(" TX 78704 are new:"), "Texas seven eight seven zero four are new:");
    assert_eq!(said("\n- Oak Haven has a pool and a garage"), "Oak Haven has a pool and a garage");
    assert_eq!(said(" - 3 beds in all."), "three beds in all.", "a dash inside a line is no bullet");
    assert_eq!(said("\n```\nlet x"), "let x");
    assert_eq!(said(" = 1\n- y\n```\n- done"), "equals one, y. done", "the code goes on");
    assert_eq!(said(" 👍"), "");
}

#[test]
fn every_case_of_the_table_is_said_the_same_one_character_at_a_time() {
    for (written, _) in super::TABLE.iter().flat_map(|cases| cases.iter()) {
        let characters: Vec<usize> = (0..=written.len()).collect();
        assert_eq!(in_deltas(&cut(written, &characters)), in_clauses(written), "{written:?}");
    }
}

#[test]
fn other_languages_lose_only_layout_and_emoji() {
    for (language, written, said) in [
        (
            "de",
            "## Angebot\n- **3 Zimmer**, 85 m² 🏠\n- [Lage](https://example.com/1)",
            "Angebot. 3 Zimmer, 85 m². Lage",
        ),
        ("es-MX", "¿Cuánto cuesta? $1,200.50 ⭐", "¿Cuánto cuesta? $1,200.50"),
        ("fr", "3 * 4 = 12 « voilà »", "3 * 4 = 12 « voilà »"),
        ("hi", "क्या हाल है? ५ कमरे 👩\u{200d}👧", "क्या हाल है? ५ कमरे"),
        ("en-GB", "£1 🙂", "one pound"),
        ("", "$5", "five dollars"),
    ] {
        let spoken = SpokenReply::in_language(language).push_clause(written);
        assert_eq!(spoken.text(), said, "{language}");
        check_way_back(written, &spoken);
    }
    let written = "Es kostet 525.000 € heute.";
    let spoken = SpokenReply::in_language("de").push_clause(written);
    assert_eq!(&written[..spoken.written_end("Es kostet 525.000".len())], "Es kostet 525.000");
}

#[test]
fn a_reply_in_clauses_is_said_as_a_whole_one() {
    let text = "I found 2 homes under $600k. 1208 Barton Dr is a 3bd/2.5ba with 1,850 sq ft for $525,000; the other, \
                at 310 E 5th St Unit 4B, was built in 1998. Shall I book Sat, Jun 7 at 10:30 am?";
    let (said, shown) = in_clauses(text);
    assert_eq!(said.join(" "), speak(text).text());
    assert_eq!(shown, text.len());
}

/// The clauses of a reply as they are said, and the written bytes that were booked at their ends.
fn in_clauses(text: &str) -> (Vec<String>, usize) {
    in_deltas(&[text])
}

/// The same, where the text comes in pieces and each clause is said as soon as it is there.
fn in_deltas(deltas: &[&str]) -> (Vec<String>, usize) {
    let mut chunker = Chunker::default();
    let mut reply = SpokenReply::default();
    let (mut said, mut shown) = (Vec::new(), 0);
    let mut say = |chunker: &mut Chunker| {
        while let Some(clause) = chunker.poll_clause() {
            let spoken = reply.push_clause(&clause);
            check_way_back(&clause, &spoken);
            shown += spoken.written_end(spoken.text().len());
            said.push(spoken.into_text());
        }
    };
    for delta in deltas {
        chunker.push_delta(delta);
        say(&mut chunker);
    }
    chunker.finish();
    say(&mut chunker);
    (said, shown)
}

/// A text cut at the characters at or before the given places.
fn cut<'a>(text: &'a str, places: &[usize]) -> Vec<&'a str> {
    let mut ends: Vec<usize> =
        places.iter().map(|place| text.floor_char_boundary(place % (text.len() + 1))).collect();
    ends.push(text.len());
    ends.sort_unstable();
    let mut from = 0;
    ends.into_iter().map(|end| &text[std::mem::replace(&mut from, end)..end]).collect()
}

/// Panics if the way back falls, leaves the text, splits a word or an amount, or does not end at the end.
fn check_way_back(written: &str, spoken: &Spoken) {
    let said = spoken.text();
    let mut last = 0;
    for bytes in 0..=said.len() + 2 {
        let end = spoken.written_end(bytes);
        assert!(end >= last && end <= written.len(), "{end} behind {last} of {written:?}");
        let whole = end == 0 || written[end..].chars().next().is_none_or(char::is_whitespace);
        assert!(whole, "{:?} splits a word of {written:?}", &written[..end]);
        last = end;
    }
    assert_eq!(last, written.len(), "{written:?}");
    for pair in spoken.spans().windows(2) {
        assert!(pair[0].spoken_end < pair[1].spoken_end && pair[0].written_end < pair[1].written_end);
    }
    // A span ends where a spoken word does.
    for span in spoken.spans() {
        let behind = said[span.spoken_end..].chars().next();
        assert!(behind.is_none_or(|c| !c.is_alphabetic()), "{span:?} splits a word of {said:?}");
    }
    let words = said.split_whitespace().count();
    let counted: Vec<usize> = (0..=words).map(|words| spoken.written_end_of_words(words)).collect();
    assert!(counted.is_sorted() && counted.last() == Some(&written.len()), "{counted:?} of {written:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_way_back_never_falls_and_never_splits_a_word(text in written()) {
        check_way_back(&text, &speak(&text));
    }

    #[test]
    fn clauses_of_any_reply_are_sayable_and_lead_back(text in written()) {
        let (said, shown) = in_clauses(&text);
        prop_assert!(said.iter().all(|said| is_sayable(said)), "{:?}", said);
        prop_assert_eq!(shown, text.len());
    }

    #[test]
    fn any_split_of_the_deltas_is_said_the_same(text in written(), places in prop::collection::vec(0usize..2_000, 0..12)) {
        prop_assert_eq!(in_deltas(&cut(&text, &places)), in_clauses(&text));
    }

    #[test]
    fn other_languages_keep_their_words_and_lead_back(text in written()) {
        let spoken = SpokenReply::in_language("de-AT").push_clause(&text);
        check_way_back(&text, &spoken);
        let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).count();
        prop_assert!(letters(spoken.text()) <= letters(&text), "{:?} from {:?}", spoken.text(), text);
    }

    #[test]
    fn what_is_speakable_leads_back_to_itself(text in soup()) {
        let spoken = speak(&text);
        let again = speak(spoken.text());
        for span in again.spans() {
            // A pause behind the word is part of what was written.
            prop_assert!(span.written_end - span.spoken_end <= 1, "{:?} of {:?}", span, spoken.text());
        }
    }
}
