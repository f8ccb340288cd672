//! The end of the server: one signal that every loop watches.
//!
//! [`on_signal`] begins it at SIGTERM or ctrl-c; a second signal ends the process at once.

use tokio::sync::watch;

/// Begins the end. Dropping it without [`Trigger::begin`] begins it too.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// Tells when the end has begun. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// A trigger and what watches it.
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Shutdown(receiver))
}

impl Trigger {
    /// Begins the end. Again does nothing.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Waits for the begin of the end. Dropping the future changes nothing.
    pub async fn begun(mut self) {
        // An error says that the trigger is gone, which is an end as well.
        let _ = self.0.wait_for(|begun| *begun).await;
    }

    /// Whether the end has begun.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }
}

/// Waits for SIGTERM or ctrl-c and begins the end; at a second one ends the process.
pub async fn on_signal(trigger: Trigger) {
    signal().await;
    tracing::info!(
        "stopping: answers are cut short, what was said is stored, calls close with 1013; once more stops at once"
    );
    trigger.begin();
    signal().await;
    std::process::exit(1);
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};

    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

#[cfg(not(unix))]
async fn signal() {
    let _ = tokio::signal::ctrl_c().await;
}
