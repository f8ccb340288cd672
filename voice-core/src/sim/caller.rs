//! A simulated caller: what he does one thing after another, and the truth about when he spoke which words.

use std::time::Duration;

use crate::time::SessionTime;

/// One thing that a caller does. The next one follows when it is over.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Says words, spread evenly over the time. `complete` is what the turn model hears in a pause after them.
    Say {
        /// The words.
        text: String,
        /// How long it takes.
        lasts: Duration,
        /// 0 to 1.
        complete: f32,
    },
    /// Is silent.
    Pause(Duration),
    /// Is silent until an answer can be heard.
    AwaitAnswer,
    /// Is silent until another turn has ended than those before this act.
    AwaitTurn,
    /// Is silent until the recogniser has been asked for a final transcript that was not asked for before this act.
    AwaitDecision,
    /// Is silent until the model has been asked for a reply that was not asked for before this act.
    AwaitReply,
    /// Types.
    Type(String),
    /// Presses stop.
    Interrupt,
    /// The recorder stops without a word; what it has of a slice is lost.
    StopSending,
    /// The recorder starts again.
    StartSending,
    /// The container ends: what there is of a slice is sent, and the end with it.
    EndAudio,
    /// Hangs up.
    HangUp,
}

/// One stretch of speech.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// First voiced moment.
    pub from: SessionTime,
    /// Last voiced moment.
    pub to: SessionTime,
    /// The words; none for a cough.
    pub words: Vec<String>,
    /// What the turn model hears at its end.
    pub complete: f32,
}

/// When the caller spoke, and what.
#[derive(Clone, Debug, Default)]
pub struct Track {
    spans: Vec<Span>,
}

impl Track {
    /// Adds speech. Spans come in order and do not overlap.
    pub fn speak(&mut self, from: SessionTime, lasts: Duration, text: &str, complete: f32) {
        let words = text.split_whitespace().map(str::to_owned).collect();
        self.spans.push(Span { from, to: from + lasts, words, complete });
    }

    /// All speech so far.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The first and last voiced moment between two moments, and how much in between is voiced.
    pub fn voiced(&self, from: SessionTime, to: SessionTime) -> Option<(SessionTime, SessionTime, Duration)> {
        let mut found: Option<(SessionTime, SessionTime, Duration)> = None;
        for span in self.spans.iter().rev().take_while(|s| s.to > from) {
            let (start, end) = (span.from.max(from), span.to.min(to));
            if start < end {
                let (_, last, voiced) = found.unwrap_or((start, end, Duration::ZERO));
                found = Some((start, last, voiced + end.since(start)));
            }
        }
        found
    }

    /// The words whose middle lies between two moments.
    pub fn words(&self, from: SessionTime, to: SessionTime) -> String {
        let mut words = Vec::new();
        for span in self.spans.iter().filter(|s| s.to > from && s.from < to) {
            let each = span.to.since(span.from) / (span.words.len().max(1) as u32 * 2);
            for (k, word) in span.words.iter().enumerate() {
                let middle = span.from + each * (2 * k as u32 + 1);
                if middle >= from && middle < to {
                    words.push(word.as_str());
                }
            }
        }
        words.join(" ")
    }

    /// What the turn model hears in the pause after `at`.
    pub fn completeness(&self, at: SessionTime) -> f32 {
        self.spans.iter().rev().find(|s| s.from < at).map_or(0.5, |s| s.complete)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> SessionTime {
        SessionTime::from_millis(ms)
    }

    #[test]
    fn words_belong_to_exactly_one_of_two_neighbouring_stretches() {
        let mut track = Track::default();
        track.speak(at(100), Duration::from_millis(1_000), "one two three four", 1.0);
        track.speak(at(2_000), Duration::from_millis(500), "five six", 1.0);
        for cut in (0..3_000).step_by(7) {
            let (before, after) = (track.words(at(0), at(cut)), track.words(at(cut), at(3_000)));
            let both = [before, after].into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ");
            assert_eq!(both, "one two three four five six", "{cut}");
        }
    }

    #[test]
    fn voiced_time_is_measured_across_pauses() {
        let mut track = Track::default();
        track.speak(at(100), Duration::from_millis(10), "", 1.0);
        track.speak(at(120), Duration::from_millis(100), "", 1.0);
        assert_eq!(track.voiced(at(105), at(137)), Some((at(105), at(137), Duration::from_millis(22))));
        assert_eq!(track.voiced(at(110), at(120)), None);
    }
}
