//! Silero voice activity: 512 new samples and 64 from before go in with a state, a probability comes out.
//!
//! Weights are shared; each call has its own state and context, and windows of several calls go through in one run, which
//! gives each the same number to the bit. A window whose run fails is judged by loudness, and the state starts afresh.

use std::any::Any;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ort::session::{Session, SessionInputValue};
use ort::value::TensorRef;
use smallvec::SmallVec;

use super::runtime::{Runtime, failed};
use crate::error::ProviderError;
use crate::vad::{EnergyStream, VAD_WINDOW, VadModel, VadStream, VadTask};

/// The network's weights.
pub struct Silero {
    network: Arc<Mutex<Network>>,
}

/// The network and what goes into it, for as many calls as are judged together.
struct Network {
    session: Session,
    /// Context and window of each call.
    input: Vec<f32>,
    /// Both layers' numbers: those of all calls in the first layer, then those in the second.
    state: Vec<f32>,
}

impl Silero {
    /// Opens the network and runs it once, so that a file of another kind is refused here and not in a call.
    ///
    /// # Errors
    /// [`ProviderError::ModelMissing`] or [`ProviderError::Failed`].
    pub fn load(runtime: &Runtime, file: &Path) -> Result<Self, ProviderError> {
        let session = runtime.open(NAME, file, 1)?;
        let names: Vec<&str> = session.inputs().iter().map(|input| input.name()).collect();
        if names != INPUTS {
            return Err(failed(NAME, format_args!("inputs are {names:?} instead of {INPUTS:?}")));
        }
        let network = Arc::new(Mutex::new(Network { session, input: Vec::new(), state: Vec::new() }));
        let silero = Self { network };
        let (mut stream, mut probability) = (silero.stream(), 0.0);
        let part = Part { stream: &mut stream, window: &[0; VAD_WINDOW], probability: &mut probability };
        silero.lock().run(&mut [part])?;
        Ok(silero)
    }

