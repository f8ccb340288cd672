//! WebSockets to services, against a server on loopback that writes its bytes by hand.
#![cfg(feature = "cloud")]
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use voice_core::error::ProviderError;
use voice_core::net::{ConnectError, Connector, Incoming, Socket, SocketLimits};

const KEY: &str = "sk-never-to-be-seen";
/// A busy machine is not the subject here.
const PATIENCE: Duration = Duration::from_secs(30);
const SMALL: SocketLimits = SocketLimits { connect: PATIENCE, message: 1_000, outgoing: 1_000 };

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("ws://{}/v1/listen?model=a", listener.local_addr().unwrap());
    (listener, address)
}

async fn connect(address: &str, limits: SocketLimits) -> Result<Socket, ConnectError> {
    let headers = std::iter::once(("authorization", format!("Token {KEY}")));
    let socket = Connector::new().unwrap().connect("test", address, headers, limits).await;
    socket.map(|(socket, _)| socket)
}

/// The request of a client, up to its empty line.
async fn request(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Answers a handshake; gives the request.
async fn shake(stream: &mut TcpStream) -> String {
    let request = request(stream).await;
    let lower = request.to_ascii_lowercase();
    let at = lower.find("sec-websocket-key: ").expect("a key") + "sec-websocket-key: ".len();
    let key = request[at..].lines().next().unwrap();
    let accept = STANDARD.encode(Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    request
}

/// A pair of ends.
async fn pair(limits: SocketLimits) -> (Socket, TcpStream) {
    let (listener, address) = listener().await;
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        shake(&mut stream).await;
        stream
    };
    let (socket, stream) = tokio::join!(connect(&address, limits), serving);
    (socket.unwrap(), stream)
}

/// A frame as a server sends it; `head` has the last-fragment bit and the opcode.
fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![head];
    match payload.len() {
        short @ 0..=125 => bytes.push(short as u8),
        long => {
            bytes.push(126);
            bytes.extend((long as u16).to_be_bytes());
        }
    }
    bytes.extend(payload);
    bytes
}

/// The next frame of a client: opcode and payload. It must be masked and in one piece.
async fn client_frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let (head, length) = (stream.read_u8().await.unwrap(), stream.read_u8().await.unwrap());
    assert!(head & 0x80 != 0 && length & 0x80 != 0, "fragmented or without a mask");
    let length = match length & 0x7F {
        126 => usize::from(stream.read_u16().await.unwrap()),
        short => usize::from(short),
    };
    let mut mask = [0; 4];
    stream.read_exact(&mut mask).await.unwrap();
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await.unwrap();
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    (head & 0x0F, payload)
}

async fn next(socket: &mut Socket) -> Incoming {
    timeout(PATIENCE, socket.next()).await.expect("a message in time")
}

fn broken() -> Incoming {
    Incoming::Closed { code: None, reason: String::new() }
}

