//! What words alone tell about a turn: unfinished sentences, and sounds that only mean "go on".

/// Whether the words stop where a speaker of English does not: after an article, a preposition, a conjunction, a
/// filler, or in the middle of a number.
pub fn is_unfinished(words: &str) -> bool {
    let trimmed = words.trim_end();
    // A recogniser that writes punctuation ends what it thinks complete with a full stop or a question mark.
    if trimmed.ends_with(['.', '?', '!']) && !trimmed.ends_with("...") {
        return false;
    }
    let last = trimmed.rsplit(char::is_whitespace).next().unwrap_or("");
    let last: String =
        last.chars().filter(|c| c.is_alphanumeric() || *c == '\'').collect::<String>().to_lowercase();
    OPEN_ENDS.contains(&last.as_str())
}

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

/// Words after which an English sentence goes on.
const OPEN_ENDS: &[&str] = &[
    "a", "an", "and", "at", "because", "between", "but", "by", "er", "for", "from", "if", "in", "is", "my",
    "of", "on", "or", "so", "than", "that's", "the", "their", "to", "uh", "um", "under", "with", "your",
];

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
        for open in ["I'm looking for a", "the house on", "how much is", "Well, um", "and the..."] {
            assert!(is_unfinished(open), "{open}");
        }
        for done in [
            "How much is it?",
            "what are you looking for.",
            "maple street",
            "",
            "do you have any homes with a pool",
        ] {
            assert!(!is_unfinished(done), "{done}");
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
