//! What a caller is told about the recording, what he answers, and what follows from it. Pure.
//!
//! Nothing is kept of a call whose caller did not hear the notice to its end, or did not say yes to the question. An
//! answer that is not clear is none; a caller who takes his yes back in the same breath has not given it. Caller:
//! `recording::call`.

use crate::data::{ConsentKind, RecordingMode};

/// Said in the greeting where calls are recorded without asking.
pub const NOTICE: &str = "This call is recorded.";
/// Said in the greeting where callers are asked.
pub const QUESTION: &str = "May we record this call to serve you better?";

/// What an organization wants said and recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// Whether calls are recorded.
    pub mode: RecordingMode,
    /// Said first: that a machine answers. Unset: nothing.
    pub disclosure: Option<String>,
}

impl Wishes {
    /// Whether anything is to be said or recorded.
    pub fn is_empty(&self) -> bool {
        self.mode == RecordingMode::Off && self.disclosure.is_none()
    }

    /// The greeting with what must be said. The question comes last, so that the first answer is one to it.
    pub fn greeting(&self, plain: &str) -> String {
        let hello = plain.split_inclusive(['.', '!']).next().unwrap_or(plain).trim();
        let disclosure = self.disclosure.as_deref();
        let parts = match self.mode {
            RecordingMode::Off => [disclosure, Some(plain), None],
            RecordingMode::Notice => [disclosure, Some(NOTICE), Some(plain)],
            RecordingMode::Ask => [disclosure, Some(hello), Some(QUESTION)],
        };
        parts
            .into_iter()
            .flatten()
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// What follows from what was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// To be stored.
    Consent { kind: ConsentKind, given: bool, wording: String },
    /// Record from now on, or keep what has been recorded.
    Keep,
    /// Keep nothing.
    Drop,
}

/// Follows one call.
#[derive(Debug)]
pub(super) struct Consenting {
    wishes: Wishes,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The greeting has not been heard.
    Greeting,
    /// The question has been; the first answer counts.
    Asked,
    /// The answer in this turn was yes. More words of the turn may take it back.
    Agreed(u32),
    Over,
}

impl Consenting {
    /// `greets`: the caller gets a greeting. Without one nothing is said, and so nothing is recorded.
    pub(super) fn new(wishes: Wishes, greets: bool) -> Self {
        Self { wishes, state: if greets { State::Greeting } else { State::Over } }
    }

    /// A turn is over, and of the answer this was heard.
    pub(super) fn handle_heard(&mut self, said: &str, heard: &str) -> Vec<Outcome> {
        if self.state != State::Greeting {
            return Vec::new();
        }
        let mut outcomes = Vec::new();
        // A caller who speaks before the greeting has no greeting any more.
        let heard = if said.is_empty() { heard } else { "" };
        if let Some(wording) = &self.wishes.disclosure {
            let (kind, given) = (ConsentKind::Disclosure, heard.contains(wording.trim()));
            outcomes.push(Outcome::Consent { kind, given, wording: wording.clone() });
        }
        self.state = State::Over;
        match self.wishes.mode {
            RecordingMode::Off => {}
            RecordingMode::Notice => {
                let given = heard.contains(NOTICE);
                outcomes.push(recording(given, NOTICE));
                outcomes.push(if given { Outcome::Keep } else { Outcome::Drop });
            }
            RecordingMode::Ask if heard.contains(QUESTION) => self.state = State::Asked,
            RecordingMode::Ask => outcomes.extend([recording(false, QUESTION), Outcome::Drop]),
        }
        outcomes
    }

