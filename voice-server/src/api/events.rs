//! `GET /api/v1/events`: live events over a WebSocket, as `docs/PROTOCOL.md` describes it.
//!
//! One task a socket. It reads always, so that a close is seen; what the client says is of no use and limited. Only events of
//! the organization that the request may read ever leave; which one that is, [`serve`] is told.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use fastwebsockets::upgrade as handshake;
use fastwebsockets::upgrade::UpgradeFut;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;

use crate::app::App;
use crate::auth;
use crate::auth::denials::{Denials, Grounds};
use crate::events::{Delivery, Feed};
use crate::http::Problem;
use crate::shutdown::Shutdown;
use crate::voice::frames::{self, Broken, Incoming, Reader, Writer};
use crate::voice::upgrade::{check_handshake, no_handshake};

/// Limits of one socket. The defaults are those of the protocol's document.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a message from the client. Default: 4 KiB; nothing is expected of it.
    pub message: usize,
    /// Messages from the client. Default: 100.
    pub messages: u32,
    /// A ping is sent this often. Default: 20 s.
    pub ping: Duration,
    /// A client of which nothing comes, not even a pong, is gone after this. Default: 60 s.
    pub dead: Duration,
    /// A frame that the client does not take within this ends the socket. Default: 10 s.
    pub write: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 4 * 1024,
            messages: 100,
            ping: Duration::from_secs(20),
            dead: Duration::from_secs(60),
            write: Duration::from_secs(10),
        }
    }
}

/// How long a client has for its own close.
const FAREWELL: Duration = Duration::from_secs(2);
/// Characters of a `lastEventId`; two numbers and a hyphen have fewer.
const MOST_ID: usize = 64;

/// `GET /api/v1/events`.
///
/// # Errors
/// 401 or 403 where the request may not read; else see [`serve`].
pub async fn watch(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let (organization, grounds) = auth::caller::follower_of(&app, &parts).await?;
    serve(app, organization, grounds, Request::from_parts(parts, body)).await
}

/// Upgrades the request to a socket with the events of `organization`, for as long as `grounds` hold.
///
/// # Errors
/// 422 for a bad query, 503 where too many watch or the server stops, 426 and 400 for what is no handshake.
pub async fn serve(
    app: App,
    organization: Uuid,
    grounds: Grounds,
    mut request: Request,
) -> Result<Response, Problem> {
    let last = last_event_id(request.uri().query().unwrap_or_default())?;
    if app.shutdown.has_begun() {
        return Err(Problem::unavailable("stopping", "the server is stopping; come back in a moment", 5));
    }
    if let Some(refusal) = check_handshake(&request)? {
        return Ok(refusal);
    }
    let feed = app.events.watch(organization, last.as_deref()).await;
    let feed = feed.map_err(|full| {
        Problem::unavailable("busy", format!("{full}; close some, or come back later"), 30)
    })?;
    let (response, upgrade) = handshake::upgrade(&mut request)
        .map_err(|_| no_handshake("the WebSocket handshake cannot be read"))?;
    let socket = Socket {
        limits: app.event_limits,
        denials: app.auth.denials.clone(),
        grounds,
        shutdown: app.shutdown.clone(),
    };
    app.calls.spawn(socket.carry(upgrade, feed));
    Ok(response.map(|_| Body::empty()))
}

/// The id after which to resume. Unknown fields, such as a ticket, are others' business.
fn last_event_id(query: &str) -> Result<Option<String>, Problem> {
    let mut found = None;
    for (name, value) in query.split('&').filter_map(|field| field.split_once('=')) {
        if name != "lastEventId" || value.is_empty() {
            continue;
        }
        let plain = value.len() <= MOST_ID && value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if !plain || found.is_some() {
            return Err(Problem::bad_value("lastEventId", "lastEventId must be one id of an event"));
        }
        found = Some(value.to_owned());
    }
    Ok(found)
}

/// Why a socket ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The client closed.
    Closed(Option<u16>),
    /// The client is gone.
    Gone,
    /// It is told why.
    Told(u16, &'static str),
}

struct Socket {
    limits: Limits,
    denials: Denials,
    grounds: Grounds,
    shutdown: Shutdown,
}

