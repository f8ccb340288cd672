//! Moonshine speech-to-text: an encoder over the samples themselves and a decoder that gives one token at a time.
//!
//! Greedy, with the keys and values of earlier tokens kept. The attention mask of the decoder counts samples, as the
//! encoder's does. An utterance of over 9 s is heard in windows cut at its quietest points, since the model was
//! trained on short ones. Silence is not asked about: the model would make words up. Speech cut in the middle can
//! make it repeat itself, so tokens are capped by duration and a repeated phrase is cut off.

use std::borrow::Cow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ort::memory::Allocator;
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Tensor, TensorRef, ValueType};

use super::ModelFiles;
use super::recogniser::Transcriber;
use super::runtime::{Lanes, Runtime, failed, present};
use super::tokens::Tokens;
use crate::error::ProviderError;
use crate::vad::level_dbfs;

/// Weights and token table, one copy of the weights for each thread that may transcribe at the same time.
pub struct Moonshine {
    lanes: Lanes<Nets>,
    tokens: Tokens,
}

impl Moonshine {
    /// Opens the networks for up to `lanes` threads and runs them once.
    ///
    /// # Errors
    /// [`ProviderError::ModelMissing`] or [`ProviderError::Failed`].
    pub fn load(runtime: &Runtime, files: &ModelFiles, lanes: usize) -> Result<Self, ProviderError> {
        present(NAME, &files.moonshine_tokens)?;
        let table = std::fs::read(&files.moonshine_tokens).map_err(|error| failed(NAME, error))?;
        let tokens = Tokens::parse(&table).map_err(|error| failed(NAME, error))?;
        let (runtime, files) = (runtime.clone(), files.clone());
        let lanes = Lanes::new(lanes, move || {
            let mut nets = Nets::open(&runtime, &files.moonshine_encoder, &files.moonshine_decoder)?;
            nets.decode(&[0.0; SHORTEST], &AtomicBool::new(false))?;
            Ok(nets)
        })?;
        Ok(Self { lanes, tokens })
    }

    /// Loads the copies for the other threads; see [`Lanes::fill`].
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn warm_up(&self) -> Result<(), ProviderError> {
        self.lanes.fill()
    }

    fn window(&self, audio: &[i16], stop: &AtomicBool) -> Result<String, ProviderError> {
        let Some(samples) = prepared(audio) else { return Ok(String::new()) };
        let ids = self.lanes.with(|nets| nets.decode(&samples, stop))?;
        Ok(tidy(self.tokens.text(&ids)))
    }
}

impl Transcriber for Moonshine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn transcribe(&self, audio: &[i16], stop: &AtomicBool) -> Result<String, ProviderError> {
        let mut text = String::new();
        let mut rest = audio;
        while !rest.is_empty() && !stop.load(Ordering::Relaxed) {
            let (window, after) = rest.split_at(cut_point(rest));
            rest = after;
            let words = self.window(window, stop)?;
            if !text.is_empty() && !words.is_empty() {
                text.push(' ');
            }
            text.push_str(&words);
        }
        Ok(text)
    }
}

const NAME: &str = "moonshine";

/// Longest stretch that is transcribed in one go: 9 s.
pub const LONGEST_WINDOW: usize = 9 * 16_000;
/// A window is never cut before this: 5 s. Shorter ones lose context.
const SHORTEST_CUT: usize = 5 * 16_000;
/// A cut falls into the middle of the quietest 200 ms.
const QUIET: usize = 3_200;

/// Where the first window of `audio` ends: at its end if it is short enough, else at the quietest point between 5
/// and 9 s.
pub fn cut_point(audio: &[i16]) -> usize {
    if audio.len() <= LONGEST_WINDOW {
        return audio.len();
    }
    (SHORTEST_CUT..=LONGEST_WINDOW - QUIET)
        .step_by(320)
        .map(|start| (start, level_dbfs(&audio[start..start + QUIET])))
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map_or(LONGEST_WINDOW, |(start, _)| start + QUIET / 2)
}

