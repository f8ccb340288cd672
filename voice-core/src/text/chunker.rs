//! Cuts a reply into clauses while it is still being written, so that speech starts with the first few words.
//!
//! The first clause ends early, at the first pause after three words or after about seven; later ones are sentences.
//! No cut falls inside a number, an address, an abbreviation or a web address. Invariants: the clauses joined are
//! the text, byte for byte, and how the text was split into deltas changes nothing. Pure; caller: `session`.

use crate::text::spoken_numbers::{is_number_token, read_number};

/// How long clauses may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClauseLimits {
    /// Fewest words of any clause but the last. Default 3: shorter ones sound chopped.
    pub min_words: usize,
    /// Words after which the first clause ends without a pause to end at. Default 7.
    pub first_words: usize,
    /// Words after which a later clause ends at a comma. Default 10.
    pub comma_words: usize,
    /// Words after which a later clause ends without a pause to end at. Default 20.
    pub max_words: usize,
}

impl Default for ClauseLimits {
    fn default() -> Self {
        Self { min_words: 3, first_words: 7, comma_words: 10, max_words: 20 }
    }
}

/// Bytes after which a clause ends at the next space even inside a number: no text may grow without end.
const HARD_BYTES: usize = 600;
/// Bytes after which a clause ends at any character: text without spaces.
const LAST_RESORT_BYTES: usize = 1200;

/// Cuts one reply into clauses. Make a new one for each reply.
///
/// ```
/// use voice_core::text::chunker::Chunker;
/// let mut chunker = Chunker::default();
/// chunker.push_delta("Yes, it does. It has a two-car ");
/// assert_eq!(chunker.poll_clause().as_deref(), Some("Yes, it does."));
/// assert_eq!(chunker.poll_clause(), None);
/// chunker.push_delta("garage.");
/// chunker.finish();
/// assert_eq!(chunker.poll_clause().as_deref(), Some(" It has a two-car garage."));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Chunker {
    limits: ClauseLimits,
    buffer: String,
    later: bool,
    finished: bool,
}

