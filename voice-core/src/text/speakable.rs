//! Written text to text that can be spoken: prices, areas, addresses, times, telephone numbers, abbreviations.
//!
//! Fast voices read digits and abbreviations badly or not at all, so nothing of that kind is left to them: the result
//! holds no digit, no Markdown, no symbol that has no sound, and only the punctuation that makes a pause. What is
//! speakable already stays as it is. Pure; English of the United States. Callers: every voice, before it synthesises.
//!
//! The text is cut into words; at each word the rules are tried from the most specific to the plainest, each taking
//! one or more words. A rule sees neighbours, never the whole text.

mod amounts;
mod calendar;
mod contacts;
mod markdown;
mod numbers;
mod places;
mod plain;
#[cfg(test)]
mod tests;

/// Turns written English into words to be spoken.
///
/// ```
/// use voice_core::text::speakable::speakable;
///
/// assert_eq!(speakable("$525,000 at 1208 Barton Dr."), "five hundred twenty five thousand dollars at twelve oh eight Barton Drive.");
/// ```
pub fn speakable(text: &str) -> String {
    let flat = markdown::flatten(text);
    let words: Vec<Word> = flat.split_whitespace().map(Word::cut).collect();
    let mut out = String::with_capacity(flat.len() * 2);
    let mut at = 0;
    while at < words.len() {
        let Said { text, words: taken, ends_abbreviation, is_title } = rules(&words, at);
        let (first, last) = (&words[at], &words[at + taken - 1]);
        let mut trail = last.pause();
        let may_be_stop = !is_title && starts_sentence(words.get(at + taken));
        if ends_abbreviation && trail == Some('.') && !may_be_stop {
            trail = None;
        }
        if first.lead.contains(['(', '[']) {
            push_pause(&mut out, ',');
        }
        push_words(&mut out, &text);
        if let Some(pause) = trail {
            push_pause(&mut out, pause);
        }
        at += taken;
    }
    out
}

/// One word of the text: what opens it, its core, what closes it.
#[derive(Debug)]
struct Word {
    lead: String,
    core: String,
    trail: String,
}

impl Word {
    fn cut(raw: &str) -> Self {
        let core = raw.trim_start_matches(OPENING);
        let lead = &raw[..raw.len() - core.len()];
        let end = core.trim_end_matches(CLOSING).len();
        // An apostrophe that shortens (`owners'`) makes no sound either.
        Self { lead: lead.into(), core: core[..end].replace(['’', '‘'], "'"), trail: core[end..].into() }
    }

    /// The pause after the word: the strongest mark of its trail.
    fn pause(&self) -> Option<char> {
        ['?', '!', '.', ';', ':', ',']
            .into_iter()
            .find(|mark| self.trail.contains(*mark))
            .or_else(|| self.trail.contains([')', ']', '…']).then_some(','))
    }

    /// Nothing stands between this word and the next.
    fn is_open(&self) -> bool {
        self.pause().is_none()
    }

    fn is_capitalised(&self) -> bool {
        self.core.starts_with(|c: char| c.is_uppercase()) && self.core.chars().any(char::is_alphabetic)
    }

    fn lower(&self) -> String {
        self.core.to_lowercase()
    }
}

const OPENING: [char; 11] = ['(', '[', '{', '<', '"', '\'', '“', '‘', '«', '¿', '¡'];
const CLOSING: [char; 18] =
    ['.', ',', ';', ':', '!', '?', ')', ']', '}', '>', '"', '\'', '”', '’', '»', '…', '*', '_'];

/// What a rule makes of the words it takes.
struct Said {
    text: String,
    /// How many words it took, at least one.
    words: usize,
    /// The last word was an abbreviation, whose point may be no full stop.
    ends_abbreviation: bool,
    /// It was a title (`Dr.`, `St.`), whose point never is one.
    is_title: bool,
}

impl Said {
    fn new(text: impl Into<String>, words: usize) -> Self {
        Self { text: text.into(), words, ends_abbreviation: false, is_title: false }
    }

    fn abbreviation(text: impl Into<String>, words: usize) -> Self {
        Self { ends_abbreviation: true, ..Self::new(text, words) }
    }
}

/// Tries the rules from the most specific to the plainest.
fn rules(words: &[Word], at: usize) -> Said {
    contacts::say(words, at)
        .or_else(|| amounts::money(words, at))
        .or_else(|| calendar::time(words, at))
        .or_else(|| calendar::date(words, at))
        .or_else(|| amounts::rooms(words, at))
        .or_else(|| amounts::measures(words, at))
        .or_else(|| places::say(words, at))
        .or_else(|| plain::number(words, at))
        .or_else(|| plain::abbreviation(words, at))
        .unwrap_or_else(|| Said::new(plain::letters(&words[at].core), 1))
}

/// Whether a word may begin a sentence, so that a point before it may be a full stop.
fn starts_sentence(word: Option<&Word>) -> bool {
    word.is_none_or(Word::is_capitalised)
}

fn push_words(out: &mut String, text: &str) {
    for word in text.split_whitespace() {
        if word.starts_with([',', '.']) && word.len() == 1 {
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
