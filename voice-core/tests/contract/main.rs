//! What every provider keeps, local ones too: a suite a stage, written once, run on each provider of a table.
//!
//! `recogniser`, `model` and `voice` hold the sentences: each checks one promise of the trait's documentation, through the
//! trait alone. `providers` is the table: a provider is added by a function there and its name here. Those of the cloud
//! talk to the stand-ins on loopback; with `VOICE_LIVE=1` the same sentences are tried on the services themselves
//! (`live`). Nothing here is decided by a time: [`PATIENCE`] only ends what would never end.
#![cfg(all(feature = "cloud", feature = "sim"))]
#![allow(clippy::unwrap_used)]

mod clips;
mod live;
mod model;
mod providers;
mod recogniser;
mod voice;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::timeout;

/// Longer than anything takes on a busy machine; only a fault runs into it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Fails where something does not come.
async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("it does not come: {what}"),
    }
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let holding = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(what, holding).await;
}

/// One promise, by its name.
type Sentence<P> = (&'static str, fn(Arc<P>) -> BoxFuture<'static, ()>);

/// The sentences of a suite as a list, in the order in which they are tried.
macro_rules! sentences {
    ($list:ident of $provider:ty: $($name:ident,)*) => {
        pub(crate) const $list: &[crate::Sentence<$provider>] =
            &[$((stringify!($name), |provider| Box::pin(async move { $name(&provider).await }))),*];
    };
}
use sentences;

/// Tries every sentence on a provider of its own. Gives those that do not hold.
async fn broken<P, F>(name: &str, sentences: &[Sentence<P>], make: impl Fn() -> F) -> Vec<&'static str>
where
    P: Send + Sync + 'static,
    F: Future<Output = Option<P>>,
{
    let mut broken = Vec::new();
    for (sentence, holds) in sentences {
        let Some(provider) = make().await else { break };
        // A task of its own, so that a failed assertion ends this sentence and no other.
        let well = tokio::spawn(holds(Arc::new(provider))).await.is_ok();
        println!("{}  {name}: {sentence}", if well { "ok    " } else { "BROKEN" });
        if !well {
            broken.push(*sentence);
        }
    }
    broken
}

/// A test for each provider of a table.
macro_rules! table {
    ($table:ident, $suite:ident, $sentences:ident: $($name:ident,)*) => {
        mod $table {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let make = crate::providers::$table::$name;
                    let broken = crate::broken(stringify!($name), crate::$suite::$sentences, make).await;
                    assert!(broken.is_empty(), "it does not keep: {broken:?}");
                }
            )*
        }
    };
}

table! { recognisers, recogniser, SENTENCES:
    deepgram_live,
    deepgram_flux,
    scribe,
    openai_transcription,
    line_up,
    line_up_whose_first_is_refused,
    scripted,
    local,
}

table! { lost_recognisers, recogniser, LOST:
    deepgram_refused,
    scribe_refused,
    openai_transcription_refused,
    line_up_refused,
    scripted_that_fails,
    local_with_a_broken_model,
    absent,
}

table! { deaf_recognisers, recogniser, DEAF:
    local_that_understands_nothing,
}

table! { slow_recognisers, recogniser, SLOW:
    deepgram_live,
    deepgram_flux,
    scribe,
}

table! { models, model, SENTENCES:
    openai,
    ollama,
    llama_cpp,
    vllm,
    any_compatible_server,
    line_up,
    line_up_whose_first_is_refused,
    scripted,
    concierge,
}

table! { voices, voice, SENTENCES:
    elevenlabs_over_sockets,
    elevenlabs_over_requests,
    line_up,
    line_up_whose_first_is_refused,
    partly_from_memory,
    scripted,
    local,
    local_partly_from_memory,
}
