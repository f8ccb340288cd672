//! Whether a header in mid-stream is a first message that came twice, or a recorder that started anew.
//!
//! Marks are kept of how a recording began: after its header, and after each element of its first moments. A header and
//! first block that are the same to the byte came before: real recorders write another track UID each time they start
//! (RFC 9559, section 5.1.4.1.2), and record something else. As much as is the same is passed over. A whole recording
//! that is sent again is heard again; it is told from a message by its length, or by what follows it. Holds no audio.

use super::{CLUSTER, TIMESTAMP, TRACKS};

/// How long a first message may play to be recognised: 2 s, twice the longest usual time slice.
const WINDOW_48K: u64 = 96_000;

/// Most marks that are kept; the shortest packets, 2.5 ms, need 800 for the window, and clusters few more.
const MAX_MARKS: usize = 1_024;

/// The header and one block: less is no proof that a message came twice.
const PROOF: usize = 2;

const EBML_BYTES: [u8; 4] = super::EBML.to_be_bytes();

/// What a header in mid-stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// A new recording.
    New,
    /// So many bytes came before.
    Repeated(usize),
    /// More bytes are needed to tell.
    Short,
}

/// How a recording began.
#[derive(Debug)]
pub(super) struct Beginning {
    /// The hash of everything so far, and how much that is.
    hash: u64,
    length: usize,
    marks: Vec<Mark>,
    played_48k: u64,
    state: State,
    compared: Compared,
}

/// All that came before some point.
#[derive(Clone, Copy, Debug)]
struct Mark {
    end: usize,
    hash: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// All of the recording so far is in the marks, or on the way to the next.
    Marking,
    /// The last bytes made no sense, but no block came after them yet.
    Broken,
    /// More has come than the marks tell of.
    Over,
}

/// How far the bytes at the front are compared.
#[derive(Clone, Copy, Debug)]
struct Compared {
    marks: usize,
    hash: u64,
    /// Nothing more came for so long that the bytes there are have to do.
    settled: bool,
}

impl Default for Compared {
    fn default() -> Self {
        Self { marks: 0, hash: FNV_BASIS, settled: false }
    }
}

impl Beginning {
    pub(super) fn new() -> Self {
        Self {
            hash: FNV_BASIS,
            length: 0,
            marks: Vec::new(),
            played_48k: 0,
            state: State::Marking,
            compared: Compared::default(),
        }
    }

    /// Notes bytes that were read.
    pub(super) fn note(&mut self, bytes: &[u8]) {
        if self.state == State::Marking {
            self.hash = fnv(self.hash, bytes);
            self.length += bytes.len();
        }
    }

    /// Marks the end of an element that is no block: of the header, or of the start of a later cluster. Chromium ends
    /// its messages behind such a start, and what it says of time must not be believed a second time.
    pub(super) fn mark_element(&mut self, id: u32) {
        let marks = match id {
            TRACKS => self.marks.is_empty(),
            CLUSTER | TIMESTAMP => self.marks.len() >= PROOF && self.marks.len() < MAX_MARKS,
            _ => false,
        };
        if marks && self.state == State::Marking {
            self.mark();
        }
    }

    /// Marks the end of a block that plays for `duration_48k`.
    pub(super) fn mark_block(&mut self, duration_48k: u64) {
        if self.state == State::Marking && self.played_48k < WINDOW_48K && self.marks.len() < MAX_MARKS {
            self.played_48k += duration_48k;
            self.mark();
        } else {
            self.state = State::Over;
        }
    }

    /// Says that bytes made no sense.
    pub(super) fn break_off(&mut self) {
        if self.state == State::Marking {
            self.state = State::Broken;
        }
    }

    /// Whether a header waits for more bytes.
    pub(super) fn is_comparing(&self) -> bool {
        self.compared.marks > 0
    }

    /// Says that the bytes there are have to do.
    pub(super) fn settle(&mut self) {
        self.compared.settled = true;
    }

    /// Judges the header at the front of `seen`; `closed` says that no more bytes will come.
    pub(super) fn judge(&mut self, seen: &[u8], closed: bool) -> Again {
        let again = self.compare(seen, closed || self.compared.settled);
        if again != Again::Short {
            self.compared = Compared::default();
        }
        again
    }

