//! When is a pause the end of a turn? The silence that it takes, fused from what is known.
//!
//! Pure and small: evidence in, a duration out. The turn model hears whether the voice sounds finished, the text shows
//! whether the words are; either can veto an early end, neither alone can force one.

use std::time::Duration;

use super::heard::is_unfinished;
use super::policy::Policy;

/// What is known about a pause.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence<'a> {
    /// The turn model's judgement, 0 to 1, once it is there.
    pub complete: Option<f32>,
    /// The recogniser's words so far.
    pub words: &'a str,
}

/// The silence after which a turn with this evidence is over. Never more than [`Policy::limit`].
pub fn required_silence(evidence: Evidence<'_>, policy: &Policy) -> Duration {
    let by_sound = match evidence.complete {
        Some(p) if p >= SOUNDS_COMPLETE => policy.silence,
        Some(p) if p >= SOUNDS_OPEN => policy.unsure,
        Some(_) => policy.limit,
        None => policy.unsure,
    };
    let by_words = if is_unfinished(evidence.words) { policy.limit } else { Duration::ZERO };
    by_sound.max(by_words).min(policy.limit)
}

/// From here on the voice sounds finished. The model's scores are bimodal; between the two thresholds two versions of
/// the runtime differ by up to 0.2, so neither lies near a cluster.
const SOUNDS_COMPLETE: f32 = 0.5;
/// Below this it plainly goes on.
const SOUNDS_OPEN: f32 = 0.15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_and_words_decide_together() {
        let policy = Policy::default();
        let cases = [
            (Some(0.95), "how much is the house on maple street", policy.silence),
            (Some(0.95), "", policy.silence),
            (Some(0.95), "how much is the", policy.limit),
            (Some(0.3), "how much is it", policy.unsure),
            (Some(0.05), "how much is it", policy.limit),
            (None, "how much is it", policy.unsure),
            (None, "i would like to see the condo and", policy.limit),
        ];
        for (complete, words, wanted) in cases {
            assert_eq!(
                required_silence(Evidence { complete, words }, &policy),
                wanted,
                "{complete:?} {words}"
            );
        }
    }
}
