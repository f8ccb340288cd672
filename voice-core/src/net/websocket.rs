//! One WebSocket to a service (RFC 6455), with one owner that reads and writes.
//!
//! [`Connector::connect`] does the handshake and keeps what a refusal says. Of an open [`Socket`], [`Socket::push_text`] takes
//! what is to be sent and [`Socket::next`] moves bytes both ways until a message has come; it may be dropped at any
//! moment. Every wait has a limit, every message and the queue outwards a size. Callers: the providers' clients.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use fastwebsockets::{Frame, OpCode, Payload, Role, WebSocketRead, after_handshake_split, handshake};
use futures::StreamExt as _;
use futures::future::{Either, select};
use futures::stream::{self, BoxStream};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::upgrade::Upgraded;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::ConfigVerifierExt as _;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::http::head;
use crate::error::ProviderError;
use crate::wire::MOST_ERROR_BODY;

/// Opens sockets; all of an engine share its certificates. Cheap to clone.
#[derive(Clone)]
pub struct Connector {
    tls: TlsConnector,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

/// What a socket may cost.
#[derive(Clone, Copy, Debug)]
pub struct SocketLimits {
    /// From the look-up of the name to the end of the handshake. Default 3 s: a healthy service takes three round trips.
    pub connect: Duration,
    /// Bytes of one message from the service. Default 1 MiB.
    pub message: usize,
    /// Bytes that wait to be sent. Default 1 MiB, some 30 s of 16 kHz samples: a service that takes nothing for so long is gone.
    pub outgoing: usize,
}

impl Default for SocketLimits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(3), message: 1 << 20, outgoing: 1 << 20 }
    }
}

/// Why there is no socket.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The service answered, but with another status than that of an upgrade. Its wire module knows what that means.
    Refused(Refusal),
    /// Nobody answered, or not in time, or what answered is no WebSocket server.
    Failed(ProviderError),
}

/// An answer that is no upgrade.
#[derive(Debug)]
pub struct Refusal {
    /// The status, never 101.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The beginning of the body.
    pub body: Vec<u8>,
}

