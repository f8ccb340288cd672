//! Opus by libopus: decoding straight to the engine's 16 kHz mono, and encoding 20 ms frames: mono for playout, two
//! channels for a recording.
//!
//! libopus mixes stereo down and changes the rate while it decodes, which costs less than decoding at 48 kHz. Each
//! decoder owns one buffer of 120 ms, the longest packet there is (RFC 6716, 2.1.4), so no call allocates.
//! Pre-skip, trimming and gaps are the business of `ingress`; this file only turns packets into samples.

use std::fmt;

use super::CodecError;
use crate::audio::{Channels, ENGINE_RATE, SampleRate};

/// Samples of the longest packet, 120 ms, at the engine's rate.
pub const MAX_PACKET_SAMPLES: usize = 1_920;

/// Samples of 2.5 ms at the engine's rate: concealment works in multiples of this.
pub const CONCEAL_STEP: usize = 40;

/// Most bytes that [`OpusEncoder`] makes of one frame: the largest single frame of RFC 6716, 3.2.1, and its TOC byte.
pub const MAX_ENCODED_BYTES: usize = 1_276;

/// libopus's complexity where nobody listens at once: a third of the time of the default, hardly worse for speech.
const LIGHT: i32 = 3;

/// One stream's decoder. A lost packet changes what the next one sounds like, so tell it of every loss.
pub struct OpusDecoder {
    inner: opus::Decoder,
    samples: Box<[i16; MAX_PACKET_SAMPLES]>,
}

impl OpusDecoder {
    /// A decoder that scales its output by `gain_q8` / 256 dB, as an OpusHead asks (RFC 7845, 5.1); 0 changes nothing.
    pub fn new(gain_q8: i16) -> Result<Self, CodecError> {
        let mut inner = opus::Decoder::new(ENGINE_RATE.hz(), opus::Channels::Mono).map_err(failed)?;
        if gain_q8 != 0 {
            inner.set_gain(gain_q8.into()).map_err(failed)?;
        }
        Ok(Self { inner, samples: Box::new([0; MAX_PACKET_SAMPLES]) })
    }

    /// The 16 kHz mono samples of one packet. An error leaves the decoder as it was; conceal and go on.
    pub fn decode(&mut self, packet: &[u8]) -> Result<&[i16], CodecError> {
        if packet.is_empty() {
            return Err(CodecError::InvalidPacket);
        }
        let count = self.inner.decode(packet, &mut self.samples[..], false).map_err(failed)?;
        Ok(&self.samples[..count])
    }

    /// What libopus guesses for `samples` lost samples. Rounded down to [`CONCEAL_STEP`], at most one longest packet.
    pub fn conceal(&mut self, samples: usize) -> &[i16] {
        self.fill(&[], samples)
    }

    /// As [`conceal`](Self::conceal), but the end of the gap comes from the redundancy that the packet after it may
    /// carry. Decode that packet itself afterwards.
    pub fn recover(&mut self, next_packet: &[u8], samples: usize) -> &[i16] {
        self.fill(next_packet, samples)
    }

    fn fill(&mut self, next_packet: &[u8], samples: usize) -> &[i16] {
        let wanted = samples.min(MAX_PACKET_SAMPLES) / CONCEAL_STEP * CONCEAL_STEP;
        if wanted == 0 {
            return &[];
        }
        let out = &mut self.samples[..wanted];
        let filled = match self.inner.decode(next_packet, out, !next_packet.is_empty()) {
            Ok(count) => count.min(wanted),
            // Without a usable guess the gap is silent.
            Err(_) => 0,
        };
        self.samples[filled..wanted].fill(0);
        &self.samples[..wanted]
    }
}

impl fmt::Debug for OpusDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpusDecoder").finish_non_exhaustive()
    }
}

/// Encodes speech, 20 ms a packet, variable rate: mono for playout, two channels for a recording.
pub struct OpusEncoder {
    inner: opus::Encoder,
    rate: SampleRate,
    channels: Channels,
}

impl OpusEncoder {
    /// An encoder that takes samples at `rate` (8, 12, 16, 24 or 48 kHz) and aims at `bits_per_second`.
    pub fn new(rate: SampleRate, bits_per_second: i32) -> Result<Self, CodecError> {
        if !matches!(rate.hz(), 8_000 | 12_000 | 16_000 | 24_000 | 48_000) {
            return Err(CodecError::Rate(rate.hz()));
        }
        let mut inner =
            opus::Encoder::new(rate.hz(), opus::Channels::Mono, opus::Application::Voip).map_err(failed)?;
        inner.set_bitrate(opus::Bitrate::Bits(bits_per_second)).map_err(failed)?;
        Ok(Self { inner, rate, channels: Channels::Mono })
    }