/// Half a second: what shorter sounds are padded to, since the encoder's strides need something to stand on.
const SHORTEST: usize = 8_000;
/// Silence after the words without which the last one is often misheard.
const TAIL: usize = 1_600;
/// No voice on a usable line is softer than this at its loudest.
const AUDIBLE_DBFS: f32 = -58.0;
/// Peak that the sound is scaled to: soft callers are understood better.
const PEAK: f32 = 0.7;
/// More gain than this would only raise the noise: 30 dB.
const MOST_GAIN: f32 = 32.0;

/// The samples as the encoder wants them, or `None` where there is nothing to hear.
fn prepared(audio: &[i16]) -> Option<Vec<f32>> {
    let loudest = audio.chunks(320).map(level_dbfs).fold(f32::MIN, f32::max);
    if loudest < AUDIBLE_DBFS {
        return None;
    }
    let peak = audio.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0).max(1);
    let gain = (PEAK * 32_768.0 / f32::from(peak)).min(MOST_GAIN) / 32_768.0;
    let mut samples = Vec::with_capacity((audio.len() + TAIL).max(SHORTEST));
    samples.extend(audio.iter().map(|&s| f32::from(s) * gain));
    samples.resize((audio.len() + TAIL).max(SHORTEST), 0.0);
    Some(samples)
}

/// The model learned some spelling from old books, and now and then puts a comma twice.
fn tidy(text: String) -> String {
    let mut text = text;
    for word in ["day", "night", "morrow"] {
        for to in ["to", "To"] {
            text = text.replace(&format!("{to}-{word}"), &format!("{to}{word}"));
        }
    }
    while text.contains(",,") {
        text = text.replace(",,", ",");
    }
    text
}

/// The two networks and what their inputs and outputs are called.
struct Nets {
    encoder: Session,
    decoder: Session,
    /// Keys and values of the decoder, of its own tokens and of the encoder's output.
    memory: Vec<Memory>,
    heads: i64,
    width: i64,
    mask: Vec<i64>,
}

/// One key or value that goes from step to step.
struct Memory {
    past: String,
    present: String,
    /// Made of the encoder's output: only the first step gives it.
    of_encoder: bool,
}

impl Nets {
    fn open(runtime: &Runtime, encoder: &Path, decoder: &Path) -> Result<Self, ProviderError> {
        let encoder = runtime.open(NAME, encoder, 1)?;
        let decoder = runtime.open(NAME, decoder, 1)?;
        let mut memory = Vec::new();
        let mut shape = None;
        for input in decoder.inputs() {
            let Some(rest) = input.name().strip_prefix("past_key_values.") else { continue };
            if let ValueType::Tensor { shape: dimensions, .. } = input.dtype() {
                shape = Some((dimensions.get(1).copied(), dimensions.get(3).copied()));
            }
            memory.push(Memory {
                past: input.name().to_owned(),
                present: format!("present.{rest}"),
                of_encoder: rest.contains(".encoder."),
            });
        }
        let Some((Some(heads @ 1..), Some(width @ 1..))) = shape else {
            return Err(failed(NAME, "the decoder keeps no keys and values of a known shape"));
        };
        Ok(Self { encoder, decoder, memory, heads, width, mask: Vec::new() })
    }

