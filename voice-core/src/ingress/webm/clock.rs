//! Which block plays, and how much was lost before it, by its timestamp.
//!
//! Timestamps are rounded to a millisecond and may come from another clock than the samples, so small differences mean
//! nothing. Everything is counted at 48 kHz. Messages can be lost, repeated, or lost together with the header that gives
//! later timestamps their meaning; the rules below keep the audio that is there and the time that has passed.

use std::collections::VecDeque;

use super::repeat::{FNV_BASIS, fnv};

/// Timestamps closer to the expected one than this, and than half a block, are jitter: 5 ms.
const MIN_TOLERANCE_48K: i64 = 240;

/// Blocks remembered to recognise a repeated message: over 10 s of 20 ms blocks.
const REMEMBERED: usize = 512;

/// How much may run backwards before it counts as a new timeline whose header was lost: 250 ms.
const BACKWARD_48K: i64 = 12_000;

/// How far ahead of the last one a block may be to be believed where the stream is broken: 10 s.
const BELIEVED_48K: i64 = 480_000;

/// What to do with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Play it, after filling a gap.
    Play {
        /// What was lost before it.
        gap_48k: u64,
    },
    /// It was played before, or is too late.
    Drop,
}

/// The timeline of one track.
#[derive(Debug, Default)]
pub(super) struct BlockClock {
    line: Option<Line>,
    /// Timestamp and mark of blocks that were played, the latest last.
    recent: VecDeque<(i64, u64)>,
}

#[derive(Debug)]
struct Line {
    /// Where the next block should start.
    next: i64,
    /// Where the last one started.
    last: i64,
    /// Added to timestamps while they count from something that was lost.
    shift: i64,
    /// How much has come that starts no later than the last one.
    backward: i64,
}

impl BlockClock {
    /// Judges a block that starts at `stamp`, plays for `duration`, and looks like `mark`.
    pub(super) fn arrive(&mut self, stamp: i64, duration: i64, mark: u64) -> Arrival {
        let tolerance = (duration / 2).max(MIN_TOLERANCE_48K);
        let Some(line) = &mut self.line else {
            self.line = Some(Line { next: stamp + duration, last: stamp, shift: 0, backward: 0 });
            self.remember(stamp, mark);
            return Arrival::Play { gap_48k: 0 };
        };
        if line.shift != 0 && stamp + tolerance >= line.next {
            // Timestamps make sense by themselves again, so time lost in between shows now.
            line.shift = 0;
        }
        let mut start = stamp + line.shift;
        if start <= line.last {
            if self.recent.iter().rev().any(|&played| played == (stamp, mark)) {
                return Arrival::Drop;
            }
            line.backward += duration;
            if line.backward <= BACKWARD_48K {
                return Arrival::Drop;
            }
            line.shift = line.next - stamp;
            start = line.next;
        }
        line.backward = 0;
        let gap = start - line.next;
        line.last = start;
        line.next = if gap.abs() >= tolerance { start + duration } else { line.next + duration };
        self.remember(stamp, mark);
        Arrival::Play { gap_48k: if gap >= tolerance { gap as u64 } else { 0 } }
    }

    /// Whether a block found in a broken stream is likely to be one, by its timestamp.
    pub(super) fn believes(&self, stamp: i64) -> bool {
        self.line.as_ref().is_none_or(|line| {
            let ahead = stamp + line.shift - line.last;
            (1..=BELIEVED_48K).contains(&ahead)
        })
    }

    fn remember(&mut self, stamp: i64, mark: u64) {
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        } else if self.recent.capacity() == 0 {
            self.recent.reserve_exact(REMEMBERED);
        }
        self.recent.push_back((stamp, mark));
    }
}