impl Socket {
    async fn carry(self, upgrade: UpgradeFut, mut feed: Feed) {
        let Some((reader, mut writer)) = timeout(self.limits.write, self.open(upgrade)).await.ok().flatten()
        else {
            return;
        };
        let begun = Instant::now();
        let heard = AtomicU64::new(0);
        let (pings, mut pongs) = mpsc::channel(4);
        // The reader cannot be dropped in the middle of a frame: it is polled to its end by this task alone.
        let mut listening = pin!(self.listen(reader, begun, &heard, pings));
        let mut stopping = pin!(self.shutdown.clone().begun());
        let mut denied = pin!(self.denials.end_of(self.grounds));
        let mut ping_at = begun + self.limits.ping;
        let (end, mut read) = loop {
            let dead_at = begun + Duration::from_millis(heard.load(Ordering::Relaxed)) + self.limits.dead;
            // While a frame waits for a slow client nothing else is done, and the feed's queue ends its patience.
            let written = tokio::select! {
                delivery = feed.next() => match delivery {
                    Some(Delivery::Message(text)) => writer.text(text.as_bytes()).await,
                    Some(Delivery::Reset) => writer.text(RESET).await,
                    None => break (End::Told(4429, "the client reads too slowly; resume with lastEventId"), None),
                },
                (end, reader) = &mut listening => break (end, Some(reader)),
                Some(payload) = pongs.recv() => writer.pong(&payload).await,
                () = sleep_until(ping_at) => {
                    ping_at = Instant::now() + self.limits.ping;
                    writer.ping().await
                }
                () = sleep_until(dead_at) => break (End::Gone, None),
                () = &mut denied => break (End::Told(4401, "this sign-in has ended; sign in again"), None),
                () = &mut stopping => break (End::Told(1013, "the server is stopping; come back in a moment"), None),
            };
            if written.is_err() {
                break (End::Gone, None);
            }
        };
        drop(feed);
        tracing::debug!(?end, seconds = begun.elapsed().as_secs(), "a socket of live events ended");
        let closed = match end {
            End::Gone => return,
            End::Closed(code) => writer.close(code, "").await,
            End::Told(code, reason) => writer.close(Some(code), reason).await,
        };
        if closed.is_err() {
            return;
        }
        let farewell = async {
            // A stream closed over unread bytes would take our frame with it.
            if read.is_none() {
                read = Some((&mut listening).await.1);
            }
            writer.shut().await;
            if let Some(reader) = read {
                reader.drain().await;
            }
        };
        let _ = timeout(FAREWELL, farewell).await;
    }

    async fn open(&self, upgrade: UpgradeFut) -> Option<(Reader, Writer)> {
        let upgraded = upgrade.await.ok()?.into_inner().into_inner();
        let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
        Some(frames::split(parts.io.into_inner(), parts.read_buf, self.limits.message, self.limits.write))
    }

    /// Reads until the client's end. What it says is dropped, up to a limit.
    async fn listen(
        &self,
        mut reader: Reader,
        begun: Instant,
        heard: &AtomicU64,
        pings: mpsc::Sender<Bytes>,
    ) -> (End, Reader) {
        let mut messages = 0;
        let end = loop {
            let incoming = reader.next().await;
            heard.store(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
            match incoming {
                // With several unanswered pings, one answer is enough (RFC 6455, section 5.5.3).
                Ok(Incoming::Ping(payload)) => drop(pings.try_send(payload)),
                Ok(Incoming::Pong) => {}
                Ok(Incoming::Close(code)) => break End::Closed(code),
                Ok(Incoming::Text(_) | Incoming::Binary(_)) => {
                    messages += 1;
                    if messages > self.limits.messages {
                        break End::Told(4429, "this socket takes no messages");
                    }
                }
                Err(Broken::Gone) => break End::Gone,
                Err(Broken::Fault { code: 1009, .. }) => {
                    break End::Told(1009, "this socket takes no messages");
                }
                Err(Broken::Fault { code, reason }) => break End::Told(code, reason),
            }
        };
        (end, reader)
    }
}

/// Something was missed that is not held any more: load anew what is shown.
const RESET: &str = r#"{"type":"reset"}"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_to_resume_after_is_one_plain_id_or_none() {
        let read = |query: &str| last_event_id(query).map_err(|problem| problem.status().as_u16());
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("lastEventId="), Ok(None));
        assert_eq!(read("ticket=a&lastEventId=12-0&x"), Ok(Some("12-0".to_owned())));
        assert_eq!(read("lastEventId=1-0&lastEventId=2-0"), Err(422));
        for odd in ["a", "%31-0", "1 0", &"1".repeat(65)] {
            assert_eq!(read(&format!("lastEventId={odd}")), Err(422), "{odd}");
        }
    }
}
