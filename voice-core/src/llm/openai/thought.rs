//! Keeps a model's thoughts out of the caller's ear.
//!
//! Servers that do not know a model's way of thinking put its thoughts into the text, at the start, between
//! `<think>` and `</think>`. Such a block at the very start is left out, and the blanks around it or at the start of
//! any answer. Any split of the text gives the same.

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Removes a block of thoughts from the start of one answer.
#[derive(Debug, Default)]
pub(super) struct ThoughtFilter {
    stage: Stage,
    /// The start of what may become a mark; shorter than a mark.
    held: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Nothing but blanks so far.
    #[default]
    Start,
    Thinking,
    /// The thoughts are over; the blanks behind them are not said either.
    Behind,
    Saying,
}

impl ThoughtFilter {
    /// Takes the next piece of text and gives what of it can be said.
    pub(super) fn push(&mut self, text: &str) -> String {
        if self.stage == Stage::Saying {
            return text.to_owned();
        }
        self.held.push_str(text);
        loop {
            match self.stage {
                Stage::Start => {
                    let rest = self.held.trim_start();
                    if let Some(thoughts) = rest.strip_prefix(OPEN) {
                        self.held = thoughts.to_owned();
                        self.stage = Stage::Thinking;
                    } else if OPEN.starts_with(rest) {
                        self.held = rest.to_owned();
                        return String::new();
                    } else {
                        let said = rest.to_owned();
                        self.held.clear();
                        self.stage = Stage::Saying;
                        return said;
                    }
                }
                Stage::Thinking => match self.held.find(CLOSE) {
                    Some(at) => {
                        self.held.drain(..at + CLOSE.len());
                        self.stage = Stage::Behind;
                    }
                    None => {
                        let from = self.held.len().saturating_sub(CLOSE.len() - 1);
                        self.held.drain(..self.held.ceil_char_boundary(from));
                        return String::new();
                    }
                },
                Stage::Behind => {
                    let said = self.held.trim_start().to_owned();
                    self.held.clear();
                    if !said.is_empty() {
                        self.stage = Stage::Saying;
                    }
                    return said;
                }
                Stage::Saying => return std::mem::take(&mut self.held),
            }
        }
    }

    /// The answer is over: gives what was held back and is no thought.
    pub(super) fn finish(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        if self.stage == Stage::Start { held } else { String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&str]) -> String {
        let mut filter = ThoughtFilter::default();
        let mut said: String = pieces.iter().map(|piece| filter.push(piece)).collect();
        said.push_str(&filter.finish());
        said
    }

    #[test]
    fn thoughts_at_the_start_are_left_out_however_the_text_is_split() {
        for (text, said) in [
            ("<think>Ünder <b>600</b></thin</think>\n\nYes, one.", "Yes, one."),
            (" \n<think></think>No.", "No."),
            ("<think>without end", ""),
            ("<think>done</think>  ", ""),
            ("<thin ice", "<thin ice"),
            ("<thin", "<thin"),
            ("It is <think>2</think>.", "It is <think>2</think>."),
            (" \u{a0}Yes, one. ", "Yes, one. "),
            ("", ""),
        ] {
            assert_eq!(read(&[text]), said, "{text:?}");
            for at in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
                assert_eq!(read(&[&text[..at], &text[at..]]), said, "{text:?} at {at}");
            }
            let chars: Vec<&str> = text.split("").collect();
            assert_eq!(read(&chars), said, "{text:?} by characters");
        }
    }

    #[test]
    fn long_thoughts_are_not_kept() {
        let mut filter = ThoughtFilter::default();
        filter.push("<think>");
        for _ in 0..1_000 {
            assert_eq!(filter.push("hm, perhaps ü "), "");
            assert!(filter.held.len() < CLOSE.len() + 2);
        }
    }
}
