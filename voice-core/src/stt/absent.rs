//! A recogniser that is not there: every utterance fails with the reason, so that the call can say so.

use std::sync::Arc;

use crate::audio::Frame;
use crate::error::ProviderError;
use crate::ids::UtteranceId;

use super::{SpeechToText, SttEvent, SttEvents, SttOptions, SttStream};

/// Stands where a recogniser should be.
#[derive(Clone, Debug)]
pub struct AbsentRecogniser {
    reason: ProviderError,
}

impl AbsentRecogniser {
    /// Fails with this reason.
    pub fn new(reason: ProviderError) -> Self {
        Self { reason }
    }
}

impl SpeechToText for AbsentRecogniser {
    fn name(&self) -> &'static str {
        "none"
    }

    fn open(&self, _options: SttOptions, events: Arc<dyn SttEvents>) -> Box<dyn SttStream> {
        Box::new(AbsentStream { reason: self.reason.clone(), events, utterance: None })
    }
}

struct AbsentStream {
    reason: ProviderError,
    events: Arc<dyn SttEvents>,
    utterance: Option<UtteranceId>,
}

impl SttStream for AbsentStream {
    fn begin(&mut self, utterance: UtteranceId) {
        self.utterance = Some(utterance);
    }

    fn push(&mut self, _frame: &Frame) {}

    fn finalise(&mut self) {
        if let Some(utterance) = self.utterance.take() {
            self.events.handle_stt_event(SttEvent::Failed { utterance, error: self.reason.clone() });
        }
    }
}
