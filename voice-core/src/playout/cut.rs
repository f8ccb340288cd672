//! Where to cut speech into messages that are played one after another.
//!
//! A message is 0.4 to 2 s long. The best cut is the end of a clause, the next best the quietest moment.

use std::ops::RangeInclusive;

use crate::audio::SampleRate;

/// Shortest message in milliseconds; shorter ones would make the player's scheduling audible.
const MIN_MS: usize = 400;
/// Longest message in milliseconds; what is in flight cannot be taken back.
const MAX_MS: usize = 2_000;
/// How much sound is compared when the quietest moment is looked for.
const WINDOW_MS: usize = 10;

/// Shortest and longest message in samples.
pub(super) fn bounds(rate: SampleRate) -> RangeInclusive<usize> {
    let per_ms = rate.hz() as usize;
    MIN_MS * per_ms / 1_000..=MAX_MS * per_ms / 1_000
}

/// How many of the queued `samples` make the next message. `clause_ends` are offsets into them in rising order;
/// `finished` says that no more will come. `None`: too little to make a message yet.
pub(super) fn next_message(
    samples: &[i16],
    clause_ends: &[usize],
    finished: bool,
    rate: SampleRate,
) -> Option<usize> {
    let (min, max) = (*bounds(rate).start(), *bounds(rate).end());
    if finished && samples.len() <= max {
        return (!samples.is_empty()).then_some(samples.len());
    }
    // Something must be left that is a message of its own where the end is known.
    let most = if finished { max.min(samples.len() - min) } else { max.min(samples.len()) };
    if most < min {
        return None;
    }
    if let Some(end) = clause_ends.iter().rev().find(|end| (min..=most).contains(*end)) {
        return Some(*end);
    }
    let window = (WINDOW_MS * rate.hz() as usize / 1_000).max(1);
    Some(quietest(samples, min.max(most / 2)..=most, window))
}

/// The offset within `range` around which the samples are quietest.
fn quietest(samples: &[i16], range: RangeInclusive<usize>, window: usize) -> usize {
    let loudness = |at: usize| -> u64 {
        let from = at.saturating_sub(window / 2);
        let to = (at + window / 2).min(samples.len());
        samples[from..to].iter().map(|s| u64::from(s.unsigned_abs())).sum()
    };
    let mut best = (*range.end(), loudness(*range.end()));
    for at in range.step_by((window / 2).max(1)) {
        let loud = loudness(at);
        if loud < best.1 {
            best = (at, loud);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: SampleRate = SampleRate::HZ_16000;

    fn loud(ms: usize) -> Vec<i16> {
        (0..ms * 16).map(|i| if i % 2 == 0 { 8_000 } else { -8_000 }).collect()
    }

    #[test]
    fn waits_for_a_messages_worth_unless_the_end_is_known() {
        assert_eq!(next_message(&loud(399), &[], false, RATE), None);
        assert_eq!(next_message(&loud(399), &[], true, RATE), Some(399 * 16));
        assert_eq!(next_message(&[], &[], true, RATE), None);
    }

    #[test]
    fn prefers_the_last_clause_end_that_fits() {
        let cut = next_message(&loud(2_500), &[500 * 16, 1_200 * 16, 2_200 * 16], false, RATE);
        assert_eq!(cut, Some(1_200 * 16));
    }

    #[test]
    fn cuts_in_the_quietest_moment_otherwise() {
        let mut samples = loud(3_000);
        samples[1_500 * 16..1_520 * 16].fill(0);
        let cut = next_message(&samples, &[], false, RATE).expect("enough");
        assert!((1_500 * 16..=1_520 * 16).contains(&cut), "{cut}");
    }

    #[test]
    fn never_leaves_a_rest_too_short_for_a_message() {
        for ms in (400..6_000).step_by(37) {
            let mut rest = loud(ms);
            while let Some(cut) = next_message(&rest, &[], true, RATE) {
                assert!(bounds(RATE).contains(&cut), "{cut} of {}", rest.len());
                rest.drain(..cut);
            }
            assert!(rest.is_empty());
        }
    }
}
