//! From the caller's bytes to samples with positions: decoding ahead into one ring, and keeping what was heard.
//!
//! The ring holds a short look-ahead that is not taken yet, and behind it the history that the turn model and the
//! recogniser's pre-roll read. It is filled and read by the call's own task. Messages wait as they came and reach the
//! ingress a slice at a time, so that a recording of any length costs its own bytes and no second copy.

use std::collections::VecDeque;

use bytes::Bytes;
use ringbuf::HeapRb;
use ringbuf::traits::Observer;

use crate::audio::{FRAME_SAMPLES, Frame, SamplePos};
use crate::ingress::{Declared, Ingress, IngressError, Limits, Pulled};

/// The caller's audio.
pub(super) struct Intake {
    ingress: Ingress,
    declared: Option<Declared>,
    limits: Limits,
    /// Messages that the ingress has not got yet.
    held: VecDeque<Bytes>,
    /// A message is one packet, so it reaches the ingress whole.
    whole: bool,
    ring: HeapRb<i16>,
    /// Position after the last decoded sample.
    end: SamplePos,
    /// Position after the last frame taken.
    taken: SamplePos,
    /// A container ended here.
    ended_at: Option<SamplePos>,
    /// The ingress has nothing more until bytes come.
    dry: bool,
    finish: Finish,
    /// The bytes break off here: what the decoder holds is still taken, and its complaints about the end are not.
    breaking: bool,
}

/// How far the end of the bytes has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finish {
    /// More may come.
    Open,
    /// No more will come, but what is held goes first.
    Asked,
    /// The ingress knows.
    Told,
}

/// What comes next from the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// 20 ms of audio.
    Frame,
    /// A container ended.
    End,
}

impl Intake {
    /// `history`: how many samples behind the taken position stay readable.
    pub(super) fn new(
        declared: Option<Declared>,
        limits: Limits,
        history: usize,
    ) -> Result<Self, IngressError> {
        let whole = matches!(declared, Some(Declared::OpusPackets { .. }));
        Ok(Self {
            ingress: open(declared, &limits)?,
            declared,
            limits,
            held: VecDeque::new(),
            whole,
            ring: HeapRb::new(history + LOOK_AHEAD),
            end: SamplePos::ZERO,
            taken: SamplePos::ZERO,
            ended_at: None,
            dry: true,
            finish: Finish::Open,
            breaking: false,
        })
    }

    /// Queues one message.
    pub(super) fn push(&mut self, message: Bytes) {
        self.held.push_back(message);
    }

    /// No more bytes will come.
    pub(super) fn finish(&mut self) {
        if self.finish == Finish::Open {
            self.finish = Finish::Asked;
        }
    }

    /// The bytes break off: take what is there, then [`Self::reopen`].
    pub(super) fn break_off(&mut self) {
        self.breaking = true;
        self.finish();
    }

    /// All is taken after [`Self::break_off`]: what comes now is a new stream.
    pub(super) fn reopen(&mut self) -> Result<(), IngressError> {
        self.ingress = open(self.declared, &self.limits)?;
        (self.finish, self.breaking, self.dry, self.ended_at) = (Finish::Open, false, true, None);
        Ok(())
    }

    /// Whether [`Self::finish`] was called.
    pub(super) fn is_finished(&self) -> bool {
        self.finish != Finish::Open
    }

    /// Whether bytes came that are too few to tell what they are.
    pub(super) fn is_undecided(&self) -> bool {
        self.held.is_empty() && self.ingress.is_undecided()
    }

    /// Names what is undecided.
    pub(super) fn decide(&mut self) -> Result<(), IngressError> {
        self.dry = false;
        self.ingress.decide()
    }

