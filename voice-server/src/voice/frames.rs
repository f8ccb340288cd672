//! Frames of one socket: whole messages in, single frames out, over the two halves of a TCP stream.
//!
//! Reading a frame cannot be cancelled without losing the stream's sync (the library takes header bytes before it
//! waits for the rest), so [`Reader::next`] is polled to its end by one owner; see `actor`. What RFC 6455 demands and
//! the library leaves to its user is checked here: masks, control frames, fragments, close codes.

use std::io::Cursor;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fastwebsockets::{Frame, OpCode, Payload, Role, WebSocket, WebSocketError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Chain, Empty, Join, Sink};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Longest reason of a close frame in bytes: 125 of a control frame, less two of the code (RFC 6455, 5.5).
pub(crate) const REASON_LIMIT: usize = 123;
/// Bytes of a text message at most. The longest of the protocol has 2,000 characters, each perhaps escaped.
const TEXT_LIMIT: usize = 64 * 1024;

/// A message or a control frame from the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// Bytes of audio.
    Binary(Bytes),
    /// Text, checked to be UTF-8.
    Text(String),
    /// To be answered with the same bytes.
    Ping(Bytes),
    /// The client is alive.
    Pong,
    /// The client wants to end, with this code, if it gave one.
    Close(Option<u16>),
}

/// Why nothing more can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The connection is gone.
    Gone,
    /// The client broke the rules and is told so.
    Fault {
        /// The close code.
        code: u16,
        /// For people.
        reason: &'static str,
    },
}

/// Both directions of one socket.
pub(crate) fn split(
    stream: TcpStream,
    read_already: Bytes,
    limit: usize,
    patience: Duration,
) -> (Reader, Writer) {
    let (read, write) = stream.into_split();
    // Each direction is a socket of its own that cannot do the other thing.
    let read = tokio::io::join(Cursor::new(read_already).chain(read), tokio::io::sink());
    let mut reading = WebSocket::after_handshake(read, Role::Server);
    reading.set_auto_close(false);
    reading.set_auto_pong(false);
    // The library refuses what reaches its limit; ours may be reached.
    reading.set_max_message_size(limit.saturating_add(1));
    let writing = WebSocket::after_handshake(tokio::io::join(tokio::io::empty(), write), Role::Server);
    (
        Reader { socket: reading, limit, begun: None },
        Writer { socket: writing, scratch: Vec::new(), patience },
    )
}

/// The client's direction.
pub(crate) struct Reader {
    socket: WebSocket<Join<Chain<Cursor<Bytes>, OwnedReadHalf>, Sink>>,
    limit: usize,
    /// A message whose last fragment has not come.
    begun: Option<(OpCode, BytesMut)>,
}

impl Reader {
    /// The next whole message or control frame. Dropping the future loses the stream's sync: poll it to its end.
    ///
    /// # Errors
    /// The connection is gone or the client broke the rules; nothing can be read after that.
    pub(crate) async fn next(&mut self) -> Result<Incoming, Broken> {
        loop {
            let mut frame = self.socket.read_frame().await.map_err(|error| of_library(&error))?;
            // The library keeps the mask to itself but writes its bit into a header.
            let mut head = [0; 16];
            frame.fmt_head(&mut head);
            if head[1] & 0x80 == 0 {
                return Err(protocol("frames from a client must be masked"));
            }
            let control = matches!(frame.opcode, OpCode::Close | OpCode::Ping | OpCode::Pong);
            if control && frame.payload.len() > 125 {
                return Err(protocol("a control frame has at most 125 bytes"));
            }
            let (fin, opcode) = (frame.fin, frame.opcode);
            let payload = into_bytes(frame.payload);
            match opcode {
                OpCode::Ping => return Ok(Incoming::Ping(payload)),
                OpCode::Pong => return Ok(Incoming::Pong),
                OpCode::Close => return close_code(&payload).map(Incoming::Close),
                OpCode::Text | OpCode::Binary if self.begun.is_some() => {
                    return Err(protocol("a message began inside another"));
                }
                OpCode::Text | OpCode::Binary if fin => return whole(opcode, payload),
                OpCode::Text | OpCode::Binary => {
                    self.begun = Some((opcode, BytesMut::from(payload)));
                }
                OpCode::Continuation => {
                    let Some((opcode, mut message)) = self.begun.take() else {
                        return Err(protocol("a fragment continues nothing"));
                    };
                    let (limit, too_big) = match opcode {
                        OpCode::Text => (TEXT_LIMIT, TEXT_TOO_BIG),
                        _ => (self.limit, TOO_BIG),
                    };
                    if message.len() + payload.len() > limit {
                        return Err(too_big);
                    }
                    message.extend_from_slice(&payload);
                    if fin {
                        return whole(opcode, message.freeze());
                    }
                    self.begun = Some((opcode, message));
                }
            }
        }
    }
}

impl Reader {
    /// Reads and drops what still comes, until the client ends its direction. Give it a time limit.
    pub(crate) async fn drain(self) {
        let (mut stream, _) = self.socket.into_inner().into_inner();
        let mut scratch = vec![0; 16 * 1024];
        while matches!(stream.read(&mut scratch).await, Ok(1..)) {}
    }
}

const TOO_BIG: Broken =
    Broken::Fault { code: 1009, reason: "the message is larger than 64 MiB; send it in parts" };

const TEXT_TOO_BIG: Broken =
    Broken::Fault { code: 1009, reason: "the message of text is larger than 64 KiB" };

