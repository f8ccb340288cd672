//! When the parts of a turn happened on the wall, for the record.
//!
//! The engine dates turns by session time, which runs ahead of the wall where a recording is played in faster than it
//! was spoken; a transcript with those times would go on after the call's end. Here each time is capped by what was
//! seen: words were not begun after they were told, a reply not after its first audio left. In a live call the two
//! clocks are the same, and the engine's more exact time stands. Pure: times are milliseconds of the call.

use super::call::TurnRecord;
use super::messages::ledger_ms;

/// Turns whose words are kept until they end. The engine has at most two open: one being answered, one being said.
const OPEN_TURNS: usize = 8;

/// What was seen of one call.
#[derive(Debug)]
pub(super) struct Dating {
    /// When the engine's clock began.
    opened: u64,
    /// When the words of a turn were told first, by the turn's number.
    words: Vec<(u32, u64)>,
    /// Which reply sounded last.
    sounding: Option<u32>,
    /// When the first reply began to sound that belongs to no turn yet.
    sound: Option<u64>,
}

/// A turn with its times, in milliseconds from the call's begin on the wall.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dated {
    /// The turn.
    pub(super) record: TurnRecord,
    /// When it began.
    pub(super) started_ms: u64,
    /// When its reply was first heard.
    pub(super) reply_started_ms: u64,
}

impl Dating {
    /// The engine's clock began at `opened`.
    pub(super) fn new(opened: u64) -> Self {
        Self { opened, words: Vec::new(), sounding: None, sound: None }
    }

    /// Words of the caller in `turn` were told.
    pub(super) fn handle_words(&mut self, turn: u32, now: u64) {
        if self.words.iter().all(|(known, _)| *known != turn) {
            if self.words.len() >= OPEN_TURNS {
                self.words.remove(0);
            }
            self.words.push((turn, now));
        }
    }

    /// Audio of `reply` left.
    pub(super) fn handle_audio(&mut self, reply: u32, now: u64) {
        // Audio of a reply may follow the end of its turn by a moment; only a new reply begins anything.
        if self.sounding.replace(reply) != Some(reply) {
            self.sound.get_or_insert(now);
        }
    }

    /// A turn is over.
    pub(super) fn date(&mut self, record: TurnRecord, now: u64) -> Dated {
        let told = self.words.iter().find(|(turn, _)| *turn == record.turn).map_or(now, |(_, at)| *at);
        self.words.retain(|(turn, _)| *turn > record.turn);
        let sounded = self.sound.take().unwrap_or(now);
        let (_, total_ms) = ledger_ms(&record.ledger);
        let started_ms = self.opened.saturating_add(record.started_ms).min(told).min(now);
        let reply_at = self.opened.saturating_add(record.zero_ms).saturating_add(total_ms.round() as u64);
        let reply_started_ms = reply_at.min(sounded).max(started_ms).min(now);
        Dated { record, started_ms, reply_started_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Begun, last voiced sample, first sound; by the engine's clock.
    fn record(turn: u32, started_ms: u64, zero_ms: u64, sound_ms: u64) -> TurnRecord {
        TurnRecord {
            turn,
            said: "how much".into(),
            reply: "two".into(),
            heard: "two".into(),
            started_ms,
            zero_ms,
            ledger: vec![("endpoint", (sound_ms - zero_ms) * 1_000)],
            interrupted: false,
            by_person: false,
        }
    }

    fn times(dated: &Dated) -> (u64, u64) {
        (dated.started_ms, dated.reply_started_ms)
    }

    #[test]
    fn a_live_turn_keeps_the_engines_times() {
        let mut dating = Dating::new(30);
        dating.handle_words(1, 1_500);
        dating.handle_words(1, 1_900);
        dating.handle_audio(1, 2_620);
        assert_eq!(times(&dating.date(record(1, 1_000, 2_200, 2_560), 4_000)), (1_030, 2_590));
    }

    #[test]
    fn a_recordings_turns_begin_no_later_than_they_were_seen() {
        // Two minutes of recording before the first words, heard in a second.
        let mut dating = Dating::new(0);
        dating.handle_words(1, 1_000);
        dating.handle_audio(1, 1_400);
        assert_eq!(times(&dating.date(record(1, 120_000, 122_000, 122_300), 3_400)), (1_000, 1_400));
        // The last audio of that reply comes behind the turn's end and is not the next one's.
        dating.handle_audio(1, 3_410);
        dating.handle_words(2, 3_900);
        dating.handle_audio(2, 4_300);
        assert_eq!(times(&dating.date(record(2, 125_000, 126_000, 126_400), 6_000)), (3_900, 4_300));
    }

    #[test]
    fn a_turn_of_which_nothing_was_seen_is_dated_by_its_end_and_order_holds() {
        let mut dating = Dating::new(0);
        assert_eq!(times(&dating.date(record(1, 90_000, 91_000, 91_000), 500)), (500, 500));
        // The caller talks over an answer: his turn's words are told before the answer's turn ends.
        dating.handle_words(2, 700);
        dating.handle_words(3, 900);
        dating.handle_audio(5, 800);
        assert_eq!(times(&dating.date(record(2, 90_000, 91_000, 91_000), 950)), (700, 800));
        assert_eq!(times(&dating.date(record(3, 92_000, 93_000, 93_000), 1_000)), (900, 1_000));
    }

    #[test]
    fn open_turns_are_bounded() {
        let mut dating = Dating::new(0);
        (1..1_000).for_each(|turn| dating.handle_words(turn, 0));
        assert_eq!(dating.words.len(), OPEN_TURNS);
    }
}
