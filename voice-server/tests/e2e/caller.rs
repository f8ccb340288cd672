//! The caller's end of a socket: bare frames over TCP, each dated when it came.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fastwebsockets::{Frame, OpCode, Payload, Role, WebSocket};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::sleep_until;
use uuid::Uuid;

use crate::server::soon;

/// What the server sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Got {
    Binary(Bytes),
    Text(Value),
    Closed(u16, String),
    /// The connection broke without a close.
    Gone,
}

enum Order {
    Binary(Bytes),
    Text(String),
    Pong(Vec<u8>),
    Close,
}

/// One caller.
pub(crate) struct Caller {
    pub(crate) id: Uuid,
    orders: mpsc::UnboundedSender<Order>,
    came: mpsc::UnboundedReceiver<(Instant, Got)>,
    /// What was looked at and put back.
    kept: VecDeque<(Instant, Got)>,
    tasks: [AbortHandle; 2],
}

impl Caller {
    /// A call with a fresh id in the basic profile.
    pub(crate) async fn basic(address: SocketAddr, query: &str) -> Self {
        Self::dial(address, Uuid::new_v4(), query, None).await
    }

    /// A call with a fresh id in `voice.v1`.
    pub(crate) async fn full(address: SocketAddr, query: &str) -> Self {
        Self::dial(address, Uuid::new_v4(), query, Some("voice.v1")).await
    }

    async fn dial(address: SocketAddr, id: Uuid, query: &str, protocol: Option<&str>) -> Self {
        let mut stream = soon(TcpStream::connect(address)).await.expect("a connection");
        stream.set_nodelay(true).expect("an option of the socket");
        let asked = protocol.map(|p| format!("Sec-WebSocket-Protocol: {p}\r\n")).unwrap_or_default();
        let request = format!(
            "GET /voice/{id}{query} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{asked}\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("written");
        let head = soon(read_head(&mut stream)).await;
        assert!(head.starts_with("http/1.1 101"), "the call is refused: {head}");
        // RFC 6455, section 1.3 gives the answer to this key.
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        assert_eq!(head.contains("sec-websocket-protocol: voice.v1"), protocol.is_some(), "{head}");

        let (read, write) = stream.into_split();
        let mut reading = WebSocket::after_handshake(tokio::io::join(read, tokio::io::sink()), Role::Client);
        reading.set_auto_close(false);
        reading.set_auto_pong(false);
        let mut writing =
            WebSocket::after_handshake(tokio::io::join(tokio::io::empty(), write), Role::Client);
        let (orders, mut ordered) = mpsc::unbounded_channel();
        let (told, came) = mpsc::unbounded_channel();
        let pongs = orders.clone();
        let reader = tokio::spawn(async move {
            loop {
                let frame = reading.read_frame().await;
                let at = Instant::now();
                let got = match frame {
                    Err(_) => Got::Gone,
                    Ok(frame) => match (frame.opcode, &*frame.payload) {
                        (OpCode::Binary, bytes) => Got::Binary(Bytes::copy_from_slice(bytes)),
                        (OpCode::Text, text) => Got::Text(serde_json::from_slice(text).expect("JSON")),
                        (OpCode::Close, [high, low, reason @ ..]) => Got::Closed(
                            u16::from_be_bytes([*high, *low]),
                            String::from_utf8(reason.to_vec()).expect("a reason is text"),
                        ),
                        (OpCode::Close, _) => Got::Closed(1005, String::new()),
                        (OpCode::Ping, bytes) => {
                            let _ = pongs.send(Order::Pong(bytes.to_vec()));
                            continue;
                        }
                        _ => continue,
                    },
                };
                let last = matches!(got, Got::Gone);
                if told.send((at, got)).is_err() || last {
                    return;
                }
            }
        });
        let writer = tokio::spawn(async move {
            while let Some(order) = ordered.recv().await {
                let frame = match order {
                    Order::Binary(bytes) => Frame::binary(Payload::Owned(bytes.to_vec())),
                    Order::Text(text) => Frame::text(Payload::Owned(text.into_bytes())),
                    Order::Pong(bytes) => Frame::pong(Payload::Owned(bytes)),
                    Order::Close => Frame::close(1000, b""),
                };
                if writing.write_frame(frame).await.is_err() {
                    return;
                }
            }
        });
        let tasks = [reader.abort_handle(), writer.abort_handle()];
        Self { id, orders, came, kept: VecDeque::new(), tasks }
    }

    /// Sends one binary message.
    pub(crate) fn send(&self, bytes: &[u8]) {
        let _ = self.orders.send(Order::Binary(Bytes::copy_from_slice(bytes)));
    }

    /// Sends one text message.
    pub(crate) fn tell(&self, text: &str) {
        let _ = self.orders.send(Order::Text(text.to_owned()));
    }

    /// Sends one message after another, each `every` after the one before, and gives the moment of the last.
    pub(crate) async fn send_paced<'a>(
        &self,
        messages: impl IntoIterator<Item = &'a [u8]>,
        every: Duration,
    ) -> Instant {
        let mut due = tokio::time::Instant::now();
        for message in messages {
            sleep_until(due).await;
            self.send(message);
            due += every;
        }
        Instant::now()
    }

