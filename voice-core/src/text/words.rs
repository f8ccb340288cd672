//! Words of a text: splitting as speech has them, and the word error rate of a transcript.
//!
//! Two writings of the same speech ("$1.2 million", "one point two million dollars") become the same words, so that
//! a rate counts what was misheard and not how it was spelled. Pure; any text is accepted. Callers: `voice replay`
//! and the concierge.

use crate::text::spoken_numbers::{is_number_token, read_number};

/// Splits a text into lower-case words. Punctuation goes, apostrophes inside words stay, hyphens separate.
///
/// Numbers stay whole without their thousands separators (`525000`, `2.5`, `10:30`), signs that are spoken become
/// words of their own (`$`, `percent`, `and`), and a unit written onto a number is cut off (`500k` gives `500`, `k`).
pub fn split_words(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let next = chars.get(at + 1).copied();
        if c.is_ascii_digit() {
            at = split_number(&chars, at, &mut words);
        } else if c.is_alphanumeric() {
            let mut word = String::new();
            while let Some(&c) = chars.get(at) {
                let inner = is_apostrophe(c) && chars.get(at + 1).is_some_and(|n| n.is_alphabetic());
                if c.is_alphanumeric() {
                    word.push(c);
                } else if inner {
                    word.push('\'');
                } else if !is_mark(c) {
                    break;
                }
                at += 1;
            }
            words.push(word);
        } else {
            match c {
                '$' => words.push("$".into()),
                '%' => words.push("percent".into()),
                '&' => words.push("and".into()),
                '+' => words.push("plus".into()),
                // A bare decimal such as ".5".
                '.' if next.is_some_and(|n| n.is_ascii_digit()) && !after_word(&chars, at) => {
                    at = split_number(&chars, at, &mut words);
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
    }
    words
}

/// A combining mark, such as lower-casing some capitals leaves: part of the letter before it.
fn is_mark(c: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&c)
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}' | '\u{02bc}')
}

fn after_word(chars: &[char], at: usize) -> bool {
    at > 0 && chars.get(at - 1).is_some_and(|c| c.is_alphanumeric())
}

/// Takes the number that starts at `at` and gives the index behind it.
fn split_number(chars: &[char], mut at: usize, words: &mut Vec<String>) -> usize {
    let digit = |i: usize| chars.get(i).is_some_and(char::is_ascii_digit);
    let mut number = String::new();
    while let Some(&c) = chars.get(at) {
        let group = digit(at + 1) && digit(at + 2) && digit(at + 3) && !digit(at + 4);
        match c {
            '0'..='9' => number.push(c),
            ',' if group && !number.contains(['.', ':']) => {}
            '.' if digit(at + 1) && !number.contains(['.', ':']) => {
                if number.is_empty() {
                    number.push('0');
                }
                number.push(c);
            }
            ':' if digit(at + 1) && digit(at + 2) && !number.contains(['.', ':']) => number.push(c),
            _ => break,
        }
        at += 1;
    }
    // Ordinals keep their ending; any other letters are a unit of their own.
    let ending: String = chars[at..].iter().take(2).collect();
    let ends = !chars.get(at + 2).is_some_and(|c| c.is_alphanumeric());
    if ends && matches!(ending.as_str(), "st" | "nd" | "rd" | "th") {
        number.push_str(&ending);
        at += 2;
    }
    words.push(number);
    at
}

/// How a transcript differs from what was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WordErrors {
    /// Words heard as another word.
    pub substitutions: usize,
    /// Words that the transcript lacks.
    pub deletions: usize,
    /// Words that nobody said.
    pub insertions: usize,
    /// Words of the reference.
    pub reference_words: usize,
}

impl WordErrors {
    /// All errors together.
    pub const fn errors(&self) -> usize {
        self.substitutions + self.deletions + self.insertions
    }

    /// Errors for each word of the reference: 0 is perfect, above 1 is possible. Over an empty reference it is 0
    /// where nothing was heard, else 1.
    pub fn rate(&self) -> f64 {
        match (self.errors(), self.reference_words) {
            (0, _) => 0.0,
            (_, 0) => 1.0,
            (errors, words) => errors as f64 / words as f64,
        }
    }
}

impl std::ops::AddAssign for WordErrors {
    fn add_assign(&mut self, other: Self) {
        self.substitutions += other.substitutions;
        self.deletions += other.deletions;
        self.insertions += other.insertions;
        self.reference_words += other.reference_words;
    }
}