    /// An encoder of two channels that have nothing to do with each other, such as the two sides of a call. It takes
    /// interleaved samples and spends little time: nobody waits for it, but others use the processor.
    pub fn two_channels(rate: SampleRate, bits_per_second: i32) -> Result<Self, CodecError> {
        if !matches!(rate.hz(), 8_000 | 12_000 | 16_000 | 24_000 | 48_000) {
            return Err(CodecError::Rate(rate.hz()));
        }
        // The music mode: the speech mode narrows the stereo image where bits are few, and one side would be heard in
        // the other's channel.
        let mode = opus::Application::Audio;
        let mut inner = opus::Encoder::new(rate.hz(), opus::Channels::Stereo, mode).map_err(failed)?;
        inner.set_bitrate(opus::Bitrate::Bits(bits_per_second)).map_err(failed)?;
        inner.set_force_channels(Some(opus::Channels::Stereo)).map_err(failed)?;
        inner.set_phase_inversion_disabled(true).map_err(failed)?;
        inner.set_complexity(LIGHT).map_err(failed)?;
        Ok(Self { inner, rate, channels: Channels::Stereo })
    }

    /// Samples of one 20 ms frame at this encoder's rate, those of all channels together.
    pub const fn frame_samples(&self) -> usize {
        self.rate.hz() as usize / 50 * self.channels.count()
    }

    /// Rate of the samples.
    pub const fn rate(&self) -> SampleRate {
        self.rate
    }

    /// How many channels they have.
    pub const fn channels(&self) -> Channels {
        self.channels
    }

    /// Samples at 48 kHz that a decoder drops at the start: the pre-skip of an OpusHead.
    pub fn pre_skip(&mut self) -> Result<u16, CodecError> {
        let lookahead = u64::try_from(self.inner.get_lookahead().map_err(failed)?).unwrap_or(0);
        let at_48k = lookahead * 48_000 / u64::from(self.rate.hz());
        Ok(u16::try_from(at_48k).unwrap_or(u16::MAX))
    }

    /// Sends redundancy for a path that loses about `percent` of its packets; 0 sends none.
    pub fn expect_loss(&mut self, percent: u8) -> Result<(), CodecError> {
        self.inner.set_inband_fec(percent > 0).map_err(failed)?;
        self.inner.set_packet_loss_perc(percent.min(100).into()).map_err(failed)
    }

    /// Lets silence shrink to packets of one or two bytes.
    pub fn allow_dtx(&mut self, on: bool) -> Result<(), CodecError> {
        self.inner.set_dtx(on).map_err(failed)
    }

    /// Encodes exactly one frame and puts its packet into `packet`, whose capacity is reused.
    pub fn encode_into(&mut self, frame: &[i16], packet: &mut Vec<u8>) -> Result<(), CodecError> {
        if frame.len() != self.frame_samples() {
            return Err(CodecError::FrameLength { needed: self.frame_samples(), given: frame.len() });
        }
        packet.resize(MAX_ENCODED_BYTES, 0);
        let length = self.inner.encode(frame, packet).map_err(failed)?;
        packet.truncate(length);
        Ok(())
    }
}

impl fmt::Debug for OpusEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpusEncoder").field("rate", &self.rate).finish_non_exhaustive()
    }
}

