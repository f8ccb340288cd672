//! Written text to text that can be spoken: prices, areas, addresses, times, telephone numbers, abbreviations.
//!
//! Fast voices read digits and abbreviations badly or not at all, so nothing of that kind is left to them: the result
//! holds no digit, no Markdown, no symbol that has no sound, and only the punctuation that makes a pause. What is
//! speakable already stays as it is. [`Spoken`] keeps the way back from what was said to what was written. Pure;
//! English of the United States. Caller: `session`, between the model and the voice; `playout` books what was heard.
//!
//! The text is cut into words; at each word the rules are tried from the most specific to the plainest, each taking
//! one or more words. A rule sees neighbours, never the whole text.

mod abbreviations;
mod amount;
mod calendar;
mod clock;
mod codes;
mod contacts;
mod markdown;
mod measures;
mod money;
mod numbers;
mod places;
mod plain;
mod roads;
mod rooms;
mod spoken;
mod states;
mod telephone;
#[cfg(test)]
mod tests;
mod word;

pub use spoken::{Span, Spoken};

use markdown::{Flat, Layout};
use spoken::SpanList;
use word::Word;

/// Turns written English into words to be spoken.
///
/// ```
/// use voice_core::text::speakable::speakable;
///
/// assert_eq!(speakable("$525,000 at 1208 Barton Dr."), "five hundred twenty five thousand dollars at twelve oh eight Barton Drive.");
/// ```
pub fn speakable(text: &str) -> String {
    speak(text).into_text()
}

/// Turns written English into words to be spoken, and keeps the way back.
///
/// ```
/// use voice_core::text::speakable::speak;
///
/// let spoken = speak("It is $525,000 today.");
/// assert_eq!(spoken.text(), "It is five hundred twenty five thousand dollars today.");
/// assert_eq!(spoken.written_end("It is five hundred".len()), "It is".len());
/// assert_eq!(spoken.written_end("It is five hundred twenty five thousand dollars".len()), "It is $525,000".len());
/// ```
pub fn speak(written: &str) -> Spoken {
    say(written, &mut Context::default(), true)
}

/// One reply that is spoken clause by clause. Make a new one for each reply.
///
/// A clause is read in the light of those before it: a code block stays open, `TX` behind `Austin,` is a state, a dash
/// in the middle of a line is no bullet. What it keeps of them is a few words.
///
/// ```
/// use voice_core::text::speakable::SpokenReply;
///
/// let mut reply = SpokenReply::default();
/// assert_eq!(reply.push_clause("Two homes in Austin,").text(), "Two homes in Austin,");
/// assert_eq!(reply.push_clause(" TX, both new.").text(), "Texas, both new.");
/// ```
#[derive(Clone, Debug, Default)]
pub struct SpokenReply {
    context: Context,
}

impl SpokenReply {
    /// A reply in the language of a BCP 47 tag; empty is English.
    ///
    /// Amounts and abbreviations become words in English only. In other languages the layout and the emoji go, and
    /// the rest stays for a voice that knows the language.
    ///
    /// ```
    /// use voice_core::text::speakable::SpokenReply;
    ///
    /// let mut reply = SpokenReply::in_language("de");
    /// assert_eq!(reply.push_clause("**3 Zimmer** 🏠 ab 525.000 €.").text(), "3 Zimmer ab 525.000 €.");
    /// ```
    pub fn in_language(tag: &str) -> Self {
        let language = tag.split('-').next().unwrap_or_default();
        if language.is_empty() || language.eq_ignore_ascii_case("en") {
            return Self::default();
        }
        Self { context: Context { layout: Layout::verbatim(), ..Context::default() } }
    }

    /// The next clause as it is to be said. Its spans count from the clause's own start.
    pub fn push_clause(&mut self, written: &str) -> Spoken {
        say(written, &mut self.context, false)
    }
}

/// What a clause leaves to the next one.
#[derive(Clone, Debug, Default)]
struct Context {
    layout: Layout,
    /// The last words, as they were written.
    before: String,
}

/// Words of earlier clauses that rules may look at: an address's number stands at most four before its street.
const CONTEXT_WORDS: usize = 4;
/// Longest context in bytes: words that long are no words that a rule knows.
const CONTEXT_BYTES: usize = 160;
/// Words without a sound that are looked past for the beginning of a sentence: an emoji or two adorn its end.
const MOST_SILENT: usize = 4;
/// Passes until a text must be stable. The first leaves words whose new neighbours may make them an abbreviation
/// after all; the second reads those, the third changes nothing. The rest is room for text made to defeat this.
const PASSES: usize = 6;

fn say(written: &str, context: &mut Context, whole: bool) -> Spoken {
    let flat = markdown::flatten(written, &mut context.layout, whole);
    if context.layout.is_verbatim() {
        return as_written(written, &flat);
    }
    let mut spoken = read(written, &flat, &context.before);
    for _ in 1..PASSES {
        let said = spoken.text();
        let again = read(said, &markdown::flatten(said, &mut Layout::in_line(), true), &context.before);
        if again.text() == said {
            break;
        }
        spoken = spoken.then(again);
    }
    context.keep(&flat.text);
    spoken
}

impl Context {
    fn keep(&mut self, text: &str) {
        let mut kept: Vec<&str> = text.split_whitespace().rev().take(CONTEXT_WORDS).collect();
        let older = self.before.split_whitespace().rev().take(CONTEXT_WORDS - kept.len());
        kept.extend(older);
        kept.reverse();
        let kept = kept.join(" ");
        self.before = if kept.len() <= CONTEXT_BYTES { kept } else { String::new() };
    }
}

