//! How long each stage may take, counted to the first useful output: words, audio, a transcript, not a first byte.
//!
//! A service that accepts the request and then says nothing is as bad as one that is not there. All numbers are set
//! in one builder and come out as one checked [`Deadlines`]; each stage's share is a [`StageDeadlines`]. The totals
//! lie below the turn machine's own deadlines (`turn::Policy`), which stay the last word.

use std::time::Duration;

macro_rules! deadlines {
    ($( $(#[$doc:meta])* $field:ident = $ms:literal, $key:literal; )*) => {
        /// Sets deadlines one by one; [`build`](Self::build) checks them together.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct DeadlinesBuilder {
            $( $field: Duration, )*
        }

        impl Default for DeadlinesBuilder {
            fn default() -> Self {
                Self { $( $field: Duration::from_millis($ms), )* }
            }
        }

        impl DeadlinesBuilder {
            /// All keys with their default in milliseconds.
            pub const KEYS: &'static [(&'static str, u64)] = &[ $( ($key, $ms), )* ];

            $(
                $(#[$doc])*
                #[must_use]
                pub fn $field(mut self, time: Duration) -> Self {
                    self.$field = time;
                    self
                }
            )*

            /// Sets one deadline by its key, in milliseconds.
            ///
            /// # Errors
            /// An unknown key or a value that is no whole number. Whether it fits is seen when all are set.
            pub fn set(&mut self, key: &str, value: &str) -> Result<(), DeadlineError> {
                let slot = match key {
                    $( $key => &mut self.$field, )*
                    _ => return Err(DeadlineError::Key(key.to_owned())),
                };
                let number = value.parse().map_err(|_| DeadlineError::Value {
                    key: key.to_owned(),
                    value: value.to_owned(),
                })?;
                *slot = Duration::from_millis(number);
                Ok(())
            }

            fn entries(&self) -> impl Iterator<Item = (&'static str, Duration)> {
                [ $( ($key, self.$field), )* ].into_iter()
            }
        }
    };
}

deadlines! {
    /// The recogniser's time to take an utterance's connection. Raised, a dead address is left later.
    stt_connect = 1_000, "resilience.stt_connect_ms";
    /// The recogniser's time from the end of an utterance to its final words, or to the next piece of them.
    stt_final = 1_500, "resilience.stt_final_ms";
    /// Final words that take longer count as a failure, though they are used.
    stt_slow = 800, "resilience.stt_slow_ms";
    /// All attempts at one utterance together, from its end.
    stt_total = 3_500, "resilience.stt_total_ms";
    /// The model's time to accept a request. Some send nothing before the first token, so it is not much shorter.
    llm_connect = 2_000, "resilience.llm_connect_ms";
    /// The model's time to its first words or its first tool call.
    llm_first = 2_500, "resilience.llm_first_ms";
    /// First words that take longer count as a failure, though they are used.
    llm_slow = 1_800, "resilience.llm_slow_ms";
    /// The model's time between two pieces.
    llm_stall = 2_500, "resilience.llm_stall_ms";
    /// All attempts at one reply together, to its first words.
    llm_total = 7_000, "resilience.llm_total_ms";
    /// The voice's time to take a connection.
    tts_connect = 1_000, "resilience.tts_connect_ms";
    /// The voice's time from a clause to its first audio.
    tts_first = 1_500, "resilience.tts_first_ms";
    /// First audio that takes longer counts as a failure, though it is played.
    tts_slow = 900, "resilience.tts_slow_ms";
    /// The voice's time between two pieces of audio while more is owed.
    tts_stall = 1_500, "resilience.tts_stall_ms";
    /// All attempts at one reply's speech together, to the first audio, and again after it broke off.
    tts_total = 4_500, "resilience.tts_total_ms";
    /// Any request as a whole, however lively: an answer of three minutes has lost its way.
    longest = 180_000, "resilience.longest_ms";
}

/// How long everything may take, checked: slow comes before overdue, overdue before the total, the total before the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    stt: StageDeadlines,
    llm: StageDeadlines,
    tts: StageDeadlines,
}

/// How long one stage's request may take. Each is counted from when the output is wanted, or from the attempt's start
/// where that is later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageDeadlines {
    /// Until the service has accepted the attempt, from its start.
    pub connect: Duration,
    /// Until the first useful output.
    pub first: Duration,
    /// A first useful output after this counts as a failure.
    pub slow: Duration,
    /// Between two pieces of useful output.
    pub stall: Duration,
    /// Until the first useful output, all attempts together.
    pub total: Duration,
    /// Until the end, whatever happens.
    pub longest: Duration,
}

impl DeadlinesBuilder {
    /// Checks that the numbers make sense together.
    ///
    /// # Errors
    /// A deadline outside 10 ms to 10 minutes, or two in the wrong order.
    pub fn build(&self) -> Result<Deadlines, DeadlineError> {
        for (key, time) in self.entries() {
            if !(LEAST..=MOST).contains(&time) {
                return Err(DeadlineError::Range { key });
            }
        }
        let ordered = [
            (self.stt_connect, "stt_connect", self.stt_total, "stt_total"),
            (self.stt_slow, "stt_slow", self.stt_final, "stt_final"),
            (self.stt_final, "stt_final", self.stt_total, "stt_total"),
            (self.stt_total, "stt_total", self.longest, "longest"),
            (self.llm_connect, "llm_connect", self.llm_total, "llm_total"),
            (self.llm_slow, "llm_slow", self.llm_first, "llm_first"),
            (self.llm_first, "llm_first", self.llm_total, "llm_total"),
            (self.llm_stall, "llm_stall", self.longest, "longest"),
            (self.llm_total, "llm_total", self.longest, "longest"),
            (self.tts_connect, "tts_connect", self.tts_total, "tts_total"),
            (self.tts_slow, "tts_slow", self.tts_first, "tts_first"),
            (self.tts_first, "tts_first", self.tts_total, "tts_total"),
            (self.tts_stall, "tts_stall", self.longest, "longest"),
            (self.tts_total, "tts_total", self.longest, "longest"),
        ];
        for (less, shorter, more, longer) in ordered {
            if less > more {
                return Err(DeadlineError::Order { shorter, longer });
            }
        }
        Ok(self.checked())
    }

