//! Silero voice activity: 512 new samples and 64 from before go in with a state, a probability comes out.
//!
//! Weights are shared; each call has its own state and context. A window whose run fails is judged by loudness, and
//! the state starts afresh.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ort::session::{Session, SessionInputValue};
use ort::value::TensorRef;

use super::runtime::{Runtime, failed};
use crate::error::ProviderError;
use crate::vad::{EnergyStream, VAD_WINDOW, VadModel, VadStream};

/// The network's weights.
pub struct Silero {
    session: Arc<Mutex<Session>>,
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
        let silero = Self { session: Arc::new(Mutex::new(session)) };
        silero.stream().run(&[0; VAD_WINDOW])?;
        Ok(silero)
    }

    fn stream(&self) -> SileroStream {
        SileroStream {
            session: self.session.clone(),
            input: [0.0; CONTEXT + VAD_WINDOW],
            state: [0.0; STATE],
            loudness: EnergyStream::default(),
            told: false,
        }
    }
}

impl VadModel for Silero {
    fn name(&self) -> &'static str {
        NAME
    }

    fn open(&self) -> Box<dyn VadStream> {
        Box::new(self.stream())
    }
}

const NAME: &str = "silero";
/// In the file's own order, which is the order in which a run takes them.
const INPUTS: [&str; 3] = ["input", "state", "sr"];
/// Samples from before the window that the network wants to see.
const CONTEXT: usize = 64;
/// Numbers of state: two layers of 128.
const STATE: usize = 256;
const RATE: [i64; 1] = [16_000];

/// One call's state.
struct SileroStream {
    session: Arc<Mutex<Session>>,
    /// The context, then the window.
    input: [f32; CONTEXT + VAD_WINDOW],
    state: [f32; STATE],
    loudness: EnergyStream,
    /// A failure was logged; more of the same are not.
    told: bool,
}

impl SileroStream {
    fn run(&mut self, window: &[i16; VAD_WINDOW]) -> Result<f32, ProviderError> {
        self.input.copy_within(VAD_WINDOW.., 0);
        for (to, &from) in self.input[CONTEXT..].iter_mut().zip(window) {
            *to = f32::from(from) / 32_768.0;
        }
        let said = |error: ort::Error| failed(NAME, error);
        let input = TensorRef::from_array_view(([1_i64, (CONTEXT + VAD_WINDOW) as i64], &self.input[..]));
        let state = TensorRef::from_array_view(([2_i64, 1, 128], &self.state[..]));
        let rate = TensorRef::from_array_view(([0_i64; 0], &RATE[..]));
        let inputs: [SessionInputValue<'_>; 3] =
            [input.map_err(said)?.into(), state.map_err(said)?.into(), rate.map_err(said)?.into()];

        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = session.run(inputs).map_err(said)?;
        let odd = || failed(NAME, "the network's outputs are not those of Silero");
        let (_, probability) =
            outputs.get("output").ok_or_else(odd)?.try_extract_tensor::<f32>().map_err(said)?;
        let probability = *probability.first().ok_or_else(odd)?;
        let (_, next) = outputs.get("stateN").ok_or_else(odd)?.try_extract_tensor::<f32>().map_err(said)?;
        let mut state = [0.0; STATE];
        if next.len() != STATE {
            return Err(odd());
        }
        state.copy_from_slice(next);
        drop(outputs);
        drop(session);
        self.state = state;
        Ok(probability)
    }
}

impl VadStream for SileroStream {
    fn probability(&mut self, window: &[i16; VAD_WINDOW]) -> f32 {
        // Always followed, so that the background is known when it is needed.
        let loudness = self.loudness.probability(window);
        match self.run(window) {
            Ok(probability) => probability,
            Err(error) => {
                if !std::mem::replace(&mut self.told, true) {
                    tracing::warn!(%error, "voice activity goes by loudness in this call");
                }
                self.reset();
                loudness
            }
        }
    }

    fn reset(&mut self) {
        self.input = [0.0; CONTEXT + VAD_WINDOW];
        self.state = [0.0; STATE];
    }
}