    fn stream(&self) -> SileroStream {
        SileroStream {
            network: self.network.clone(),
            input: [0.0; CONTEXT + VAD_WINDOW],
            state: [0.0; STATE],
            loudness: EnergyStream::default(),
            told: false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Network> {
        self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl VadModel for Silero {
    fn name(&self) -> &'static str {
        NAME
    }

    fn open(&self) -> Box<dyn VadStream> {
        Box::new(self.stream())
    }

    fn judge(&self, batch: &mut [VadTask<'_>]) {
        let mut parts: SmallVec<[Part<'_>; 16]> = SmallVec::new();
        for VadTask { stream, window, probability } in batch {
            if !(&**stream as &dyn Any).is::<SileroStream>() {
                **probability = stream.probability(window);
            } else if let Some(stream) = (&mut **stream as &mut dyn Any).downcast_mut::<SileroStream>() {
                parts.push(Part { stream, window, probability });
            }
        }
        self.lock().judge(&mut parts);
    }
}

const NAME: &str = "silero";
/// In the file's own order, which is the order in which a run takes them.
const INPUTS: [&str; 3] = ["input", "state", "sr"];
/// Samples from before the window that the network wants to see.
const CONTEXT: usize = 64;
/// Numbers of state in each of the two layers.
const LAYER: usize = 128;
const STATE: usize = 2 * LAYER;
const RATE: [i64; 1] = [16_000];

/// One call's state.
struct SileroStream {
    network: Arc<Mutex<Network>>,
    /// The context, then the window.
    input: [f32; CONTEXT + VAD_WINDOW],
    state: [f32; STATE],
    loudness: EnergyStream,
    /// A failure was logged; more of the same are not.
    told: bool,
}

/// One call's part of a run.
struct Part<'p> {
    stream: &'p mut SileroStream,
    window: &'p [i16; VAD_WINDOW],
    probability: &'p mut f32,
}

impl Network {
    /// Judges all parts; where the network fails, by loudness.
    fn judge(&mut self, parts: &mut [Part<'_>]) {
        if parts.is_empty() {
            return;
        }
        for part in &mut *parts {
            // Always followed, so that the background is known when it is needed.
            *part.probability = part.stream.loudness.probability(part.window);
        }
        if let Err(error) = self.run(parts) {
            for Part { stream, .. } in parts {
                if !std::mem::replace(&mut stream.told, true) {
                    tracing::warn!(%error, "voice activity goes by loudness in this call");
                }
                stream.reset();
            }
        }
    }

    fn run(&mut self, parts: &mut [Part<'_>]) -> Result<(), ProviderError> {
        let together = parts.len();
        self.input.clear();
        self.state.clear();
        self.state.resize(together * STATE, 0.0);
        let (first, second) = self.state.split_at_mut(together * LAYER);
        let layers = first.chunks_exact_mut(LAYER).zip(second.chunks_exact_mut(LAYER));
        for (Part { stream, window, .. }, (first, second)) in parts.iter_mut().zip(layers) {
            stream.input.copy_within(VAD_WINDOW.., 0);
            for (to, &from) in stream.input[CONTEXT..].iter_mut().zip(*window) {
                *to = f32::from(from) / 32_768.0;
            }
            self.input.extend_from_slice(&stream.input);
            first.copy_from_slice(&stream.state[..LAYER]);
            second.copy_from_slice(&stream.state[LAYER..]);
        }
        let said = |error: ort::Error| failed(NAME, error);
        let calls = together as i64;
        let input = TensorRef::from_array_view(([calls, (CONTEXT + VAD_WINDOW) as i64], &self.input[..]));
        let state = TensorRef::from_array_view(([2, calls, LAYER as i64], &self.state[..]));
        let rate = TensorRef::from_array_view(([0_i64; 0], &RATE[..]));
        let inputs: [SessionInputValue<'_>; 3] =
            [input.map_err(said)?.into(), state.map_err(said)?.into(), rate.map_err(said)?.into()];
        let outputs = self.session.run(inputs).map_err(said)?;
        let odd = || failed(NAME, "the network's outputs are not those of Silero");
        let (_, probabilities) =
            outputs.get("output").ok_or_else(odd)?.try_extract_tensor::<f32>().map_err(said)?;
        let (_, next) = outputs.get("stateN").ok_or_else(odd)?.try_extract_tensor::<f32>().map_err(said)?;
        if probabilities.len() != together || next.len() != together * STATE {
            return Err(odd());
        }
        let (first, second) = next.split_at(together * LAYER);
        let layers = first.chunks_exact(LAYER).zip(second.chunks_exact(LAYER));
        for ((part, &probability), (first, second)) in parts.iter_mut().zip(probabilities).zip(layers) {
            *part.probability = probability;
            part.stream.state[..LAYER].copy_from_slice(first);
            part.stream.state[LAYER..].copy_from_slice(second);
        }
        Ok(())
    }
}

impl VadStream for SileroStream {
    fn probability(&mut self, window: &[i16; VAD_WINDOW]) -> f32 {
        let network = self.network.clone();
        let mut probability = 0.0;
        let part = Part { stream: self, window, probability: &mut probability };
        network.lock().unwrap_or_else(PoisonError::into_inner).judge(&mut [part]);
        probability
    }

    fn reset(&mut self) {
        self.input = [0.0; CONTEXT + VAD_WINDOW];
        self.state = [0.0; STATE];
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::audio::{FRAME_SAMPLES, SamplePos};
    use crate::local::testing::{human_clip, human_clips, weights};
    use crate::vad::{Activity, GateState, Segmenter, VadFact, Windows};

    fn probabilities(stream: &mut dyn VadStream, samples: &[i16]) -> Vec<f32> {
        samples.as_chunks::<VAD_WINDOW>().0.iter().map(|window| stream.probability(window)).collect()
    }

    #[test]
    fn speech_is_found_where_it_is() {
        let Some((runtime, files)) = weights("silero::speech_is_found_where_it_is") else { return };
        let silero = Silero::load(&runtime, &files.silero).expect("loads");
        for clip in human_clips() {
            let mut audio = vec![0; 16_000];
            audio.extend_from_slice(&clip.samples);
            let spoken = audio.len();
            audio.resize(spoken + 16_000, 0);
            let mut stream = silero.open();
            let started = Instant::now();
            let found = probabilities(&mut *stream, &audio);
            let each = started.elapsed().as_secs_f64() * 1e3 / found.len() as f64;
            println!("{}: {each:.3} ms a window", clip.name);
            let voiced = |range: &[f32]| range.iter().filter(|&&p| p > 0.5).count();
            let in_clip = &found[16_000 / VAD_WINDOW + 1..spoken / VAD_WINDOW];
            assert_eq!(voiced(&found[..16_000 / VAD_WINDOW]), 0, "{}: before", clip.name);
            assert!(voiced(in_clip) * 2 > in_clip.len(), "{}: within", clip.name);
            assert_eq!(voiced(&found[spoken / VAD_WINDOW + 6..]), 0, "{}: after", clip.name);
        }
    }

    /// Facts of a recording behind the gate, each with the position at which it was known, and the windows run.
    fn facts(silero: &Silero, audio: &[i16]) -> (Vec<(SamplePos, VadFact)>, usize) {
        let (mut windows, mut segmenter) = (Windows::default(), Segmenter::default());
        let mut stream = silero.open();
        let mut window = [0; VAD_WINDOW];
        let (mut facts, mut run) = (Vec::new(), 0);
        for frame in audio.as_chunks::<FRAME_SAMPLES>().0 {
            let shut = windows.handle_frame(frame) == GateState::Shut;
            let now = windows.end();
            if shut {
                facts.extend(segmenter.handle_shut(now).map(|fact| (now, fact)));
            }
            while let Some(next) = windows.poll_window(&mut window) {
                run += 1;
                if next.after_gap {
                    stream.reset();
                }
                let activity = Activity::measure(next.end, stream.probability(&window), &window);
                facts.extend(segmenter.handle_window(activity).map(|fact| (now, fact)));
            }
        }
        (facts, run)
    }

    #[test]
    fn behind_the_gate_each_question_ends_at_its_annotated_end() {
        let name = "silero::behind_the_gate_each_question_ends_at_its_annotated_end";
        let Some((runtime, files)) = weights(name) else { return };
        let silero = Silero::load(&runtime, &files.silero).expect("loads");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/audio/questions");
        let annotated = std::fs::read(folder.join("zeros.json")).expect("the annotation is there");
        let annotated: serde_json::Value = serde_json::from_slice(&annotated).expect("JSON");
        let spoken = annotated["files"]["two_questions.wav"]["utterances"].as_array().expect("utterances");
        let mut wav =
            hound::WavReader::open(folder.join("two_questions.wav")).expect("the recording is there");
        assert_eq!((wav.spec().sample_rate, wav.spec().channels), (16_000, 1));
        let audio: Vec<i16> = wav.samples::<i16>().map(|s| s.expect("samples")).collect();

        let (facts, run) = facts(&silero, &audio);
        assert!(run * 4 < audio.len() / VAD_WINDOW * 3, "the gate saves windows: {run}");
        let at_ms = |ms: &serde_json::Value| SamplePos(ms.as_u64().expect("milliseconds") * 16);
        for utterance in spoken {
            let (start, end) = (at_ms(&utterance["speech_start_ms"]), at_ms(&utterance["speech_end_ms"]));
            let of_it = |now: &SamplePos| *now > start && now.0 < end.0 + 16_000;
            let mut of_it = facts.iter().filter(|(now, _)| of_it(now));
            let Some((known, VadFact::SpeechStarted { at })) = of_it.next() else { panic!("{facts:?}") };
            assert!(at.0.abs_diff(start.0) <= 100 * 16, "starts at {start:?}, found {at:?}");
            assert!(known.since(start) <= 200 * 16, "known {} samples later", known.since(start));
            let Some((known, VadFact::SpeechEnded { last_voiced })) = of_it.next_back() else {
                panic!("{facts:?}")
            };
            // The annotation counts softer sound than a caller would, or the codec smears it by a few milliseconds.
            assert!(last_voiced.0.abs_diff(end.0) <= 64 * 16, "ends at {end:?}, found {last_voiced:?}");
            assert!(known.since(end) <= 200 * 16, "known {} samples later", known.since(end));
        }
        assert_eq!(facts.len() % 2, 0, "each start has its end: {facts:?}");
    }

    #[test]
    fn two_calls_do_not_disturb_each_other() {
        let Some((runtime, files)) = weights("silero::two_calls_do_not_disturb_each_other") else { return };
        let silero = Silero::load(&runtime, &files.silero).expect("loads");
        let (one, two) = (human_clip("go_forward").samples, human_clip("cards").samples);
        let alone = [probabilities(&mut *silero.open(), &one), probabilities(&mut *silero.open(), &two)];
        let (mut first, mut second) = (silero.open(), silero.open());
        let mut together = [Vec::new(), Vec::new()];
        for i in 0..one.len().max(two.len()) / VAD_WINDOW {
            let window = |s: &[i16]| s.as_chunks::<VAD_WINDOW>().0.get(i).copied();
            together[0].extend(window(&one).map(|w| first.probability(&w)));
            together[1].extend(window(&two).map(|w| second.probability(&w)));
        }
        assert_eq!(together, alone);
        // Both in one run, as long as both go on.
        let (mut first, mut second) = (silero.open(), silero.open());
        let mut shared = [Vec::new(), Vec::new()];
        for (one, two) in one.as_chunks::<VAD_WINDOW>().0.iter().zip(two.as_chunks::<VAD_WINDOW>().0) {
            let (mut of_one, mut of_two) = (0.0, 0.0);
            silero.judge(&mut [
                VadTask { stream: &mut *first, window: one, probability: &mut of_one },
                VadTask { stream: &mut *second, window: two, probability: &mut of_two },
            ]);
            shared[0].push(of_one);
            shared[1].push(of_two);
        }
        assert!(!shared[0].is_empty());
        assert_eq!(shared[0], alone[0][..shared[0].len()]);
        assert_eq!(shared[1], alone[1][..shared[1].len()]);
        first.reset();
        assert_eq!(probabilities(&mut *first, &one), alone[0], "a reset state is a fresh one");
    }
}
