//! One utterance as the local recogniser keeps it: its audio, what was understood so far, and what to transcribe next.
//!
//! Pure: frames and texts go in, ranges of audio to transcribe and texts come out. A transcript is of use as long as
//! no voiced audio came after it, which is what makes a final transcript immediate after a pause that was hinted at.
//! Caller: `recogniser`.

use super::moonshine::{LONGEST_WINDOW, cut_point};
use crate::audio::{FRAME_SAMPLES, Frame};
use crate::ids::UtteranceId;
use crate::stt::words::{join, stable_prefix};
use crate::vad::{NoiseFloor, SILENCE_DBFS, level_dbfs};

/// An utterance that is open, or finalised and waiting for its words.
pub(crate) struct Utterance {
    pub(crate) id: UtteranceId,
    /// Different for every utterance of a stream, even where ids are not.
    pub(crate) serial: u64,
    /// Nothing comes any more.
    pub(crate) finalised: bool,
    /// The caller paused: transcribe all that there is. The voiced end at that moment.
    paused: Option<usize>,
    /// Audio that is not settled.
    audio: Vec<i16>,
    voice: VoicedEnd,
    /// Words of audio that is settled and gone.
    settled: String,
    /// The newest transcript of `audio`.
    newest: Option<Transcript>,
    /// The transcript before it, for what is stable.
    before: Option<String>,
    /// Length of `audio` when it was last transcribed.
    transcribed_at: usize,
}

/// The words of `audio` up to its `voiced_end`.
struct Transcript {
    voiced_end: usize,
    text: String,
}

/// What to transcribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// The first samples of the unsettled audio, this many.
    pub(crate) samples: usize,
    /// The voiced end that the transcript will cover; none for a window that will be settled.
    pub(crate) covers: Option<usize>,
}

/// Whether to transcribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Nothing new.
    Nothing,
    /// A partial would be of use, if the machine has time.
    Welcome,
    /// Somebody waits for it.
    Wanted,
}

/// The words so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) text: String,
    pub(crate) stable: usize,
}

impl Utterance {
    pub(crate) fn new(id: UtteranceId, serial: u64) -> Self {
        Self {
            id,
            serial,
            finalised: false,
            paused: None,
            audio: Vec::with_capacity(ROOM),
            voice: VoicedEnd::default(),
            settled: String::new(),
            newest: None,
            before: None,
            transcribed_at: 0,
        }
    }

    /// Takes 20 ms. `false`: [`MOST_AUDIO`] is waiting already, the frame is lost.
    pub(crate) fn push(&mut self, frame: &Frame) -> bool {
        if self.audio.len() + FRAME_SAMPLES > MOST_AUDIO {
            return false;
        }
        for block in frame.chunks_exact(BLOCK) {
            self.audio.extend_from_slice(block);
            self.voice.note(level_dbfs(block), self.audio.len());
        }
        if self.voice.end == 0 && self.audio.len() >= LEAD_AT_MOST {
            self.audio.drain(..LEAD_AT_MOST / 2);
        }
        if self.paused.is_some_and(|at| self.voice.end > at + PAUSE_SLACK) {
            self.paused = None;
        }
        true
    }

    /// The caller seems to have paused.
    pub(crate) fn note_pause(&mut self) {
        self.paused = Some(self.voice.end);
    }

    /// Whether the caller paused and what was said up to there is not transcribed.
    pub(crate) fn is_unread(&self) -> bool {
        self.paused.is_some()
    }

    pub(crate) fn voiced_end(&self) -> usize {
        self.voice.end
    }

    pub(crate) fn audio(&self, range: Range) -> &[i16] {
        &self.audio[..range.samples.min(self.audio.len())]
    }

    /// What there is to do, without saying how much audio it takes.
    pub(crate) fn work(&self) -> Work {
        if self.is_current() || self.voice.end == 0 {
            Work::Nothing
        } else if self.finalised || self.paused.is_some() || self.end() > LONGEST_WINDOW {
            Work::Wanted
        } else if self.is_dip()
            || (self.voice.end >= FIRST_PARTIAL && self.audio.len() >= self.transcribed_at + PARTIAL_EVERY)
        {
            Work::Welcome
        } else {
            Work::Nothing
        }
    }

