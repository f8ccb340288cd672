//! The caller's end of a voice socket, small enough that hundreds of them cost little.
//!
//! Reading and writing are separate halves for separate tasks. Frames are sent with a mask of zeros: valid, and free.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// What the server sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Audio.
    Binary(Vec<u8>),
    /// Text, in `voice.v1` only.
    Text(String),
    /// The end, with its code.
    Close(u16),
}

/// Opens a voice socket; `path` is path and query.
///
/// # Errors
/// The server cannot be reached or refuses; the text has its status line.
pub async fn dial(server: SocketAddr, path: &str, protocol: Option<&str>) -> io::Result<(Mouth, Ear)> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let protocol = protocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n")).unwrap_or_default();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n{protocol}\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut buffer = Vec::with_capacity(4_096);
    let head = loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break buffer.drain(..end + 4).collect::<Vec<u8>>();
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    if !head.starts_with(b"HTTP/1.1 101") {
        let status = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
        return Err(io::Error::other(format!("the server refuses: {status}")));
    }
    let (read, write) = stream.into_split();
    Ok((Mouth { write, frame: Vec::new() }, Ear { read, buffer, at: 0 }))
}

/// Sends.
#[derive(Debug)]
pub struct Mouth {
    write: OwnedWriteHalf,
    frame: Vec<u8>,
}

impl Mouth {
    /// Sends audio, one message.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn audio(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.send(0x82, bytes).await
    }

    /// Sends text.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn text(&mut self, text: &str) -> io::Result<()> {
        self.send(0x81, text.as_bytes()).await
    }

    /// Says that the call is over. The server answers with its own close.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn close(&mut self) -> io::Result<()> {
        self.send(0x88, &1000_u16.to_be_bytes()).await
    }

    async fn send(&mut self, head: u8, payload: &[u8]) -> io::Result<()> {
        self.frame.clear();
        self.frame.push(head);
        match payload.len() {
            length @ 0..=125 => self.frame.push(0x80 | length as u8),
            length @ 126..=0xFFFF => {
                self.frame.push(0x80 | 126);
                self.frame.extend((length as u16).to_be_bytes());
            }
            length => {
                self.frame.push(0x80 | 127);
                self.frame.extend((length as u64).to_be_bytes());
            }
        }
        self.frame.extend([0; 4]);
        self.frame.extend(payload);
        self.write.write_all(&self.frame).await
    }
}

/// Receives.
#[derive(Debug)]
pub struct Ear {
    read: OwnedReadHalf,
    buffer: Vec<u8>,
    /// Bytes of the buffer that are done with.
    at: usize,
}

impl Ear {
    /// The next message. Dropping the future loses nothing. Pings go unanswered: no load run lasts as long as the
    /// server's patience.
    ///
    /// # Errors
    /// The connection is gone, or what comes is no WebSocket frame of a message in one piece.
    pub async fn next(&mut self) -> io::Result<Message> {
        loop {
            if let Some((opcode, payload)) = self.frame()? {
                match opcode {
                    1 => return Ok(Message::Text(String::from_utf8_lossy(&payload).into_owned())),
                    2 => return Ok(Message::Binary(payload)),
                    8 => {
                        let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                        return Ok(Message::Close(code));
                    }
                    _ => continue,
                }
            }
            self.buffer.drain(..self.at);
            self.at = 0;
            if self.read.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn frame(&mut self) -> io::Result<Option<(u8, Vec<u8>)>> {
        let bytes = &self.buffer[self.at..];
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        if first & 0x80 == 0 || second & 0x80 != 0 {
            return Err(io::Error::other("the server sends a frame that is fragmented or masked"));
        }
        let (head, length) = match (second, rest) {
            (126, [a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
            (127, [a, b, c, d, e, f, g, h, ..]) => {
                (10, u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) as usize)
            }
            (126 | 127, _) => return Ok(None),
            (short, _) => (2, usize::from(*short)),
        };
        if length > LONGEST {
            return Err(io::Error::other("the server sends a frame of more than 16 MiB"));
        }
        let Some(payload) = bytes.get(head..head + length) else { return Ok(None) };
        let frame = (first & 0x0F, payload.to_vec());
        self.at += head + length;
        Ok(Some(frame))
    }
}

/// Two seconds of WAV are far below it.
const LONGEST: usize = 16 << 20;
