//! What the conversation so far means for the next question: which home is spoken of, what was shown, what was offered.
//!
//! Computed afresh from the messages each time, so that a replayed conversation gives the same answers. Of our own
//! words only those count that the caller heard. Pure; caller: the module's root.

use crate::llm::{Message, Role};
use crate::text::words::split_words;

use super::criteria::Criteria;
use super::fact::Fact;
use super::homes::Facts;
use super::question::Question;
use super::understand::understand;

/// What we offered or asked at the end of the last answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// To tell more about a home.
    More,
    /// To arrange a viewing.
    See,
    /// We asked for a day and time.
    When,
    /// We asked which home is meant.
    Which,
    /// We asked for a name and number.
    Contact,
}

/// The state of a conversation before its next question.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    /// The home last spoken of.
    pub(super) focus: Option<usize>,
    /// The homes last named together, in their order.
    pub(super) shown: Vec<usize>,
    /// What was last searched for.
    pub(super) criteria: Option<Criteria>,
    /// What was last asked about a home.
    pub(super) facts: Vec<Fact>,
    /// What the last answer ended with.
    pub(super) offer: Option<Offer>,
    /// The viewing last asked for, which may still lack its home or its time.
    pub(super) viewing: Option<(Option<usize>, Option<String>)>,
    /// The last answer, as heard.
    pub(super) last_answer: Option<String>,
}

/// Messages looked back at: what was said earlier is no longer "it".
const WINDOW: usize = 20;

/// The text of an offer, and how it is recognised when it was heard.
pub(super) const ASK_MORE: &str = "Shall I tell you more?";
pub(super) const ASK_SEE: &str = "Would you like to see it?";
pub(super) const ASK_WHEN: &str = "Which day and time suit you?";
pub(super) const ASK_WHICH: &str = "Which home do you mean?";
pub(super) const ASK_WHICH_MORE: &str = "Would you like to hear more about one of them?";
pub(super) const ASK_CONTACT: &str = "May I have your name and number?";
pub(super) const ASK_NUMBER: &str = "What is your number?";

/// What was said on both sides in the window that [`Memory`] looks at, oldest first, the last question with it.
pub(super) fn said_lately(messages: &[Message]) -> Vec<String> {
    let last = messages.iter().rposition(|m| m.role == Role::User).map_or(0, |last| last + 1);
    let window = &messages[last.saturating_sub(WINDOW + 1)..last];
    let spoken = window.iter().filter(|m| matches!(m.role, Role::User | Role::Assistant));
    spoken.map(|m| m.text.clone()).collect()
}

impl Memory {
    /// What is known after all of `messages`.
    pub(super) fn recall(messages: &[Message], facts: &Facts) -> Self {
        let mut memory = Self::default();
        for message in &messages[messages.len().saturating_sub(WINDOW)..] {
            match message.role {
                Role::System | Role::Tool => {}
                Role::User => memory.note_question(&understand(&message.text, &memory, facts)),
                Role::Assistant => memory.note_answer(&message.text, facts),
            }
        }
        memory
    }

    fn note_question(&mut self, question: &Question) {
        match question {
            Question::Search(criteria)
            | Question::Others(criteria)
            | Question::Count(criteria)
            | Question::Extreme(_, criteria) => {
                self.criteria = Some(criteria.clone());
                self.facts.clear();
                self.viewing = None;
                self.focus = None;
                self.shown.clear();
            }
            Question::Fact { homes, facts } => {
                self.facts.clone_from(facts);
                self.viewing = None;
                if let [home] = homes[..] {
                    self.focus = Some(home);
                }
            }
            Question::Viewing { home, when } => {
                self.facts.clear();
                self.viewing = Some((*home, when.clone()));
                self.focus = home.or(self.focus);
            }
            Question::Compare { .. } => self.facts.clear(),
            // "It" is not the home spoken of before: the caller went on to another, which we do not have.
            Question::Unlisted { .. } | Question::UnknownStreet { .. } => {
                self.facts.clear();
                self.viewing = None;
                self.focus = None;
                self.shown.clear();
            }
            _ => {}
        }
        self.offer = None;
    }

    fn note_answer(&mut self, text: &str, facts: &Facts) {
        let named = facts.homes_named_in(text);
        match named[..] {
            [] => {}
            [home] => {
                self.focus = Some(home);
                if !self.shown.contains(&home) {
                    self.shown = vec![home];
                }
            }
            _ => {
                self.focus = None;
                self.shown = named;
            }
        }
        // One was offered and the others named because they cannot be had: "it" is the one.
        if self.shown.len() > 1 && text.trim_end().ends_with(ASK_MORE) {
            let available =
                |home: &&usize| facts.listings.at(**home).is_some_and(super::listing::Listing::is_available);
            let mut offered = self.shown.iter().filter(available);
            if let (Some(home), None) = (offered.next(), offered.next()) {
                self.focus = Some(*home);
            }
        }
        self.offer = [
            (ASK_MORE, Offer::More),
            (ASK_SEE, Offer::See),
            (ASK_WHEN, Offer::When),
            (ASK_WHICH, Offer::Which),
            (ASK_WHICH_MORE, Offer::Which),
            (ASK_CONTACT, Offer::Contact),
            (ASK_NUMBER, Offer::Contact),
        ]
        .into_iter()
        .find(|(asked, _)| text.trim_end().ends_with(asked))
        .map(|(_, offer)| offer);
        if !split_words(text).is_empty() {
            self.last_answer = Some(text.trim().to_owned());
        }
    }
}
