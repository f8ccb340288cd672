//! Stages of a turn whose durations sum exactly to its total.
//!
//! The turn machine opens a ledger at the last voiced sample and closes a stage whenever the turn passes from one
//! owner to the next. A stage is the time between two such moments, so the sum is the total by construction.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::SessionTime;

/// Who a millisecond of a turn belongs to, in the order in which a turn passes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// From the last voiced sample to the decision that the caller's turn is over.
    Endpoint,
    /// From the decision to the final transcript.
    Stt,
    /// Looking up what is known about the caller and the homes.
    Context,
    /// From the request to the model's first words.
    Llm,
    /// From the first words to a clause that can be spoken.
    Clause,
    /// From the clause to the voice's first audio.
    Tts,
    /// The engine's own share: from the first audio to its being ready to leave.
    Engine,
    /// Waiting for the caller's player to be free, and for the burst that may still come.
    Pacing,
    /// From leaving the engine to being heard, where the client reports it.
    Client,
}

impl Stage {
    /// All stages in order.
    pub const ALL: [Self; 9] = [
        Self::Endpoint,
        Self::Stt,
        Self::Context,
        Self::Llm,
        Self::Clause,
        Self::Tts,
        Self::Engine,
        Self::Pacing,
        Self::Client,
    ];

    /// The stage's name as it stands in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Stt => "stt",
            Self::Context => "context",
            Self::Llm => "llm",
            Self::Clause => "clause",
            Self::Tts => "tts",
            Self::Engine => "engine",
            Self::Pacing => "pacing",
            Self::Client => "client",
        }
    }
}

/// The account of one turn. Stages only move forward; a moment before the last entry counts as the last entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    zero: SessionTime,
    last: SessionTime,
    stages: [Duration; Stage::ALL.len()],
}

impl Ledger {
    /// Opens the account at the last voiced sample.
    pub fn open(zero: SessionTime) -> Self {
        Self { zero, last: zero, stages: [Duration::ZERO; Stage::ALL.len()] }
    }

    /// Books the time since the last entry on `stage`.
    pub fn book(&mut self, stage: Stage, until: SessionTime) {
        self.stages[stage as usize] += until.since(self.last);
        self.last = self.last.max(until);
    }

    /// The last voiced sample.
    pub fn zero(&self) -> SessionTime {
        self.zero
    }

    /// What `stage` took.
    pub fn of(&self, stage: Stage) -> Duration {
        self.stages[stage as usize]
    }

    /// From the last voiced sample to the last entry: the sum of all stages.
    pub fn total(&self) -> Duration {
        self.last.since(self.zero)
    }

    /// Stages and durations in order.
    pub fn entries(&self) -> impl Iterator<Item = (Stage, Duration)> + '_ {
        Stage::ALL.into_iter().map(|s| (s, self.of(s)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_sum_to_the_total_whatever_the_order_of_moments() {
        let mut ledger = Ledger::open(SessionTime::from_millis(1_000));
        ledger.book(Stage::Endpoint, SessionTime::from_millis(1_200));
        ledger.book(Stage::Stt, SessionTime::from_millis(1_150));
        ledger.book(Stage::Llm, SessionTime::from_millis(1_230));
        ledger.book(Stage::Tts, SessionTime::from_millis(1_290));
        let sum: Duration = ledger.entries().map(|(_, d)| d).sum();
        assert_eq!(sum, ledger.total());
        assert_eq!(ledger.total(), Duration::from_millis(290));
        assert_eq!(ledger.of(Stage::Stt), Duration::ZERO);
    }
}
