//! How the simulated services behave: their delays, and what goes wrong with them.

use std::collections::VecDeque;
use std::time::Duration;

/// What a recogniser does wrong with one utterance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SttFault {
    /// Nothing.
    #[default]
    None,
    /// Reports a failure instead of the final transcript.
    Fail,
    /// Never gives the final transcript.
    Silent,
    /// Gives neither partial nor final transcripts.
    Mute,
    /// Gives the final transcript this much later.
    Late(Duration),
}

/// What a language model does wrong with one reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LlmFault {
    /// Nothing.
    #[default]
    None,
    /// Fails after so many tokens.
    Fail {
        /// Tokens before it.
        after: usize,
    },
    /// Says nothing more after so many tokens.
    Stall {
        /// Tokens before it.
        after: usize,
    },
    /// Ends at once without a word.
    Empty,
}

/// What a voice does wrong with one reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TtsFault {
    /// Nothing.
    #[default]
    None,
    /// Fails after so much audio.
    Fail {
        /// Audio before it.
        after: Duration,
    },
    /// Gives nothing more after so much audio.
    Stall {
        /// Audio before it.
        after: Duration,
    },
    /// Ends without any audio.
    Empty,
}

/// A recogniser. Its words are the truth; its faults are taken one for each utterance, in order.
#[derive(Clone, Debug)]
pub struct SttScript {
    /// A partial transcript after each stretch of audio this long.
    pub partial_every: Duration,
    /// How long a partial transcript takes.
    pub partial_lag: Duration,
    /// From the end of an utterance to its final transcript.
    pub final_delay: Duration,
    /// What goes wrong with the first utterances.
    pub faults: VecDeque<SttFault>,
}

impl Default for SttScript {
    fn default() -> Self {
        Self {
            partial_every: Duration::from_millis(200),
            partial_lag: Duration::from_millis(40),
            final_delay: Duration::from_millis(80),
            faults: VecDeque::new(),
        }
    }
}

/// A language model that answers the same few texts in turn.
#[derive(Clone, Debug)]
pub struct LlmScript {
    /// From the request to the first token.
    pub first_token: Duration,
    /// From one token, which is a word, to the next.
    pub token_every: Duration,
    /// What it answers, one after another and then from the start.
    pub answers: Vec<String>,
    /// What goes wrong with the first replies.
    pub faults: VecDeque<LlmFault>,
}

impl LlmScript {
    /// The words of the answer number `k`, each with the space before it.
    pub fn tokens(&self, k: usize) -> Vec<String> {
        if self.answers.is_empty() {
            return Vec::new();
        }
        let answer = &self.answers[k % self.answers.len()];
        answer.split_inclusive(' ').map(str::to_owned).collect()
    }
}

impl Default for LlmScript {
    fn default() -> Self {
        Self {
            first_token: Duration::from_millis(120),
            token_every: Duration::from_millis(20),
            answers: vec![
                "The house on Maple Street has three bedrooms, two baths and a large garden. \
                 It is listed at four hundred thousand dollars. Would you like to see it?"
                    .to_owned(),
                "Yes, it does. It has a garage for two cars, and a driveway for two more.".to_owned(),
            ],
            faults: VecDeque::new(),
        }
    }
}

/// A voice.
#[derive(Clone, Debug)]
pub struct TtsScript {
    /// From the first clause to the first audio.
    pub first_audio: Duration,
    /// How many times faster than it is played audio is made.
    pub speed: f64,
    /// How long a byte of text is spoken.
    pub per_byte: Duration,
    /// What goes wrong with the first replies.
    pub faults: VecDeque<TtsFault>,
}

impl TtsScript {
    /// How long `clause` is spoken.
    pub fn length_of(&self, clause: &str) -> Duration {
        self.per_byte * clause.len() as u32
    }
}

impl Default for TtsScript {
    fn default() -> Self {
        Self {
            first_audio: Duration::from_millis(70),
            speed: 8.0,
            per_byte: Duration::from_millis(66),
            faults: VecDeque::new(),
        }
    }
}