/// Counts the fewest word errors that turn `reference` into `hypothesis`, after [`normalise`] of both.
///
/// A spoken number is one word, however many it was said with, and a compound is the same words together or apart
/// (`login`, `log in`). Time and memory grow with the product and the longer of the two texts.
///
/// ```
/// use voice_core::text::words::word_error_rate;
/// let errors = word_error_rate("It's five hundred thousand dollars.", "it is $500,000");
/// assert_eq!(errors.rate(), 0.0);
/// ```
pub fn word_error_rate(reference: &str, hypothesis: &str) -> WordErrors {
    let reference = normalise(reference);
    let hypothesis = normalise(hypothesis);
    // Rows of the edit table; each cell is the best way to its two prefixes. `above` is one word of the reference
    // earlier, `higher` two.
    let mut row: Vec<WordErrors> =
        (0..=hypothesis.len()).map(|insertions| WordErrors { insertions, ..WordErrors::default() }).collect();
    let mut above = row.clone();
    let mut higher = row.clone();
    for (i, said) in reference.iter().enumerate() {
        std::mem::swap(&mut higher, &mut above);
        std::mem::swap(&mut above, &mut row);
        row[0] = WordErrors { deletions: i + 1, ..WordErrors::default() };
        for (j, heard) in hypothesis.iter().enumerate() {
            let mut best = above[j];
            best.substitutions += usize::from(said != heard);
            let mut take = |way: WordErrors| {
                if way.errors() < best.errors() {
                    best = way;
                }
            };
            take(WordErrors { deletions: above[j + 1].deletions + 1, ..above[j + 1] });
            take(WordErrors { insertions: row[j].insertions + 1, ..row[j] });
            if j > 0 && is_compound(&hypothesis[j - 1], heard, said) {
                take(above[j - 1]);
            }
            if i > 0 && is_compound(&reference[i - 1], said, heard) {
                take(higher[j]);
            }
            row[j + 1] = best;
        }
    }
    let last = row.last().copied().unwrap_or_default();
    WordErrors { reference_words: reference.len(), ..last }
}

/// Whether `whole` is the two words written together. A lone letter is an article or spelled (`a part` is not `apart`),
/// and digits are numbers (`1 2` is not `12`), so neither makes a compound.
fn is_compound(first: &str, second: &str, whole: &str) -> bool {
    let is_part = |word: &str| word.chars().nth(1).is_some() && word.chars().all(char::is_alphabetic);
    whole.strip_prefix(first) == Some(second) && is_part(first) && is_part(second)
}

/// Words in the one form that comparing uses: lower case, contractions opened, numbers as digits, hesitations gone.
pub fn normalise(text: &str) -> Vec<String> {
    let split = split_words(text);
    let mut words: Vec<String> = Vec::with_capacity(split.len());
    for word in &split {
        open_word(word, &mut words);
    }
    let words = join_letters(words);
    let mut out = Vec::with_capacity(words.len());
    let mut at = 0;
    while at < words.len() {
        let money = words[at] == "$" && words.get(at + 1).is_some_and(|w| is_number_token(w));
        let start = at + usize::from(money);
        if let Some(number) = read_number(&words, start) {
            out.push(number.to_string());
            at = start + number.words;
            if money && words.get(at).is_none_or(|w| w != "dollars") {
                out.push("dollars".into());
            }
        } else {
            out.push(words[at].clone());
            at += 1;
        }
    }
    out
}

/// Joins what is written with and without a gap or dots: `a m`, `e mail`.
fn join_letters(words: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(words.len());
    for word in words {
        let joined = match (out.last().map(String::as_str), word.as_str()) {
            (Some("a"), "m") => "am",
            (Some("p"), "m") => "pm",
            (Some("e"), "mail") => "email",
            (Some("t"), "v") => "tv",
            _ => {
                out.push(word);
                continue;
            }
        };
        out.pop();
        out.push(joined.into());
    }
    out
}

