//! One socket of a call: opening it, writing what the call has for it, and parting from it.
//!
//! A call of `voice.v1` outlives its sockets, one of which it has at a time. A socket that the call has left ([`Link::end`])
//! takes nothing more out of the box and hands nothing more in. Caller: `actor`, and `resume` before a call has a socket.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastwebsockets::upgrade::UpgradeFut;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use super::Limits;
use super::call::Profile;
use super::frames::{self, Gone, Reader, Writer};
use super::inbound::Hangup;
use super::outbox::{Outbox, Outgoing};

/// How long a client's own close is waited for.
const PARTING: Duration = Duration::from_secs(2);

/// Whether the call still has this socket.
#[derive(Debug, Default)]
pub(super) struct Link {
    over: AtomicBool,
    ended: Notify,
}

impl Link {
    /// The call leaves this socket.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.ended.notify_one();
    }

    /// Whether the call has left it.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

/// Takes the TCP stream out of the upgraded connection.
pub(super) async fn open(upgrade: UpgradeFut, limits: Limits) -> Option<(Reader, Writer)> {
    let upgraded = upgrade.await.ok()?.into_inner().into_inner();
    // The accept loop serves nothing else, so this holds; if it ever does not, the call is refused, not broken.
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    Some(frames::split(parts.io.into_inner(), parts.read_buf, limits.message, limits.write))
}

/// Writes until the box is finished or the call has left the socket; gives the writer back for the close.
pub(super) async fn write(
    link: &Link,
    outbox: &Outbox,
    profile: Profile,
    mut writer: Writer,
) -> Result<Writer, Gone> {
    loop {
        let next = tokio::select! {
            biased;
            () = link.ended.notified() => return Ok(writer),
            next = outbox.next() => next,
        };
        match next {
            None => return Ok(writer),
            Some(Outgoing::Audio(_, audio)) if profile == Profile::Basic => {
                writer.binary(&audio.payload).await?;
            }
            Some(Outgoing::Audio(seq, audio)) => writer.numbered(seq, audio.reply, &audio.payload).await?,
            Some(Outgoing::Text(text)) => writer.text(&text).await?,
            Some(Outgoing::Pong(payload)) => writer.pong(&payload).await?,
            Some(Outgoing::Ping) => writer.ping().await?,
        }
    }
}

/// Tells a client why there is no call for it, and drops what still comes.
pub(super) async fn goodbye(reader: Option<Reader>, mut writer: Writer, code: u16, reason: &str) {
    if writer.close(Some(code), reason).await.is_ok() {
        writer.shut().await;
        if let Some(reader) = reader {
            let _ = timeout(PARTING, reader.drain()).await;
        }
    }
}

/// Closes a socket that the call has left. `reading` may still be in mid-message; where the client has closed already it is
/// done and this is the echo.
pub(super) async fn part(
    writing: impl Future<Output = Result<Writer, Gone>>,
    reading: impl Future<Output = (Hangup, Reader)>,
    code: Option<u16>,
    reason: &str,
) {
    let Ok(Ok(mut writer)) = timeout(PARTING, writing).await else { return };
    if writer.close(code, reason).await.is_err() {
        return;
    }
    let until = Instant::now() + PARTING;
    // A stream closed over unread bytes would take our frame with it.
    let read = timeout_at(until, reading).await;
    writer.shut().await;
    if let Ok((_, reader)) = read {
        let _ = timeout_at(until, reader.drain()).await;
    }
}
