//! The way back from what was said to what was written.
//!
//! A span is the smallest piece that is booked: a written word, or the words that were said as one amount. Both texts
//! are counted in bytes. Invariants: spans grow in both texts, none ends inside a written word, and all of the spoken
//! text is all of the written one. Callers: `speakable`, and whoever books what was heard.

/// A text to be spoken, with the way back to the written one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spoken {
    text: String,
    spans: Vec<Span>,
    written: usize,
}

/// The end of a piece that is said as a whole, in both texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// End of its last word in the spoken text, in bytes. A pause behind it does not count.
    pub spoken_end: usize,
    /// End of the written text that has been said by then, in bytes.
    pub written_end: usize,
}

impl Spoken {
    /// What is to be said.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is to be said, without the way back.
    pub fn into_text(self) -> String {
        self.text
    }

    /// The pieces in order. Both ends grow from one to the next.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// How many bytes of the written text were said completely when `spoken_bytes` of the spoken text were.
    ///
    /// Never splits a written word or an amount, never falls, and is the whole written text at the end. What makes no
    /// sound counts with the word after it, at the end with the last.
    pub fn written_end(&self, spoken_bytes: usize) -> usize {
        if spoken_bytes >= self.text.len() {
            return self.written;
        }
        let done = self.spans.partition_point(|span| span.spoken_end <= spoken_bytes);
        if done == 0 { 0 } else { self.spans[done - 1].written_end }
    }

    /// The same, where whole words of the spoken text are counted.
    pub fn written_end_of_words(&self, spoken_words: usize) -> usize {
        if spoken_words == 0 && !self.text.is_empty() {
            return 0;
        }
        // The gap before a word is the end of those in front of it.
        let gap = self.text.match_indices(' ').nth(spoken_words.saturating_sub(1));
        self.written_end(gap.map_or(self.text.len(), |(at, _)| at))
    }

    /// The way back through a second reading: `next` was made from this text.
    pub(super) fn then(self, next: Self) -> Self {
        let mut spans: Vec<Span> = Vec::with_capacity(next.spans.len());
        let mut done = 0;
        for span in next.spans {
            while self.spans.get(done).is_some_and(|before| before.spoken_end <= span.written_end) {
                done += 1;
            }
            let written_end = match done {
                _ if span.written_end >= self.text.len() => self.written,
                0 => 0,
                done => self.spans[done - 1].written_end,
            };
            // Where the second reading cut finer than the first, the piece is not whole yet.
            if written_end > spans.last().map_or(0, |last| last.written_end) {
                spans.push(Span { written_end, ..span });
            }
        }
        Self { text: next.text, spans, written: self.written }
    }
}

/// Spans while they are made.
pub(super) struct SpanList<'a> {
    written: &'a str,
    spans: Vec<Span>,
}

impl<'a> SpanList<'a> {
    pub(super) fn new(written: &'a str) -> Self {
        Self { written, spans: Vec::new() }
    }

    /// Words were said up to `spoken_end`, made of the written text up to `written_end`.
    pub(super) fn push(&mut self, spoken_end: usize, written_end: usize) {
        match self.spans.last_mut() {
            // Still the same written word: it is not said before its last part is.
            Some(last) if written_end <= last.written_end => last.spoken_end = spoken_end,
            _ => {
                let rest = &self.written[written_end..];
                let written_end = written_end + rest.find(char::is_whitespace).unwrap_or(rest.len());
                self.spans.push(Span { spoken_end, written_end });
            }
        }
    }

    pub(super) fn finish(self, text: String) -> Spoken {
        Spoken { text, spans: self.spans, written: self.written.len() }
    }
}