    /// All words of the caller's turn are there.
    pub(super) fn handle_said(&mut self, turn: u32, said: &str) -> Vec<Outcome> {
        match (self.state, consent_of(said)) {
            (State::Asked, Some(true)) => {
                self.state = State::Agreed(turn);
                vec![recording(true, QUESTION), Outcome::Keep]
            }
            (State::Asked, _) => {
                self.state = State::Over;
                vec![recording(false, QUESTION), Outcome::Drop]
            }
            (State::Agreed(of), answer) if of == turn => {
                if answer == Some(true) {
                    return Vec::new();
                }
                self.state = State::Over;
                vec![recording(false, QUESTION), Outcome::Drop]
            }
            _ => Vec::new(),
        }
    }
}

fn recording(given: bool, wording: &str) -> Outcome {
    Outcome::Consent { kind: ConsentKind::Recording, given, wording: wording.to_owned() }
}

/// Whether the answer to [`QUESTION`] is a yes or a no; `None` where it is neither, or both.
pub fn consent_of(text: &str) -> Option<bool> {
    let text: String = text
        .to_lowercase()
        .replace('’', "'")
        .chars()
        .map(|c| if c.is_alphanumeric() || c == '\'' { c } else { ' ' })
        .collect();
    let mut words: Vec<&str> = text.split_whitespace().collect();
    while words.first().is_some_and(|word| FILLERS.contains(word)) {
        words.remove(0);
    }
    let mut text = format!(" {} ", words.join(" "));
    // "No problem" is no no.
    let mut yes = false;
    for phrase in YES_WITH_NO {
        if text.contains(&format!(" {phrase} ")) {
            text = text.replace(&format!(" {phrase} "), " ");
            yes = true;
        }
    }
    let has = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(&format!(" {phrase} ")));
    let starts = |phrases: &[&str]| phrases.iter().any(|phrase| text.starts_with(&format!(" {phrase} ")));
    if has(NO) {
        return Some(false);
    }
    // "Okay" begins anything; alone it is an answer.
    yes |= starts(YES) || (words.len() <= 4 && has(YES_ALONE));
    yes.then_some(true)
}