impl Refusal {
    /// A header's text, if it has one.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Connector {
    /// With the certificates that this machine trusts.
    ///
    /// # Errors
    /// [`ProviderError::Misconfigured`] where there are none.
    pub fn new() -> Result<Self, ProviderError> {
        // Another part of the program may have done so before; one provider of crypto is enough.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config =
            ClientConfig::with_platform_verifier().map_err(|error| ProviderError::Misconfigured {
                provider: "https",
                detail: format!("no connection can be made from this machine: {error}"),
            })?;
        Ok(Self { tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Opens a socket to a `ws` or `wss` address within [`SocketLimits::connect`]. Gives the headers of the answer too.
    ///
    /// # Errors
    /// See [`ConnectError`]. Dropping the future closes whatever is half open.
    pub async fn connect(
        &self,
        provider: &'static str,
        address: &str,
        headers: impl Iterator<Item = (&'static str, String)>,
        limits: SocketLimits,
    ) -> Result<(Socket, HeaderMap), ConnectError> {
        let headers = head(headers).map_err(ConnectError::Failed)?;
        match timeout(limits.connect, self.open(provider, address, headers, limits)).await {
            Ok(done) => done,
            Err(_) => Err(ConnectError::Failed(ProviderError::TimedOut { provider, after: limits.connect })),
        }
    }

    async fn open(
        &self,
        provider: &'static str,
        address: &str,
        headers: HeaderMap,
        limits: SocketLimits,
    ) -> Result<(Socket, HeaderMap), ConnectError> {
        let place = Place::parse(address).ok_or_else(|| {
            let detail = "the address is not that of a WebSocket".to_owned();
            ConnectError::Failed(ProviderError::Misconfigured { provider, detail })
        })?;
        let stream = TcpStream::connect((place.host.as_str(), place.port))
            .await
            .map_err(|error| unreachable(provider, "no connection", &error))?;
        stream.set_nodelay(true).map_err(|error| unreachable(provider, "no connection", &error))?;
        if !place.secure {
            return upgrade(provider, &place, headers, stream, limits).await;
        }
        let name = ServerName::try_from(place.host.clone()).map_err(|_| {
            let detail = "no certificate can be asked for the host in the address".to_owned();
            ConnectError::Failed(ProviderError::Misconfigured { provider, detail })
        })?;
        let secure = self.tls.connect(name, stream).await;
        let secure = secure.map_err(|error| unreachable(provider, "no TLS connection", &error))?;
        upgrade(provider, &place, headers, secure, limits).await
    }
}

/// Where an address points.
struct Place {
    secure: bool,
    host: String,
    port: u16,
    authority: String,
    path: Uri,
}

impl Place {
    fn parse(address: &str) -> Option<Self> {
        let uri: Uri = address.parse().ok()?;
        let (secure, port) = match uri.scheme_str()? {
            "ws" => (false, 80),
            "wss" => (true, 443),
            _ => return None,
        };
        let authority = uri.authority()?;
        Some(Self {
            secure,
            // An IPv6 address stands in brackets there and without them elsewhere.
            host: authority.host().trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: authority.port_u16().unwrap_or(port),
            authority: authority.as_str().to_owned(),
            path: uri.path_and_query()?.as_str().parse().ok()?,
        })
    }
}

/// The opening handshake (RFC 6455, section 4.1).
async fn upgrade<S>(
    provider: &'static str,
    place: &Place,
    headers: HeaderMap,
    stream: S,
    limits: SocketLimits,
) -> Result<(Socket, HeaderMap), ConnectError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let lost = |error: hyper::Error| unreachable(provider, "no handshake", &error);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
    let key = handshake::generate_key();
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = place.path.clone();
    *request.headers_mut() = headers;
    let agent = HeaderValue::from_static(concat!("voice/", env!("CARGO_PKG_VERSION")));
    let fixed = [
        (header::HOST, HeaderValue::try_from(&place.authority)),
        (header::CONNECTION, Ok(HeaderValue::from_static("Upgrade"))),
        (header::UPGRADE, Ok(HeaderValue::from_static("websocket"))),
        (header::SEC_WEBSOCKET_VERSION, Ok(HeaderValue::from_static("13"))),
        (header::SEC_WEBSOCKET_KEY, HeaderValue::try_from(&key)),
        (header::USER_AGENT, Ok(agent)),
    ];
    for (name, value) in fixed {
        let value = value.map_err(|_| {
            let detail = "the host in the address holds a character that no header may have".to_owned();
            ConnectError::Failed(ProviderError::Misconfigured { provider, detail })
        })?;
        request.headers_mut().insert(name, value);
    }
    let exchange = pin!(async {
        let response = sender.send_request(request).await.map_err(lost)?;
        let (status, headers) = (response.status(), response.headers().clone());
        if status != StatusCode::SWITCHING_PROTOCOLS {
            // Enough of an error to sort it; one that is larger says nothing we could use.
            let body = Limited::new(response.into_body(), MOST_ERROR_BODY).collect().await;
            let body = body.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
            return Err(ConnectError::Refused(Refusal { status: status.as_u16(), headers, body }));
        }
        if headers.get(header::SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes)
            != Some(accept(&key).as_bytes())
        {
            let detail = "what answers at the address is no WebSocket server".to_owned();
            return Err(ConnectError::Failed(ProviderError::Failed { provider, detail }));
        }
        Ok((hyper::upgrade::on(response).await.map_err(lost)?, headers))
    });
    // The connection's own future moves the bytes, and ends when it hands the stream over.
    let done = match select(exchange, pin!(connection.with_upgrades())).await {
        Either::Left((done, _)) => done,
        Either::Right((_, exchange)) => exchange.await,
    };
    done.map(|(stream, headers)| (Socket::new(stream, limits), headers))
}

/// What a server answers to a key (RFC 6455, section 4.2.2).
fn accept(key: &str) -> String {
    let mut digest = Sha1::new();
    digest.update(key.as_bytes());
    digest.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest.finalize())
}

/// What the transport says, without the address.
fn unreachable(provider: &'static str, what: &str, error: &dyn std::error::Error) -> ConnectError {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    ConnectError::Failed(ProviderError::Unreachable { provider, detail: format!("{what}: {deepest}") })
}

/// What comes from the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A whole text message.
    Text(String),
    /// A whole binary message.
    Binary(Bytes),
    /// Nothing more comes: a close with this code and reason, or no code where the connection broke or broke the rules.
    Closed {
        /// The close code.
        code: Option<u16>,
        /// What the service wrote beside it. Not for logs: see [`crate::wire::machine_code`].
        reason: String,
    },
}

/// More waits to be sent than [`SocketLimits::outgoing`] allows: the service takes nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the service takes no messages any more")]
pub struct Stuck;

/// An open socket. Dropping it breaks the connection without a close.
pub struct Socket {
    reading: BoxStream<'static, Seen>,
    writing: WriteHalf<TokioIo<Upgraded>>,
    outgoing: BytesMut,
    /// Written, but perhaps still in a buffer of the TLS layer.
    unflushed: bool,
    scratch: Vec<u8>,
    limits: SocketLimits,
    over: bool,
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket").field("over", &self.over).finish_non_exhaustive()
    }
}