impl Chunker {
    /// A chunker with limits of your own.
    pub fn new(limits: ClauseLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes the next piece of the reply. After [`finish`](Self::finish) it is ignored.
    pub fn push_delta(&mut self, delta: &str) {
        if !self.finished {
            self.buffer.push_str(delta);
        }
    }

    /// The reply is complete: what is left comes out as the last clauses.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// The next clause, with the white space that belongs to it. `None` until more text or the end decides.
    ///
    /// The last one may be blank where the reply ends in white space.
    pub fn poll_clause(&mut self) -> Option<String> {
        let cut = match self.find_cut() {
            Some(cut) => cut,
            None if self.finished && !self.buffer.is_empty() => self.buffer.len(),
            None => return None,
        };
        self.later = true;
        let rest = self.buffer.split_off(cut);
        Some(std::mem::replace(&mut self.buffer, rest))
    }

    /// The first place to cut at. Every decision reads text up to a fixed point only and waits where that has not
    /// come yet, which is why the split into deltas cannot matter.
    fn find_cut(&self) -> Option<usize> {
        let text = self.buffer.as_str();
        let mut words = 0;
        let mut wide = 0;
        let mut word_start = None;
        for (at, c) in text.char_indices() {
            let rest = &text[at + c.len_utf8()..];
            if at >= LAST_RESORT_BYTES {
                return Some(at);
            }
            if c.is_whitespace() {
                if let Some(start) = word_start.take() {
                    words += usize::from(text[start..at].contains(char::is_alphanumeric));
                    match self.cut_at_space(text, start, at, words + wide / 2) {
                        Decision::Cut => return Some(at),
                        Decision::Wait => return None,
                        Decision::Go => {}
                    }
                }
                continue;
            }
            word_start.get_or_insert(at);
            if is_wide(c) {
                wide += 1;
            }
            // Scripts without spaces: their own marks end a clause at once.
            let mark = if self.later {
                matches!(c, '。' | '！' | '？')
            } else {
                matches!(c, '。' | '！' | '？' | '、' | '，')
            };
            if mark && words + wide / 2 >= self.limits.min_words {
                return Some(at + c.len_utf8());
            }
            // Dashes need no space around them.
            let begun =
                word_start.is_some_and(|start: usize| text[start..at].contains(char::is_alphanumeric));
            if c == '—' && words + usize::from(begun) + wide / 2 >= self.dash_words() {
                match rest.chars().next() {
                    None if !self.finished => return None,
                    Some(next) if !next.is_whitespace() && ends_in_number(&text[..at]) => {}
                    _ => return Some(at + c.len_utf8()),
                }
            }
        }
        None
    }

    fn dash_words(&self) -> usize {
        if self.later { self.limits.comma_words } else { self.limits.min_words }
    }

    /// Decides about the white space at `at`, behind the word that starts at `start` and is the `words`th.
    fn cut_at_space(&self, text: &str, start: usize, at: usize, words: usize) -> Decision {
        let word = &text[start..at];
        if at >= HARD_BYTES {
            return Decision::Cut;
        }
        if words < self.limits.min_words {
            return Decision::Go;
        }
        let bare = word.trim_end_matches(['"', '\'', ')', ']', '”', '’', '*']);
        let end = bare.chars().next_back().unwrap_or(' ');
        let pause = matches!(end, ',' | ';' | ':' | '–' | '—') || bare == "-";
        let sentence = matches!(end, '!' | '?' | '…') || end == '.' && !is_abbreviation(bare);
        let (cap, pause_words) = if self.later {
            (self.limits.max_words, self.limits.comma_words)
        } else {
            (self.limits.first_words, self.limits.min_words)
        };
        if sentence || pause && words >= pause_words {
            return Decision::Cut;
        }
        let conjunctions = !self.later && words >= self.limits.min_words;
        if words < cap && !conjunctions {
            return Decision::Go;
        }
        // From here on the word that follows counts, so it must be complete.
        let behind = &text[at..];
        let window = &behind[..behind.floor_char_boundary(HARD_BYTES)];
        let ahead = window.trim_start();
        let next = match ahead.find(char::is_whitespace) {
            Some(end) => &ahead[..end],
            None if behind.len() > HARD_BYTES + 4 => return Decision::Cut,
            None if self.finished => ahead,
            None => return Decision::Wait,
        };
        let numeric = ends_in_number(word) || is_title(bare);
        if words >= cap {
            // A whole number stays together, and an address with its number.
            return if numeric || continues_number(next) || next.is_empty() {
                Decision::Go
            } else {
                Decision::Cut
            };
        }
        let joins = matches!(next, "and" | "but" | "or" | "because" | "which" | "while" | "so" | "though");
        if joins && !numeric && words > self.limits.min_words { Decision::Cut } else { Decision::Go }
    }
}

/// What a place in the text is.
enum Decision {
    /// The clause ends here.
    Cut,
    /// The clause goes on.
    Go,
    /// Text that has not come yet decides.
    Wait,
}

/// Whether cutting behind this word could tear a number, or an address from its number.
fn ends_in_number(word: &str) -> bool {
    let last = last_word(word);
    last.ends_with(|c: char| c.is_ascii_digit() || c == '$') || is_number_word(&last)
}

/// Whether a number or an address may go on with this word.
fn continues_number(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    is_number_word(&word)
        || matches!(
            word.as_str(),
            "percent"
                | "dollars"
                | "k"
                | "m"
                | "am"
                | "pm"
                | "a.m"
                | "p.m"
                | "half"
                | "square"
                | "feet"
                | "o'clock"
        )
        || matches!(
            word.as_str(),
            "st" | "street"
                | "ave"
                | "avenue"
                | "rd"
                | "road"
                | "ln"
                | "lane"
                | "dr"
                | "drive"
                | "court"
                | "unit"
        )
}

fn is_number_word(word: &str) -> bool {
    matches!(word, "hundred" | "thousand" | "million" | "billion" | "point" | "oh")
        || is_number_token(word)
        || word.split('-').all(|part| read_number(&[part], 0).is_some())
}

fn last_word(text: &str) -> String {
    let from = text.rfind(char::is_whitespace).unwrap_or(0);
    text[from..].trim_matches(|c: char| !c.is_alphanumeric() && c != '$').to_lowercase()
}

/// Whether a word that ends in a full stop is an abbreviation and not the end of a sentence.
fn is_abbreviation(word: &str) -> bool {
    let stem = word.trim_end_matches('.').trim_start_matches(|c: char| !c.is_alphanumeric());
    if word.ends_with("..") || stem.is_empty() {
        return false;
    }
    // "a.m.", "U.S.", "J."
    let letters =
        stem.split('.').all(|part| part.chars().count() == 1 && part.chars().all(char::is_alphabetic));
    if letters && stem != "I" {
        return true;
    }
    let stem = stem.to_lowercase();
    is_title(&stem)
        || matches!(
            stem.as_str(),
            "ave"
                | "blvd"
                | "rd"
                | "ln"
                | "apt"
                | "ste"
                | "bldg"
                | "hwy"
                | "pkwy"
                | "vs"
                | "approx"
                | "sq"
                | "ft"
        )
}

/// Whether a name must follow: "Mr. Hall", "St. Mary".
fn is_title(word: &str) -> bool {
    let word = word.trim_end_matches('.').to_lowercase();
    matches!(
        word.as_str(),
        "mr" | "mrs" | "ms" | "dr" | "prof" | "st" | "mt" | "ft" | "unit" | "number" | "suite"
    )
}

/// Whether a character belongs to a script that is written without spaces; two count as a word.
fn is_wide(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{0e00}'..='\u{0e7f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clauses_of(deltas: &[&str]) -> Vec<String> {
        let mut chunker = Chunker::default();
        let mut out = Vec::new();
        for delta in deltas {
            chunker.push_delta(delta);
            out.extend(std::iter::from_fn(|| chunker.poll_clause()));
        }
        chunker.finish();
        out.extend(std::iter::from_fn(|| chunker.poll_clause()));
        out
    }

    #[test]
    fn the_first_clause_comes_early_and_later_ones_are_sentences() {
        for (text, expected) in [
            ("Yes, it does. It has a two-car garage.", &["Yes, it does.", " It has a two-car garage."][..]),
            ("Yes. It has a pool. Ask away.", &["Yes. It has a pool.", " Ask away."]),
            ("We have three homes, one of them new.", &["We have three homes,", " one of them new."]),
            ("It was built long ago and never sold.", &["It was built long ago", " and never sold."]),
            ("One two red blue", &["One two red blue"]),
            (
                "The home that you asked me about has been sold already to another family.",
                &["The home that you asked me about", " has been sold already to another family."],
            ),
            ("No. Sorry! What else?", &["No. Sorry! What else?"]),
        ] {
            assert_eq!(clauses_of(&[text]), expected, "{text}");
        }
    }

    #[test]
    fn numbers_abbreviations_and_addresses_stay_whole() {
        for (text, torn) in [
            ("We are asking for it only $525,000 today, all in.", "$525,000"),
            ("The home that we like costs about 1.2 million dollars now.", "1.2 million dollars"),
            ("The home that you ask about is 1208 Maple St. in Austin.", "1208 Maple St. in"),
            ("That is what Mr. Hall said to everyone.", "Mr. Hall"),
            ("Come and see it at 10 a.m. or so.", "10 a.m."),
            ("Please write a mail to me@homes.example.com, or call.", "me@homes.example.com"),
            (
                "Please have a look at https://homes.example/a,b.html?x=1.2 now.",
                "https://homes.example/a,b.html?x=1.2",
            ),
            ("It has got exactly two and a half baths.", "two and a half"),
            (
                "It costs you five hundred and fifty thousand dollars.",
                "five hundred and fifty thousand dollars",
            ),
            ("Its lake front view is at 45 Lake Avenue Unit 12 there.", "Unit 12"),
        ] {
            let clauses = clauses_of(&[text]);
            assert!(clauses.iter().any(|c| c.contains(torn)), "{clauses:?} tears {torn}");
        }
    }

    #[test]
    fn a_clause_comes_as_soon_as_it_is_decided() {
        let mut chunker = Chunker::default();
        chunker.push_delta("Yes, it does.");
        assert_eq!(chunker.poll_clause(), None, "a digit could follow");
        chunker.push_delta(" ");
        assert_eq!(chunker.poll_clause().as_deref(), Some("Yes, it does."));
    }

    #[test]
    fn long_text_without_pauses_is_bounded() {
        for text in
            ["word ".repeat(200), "1 ".repeat(2000), "x".repeat(5000), "and ".repeat(900), "é".repeat(3000)]
        {
            let clauses = clauses_of(&[&text]);
            assert_eq!(clauses.concat(), text);
            assert!(clauses.iter().all(|c| c.len() <= LAST_RESORT_BYTES + 4));
        }
        assert!(clauses_of(&[&"word ".repeat(200)]).iter().all(|c| c.split_whitespace().count() <= 20));
    }

    #[test]
    fn scripts_without_spaces_are_cut_at_their_own_marks() {
        let text = "はい、あります。二台分の車庫があります。";
        assert_eq!(clauses_of(&[text]), ["はい、あります。", "二台分の車庫があります。"]);
    }

    fn speech() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            Just("yes,"),
            Just("it"),
            Just("does."),
            Just("and"),
            Just("$525,000"),
            Just("1.2"),
            Just("million"),
            Just("St."),
            Just("a.m."),
            Just("Mr."),
            Just("—"),
            Just("-"),
            Just("home;"),
            Just("two"),
            Just("half"),
            Just("x@y.com,"),
            Just("\n"),
            Just("…"),
            Just("“So?”"),
            Just("家。"),
            Just("unit"),
            Just("but"),
        ];
        prop::collection::vec((word, prop_oneof![4 => Just(" "), 1 => Just(""), 1 => Just("  ")]), 0..60)
            .prop_map(|words| words.into_iter().flat_map(|(a, b)| [a, b]).collect())
    }

    proptest! {
        #[test]
        fn any_split_of_the_deltas_gives_the_same_clauses(
            text in prop_oneof![speech(), any::<String>()],
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let whole = clauses_of(&[&text]);
            prop_assert_eq!(whole.concat(), text.clone());
            let mut ends: Vec<usize> = text.char_indices().map(|(i, _)| i).collect();
            ends.push(text.len());
            let mut points: Vec<usize> = cuts.iter().map(|cut| ends[cut.index(ends.len())]).collect();
            points.extend([0, text.len()]);
            points.sort_unstable();
            let parts: Vec<&str> = points.windows(2).map(|w| &text[w[0]..w[1]]).collect();
            prop_assert_eq!(&clauses_of(&parts), &whole);
            let chars: Vec<String> = text.chars().map(String::from).collect();
            prop_assert_eq!(&clauses_of(&chars.iter().map(String::as_str).collect::<Vec<_>>()), &whole);
        }
    }
}