fn protocol(reason: &'static str) -> Broken {
    Broken::Fault { code: 1002, reason }
}

fn into_bytes(payload: Payload<'_>) -> Bytes {
    match payload {
        Payload::Bytes(bytes) => bytes.freeze(),
        other => Bytes::from(Vec::from(other)),
    }
}

fn whole(opcode: OpCode, payload: Bytes) -> Result<Incoming, Broken> {
    if opcode == OpCode::Binary {
        return Ok(Incoming::Binary(payload));
    }
    if payload.len() > TEXT_LIMIT {
        return Err(TEXT_TOO_BIG);
    }
    match std::str::from_utf8(&payload) {
        Ok(text) => Ok(Incoming::Text(text.to_owned())),
        Err(_) => Err(Broken::Fault { code: 1007, reason: "text must be UTF-8" }),
    }
}

/// RFC 6455, section 7.4: which codes may stand in a frame.
fn close_code(payload: &[u8]) -> Result<Option<u16>, Broken> {
    match payload {
        [] => Ok(None),
        [_] => Err(protocol("a close code has two bytes")),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(protocol("this close code may not be sent"));
            }
            if std::str::from_utf8(reason).is_err() {
                return Err(Broken::Fault { code: 1007, reason: "the reason of a close must be UTF-8" });
            }
            Ok(Some(code))
        }
    }
}

fn of_library(error: &WebSocketError) -> Broken {
    match error {
        WebSocketError::FrameTooLarge => TOO_BIG,
        WebSocketError::InvalidUTF8 => Broken::Fault { code: 1007, reason: "text must be UTF-8" },
        WebSocketError::IoError(_) | WebSocketError::UnexpectedEOF | WebSocketError::ConnectionClosed => {
            Broken::Gone
        }
        _ => protocol("the frame is malformed"),
    }
}

/// Our direction. Every write has a time limit; after an error the writer is of no use.
pub(crate) struct Writer {
    socket: WebSocket<Join<Empty, OwnedWriteHalf>>,
    scratch: Vec<u8>,
    patience: Duration,
}

/// The client takes nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

impl Writer {
    /// Sends bytes as one message.
    pub(crate) async fn binary(&mut self, payload: &[u8]) -> Result<(), Gone> {
        write(&mut self.socket, Frame::binary(Payload::Borrowed(payload)), self.patience).await
    }

    /// Sends bytes after the two numbers that `voice.v1` puts before them.
    pub(crate) async fn numbered(&mut self, seq: u32, reply: u32, payload: &[u8]) -> Result<(), Gone> {
        self.scratch.clear();
        self.scratch.extend_from_slice(&seq.to_be_bytes());
        self.scratch.extend_from_slice(&reply.to_be_bytes());
        self.scratch.extend_from_slice(payload);
        write(&mut self.socket, Frame::binary(Payload::Borrowed(&self.scratch)), self.patience).await
    }

    /// Sends text as one message.
    pub(crate) async fn text(&mut self, text: impl AsRef<[u8]>) -> Result<(), Gone> {
        write(&mut self.socket, Frame::text(Payload::Borrowed(text.as_ref())), self.patience).await
    }

    /// Asks the client to show that it is alive.
    pub(crate) async fn ping(&mut self) -> Result<(), Gone> {
        let frame = Frame::new(true, OpCode::Ping, None, Payload::Borrowed(b""));
        write(&mut self.socket, frame, self.patience).await
    }

    /// Answers a ping.
    pub(crate) async fn pong(&mut self, payload: &[u8]) -> Result<(), Gone> {
        write(&mut self.socket, Frame::pong(Payload::Borrowed(payload)), self.patience).await
    }

    /// Sends the close frame; nothing may be sent after it. Without a code the frame is empty.
    pub(crate) async fn close(&mut self, code: Option<u16>, reason: &str) -> Result<(), Gone> {
        let frame = match code {
            None => Frame::close_raw(Payload::Borrowed(b"")),
            Some(code) => Frame::close(code, cut(reason).as_bytes()),
        };
        write(&mut self.socket, frame, self.patience).await
    }

    /// Ends our direction of the TCP stream.
    pub(crate) async fn shut(self) {
        let (_, mut stream) = self.socket.into_inner().into_inner();
        let _ = tokio::time::timeout(self.patience, stream.shutdown()).await;
    }
}

async fn write<'f>(
    socket: &mut WebSocket<Join<Empty, OwnedWriteHalf>>,
    frame: Frame<'f>,
    patience: Duration,
) -> Result<(), Gone> {
    match tokio::time::timeout(patience, socket.write_frame(frame)).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Gone),
    }
}

/// The longest beginning of `reason` that fits in a close frame and ends between characters.
fn cut(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_LIMIT)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = "é".repeat(100);
        assert_eq!(cut(&long).len(), 122);
    }

    #[test]
    fn only_codes_that_may_be_sent_are_taken() {
        let payload = |code: u16| code.to_be_bytes().to_vec();
        for code in [1000, 1003, 1007, 1014, 3000, 4999] {
            assert_eq!(close_code(&payload(code)), Ok(Some(code)));
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
            assert!(close_code(&payload(code)).is_err(), "{code}");
        }
        assert_eq!(close_code(b""), Ok(None));
        assert!(close_code(b"\x03").is_err());
        assert!(close_code(b"\x03\xe8\xff").is_err(), "a reason that is no UTF-8");
    }
}