fn failed(error: opus::Error) -> CodecError {
    match error.code() {
        opus::ErrorCode::InvalidPacket | opus::ErrorCode::BufferTooSmall => CodecError::InvalidPacket,
        _ => CodecError::Library(error.description().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(samples: usize, rate: f64) -> Vec<i16> {
        (0..samples)
            .map(|i| (8_000.0 * (i as f64 * 440.0 * std::f64::consts::TAU / rate).sin()) as i16)
            .collect()
    }

    fn rms(samples: &[i16]) -> f64 {
        (samples.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / samples.len() as f64).sqrt()
    }

    #[test]
    fn every_encoder_rate_decodes_to_twenty_milliseconds_at_the_engine_rate() {
        for hz in [8_000, 12_000, 16_000, 24_000, 48_000] {
            let rate = SampleRate::new(hz).expect("in range");
            let mut encoder = OpusEncoder::new(rate, 32_000).expect("encoder");
            let mut decoder = OpusDecoder::new(0).expect("decoder");
            let (mut packet, mut heard) = (Vec::new(), Vec::new());
            for frame in tone(hz as usize, f64::from(hz)).chunks_exact(encoder.frame_samples()) {
                encoder.encode_into(frame, &mut packet).expect("encodes");
                heard.extend_from_slice(decoder.decode(&packet).expect("decodes"));
            }
            assert_eq!(heard.len(), 16_000);
            let level = rms(&heard[8_000..]) / (8_000.0 / 2f64.sqrt());
            assert!((0.8..1.2).contains(&level), "{hz} Hz came back at {level}");
        }
    }

    #[test]
    fn gain_of_six_decibels_doubles_the_samples() {
        let mut encoder = OpusEncoder::new(SampleRate::HZ_16000, 32_000).expect("encoder");
        let mut plain = OpusDecoder::new(0).expect("decoder");
        let mut louder = OpusDecoder::new((6.0206 * 256.0) as i16).expect("decoder");
        let mut packet = Vec::new();
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for frame in tone(16_000, 16_000.0).chunks_exact(320) {
            encoder.encode_into(frame, &mut packet).expect("encodes");
            a.extend_from_slice(plain.decode(&packet).expect("decodes"));
            b.extend_from_slice(louder.decode(&packet).expect("decodes"));
        }
        let ratio = rms(&b) / rms(&a);
        assert!((ratio - 2.0).abs() < 0.02, "{ratio}");
    }

    #[test]
    fn redundancy_restores_more_of_a_lost_packet_than_a_guess() {
        // A tone that starts just before the loss cannot be guessed, but the next packet carries a copy.
        let mut encoder = OpusEncoder::new(SampleRate::HZ_16000, 24_000).expect("encoder");
        encoder.expect_loss(40).expect("setting");
        let mut speech = tone(320 * 40, 16_000.0);
        for (i, sample) in speech.iter_mut().enumerate() {
            let swing = 0.5 + 0.5 * (i as f64 * 7.0 * std::f64::consts::TAU / 16_000.0).sin();
            *sample = (f64::from(*sample) * swing) as i16;
        }
        let packets: Vec<Vec<u8>> = speech
            .chunks_exact(320)
            .map(|frame| {
                let mut packet = Vec::new();
                encoder.encode_into(frame, &mut packet).expect("encodes");
                packet
            })
            .collect();
        let lost = [11usize, 17, 23, 29];
        let run = |fec: bool| {
            let mut decoder = OpusDecoder::new(0).expect("decoder");
            let mut heard = Vec::new();
            for (i, packet) in packets.iter().enumerate() {
                let samples = match (lost.contains(&i), fec) {
                    (false, _) => decoder.decode(packet).expect("decodes"),
                    (true, true) => decoder.recover(&packets[i + 1], 320),
                    (true, false) => decoder.conceal(320),
                };
                heard.extend_from_slice(samples);
            }
            heard
        };
        let mut clean = OpusDecoder::new(0).expect("decoder");
        let whole: Vec<i16> =
            packets.iter().flat_map(|p| clean.decode(p).expect("decodes").to_vec()).collect();
        let error = |heard: &[i16]| -> f64 {
            lost.iter()
                .flat_map(|&i| i * 320..(i + 1) * 320)
                .map(|i| (f64::from(heard[i]) - f64::from(whole[i])).powi(2))
                .sum()
        };
        let (guessed, restored) = (error(&run(false)), error(&run(true)));
        assert!(restored < guessed / 2.0, "with redundancy {restored}, without {guessed}");
    }

    #[test]
    fn nonsense_is_an_error_and_not_a_panic() {
        let mut decoder = OpusDecoder::new(0).expect("decoder");
        assert_eq!(decoder.decode(&[]).err(), Some(CodecError::InvalidPacket));
        assert_eq!(decoder.decode(&[0xFF, 0xFF, 0xFF]).err(), Some(CodecError::InvalidPacket));
        assert_eq!(decoder.conceal(0).len(), 0);
        assert_eq!(decoder.conceal(1_000_000).len(), MAX_PACKET_SAMPLES);
        assert!(OpusEncoder::new(SampleRate::new(44_100).expect("in range"), 24_000).is_err());
    }
}
