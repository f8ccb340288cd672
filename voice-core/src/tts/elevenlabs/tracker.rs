//! Follows the spoken characters through the clauses that were sent, word by word.
//!
//! The service reports characters in pieces that may split a word, repeat words or spell them otherwise, so words are
//! compared without case and punctuation and looked for a little ahead. A word that is not found changes nothing; the
//! next one that is brings the two together again. Pure; caller: `spoken`.

use std::collections::VecDeque;
use std::time::Duration;

use crate::tts::WordMark;

use super::wire::CharTimes;

/// The words of one reply, of which the first ones have been spoken.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    /// Words that have not been spoken.
    expected: VecDeque<Word>,
    /// Clauses that were given.
    clauses: usize,
    /// Clauses whose end is known.
    ended: usize,
    /// The beginning of a word whose rest has not come, and its times.
    partial: String,
    start: Duration,
    end: Duration,
}

#[derive(Debug)]
struct Word {
    key: String,
    clause: usize,
    upto: usize,
}

/// What a piece of alignment told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tracked {
    /// Words with their times.
    pub(super) marks: Vec<WordMark>,
    /// Ends of the next clauses in order.
    pub(super) ends: Vec<Duration>,
}

impl Tracker {
    /// A clause was given to the voice.
    pub(super) fn push_clause(&mut self, clause: &str) {
        let mut at = 0;
        for word in clause.split_whitespace() {
            // The words of a text stand in it in order, so this finds each.
            at += clause[at..].find(word).unwrap_or(0) + word.len();
            let key = key(word);
            if !key.is_empty() {
                self.expected.push_back(Word { key, clause: self.clauses, upto: at });
            }
        }
        self.clauses += 1;
    }

    /// The clause that was given last has no words and is over, as are all before it.
    pub(super) fn skip_clause(&mut self) {
        self.ended = self.clauses;
    }

    /// Takes the times of some more characters, which count from `base`.
    pub(super) fn advance(&mut self, times: &CharTimes, base: Duration) -> Tracked {
        let mut tracked = Tracked::default();
        let mut from = 0;
        for span in &times.spans {
            let (start, end) = (base + span.start, base + span.end);
            for char in times.text.get(from..span.upto).unwrap_or_default().chars() {
                if char.is_whitespace() {
                    self.complete(end, &mut tracked);
                } else {
                    if self.partial.is_empty() {
                        self.start = start;
                    }
                    self.partial.push(char);
                    self.end = end;
                }
            }
            from = span.upto;
        }
        // The space behind the last word may come with the next piece or never.
        if self.expected.front().is_some_and(|word| word.key == key(&self.partial)) {
            self.complete(self.end, &mut tracked);
        } else if self.partial.len() > LONGEST_WORD {
            self.partial.clear();
        }
        tracked
    }

    /// Nothing more is spoken of the clauses that were given.
    pub(super) fn finish(&mut self) -> Tracked {
        let mut tracked = Tracked::default();
        self.complete(self.end, &mut tracked);
        // Another answer may follow; what was not found in this one is not looked for in that.
        self.expected.clear();
        self.ended = self.clauses;
        tracked
    }

    /// The word is whole; the pause behind it ends at `pause_end`.
    fn complete(&mut self, pause_end: Duration, tracked: &mut Tracked) {
        let key = key(&std::mem::take(&mut self.partial));
        if key.is_empty() {
            return;
        }
        let Some(found) = self.expected.iter().take(LOOK_AHEAD).position(|word| word.key == key) else {
            return;
        };
        let Some(Word { clause, upto, .. }) = self.expected.drain(..=found).next_back() else { return };
        tracked.marks.push(WordMark { clause, upto, start: self.start, end: self.end });
        self.end_clauses(clause, self.start, tracked);
        let next = self.expected.front().map_or(self.clauses, |word| word.clause);
        self.end_clauses(next, pause_end, tracked);
    }

    /// All clauses before this one are over.
    fn end_clauses(&mut self, before: usize, at: Duration, tracked: &mut Tracked) {
        while self.ended < before {
            self.ended += 1;
            tracked.ends.push(at);
        }
    }
}

/// How many words may have been spoken otherwise than they were sent before the next one that was not.
const LOOK_AHEAD: usize = 8;
/// Bytes of text without a space after which it is no word; languages without spaces have clauses of some hundred.
const LONGEST_WORD: usize = 4_096;