#[tokio::test]
async fn messages_are_whole_though_reading_is_cancelled_at_every_byte() {
    let (mut socket, mut stream) = pair(SocketLimits::default()).await;
    let mut bytes = frame(0x81, "five hundred €".as_bytes());
    bytes.extend(frame(0x82, &[7; 300]));
    // A text in three fragments, cut inside a letter, with a ping between them (RFC 6455, section 5.4).
    let text = "naïve".as_bytes();
    bytes.extend(frame(0x01, &text[..3]));
    bytes.extend(frame(0x89, b"are you there"));
    bytes.extend(frame(0x00, &text[3..4]));
    bytes.extend(frame(0x80, &text[4..]));
    bytes.extend(frame(0x88, &[0x03, 0xE8, b'o', b'k']));
    let writing = tokio::spawn(async move {
        stream.set_nodelay(true).unwrap();
        for byte in bytes {
            stream.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        stream
    });
    let (mut seen, mut cancelled) = (Vec::new(), 0_u32);
    let all = async {
        loop {
            tokio::select! {
                biased;
                message = socket.next() => {
                    let over = matches!(message, Incoming::Closed { .. });
                    seen.push(message);
                    if over { break }
                }
                () = tokio::task::yield_now() => cancelled += 1,
            }
        }
    };
    timeout(PATIENCE, all).await.expect("all messages in time");
    assert!(cancelled > 0, "no read was cancelled");
    assert_eq!(
        seen,
        [
            Incoming::Text("five hundred €".to_owned()),
            Incoming::Binary(vec![7; 300].into()),
            Incoming::Text("naïve".to_owned()),
            Incoming::Closed { code: Some(1000), reason: "ok".to_owned() },
        ]
    );
    assert_eq!(next(&mut socket).await, broken(), "a closed socket is closed");
    let mut stream = timeout(PATIENCE, writing).await.unwrap().unwrap();
    assert_eq!(client_frame(&mut stream).await, (0xA, b"are you there".to_vec()));
}

#[tokio::test]
async fn what_is_pushed_arrives_masked_and_in_order_and_a_close_ends_it() {
    let (mut socket, mut stream) = pair(SocketLimits::default()).await;
    let long = vec![9; 5_000];
    socket.push_text("{\"type\":\"KeepAlive\"}").unwrap();
    socket.push_binary(long.clone()).unwrap();
    let serving = async {
        assert_eq!(client_frame(&mut stream).await, (1, b"{\"type\":\"KeepAlive\"}".to_vec()));
        assert_eq!(client_frame(&mut stream).await, (2, long));
        assert_eq!(client_frame(&mut stream).await, (8, vec![0x03, 0xE8]));
        stream.write_all(&frame(0x88, &[0x03, 0xE8])).await.unwrap();
    };
    let both = async { tokio::join!(socket.close(PATIENCE), serving) };
    timeout(PATIENCE, both).await.expect("a close within its time");
}

#[tokio::test]
async fn the_request_carries_the_headers_and_a_refusal_keeps_what_it_says() {
    let (listener, address) = listener().await;
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = request(&mut stream).await;
        let answer =
            "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 12\r\n\r\n{\"error\": 1}";
        stream.write_all(answer.as_bytes()).await.unwrap();
        request
    };
    let (refused, request) = tokio::join!(connect(&address, SocketLimits::default()), serving);
    assert!(request.starts_with("GET /v1/listen?model=a HTTP/1.1\r\n"), "{request}");
    let lower = request.to_ascii_lowercase();
    let host = format!("host: {}", address.trim_start_matches("ws://").split('/').next().unwrap());
    for line in ["authorization: token sk-never", "sec-websocket-version: 13", "upgrade: websocket", &host] {
        assert!(lower.contains(line), "{line} in {request}");
    }
    let Err(ConnectError::Refused(refusal)) = refused else { panic!("not refused") };
    assert_eq!((refusal.status, refusal.header("retry-after")), (429, Some("7")));
    assert_eq!(refusal.body, b"{\"error\": 1}");
    assert!(!format!("{refusal:?}").contains(KEY));
}

#[tokio::test]
async fn what_is_no_websocket_server_is_told_apart_from_nobody() {
    let (listener, address) = listener().await;
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await;
        let answer = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: AAAA\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream
    };
    let (other, _stream) = tokio::join!(connect(&address, SocketLimits::default()), serving);
    assert!(matches!(other, Err(ConnectError::Failed(ProviderError::Failed { .. }))), "{other:?}");
    drop(listener);
    let nobody = connect(&address, SocketLimits::default()).await;
    assert!(matches!(nobody, Err(ConnectError::Failed(ProviderError::Unreachable { .. }))), "{nobody:?}");
    for address in ["http://127.0.0.1:1/", "not an address", "ws://"] {
        let wrong = connect(address, SocketLimits::default()).await;
        assert!(matches!(wrong, Err(ConnectError::Failed(ProviderError::Misconfigured { .. }))), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_given_up() {
    let (_listener, address) = listener().await;
    let limits = SocketLimits { connect: Duration::from_millis(50), ..SocketLimits::default() };
    let silent = timeout(PATIENCE, connect(&address, limits)).await.expect("an end of its own");
    assert!(matches!(silent, Err(ConnectError::Failed(ProviderError::TimedOut { .. }))), "{silent:?}");
}

#[tokio::test]
async fn too_much_in_one_message_and_broken_rules_end_the_socket() {
    let whole = frame(0x81, &[b'a'; 1_001]);
    let pieces = [frame(0x01, &[b'a'; 600]), frame(0x80, &[b'a'; 600])].concat();
    let inside = [frame(0x01, b"a"), frame(0x81, b"b")].concat();
    for bytes in [whole, pieces, inside, frame(0x80, b"a"), frame(0x81, &[0xFF, 0xFE]), vec![0xC1, 0x00]] {
        let (mut socket, mut stream) = pair(SMALL).await;
        stream.write_all(&bytes).await.unwrap();
        assert_eq!(next(&mut socket).await, broken(), "{:?}", &bytes[..2]);
    }
    let (mut socket, mut stream) = pair(SMALL).await;
    stream.write_all(&frame(0x82, &[1; 1_000])).await.unwrap();
    assert_eq!(next(&mut socket).await, Incoming::Binary(vec![1; 1_000].into()), "the limit may be reached");
    drop(stream);
    assert_eq!(next(&mut socket).await, broken(), "a connection that breaks has no code");
}

#[tokio::test]
async fn a_service_that_takes_nothing_is_noticed() {
    let (mut socket, _stream) = pair(SMALL).await;
    socket.push_binary(vec![0; 900]).unwrap();
    assert!(socket.push_binary(vec![0; 200]).is_err());
}
