//! Calls before the engine is there: the server serves at once, its models come a moment later.
//!
//! A call that comes while weights are read from the disk waits for them, which takes seconds; one that comes while they are
//! still fetched over the network, which takes minutes, is told so. Caller: `app`.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::watch;
use voice_core::session::SessionSender;

use super::actor::{self, Socket};
use super::call::{Answerer, AnyAnswerer, CallOptions, NotWritten, Refused, StageStatus, Written};
use super::engine::Heard;
use crate::metrics::Vitals;

/// Reading the weights takes a second from a warm page cache and a few from a slow disk. A caller does not wait longer.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Who answers once the engine is there.
#[derive(Clone)]
enum State {
    Fetching,
    Loading,
    Ready(Arc<dyn AnyAnswerer>),
}

impl State {
    fn is_ready(&self) -> bool {
        matches!(self, Self::Ready(_))
    }

    /// What a caller is told who cannot be answered yet.
    fn excuse(&self) -> &'static str {
        match self {
            Self::Fetching => "the speech models are being fetched, once; call again in a few minutes",
            Self::Loading | Self::Ready(_) => "the speech models are being loaded; call again in a moment",
        }
    }
}

/// An engine that may not be there yet.
pub(crate) struct Loading(watch::Receiver<State>);

/// Tells [`Loading`] how far the engine is.
pub(crate) struct Arrival(watch::Sender<State>);

/// An engine that is about to be loaded, and the way to say that it is there.
pub(crate) fn channel() -> (Loading, Arrival) {
    let (sender, receiver) = watch::channel(State::Loading);
    (Loading(receiver), Arrival(sender))
}

impl Arrival {
    /// Weights are fetched over the network: calls are turned away meanwhile.
    pub(crate) fn fetching(&self) {
        self.0.send_replace(State::Fetching);
    }

    /// Weights are read from the disk: calls wait for them.
    pub(crate) fn loading(&self) {
        self.0.send_replace(State::Loading);
    }

    /// The engine is there: calls that wait begin.
    pub(crate) fn ready(&self, answerer: Arc<dyn AnyAnswerer>) {
        self.0.send_replace(State::Ready(answerer));
    }
}

impl AnyAnswerer for Loading {
    fn carry(self: Arc<Self>, socket: Socket) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut state = self.0.clone();
            let settled = state.wait_for(|state| !matches!(state, State::Loading));
            // Dropped with the server, or too late: what the state is by now says what to do.
            let _ = tokio::time::timeout(LONGEST_WAIT, settled).await;
            let state = self.0.borrow().clone();
            match state {
                State::Ready(answerer) => answerer.carry(socket).await,
                early => actor::run(Arc::new(Early(early.excuse())), socket).await,
            }
        })
    }

    fn stages(&self) -> Vec<StageStatus> {
        let state = self.0.borrow().clone();
        match state {
            State::Ready(answerer) => answerer.stages(),
            early => ["stt", "llm", "tts"]
                .map(|stage| StageStatus {
                    stage,
                    provider: "local".to_owned(),
                    ready: false,
                    note: early.excuse().to_owned(),
                })
                .into(),
        }
    }

    fn services(&self) -> BoxFuture<'_, Vec<(&'static str, bool)>> {
        let state = self.0.borrow().clone();
        Box::pin(async move {
            match state {
                State::Ready(answerer) => answerer.services().await,
                State::Fetching | State::Loading => Vec::new(),
            }
        })
    }

    fn write(&self, written: Written, limit: Duration) -> BoxFuture<'_, Result<String, NotWritten>> {
        let state = self.0.borrow().clone();
        Box::pin(async move {
            match state {
                State::Ready(answerer) => answerer.write(written, limit).await,
                early => Err(NotWritten::Early(early.excuse())),
            }
        })
    }

    fn vitals(&self) -> Vitals {
        match &*self.0.borrow() {
            State::Ready(answerer) => answerer.vitals(),
            State::Fetching | State::Loading => Vitals::default(),
        }
    }

    fn is_ready(&self) -> bool {
        self.0.borrow().is_ready()
    }
}

/// Turns a call away that came too early.
struct Early(&'static str);

impl Answerer for Early {
    type Input = SessionSender;
    type Output = Heard;

    fn open(&self, _options: CallOptions) -> Result<(SessionSender, Heard), Refused> {
        Err(Refused::Busy(self.0.to_owned()))
    }

    fn stages(&self) -> Vec<StageStatus> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_follows_how_far_the_engine_is() {
        let (loading, arrival) = channel();
        let notes = |loading: &Loading| -> Vec<String> {
            AnyAnswerer::stages(loading).into_iter().map(|s| format!("{} {}", s.ready, s.note)).collect()
        };
        assert!(!loading.is_ready() && notes(&loading)[0].contains("being loaded"), "{:?}", notes(&loading));
        arrival.fetching();
        assert!(!loading.is_ready() && notes(&loading)[2].contains("being fetched"), "{:?}", notes(&loading));
        arrival.loading();
        assert!(notes(&loading)[1].contains("call again in a moment"));
        arrival.ready(Arc::new(Early("")));
        assert!(loading.is_ready() && notes(&loading).is_empty());
    }
}