    fn checked(&self) -> Deadlines {
        let longest = self.longest;
        Deadlines {
            stt: StageDeadlines {
                connect: self.stt_connect,
                first: self.stt_final,
                slow: self.stt_slow,
                // Partial words came while the caller spoke; from the end on, the final ones are the next piece.
                stall: self.stt_final,
                total: self.stt_total,
                longest,
            },
            llm: StageDeadlines {
                connect: self.llm_connect,
                first: self.llm_first,
                slow: self.llm_slow,
                stall: self.llm_stall,
                total: self.llm_total,
                longest,
            },
            tts: StageDeadlines {
                connect: self.tts_connect,
                first: self.tts_first,
                slow: self.tts_slow,
                stall: self.tts_stall,
                total: self.tts_total,
                longest,
            },
        }
    }
}

/// Below this a deadline only says that nothing may work.
const LEAST: Duration = Duration::from_millis(10);
/// Nobody waits longer.
const MOST: Duration = Duration::from_secs(600);

impl Default for Deadlines {
    fn default() -> Self {
        // The defaults are in order; a test checks it.
        DeadlinesBuilder::default().checked()
    }
}

impl Deadlines {
    /// All defaults, to be changed.
    pub fn builder() -> DeadlinesBuilder {
        DeadlinesBuilder::default()
    }

    /// Those of speech-to-text.
    pub const fn stt(&self) -> StageDeadlines {
        self.stt
    }

    /// Those of the language model.
    pub const fn llm(&self) -> StageDeadlines {
        self.llm
    }

    /// Those of text-to-speech.
    pub const fn tts(&self) -> StageDeadlines {
        self.tts
    }
}

/// A deadline that does not exist or does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeadlineError {
    /// No such key.
    #[error("there is no deadline {0}")]
    Key(String),
    /// Not a whole number.
    #[error("{key} takes whole milliseconds, not {value}")]
    Value {
        /// Of which key.
        key: String,
        /// What was given.
        value: String,
    },
    /// Too short or too long to make sense.
    #[error("{key} takes 10 to 600000 milliseconds")]
    Range {
        /// Of which key.
        key: &'static str,
    },
    /// One that has to pass first comes later.
    #[error("{shorter} must not be longer than {longer}")]
    Order {
        /// The one that is too long.
        shorter: &'static str,
        /// The one that it must not exceed.
        longer: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_order_and_each_key_sets_its_own() {
        assert_eq!(Deadlines::builder().build(), Ok(Deadlines::default()));
        for (key, ms) in DeadlinesBuilder::KEYS {
            let mut builder = Deadlines::builder();
            builder.set(key, &(ms + 1).to_string()).expect("a listed key");
            assert_ne!(builder, Deadlines::builder(), "{key}");
            builder.set(key, &ms.to_string()).expect("a listed key");
            assert_eq!(builder, Deadlines::builder(), "{key}");
        }
    }

    #[test]
    fn each_number_reaches_its_stage() {
        let mut builder = Deadlines::builder();
        for (n, (key, _)) in DeadlinesBuilder::KEYS.iter().enumerate() {
            // All different, and in the order of the checks.
            let ms = match key.rsplit('.').next().unwrap_or_default() {
                key if key.ends_with("slow_ms") => 100 + n,
                key if key.ends_with("total_ms") => 10_000 + n,
                key if key.starts_with("longest") => 20_000,
                _ => 1_000 + n,
            };
            builder.set(key, &ms.to_string()).expect("a listed key");
        }
        let deadlines = builder.build().expect("in order");
        let numbers = |of: StageDeadlines| {
            [of.connect, of.first, of.slow, of.stall, of.total, of.longest].map(|time| time.as_millis())
        };
        assert_eq!(numbers(deadlines.stt()), [1_000, 1_001, 102, 1_001, 10_003, 20_000]);
        assert_eq!(numbers(deadlines.llm()), [1_004, 1_005, 106, 1_007, 10_008, 20_000]);
        assert_eq!(numbers(deadlines.tts()), [1_009, 1_010, 111, 1_012, 10_013, 20_000]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let cases = [
            ("resilience.tts_slow_ms", "1501", "tts_slow must not be longer than tts_first"),
            ("resilience.stt_final_ms", "3501", "stt_final must not be longer than stt_total"),
            ("resilience.llm_total_ms", "2499", "llm_first must not be longer than llm_total"),
            ("resilience.longest_ms", "3000", "stt_total must not be longer than longest"),
            ("resilience.llm_stall_ms", "9", "resilience.llm_stall_ms takes 10 to 600000 milliseconds"),
            ("resilience.longest_ms", "600001", "resilience.longest_ms takes 10 to 600000 milliseconds"),
        ];
        for (key, value, wanted) in cases {
            let mut builder = Deadlines::builder();
            builder.set(key, value).expect("a listed key");
            assert_eq!(builder.build().expect_err(key).to_string(), wanted);
        }
        let mut builder = Deadlines::builder();
        assert_eq!(builder.set("llm_first", "1"), Err(DeadlineError::Key("llm_first".into())));
        assert!(matches!(builder.set("resilience.llm_first_ms", "1.5"), Err(DeadlineError::Value { .. })));
    }
}
