//! The playback ledger: one reply at a time, its audio queued, sent and heard.

use std::collections::VecDeque;
use std::time::Duration;

use crate::audio::SampleRate;
use crate::ids::ReplyId;
use crate::text::speakable::Spoken;
use crate::time::SessionTime;

use super::cut;
use super::marks::Marks;

/// In which pieces audio leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Raw frames of 20 ms, up to `lead` before they are due, so that network and timers may be late.
    Frames {
        /// How much the caller's player is kept ahead.
        lead: Duration,
    },
    /// Messages of 0.4 to 2 s, each sent when the one before has been played.
    Messages,
}

/// A piece of audio to be encoded and sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Of which reply.
    pub reply: ReplyId,
    /// When it should leave: at once where this has passed.
    pub due: SessionTime,
    /// Samples of the reply in it.
    samples: usize,
    /// Samples with the silence that fills it up.
    padded: usize,
}

/// Audio of the reply that is being given.
#[derive(Debug)]
pub struct Playout {
    shape: Shape,
    rate: SampleRate,
    /// Whether the client can throw away what it has buffered.
    clears: bool,
    /// The player is busy with what was sent until then.
    busy_until: SessionTime,
    current: Option<Speech>,
    queue: VecDeque<i16>,
    /// A piece was taken and has not left.
    taken: bool,
    /// The client is away since then: nothing leaves, nothing is played.
    paused: Option<SessionTime>,
}

#[derive(Debug)]
struct Speech {
    reply: ReplyId,
    not_before: SessionTime,
    marks: Marks,
    /// Clause ends in samples from the reply's start that are not sent yet.
    clause_ends: VecDeque<u64>,
    pushed: u64,
    sent: u64,
    /// When the sample at `sent` would be played if it were sent in time.
    play_head: Option<SessionTime>,
    finished: bool,
    /// The client's last report: how much it had played, and when it said so.
    reported: Option<(Duration, SessionTime)>,
}

impl Playout {
    /// Nothing queued. `clears`: the client can drop what it has buffered.
    pub fn new(shape: Shape, rate: SampleRate, clears: bool) -> Self {
        let queue = VecDeque::new();
        Self {
            shape,
            rate,
            clears,
            busy_until: SessionTime::ZERO,
            current: None,
            queue,
            taken: false,
            paused: None,
        }
    }

    /// Rate of the samples that are pushed and sent.
    pub fn rate(&self) -> SampleRate {
        self.rate
    }

    /// Until when the player is busy with what has left.
    pub fn busy_until(&self) -> SessionTime {
        self.busy_until
    }

    /// Opens a reply. What was queued of another one is gone. Nothing leaves before `not_before`.
    pub fn begin(&mut self, reply: ReplyId, not_before: SessionTime) {
        self.queue.clear();
        self.taken = false;
        self.current = Some(Speech {
            reply,
            not_before,
            marks: Marks::default(),
            clause_ends: VecDeque::new(),
            pushed: 0,
            sent: 0,
            play_head: None,
            finished: false,
            reported: None,
        });
    }

    /// A clause of the reply was given to the voice: as it stands written, and as it is said.
    pub fn announce_clause(&mut self, reply: ReplyId, written: &str, spoken: Spoken) {
        if let Some(speech) = self.of(reply) {
            speech.marks.announce(written, spoken);
        }
    }

    /// The voice says where a word ends in the reply's audio; see [`Marks::place_word`].
    pub fn place_word(&mut self, reply: ReplyId, clause: usize, upto: usize, end: Duration) {
        if let Some(speech) = self.of(reply) {
            speech.marks.place_word(clause, upto, end);
        }
    }

    /// Queues samples of the reply.
    pub fn push(&mut self, reply: ReplyId, samples: &[i16]) {
        if let Some(speech) = self.of(reply) {
            speech.pushed += samples.len() as u64;
            self.queue.extend(samples);
        }
    }

    /// The audio of the next clause is complete.
    pub fn close_clause(&mut self, reply: ReplyId) {
        let rate = self.rate;
        if let Some(speech) = self.of(reply) {
            speech.clause_ends.push_back(speech.pushed);
            speech.marks.close(rate.duration_of(speech.pushed));
        }
    }