const FILLERS: &[&str] = &["oh", "um", "uh", "hm", "hmm", "er", "well", "so", "ah"];
const YES: &[&str] = &[
    "yes",
    "yeah",
    "yep",
    "yup",
    "sure",
    "of course",
    "go ahead",
    "absolutely",
    "certainly",
    "definitely",
    "by all means",
    "please do",
    "you may",
    "you can",
    "i agree",
    "i consent",
    "that's fine",
    "that is fine",
    "that's okay",
    "that's ok",
    "that's alright",
    "it's fine",
    "it's okay",
    "fine by me",
    "fine with me",
    "i'm fine with",
    "i am fine with",
    "i'm okay with",
    "i'm ok with",
];
const YES_ALONE: &[&str] = &["ok", "okay", "fine", "alright", "all right", "right", "please"];
const YES_WITH_NO: &[&str] = &[
    "no problem",
    "no problem at all",
    "not a problem",
    "no worries",
    "don't mind",
    "do not mind",
    "don't mind at all",
    "why not",
    "no objection",
    "no objections",
];
const NO: &[&str] = &[
    "no",
    "nope",
    "nah",
    "not",
    "don't",
    "do not",
    "never",
    "rather you didn't",
    "didn't",
    "won't",
    "can't",
    "cannot",
    "refuse",
    "decline",
    "stop recording",
    "without recording",
    "without being recorded",
    "i mind",
    "i do mind",
    "disagree",
    "off the record",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_answers_are_understood_and_others_are_none() {
        for (text, expected) in [
            ("Yes.", Some(true)),
            ("Yeah, that's fine.", Some(true)),
            ("Um, sure, go ahead!", Some(true)),
            ("Oh yes please, and I'm looking for a house in Austin", Some(true)),
            ("Of course", Some(true)),
            ("OK", Some(true)),
            ("okay fine", Some(true)),
            ("No problem.", Some(true)),
            ("I don’t mind at all", Some(true)),
            ("Why not?", Some(true)),
            ("That's okay with me", Some(true)),
            ("No.", Some(false)),
            ("No thanks", Some(false)),
            ("Nope", Some(false)),
            ("I'd rather not", Some(false)),
            ("Please don't record me.", Some(false)),
            ("Yes, I do mind", Some(false)),
            ("Yes but do not record this", Some(false)),
            ("Yes… no, actually no", Some(false)),
            ("Please do not", Some(false)),
            ("Okay, I am not sure about that", Some(false)),
            ("", None),
            ("What?", None),
            ("Does it have a garage?", None),
            ("Okay so I want three bedrooms and a yard", None),
            ("I'm sure it has a pool", None),
            ("Eyes on the road", None),
            ("Nobody told me", None),
            ("Hmm", None),
        ] {
            assert_eq!(consent_of(text), expected, "{text}");
        }
    }

    fn wishes(mode: RecordingMode) -> Wishes {
        Wishes { mode, disclosure: Some("I am a computer.".into()) }
    }

    #[test]
    fn the_greeting_says_what_must_be_said_and_asks_last() {
        let plain = "Hello, and welcome. Which home can I tell you about?";
        for (mode, expected) in [
            (RecordingMode::Off, "I am a computer. Hello, and welcome. Which home can I tell you about?"),
            (
                RecordingMode::Notice,
                "I am a computer. This call is recorded. Hello, and welcome. Which home can I tell you about?",
            ),
            (
                RecordingMode::Ask,
                "I am a computer. Hello, and welcome. May we record this call to serve you better?",
            ),
        ] {
            assert_eq!(wishes(mode).greeting(plain), expected);
        }
        let none = Wishes { mode: RecordingMode::Off, disclosure: None };
        assert_eq!(none.greeting(plain), plain);
        assert!(none.is_empty() && !wishes(RecordingMode::Off).is_empty());
    }

    fn consents(outcomes: &[Outcome]) -> Vec<(ConsentKind, bool)> {
        let of = |outcome: &Outcome| match outcome {
            Outcome::Consent { kind, given, .. } => Some((*kind, *given)),
            _ => None,
        };
        outcomes.iter().filter_map(of).collect()
    }

    #[test]
    fn a_notice_counts_only_where_it_was_heard_to_its_end() {
        use ConsentKind::{Disclosure, Recording};
        let whole = wishes(RecordingMode::Notice).greeting("Hello.");
        for (said, heard, disclosed, kept) in [
            ("", &*whole, true, true),
            ("", "I am a computer. This call is recorded.", true, true),
            ("", "I am a computer. This call is", true, false),
            ("", "", false, false),
            ("hello", &*whole, false, false),
        ] {
            let mut consenting = Consenting::new(wishes(RecordingMode::Notice), true);
            let outcomes = consenting.handle_heard(said, heard);
            assert_eq!(consents(&outcomes), [(Disclosure, disclosed), (Recording, kept)], "{heard}");
            assert_eq!(outcomes.last(), Some(if kept { &Outcome::Keep } else { &Outcome::Drop }));
            assert!(
                consenting.handle_heard("", &whole).is_empty() && consenting.handle_said(2, "yes").is_empty()
            );
        }
    }

    #[test]
    fn only_a_yes_to_a_question_that_was_heard_counts_and_it_can_be_taken_back() {
        let asked = || {
            let mut consenting = Consenting::new(wishes(RecordingMode::Ask), true);
            assert_eq!(consenting.handle_heard("", &wishes(RecordingMode::Ask).greeting("Hello.")).len(), 1);
            consenting
        };
        for (answer, kept) in [("Yes", true), ("No", false), ("How much is it?", false)] {
            let outcomes = asked().handle_said(2, answer);
            assert_eq!(
                outcomes,
                [recording(kept, QUESTION), if kept { Outcome::Keep } else { Outcome::Drop }]
            );
        }
        let mut consenting = asked();
        assert_eq!(consenting.handle_said(2, "Yes").len(), 2);
        assert!(consenting.handle_said(2, "Yes, go ahead").is_empty());
        assert_eq!(consenting.handle_said(2, "Yes, no, wait, don't").last(), Some(&Outcome::Drop));
        assert!(consenting.handle_said(3, "Yes").is_empty(), "once is enough");
        let mut consenting = Consenting::new(wishes(RecordingMode::Ask), true);
        assert_eq!(consenting.handle_heard("", "Hello. May we").last(), Some(&Outcome::Drop));
        let mut silent = Consenting::new(wishes(RecordingMode::Ask), false);
        assert!(silent.handle_heard("", QUESTION).is_empty() && silent.handle_said(1, "Yes").is_empty());
    }
}
