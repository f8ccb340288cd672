//! Piper: speech from text, a clause at a time, on the calling thread.
//!
//! A clause of five words takes about 60 ms on one thread; the network gives its audio whole, so what decides the
//! first sound is how short the first clause is. Silence in front of the words is cut because it is heard as latency,
//! the pause behind them follows the punctuation, and every clause has the same loudness. Callers:
//! [`super::speaker`], tests.

use std::collections::HashMap;
use std::time::Duration;

use ort::session::{Session, SessionInputValue};
use ort::value::TensorRef;
use serde::Deserialize;

use super::ModelFiles;
use super::phonemes::Phonemiser;
use super::runtime::{Lanes, Runtime, failed, present};
use crate::audio::SampleRate;
use crate::error::ProviderError;

/// Something that speaks a piece of text in one go; [`Piper`], and stand-ins in tests.
pub trait Synthesiser: Send + Sync {
    /// Name for logs and errors.
    fn name(&self) -> &'static str;

    /// Rate of the samples.
    fn rate(&self) -> SampleRate;

    /// Speaks a clause of speakable text. Computes on the calling thread. Empty where there is nothing to say.
    ///
    /// # Errors
    /// The model fails.
    fn synthesise(&self, text: &str) -> Result<Vec<i16>, ProviderError>;
}

/// A Piper voice, one copy of the weights for each thread that may speak at the same time.
pub struct Piper {
    lanes: Lanes<Session>,
    phonemiser: Phonemiser,
    alphabet: Alphabet,
    rate: SampleRate,
    /// Noise of the sound, length, noise of the rhythm: inputs of the network.
    scales: [f32; 3],
}

impl Piper {
    /// Opens the voice for up to `lanes` threads, loads the dictionaries and speaks a word to warm up.
    ///
    /// `threads` is how many threads one clause computes on: with 2 a clause is there in about two thirds of the
    /// time, and another call's clause waits for them.
    ///
    /// # Errors
    /// [`ProviderError::ModelMissing`] or [`ProviderError::Failed`].
    pub fn load(
        runtime: &Runtime,
        files: &ModelFiles,
        lanes: usize,
        threads: usize,
    ) -> Result<Self, ProviderError> {
        present(NAME, &files.piper_config)?;
        let text = std::fs::read(&files.piper_config).map_err(|error| failed(NAME, error))?;
        let config: Config = serde_json::from_slice(&text).map_err(|error| failed(NAME, error))?;
        let rate = SampleRate::new(config.audio.sample_rate).map_err(|error| failed(NAME, error))?;
        let alphabet = Alphabet::new(config.phoneme_id_map)?;
        let scales = [config.inference.noise_scale, config.inference.length_scale, config.inference.noise_w];
        let (runtime, model) = (runtime.clone(), files.piper_voice.clone());
        let lanes = Lanes::new(lanes, move || runtime.open(NAME, &model, threads))?;
        let piper = Self { lanes, phonemiser: Phonemiser::load(), alphabet, rate, scales };
        piper.synthesise("ready")?;
        Ok(piper)
    }

    /// Loads the copies for the other threads; see [`Lanes::fill`].
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn warm_up(&self) -> Result<(), ProviderError> {
        self.lanes.fill()
    }

    /// The sounds of a text as the voice is given them, for tests and for looking into a mispronounced name.
    pub fn sounds(&self, text: &str) -> String {
        self.phonemiser.sounds(text)
    }

    /// Raw audio of some sounds, between -1 and 1.
    fn voice(&self, sounds: &str) -> Result<Vec<f32>, ProviderError> {
        let said = |error: ort::Error| failed(NAME, error);
        let ids = self.alphabet.ids(sounds);
        let length = [ids.len() as i64];
        self.lanes.with(|session| {
            let inputs: Vec<(&str, SessionInputValue<'_>)> = vec![
                ("input", TensorRef::from_array_view(([1, length[0]], &ids[..])).map_err(said)?.into()),
                ("input_lengths", TensorRef::from_array_view(([1_i64], &length[..])).map_err(said)?.into()),
                ("scales", TensorRef::from_array_view(([3_i64], &self.scales[..])).map_err(said)?.into()),
            ];
            let outputs = session.run(inputs).map_err(said)?;
            let output = outputs.get("output").ok_or_else(|| failed(NAME, "the network gives no output"))?;
            Ok(output.try_extract_tensor::<f32>().map_err(said)?.1.to_vec())
        })
    }
}

