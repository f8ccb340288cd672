//! What the ingress tests share: a voice-like signal, small muxers, a way to pull everything, and seeded chance.
#![allow(dead_code, clippy::unwrap_used, unreachable_pub)]

use voice_core::audio::{FRAME_SAMPLES, SampleRate};
use voice_core::codec::{OpusDecoder, OpusEncoder};
use voice_core::ingress::{Declared, Ingress, IngressError, Limits, Pulled};

pub mod ogg;
pub mod wav;
pub mod webm;

/// Seeded chance (SplitMix64).
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// Something like a voice: harmonics that rise and fall.
pub fn voice(rate: u32, seconds: f64) -> Vec<i16> {
    (0..(f64::from(rate) * seconds) as usize)
        .map(|i| {
            let t = i as f64 / f64::from(rate);
            let swing = 0.55 + 0.45 * (t * 4.0 * std::f64::consts::TAU).sin();
            let pitch = 140.0 + 30.0 * (t * 0.7 * std::f64::consts::TAU).sin();
            let sum: f64 =
                (1..8).map(|h| (t * pitch * f64::from(h) * std::f64::consts::TAU).sin() / f64::from(h)).sum();
            (6_000.0 * swing * sum) as i16
        })
        .collect()
}

/// 20 ms packets of a voice, and the encoder's pre-skip at 48 kHz.
pub fn opus_packets(seconds: f64) -> (Vec<Vec<u8>>, u16) {
    encode(&voice(16_000, seconds))
}

/// 20 ms packets of 16 kHz samples, and the encoder's pre-skip at 48 kHz.
pub fn encode(samples: &[i16]) -> (Vec<Vec<u8>>, u16) {
    encode_at(24_000, samples)
}

/// As [`encode`], at a bit rate.
pub fn encode_at(bits_per_second: i32, samples: &[i16]) -> (Vec<Vec<u8>>, u16) {
    let mut encoder = OpusEncoder::new(SampleRate::HZ_16000, bits_per_second).unwrap();
    let packets = samples
        .chunks_exact(320)
        .map(|frame| {
            let mut packet = Vec::new();
            encoder.encode_into(frame, &mut packet).unwrap();
            packet
        })
        .collect();
    (packets, encoder.pre_skip().unwrap())
}

/// Three packets of 20 ms in one of 60 ms, as Chromium sends them.
pub fn merge(packets: &[Vec<u8>]) -> Vec<u8> {
    let parts: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    let mut out = vec![0; 4_000];
    let length = opus::Repacketizer::new().unwrap().combine(&parts, &mut out).unwrap();
    out.truncate(length);
    out
}

/// What one decoder makes of the packets, less the pre-skip.
pub fn decoded(packets: &[Vec<u8>], pre_skip_48k: u16) -> Vec<i16> {
    let mut decoder = OpusDecoder::new(0).unwrap();
    let samples: Vec<i16> = packets.iter().flat_map(|p| decoder.decode(p).unwrap().to_vec()).collect();
    samples[usize::from(pre_skip_48k).div_ceil(3)..].to_vec()
}

/// Everything that came out.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Heard {
    pub samples: Vec<i16>,
    /// For each frame, whether it was concealed.
    pub concealed: Vec<bool>,
    /// After how many frames a container ended.
    pub ends: Vec<usize>,
    pub error: Option<IngressError>,
}

impl Heard {
    pub fn frames(&self) -> usize {
        self.concealed.len()
    }

    pub fn concealed_frames(&self) -> usize {
        self.concealed.iter().filter(|&&c| c).count()
    }

    /// Checks samples, padded to whole frames with silence.
    #[track_caller]
    pub fn assert_is(&self, expected: &[i16]) {
        assert_eq!(self.error, None);
        assert_eq!(self.samples.len(), expected.len().next_multiple_of(FRAME_SAMPLES), "length");
        let (body, padding) = self.samples.split_at(expected.len());
        if let Some(at) = body.iter().zip(expected).position(|(a, b)| a != b) {
            panic!("sample {at} of {} is {} instead of {}", expected.len(), body[at], expected[at]);
        }
        assert!(padding.iter().all(|&s| s == 0), "the padding is silent");
    }

    pub fn pull(&mut self, ingress: &mut Ingress) -> bool {
        let mut frame = [0; FRAME_SAMPLES];
        loop {
            match ingress.poll_frame(&mut frame) {
                Ok(None) => return true,
                Ok(Some(Pulled::Ended)) => self.ends.push(self.frames()),
                Ok(Some(pulled)) => {
                    self.samples.extend_from_slice(&frame);
                    self.concealed.push(pulled == Pulled::Concealed);
                }
                Err(error) => {
                    self.error = Some(error);
                    return false;
                }
            }
        }
    }
}

/// Pushes messages, pulls after each, and ends.
pub fn hear<'a>(declared: Option<Declared>, messages: impl IntoIterator<Item = &'a [u8]>) -> Heard {
    hear_with(declared, Limits::default(), messages)
}

pub fn hear_with<'a>(
    declared: Option<Declared>,
    limits: Limits,
    messages: impl IntoIterator<Item = &'a [u8]>,
) -> Heard {
    let mut ingress = match declared {
        Some(declared) => Ingress::declared(declared, limits).unwrap(),
        None => Ingress::sniffing(limits),
    };
    let mut heard = Heard::default();
    for message in messages {
        if let Err(error) = ingress.push(message) {
            heard.error = Some(error);
            return heard;
        }
        if !heard.pull(&mut ingress) {
            return heard;
        }
    }
    match ingress.finish() {
        Ok(()) => {
            heard.pull(&mut ingress);
        }
        Err(error) => heard.error = Some(error),
    }
    heard
}

/// Pushes bytes in one message.
pub fn hear_whole(bytes: &[u8]) -> Heard {
    hear(None, [bytes])
}

/// Checks that every split into two messages, and into single bytes, gives what one message gives.
#[track_caller]
pub fn assert_any_split_is_the_same(bytes: &[u8]) -> Heard {
    let whole = hear_whole(bytes);
    for at in 0..=bytes.len() {
        let (a, b) = bytes.split_at(at);
        assert!(hear(None, [a, b]) == whole, "split at {at} of {}", bytes.len());
    }
    assert!(hear(None, bytes.chunks(1)) == whole, "single bytes");
    whole
}

/// Root of the mean square.
pub fn rms(samples: &[i16]) -> f64 {
    (samples.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / samples.len().max(1) as f64).sqrt()
}

/// How alike two signals are, 0 to 1, at the best shift of `b` of up to `reach` samples, and that shift.
pub fn likeness(a: &[i16], b: &[i16], reach: isize) -> (f64, isize) {
    let mut best = (f64::MIN, 0);
    for shift in -reach..=reach {
        let pairs = a.iter().enumerate().filter_map(|(i, &x)| {
            let j = usize::try_from(i as isize + shift).ok()?;
            b.get(j).map(|&y| (f64::from(x), f64::from(y)))
        });
        let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
        for (x, y) in pairs {
            xy += x * y;
            xx += x * x;
            yy += y * y;
        }
        let score = xy / (xx * yy).sqrt().max(1.0);
        if score > best.0 {
            best = (score, shift);
        }
    }
    best
}