    /// Token numbers of the samples' words. Where `stop` is set meanwhile, those so far.
    fn decode(&mut self, samples: &[f32], stop: &AtomicBool) -> Result<Vec<u32>, ProviderError> {
        let said = |error: ort::Error| failed(NAME, error);
        let missing = |name: &str| failed(NAME, format_args!("the network gives no {name}"));
        self.mask.resize(samples.len().max(self.mask.len()), 1);
        let across = [1_i64, samples.len() as i64];
        let mask = TensorRef::from_array_view((across, &self.mask[..samples.len()])).map_err(said)?;

        let heard = {
            let input = TensorRef::from_array_view((across, samples)).map_err(said)?;
            let inputs: Vec<(&str, SessionInputValue<'_>)> =
                vec![("input_values", input.into()), ("attention_mask", mask.view().into())];
            let mut outputs = self.encoder.run(inputs).map_err(said)?;
            outputs.remove("last_hidden_state").ok_or_else(|| missing("last_hidden_state"))?
        };

        let mut past: Vec<DynValue> = Vec::with_capacity(self.memory.len());
        for _ in &self.memory {
            let empty = Tensor::<f32>::new(&Allocator::default(), [1, self.heads, 0, self.width]);
            past.push(empty.map_err(said)?.into_dyn());
        }
        let most = token_cap(samples.len());
        let mut ids: Vec<u32> = Vec::with_capacity(most);
        let mut last = [START];
        while ids.len() < most && !stop.load(Ordering::Relaxed) {
            let later = [!ids.is_empty()];
            let token = TensorRef::from_array_view(([1_i64, 1], &last[..])).map_err(said)?;
            let branch = TensorRef::from_array_view(([1_i64], &later[..])).map_err(said)?;
            let mut inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = vec![
                ("input_ids".into(), token.into()),
                ("encoder_hidden_states".into(), (&heard).into()),
                ("encoder_attention_mask".into(), mask.view().into()),
                ("use_cache_branch".into(), branch.into()),
            ];
            inputs.extend(
                self.memory.iter().zip(&past).map(|(m, value)| (m.past.as_str().into(), value.into())),
            );
            let mut outputs = self.decoder.run(inputs).map_err(said)?;

            let logits = outputs.get("logits").ok_or_else(|| missing("logits"))?;
            let (_, logits) = logits.try_extract_tensor::<f32>().map_err(said)?;
            let next = likeliest(logits);
            for (m, value) in self.memory.iter().zip(&mut past) {
                if later[0] && m.of_encoder {
                    continue;
                }
                *value = outputs.remove(&m.present).ok_or_else(|| missing(&m.present))?;
            }
            if next == END {
                break;
            }
            ids.push(next);
            if let Some(keep) = repeated(&ids) {
                ids.truncate(keep);
                break;
            }
            last = [i64::from(next)];
        }
        Ok(ids)
    }
}

const START: i64 = 1;
const END: u32 = 2;

/// Nobody says more: 6.5 tokens a second and some for the ends.
fn token_cap(samples: usize) -> usize {
    samples * 13 / 2 / 16_000 + 4
}

fn likeliest(logits: &[f32]) -> u32 {
    let best = logits
        .iter()
        .enumerate()
        .fold((END as usize, f32::MIN), |best, (i, &value)| if value > best.1 { (i, value) } else { best });
    best.0 as u32
}

/// Where the tokens end in a repetition that nobody says: how many of them to keep.
///
/// A phrase of six tokens or more twice in a row, or anything shorter that fills eighteen: digits and "no, no, no" stay.
fn repeated(ids: &[u32]) -> Option<usize> {
    for period in 1..=ids.len() / 2 {
        let times = if period >= LONG_PHRASE { 2 } else { SHORT_PHRASES.div_ceil(period) };
        let span = period * times;
        if span > ids.len() {
            continue;
        }
        let tail = &ids[ids.len() - span..];
        if tail[period..] == tail[..span - period] {
            return Some(ids.len() - span + period);
        }
    }
    None
}

const LONG_PHRASE: usize = 6;
const SHORT_PHRASES: usize = 18;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::local::testing::{human_clip, human_clips, weights, word_errors};

    #[test]
    fn long_audio_is_cut_in_its_quietest_place() {
        let mut audio = vec![3_000_i16; 16_000 * 20];
        assert_eq!(cut_point(&audio[..LONGEST_WINDOW]), LONGEST_WINDOW);
        audio[16_000 * 2..16_000 * 3].fill(0);
        audio[16_000 * 7..16_000 * 7 + 4_000].fill(20);
        let cut = cut_point(&audio);
        assert!((16_000 * 7..16_000 * 7 + 4_000).contains(&cut), "{cut}");
        let loud = vec![i16::MAX; LONGEST_WINDOW + 1];
        assert!((SHORTEST_CUT..=LONGEST_WINDOW).contains(&cut_point(&loud)));
    }

    #[test]
    fn silence_is_not_asked_about_and_soft_speech_is_raised() {
        assert!(prepared(&[]).is_none());
        assert!(prepared(&[0; 16_000]).is_none());
        assert!(prepared(&[20; 16_000]).is_none());
        let soft = prepared(&[400; 16_000]).expect("audible");
        assert!(
            (soft[0] - 400.0 / 32_768.0 * 32.0).abs() < 1e-3 || (soft[0] - PEAK).abs() < 1e-3,
            "{}",
            soft[0]
        );
        assert_eq!(soft.len(), 16_000 + TAIL);
        assert_eq!(prepared(&[9_000; 320]).expect("audible").len(), SHORTEST);
        assert!(prepared(&[i16::MIN; 320]).expect("audible")[0] >= -PEAK - 1e-3);
    }

