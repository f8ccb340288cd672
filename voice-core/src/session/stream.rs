//! The one-call form: a caller's audio stream in, the answer's audio stream out.

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};

use crate::ingress::IngressError;

use super::{Engine, Output, Session, SessionEnd, SessionOptions};

/// Why a conversation's stream broke off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConverseError {
    /// The caller's audio is not something we understand.
    #[error("{0}")]
    Unsupported(String),
    /// The caller sent more than the limits allow.
    #[error("{0}")]
    TooBig(String),
    /// No voice could answer; a packaged sentence said so.
    #[error("no voice could answer")]
    VoiceLost,
    /// A fault of ours.
    #[error("the call broke off")]
    Fault,
}

impl Engine {
    /// Answers a caller: `audio` in any split and any container the engine takes (or as `options` declare), answers
    /// out in the form that `options` name. The stream ends when `audio` has ended and all of it has been answered.
    /// Dropping the stream ends the call at once.
    ///
    /// # Errors
    /// The declared input format is not one the engine takes. Later errors come in the stream.
    pub fn converse(
        &self,
        options: SessionOptions,
        audio: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<BoxStream<'static, Result<Bytes, ConverseError>>, IngressError> {
        let session = self.open(options)?;
        let sender = session.sender();
        let feeding = async move {
            let mut audio = std::pin::pin!(audio);
            while let Some(bytes) = audio.next().await {
                if sender.push(bytes).await.is_err() {
                    return;
                }
            }
            let _ = sender.finish().await;
        };
        let feeding: Feeding = Box::pin(feeding);
        Ok(stream::unfold((session, Some(feeding)), step).boxed())
    }
}

type Feeding = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
type Step = Option<(Result<Bytes, ConverseError>, (Session, Option<Feeding>))>;

/// Feeds and waits until there is audio or the end. The feeding lives in the stream's own task: nothing is spawned.
async fn step((mut session, mut feeding): (Session, Option<Feeding>)) -> Step {
    loop {
        let output = match &mut feeding {
            Some(task) => tokio::select! {
                biased;
                output = session.next() => output,
                () = task => {
                    feeding = None;
                    continue;
                }
            },
            None => session.next().await,
        };
        let error = match output? {
            Output::Audio(message) => return Some((Ok(message.payload), (session, feeding))),
            Output::Event(_) | Output::Ended(SessionEnd::Done | SessionEnd::Idle) => continue,
            Output::Ended(SessionEnd::VoiceLost) => ConverseError::VoiceLost,
            Output::Ended(SessionEnd::Unsupported(reason)) => ConverseError::Unsupported(reason),
            Output::Ended(SessionEnd::TooBig(reason)) => ConverseError::TooBig(reason),
            Output::Ended(SessionEnd::Fault) => ConverseError::Fault,
        };
        return Some((Err(error), (session, None)));
    }
}
