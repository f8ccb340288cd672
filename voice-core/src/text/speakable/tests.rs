//! What is written, and what is to be said.

use proptest::prelude::*;

use super::speakable;

fn check(table: &[(&str, &str)]) {
    for (_, spoken) in table {
        assert_eq!(speakable(spoken), *spoken, "doing it twice must change nothing more");
    }
    let wrong: Vec<String> = table
        .iter()
        .filter_map(|(written, spoken)| {
            let said = speakable(written);
            (said != *spoken).then(|| format!("{written:?}\n   said   {said:?}\n   wanted {spoken:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), table.len(), wrong.join("\n"));
}

#[test]
fn prices() {
    check(&[
        ("$525,000", "five hundred twenty five thousand dollars"),
        ("It is $525,000.", "It is five hundred twenty five thousand dollars."),
        ("$1.2 million", "one point two million dollars"),
        ("$1.25M", "one point two five million dollars"),
        ("$450k", "four hundred fifty thousand dollars"),
        ("$450K+", "four hundred fifty thousand dollars or more"),
        ("$3,200/month", "three thousand two hundred dollars per month"),
        ("$3,200/mo.", "three thousand two hundred dollars per month."),
        ("$3,200 / month", "three thousand two hundred dollars per month"),
        ("$285/sqft", "two hundred eighty five dollars per square foot"),
        ("$285/sq ft", "two hundred eighty five dollars per square foot"),
        ("$12.50", "twelve dollars and fifty cents"),
        ("$0.99", "ninety nine cents"),
        ("$100.00", "one hundred dollars"),
        ("$1", "one dollar"),
        ("$400k-$500k", "four hundred thousand to five hundred thousand dollars"),
        ("$400–500k", "four hundred thousand to five hundred thousand dollars"),
        ("between $400,000 and $1,000,000", "between four hundred thousand dollars and one million dollars"),
        ("HOA is $250 a month", "HOA is two hundred fifty dollars a month"),
        ("€300 or £1", "three hundred euros or one pound"),
    ]);
}

#[test]
fn rooms_and_areas() {
    check(&[
        ("3bd/2.5ba", "three bedrooms, two and a half baths"),
        ("3 bd/2 ba", "three bedrooms, two baths"),
        ("3 bd / 2 ba", "three bedrooms, two baths"),
        ("4BR", "four bedrooms"),
        ("1 BR, 1 BA", "one bedroom, one bath"),
        ("2.5 baths", "two and a half baths"),
        ("1.5 bathrooms", "one and a half bathrooms"),
        ("a 3-bedroom home", "a three bedroom home"),
        ("a 3-bed, 2-bath home", "a three bed, two bath home"),
        ("1,850 sq ft", "one thousand eight hundred fifty square feet"),
        ("1850 sq. ft. of space", "one thousand eight hundred fifty square feet of space"),
        ("1850sqft", "one thousand eight hundred fifty square feet"),
        ("2,400 SF", "two thousand four hundred square feet"),
        ("per sq ft", "per square foot"),
        ("80 m²", "eighty square meters"),
        ("0.25 ac", "zero point two five acre"),
        ("0.25 acres", "zero point two five acres"),
        ("2 ac lot", "two acres lot"),
        ("12x14", "twelve by fourteen"),
        ("12'x14'", "twelve by fourteen feet"),
        ("a 12 x 14 ft room", "a twelve by fourteen feet room"),
        ("10-15 min away", "ten to fifteen minutes away"),
        ("5 mi. from downtown", "five miles from downtown"),
        ("1 hr", "one hour"),
        ("1,800+ sq ft", "one thousand eight hundred plus square feet"),
    ]);
}

#[test]
fn addresses() {
    check(&[
        ("1208 Barton Dr", "twelve oh eight Barton Drive"),
        ("2201 Guadalupe St.", "twenty two oh one Guadalupe Street."),
        ("310 E 5th St", "three ten East fifth Street"),
        ("305 Oak Ln, Unit 12", "three oh five Oak Lane, unit twelve"),
        ("4500 S Congress Ave", "forty five hundred South Congress Avenue"),
        ("2000 Pecan Ct", "two thousand Pecan Court"),
        ("12345 Zilker Blvd", "twelve three forty five Zilker Boulevard"),
        ("10005 Mueller Pkwy", "one zero zero zero five Mueller Parkway"),
        ("at 1208 Barton Dr. It has", "at twelve oh eight Barton Drive. It has"),
        ("at 1208 Barton Dr. and it has", "at twelve oh eight Barton Drive and it has"),
        ("Apt. 1204", "apartment twelve oh four"),
        ("Unit 4B", "unit four B"),
        ("#12", "number twelve"),
        ("MLS# 1234567", "MLS number one two three four five six seven"),
        ("Ste 300", "suite three hundred"),
        ("Austin, TX 78704", "Austin, Texas seven eight seven zero four"),
        ("Austin, TX.", "Austin, Texas."),
        ("Austin, Texas 78704-1234", "Austin, Texas seven eight seven zero four, one two three four"),
        ("Dr. Smith called", "Doctor Smith called"),
        ("Ask Dr. Smith", "Ask Doctor Smith"),
        ("St. Edward's University", "Saint Edward's University"),
        ("Mt. Bonnell", "Mount Bonnell"),
        ("Oak St", "Oak Street"),
        ("the corner of Oak St. and Elm Ave.", "the corner of Oak Street and Elm Avenue."),
        ("Mr. Lee and Mrs. Lee", "Mister Lee and Missus Lee"),
    ]);
}

#[test]
fn times_dates_and_years() {
    check(&[
        ("10:30 am", "ten thirty AM"),
        ("10:30am", "ten thirty AM"),
        ("10:30 a.m. tomorrow", "ten thirty AM tomorrow"),
        ("at 3pm.", "at three PM."),
        ("at 3 p.m. on Friday", "at three PM on Friday"),
        ("10:05", "ten oh five"),
        ("10:00", "ten o'clock"),
        ("14:30", "fourteen thirty"),
        ("10am-5pm", "ten AM to five PM"),
        ("1-4 pm", "one to four PM"),
        ("built in 1998", "built in nineteen ninety eight"),
        ("built in 2005", "built in two thousand five"),
        ("built in 2024", "built in twenty twenty four"),
        ("the 1990s", "the nineteen nineties"),
        ("the '90s", "the nineties"),
        ("June 5", "June fifth"),
        ("June 5th, 2025", "June fifth, twenty twenty five"),
        ("Jun. 5, 2025.", "June fifth, twenty twenty five."),
        ("June 2025", "June twenty twenty five"),
        ("2025-06-15", "June fifteenth, twenty twenty five"),
        ("6/15/2025", "June fifteenth, twenty twenty five"),
        ("Sat, Jun 7 at 2 pm", "Saturday, June seventh at two PM"),
        ("I may 5 times", "I may five times"),
        ("2019-2021", "twenty nineteen to twenty twenty one"),
    ]);
}

#[test]
fn plain_numbers() {
    check(&[
        ("0", "zero"),
        ("12", "twelve"),
        ("2,201 homes", "two thousand two hundred one homes"),
        ("250 homes", "two hundred fifty homes"),
        ("3.14", "three point one four"),
        ("-5", "minus five"),
        ("3-5 homes", "three to five homes"),
        ("5%", "five percent"),
        ("6.25%", "six point two five percent"),
        ("3-4%", "three to four percent"),
        ("1st, 2nd and 23rd", "first, second and twenty third"),
        ("112th", "one hundred twelfth"),
        ("1/2", "one half"),
        ("3/4", "three quarters"),
        ("2 1/2 years", "two and a half years"),
        ("2½", "two and a half"),
        ("24/7", "twenty four seven"),
        ("3+", "three plus"),
        ("~300", "about three hundred"),
        ("1,000,000,000", "one billion"),
        ("99999999999999999999", &["nine"; 20].join(" ")),
        ("007", "zero zero seven"),
    ]);
}

#[test]
fn contacts() {
    check(&[
        ("(512) 555-0142", "five one two, five five five, zero one four two"),
        ("512-555-0142", "five one two, five five five, zero one four two"),
        ("512.555.0142.", "five one two, five five five, zero one four two."),
        ("+1 512 555 0142", "one, five one two, five five five, zero one four two"),
        ("555-0142", "five five five, zero one four two"),
        ("maria.lopez@example.com", "maria dot lopez at example dot com"),
        ("https://www.example.com/homes/12?x=1", "example dot com slash homes slash one two"),
        ("Visit example.com.", "Visit example dot com."),
    ]);
}

#[test]
fn abbreviations_and_signs() {
    check(&[
        ("Smith & Lee", "Smith and Lee"),
        ("washer/dryer", "washer dryer"),
        ("and/or", "and or"),
        ("w/ pool", "with pool"),
        ("W/D, A/C", "washer and dryer, AC"),
        ("approx. 20 homes", "approximately twenty homes"),
        ("HOA and MLS", "HOA and MLS"),
        ("a home (built in 1998) with a pool", "a home, built in nineteen ninety eight, with a pool"),
        ("\"Great,\" she said", "Great, she said"),
        ("two-story", "two-story"),
        ("the owner’s home", "the owner's home"),
        ("Yes — it is", "Yes, it is"),
        ("Wait… what?!", "Wait, what?"),
        ("great 👍 home", "great home"),
        ("", ""),
        ("   ", ""),
        ("...", ""),
    ]);
}

#[test]
fn markdown() {
    check(&[
        ("**Great** news", "Great news"),
        ("*Great* _news_ `now`", "Great news now"),
        ("# Homes\n\nThree found", "Homes. Three found"),
        ("Here:\n- A pool\n- A garage", "Here: A pool. A garage."),
        ("1. First home\n2. Second home", "First home. Second home."),
        ("See [the listing](https://example.com/1)", "See the listing"),
        ("one line\nthe same sentence", "one line the same sentence"),
        (
            "| Price | Beds |\n|---|---|\n| $500,000 | 3 |",
            "Price, Beds. five hundred thousand dollars, three.",
        ),
    ]);
}

#[test]
fn a_whole_answer() {
    check(&[(
        "I found **2 homes** under $600k. 1208 Barton Dr is a 3bd/2.5ba with 1,850 sq ft for $525,000; \
         the other, at 310 E 5th St Unit 4B, was built in 1998. Shall I book Sat, Jun 7 at 10:30 am?",
        "I found two homes under six hundred thousand dollars. twelve oh eight Barton Drive is a three bedrooms, \
         two and a half baths with one thousand eight hundred fifty square feet for five hundred twenty five thousand \
         dollars; the other, at three ten East fifth Street unit four B, was built in nineteen ninety eight. \
         Shall I book Saturday, June seventh at ten thirty AM?",
    )]);
}

proptest! {
    #[test]
    fn whatever_comes_in_only_words_and_pauses_come_out(text in "\\PC{0,80}|[-0-9a-zA-Z $.,:/%#()&'+\n]{0,60}") {
        let said = speakable(&text);
        for c in said.chars() {
            prop_assert!(
                c.is_alphabetic() || " '-,.;:!?".contains(c),
                "{c:?} in {said:?} from {text:?}"
            );
        }
        prop_assert!(!said.contains("  "), "{said:?}");
    }
}