    #[test]
    fn a_phrase_said_twice_is_cut_and_digits_are_not() {
        assert_eq!(repeated(&[1, 2, 3, 4, 5, 6, 7, 2, 3, 4, 5, 6, 7]), Some(7));
        assert_eq!(repeated(&[1, 2, 3, 4, 5, 1, 2, 3, 4, 5]), None, "a short phrase may be said twice");
        assert_eq!(repeated(&[5; 10]), None, "a number full of fives");
        assert_eq!(repeated(&[5; 18]), Some(1));
        assert_eq!(repeated(&[7, 8].repeat(9)), Some(2));
        assert_eq!(repeated(&[]), None);
    }

    #[test]
    fn old_spelling_and_double_commas_are_tidied() {
        assert_eq!(tidy("To-day,,, or to-morrow, well-to-do.".into()), "Today, or tomorrow, well-to-do.");
    }

    #[test]
    fn tokens_are_capped_by_duration() {
        assert_eq!(token_cap(16_000), 10);
        assert_eq!(token_cap(0), 4);
        assert_eq!(likeliest(&[0.0, 3.0, 5.0, f32::NAN, 4.0]), 2);
        assert_eq!(likeliest(&[]), END);
    }

    #[test]
    fn human_speech_is_transcribed_with_few_errors() {
        let Some((runtime, files)) = weights("moonshine::human_speech_is_transcribed_with_few_errors") else {
            return;
        };
        let model = Moonshine::load(&runtime, &files, 1).expect("loads");
        let (mut wrong, mut all) = (0, 0);
        for clip in human_clips() {
            let hear = || {
                let started = Instant::now();
                let heard = model.transcribe(&clip.samples, &AtomicBool::new(false)).expect("transcribes");
                (heard, started.elapsed().as_secs_f64() * 1e3)
            };
            let (heard, first) = hear();
            let (_, again) = hear();
            let (errors, words) = word_errors(&clip.words, &heard);
            let seconds = clip.samples.len() as f64 / 16_000.0;
            println!(
                "{}: {seconds:.1} s, {first:.0} and {again:.0} ms, WER {errors}/{words}: {heard}",
                clip.name
            );
            assert!(errors * 4 <= words, "{}: {heard}", clip.name);
            wrong += errors;
            all += words;
        }
        println!("all: WER {wrong}/{all}");
        assert!(wrong * 20 < all, "{wrong} of {all} words are wrong");
    }

    #[test]
    fn silence_and_scraps_of_sound_give_no_made_up_sentences() {
        let Some((runtime, files)) = weights("moonshine::silence_and_scraps_of_sound") else { return };
        let model = Moonshine::load(&runtime, &files, 1).expect("loads");
        let heard = |audio: &[i16]| model.transcribe(audio, &AtomicBool::new(false)).expect("transcribes");
        assert_eq!(heard(&[]), "");
        assert_eq!(heard(&[0; 32_000]), "");
        assert_eq!(heard(&[15; 32_000]), "");
        for length in [1, 160, 1_000, 4_000] {
            let click: Vec<i16> = (0..length).map(|i| if i % 2 == 0 { 8_000 } else { -8_000 }).collect();
            let text = heard(&click);
            assert!(text.split_whitespace().count() <= 4, "{length}: {text}");
        }
    }

    #[test]
    fn two_threads_hear_the_same_and_a_stop_is_obeyed() {
        let Some((runtime, files)) = weights("moonshine::two_threads_hear_the_same") else { return };
        let model = Moonshine::load(&runtime, &files, 2).expect("loads");
        model.warm_up().expect("loads");
        let clip = human_clip("go_somewhere").samples;
        let hear = || model.transcribe(&clip, &AtomicBool::new(false)).expect("transcribes");
        let alone = hear();
        std::thread::scope(|scope| {
            let threads = [scope.spawn(hear), scope.spawn(hear)];
            for thread in threads {
                assert_eq!(thread.join().expect("no panic"), alone);
            }
        });
        let stopped = model.transcribe(&clip, &AtomicBool::new(true)).expect("stops");
        assert_eq!(stopped, "");
    }
}
