//! Which words a stretch of a reply's audio is.
//!
//! Clauses are announced as they are given to the voice and closed when their audio is complete. Inside a clause the
//! words are spread evenly over the audio; where its end is not known, a usual rate of speech is assumed.

use std::time::Duration;

/// The map from audio to text of one reply.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    text: String,
    /// End of each announced clause in `text`, in bytes.
    clauses: Vec<usize>,
    /// End of each closed clause in the audio; the first of `clauses`.
    ends: Vec<Duration>,
}

impl Marks {
    /// A clause was given to the voice.
    pub fn announce(&mut self, clause: &str) {
        self.text.push_str(clause);
        self.clauses.push(self.text.len());
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
        let open = self.clauses.len() - self.ends.len();
        let from = self.text_end(self.ends.len());
        let chars = (self.text.len() - from).max(1);
        for k in 0..open {
            let upto = self.clauses[self.ends.len()] - from;
            let share = end.saturating_sub(start).mul_f64(upto as f64 / chars as f64);
            self.ends.push(if k + 1 == open { end.max(start) } else { start + share });
        }
    }

    /// The words heard when `played` of the audio has been: whole words, a prefix of the reply's text.
    pub fn heard(&self, played: Duration) -> &str {
        let done = self.ends.iter().take_while(|end| **end <= played).count();
        let from = self.text_end(done);
        if done == self.clauses.len() {
            return &self.text;
        }
        let start = if done == 0 { Duration::ZERO } else { self.ends[done - 1] };
        let clause = &self.text[from..self.clauses[done]];
        let length = match self.ends.get(done) {
            Some(end) => end.saturating_sub(start),
            None => Duration::from_secs_f64(clause.len() as f64 / USUAL_BYTES_PER_SECOND),
        };
        let into = played.saturating_sub(start).as_secs_f64() / length.as_secs_f64().max(1e-3);
        let bytes = clause.floor_char_boundary((clause.len() as f64 * into.min(1.0)) as usize);
        &self.text[..from + whole_words(clause, bytes)]
    }

    fn text_end(&self, clauses: usize) -> usize {
        if clauses == 0 { 0 } else { self.clauses[clauses - 1] }
    }
}

/// The largest cut of `clause` up to `bytes` that does not split a word.
fn whole_words(clause: &str, bytes: usize) -> usize {
    if bytes >= clause.len() || clause[bytes..].starts_with(char::is_whitespace) {
        return bytes;
    }
    clause[..bytes].rfind(char::is_whitespace).unwrap_or(0)
}

/// Conversational English: about 150 words a minute of six bytes each.
const USUAL_BYTES_PER_SECOND: f64 = 15.0;

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn heard_grows_by_whole_words_and_ends_with_the_text() {
        let mut marks = Marks::default();
        marks.announce("Yes, it does. ");
        marks.announce("It has a two-car garage.");
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
        marks.announce("one two ");
        marks.announce("three four");
        marks.finish(ms(1_800));
        assert_eq!(marks.heard(ms(800)), "one two ");
        assert_eq!(marks.heard(ms(1_800)), "one two three four");
    }

    #[test]
    fn an_open_clause_is_heard_at_a_usual_rate() {
        let mut marks = Marks::default();
        marks.announce("thirty bytes of speech in here");
        assert_eq!(marks.heard(ms(1_000)), "thirty bytes of");
    }
}