impl Socket {
    fn new(stream: Upgraded, limits: SocketLimits) -> Self {
        let (read, writing) = tokio::io::split(TokioIo::new(stream));
        let (mut reader, _) = after_handshake_split(read, tokio::io::sink(), Role::Client);
        reader.set_auto_close(false);
        reader.set_auto_pong(false);
        // The library refuses what reaches its limit; ours may be reached.
        reader.set_max_message_size(limits.message.saturating_add(1));
        let reader = Reader { reader, limit: limits.message, begun: None };
        // Reading a frame must not be cancelled: the stream keeps the future of the one under way.
        let reading = stream::unfold(Some(reader), |reader| async {
            let mut reader = reader?;
            let seen = reader.next().await;
            let over = matches!(seen, Seen::Close(..));
            Some((seen, (!over).then_some(reader)))
        });
        Self {
            reading: reading.boxed(),
            writing,
            outgoing: BytesMut::new(),
            unflushed: false,
            scratch: Vec::new(),
            limits,
            over: false,
        }
    }

    /// Takes a text message; [`next`](Self::next) sends it.
    ///
    /// # Errors
    /// The service has not taken what was sent before; the socket is of no more use.
    pub fn push_text(&mut self, text: &str) -> Result<(), Stuck> {
        self.push(Frame::text(Payload::Owned(text.as_bytes().to_vec())))
    }

    /// Takes a binary message; [`next`](Self::next) sends it.
    ///
    /// # Errors
    /// As for [`push_text`](Self::push_text).
    pub fn push_binary(&mut self, bytes: Vec<u8>) -> Result<(), Stuck> {
        self.push(Frame::binary(Payload::Owned(bytes)))
    }

    /// The next message; meanwhile sends what was pushed. After [`Incoming::Closed`] it says that again at once. Dropping
    /// the future loses nothing.
    pub async fn next(&mut self) -> Incoming {
        loop {
            if self.over {
                return Incoming::Closed { code: None, reason: String::new() };
            }
            tokio::select! {
                seen = self.reading.next() => match seen {
                    Some(Seen::Text(text)) => return Incoming::Text(text),
                    Some(Seen::Binary(bytes)) => return Incoming::Binary(bytes),
                    Some(Seen::Ping(bytes)) => {
                        if self.push(Frame::pong(Payload::Owned(bytes.to_vec()))).is_err() {
                            self.over = true;
                        }
                    }
                    Some(Seen::Pong) => {}
                    Some(Seen::Close(code, reason)) => {
                        self.over = true;
                        return Incoming::Closed { code, reason };
                    }
                    None => self.over = true,
                },
                sent = send(&mut self.writing, &mut self.outgoing, &mut self.unflushed),
                    if self.unflushed || !self.outgoing.is_empty() => self.over = sent.is_err(),
            }
        }
    }

