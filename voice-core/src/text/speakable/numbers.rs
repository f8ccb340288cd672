//! Numbers as English words: cardinals, ordinals, years, house numbers, digit by digit. American, without "and".

const ONES: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] =
    ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const SCALES: [(u64, &str); 4] = [
    (1_000_000_000_000, "trillion"),
    (1_000_000_000, "billion"),
    (1_000_000, "million"),
    (1_000, "thousand"),
];

/// 525000 as "five hundred twenty five thousand".
pub(super) fn cardinal(number: u64) -> String {
    let mut words = Vec::new();
    let mut rest = number;
    for (scale, name) in SCALES {
        if rest >= scale {
            words.push(cardinal(rest / scale));
            words.push(name.to_owned());
            rest %= scale;
        }
    }
    if rest >= 100 {
        words.push(ONES[(rest / 100) as usize].to_owned());
        words.push("hundred".to_owned());
        rest %= 100;
    }
    if rest > 0 || words.is_empty() {
        words.push(below_hundred(rest));
    }
    words.join(" ")
}

/// 21 as "twenty first".
pub(super) fn ordinal(number: u64) -> String {
    let words = cardinal(number);
    let (front, last) = words.rsplit_once(' ').map_or(("", words.as_str()), |(front, last)| (front, last));
    let last = match last {
        "one" => "first".to_owned(),
        "two" => "second".to_owned(),
        "three" => "third".to_owned(),
        "five" => "fifth".to_owned(),
        "eight" => "eighth".to_owned(),
        "nine" => "ninth".to_owned(),
        "twelve" => "twelfth".to_owned(),
        ty if ty.ends_with('y') => format!("{}ieth", &ty[..ty.len() - 1]),
        other => format!("{other}th"),
    };
    if front.is_empty() { last } else { format!("{front} {last}") }
}

/// 1998 as "nineteen ninety eight", 2005 as "two thousand five", 2024 as "twenty twenty four".
pub(super) fn year(number: u64) -> String {
    match number {
        1_000..=1_999 | 2_010..=9_999 if number % 1_000 >= 10 || number < 2_000 => pairs(number),
        _ => cardinal(number),
    }
}

/// 1208 as "twelve oh eight", 310 as "three ten", 2000 as "two thousand".
pub(super) fn house(number: u64) -> String {
    match number {
        100..=999 => match number % 100 {
            0 => cardinal(number),
            rest => format!("{} {}", ONES[(number / 100) as usize], oh(rest)),
        },
        1_000..=9_999 if number.is_multiple_of(1_000) => cardinal(number),
        1_000..=9_999 => pairs(number),
        10_000..=99_999 if number.is_multiple_of(1_000) => cardinal(number),
        10_000..=99_999 if number % 1_000 >= 100 => {
            format!("{} {}", below_hundred(number / 1_000), house(number % 1_000))
        }
        0..=99 => cardinal(number),
        _ => digits(&number.to_string()),
    }
}

/// "0142" as "zero one four two"; other characters are left out.
pub(super) fn digits(text: &str) -> String {
    let words: Vec<_> = text.chars().filter_map(|c| c.to_digit(10)).map(|d| ONES[d as usize]).collect();
    words.join(" ")
}

/// "1,234.50" as "one thousand two hundred thirty four point five zero". Numbers too long to count are read digit by
/// digit. Takes digits, commas and at most one point, or points between thousands.
pub(super) fn decimal(text: &str) -> String {
    let grouped = text.bytes().filter(|b| *b == b'.').count() > 1;
    let (whole, fraction) = if grouped { (text, "") } else { text.split_once('.').unwrap_or((text, "")) };
    let whole: String = whole.chars().filter(char::is_ascii_digit).collect();
    let spoken = match whole.parse::<u64>() {
        // A leading zero is not a quantity: it is a code.
        Ok(number) if number < MOST && (whole.len() == 1 || !whole.starts_with('0')) => cardinal(number),
        Err(_) if whole.is_empty() => "zero".to_owned(),
        _ => digits(&whole),
    };
    if fraction.is_empty() { spoken } else { format!("{spoken} point {}", digits(fraction)) }
}

/// Above this nobody follows.
const MOST: u64 = 1_000_000_000_000_000;

/// 5 as "oh five", 0 as "hundred", 45 as "forty five": the second half of a time, a year, a house number.
fn oh(rest: u64) -> String {
    match rest {
        0 => "hundred".to_owned(),
        1..=9 => format!("oh {}", ONES[rest as usize]),
        _ => below_hundred(rest),
    }
}

/// Minutes of a time of day: 5 as "oh five"; nothing for the full hour.
pub(super) fn minutes(minute: u64) -> String {
    if minute == 0 { String::new() } else { format!(" {}", oh(minute)) }
}

/// Four digits as two pairs.
fn pairs(number: u64) -> String {
    match (number / 100, number % 100) {
        (front, 0) if front.is_multiple_of(10) => cardinal(number),
        (front, rest) => format!("{} {}", below_hundred(front), oh(rest)),
    }
}

fn below_hundred(number: u64) -> String {
    match number {
        0..=19 => ONES[number as usize].to_owned(),
        20..=99 => {
            let ten = TENS[(number / 10) as usize];
            if number.is_multiple_of(10) {
                ten.to_owned()
            } else {
                format!("{ten} {}", ONES[(number % 10) as usize])
            }
        }
        _ => digits(&number.to_string()),
    }
}