/// Writes a word in full: contractions become the words they stand for.
fn open_word(word: &str, out: &mut Vec<String>) {
    // Sounds of hesitation are written or left out at will, so neither counts.
    if matches!(word, "uh" | "um" | "uhm" | "er" | "erm" | "hm" | "hmm" | "mm" | "mmm" | "mhm") {
        return;
    }
    let whole: &[&str] = match word {
        "can't" | "cannot" => &["can", "not"],
        "won't" => &["will", "not"],
        "shan't" => &["shall", "not"],
        "let's" => &["let", "us"],
        "gonna" => &["going", "to"],
        "wanna" => &["want", "to"],
        "gotta" => &["got", "to"],
        "alright" => &["all", "right"],
        "ok" => &["okay"],
        "mr" => &["mister"],
        "mrs" => &["missus"],
        "dr" => &["doctor"],
        "'cause" | "cause" | "cos" => &["because"],
        "first" => &["1st"],
        "second" => &["2nd"],
        "third" => &["3rd"],
        "fourth" => &["4th"],
        "fifth" => &["5th"],
        "sixth" => &["6th"],
        "seventh" => &["7th"],
        "eighth" => &["8th"],
        "ninth" => &["9th"],
        "tenth" => &["10th"],
        _ => &[],
    };
    if !whole.is_empty() {
        out.extend(whole.iter().map(|w| (*w).to_owned()));
        return;
    }
    for (ending, full) in
        [("n't", "not"), ("'re", "are"), ("'ve", "have"), ("'ll", "will"), ("'m", "am"), ("'d", "would")]
    {
        if let Some(stem) = word.strip_suffix(ending).filter(|stem| !stem.is_empty()) {
            out.push(stem.to_owned());
            out.push(full.into());
            return;
        }
    }
    if let Some(stem) = word.strip_suffix("'s")
        && matches!(
            stem,
            "it" | "that" | "what" | "there" | "he" | "she" | "who" | "where" | "how" | "here" | "when"
        )
    {
        out.push(stem.to_owned());
        out.push("is".into());
        return;
    }
    // Possessives are heard without their apostrophe.
    out.push(word.replace('\'', ""));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) {
        assert_eq!(normalise(a), normalise(b), "{a:?} against {b:?}");
    }

    #[test]
    fn words_are_split_as_they_are_spoken() {
        assert_eq!(
            split_words("I'm after a 3-bedroom, $525,000!"),
            ["i'm", "after", "a", "3", "bedroom", "$", "525000"]
        );
        assert_eq!(
            split_words("500k at 10:30am, the 1st; 2.5 baths"),
            ["500", "k", "at", "10:30", "am", "the", "1st", "2.5", "baths"]
        );
        assert_eq!(split_words("rock & roll 20%"), ["rock", "and", "roll", "20", "percent"]);
        assert!(split_words(" ... — !").is_empty());
    }

    #[test]
    fn two_writings_of_one_speech_are_the_same_words() {
        same("$525,000", "five hundred and twenty-five thousand dollars");
        same("It's 1.2 million.", "it is one point two million");
        same("built in 1998", "Built in nineteen ninety eight");
        same("twelve oh eight Maple", "1208 maple");
        same("Don't you think we'll go?", "do not you think we will go");
        same("At 10 a.m. OK?", "at ten am okay");
        same("um, the uh second one", "the 2nd one");
        same("e-mail", "email");
        same("Twenty-two", "22");
    }

    #[test]
    fn errors_are_counted_by_kind() {
        let errors = word_error_rate("the cat sat on the mat", "the bat sat on mat now");
        assert_eq!(errors.errors(), 3);
        assert_eq!(errors.reference_words, 6);
        assert_eq!(errors.rate(), 0.5);
        let lost = word_error_rate("one home only please", "");
        assert_eq!((lost.deletions, lost.rate()), (4, 1.0));
        assert_eq!(word_error_rate("", "hello there").insertions, 2);
        assert_eq!(word_error_rate("", "hello there").rate(), 1.0);
        assert_eq!(word_error_rate("", "").rate(), 0.0);
    }

    #[test]
    fn a_compound_is_the_same_words_together_and_apart() {
        for (reference, hypothesis) in [
            ("Login incorrect.", "Log in incorrect."),
            ("log in", "Login"),
            ("the townhouse", "the town house"),
            ("a town house on the water front, downtown", "a townhouse on the waterfront, down town"),
            ("log-in", "login"),
        ] {
            let errors = word_error_rate(reference, hypothesis);
            assert_eq!(errors.errors(), 0, "{reference:?} against {hypothesis:?}: {errors:?}");
        }
        assert_eq!(word_error_rate("Login incorrect.", "log in incorrect").reference_words, 2);
    }

    #[test]
    fn what_is_no_compound_still_counts() {
        for (reference, hypothesis, expected) in [
            ("login incorrect", "login in incorrect", 1),
            ("login incorrect", "log in in incorrect", 1),
            ("the townhouse", "the town mouse", 2),
            ("log in", "log", 1),
            ("apart", "a part", 2),
            ("12", "1 2", 2),
            ("townhouse", "house town", 2),
        ] {
            let errors = word_error_rate(reference, hypothesis);
            assert_eq!(errors.errors(), expected, "{reference:?} against {hypothesis:?}: {errors:?}");
        }
    }

    #[test]
    fn errors_of_several_texts_add_up() {
        let mut all = word_error_rate("a b", "a c");
        all += word_error_rate("d e", "d e");
        assert_eq!(all.rate(), 0.25);
    }
}