/// What a word is compared by.
fn key(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tts::elevenlabs::wire::CharSpan;

    /// Every character takes 10 ms.
    fn times(text: &str) -> CharTimes {
        let mut spans = Vec::new();
        for (k, (at, c)) in text.char_indices().enumerate() {
            let start = Duration::from_millis(10 * k as u64);
            spans.push(CharSpan { upto: at + c.len_utf8(), start, end: start + Duration::from_millis(10) });
        }
        CharTimes { text: text.to_owned(), spans }
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn tracker(clauses: &[&str]) -> Tracker {
        let mut tracker = Tracker::default();
        clauses.iter().for_each(|clause| tracker.push_clause(clause));
        tracker
    }

    fn places(tracked: &Tracked) -> Vec<(usize, usize)> {
        tracked.marks.iter().map(|mark| (mark.clause, mark.upto)).collect()
    }

    #[test]
    fn words_and_ends_lie_where_they_are_spoken() {
        let mut tracker = tracker(&["Yes, it does.", " It has two."]);
        let tracked = tracker.advance(&times("Yes, it does. It has two. "), ms(1_000));
        assert_eq!(places(&tracked), [(0, 4), (0, 7), (0, 13), (1, 3), (1, 7), (1, 12)]);
        assert_eq!(tracked.marks[1].start, ms(1_050));
        assert_eq!(tracked.marks[1].end, ms(1_070));
        assert_eq!(tracked.ends, [ms(1_140), ms(1_260)], "the pause belongs to the clause before it");
    }

    #[test]
    fn any_split_of_the_characters_gives_the_same_words() {
        let text = " Hola, ¿hablo con Ännchen? Sí. ";
        let whole = tracker(&["Hola, ¿hablo con Ännchen?", "Sí."]).advance(&times(text), Duration::ZERO);
        for (cut, _) in text.char_indices() {
            let mut tracker = tracker(&["Hola, ¿hablo con Ännchen?", "Sí."]);
            let mut marks = tracker.advance(&times(&text[..cut]), Duration::ZERO).marks;
            let shift = ms(10 * text[..cut].chars().count() as u64);
            marks.extend(tracker.advance(&times(&text[cut..]), shift).marks);
            let ends_of = |marks: &[WordMark]| marks.iter().map(|m| (m.clause, m.upto)).collect::<Vec<_>>();
            assert_eq!(ends_of(&marks), ends_of(&whole.marks), "cut at {cut}");
        }
    }

    #[test]
    fn words_that_were_spoken_otherwise_are_passed_over() {
        let mut tracker = tracker(&["Dr. Smith is in.", "Call him at 10."]);
        let tracked = tracker.advance(&times("Doctor Smith is in. Call him at ten. "), Duration::ZERO);
        assert_eq!(places(&tracked), [(0, 9), (0, 12), (0, 16), (1, 4), (1, 8), (1, 11)]);
        assert_eq!(tracked.ends, [ms(200)], "the last word was not found");
    }

    #[test]
    fn a_lost_end_is_that_of_the_next_word_that_is_found() {
        let mut tracker = tracker(&["It costs $5.", "Yes."]);
        let tracked = tracker.advance(&times("It costs five dollars. Yes. "), Duration::ZERO);
        assert_eq!(tracked.ends, [ms(230), ms(280)]);
    }

    #[test]
    fn repeated_words_change_nothing() {
        let mut tracker = tracker(&["one two three.", "four"]);
        tracker.advance(&times("one two th"), Duration::ZERO);
        let again = tracker.advance(&times("one two three. "), ms(100));
        assert_eq!(places(&again), [(0, 14)]);
        assert_eq!(again.ends, [ms(250)]);
    }

    #[test]
    fn a_clause_without_words_ends_with_the_one_before() {
        let mut tracker = tracker(&["…", "one.", " — ", "two."]);
        let tracked = tracker.advance(&times("one. two."), Duration::ZERO);
        assert_eq!(tracked.ends, [ms(0), ms(50), ms(50), ms(90)]);
        assert_eq!(tracker.finish(), Tracked::default());
    }

    #[test]
    fn the_last_word_without_a_space_ends_with_the_speech() {
        let mut tracker = tracker(&["well, yes"]);
        assert_eq!(places(&tracker.advance(&times("well, ye"), Duration::ZERO)), [(0, 5)]);
        assert_eq!(tracker.finish(), Tracked::default(), "half a word is none");
    }
}