    /// No more samples will come for the reply.
    pub fn finish(&mut self, reply: ReplyId) {
        let rate = self.rate;
        if let Some(speech) = self.of(reply)
            && !speech.finished
        {
            speech.finished = true;
            speech.marks.finish(rate.duration_of(speech.pushed));
        }
    }

    /// Audio that is queued and has not left.
    pub fn queued(&self) -> Duration {
        self.rate.duration_of(self.queue.len() as u64)
    }

    /// Takes the next piece into `out` if it is time to encode it. A piece in hand keeps the next one back until
    /// [`Self::handle_left`] says that it left; where its reply is cleared first, it was never sent.
    pub fn poll(&mut self, now: SessionTime, out: &mut Vec<i16>) -> Option<Piece> {
        if self.poll_timeout()? > now {
            return None;
        }
        let due = self.due()?;
        let speech = self.current.as_mut()?;
        let (samples, padded) = next_piece(self.shape, self.rate, speech, &mut self.queue)?;
        out.clear();
        out.extend(self.queue.drain(..samples));
        out.resize(padded, 0);
        self.taken = true;
        Some(Piece { reply: speech.reply, due, samples, padded })
    }

    /// The piece in hand left at `now`: from then on it is played. `true`: the player ran dry before it, since the
    /// voice or the session was too slow.
    pub fn handle_left(&mut self, piece: Piece, now: SessionTime) -> bool {
        let (shape, rate) = (self.shape, self.rate);
        let Some(speech) = self.of(piece.reply) else { return false };
        // Where the player has run dry, the rest is heard that much later.
        let underrun = speech.play_head.is_some_and(|head| now > head + RUN_DRY);
        let head = match speech.play_head {
            Some(head) if matches!(shape, Shape::Frames { .. }) && now <= head => head,
            _ => now,
        };
        speech.sent += piece.samples as u64;
        while speech.clause_ends.front().is_some_and(|end| *end <= speech.sent) {
            speech.clause_ends.pop_front();
        }
        let head = head + rate.duration_of(piece.padded as u64);
        speech.play_head = Some(head);
        self.busy_until = head;
        self.taken = false;
        underrun
    }

    /// When [`Self::poll`] will next have something, as far as is known. `None`: more audio must come, or the piece in
    /// hand must leave first.
    pub fn poll_timeout(&self) -> Option<SessionTime> {
        let due = self.due()?;
        Some(match self.shape {
            Shape::Frames { .. } => due,
            Shape::Messages => due - ENCODING,
        })
    }

    /// When the next piece should leave.
    fn due(&self) -> Option<SessionTime> {
        let speech = self.current.as_ref().filter(|_| !self.taken && self.paused.is_none())?;
        if !has_piece(self.shape, self.rate, speech, &self.queue) {
            return None;
        }
        let free = self.busy_until;
        let due = match (self.shape, speech.play_head) {
            (Shape::Frames { lead }, Some(head)) => head - lead,
            (Shape::Frames { .. }, None) => free,
            (Shape::Messages, Some(head)) => head + MESSAGE_GAP,
            (Shape::Messages, None) if free == SessionTime::ZERO => free,
            (Shape::Messages, None) => free + MESSAGE_GAP,
        };
        Some(due.max(speech.not_before))
    }

    /// When everything of the reply will have been played, once all of it has left.
    pub fn played_at(&self) -> Option<(ReplyId, SessionTime)> {
        let speech = self.current.as_ref()?;
        if !speech.finished || !self.queue.is_empty() || self.taken || self.paused.is_some() {
            return None;
        }
        Some((speech.reply, speech.play_head.unwrap_or(speech.not_before)))
    }

    /// Whether the client is away.
    pub fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// The client is away since `at`: until [`Self::resume`] nothing leaves, and nothing more counts as heard.
    pub fn pause(&mut self, at: SessionTime) {
        self.paused.get_or_insert(at);
    }

