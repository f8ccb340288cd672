//! The numbers of turn-taking, with names by which `voice replay --set` changes them.

use std::time::Duration;

macro_rules! policy {
    ($( $(#[$doc:meta])* $field:ident = $ms:literal, $key:literal; )*) => {
        /// How a call takes turns. Every number is a time; keys are those of `voice replay --set KEY=MILLISECONDS`.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Policy {
            $( $(#[$doc])* pub $field: Duration, )*
        }

        impl Default for Policy {
            fn default() -> Self {
                Self { $( $field: Duration::from_millis($ms), )* }
            }
        }

        impl Policy {
            /// All keys with their default in milliseconds.
            pub const KEYS: &'static [(&'static str, u64)] = &[ $( ($key, $ms), )* ];

            /// Sets one number by its key, in milliseconds up to ten minutes.
            ///
            /// # Errors
            /// An unknown key or a value that is no such number.
            pub fn set(&mut self, key: &str, value: &str) -> Result<(), PolicyError> {
                let slot = match key {
                    $( $key => &mut self.$field, )*
                    _ => return Err(PolicyError::Key(key.to_owned())),
                };
                let ms: u64 = value.parse().ok().filter(|ms| *ms <= 600_000).ok_or_else(|| {
                    PolicyError::Value { key: key.to_owned(), value: value.to_owned() }
                })?;
                *slot = Duration::from_millis(ms);
                Ok(())
            }
        }
    };
}

policy! {
    /// Silence that ends a turn which sounds and reads complete beyond doubt. Raising it makes every answer later;
    /// lowering it starts more answers that are taken back.
    sure = 160, "endpoint.sure_ms";
    /// Silence that ends a turn which sounds complete, or plainly reads so while the sound is not judged yet.
    silence = 200, "endpoint.silence_ms";
    /// Silence that ends a turn which reads complete and does not quite sound so.
    likely = 320, "endpoint.likely_ms";
    /// Silence that ends a turn when nothing says whether it is complete.
    unsure = 480, "endpoint.unsure_ms";
    /// Silence that ends any turn, also one that sounds unfinished, and the longest absence of bytes within one.
    limit = 700, "endpoint.limit_ms";
    /// A turn is decided after this time however much is said.
    long_turn = 60_000, "endpoint.long_turn_ms";
    /// Audio before the first voiced sample that the recogniser gets too, so that no soft onset is lost.
    pre_roll = 300, "endpoint.pre_roll_ms";
    /// Speech over the answer that stops it, from its first voiced sample. A cough is shorter.
    interrupt = 180, "interrupt.after_ms";
    /// The recogniser's time from the end of a turn to its final transcript.
    stt_final = 4_000, "deadline.stt_final_ms";
    /// The model's time to its first text and between two pieces of it.
    reply_text = 8_000, "deadline.reply_text_ms";
    /// The voice's time from a clause to its first audio and between two pieces of it.
    speech = 5_000, "deadline.speech_ms";
    /// Longest wait for more of an answer that has begun to be heard, and for its end.
    playout = 10_000, "deadline.playout_ms";
    /// Nobody speaks for this long: the call ends.
    idle = 300_000, "deadline.idle_ms";
    /// A client whose connection dropped has hung up after this. Longer than the server waits for it.
    away = 90_000, "deadline.away_ms";
    /// From hanging up to the end of the call. The contract is 2 s; this leaves time to store the turn.
    close = 1_500, "deadline.close_ms";
}

/// A setting that does not exist or does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// No such key.
    #[error("there is no setting {0}")]
    Key(String),
    /// Not a whole number of milliseconds up to 600000.
    #[error("{key} takes whole milliseconds up to 600000, not {value}")]
    Value {
        /// Of which key.
        key: String,
        /// What was given.
        value: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_sets_its_own_number() {
        for (key, ms) in Policy::KEYS {
            let mut policy = Policy::default();
            policy.set(key, &(ms + 1).to_string()).expect("a listed key");
            assert_ne!(policy, Policy::default(), "{key}");
            policy.set(key, &ms.to_string()).expect("a listed key");
            assert_eq!(policy, Policy::default(), "{key}");
        }
    }

    #[test]
    fn unknown_keys_and_bad_values_are_named() {
        let mut policy = Policy::default();
        assert_eq!(policy.set("endpoint.silence", "1"), Err(PolicyError::Key("endpoint.silence".into())));
        assert!(matches!(policy.set("endpoint.silence_ms", "-1"), Err(PolicyError::Value { .. })));
        assert!(matches!(policy.set("endpoint.silence_ms", "600001"), Err(PolicyError::Value { .. })));
    }
}