/// One pass over the words. `before` is seen by the rules and not said.
fn read(written: &str, flat: &Flat, before: &str) -> Spoken {
    let joined;
    let (line, base) = if before.is_empty() {
        (flat.text.as_str(), 0)
    } else {
        joined = format!("{before} {}", flat.text);
        (joined.as_str(), before.len() + 1)
    };
    let words = word::words(line);
    let mut at = words.iter().take_while(|word| word.end <= base).count();
    let mut out = String::with_capacity(flat.text.len() * 2);
    let mut spans = SpanList::new(written);
    let mut soft = false;
    while at < words.len() {
        let said = rules(&words, at);
        let (first, last) = (&words[at], &words[at + said.words - 1]);
        let start = out.len();
        if (soft || first.opens_bracket() && !said.quiet) && !said.text.is_empty() {
            push_pause(&mut out, ',');
            soft = false;
        }
        push_words(&mut out, &said.text);
        if out.len() > start {
            spans.push(out.len(), flat.written_end(last.end - base));
        }
        // What has no sound, an emoji, begins no sentence and hides none.
        let behind = &words[at + said.words..];
        let next = behind.iter().take(MOST_SILENT).find(|word| word.has_sound()).or(behind.first());
        match said.pause(last, next) {
            Some(pause) => push_pause(&mut out, pause),
            None => soft |= last.closes_softly(),
        }
        at += said.words;
    }
    spans.finish(out)
}

/// The words as they stand.
fn as_written(written: &str, flat: &Flat) -> Spoken {
    let mut out = String::with_capacity(flat.text.len());
    let mut spans = SpanList::new(written);
    let mut from = 0;
    for word in flat.text.split_whitespace() {
        // The words come in order, so each is found behind the one before.
        from += flat.text[from..].find(word).unwrap_or(0) + word.len();
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
        let marks = word.len() - word.trim_end_matches(|c: char| !c.is_alphanumeric()).len();
        let end = out.len() - if marks < word.len() { marks } else { 0 };
        spans.push(end, flat.written_end(from));
    }
    spans.finish(out)
}

/// What a rule makes of the words it takes.
struct Said {
    text: String,
    /// How many words it took, at least one.
    words: usize,
    /// What a point behind the last word may be.
    point: Point,
    /// A bracket in front makes no pause: that of an area code.
    quiet: bool,
}

/// What a point behind a word may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Point {
    /// A full stop, and nothing else.
    Stop,
    /// Part of an abbreviation, and a full stop too if a sentence may begin behind it.
    Abbreviation,
    /// Part of a name (`Jr.`, `U.S.`), and a full stop too only before a word that begins sentences.
    Name,
    /// Part of a title (`Dr.`, `St.`), whose name follows.
    Title,
}

impl Said {
    fn new(text: impl Into<String>, words: usize) -> Self {
        Self { text: text.into(), words, point: Point::Stop, quiet: false }
    }

    fn abbreviation(text: impl Into<String>, words: usize) -> Self {
        Self { point: Point::Abbreviation, ..Self::new(text, words) }
    }

    fn name(text: impl Into<String>, words: usize) -> Self {
        Self { point: Point::Name, ..Self::new(text, words) }
    }

    /// The pause that the last word's marks make in front of the next.
    fn pause(&self, last: &Word<'_>, next: Option<&Word<'_>>) -> Option<char> {
        let rest = match self.point {
            Point::Stop => return last.pause(),
            _ => match last.trail.strip_prefix('.') {
                Some(rest) => rest,
                None => return last.pause(),
            },
        };
        let stop = match (self.point, next) {
            (_, None) => true,
            (Point::Abbreviation, Some(next)) => places::may_begin_sentence(next),
            (Point::Name, Some(next)) => abbreviations::begins_sentences(next),
            _ => false,
        };
        word::pause_of(rest).or(stop.then_some('.'))
    }
}

/// Tries the rules from the most specific to the plainest.
fn rules(words: &[Word<'_>], at: usize) -> Said {
    let word = &words[at];
    let said = if word.is_plain() { named(words, at) } else { counted(words, at) };
    said.unwrap_or_else(|| Said::new(plain::rest(word.core), 1))
}

/// The rules for words with a digit or a sign in them.
fn counted(words: &[Word<'_>], at: usize) -> Option<Said> {
    telephone::say(words, at)
        .or_else(|| contacts::say(words, at))
        .or_else(|| money::say(words, at))
        .or_else(|| clock::say(words, at))
        .or_else(|| calendar::say(words, at))
        .or_else(|| rooms::say(words, at))
        .or_else(|| measures::say(words, at))
        .or_else(|| codes::say(words, at))
        .or_else(|| roads::say(words, at))
        .or_else(|| places::say(words, at))
        .or_else(|| plain::say(words, at))
        .or_else(|| abbreviations::say(words, at))
}

/// The rules for words of letters.
fn named(words: &[Word<'_>], at: usize) -> Option<Said> {
    money::say_code(words, at)
        .or_else(|| calendar::say_named(words, at))
        .or_else(|| measures::say_unit(words, at))
        .or_else(|| roads::say(words, at))
        .or_else(|| places::say(words, at))
        .or_else(|| abbreviations::say(words, at))
}

fn push_words(out: &mut String, text: &str) {
    for word in text.split_whitespace() {
        if word == "," {
            push_pause(out, ',');
            continue;
        }
        let word = word.trim_matches(['\'', '-']);
        if !out.is_empty() && !word.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
}

/// Puts a pause behind the last word; of two pauses in a row the stronger stays.
fn push_pause(out: &mut String, pause: char) {
    const ORDER: &str = ",:;.!?";
    let Some(last) = out.chars().last() else { return };
    match (ORDER.find(last), ORDER.find(pause)) {
        (Some(there), Some(new)) if new > there => {
            out.pop();
            out.push(pause);
        }
        (Some(_), _) => {}
        (None, _) => out.push(pause),
    }
}
