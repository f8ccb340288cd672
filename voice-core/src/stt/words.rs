//! The words of one utterance as they come: settled ones, and those that may still change.
//!
//! Pure; callers: the provider folders, and the local recogniser for [`stable_prefix`] and [`join`].

/// Bytes of one utterance's words, 64 KiB: over an hour of talk. More is left out, since a service that sends it is
/// broken.
const MOST_WORDS: usize = 64 << 10;

/// The words of one utterance.
#[derive(Debug, Default)]
pub(crate) struct Words {
    settled: String,
    live: String,
    /// The live words before those, for what is stable.
    before: String,
    /// What was told last.
    shown: (String, usize),
}

impl Words {
    /// These words stay; what was live is replaced by them.
    pub(crate) fn settle(&mut self, text: &str) {
        if self.settled.len() + text.len() < MOST_WORDS {
            self.settled = join(&self.settled, text.trim());
        }
        self.drop_live();
    }

    /// The words behind the settled ones are now these.
    pub(crate) fn show(&mut self, text: &str) {
        if self.settled.len() + text.len() < MOST_WORDS {
            self.before = std::mem::replace(&mut self.live, text.trim().to_owned());
        }
    }

    /// What is live will come again.
    pub(crate) fn drop_live(&mut self) {
        self.live.clear();
        self.before.clear();
    }

    /// All words.
    pub(crate) fn all(&self) -> String {
        join(&self.settled, &self.live)
    }

    /// The settled words.
    pub(crate) fn settled(&self) -> &str {
        &self.settled
    }

    /// All words and how many bytes of them stay, if that is news. No words are no news.
    pub(crate) fn poll_partial(&mut self) -> Option<(String, usize)> {
        let text = self.all();
        let offset = text.len() - self.live.len();
        let agreed = stable_prefix(&self.before, &self.live);
        let stable = if agreed == 0 { self.settled.len() } else { offset + agreed };
        let news = (text, stable);
        if news.0.is_empty() || news == self.shown {
            return None;
        }
        self.shown.clone_from(&news);
        Some(news)
    }
}

/// Two stretches of words, with a space between them where their script has spaces.
pub(crate) fn join(left: &str, right: &str) -> String {
    let gap = match (left.chars().next_back(), right.chars().next()) {
        (Some(last), Some(first)) if !has_no_spaces(last) && !has_no_spaces(first) => " ",
        _ => "",
    };
    format!("{left}{gap}{right}")
}

/// Han, kana and their punctuation are written without spaces.
fn has_no_spaces(c: char) -> bool {
    matches!(c, '\u{3000}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}')
}

/// Bytes of `newer` whose words stood at the same place in `older`, without punctuation after the last of them:
/// recognisers end what they have with a full stop.
pub(crate) fn stable_prefix(older: &str, newer: &str) -> usize {
    let bare = |word: &str| word.trim_end_matches(|c: char| c.is_ascii_punctuation()).len();
    let mut stable = 0;
    let mut old_words = older.split_whitespace();
    let mut at = 0;
    for word in newer.split_whitespace() {
        // Found by construction: the words of a text stand in it in order.
        at += newer[at..].find(word).unwrap_or(0);
        let Some(old) = old_words.next() else { break };
        let length = bare(word);
        if word[..length] != old[..bare(old)] {
            break;
        }
        stable = at + length;
        at += word.len();
    }
    stable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_partials_agree_on_is_stable() {
        let mut words = Words::default();
        words.show("I look");
        assert_eq!(words.poll_partial(), Some(("I look".into(), 0)));
        assert_eq!(words.poll_partial(), None, "no news");
        words.show("I look for a");
        assert_eq!(words.poll_partial(), Some(("I look for a".into(), 6)));
        words.settle("I looked for a home.");
        assert_eq!(words.poll_partial(), Some(("I looked for a home.".into(), 20)));
        words.show("With a");
        assert_eq!(words.poll_partial(), Some(("I looked for a home. With a".into(), 20)));
        words.show("With a pool");
        assert_eq!(words.poll_partial(), Some(("I looked for a home. With a pool".into(), 27)));
    }

    #[test]
    fn nothing_understood_is_no_news() {
        let mut words = Words::default();
        words.show("  ");
        words.settle("");
        assert_eq!(words.poll_partial(), None);
        assert_eq!(words.all(), "");
    }

    #[test]
    fn scripts_without_spaces_are_joined_without() {
        assert_eq!(join("三つの", "部屋"), "三つの部屋");
        assert_eq!(join("one", "two"), "one two");
        assert_eq!(join("", "two"), "two");
        assert_eq!(join("one", ""), "one");
    }

    #[test]
    fn words_are_bounded() {
        let mut words = Words::default();
        (0..100).for_each(|_| words.settle(&"word ".repeat(200)));
        words.show(&"x".repeat(MOST_WORDS));
        assert!(words.all().len() <= MOST_WORDS);
    }
}
