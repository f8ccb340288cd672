//! The packaged sentence for callers who get audio only, when no voice can answer any more.
//!
//! The recording beside this file is synthetic speech (Kokoro-82M, voice `af_heart`, Apache-2.0), made with
//! `fixtures/tools/make_questions.py`; it is decoded when it is needed, which is hardly ever.

use crate::audio::{FRAME_SAMPLES, Resampler, SampleRate};
use crate::ids::ReplyId;
use crate::ingress::{Ingress, Limits, Pulled};

/// Its reply number, which no answer reaches.
pub(super) const FAREWELL: ReplyId = ReplyId(u32::MAX);

const RECORDING: &[u8] = include_bytes!("lost_voice.ogg");

/// "Sorry, I have lost my voice for a moment. Please call again." at `rate`. Empty only if the decoder cannot be set up.
pub(super) fn samples(rate: SampleRate) -> Vec<i16> {
    let mut ingress = Ingress::sniffing(Limits::default());
    if ingress.push(RECORDING).and_then(|()| ingress.finish()).is_err() {
        return Vec::new();
    }
    let mut resampler = Resampler::new(crate::audio::ENGINE_RATE, rate);
    let (mut spoken, mut frame) = (Vec::new(), [0; FRAME_SAMPLES]);
    while let Ok(Some(pulled)) = ingress.poll_frame(&mut frame) {
        if pulled != Pulled::Ended {
            resampler.push_into(&frame, &mut spoken);
        }
    }
    resampler.finish_into(&mut spoken);
    spoken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packaged_sentence_is_speech_of_some_seconds_at_any_rate() {
        for rate in [SampleRate::HZ_8000, SampleRate::HZ_24000, SampleRate::HZ_48000] {
            let spoken = samples(rate);
            let length = rate.duration_of(spoken.len() as u64).as_secs_f64();
            assert!((3.0..4.0).contains(&length), "{length} s");
            let loud = spoken.iter().filter(|s| s.unsigned_abs() > 1_000).count();
            assert!(loud * 5 > spoken.len(), "it can be heard");
        }
    }
}
