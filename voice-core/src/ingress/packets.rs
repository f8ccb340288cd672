//! Declared Opus packets: each message of the caller is one packet, as from WebCodecs or a phone bridge.

use std::collections::VecDeque;

use crate::audio::Channels;

use super::byte_queue::ByteQueue;
use super::opus_head::OpusHead;
use super::opus_packet;
use super::opus_track::OpusTrack;
use super::ready::Ready;
use super::sniff::{self, Verdict};
use super::{IngressError, Limits, Step};

/// How long a packet is where nothing tells, at 48 kHz: 20 ms, the usual packet.
const USUAL_48K: u64 = 960;

/// So many lost packets are guessed without waiting for the next one and what it may repair.
const MOST_WAITING: u64 = 3;

/// Reads packets whose bounds are those of the messages.
#[derive(Debug)]
pub(super) struct PacketReader {
    track: OpusTrack,
    lengths: VecDeque<usize>,
    /// Lost packets before the one in front.
    lost: u64,
    started: bool,
    /// How long the last packet played: senders keep to one length, so a lost packet had it too.
    last_48k: u64,
}

impl PacketReader {
    pub(super) fn new(channels: Channels) -> Result<Self, IngressError> {
        let head = OpusHead { channels, pre_skip_48k: 0, gain_q8: 0 };
        Ok(Self {
            track: OpusTrack::new(&head)?,
            lengths: VecDeque::new(),
            lost: 0,
            started: false,
            last_48k: USUAL_48K,
        })
    }

    /// Notes the length of a message that is about to be queued.
    pub(super) fn note(&mut self, length: usize, limits: &Limits) -> Result<(), IngressError> {
        if length > limits.element_bytes {
            return Err(IngressError::TooLarge {
                container: "?in=opus",
                what: "one packet",
                limit: limits.element_bytes as u64,
            });
        }
        if self.lengths.len() >= limits.queued_packets {
            return Err(IngressError::TooMuchQueued { limit: limits.queued_packets });
        }
        self.lengths.push_back(length);
        Ok(())
    }

    pub(super) fn step(
        &mut self,
        bytes: &mut ByteQueue,
        limits: &Limits,
        ready: &mut Ready,
    ) -> Result<Step, IngressError> {
        let Some(length) = self.lengths.pop_front() else {
            // Losses at the very end wait for a packet that may repair them, but not beyond the end.
            return Ok(if bytes.is_closed() && self.flush_lost(&[], ready) {
                Step::Worked
            } else {
                Step::NeedMore
            });
        };
        if length == 0 {
            // Before the first packet nothing is guessed: the decoder has nothing to guess from.
            self.lost += u64::from(self.started);
            // Beyond what a decoder can guess there is nothing to wait for.
            if self.lost == MOST_WAITING {
                self.flush_lost(&[], ready);
            }
            return Ok(Step::Worked);
        }
        let packet = &bytes.as_slice()[..length.min(bytes.len())];
        if !self.started {
            check_first(packet)?;
            self.started = true;
        }
        if self.lost > 0 {
            self.track.gap(self.lost * self.last_48k, packet, ready);
            self.lost = 0;
        }
        if self.track.packet(packet, None, limits, ready)? {
            self.last_48k = opus_packet::claimed_48k(packet).into();
        } else {
            self.track.gap(self.last_48k, &[], ready);
        }
        bytes.take(length);
        Ok(Step::Worked)
    }

    fn flush_lost(&mut self, next_packet: &[u8], ready: &mut Ready) -> bool {
        let any = self.lost > 0;
        if any {
            self.track.gap(self.lost * self.last_48k, next_packet, ready);
            self.lost = 0;
        }
        any
    }
}

/// Tells a caller who sends whole files, or something else, as packets.
fn check_first(packet: &[u8]) -> Result<(), IngressError> {
    let malformed = |detail| IngressError::Malformed { container: "?in=opus", detail };
    if matches!(sniff::sniff(packet), Verdict::Accepted(_)) {
        return Err(malformed("a message is a file with a header, not one Opus packet; leave ?in out"));
    }
    if packet.starts_with(OpusHead::MAGIC) {
        return Err(malformed("a message is an OpusHead; send only the packets"));
    }
    if opus_packet::parse(packet).is_none() {
        return Err(sniff::name_foreign(packet)
            .map_or(malformed("the first message is not one Opus packet"), IngressError::Foreign));
    }
    Ok(())
}