    /// The next thing that comes.
    pub(crate) async fn next(&mut self) -> (Instant, Got) {
        match self.kept.pop_front() {
            Some(kept) => kept,
            None => soon(self.came.recv()).await.expect("the call is over"),
        }
    }

    /// What has come so far, without waiting.
    pub(crate) fn waiting(&mut self) -> Vec<(Instant, Got)> {
        let mut got: Vec<_> = self.kept.drain(..).collect();
        while let Ok(came) = self.came.try_recv() {
            got.push(came);
        }
        got
    }

    /// Waits for the first audio and leaves it where it is.
    pub(crate) async fn first_audio(&mut self) -> Instant {
        if let Some((at, _)) = self.kept.iter().find(|(_, got)| matches!(got, Got::Binary(_))) {
            return *at;
        }
        loop {
            let came = soon(self.came.recv()).await.expect("the call is over");
            self.kept.push_back(came.clone());
            match came {
                (at, Got::Binary(_)) => return at,
                (_, Got::Text(_)) => {}
                (_, other) => panic!("{other:?} instead of audio"),
            }
        }
    }

    /// The next event of this type; what comes before it is given, too.
    pub(crate) async fn event(&mut self, kind: &str) -> (Instant, Value, Vec<(Instant, Got)>) {
        let mut before = Vec::new();
        loop {
            match self.next().await {
                (at, Got::Text(event)) if event["type"] == kind => return (at, event, before),
                (_, Got::Closed(code, reason)) => panic!("closed {code} {reason:?} instead of {kind}"),
                other => before.push(other),
            }
        }
    }

    /// Sends a close and waits for its echo; gives what came until then and how long the echo took.
    pub(crate) async fn hang_up(&mut self) -> (Vec<(Instant, Got)>, Duration) {
        let asked = Instant::now();
        let _ = self.orders.send(Order::Close);
        let (got, at, code, reason) = self.closed().await;
        assert_eq!((code, reason.as_str()), (1000, ""), "the echo");
        (got, at - asked)
    }

    /// What comes until the server's close, and the close.
    pub(crate) async fn closed(&mut self) -> (Vec<(Instant, Got)>, Instant, u16, String) {
        let mut got = Vec::new();
        loop {
            match self.next().await {
                (at, Got::Closed(code, reason)) => {
                    let _ = self.orders.send(Order::Close);
                    return (got, at, code, reason);
                }
                (_, Got::Gone) => panic!("the connection broke; before it {} messages came", got.len()),
                other => got.push(other),
            }
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    // Byte by byte, so that nothing behind the head is taken.
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
    String::from_utf8_lossy(&head).to_ascii_lowercase()
}
