//! A voice that is not there: every reply fails with the reason, and its text is all the caller gets.

use futures::StreamExt;
use futures::stream::{self, BoxStream};

use crate::error::ProviderError;
use crate::ids::ReplyId;

use super::{SpeechEvent, TextToSpeech, Voice, VoiceOptions};

/// Stands where a voice should be.
#[derive(Clone, Debug)]
pub struct AbsentVoice {
    reason: ProviderError,
}

impl AbsentVoice {
    /// Fails with this reason.
    pub fn new(reason: ProviderError) -> Self {
        Self { reason }
    }
}

impl TextToSpeech for AbsentVoice {
    fn name(&self) -> &'static str {
        "none"
    }

    fn open(&self, _options: VoiceOptions) -> Box<dyn Voice> {
        Box::new(self.clone())
    }
}

impl Voice for AbsentVoice {
    fn speak(
        &mut self,
        _reply: ReplyId,
        _clauses: BoxStream<'static, String>,
    ) -> BoxStream<'static, Result<SpeechEvent, ProviderError>> {
        let reason = self.reason.clone();
        stream::once(async move { Err(reason) }).boxed()
    }
}
