//! Recorded speech of people, and sounds that are none, in frames.

use std::sync::{Arc, OnceLock};

use voice_core::audio::{FRAME_SAMPLES, Frame};
use voice_core::text::words::word_error_rate;
use voice_fixtures::standin::{KnownAudio, Transcripts};

/// A recording of a person, 16 kHz.
pub(crate) struct Clip {
    /// What is said.
    pub(crate) words: String,
    /// Its audio.
    pub(crate) frames: Vec<Frame>,
}

/// Short ones, by different people. The utterances of a call say them in this order and then from the start again, so
/// that a recogniser whose words are scripted hears the same.
const NAMES: [&str; 3] = ["go_somewhere", "austen_amiable_himself", "go_forward"];

/// The recordings.
pub(crate) fn clips() -> &'static [Clip; 3] {
    static CLIPS: OnceLock<[Clip; 3]> = OnceLock::new();
    CLIPS.get_or_init(|| {
        NAMES.map(|name| {
            let bytes = voice_fixtures::read("human", &format!("{name}.wav")).unwrap();
            let mut wav = hound::WavReader::new(&bytes[..]).unwrap();
            assert_eq!((wav.spec().sample_rate, wav.spec().channels), (16_000, 1), "{name}");
            let mut samples: Vec<i16> = wav.samples().map(Result::unwrap).collect();
            samples.resize(samples.len().next_multiple_of(FRAME_SAMPLES), 0);
            let words = voice_fixtures::read("human", &format!("{name}.txt")).unwrap();
            Clip {
                words: String::from_utf8(words).unwrap().trim().to_owned(),
                frames: samples.as_chunks::<FRAME_SAMPLES>().0.to_vec(),
            }
        })
    })
}

/// A stand-in that knows the recordings by ear; of what is longer it makes one word, since none of them is in it alone.
pub(crate) fn known() -> Transcripts {
    let known = |clip: &Clip| KnownAudio::new(clip.words.clone(), clip.frames.as_flattened(), 16_000);
    let Transcripts::By(ear) = Transcripts::known(clips().iter().map(known).collect()) else {
        unreachable!("recordings are known by listening")
    };
    Transcripts::By(Arc::new(move |heard| {
        let is_long = heard.samples.len() > LONGEST * heard.rate as usize;
        if is_long { "long".to_owned() } else { ear(heard) }
    }))
}

/// Seconds; the recordings are shorter.
const LONGEST: usize = 6;

/// So many frames of nothing.
pub(crate) fn silence(frames: usize) -> Vec<Frame> {
    vec![[0; FRAME_SAMPLES]; frames]
}

/// So many frames of a sound that is no speech.
pub(crate) fn hum(frames: usize) -> Vec<Frame> {
    vec![std::array::from_fn(|i| if i % 40 < 20 { 4_000 } else { -4_000 }); frames]
}

/// Whether these are the words but for a misheard few.
pub(crate) fn is_like(said: &str, heard: &str) -> bool {
    word_error_rate(said, heard).rate() <= 0.34
}
