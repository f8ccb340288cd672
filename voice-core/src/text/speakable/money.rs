//! Prices: what they are in, how many, and per what.

use super::amount::{split_number, split_range, value_of, whole_digits};
use super::measures;
use super::numbers::{cardinal, decimal, minutes};
use super::word::{Word, all_digits};
use super::{Point, Said};

/// `$525,000`, `$1.2M`, `$1.2 million`, `$3,200/month`, `$400k-$450k`, `500 USD`, `99¢`, `the $400s`.
pub(super) fn say(words: &[Word<'_>], at: usize) -> Option<Said> {
    range(words, at).or_else(|| hundreds(words, at)).or_else(|| {
        let (price, taken) = price(words, at)?;
        let describes = price.per.is_none() && describes(words, at, taken);
        Some(Price { describes, ..price }.said(taken))
    })
}

/// `a $5k credit`: the price says which, and its currency stays in the singular.
fn describes(words: &[Word<'_>], at: usize, taken: usize) -> bool {
    let article = at.checked_sub(1).map(|before| &words[before]).filter(|before| before.is_open());
    let noun = words.get(at + taken).filter(|_| words[at + taken - 1].trail.is_empty());
    article.is_some_and(|before| matches!(before.lower().as_ref(), "a" | "an"))
        && noun.is_some_and(|noun| {
            let lower = noun.core.bytes().all(|b| b.is_ascii_lowercase());
            lower && noun.core.len() > 3 && !matches!(noun.core, "each" | "less" | "more" | "with" | "from")
        })
}

/// `USD 500,000`.
pub(super) fn say_code(words: &[Word<'_>], at: usize) -> Option<Said> {
    money_of(words[at].core).and_then(|_| say(words, at))
}

/// `$400-500k`, `$400k - $500k`, `$1.2 to $1.4 million`.
fn range(words: &[Word<'_>], at: usize) -> Option<Said> {
    let word = &words[at];
    if let Some((left, right)) = split_range(word.core)
        && let Some(from) = Price::parse(left)
    {
        let mut to = Price::parse(right).or_else(|| from.same_money(right))?;
        let mut taken = 1;
        to.take_words(words, at, &mut taken);
        let between = at.checked_sub(1).is_some_and(|before| words[before].lower() == "between");
        return Some(from.until(&to, if between { "and" } else { "to" }).said(taken));
    }
    let (from, taken) = price(words, at)?;
    let joint = words.get(at + taken).filter(|_| words[at + taken - 1].is_open() && from.per.is_none())?;
    let (mut to, more) = price(words, at + taken + 1).or_else(|| {
        let right = words.get(at + taken + 1)?;
        Some((from.same_money(right.core)?, 1))
    })?;
    let mut end = taken + 1 + more;
    to.take_words(words, at, &mut end);
    // `$1.2 to $1.4 million` shares its million. Otherwise each price is said in full: "from 5,000 to 400,000".
    let shares = from.scale.is_none() && to.scale.is_some() && from.is_small() && to.is_small();
    let rises = from.is_small() && shares || from.value() < to.value();
    let joined = joint.is_dash() && joint.trail.is_empty() && rises || joint.lower() == "to" && shares;
    (joined && from.minus == to.minus).then(|| from.until(&to, "to").said(end))
}

/// `the $400s`, `mid-$400Ks`.
fn hundreds(words: &[Word<'_>], at: usize) -> Option<Said> {
    let core = words[at].core.strip_prefix('$')?.strip_suffix('s')?.trim_end_matches('\'');
    let (number, scale) = split_number(core)?;
    let scale = scale_of(scale)?;
    if number.contains(['.', ',']) || !number.ends_with('0') {
        return None;
    }
    let words = match scale {
        None => decimal(number),
        Some(scale) => format!("{} {scale}", decimal(number)),
    };
    Some(Said::new(format!("{words}s"), 1))
}

/// The price at a word, and how many words it takes.
fn price(words: &[Word<'_>], at: usize) -> Option<(Price, usize)> {
    let word = words.get(at)?;
    let next = words.get(at + 1).filter(|_| word.trail.is_empty());
    let (mut price, mut taken) = if let Some(price) = Price::parse(word.core) {
        (price, 1)
    } else if let Some(money) = money_of(word.core)
        && let Some(next) = next
    {
        // `$ 500`, `USD 500,000`.
        (Price::parse_amount(money, next.core)?, 2)
    } else {
        // `1,200 €`, `500k USD`.
        let (money, rest) =
            match MONEY.iter().find_map(|money| Some((money, word.core.strip_suffix(money.sign)?))) {
                Some((money, rest)) => (money, rest),
                None => (money_of(next?.core)?, word.core),
            };
        let taken = if rest.len() == word.core.len() { 2 } else { 1 };
        return Some((Price::parse_amount(money, rest).filter(|price| price.per.is_none())?, taken));
    };
    price.take_words(words, at, &mut taken);
    Some((price, taken))
}

/// A currency: its sign, its code, its names.
struct Money {
    sign: &'static str,
    code: &'static str,
    one: &'static str,
    many: &'static str,
    /// One of its hundredths, and several; empty where it has none.
    cent: &'static str,
    cents: &'static str,
}

const fn money(sign: &'static str, code: &'static str, [one, many, cent, cents]: [&'static str; 4]) -> Money {
    Money { sign, code, one, many, cent, cents }
}

/// Signs that begin with another's come before it.
const MONEY: [Money; 11] = [
    money("US$", "USD", ["dollar", "dollars", "cent", "cents"]),
    money("CA$", "CAD", ["Canadian dollar", "Canadian dollars", "cent", "cents"]),
    money("C$", "CAD", ["Canadian dollar", "Canadian dollars", "cent", "cents"]),
    money("A$", "AUD", ["Australian dollar", "Australian dollars", "cent", "cents"]),
    money("MX$", "MXN", ["Mexican peso", "Mexican pesos", "centavo", "centavos"]),
    money("$", "USD", ["dollar", "dollars", "cent", "cents"]),
    money("€", "EUR", ["euro", "euros", "cent", "cents"]),
    money("£", "GBP", ["pound", "pounds", "penny", "pence"]),
    money("¥", "JPY", ["yen", "yen", "", ""]),
    money("₹", "INR", ["rupee", "rupees", "paisa", "paise"]),
    money("¢", "", ["cent", "cents", "", ""]),
];

fn money_of(core: &str) -> Option<&'static Money> {
    MONEY.iter().find(|money| !core.is_empty() && (money.sign == core || money.code == core))
}

struct Price {
    money: &'static Money,
    minus: bool,
    amount: String,
    scale: Option<&'static str>,
    more: bool,
    per: Option<String>,
    /// The lower end of a range and the word behind it.
    from: Option<String>,
    abbreviated: bool,
    /// Stands before what it is the price of.
    describes: bool,
}

/// The amount at the start of a text as the European continent writes it, `1.250,50`, in American signs; and what
/// follows.
fn continental(text: &str) -> Option<(String, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != ',' && c != '.').unwrap_or(text.len());
    let (whole, cents) = text[..end].split_once(',').unwrap_or((&text[..end], ""));
    let mut groups = whole.split('.');
    let first = groups.next().filter(|first| all_digits(first) && first.len() <= 3)?;
    let mut grouped = false;
    let right = groups.all(|group| {
        grouped = true;
        group.len() == 3 && all_digits(group)
    });
    let parted = cents.len() == 2 && all_digits(cents);
    if !right || first.starts_with('0') && grouped || !(parted || grouped && cents.is_empty()) {
        return None;
    }
    let cents = if parted { format!(".{cents}") } else { String::new() };
    Some((whole.replace('.', ",") + &cents, &text[end..]))
}

fn scale_of(text: &str) -> Option<Option<&'static str>> {
    Some(match text.to_lowercase().as_str() {
        "" => None,
        "k" => Some("thousand"),
        "m" | "mm" | "mil" | "mill" | "million" => Some("million"),
        "b" | "bn" | "billion" => Some("billion"),
        _ => return None,
    })
}

impl Price {
    fn parse(core: &str) -> Option<Self> {
        let (minus, core) = core.strip_prefix('-').map_or((false, core), |core| (true, core));
        let (money, amount) = MONEY.iter().find_map(|money| Some((money, core.strip_prefix(money.sign)?)))?;
        let (also_minus, amount) = amount.strip_prefix('-').map_or((false, amount), |rest| (true, rest));
        Some(Self { minus: minus || also_minus, ..Self::parse_amount(money, amount)? })
    }

    fn parse_amount(money: &'static Money, text: &str) -> Option<Self> {
        let (amount, rest) = match continental(text).filter(|_| money.code == "EUR") {
            Some(continental) => continental,
            None => split_number(text).map(|(amount, rest)| (amount.to_owned(), rest))?,
        };
        let (rest, per) = match rest.split_once('/') {
            Some((rest, units)) => (rest, Some(measures::per(units)?)),
            None => (rest, None),
        };
        let (rest, more) = rest.strip_suffix('+').map_or((rest, false), |rest| (rest, true));
        let rest = rest.strip_prefix('-').filter(|_| !amount.is_empty()).unwrap_or(rest);
        let scale = scale_of(rest)?;
        let abbreviated = per.is_some();
        Some(Self {
            money,
            minus: false,
            amount,
            scale,
            more,
            per,
            from: None,
            abbreviated,
            describes: false,
        })
    }

    /// The right side of a range that does not repeat the sign.
    fn same_money(&self, right: &str) -> Option<Self> {
        Self::parse_amount(self.money, right)
    }

    fn value(&self) -> f64 {
        let scale = match self.scale {
            Some("thousand") => 1e3,
            Some("million") => 1e6,
            Some("billion") => 1e9,
            _ => 1.0,
        };
        value_of(&self.amount) * scale
    }

    /// Few enough digits that a thousand or a million may follow.
    fn is_small(&self) -> bool {
        !self.amount.contains(',') && whole_digits(&self.amount) <= 3
    }

    /// Takes in `million`, `per month`, `/month` and `/ month` that stand apart.
    fn take_words(&mut self, words: &[Word<'_>], at: usize, taken: &mut usize) {
        let open = |taken: usize| words.get(at + taken).filter(|_| words[at + taken - 1].is_open());
        if self.scale.is_none()
            && self.per.is_none()
            && let Some(word) = open(*taken)
        {
            self.scale = match word.core {
                "thousand" => Some("thousand"),
                "million" | "mil" | "M" | "MM" | "Million" => Some("million"),
                "billion" | "B" | "Billion" => Some("billion"),
                "K" | "k" => Some("thousand"),
                _ => None,
            };
            *taken += usize::from(self.scale.is_some());
        }
        if self.per.is_none()
            && let Some(word) = open(*taken)
            && let Some(unit) = word.core.strip_prefix('/')
        {
            let (unit, takes) = match unit {
                "" => (words.get(at + *taken + 1).map_or("", |word| word.core), 2),
                unit => (unit, 1),
            };
            self.per = measures::per(unit);
            *taken += if self.per.is_some() { takes } else { 0 };
        }
        // `$285/sq ft`: the unit's second half.
        if self.per.as_deref() == Some("per square") {
            let half = words.get(at + *taken).map(Word::lower).unwrap_or_default();
            let (unit, more) = half.split_once('/').unwrap_or((half.as_ref(), ""));
            let metric = matches!(unit, "m" | "meter");
            let mut per = if metric { "per square meter" } else { "per square foot" }.to_owned();
            // `$25/sq ft/yr`.
            if let Some(more) = measures::per(more) {
                per = format!("{per} {more}");
            }
            *taken += usize::from(metric || matches!(unit, "ft" | "foot" | "feet"));
            self.per = Some(per);
        }
        self.abbreviated = self.per.is_some();
    }

    /// A range from this price to another, with the word between them.
    fn until(&self, to: &Self, joint: &str) -> Self {
        let shared = match to.scale {
            _ if !self.is_small() => None,
            // `$950-$1.1M` goes up.
            Some("million") if value_of(&self.amount) > value_of(&to.amount) => Some("thousand"),
            scale => scale,
        };
        let scale = self.scale.or(shared);
        let from = Some(format!("{} {joint}", bare(&self.amount, scale)));
        Self { from, minus: self.minus, amount: to.amount.clone(), per: to.per.clone(), ..*to }
    }

    fn said(&self, taken: usize) -> Said {
        let point = if self.abbreviated { Point::Abbreviation } else { Point::Stop };
        Said { point, ..Said::new(self.words(), taken) }
    }

    fn words(&self) -> String {
        let Money { one, many, cent, cents, .. } = self.money;
        let many = if self.describes { one } else { many };
        let whole = |number: &str| format!("{} {}", decimal(number), if number == "1" { one } else { many });
        let text = match self.amount.split_once('.') {
            Some((dollars, part)) if part.len() == 2 && self.scale.is_none() && !cent.is_empty() => {
                let part = match part {
                    "01" => format!("one {cent}"),
                    _ => format!("{} {cents}", part.parse().map(cardinal).unwrap_or_default()),
                };
                match (dollars.chars().all(|c| matches!(c, '0' | ',')), self.amount.ends_with(".00")) {
                    (_, true) => whole(dollars),
                    (true, false) => part,
                    (false, false) => format!("{} and {part}", whole(dollars)),
                }
            }
            _ if self.scale.is_none() && self.from.is_none() => whole(&self.amount),
            _ => format!("{} {many}", bare(&self.amount, self.scale)),
        };
        let minus = if self.minus { "minus " } else { "" };
        let from = self.from.as_ref().map(|from| format!("{from} ")).unwrap_or_default();
        let more = if self.more { " or more" } else { "" };
        let per = self.per.as_ref().map(|per| format!(" {per}")).unwrap_or_default();
        format!("{minus}{from}{text}{more}{per}")
    }
}

/// The amount without its currency, as in "four hundred to".
fn bare(amount: &str, scale: Option<&str>) -> String {
    match (scale, amount.split_once('.')) {
        (Some(scale), _) => format!("{} {scale}", decimal(amount)),
        // "twelve fifty to fifteen dollars".
        (None, Some((whole, part))) if part.len() == 2 => {
            format!("{}{}", decimal(whole), part.parse().map(minutes).unwrap_or_default())
        }
        (None, _) => decimal(amount),
    }
}