/// A mark by which a repeated block is recognised: FNV-1a over its length and both ends.
pub(super) fn mark(payload: &[u8]) -> u64 {
    const ENDS: usize = 32;
    let head = &payload[..payload.len().min(ENDS)];
    let tail = &payload[payload.len().saturating_sub(ENDS)..];
    let length = (payload.len() as u64).to_le_bytes();
    fnv(fnv(fnv(FNV_BASIS, head), tail), &length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 48;

    fn play(gap_ms: u64) -> Arrival {
        Arrival::Play { gap_48k: gap_ms * 48 }
    }

    /// A clock that has played ten blocks of 20 ms from 0.
    fn running() -> BlockClock {
        played(10)
    }

    fn played(blocks: i64) -> BlockClock {
        let mut clock = BlockClock::default();
        for i in 0..blocks {
            assert_eq!(clock.arrive(i * 20 * MS, 20 * MS, i as u64), play(0));
        }
        clock
    }

    #[test]
    fn rounding_and_jitter_are_no_gap() {
        let mut clock = BlockClock::default();
        for (i, jitter) in [0, 1, -1, 4, -4, 2, 0].into_iter().enumerate() {
            let stamp = 1_000 + 60 * i as i64 + jitter;
            assert_eq!(clock.arrive(stamp * MS, 60 * MS, i as u64), play(0));
        }
    }

    #[test]
    fn a_jump_ahead_is_a_gap_once() {
        let mut clock = running();
        assert_eq!(clock.arrive(300 * MS, 20 * MS, 99), play(100));
        assert_eq!(clock.arrive(320 * MS, 20 * MS, 98), play(0));
    }

    #[test]
    fn one_lost_packet_of_twenty_milliseconds_is_seen() {
        assert_eq!(running().arrive(220 * MS, 20 * MS, 99), play(20));
    }

    #[test]
    fn slow_drift_of_the_clocks_is_made_up_in_small_steps() {
        let mut clock = BlockClock::default();
        let mut filled = 0;
        for i in 0..50_000i64 {
            // The recorder's clock runs 0.1 % faster than the samples.
            let stamp = (i * 20 * MS) * 1_001 / 1_000;
            if let Arrival::Play { gap_48k } = clock.arrive(stamp, 20 * MS, i as u64) {
                filled += gap_48k;
            }
        }
        assert!((filled as i64 - 1_000 * MS).abs() < 20 * MS, "{filled}");
    }

    #[test]
    fn a_repeated_message_is_dropped_whole() {
        let mut clock = running();
        for i in 3..10 {
            assert_eq!(clock.arrive(i * 20 * MS, 20 * MS, i as u64), Arrival::Drop);
        }
        assert_eq!(clock.arrive(200 * MS, 20 * MS, 10), play(0));
    }

    #[test]
    fn a_block_out_of_order_is_dropped() {
        let mut clock = running();
        assert_eq!(clock.arrive(60 * MS, 20 * MS, 77), Arrival::Drop);
        assert_eq!(clock.arrive(200 * MS, 20 * MS, 10), play(0));
    }

    #[test]
    fn a_lost_cluster_header_costs_a_quarter_second_and_no_time() {
        let mut clock = played(30);
        // The header that said 1,000 ms is lost, so the timestamps seem to start at 0 again.
        let arrivals: Vec<Arrival> =
            (0..25).map(|i| clock.arrive(i * 20 * MS, 20 * MS, 100 + i as u64)).collect();
        assert_eq!(arrivals.iter().filter(|&&a| a == Arrival::Drop).count(), 12);
        assert!(arrivals[12..].iter().all(|&a| a == play(0)));
        // The next header is right again: 600 ms were played, then 13 blocks, and now it is 2 s.
        assert_eq!(clock.arrive(2_000 * MS, 20 * MS, 500), play(2_000 - 600 - 13 * 20));
    }

    #[test]
    fn a_new_timeline_whose_header_was_lost_plays_on() {
        let mut clock = BlockClock::default();
        clock.arrive(3_600_000 * MS, 20 * MS, 1);
        let dropped = (0..1_000)
            .filter(|&i| clock.arrive(i * 20 * MS, 20 * MS, 100 + i as u64) == Arrival::Drop)
            .count();
        assert_eq!(dropped, 12);
    }
}
