//! What words alone tell about a turn: unfinished sentences, and sounds that only mean "go on".

/// How the words of a turn read by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// They stop where a speaker of English does not: after an article, a conjunction, a filler.
    Unfinished,
    /// They may be all or may go on.
    Open,
    /// A whole question, and the recogniser wrote it as one.
    Complete,
}

/// Reads the words of a turn so far.
pub fn reading(words: &str) -> Reading {
    let trimmed = words.trim_end();
    let last = trimmed.rsplit(char::is_whitespace).next().unwrap_or("");
    let last: String =
        last.chars().filter(|c| c.is_alphanumeric() || *c == '\'').collect::<String>().to_lowercase();
    // Some recognisers end whatever they have with a full stop, so a mark proves nothing after these.
    if NEVER_LAST.contains(&last.as_str()) {
        return Reading::Unfinished;
    }
    // A comma is how a recogniser writes that the voice stayed up.
    if trimmed.ends_with(',') {
        return Reading::Unfinished;
    }
    let is_marked = trimmed.ends_with(['.', '?', '!']) && !trimmed.ends_with("...");
    if !is_marked && SELDOM_LAST.contains(&last.as_str()) {
        return Reading::Unfinished;
    }
    if trimmed.ends_with('?') && trimmed.split_whitespace().count() >= QUESTION_WORDS {
        return Reading::Complete;
    }
    Reading::Open
}

/// A question mark after fewer words is a guess.
const QUESTION_WORDS: usize = 3;

/// Whether the words only say that the caller listens.
pub fn is_acknowledgement(words: &str) -> bool {
    let mut any = false;
    for word in words.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|w| !w.is_empty()) {
        any = true;
        let word = word.to_lowercase();
        if !LISTENING.contains(&word.as_str()) {
            return false;
        }
    }
    any
}

/// Words that no English sentence ends with.
const NEVER_LAST: &[&str] = &[
    "a", "an", "and", "because", "but", "er", "if", "my", "of", "or", "than", "the", "their", "uh", "um",
    "your",
];

/// Words that end an English sentence seldom enough to wait where nothing marks an end.
const SELDOM_LAST: &[&str] =
    &["at", "between", "by", "for", "from", "in", "is", "on", "so", "that's", "to", "under", "with"];

/// Sounds and words of a listener. Deliberately without "yes" and "no", which answer questions.
const LISTENING: &[&str] = &[
    "ah", "aha", "hm", "hmm", "mhm", "mm", "mmhm", "mm-hm", "oh", "okay", "ok", "right", "uh", "huh",
    "uh-huh", "um",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_ends_are_told_from_complete_sentences() {
        for open in [
            "I'm looking for a",
            "the house on",
            "how much is",
            "Well, um.",
            "and the...",
            "How much is the?",
            "Is the townhouse,",
            "In short,",
        ] {
            assert_eq!(reading(open), Reading::Unfinished, "{open}");
        }
        for either in
            ["what are you looking for.", "maple street", "", "Really?", "do you have any homes with a pool"]
        {
            assert_eq!(reading(either), Reading::Open, "{either}");
        }
        for whole in ["How much is it?", "Where are you from? "] {
            assert_eq!(reading(whole), Reading::Complete, "{whole}");
        }
    }

    #[test]
    fn listeners_sounds_are_not_contributions() {
        for word in ["Mm-hm.", "okay", "Uh huh", "oh, right"] {
            assert!(is_acknowledgement(word), "{word}");
        }
        for word in ["", "wait", "okay but how much", "yes", "no"] {
            assert!(!is_acknowledgement(word), "{word}");
        }
    }
}
