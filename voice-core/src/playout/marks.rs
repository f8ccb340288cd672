//! Which words a stretch of a reply's audio is.
//!
//! Clauses are announced as they are given to the voice and closed when their audio is complete. Inside a clause the
//! words lie where the voice says; where it does not, they are spread evenly over the audio, and where the audio's end
//! is not known, at a usual rate of speech. Audio is counted in spoken text, what is given back is written text.

use std::time::Duration;

use crate::text::speakable::Spoken;

/// The map from audio to text of one reply.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    text: String,
    clauses: Vec<Clause>,
    /// End of each closed clause in the audio; the first of `clauses`.
    ends: Vec<Duration>,
}

#[derive(Clone, Debug)]
struct Clause {
    /// Its end in the reply's written text, in bytes.
    end: usize,
    spoken: Spoken,
    /// Ends of words: in the audio, and in bytes of the spoken text. Both grow, so there are fewer than bytes.
    words: Vec<(Duration, usize)>,
}

impl Marks {
    /// A clause was given to the voice: what stands written, and what is said.
    pub fn announce(&mut self, written: &str, spoken: Spoken) {
        self.text.push_str(written);
        self.clauses.push(Clause { end: self.text.len(), spoken, words: Vec::new() });
    }

    /// The voice says that a word ends at `end` of the audio: the one that ends at `upto` bytes of what is said of a
    /// clause, which is counted from 0. A word that does not follow those before it is ignored.
    pub fn place_word(&mut self, clause: usize, upto: usize, end: Duration) {
        let Some(clause) = self.clauses.get_mut(clause) else { return };
        let follows = clause.words.last().is_none_or(|(time, bytes)| *time <= end && *bytes < upto);
        if follows && upto <= clause.spoken.text().len() {
            clause.words.push((end, upto));
        }
    }

    /// The audio of the next open clause is complete at `end`.
    pub fn close(&mut self, end: Duration) {
        if self.ends.len() < self.clauses.len() {
            self.ends.push(end);
        }
    }

    /// All audio is there: clauses that were never closed share what follows the last closed one.
    pub fn finish(&mut self, end: Duration) {
        let start = self.ends.last().copied().unwrap_or_default();
        let length = end.saturating_sub(start);
        let open = &self.clauses[self.ends.len()..];
        let bytes: usize = open.iter().map(|clause| clause.spoken.text().len()).sum();
        let mut upto = 0;
        for (k, clause) in open.iter().enumerate() {
            upto += clause.spoken.text().len();
            let share = length.mul_f64(upto as f64 / bytes.max(1) as f64);
            self.ends.push(if k + 1 == open.len() { end.max(start) } else { start + share });
        }
    }

    /// The words heard when `played` of the audio has been: whole words, a prefix of the reply's written text.
    pub fn heard(&self, played: Duration) -> &str {
        let done = self.ends.iter().take_while(|end| **end <= played).count();
        let Some(clause) = self.clauses.get(done) else { return &self.text };
        let from = if done == 0 { 0 } else { self.clauses[done - 1].end };
        let start = if done == 0 { Duration::ZERO } else { self.ends[done - 1] };
        let said = clause.said(start, self.ends.get(done).copied(), played);
        &self.text[..from + clause.spoken.written_end(said)]
    }
}

impl Clause {
    /// Bytes of the spoken text that have been said at `played`, where it is said from `start` to `end`.
    fn said(&self, start: Duration, end: Option<Duration>, played: Duration) -> usize {
        if !self.words.is_empty() {
            let done = self.words.partition_point(|(end, _)| *end <= played);
            return if done == 0 { 0 } else { self.words[done - 1].1 };
        }
        let bytes = self.spoken.text().len() as f64;
        let length = match end {
            Some(end) => end.saturating_sub(start),
            None => Duration::from_secs_f64(bytes / USUAL_BYTES_PER_SECOND),
        };
        let into = played.saturating_sub(start).as_secs_f64() / length.as_secs_f64().max(1e-3);
        (bytes * into.min(1.0)) as usize
    }
}

/// Conversational English: about 150 words a minute of six bytes each.
const USUAL_BYTES_PER_SECOND: f64 = 15.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::speakable::speak;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn heard_grows_by_whole_words_and_ends_with_the_text() {
        let mut marks = Marks::default();
        marks.announce("Yes, it does. ", speak("Yes, it does. "));
        marks.announce("It has a two-car garage.", speak("It has a two-car garage."));
        marks.close(ms(1_000));
        marks.close(ms(3_000));
        let mut last = 0;
        for at in (0..=3_000).step_by(10) {
            let heard = marks.heard(ms(at));
            assert!(heard.len() >= last && "Yes, it does. It has a two-car garage.".starts_with(heard));
            last = heard.len();
        }
        assert_eq!(marks.heard(ms(0)), "");
        assert_eq!(marks.heard(ms(1_000)), "Yes, it does. ");
        assert_eq!(marks.heard(ms(3_000)), "Yes, it does. It has a two-car garage.");
        assert_eq!(marks.heard(ms(2_000)), "Yes, it does. It has a");
    }

    #[test]
    fn a_voice_without_marks_is_spread_evenly() {
        let mut marks = Marks::default();
        marks.announce("one two ", speak("one two "));
        marks.announce("three four", speak("three four"));
        marks.finish(ms(1_800));
        assert_eq!(marks.heard(ms(800)), "one two ");
        assert_eq!(marks.heard(ms(1_800)), "one two three four");
    }

    #[test]
    fn an_open_clause_is_heard_at_a_usual_rate() {
        let mut marks = Marks::default();
        marks.announce("thirty bytes of speech in here", speak("thirty bytes of speech in here"));
        assert_eq!(marks.heard(ms(1_000)), "thirty bytes of");
    }

    /// Said in 83 bytes, of which the price ends at 57.
    const PRICED: &str = "It is listed at $525,000 today, and it has a pool.";

    #[test]
    fn a_price_is_heard_as_long_as_it_is_said_and_only_as_a_whole() {
        let mut marks = Marks::default();
        marks.announce(PRICED, speak(PRICED));
        marks.close(ms(8_300));
        assert_eq!(marks.heard(ms(1_550)), "It is listed at");
        assert_eq!(marks.heard(ms(5_600)), "It is listed at", "the price lacks its last sound");
        assert_eq!(marks.heard(ms(5_750)), "It is listed at $525,000");
        assert_eq!(marks.heard(ms(8_300)), PRICED);
    }

    #[test]
    fn words_lie_where_the_voice_says() {
        let mut marks = Marks::default();
        let first = "Good morning. ";
        marks.announce(first, speak(first));
        marks.announce(PRICED, speak(PRICED));
        marks.close(ms(1_000));
        let said = speak(PRICED);
        let upto = |words: &str| said.text().find(words).expect("said") + words.len();
        marks.place_word(1, upto("listed at"), ms(2_000));
        marks.place_word(1, upto("five hundred"), ms(2_600));
        marks.place_word(1, upto("dollars"), ms(4_000));
        // None of these follows.
        marks.place_word(1, upto("It"), ms(4_100));
        marks.place_word(1, usize::MAX, ms(4_200));
        marks.place_word(7, 1, ms(4_300));
        let heard =
            |at| marks.heard(ms(at)).strip_prefix(first).expect("the first clause is over").to_owned();
        assert_eq!(heard(1_900), "");
        assert_eq!(heard(2_000), "It is listed at");
        assert_eq!(heard(3_999), "It is listed at");
        assert_eq!(heard(4_000), "It is listed at $525,000");
        assert_eq!(heard(9_000), "It is listed at $525,000");
    }
}