    fn compare(&mut self, seen: &[u8], last: bool) -> Again {
        let Self { marks, compared, .. } = self;
        if marks.len() < PROOF {
            return Again::New;
        }
        let end_of = |count: usize| count.checked_sub(1).map_or(0, |at| marks[at].end);
        let as_far = |count: usize| match count {
            PROOF.. => Again::Repeated(end_of(count)),
            _ => Again::New,
        };
        while let Some(mark) = marks.get(compared.marks) {
            let Some(more) = seen.get(end_of(compared.marks)..mark.end) else {
                return if last { as_far(compared.marks) } else { Again::Short };
            };
            let hash = fnv(compared.hash, more);
            if hash != mark.hash {
                return as_far(compared.marks);
            }
            (compared.hash, compared.marks) = (hash, compared.marks + 1);
        }
        let rest = &seen[end_of(marks.len())..];
        if self.state == State::Over {
            // No message is that long.
            return Again::New;
        }
        // All of the recording came again: a message if the recording goes on, a recording if another follows or none.
        match EBML_BYTES.iter().zip(rest).all(|(a, b)| a == b) {
            true if rest.len() >= EBML_BYTES.len() || last => Again::New,
            true => Again::Short,
            false => as_far(marks.len()),
        }
    }

    fn mark(&mut self) {
        self.marks.push(Mark { end: self.length, hash: self.hash });
    }
}

pub(super) const FNV_BASIS: u64 = 0xCBF2_9CE4_8422_2325;

/// FNV-1a, going on from `hash`.
pub(super) fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"\x1A\x45\xDF\xA3header";

    /// A recording of a header and blocks of 20 ms.
    fn begun(blocks: &[&[u8]]) -> Beginning {
        let mut beginning = Beginning::new();
        beginning.note(HEADER);
        beginning.mark_element(TRACKS);
        for block in blocks {
            beginning.note(block);
            beginning.mark_block(960);
        }
        beginning
    }

    #[test]
    fn as_much_as_is_the_same_is_repeated() {
        let mut beginning = begun(&[b"one", b"two", b"three"]);
        let came = |more: &[u8]| [HEADER, more].concat();
        assert_eq!(beginning.judge(&came(b"onetwo4th"), false), Again::Short, "as long as the third");
        assert_eq!(beginning.judge(&came(b"onetwofourth"), false), Again::Repeated(16));
        assert_eq!(beginning.judge(&came(b"onefour"), false), Again::Repeated(13));
        assert_eq!(beginning.judge(&came(b"four"), false), Again::New, "the header alone is no proof");
        assert_eq!(beginning.judge(b"\x1A\x45\xDF\xA3HEADER", false), Again::New);
        assert_eq!(beginning.judge(&came(b"onetwo4th"), true), Again::Repeated(16));
    }

    #[test]
    fn a_whole_recording_is_a_message_if_it_goes_on_and_a_recording_if_not() {
        let mut beginning = begun(&[b"one", b"two"]);
        let came = |more: &[u8]| [HEADER, b"onetwo", more].concat();
        assert_eq!(beginning.judge(&came(b""), false), Again::Short);
        assert!(beginning.is_comparing());
        assert_eq!(beginning.judge(&came(b"\x1A\x45"), false), Again::Short);
        assert_eq!(beginning.judge(&came(b"\x1A\x45\xDF\xA3"), false), Again::New);
        assert!(!beginning.is_comparing());
        assert_eq!(beginning.judge(&came(b"\xA3"), false), Again::Repeated(16));
        assert_eq!(beginning.judge(&came(b""), false), Again::Short);
        beginning.settle();
        assert_eq!(beginning.judge(&came(b""), false), Again::New);
    }

    #[test]
    fn what_is_longer_than_any_message_is_a_recording_and_the_marks_are_bounded() {
        let mut beginning = begun(&[&b"block"[..]; 5_000]);
        assert_eq!(beginning.marks.len(), 1 + WINDOW_48K as usize / 960);
        let came = [HEADER, &b"block".repeat(200)].concat();
        assert_eq!(beginning.judge(&came, false), Again::New);
        let mut short = Beginning::new();
        (0..5_000).for_each(|_| short.mark_block(0));
        assert_eq!(short.marks.len(), MAX_MARKS);
    }
}
