//! When is a pause the end of a turn? The silence that it takes, fused from what is known.
//!
//! Pure and small: evidence in, a duration out. The turn model hears whether the voice sounds finished, the text shows
//! whether the words are; either can veto an early end, neither alone can force one.

use std::time::Duration;

use super::heard::Reading;
use super::policy::Policy;

/// What is known about a pause.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// The turn model's judgement, 0 to 1, once it is there.
    pub complete: Option<f32>,
    /// How the words so far read.
    pub reads: Reading,
    /// The recogniser is still reading the words up to this pause.
    pub unread: bool,
}

/// The silence after which a turn with this evidence is over. Never more than [`Policy::limit`].
///
/// An early end is cheap: a caller who goes on before he has heard an answer takes the turn back.
pub fn required_silence(evidence: Evidence, policy: &Policy) -> Duration {
    let silence = match (evidence.complete, evidence.reads) {
        (_, Reading::Unfinished) => policy.limit,
        (Some(p), Reading::Complete) if p >= SOUNDS_SURE => policy.sure,
        (Some(p), _) if p >= SOUNDS_COMPLETE => policy.silence,
        // The judgement is not there yet, or there is nobody to judge; the words are plain.
        (None, Reading::Complete) => policy.silence,
        (None, Reading::Open) => policy.unsure,
        (Some(p), Reading::Complete) if p >= SOUNDS_OPEN => policy.likely,
        (Some(p), Reading::Open) if p >= SOUNDS_OPEN => policy.unsure,
        (Some(_), Reading::Complete) => policy.unsure,
        (Some(_), Reading::Open) => policy.limit,
    };
    // The answer needs these words anyway, so an end before they are there is no earlier answer, only a blind one: a busy
    // recogniser may not have got to the "on" after which the caller draws breath.
    if evidence.unread { policy.limit } else { silence.min(policy.limit) }
}

/// From here on the voice sounds finished beyond doubt.
const SOUNDS_SURE: f32 = 0.8;
/// From here on the voice sounds finished. The model's scores are bimodal; between the two thresholds two versions of
/// the runtime differ by up to 0.2, so neither lies near a cluster.
const SOUNDS_COMPLETE: f32 = 0.5;
/// Below this it plainly goes on.
const SOUNDS_OPEN: f32 = 0.15;

#[cfg(test)]
mod tests {
    use super::super::heard::reading;
    use super::*;

    #[test]
    fn sound_and_words_decide_together() {
        let policy = Policy::default();
        let cases = [
            (Some(0.95), "How much is the house on Maple Street?", policy.sure),
            (Some(0.6), "How much is the house on Maple Street?", policy.silence),
            (Some(0.95), "", policy.silence),
            (Some(0.95), "maple street", policy.silence),
            (Some(0.95), "how much is the", policy.limit),
            (Some(0.95), "How much is the.", policy.limit),
            (Some(0.3), "it has to be near a school", policy.unsure),
            (Some(0.3), "Does it have a garage?", policy.likely),
            (Some(0.05), "it has to be near a school", policy.limit),
            (Some(0.05), "Does it have a garage?", policy.unsure),
            (None, "Does it have a garage?", policy.silence),
            (None, "it has to be near a school", policy.unsure),
            (None, "i would like to see the condo and", policy.limit),
        ];
        for (complete, words, wanted) in cases {
            assert_eq!(
                required_silence(Evidence { complete, reads: reading(words), unread: false }, &policy),
                wanted,
                "{complete:?} {words}"
            );
        }
    }

    #[test]
    fn words_that_are_still_being_read_are_waited_for() {
        let policy = Policy::default();
        for (words, read) in [("Is the townhouse", policy.silence), ("Is it sold then?", policy.sure)] {
            let evidence = Evidence { complete: Some(0.95), reads: reading(words), unread: true };
            assert_eq!(required_silence(evidence, &policy), policy.limit, "{words}");
            assert_eq!(required_silence(Evidence { unread: false, ..evidence }, &policy), read, "{words}");
        }
    }

    #[test]
    fn no_evidence_asks_for_more_than_the_limit() {
        let policy = Policy { limit: Duration::from_millis(100), ..Policy::default() };
        for complete in [None, Some(0.0), Some(0.3), Some(1.0)] {
            for words in ["", "how much is the", "How much is it?"] {
                let evidence = Evidence { complete, reads: reading(words), unread: false };
                assert!(required_silence(evidence, &policy) <= policy.limit);
            }
        }
    }
}
