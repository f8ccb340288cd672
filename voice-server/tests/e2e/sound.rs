//! What callers say, in the forms in which they send it, and what comes back, checked and measured.

use std::io::Cursor;
use std::time::{Duration, Instant};

use bytes::Bytes;
use voice_core::audio::{FRAME_SAMPLES, SampleRate};
use voice_core::codec::OpusEncoder;
use voice_core::ingress::{Ingress, Limits, Pulled};
use voice_core::text::words::word_error_rate;

use crate::caller::Got;

/// Samples of one 20 ms frame at 16 kHz, in bytes.
pub(crate) const FRAME_BYTES: usize = FRAME_SAMPLES * 2;
/// The time of one frame.
pub(crate) const FRAME: Duration = Duration::from_millis(20);

/// A synthetic question, as 16 kHz samples with its words. It lasts from 0.33 s to 1 s before its end.
pub(crate) struct Question {
    pub(crate) samples: Vec<i16>,
    pub(crate) words: String,
}

/// Reads the question of this name.
pub(crate) fn question(name: &str) -> Question {
    let samples = decode(&file("questions", &format!("{name}.ogg")));
    let words = String::from_utf8(file("questions", &format!("{name}.txt"))).expect("text").trim().to_owned();
    Question { samples, words }
}

/// The bytes of a fixture.
pub(crate) fn file(group: &str, name: &str) -> Vec<u8> {
    voice_fixtures::read(group, name).expect("a fixture")
}

/// Decodes WAV, WebM or Ogg to 16 kHz samples.
pub(crate) fn decode(bytes: &[u8]) -> Vec<i16> {
    let mut ingress = Ingress::sniffing(Limits::default());
    ingress.push(bytes).expect("taken");
    ingress.finish().expect("not empty");
    let mut samples = Vec::new();
    let mut frame = [0; FRAME_SAMPLES];
    while let Some(pulled) = ingress.poll_frame(&mut frame).expect("audio") {
        if pulled != Pulled::Ended {
            samples.extend(frame);
        }
    }
    samples
}

impl Question {
    /// As a WAV file.
    pub(crate) fn wav(&self) -> Vec<u8> {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 16_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut out = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut out, spec).expect("a header");
        self.samples.iter().for_each(|sample| writer.write_sample(*sample).expect("memory"));
        writer.finalize().expect("sizes");
        out.into_inner()
    }

    /// As bare samples.
    pub(crate) fn pcm(&self) -> Vec<u8> {
        self.samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
    }

    /// As Opus packets of 20 ms.
    pub(crate) fn packets(&self) -> Vec<Vec<u8>> {
        let rate = SampleRate::new(16_000).expect("a rate");
        let mut encoder = OpusEncoder::new(rate, 32_000).expect("libopus");
        let encode = |frame: &[i16]| {
            let mut packet = Vec::new();
            encoder.encode_into(frame, &mut packet).expect("a packet");
            packet
        };
        self.samples.chunks_exact(FRAME_SAMPLES).map(encode).collect()
    }
}

/// Fails unless the caller was understood.
pub(crate) fn assert_understood(words: &str, heard: &str) {
    let errors = word_error_rate(words, heard);
    assert!(errors.rate() < 0.2, "heard {heard:?} instead of {words:?}");
}

/// One file of an answer.
pub(crate) struct Message {
    pub(crate) at: Instant,
    pub(crate) lasts: Duration,
    /// How loud its loudest sample is.
    pub(crate) peak: u16,
}

/// The messages of an answer in WAV, each checked to be a whole file of 0.4 to 2 s. Anything but audio fails.
pub(crate) fn wav_messages(got: &[(Instant, Got)]) -> Vec<Message> {
    let binary = |(at, got): &(Instant, Got)| match got {
        Got::Binary(bytes) => (*at, bytes.clone()),
        other => panic!("{other:?} where only audio may come"),
    };
    got.iter().map(binary).map(|(at, bytes)| wav_message(at, &bytes)).collect()
}

fn wav_message(at: Instant, bytes: &Bytes) -> Message {
    let size = u32::from_le_bytes(bytes[4..8].try_into().expect("four bytes"));
    assert_eq!(size as usize + 8, bytes.len(), "the RIFF size is that of the message");
    let mut reader = hound::WavReader::new(Cursor::new(bytes)).expect("a WAV file");
    let spec = reader.spec();
    assert_eq!((spec.channels, spec.bits_per_sample), (1, 16));
    let samples: Vec<i16> = reader.samples().collect::<Result<_, _>>().expect("whole samples");
    let lasts = Duration::from_secs_f64(samples.len() as f64 / f64::from(spec.sample_rate));
    assert!((0.4..=2.0).contains(&lasts.as_secs_f64()), "a message lasts {lasts:?}");
    Message { at, lasts, peak: samples.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0) }
}

/// How long after its predecessor's end each message of one answer came, in milliseconds; below zero is too early.
pub(crate) fn gaps(messages: &[Message]) -> Vec<f64> {
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    messages.windows(2).map(|pair| ms(pair[1].at - pair[0].at) - ms(pair[0].lasts)).collect()
}

/// Fails if messages came before their predecessors' ends, or most of them later after it than `limit` in milliseconds: a
/// busy machine adds to one gap and takes from the next, but not to most of them. The first has none before it, so one gap may
/// look short by as much as a message was taken late.
pub(crate) fn assert_follows(gaps: &[f64], limit: f64) {
    assert!(gaps.len() >= 2, "too few messages: {}", shown(gaps));
    let mut sorted = gaps.to_vec();
    sorted.sort_by(f64::total_cmp);
    let come_in_time = sorted[0] > -100.0 && sorted[1] > -1.0;
    assert!(come_in_time, "messages came before their predecessors' ends: {}", shown(gaps));
    assert!(sorted[(sorted.len() - 1) / 2] < limit, "messages come late: {}", shown(gaps));
}

/// Values with one decimal for a report.
pub(crate) fn shown(values: &[f64]) -> String {
    values.iter().map(|value| format!("{value:.1}")).collect::<Vec<_>>().join(" ")
}