    /// Says good-bye and waits for the service's, at most `limit`. What was pushed before is sent, what comes meanwhile
    /// is dropped.
    pub async fn close(mut self, limit: Duration) {
        if self.push(Frame::close(NORMAL, b"")).is_err() {
            return;
        }
        // A service that does not say good-bye has had its time.
        let _ =
            timeout(limit, async { while !matches!(self.next().await, Incoming::Closed { .. }) {} }).await;
    }

    fn push(&mut self, mut frame: Frame<'_>) -> Result<(), Stuck> {
        if self.outgoing.len().saturating_add(frame.payload.len()) > self.limits.outgoing {
            return Err(Stuck);
        }
        // A client masks all of its frames (RFC 6455, section 5.3).
        frame.mask();
        self.outgoing.extend_from_slice(frame.write(&mut self.scratch));
        Ok(())
    }
}

/// One step of sending; dropping the future loses nothing.
async fn send(
    writing: &mut WriteHalf<TokioIo<Upgraded>>,
    outgoing: &mut BytesMut,
    unflushed: &mut bool,
) -> io::Result<()> {
    if outgoing.is_empty() {
        writing.flush().await?;
        *unflushed = false;
        return Ok(());
    }
    *unflushed = true;
    match writing.write_buf(outgoing).await? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        _ => Ok(()),
    }
}

/// 1000, a normal end (RFC 6455, section 7.4.1).
const NORMAL: u16 = 1000;

/// One frame or message as it came.
enum Seen {
    Text(String),
    Binary(Bytes),
    Ping(Bytes),
    Pong,
    Close(Option<u16>, String),
}

/// The service's direction: whole messages out of frames.
struct Reader {
    reader: WebSocketRead<ReadHalf<TokioIo<Upgraded>>>,
    limit: usize,
    /// A message whose last fragment has not come.
    begun: Option<(OpCode, BytesMut)>,
}

impl Reader {
    /// The next message or control frame. What breaks the rules is as good as a broken connection.
    async fn next(&mut self) -> Seen {
        self.read().await.unwrap_or_else(|Broken| Seen::Close(None, String::new()))
    }

    async fn read(&mut self) -> Result<Seen, Broken> {
        loop {
            // Control frames are answered by the owner, so the library has nothing to send.
            let mut unused = |_: Frame<'_>| async { Ok::<(), io::Error>(()) };
            let frame = self.reader.read_frame(&mut unused).await.map_err(|_| Broken)?;
            let (last, opcode) = (frame.fin, frame.opcode);
            let payload = match frame.payload {
                Payload::Bytes(bytes) => bytes.freeze(),
                other => Bytes::copy_from_slice(&other),
            };
            match opcode {
                OpCode::Ping => return Ok(Seen::Ping(payload)),
                OpCode::Pong => return Ok(Seen::Pong),
                OpCode::Close => return Ok(close(&payload)),
                OpCode::Text | OpCode::Binary if self.begun.is_some() => return Err(Broken),
                OpCode::Text | OpCode::Binary if last => return whole(opcode, payload),
                OpCode::Text | OpCode::Binary => self.begun = Some((opcode, BytesMut::from(payload))),
                OpCode::Continuation => {
                    let (opcode, mut message) = self.begun.take().ok_or(Broken)?;
                    if message.len() + payload.len() > self.limit {
                        return Err(Broken);
                    }
                    message.extend_from_slice(&payload);
                    if last {
                        return whole(opcode, message.freeze());
                    }
                    self.begun = Some((opcode, message));
                }
            }
        }
    }
}

/// The connection is gone or of no more use.
struct Broken;

fn whole(opcode: OpCode, payload: Bytes) -> Result<Seen, Broken> {
    match opcode {
        OpCode::Text => String::from_utf8(payload.into()).map(Seen::Text).map_err(|_| Broken),
        _ => Ok(Seen::Binary(payload)),
    }
}

fn close(payload: &[u8]) -> Seen {
    match payload.split_first_chunk() {
        Some((code, reason)) => {
            Seen::Close(Some(u16::from_be_bytes(*code)), String::from_utf8_lossy(reason).into_owned())
        }
        // 1005 stands for a close without a code (RFC 6455, section 7.1.5).
        None => Seen::Close(Some(1005), String::new()),
    }
}
