//! Remarks about the talk and not about a home's facts: greetings, viewings, wanting a person, leaving a number.
//!
//! Part of `understand`, split off by subject. Pure.

use crate::text::spoken_numbers::read_numbers;

use super::memory::Offer;
use super::question::Question;
use super::refer::searches_many;
use super::streets::capitalised;
use super::understand::Heard;
use super::when::{has_clock, is_clock, read_when};

impl Heard<'_> {
    /// About the talk and not about homes: repeat, goodbye.
    pub(super) fn call_itself(&self) -> Option<Question> {
        if self.any(&[
            &["say", "that", "again"],
            &["say", "it", "again"],
            &["come", "again"],
            &["what", "did", "you", "say"],
            &["one", "more", "time"],
            &["didn't", "catch"],
            &["didn't", "hear"],
            &["repeat", "that"],
            &["repeat", "it"],
        ]) || self.short(5) && self.has(&["repeat", "pardon"])
            || self.short(1) && self.has(&["sorry", "what"])
        {
            return Some(Question::Repeat);
        }
        let bye = self.has(&["goodbye", "bye", "farewell"])
            || self.any(&[
                &["that's", "all"],
                &["that", "is", "all"],
                &["that", "will", "be", "all"],
                &["that'll", "be", "all"],
                &["nothing", "else"],
                &["good", "night"],
                &["no", "more", "questions"],
                &["talk", "to", "you", "later"],
                &["see", "you"],
            ]);
        (bye && self.short(10) && self.homes.is_empty() || bye && self.has(&["goodbye", "bye"]))
            .then_some(Question::Goodbye)
    }

    pub(super) fn coverage(&self) -> Option<Question> {
        self.any(&[
            &["what", "areas"],
            &["which", "areas"],
            &["what", "cities"],
            &["which", "cities"],
            &["what", "towns"],
            &["where", "are", "your"],
            &["where", "are", "the", "homes"],
            &["what", "kinds", "of"],
            &["what", "types", "of"],
            &["what", "kind", "of", "homes"],
            &["what", "neighborhoods"],
        ])
        .then_some(Question::Coverage)
    }

    pub(super) fn viewing(&self) -> Option<Question> {
        let when = read_when(self.words, &self.taken);
        let wants =
            self.has(&["viewing", "viewings", "tour", "showing", "visit", "appointment", "schedule", "book"])
                || self.any(&[
                    &["come", "by"],
                    &["come", "see"],
                    &["stop", "by"],
                    &["walk", "through"],
                    &["come", "over"],
                ]);
        let looks = self.any(&[
            &["see", "it"],
            &["view", "it"],
            &["see", "the"],
            &["see", "that"],
            &["see", "this"],
            &["look", "at"],
            &["view", "the"],
            &["view", "that"],
            &["see", "them"],
            &["take", "a", "look"],
            &["see", "both"],
        ]) || self.named && self.has(&["see", "view"]);
        let one = !self.homes.is_empty() || !searches_many(self.words) && !self.criteria.narrows();
        let home = self.homes.first().copied();
        let asked_before = self.memory.viewing.clone().or_else(|| {
            matches!(self.memory.offer, Some(Offer::When | Offer::See)).then_some((self.memory.focus, None))
        });
        if wants && !self.says(&["virtual", "tour"])
            || looks && one
            || (self.has(&["see"]) && when.is_some() && one)
        {
            let home = home.or(self.memory.focus);
            return Some(Question::Viewing { home, when });
        }
        if let Some((wanted, time)) = asked_before {
            // The answer to "which day" or "which home".
            if when.is_some() && self.asked.is_empty() {
                // "Saturday" and then "at ten" is one time.
                let when = match (time, when) {
                    (Some(day), Some(clock)) if is_clock(&clock) && !has_clock(&day) => {
                        Some(format!("{day} {clock}"))
                    }
                    (_, when) => when,
                };
                return Some(Question::Viewing { home: home.or(wanted), when });
            }
            if wanted.is_none() && home.is_some() && self.asked.is_empty() {
                return Some(Question::Viewing { home, when: time });
            }
            if self.memory.offer == Some(Offer::See) && self.is_yes() && self.asked.is_empty() {
                return Some(Question::Viewing { home: wanted, when: None });
            }
        }
        None
    }

    /// Wanting a person, or leaving a name and number.
    pub(super) fn person(&self) -> Option<Question> {
        let written = |w: &String| w.bytes().all(|b| b.is_ascii_digit());
        let digits: usize = read_numbers(self.words)
            .iter()
            .filter(|(_, n)| n.value.fract() == 0.0)
            .map(|(at, n)| match &self.words[*at] {
                // Leading zeros count.
                word if n.words == 1 && written(word) => word.len(),
                _ => n.to_string().len(),
            })
            .sum();
        let says_phone = self.any(&[
            &["my", "number"],
            &["my", "phone"],
            &["call", "me"],
            &["reach", "me"],
            &["text", "me"],
        ]);
        let answers = self.memory.offer == Some(Offer::Contact);
        let long_code = self.words.iter().any(|w| (10..=15).contains(&w.len()) && written(w));
        let phone = (digits >= 7 || long_code)
            && (says_phone || answers || digits >= 10 || long_code)
            && !self.has(&["$", "thousand", "million", "under", "over", "between"]);
        let name = self.name().or_else(|| {
            let plain = self.short(3) && self.words.iter().all(|w| w.chars().all(char::is_alphabetic));
            (answers && plain && !self.is_yes() && !self.is_no() && self.asked.is_empty())
                .then(|| self.words.iter().map(|w| capitalised(w)).collect::<Vec<_>>().join(" "))
        });
        if phone || name.is_some() {
            return Some(Question::Contact { name, phone });
        }
        let talks = self.has(&["speak", "talk", "connect", "transfer", "reach", "call", "contact"]);
        let someone = self.has(&[
            "agent",
            "person",
            "human",
            "someone",
            "somebody",
            "realtor",
            "representative",
            "operator",
            "me",
            "team",
        ]);
        let wants = talks && someone && !self.any(&[&["talk", "me", "through"], &["talk", "about"]])
            || self.any(&[
                &["make", "an", "offer"],
                &["real", "person"],
                &["a", "human"],
                &["customer", "service"],
                &["call", "back"],
            ])
            || self.short(2) && self.has(&["operator", "human", "representative"]);
        wants.then_some(Question::Human)
    }

    fn name(&self) -> Option<String> {
        let after = |p: &[&str]| {
            let at = self.words.windows(p.len()).position(|w| w.iter().zip(p).all(|(a, b)| a == b))?;
            let name: Vec<String> = self.words[at + p.len()..]
                .iter()
                .take_while(|w| {
                    !matches!(w.as_str(), "and" | "my" | "at" | "the" | "i" | "i'm" | "you" | "can" | "from")
                })
                .filter(|w| w.chars().all(|c| c.is_alphabetic() || c == '\''))
                .take(3)
                .map(|w| capitalised(w))
                .collect();
            (!name.is_empty()).then(|| name.join(" "))
        };
        after(&["my", "name", "is"])
            .or_else(|| after(&["my", "name's"]))
            .or_else(|| after(&["i", "am", "called"]))
    }

    pub(super) fn is_yes(&self) -> bool {
        self.has(&[
            "yes",
            "yeah",
            "yep",
            "sure",
            "okay",
            "ok",
            "definitely",
            "absolutely",
            "yup",
            "certainly",
        ]) || self.any(&[
            &["go", "ahead"],
            &["i", "would"],
            &["of", "course"],
            &["sounds", "good"],
            &["why", "not"],
        ]) || self.short(2) && self.has(&["right", "correct", "great"])
    }

    pub(super) fn is_no(&self) -> bool {
        self.has(&["no", "nope", "nah"])
            || self.any(&[&["not", "now"], &["not", "really"], &["don't", "think"]])
    }

    pub(super) fn pleasantry(&self) -> Option<Question> {
        if self.any(&[&["how", "are", "you"], &["how's", "it", "going"], &["how", "do", "you", "do"]]) {
            return Some(Question::HowAreYou);
        }
        if self.any(&[
            &["who", "are", "you"],
            &["are", "you", "a", "robot"],
            &["your", "name"],
            &["who", "is", "this"],
        ]) || self.has(&["robot", "bot", "computer", "machine"])
        {
            return Some(Question::WhoAreYou);
        }
        if self.has(&["help"])
            || self.any(&[&["what", "can", "you"], &["what", "can", "i"], &["what", "do", "you", "do"]])
        {
            return Some(Question::WhatCanYouDo);
        }
        if self.has(&["thanks", "thank", "thankyou", "appreciate"]) || self.short(3) && self.has(&["cheers"])
        {
            return Some(Question::Thanks);
        }
        let greets = self.has(&["hello", "hi", "hey", "howdy", "greetings"])
            || self.any(&[
                &["good", "morning"],
                &["good", "afternoon"],
                &["good", "evening"],
                &["good", "day"],
            ]);
        if greets && self.short(8) {
            return Some(Question::Greeting);
        }
        // "no thanks" was thanks above; a plain no or yes answers what we asked.
        if self.is_no() && self.short(8) {
            return Some(Question::No);
        }
        (self.is_yes() && self.short(8)).then_some(Question::Yes)
    }
}
