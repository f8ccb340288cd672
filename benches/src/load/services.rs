//! Stand-ins of the outside services for a load run, on a thread of the client's process and so on the client's core.

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use voice_fixtures::standin::{Answer, Answers, Cloud, Script};

use crate::stamp;

/// What a run does about its providers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Providers {
    /// Real clients of stand-ins on loopback (Deepgram, OpenAI, ElevenLabs) instead of scripted providers.
    #[arg(long)]
    pub stand_ins: bool,
}

/// Running stand-ins; they end with the value.
pub(super) struct Services {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Where they listen.
    pub(super) base: String,
}

impl Services {
    /// Starts them with the times of the peers' fakes. `short`: an answer of one sentence and about this length instead of
    /// three sentences.
    ///
    /// # Errors
    /// The system refuses a thread or a port.
    pub(super) fn start(short: Option<Duration>) -> io::Result<Self> {
        let mut script = Script::peers();
        script.tts.departing = Some(|samples| stamp::write(samples, stamp::wall_ns()));
        if let Some(length) = short {
            const SHORT: &str = "Yes, the house is still there.";
            script.llm.answers = Answers::Script(vec![Answer::text(SHORT)]);
            script.tts.char_time = length / SHORT.len() as u32;
        }
        let (told, base) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name("stand-ins".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let result = runtime.map(|runtime| {
                runtime.block_on(async {
                    let cloud = match Cloud::start(script).await {
                        Ok(cloud) => cloud,
                        Err(error) => return told.send(Err(error)),
                    };
                    let sent = told.send(Ok(cloud.base_url()));
                    // Dropped or told, it is the end.
                    let _ = ended.await;
                    sent
                })
            });
            drop(result);
        })?;
        let gone = |_| io::Error::other("the stand-ins ended before they said where they listen");
        let base = base.recv().map_err(gone)??;
        Ok(Self { end: Some(end), thread: Some(thread), base })
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