    /// The client is there again. It had received audio as far as `received` says and played that on while it was away;
    /// what it missed, `again` long, is on its way to it once more. Gives by how much everything is later now.
    pub fn resume(
        &mut self,
        now: SessionTime,
        received: Option<(ReplyId, Duration)>,
        again: Duration,
    ) -> Duration {
        let Some(since) = self.paused.take() else { return Duration::ZERO };
        let rate = self.rate;
        let Some((speech, head)) = self.current.as_mut().and_then(|s| s.play_head.map(|head| (s, head)))
        else {
            self.busy_until = self.busy_until.max(now + again);
            return now.since(since);
        };
        let sent = rate.duration_of(speech.sent);
        let received = match received {
            Some((reply, upto)) if reply == speech.reply => upto.min(sent),
            _ => Duration::ZERO,
        };
        let played = (speech.played(sent, since) + now.since(since)).min(received);
        let resumed = now + (received - played) + again;
        speech.reported = speech.reported.map(|_| (played, now));
        speech.play_head = Some(resumed);
        self.busy_until = resumed;
        resumed.since(head)
    }

    /// Which part of its reply's audio a piece in hand is.
    pub fn span(&self, piece: Piece) -> (Duration, Duration) {
        let sent = self.current.as_ref().filter(|s| s.reply == piece.reply).map_or(0, |s| s.sent);
        (self.rate.duration_of(sent), self.rate.duration_of(sent + piece.samples as u64))
    }

    /// Closes a reply that has been played.
    pub fn end(&mut self, reply: ReplyId) {
        if self.of(reply).is_some() {
            self.current = None;
        }
    }

    /// The client says how much of a reply it has played.
    pub fn handle_position(&mut self, reply: ReplyId, played: Duration, now: SessionTime) {
        if let Some(speech) = self.of(reply) {
            speech.reported = Some((played, now));
        }
    }

    /// Throws away what has not left and says which words of the reply were heard.
    pub fn clear(&mut self, reply: ReplyId, now: SessionTime) -> String {
        let until = self.paused.map_or(now, |paused| paused.min(now));
        let (rate, by_message) = (self.rate, self.shape == Shape::Messages && !self.clears);
        let Some(speech) = self.of(reply) else { return String::new() };
        let sent = rate.duration_of(speech.sent);
        // Without reports a message in flight cannot be taken back and is booked as heard.
        let in_flight = by_message && speech.reported.is_none();
        let played = if in_flight { sent } else { speech.played(sent, until) };
        let marks = std::mem::take(&mut speech.marks);
        self.queue.clear();
        self.current = None;
        self.taken = false;
        if self.clears {
            self.busy_until = now;
        }
        marks.heard(played).to_owned()
    }

    fn of(&mut self, reply: ReplyId) -> Option<&mut Speech> {
        self.current.as_mut().filter(|s| s.reply == reply)
    }
}

impl Speech {
    /// How much of what was sent has been played at `now`: by the client's reports, or else by the pacing.
    fn played(&self, sent: Duration, now: SessionTime) -> Duration {
        match self.reported {
            Some((played, at)) => (played + now.since(at)).min(sent),
            None => sent.saturating_sub(self.play_head.map_or(Duration::ZERO, |head| head.since(now))),
        }
    }
}

/// The next message leaves this long after the one before has been played: late enough that a browser whose decoder
/// takes a few milliseconds longer for one than for the next never overlaps them, early enough to be under 40 ms.
const MESSAGE_GAP: Duration = Duration::from_millis(16);
/// A message is encoded this long before it leaves, so that it leaves in time: 2 s of Opus take 10 to 40 ms. What the
/// voice gives in this time is in the next message.
const ENCODING: Duration = Duration::from_millis(80);
/// Lateness that is a gap and not rounding.
const RUN_DRY: Duration = Duration::from_millis(60);

fn frame_samples(rate: SampleRate) -> usize {
    rate.hz() as usize / 50
}

fn has_piece(shape: Shape, rate: SampleRate, speech: &Speech, queue: &VecDeque<i16>) -> bool {
    let enough = match shape {
        Shape::Frames { .. } => frame_samples(rate),
        Shape::Messages => *cut::bounds(rate).start(),
    };
    queue.len() >= enough || (speech.finished && !queue.is_empty())
}