    /// Whether the newest sound is silence that may become a pause.
    pub(crate) fn is_dip(&self) -> bool {
        self.audio.len() >= self.voice.end + DIP
    }

    /// What to transcribe next: a window that must be settled, or everything.
    pub(crate) fn next_range(&self) -> Option<Range> {
        if self.work() == Work::Nothing {
            return None;
        }
        let end = self.end();
        if end > LONGEST_WINDOW {
            return Some(Range { samples: cut_point(&self.audio[..end]), covers: None });
        }
        Some(Range { samples: end, covers: Some(self.voice.end) })
    }

    /// End of the audio that is worth transcribing.
    fn end(&self) -> usize {
        (self.voice.end + TAIL).min(self.audio.len())
    }

    /// Marks that `range` is being transcribed.
    pub(crate) fn note_started(&mut self, range: Range) {
        if range.covers.is_some() {
            self.transcribed_at = self.audio.len();
        }
    }

    /// Takes the words of `range`.
    pub(crate) fn absorb(&mut self, range: Range, text: String) -> Words {
        match range.covers {
            Some(voiced_end) => {
                self.before = self.newest.take().map(|transcript| transcript.text);
                self.newest = Some(Transcript { voiced_end, text });
                if voiced_end == self.voice.end {
                    self.paused = None;
                }
            }
            None => {
                self.settled = join(&self.settled, &text);
                let gone = range.samples.min(self.audio.len());
                self.audio.drain(..gone);
                self.voice.end = self.voice.end.saturating_sub(gone);
                self.paused = self.paused.map(|at| at.saturating_sub(gone));
                self.transcribed_at = 0;
                self.newest = None;
                self.before = None;
            }
        }
        self.words()
    }

    /// The final words, if they are known.
    pub(crate) fn final_words(&self) -> Option<String> {
        (self.is_current() || self.voice.end == 0).then(|| self.words().text)
    }

    /// Whether the newest transcript covers all voiced audio.
    fn is_current(&self) -> bool {
        self.newest.as_ref().is_some_and(|transcript| transcript.voiced_end == self.voice.end)
    }

    fn words(&self) -> Words {
        let newest = self.newest.as_ref().map_or("", |transcript| transcript.text.as_str());
        let text = join(&self.settled, newest);
        // Settled text stays whatever comes.
        let offset = text.len() - newest.len();
        let agreed = stable_prefix(self.before.as_deref().unwrap_or(""), newest);
        let stable = if agreed == 0 { self.settled.len() } else { offset + agreed };
        Words { text, stable }
    }
}

/// Room for a window and what comes while it is transcribed: 12 s. Only what is used costs memory.
const ROOM: usize = 12 * 16_000;
/// Most audio that waits to be transcribed: 60 s.
const MOST_AUDIO: usize = 60 * 16_000;
/// Silence at the start is kept to half of this: 2 s.
const LEAD_AT_MOST: usize = 2 * 16_000;
/// A pause is still one if the last sound turns out to end a little later: 100 ms.
const PAUSE_SLACK: usize = 1_600;
/// New audio that is worth another partial transcript: 0.5 s.
const PARTIAL_EVERY: usize = 8_000;
/// Silence that may become a pause: 80 ms. To transcribe already now has the final words ready some 30 ms earlier;
/// where it was only the stop of a consonant, the transcript is a partial like any other.
const DIP: usize = 1_280;
/// No partial before there may be a word: 0.5 s of audio with voice in it.
const FIRST_PARTIAL: usize = 8_000;
/// Audio that is kept after the last voiced sample: 160 ms. The model mishears last words that end abruptly.
const TAIL: usize = 2_560;
/// Loudness is judged in blocks of 10 ms.
const BLOCK: usize = 160;

/// Where the voiced part of an utterance ends, by loudness.
struct VoicedEnd {
    floor: NoiseFloor,
    peak: f32,
    end: usize,
}

impl Default for VoicedEnd {
    fn default() -> Self {
        // 100 blocks are 1 s; an utterance starts with some audio from before the speech.
        Self { floor: NoiseFloor::unknown(100), peak: SILENCE_DBFS, end: 0 }
    }
}