impl Synthesiser for Piper {
    fn name(&self) -> &'static str {
        NAME
    }

    fn rate(&self) -> SampleRate {
        self.rate
    }

    fn synthesise(&self, text: &str) -> Result<Vec<i16>, ProviderError> {
        let mut speech = Vec::new();
        for sounds in stretches(&self.phonemiser.sounds(text)) {
            if sounds.chars().any(char::is_alphabetic) {
                let raw = self.voice(sounds)?;
                finish(&raw, self.rate, pause_after(sounds), &mut speech);
            }
        }
        Ok(speech)
    }
}

const NAME: &str = "piper";

/// What is read of the voice's settings.
#[derive(Deserialize)]
struct Config {
    audio: AudioConfig,
    inference: InferenceConfig,
    phoneme_id_map: HashMap<String, Vec<i64>>,
}

#[derive(Deserialize)]
struct AudioConfig {
    sample_rate: u32,
}

#[derive(Deserialize)]
struct InferenceConfig {
    noise_scale: f32,
    length_scale: f32,
    noise_w: f32,
}

/// Which numbers the network knows the sounds by.
struct Alphabet {
    ids: HashMap<String, Vec<i64>>,
    /// Code points of the longest sound.
    longest: usize,
    start: i64,
    gap: i64,
    end: i64,
}

impl Alphabet {
    fn new(ids: HashMap<String, Vec<i64>>) -> Result<Self, ProviderError> {
        let mark = |name: &str| {
            let id = ids.get(name).and_then(|ids| ids.first()).copied();
            id.ok_or_else(|| failed(NAME, format_args!("the voice's table has no {name:?}")))
        };
        let (start, gap, end) = (mark("^")?, mark("_")?, mark("$")?);
        let longest = ids.keys().map(|sound| sound.chars().count()).max().unwrap_or(1);
        Ok(Self { ids, longest, start, gap, end })
    }

    /// Start, every sound with a gap behind it, end. Of sounds that begin alike the longest is taken; what the voice
    /// does not know is left out.
    fn ids(&self, sounds: &str) -> Vec<i64> {
        let mut out = Vec::with_capacity(sounds.len() * 2 + 3);
        out.extend([self.start, self.gap]);
        let mut rest = sounds;
        while let Some(first) = rest.chars().next() {
            let found = (1..=self.longest).rev().find_map(|count| {
                let end = rest.char_indices().nth(count).map_or(rest.len(), |(at, _)| at);
                self.ids.get(&rest[..end]).map(|ids| (end, ids))
            });
            let taken = match found {
                Some((end, ids)) => {
                    for id in ids {
                        out.extend([*id, self.gap]);
                    }
                    end
                }
                None => first.len_utf8(),
            };
            rest = &rest[taken..];
        }
        out.push(self.end);
        out
    }
}

/// Sounds given to the network in one go at most, in bytes: some 12 s of speech. Its memory grows with them.
const LONGEST: usize = 400;

/// Cuts sounds that are too long between words, and where there are none, anywhere.
fn stretches(sounds: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = sounds;
    while rest.len() > LONGEST {
        let limit = rest.floor_char_boundary(LONGEST);
        let cut = rest[..limit].rfind(' ').filter(|at| *at > 0).unwrap_or(limit);
        out.push(&rest[..cut]);
        rest = rest[cut..].trim_start();
    }
    if !rest.is_empty() {
        out.push(rest);
    }
    out
}

/// How long a speaker pauses behind a clause that ends so.
fn pause_after(sounds: &str) -> Duration {
    Duration::from_millis(match sounds.chars().next_back() {
        Some('.' | '?' | '!') => 240,
        Some(';' | ':') => 160,
        Some(',') => 110,
        _ => 20,
    })
}