/// Samples of the next piece, and with the silence that fills it up.
fn next_piece(
    shape: Shape,
    rate: SampleRate,
    speech: &Speech,
    queue: &mut VecDeque<i16>,
) -> Option<(usize, usize)> {
    match shape {
        Shape::Frames { .. } => {
            let frame = frame_samples(rate);
            Some((frame.min(queue.len()), frame))
        }
        Shape::Messages => {
            let ends: Vec<usize> =
                speech.clause_ends.iter().map(|end| (end - speech.sent) as usize).collect();
            let samples = cut::next_message(queue.make_contiguous(), &ends, speech.finished, rate)?;
            Some((samples, samples.max(*cut::bounds(rate).start())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::speakable::speak as speakable;

    const RATE: SampleRate = SampleRate::HZ_16000;
    const REPLY: ReplyId = ReplyId(1);

    const fn at(ms: u64) -> SessionTime {
        SessionTime::from_millis(ms)
    }

    /// Sends what is due at `now`, a piece at a time. `None`: nothing is.
    fn send(
        playout: &mut Playout,
        now: SessionTime,
        out: &mut Vec<i16>,
        hand: &mut Option<Piece>,
    ) -> Option<bool> {
        if hand.is_none() {
            *hand = playout.poll(now, out);
        }
        let piece = hand.take_if(|piece| piece.due <= now)?;
        Some(playout.handle_left(piece, now))
    }

    fn speak(playout: &mut Playout, ms: usize) {
        playout.begin(REPLY, SessionTime::ZERO);
        let clause = "one two three four five six seven eight nine ten";
        playout.announce_clause(REPLY, clause, speakable(clause));
        playout.push(REPLY, &vec![1_000; ms * 16]);
        playout.close_clause(REPLY);
        playout.finish(REPLY);
    }

    #[test]
    fn frames_leave_with_the_lead_and_then_one_every_20_ms() {
        let mut playout = Playout::new(Shape::Frames { lead: Duration::from_millis(100) }, RATE, false);
        speak(&mut playout, 1_000);
        let (mut out, mut hand) = (Vec::new(), None);
        let mut sent = Vec::new();
        for ms in 0..1_200 {
            while let Some(underrun) = send(&mut playout, at(ms), &mut out, &mut hand) {
                assert_eq!(out.len(), 320);
                assert!(!underrun);
                sent.push(ms);
            }
        }
        assert_eq!(sent.len(), 50);
        assert_eq!(&sent[..8], &[0, 0, 0, 0, 0, 0, 20, 40]);
        assert_eq!(playout.played_at(), Some((REPLY, at(1_000))));
    }

    #[test]
    fn messages_follow_each_other_without_overlap_and_within_40_ms() {
        let mut playout = Playout::new(Shape::Messages, RATE, false);
        speak(&mut playout, 5_300);
        let (mut out, mut hand, mut end, mut total) = (Vec::new(), None, None, 0);
        for ms in 0..7_000 {
            while send(&mut playout, at(ms), &mut out, &mut hand).is_some() {
                let length = out.len() as u64 / 16;
                assert!((400..=2_000).contains(&length), "{length}");
                if let Some(end) = end {
                    assert!(ms >= end && ms <= end + 40, "{ms} after {end}");
                }
                end = Some(ms + length);
                total += out.len();
            }
        }
        assert_eq!(total, 5_300 * 16);
    }

    #[test]
    fn a_client_that_is_away_hears_nothing_and_goes_on_where_it_was() {
        let lead = Duration::from_millis(200);
        let ms = Duration::from_millis;
        // Frames to sample 700 ms are sent when the client drops at 500 ms, having played as long as that.
        let dropped = || {
            let mut playout = Playout::new(Shape::Frames { lead }, RATE, true);
            speak(&mut playout, 2_000);
            let (mut out, mut hand) = (Vec::new(), None);
            for now in 0..=500 {
                while send(&mut playout, at(now), &mut out, &mut hand).is_some() {}
            }
            playout.pause(at(500));
            assert!(playout.poll(at(9_000), &mut out).is_none() && playout.played_at().is_none());
            playout
        };
        assert_eq!(dropped().clear(REPLY, at(9_000)).trim_end(), "one two", "what was played by the drop");
        // All that was sent had come, and was played on during the gap: the next frame is due at once.
        let mut playout = dropped();
        playout.resume(at(5_500), Some((REPLY, ms(700))), ms(0));
        assert_eq!(playout.poll_timeout(), Some(at(5_300)));
        // Only 200 ms had come: the other 500 are sent again, and are not heard yet.
        let mut playout = dropped();
        playout.resume(at(5_500), Some((REPLY, ms(200))), ms(500));
        assert_eq!(playout.poll_timeout(), Some(at(5_800)));
        assert_eq!(playout.clear(REPLY, at(5_500)).trim_end(), "one");
        // A short gap: the player still had something when the client was back.
        let mut playout = dropped();
        playout.resume(at(550), Some((REPLY, ms(700))), ms(0));
        assert_eq!(playout.poll_timeout(), Some(at(500)));
        // The client's own reports say more than the pacing.
        let mut playout = dropped();
        playout.handle_position(REPLY, ms(200), at(500));
        assert_eq!(playout.clear(REPLY, at(9_000)).trim_end(), "one");
    }

    #[test]
    fn a_new_reply_waits_for_a_player_that_cannot_clear() {
        let mut playout = Playout::new(Shape::Messages, RATE, false);
        speak(&mut playout, 1_500);
        let (mut out, mut hand) = (Vec::new(), None);
        assert!(send(&mut playout, at(0), &mut out, &mut hand).is_some());
        assert_eq!(playout.clear(REPLY, at(100)), "one two three four five six seven eight nine ten");
        playout.begin(ReplyId(2), at(100));
        playout.push(ReplyId(2), &vec![0; 16_000]);
        let piece = playout.poll(at(1_500), &mut out).expect("half a second is there");
        assert!(piece.due >= at(1_500) && piece.due <= at(1_540));
    }

    #[test]
    fn cleared_frames_book_what_was_played_and_not_what_was_sent() {
        let mut playout = Playout::new(Shape::Frames { lead: Duration::from_millis(200) }, RATE, true);
        speak(&mut playout, 1_000);
        let (mut out, mut hand) = (Vec::new(), None);
        for ms in 0..=300 {
            while send(&mut playout, at(ms), &mut out, &mut hand).is_some() {}
        }
        assert_eq!(playout.clear(REPLY, at(300)), "one two three");
    }

    #[test]
    fn a_clients_report_wins_over_the_clock() {
        let mut playout = Playout::new(Shape::Frames { lead: Duration::from_millis(200) }, RATE, true);
        speak(&mut playout, 1_000);
        let (mut out, mut hand) = (Vec::new(), None);
        for ms in 0..=900 {
            while send(&mut playout, at(ms), &mut out, &mut hand).is_some() {}
        }
        playout.handle_position(REPLY, Duration::from_millis(200), at(900));
        assert_eq!(playout.clear(REPLY, at(910)), "one two");
    }

    #[test]
    fn the_next_message_waits_for_one_that_took_long_to_encode() {
        let mut playout = Playout::new(Shape::Messages, RATE, false);
        playout.begin(REPLY, SessionTime::ZERO);
        playout.push(REPLY, &[1_000; 16_000 * 4]);
        playout.finish(REPLY);
        let mut out = Vec::new();
        let piece = playout.poll(at(100), &mut out).expect("four seconds are there");
        assert_eq!(playout.poll_timeout(), None, "a piece is in hand");
        playout.handle_left(piece, at(130));
        let end = at(130) + RATE.duration_of(out.len() as u64);
        assert_eq!(playout.poll_timeout(), Some(end + MESSAGE_GAP - ENCODING));
        let next = playout.poll(end, &mut out).expect("time to encode");
        assert_eq!(next.due, end + MESSAGE_GAP);
    }

    #[test]
    fn a_message_that_was_encoded_and_never_left_was_not_heard() {
        let mut playout = Playout::new(Shape::Messages, RATE, false);
        speak(&mut playout, 3_000);
        let mut out = Vec::new();
        let first = playout.poll(at(0), &mut out).expect("three seconds are there");
        assert_eq!(playout.clear(REPLY, at(10)), "");
        assert!(!playout.handle_left(first, at(11)), "a stale piece changes nothing");
        assert_eq!(playout.played_at(), None);
    }
}