impl VoicedEnd {
    fn note(&mut self, level: f32, end: usize) {
        let floor = self.floor.follow(level);
        self.peak = self.peak.max(level);
        let audible =
            (self.peak - BELOW_PEAK_DB).max(floor + ABOVE_FLOOR_DB).min(self.peak - SURE_BELOW_PEAK_DB);
        if level >= audible.max(AUDIBLE_DBFS) {
            self.end = end;
        }
    }
}

/// A block this far below the loudest is not part of a word.
const BELOW_PEAK_DB: f32 = 38.0;
/// A block of a word stands out of the background by this much.
const ABOVE_FLOOR_DB: f32 = 8.0;
/// A block this close to the loudest is voiced whatever the background: it may be all speech so far.
const SURE_BELOW_PEAK_DB: f32 = 12.0;
/// Nothing below this is a voice.
const AUDIBLE_DBFS: f32 = -62.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(level: i16) -> Frame {
        std::array::from_fn(|i| if i % 2 == 0 { level } else { -level })
    }

    /// An utterance of stretches of (level, number of frames).
    fn utterance(stretches: &[(i16, usize)]) -> Utterance {
        let mut utterance = Utterance::new(UtteranceId(1), 1);
        push(&mut utterance, stretches);
        utterance
    }

    fn push(utterance: &mut Utterance, stretches: &[(i16, usize)]) {
        for &(level, n) in stretches {
            for _ in 0..n {
                utterance.push(&frame(level));
            }
        }
    }

    #[test]
    fn the_voiced_end_is_that_of_the_loud_part() {
        let u = utterance(&[(20, 15), (3_000, 50), (20, 30)]);
        assert_eq!(u.voiced_end(), 65 * FRAME_SAMPLES);
        let noisy = utterance(&[(300, 15), (5_000, 50), (300, 30)]);
        assert_eq!(
            noisy.voiced_end(),
            65 * FRAME_SAMPLES,
            "background that starts the utterance is not voiced"
        );
        let at_once = utterance(&[(600, 50), (5, 30)]);
        assert_eq!(at_once.voiced_end(), 50 * FRAME_SAMPLES, "speech from the first frame on");
        assert_eq!(utterance(&[(0, 50)]).voiced_end(), 0);
        assert_eq!(utterance(&[(10, 50)]).voiced_end(), 0);
    }

    #[test]
    fn silence_needs_no_transcript() {
        let mut u = utterance(&[(0, 100)]);
        u.finalised = true;
        assert_eq!(u.next_range(), None);
        assert_eq!(u.final_words().as_deref(), Some(""));
    }

    #[test]
    fn the_silent_tail_is_not_transcribed() {
        let mut u = utterance(&[(20, 15), (3_000, 50), (20, 100)]);
        u.finalised = true;
        let voiced = 65 * FRAME_SAMPLES;
        assert_eq!(u.next_range(), Some(Range { samples: voiced + TAIL, covers: Some(voiced) }));
    }

    #[test]
    fn partials_are_due_every_half_second_of_voice() {
        let mut u = utterance(&[(20, 15), (3_000, 9)]);
        assert_eq!(u.next_range(), None, "too early");
        push(&mut u, &[(3_000, 1)]);
        let range = u.next_range().expect("half a second is there");
        u.note_started(range);
        assert_eq!(u.next_range(), None, "not again at once");
        u.absorb(range, "a".into());
        push(&mut u, &[(3_000, 24)]);
        assert_eq!(u.next_range(), None);
        push(&mut u, &[(3_000, 1)]);
        assert!(u.next_range().is_some());
    }

    #[test]
    fn a_transcript_is_final_while_no_voice_came_after_it() {
        let mut u = utterance(&[(20, 15), (3_000, 50), (20, 5)]);
        u.note_pause();
        let range = u.next_range().expect("a pause asks for a transcript");
        u.note_started(range);
        push(&mut u, &[(20, 5)]);
        u.absorb(range, "two rooms".into());
        assert_eq!(u.work(), Work::Nothing);
        push(&mut u, &[(20, 5)]);
        assert_eq!(u.final_words().as_deref(), Some("two rooms"));
        push(&mut u, &[(3_000, 2)]);
        assert_eq!(u.final_words(), None, "voice came");
        u.finalised = true;
        assert!(u.next_range().is_some());
    }

    #[test]
    fn a_dip_asks_for_a_transcript_before_anybody_tells_of_a_pause() {
        let mut u = utterance(&[(20, 15), (3_000, 40)]);
        let range = u.next_range().expect("a partial");
        u.note_started(range);
        u.absorb(range, "two".into());
        push(&mut u, &[(3_000, 5), (20, 3)]);
        assert_eq!(u.work(), Work::Nothing);
        push(&mut u, &[(20, 1)]);
        assert_eq!(u.work(), Work::Welcome);
        let range = u.next_range().expect("all of it");
        u.note_started(range);
        u.absorb(range, "two rooms".into());
        push(&mut u, &[(20, 50)]);
        assert_eq!(u.work(), Work::Nothing, "once is enough");
        assert_eq!(u.final_words().as_deref(), Some("two rooms"));
    }

    #[test]
    fn a_pause_is_over_when_the_caller_goes_on() {
        let mut u = utterance(&[(20, 15), (3_000, 20), (20, 1)]);
        u.note_pause();
        let range = u.next_range().expect("a pause asks for a transcript");
        u.note_started(range);
        push(&mut u, &[(3_000, 3)]);
        u.absorb(range, "two".into());
        assert_eq!(u.work(), Work::Wanted, "the sound only ended later");
        push(&mut u, &[(3_000, 6)]);
        assert_eq!(u.work(), Work::Nothing, "until the next partial");
    }

    #[test]
    fn silence_before_speech_does_not_pile_up() {
        let mut u = utterance(&[(0, 60 * 60), (3_000, 10)]);
        u.finalised = true;
        let range = u.next_range().expect("a word");
        assert!(
            (FRAME_SAMPLES * 10..LEAD_AT_MOST + FRAME_SAMPLES * 10).contains(&range.samples),
            "{range:?}"
        );
    }

    #[test]
    fn a_long_utterance_settles_in_windows_and_loses_nothing() {
        let mut u = utterance(&[(20, 15), (3_000, 300), (20, 30), (3_000, 300), (20, 30)]);
        u.finalised = true;
        let first = u.next_range().expect("a window");
        assert_eq!(first.covers, None);
        assert!((315 * FRAME_SAMPLES..345 * FRAME_SAMPLES).contains(&first.samples), "cut in the pause");
        let words = u.absorb(first, "first part.".into());
        assert_eq!(words, Words { text: "first part.".into(), stable: 11 });
        assert_eq!(u.final_words(), None);
        let second = u.next_range().expect("the rest");
        assert_eq!(second.covers, Some(645 * FRAME_SAMPLES - first.samples));
        u.absorb(second, "second part".into());
        assert_eq!(u.final_words().as_deref(), Some("first part. second part"));
        assert_eq!(u.next_range(), None);
    }

    #[test]
    fn audio_that_nobody_transcribes_is_bounded() {
        let mut u = utterance(&[(3_000, 60 * 50)]);
        assert!(!u.push(&frame(3_000)));
        let range = u.next_range().expect("a window");
        u.absorb(range, String::new());
        assert!(u.push(&frame(3_000)));
    }

    #[test]
    fn table_of_stable_prefixes() {
        let cases = [
            ("", "Do you", 0),
            ("Do you have.", "Do you have any", 11),
            ("Do you have a", "Do you have any", 11),
            ("Do you have any", "Do you", 6),
            ("How many?", "How many?", 8),
            ("Hello, I", "Hello. I am", 8),
            ("a b", "x b", 0),
            ("héllo wörld", "héllo wörld again", 13),
            ("a", "...", 0),
        ];
        for (older, newer, stable) in cases {
            assert_eq!(stable_prefix(older, newer), stable, "{older:?} {newer:?}");
            assert!(newer.is_char_boundary(stable));
        }
    }

    #[test]
    fn words_equal_in_two_transcripts_are_stable_after_the_settled_ones() {
        let mut u = utterance(&[(20, 15), (3_000, 30)]);
        u.settled = "Good day.".into();
        let range = u.next_range().expect("a partial");
        assert_eq!(u.absorb(range, "Do you have.".into()).stable, 9);
        push(&mut u, &[(3_000, 30)]);
        let range = u.next_range().expect("a partial");
        let words = u.absorb(range, "Do you have any".into());
        assert_eq!(&words.text[..words.stable], "Good day. Do you have");
    }
}
