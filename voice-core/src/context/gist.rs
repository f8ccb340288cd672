//! The part of a caller's words that decides what is looked up for them.
//!
//! Words that are only said on the way to others, case and punctuation make no difference, so that a transcript which grows
//! by them or is written anew asks for nothing. Pure; caller: the session's look-ahead, and sources that keep
//! what they found.

/// What the words come to: those with a meaning of their own, in order, in small letters, at most the last 40.
///
/// ```
/// use voice_core::context::gist;
/// assert_eq!(gist("Um, is there a garage at 12 Oak Street?"), "garage 12 oak street");
/// assert_eq!(gist("so is there the garage at, uh, 12 Oak street"), gist("Is there a garage at 12 Oak Street?"));
/// ```
pub fn gist(words: &str) -> String {
    let mut kept: Vec<String> = Vec::new();
    for word in words.split(|c: char| !(c.is_alphanumeric() || c == '\'' || c == '’')) {
        let word = word.trim_matches(['\'', '’']).to_lowercase().replace('’', "'");
        if !word.is_empty() && LIGHT.binary_search(&word.as_str()).is_err() {
            kept.push(word);
        }
    }
    let from = kept.len().saturating_sub(MOST_WORDS);
    kept[from..].join(" ")
}

/// Words looked at: of a speech without end only the last ones matter.
const MOST_WORDS: usize = 40;

/// English words that change nothing about what is asked for, sorted. Other languages keep all of theirs: they ask
/// a little more often.
const LIGHT: &[&str] = &[
    "a", "ah", "an", "and", "are", "at", "be", "can", "could", "do", "does", "er", "for", "hello", "hey",
    "hi", "hm", "hmm", "i", "i'd", "i'm", "in", "is", "it", "it's", "just", "know", "like", "me", "mm", "of",
    "oh", "ok", "okay", "on", "one", "please", "so", "tell", "thank", "thanks", "that", "that's", "the",
    "there", "there's", "to", "uh", "um", "want", "was", "well", "what", "what's", "would", "yeah", "yes",
    "you",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn light_words_are_sorted_and_others_change_the_gist() {
        assert!(LIGHT.is_sorted());
        assert_eq!(gist("Um, well… the"), "");
        assert_ne!(gist("with a garage"), gist("without a garage"));
        assert_ne!(gist("under 500"), gist("under 5000"));
        assert_eq!(gist("How’s the garden"), gist("how's the GARDEN?"));
        assert_eq!(gist("Größe der Küche?"), "größe der küche");
    }

    #[test]
    fn a_speech_without_end_keeps_its_last_words() {
        let long = (0..5_000).map(|n| format!("word{n} ")).collect::<String>();
        let kept = gist(&long);
        assert!(kept.ends_with("word4999") && kept.split(' ').count() == MOST_WORDS);
    }
}