    /// Decodes until the look-ahead is full or more bytes are needed.
    pub(super) fn fill(&mut self) -> Result<(), IngressError> {
        let mut frame: Frame = [0; FRAME_SAMPLES];
        while self.ended_at.is_none() && self.unread() + FRAME_SAMPLES <= LOOK_AHEAD {
            if self.dry && !self.feed()? {
                break;
            }
            let pulled = match self.ingress.poll_frame(&mut frame) {
                Err(_) | Ok(Some(Pulled::Ended)) if self.breaking => None,
                pulled => pulled?,
            };
            match pulled {
                Some(Pulled::Audio | Pulled::Concealed) => {
                    self.ring.push_slice_overwrite(&frame);
                    self.end += FRAME_SAMPLES as u64;
                }
                Some(Pulled::Ended) => self.ended_at = Some(self.end),
                None => self.dry = true,
            }
        }
        Ok(())
    }

    /// Gives the ingress the next slice of what is held, and after the last the end. `false`: there is nothing to give.
    fn feed(&mut self) -> Result<bool, IngressError> {
        if let Some(mut message) = self.held.pop_front() {
            let most = if self.whole { message.len() } else { message.len().min(SLICE) };
            let slice = message.split_to(most);
            if !message.is_empty() {
                self.held.push_front(message);
            }
            self.ingress.push(&slice)?;
        } else if self.finish == Finish::Asked {
            self.finish = Finish::Told;
            let finished = self.ingress.finish();
            if !self.breaking {
                finished?;
            }
        } else {
            return Ok(false);
        }
        self.dry = false;
        Ok(true)
    }

    /// Takes the next frame, or the mark that a container ended.
    pub(super) fn take(&mut self, frame: &mut Frame) -> Option<Taken> {
        if self.unread() >= FRAME_SAMPLES {
            self.read(self.taken, frame);
            self.taken += FRAME_SAMPLES as u64;
            return Some(Taken::Frame);
        }
        self.ended_at.take().map(|_| Taken::End)
    }

    /// Whether nothing is left to take before more bytes come.
    pub(super) fn is_dry(&self) -> bool {
        self.dry
            && self.held.is_empty()
            && self.finish != Finish::Asked
            && self.ended_at.is_none()
            && self.unread() == 0
    }

    /// Whether the end of a container is the next thing to take.
    pub(super) fn at_end(&self) -> bool {
        self.ended_at.is_some() && self.unread() == 0
    }

    /// Whether another message may come: one waits at most, besides the slice that is being decoded.
    pub(super) fn has_room(&self) -> bool {
        self.held.is_empty()
    }

    /// Position after the last decoded sample.
    pub(super) fn end(&self) -> SamplePos {
        self.end
    }

    /// Position after the last frame taken.
    pub(super) fn taken(&self) -> SamplePos {
        self.taken
    }

    /// The earliest position that is still readable.
    pub(super) fn oldest(&self) -> SamplePos {
        self.end - self.ring.occupied_len() as u64
    }

    /// Copies samples from `from` on; what is no longer or not yet there is silence.
    pub(super) fn read(&mut self, from: SamplePos, out: &mut [i16]) {
        out.fill(0);
        let oldest = self.oldest();
        let skip = oldest.since(from) as usize;
        if skip >= out.len() {
            return;
        }
        let start = from.max(oldest).since(oldest) as usize;
        let (a, b) = self.ring.as_slices();
        let out = &mut out[skip..];
        let first = a.get(start..).unwrap_or_default();
        let n = first.len().min(out.len());
        out[..n].copy_from_slice(&first[..n]);
        let second = b.get(start.saturating_sub(a.len())..).unwrap_or_default();
        let m = second.len().min(out.len() - n);
        out[n..n + m].copy_from_slice(&second[..m]);
    }

    fn unread(&self) -> usize {
        self.end.since(self.taken) as usize
    }
}

fn open(declared: Option<Declared>, limits: &Limits) -> Result<Ingress, IngressError> {
    match declared {
        Some(declared) => Ingress::declared(declared, limits.clone()),
        None => Ok(Ingress::sniffing(limits.clone())),
    }
}

/// What the ingress gets at a time: some seconds of Opus, a moment of WAV.
const SLICE: usize = 64 * 1024;
/// Decoded and not taken: a little over the two seconds that tell a recording from a live call.
const LOOK_AHEAD: usize = 112 * FRAME_SAMPLES;