/// Silence kept in front of the first sound: enough for the soft start of an `f` or an `h`.
const LEAD: Duration = Duration::from_millis(20);
/// Kept behind the last sound, which fades away.
const DECAY: Duration = Duration::from_millis(40);
const FADE_IN: Duration = Duration::from_millis(2);
const FADE_OUT: Duration = Duration::from_millis(8);
/// Length of the pieces whose loudness is measured.
const WINDOW: Duration = Duration::from_millis(5);
/// Softer than the loudest piece by this is silence: 40 dB.
const SILENT: f32 = 0.01;
/// Root mean square of the spoken pieces: -20 dBFS, where most voices and telephones are.
const LEVEL: f32 = 0.1;
/// No sample goes above this, so that coding it cannot clip.
const PEAK: f32 = 0.89;
/// More gain than this would be raising noise.
const MOST_GAIN: f32 = 8.0;

/// Trims, levels and fades raw audio and appends it with its pause.
fn finish(raw: &[f32], rate: SampleRate, pause: Duration, out: &mut Vec<i16>) {
    let count = |time: Duration| rate.samples_in(time) as usize;
    let window = count(WINDOW).max(1);
    let loudness: Vec<f32> = raw
        .chunks(window)
        .map(|piece| (piece.iter().map(|s| s * s).sum::<f32>() / piece.len() as f32).sqrt())
        .collect();
    let loudest = loudness.iter().copied().fold(0.0, f32::max);
    let is_spoken = |level: &f32| *level > loudest * SILENT;
    let (Some(first), Some(last)) =
        (loudness.iter().position(is_spoken), loudness.iter().rposition(is_spoken))
    else {
        return;
    };
    let start = (first * window).saturating_sub(count(LEAD));
    let end = ((last + 1) * window + count(DECAY)).min(raw.len());
    let raw = &raw[start..end];

    let (spoken, power) = loudness
        .iter()
        .filter(|level| **level > loudest * 0.1)
        .fold((0.0_f32, 0.0_f32), |(n, power), level| (n + 1.0, power + level * level));
    let peak = raw.iter().fold(0.0_f32, |peak, s| peak.max(s.abs()));
    let gain = (LEVEL / (power / spoken.max(1.0)).sqrt()).min(PEAK / peak).min(MOST_GAIN);
    let fade_in = count(FADE_IN).clamp(1, raw.len());
    let fade_out = count(FADE_OUT).clamp(1, raw.len());
    out.reserve(raw.len() + count(pause));
    out.extend(raw.iter().enumerate().map(|(i, sample)| {
        let fade = (i as f32 / fade_in as f32).min((raw.len() - 1 - i) as f32 / fade_out as f32).min(1.0);
        (sample * gain * fade * 32_767.0) as i16
    }));
    out.resize(out.len() + count(pause), 0);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::Instant;

    use super::*;
    use crate::local::recogniser::Transcriber;
    use crate::local::{Moonshine, testing};

    fn alphabet(sounds: &[(&str, i64)]) -> Alphabet {
        let marks = [("_", 0), ("^", 1), ("$", 2)];
        let ids = marks.iter().chain(sounds).map(|(s, id)| ((*s).to_owned(), vec![*id])).collect();
        Alphabet::new(ids).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_longest_sound_is_taken_and_a_strange_one_left_out() {
        let alphabet = alphabet(&[("a", 10), ("ː", 11), ("aː", 12), ("t\u{303}", 13), ("t", 14)]);
        assert_eq!(alphabet.ids("aːt"), [1, 0, 12, 0, 14, 0, 2]);
        assert_eq!(alphabet.ids("t\u{303}aža"), [1, 0, 13, 0, 10, 0, 10, 0, 2]);
        assert_eq!(alphabet.ids(""), [1, 0, 2]);
    }

    #[test]
    fn a_table_without_its_marks_is_refused() {
        assert!(Alphabet::new(HashMap::from([("a".to_owned(), vec![1])])).is_err());
        let empty = HashMap::from([("^", vec![]), ("_", vec![0]), ("$", vec![2])]);
        assert!(Alphabet::new(empty.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()).is_err());
    }

    #[test]
    fn long_sounds_are_cut_between_words_and_nothing_is_lost() {
        let text = "ˈeɪ bˈiː ".repeat(100);
        let parts = stretches(text.trim());
        assert!(parts.len() > 2 && parts.iter().all(|part| part.len() <= LONGEST));
        assert_eq!(parts.join(" "), text.trim());
        let solid = "ə".repeat(1_000);
        assert_eq!(stretches(&solid).concat(), solid);
        assert!(stretches("").is_empty());
    }

    fn tone(silence_before: usize, length: usize, silence_after: usize, level: f32) -> Vec<f32> {
        let mut raw = vec![0.0; silence_before];
        raw.extend((0..length).map(|i| (i as f32 * 0.2).sin() * level));
        raw.resize(silence_before + length + silence_after, 0.0);
        raw
    }

    #[test]
    fn silence_in_front_is_cut_and_the_pause_follows_the_punctuation() {
        let rate = SampleRate::HZ_16000;
        for (end, pause) in [("a.", 240), ("a,", 110), ("a", 20)] {
            let mut out = Vec::new();
            finish(&tone(8_000, 16_000, 8_000, 0.2), rate, pause_after(end), &mut out);
            let lead = out.iter().position(|s| s.abs() > 100).expect("sound");
            assert!(lead <= 480, "{lead} samples of silence in front");
            let tail = out.iter().rev().position(|s| s.abs() > 100).expect("sound");
            let expected = (pause + 40) * 16;
            assert!(tail.abs_diff(expected) < 400, "{end}: {tail}, expected about {expected}");
        }
    }

    #[test]
    fn every_clause_has_the_same_loudness_and_soft_edges() {
        let level = |input: f32| {
            let mut out = Vec::new();
            finish(&tone(0, 16_000, 0, input), SampleRate::HZ_16000, Duration::ZERO, &mut out);
            assert_eq!((out[0], out[out.len() - 1]), (0, 0), "edges without a click");
            (out.iter().map(|s| f32::from(*s).powi(2)).sum::<f32>() / out.len() as f32).sqrt() / 32_768.0
        };
        for input in [0.05, 0.2, 0.9] {
            assert!((level(input) - LEVEL).abs() < 0.01, "{input}: {}", level(input));
        }
    }

    #[test]
    fn silence_and_nothing_give_nothing() {
        let mut out = Vec::new();
        finish(&[], SampleRate::HZ_16000, Duration::from_secs(1), &mut out);
        finish(&[0.0; 1_000], SampleRate::HZ_16000, Duration::from_secs(1), &mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn a_missing_voice_names_the_command_that_brings_it() {
        let Some((runtime, _)) = testing::weights("a missing voice") else { return };
        let files = ModelFiles::in_folder(std::path::Path::new("/nowhere"));
        let error = Piper::load(&runtime, &files, 1, 1).err().expect("no voice").to_string();
        assert!(error.contains("voice models pull"), "{error}");
    }

    fn voice(test: &str, threads: usize) -> Option<(Piper, Runtime, ModelFiles)> {
        let (runtime, files) = testing::weights(test)?;
        if !files.piper_voice.is_file() {
            eprintln!("LEFT OUT: {test}: the Piper voice is missing (`voice models pull` brings it)");
            return None;
        }
        let piper = Piper::load(&runtime, &files, 1, threads).expect("the voice loads");
        Some((piper, runtime, files))
    }

    /// Straight-line resampling, good enough for a recogniser in a test.
    fn at_16k(samples: &[i16], rate: SampleRate) -> Vec<i16> {
        let step = f64::from(rate.hz()) / 16_000.0;
        (0..(samples.len() as f64 / step) as usize)
            .map(|i| {
                let at = i as f64 * step;
                let (left, part) = (at as usize, at.fract());
                let right = samples.get(left + 1).copied().unwrap_or_default();
                (f64::from(samples[left]) * (1.0 - part) + f64::from(right) * part) as i16
            })
            .collect()
    }

    fn words(text: &str) -> Vec<String> {
        let said = crate::text::speakable::speakable(text);
        let plain: String = said
            .to_lowercase()
            .chars()
            .map(|c| if c.is_alphanumeric() || c == '\'' { c } else { ' ' })
            .collect();
        plain.split_whitespace().filter(|word| *word != "and").map(str::to_owned).collect()
    }

    fn errors(wanted: &[String], heard: &[String]) -> usize {
        let mut row: Vec<usize> = (0..=heard.len()).collect();
        for (i, word) in wanted.iter().enumerate() {
            let mut corner = row[0];
            row[0] = i + 1;
            for (j, other) in heard.iter().enumerate() {
                let change = corner + usize::from(word != other);
                corner = row[j + 1];
                row[j + 1] = change.min(row[j] + 1).min(corner + 1);
            }
        }
        row[heard.len()]
    }

    const ANSWERS: [&str; 16] = [
        "I found three homes under $600,000 in Austin.",
        "1208 Barton Drive has three bedrooms and two and a half baths.",
        "It is listed at $525,000.",
        "The house has 1,850 sq ft and was built in 1998.",
        "The other one is at 310 East 5th Street.",
        "It is on the market for $1.2 million.",
        "The rent is $3,200 a month.",
        "There is a pool, a garage, and a large back yard.",
        "I can book a viewing on Saturday at 10:30 AM.",
        "Would you like to see it this weekend?",
        "2201 Guadalupe Street is a two-story home.",
        "The HOA fee is $250 a month.",
        "Please call our office at 512-555-0142.",
        "The lot is a quarter of an acre near Congress Avenue.",
        "Property taxes are about 2.5% a year.",
        "Yes, pets are welcome, and there is room for two cars.",
    ];

    #[test]
    fn what_it_says_is_understood() {
        let Some((piper, runtime, files)) = voice("what it says is understood", 1) else { return };
        let ears = Moonshine::load(&runtime, &files, 1).expect("the recogniser loads");
        let (mut wrong, mut all) = (0, 0);
        for text in ANSWERS {
            let speech = piper.synthesise(&crate::text::speakable::speakable(text)).expect("speech");
            let heard =
                ears.transcribe(&at_16k(&speech, piper.rate()), &AtomicBool::new(false)).expect("heard");
            let (wanted, heard_words) = (words(text), words(&heard));
            let bad = errors(&wanted, &heard_words);
            wrong += bad;
            all += wanted.len();
            println!("{bad} of {:2}: {text}\n          {heard}", wanted.len());
        }
        println!("word error rate {:.1} % ({wrong} of {all})", 100.0 * wrong as f64 / all as f64);
        assert!(wrong * 100 < all * 12, "{wrong} of {all} words were misheard");
    }

    #[test]
    fn a_clause_starts_at_once_and_is_never_empty() {
        let Some((piper, ..)) = voice("a clause starts at once", 1) else { return };
        for text in ["Sure, I can help.", "Pflugerville", "three ten", "HOA", "Xochitl Zhqwk"] {
            let speech = piper.synthesise(text).expect("speech");
            let lead = speech.iter().position(|s| s.abs() > 500).expect("sound");
            let lead = piper.rate().duration_of(lead as u64);
            assert!(lead < Duration::from_millis(60), "{text}: {lead:?} before the first clear sound");
            assert!(piper.rate().duration_of(speech.len() as u64) > Duration::from_millis(200), "{text}");
        }
        assert!(piper.synthesise("").expect("nothing").is_empty());
        assert!(piper.synthesise("...").expect("nothing").is_empty());
    }

    #[test]
    #[ignore = "a measurement for a person: run it alone, in release"]
    fn measure_speed() {
        for threads in [1, 2] {
            let begun = Instant::now();
            let Some((piper, ..)) = voice("measure speed", threads) else { return };
            println!("{threads} threads: load {:?}", begun.elapsed());
            for text in ["Sure, I found three.", "It has three bedrooms and two baths.", ANSWERS[13]] {
                let mut whole: Vec<f64> = Vec::new();
                let mut sounds: Vec<f64> = Vec::new();
                let mut audio = 0.0;
                for _ in 0..15 {
                    let begun = Instant::now();
                    let _ = piper.sounds(text);
                    sounds.push(begun.elapsed().as_secs_f64() * 1e3);
                    let begun = Instant::now();
                    audio = piper.synthesise(text).expect("speech").len() as f64 / 22.05;
                    whole.push(begun.elapsed().as_secs_f64() * 1e3);
                }
                whole.sort_by(f64::total_cmp);
                sounds.sort_by(f64::total_cmp);
                println!(
                    "  {text:55} p50 {:.0} ms, best {:.0}, worst {:.0}, of it sounds {:.1} ms; {audio:.0} ms of audio",
                    whole[7], whole[0], whole[14], sounds[7]
                );
            }
        }
    }
}
