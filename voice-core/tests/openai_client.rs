//! The OpenAI-compatible client against a server on loopback that answers as a script says, well and badly.
#![cfg(feature = "cloud")]
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use voice_core::error::ProviderError;
use voice_core::ids::SessionId;
use voice_core::llm::openai::{ChatLimits, OpenAiChat, OpenAiConfig};
use voice_core::llm::{FinishReason, LanguageModel, LlmEvent, LlmRequest, Message, Role};
use voice_core::metrics::{Measure, Meter};
use voice_core::net::HttpClient;

const KEY: &str = "sk-never-to-be-seen";

/// What a server does with one request.
#[derive(Clone, Copy)]
enum Step {
    Send(&'static str),
    Wait(u64),
    /// Leaves the connection open until the client closes it.
    Hang,
}
use Step::{Hang, Send, Wait};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
const WORD: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello.\"}}]}\n\n";
const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// Serves one connection; gives the request as it came and, where the script hangs, whether the client closed.
async fn serve(steps: Vec<Step>) -> (SocketAddr, JoinHandle<(String, bool)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let request = read_request(&mut socket).await;
        for step in steps {
            match step {
                Send(text) => {
                    // The client may have gone, as some scripts want it.
                    let _ = socket.write_all(text.as_bytes()).await;
                }
                Wait(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                Hang => {
                    let closed =
                        tokio::time::timeout(Duration::from_secs(10), socket.read(&mut [0; 64])).await;
                    return (request, matches!(closed, Ok(Ok(0) | Err(_))));
                }
            }
        }
        (request, false)
    });
    (address, task)
}

async fn read_request(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let count = socket.read(&mut piece).await.unwrap();
        bytes.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if count == 0 {
            return text;
        }
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        if length.is_none_or(|(_, length)| body.len() >= length.parse().unwrap()) {
            return text;
        }
    }
}

fn chat(address: SocketAddr) -> OpenAiChat {
    let config = OpenAiConfig::builder().base_url(format!("http://{address}/v1")).key(KEY).build().unwrap();
    let limits = ChatLimits {
        head: Duration::from_millis(600),
        silence: Duration::from_millis(600),
        tail: Duration::from_millis(150),
    };
    OpenAiChat::new(config, HttpClient::new().unwrap(), limits)
}

fn question() -> LlmRequest {
    LlmRequest::new(SessionId::random(), vec![Message::new(Role::User, "Is it sold?")], "en")
}

/// All that an answer gives, within a time that only a fault exceeds.
async fn answer(steps: Vec<Step>) -> Vec<Result<LlmEvent, ProviderError>> {
    let (address, _server) = serve(steps).await;
    let events = chat(address).reply(question()).collect();
    tokio::time::timeout(Duration::from_secs(10), events).await.expect("the answer ends")
}

async fn failure(steps: Vec<Step>) -> ProviderError {
    let last = answer(steps).await.pop().expect("an event");
    let error = last.expect_err("it fails");
    assert!(!error.to_string().contains(KEY) && !error.to_string().contains("sold"), "{error}");
    error
}

#[tokio::test]
async fn an_answer_comes_word_by_word_and_the_request_says_what_is_asked() {
    let (address, server) =
        serve(vec![Send(HEAD), Send(WORD), Wait(20), Send(WORD), Send(STOP), Send(DONE)]).await;
    let events: Vec<_> = chat(address).reply(question()).map(Result::unwrap).collect().await;
    let hello = || LlmEvent::Delta("Hello.".into());
    assert_eq!(events, [hello(), hello(), LlmEvent::Done(FinishReason::Stop)]);
    let (request, _) = server.await.unwrap();
    assert!(request.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("authorization: Bearer {KEY}\r\n")), "{request}");
    assert!(request.contains("content-type: application/json\r\n"), "{request}");
    assert!(request.contains("\"stream\":true") && request.contains("Is it sold?"), "{request}");
}

#[tokio::test]
async fn a_server_that_never_closes_does_not_hold_the_end_back() {
    let begun = Instant::now();
    let events = answer(vec![Send(HEAD), Send(WORD), Send(STOP), Hang]).await;
    assert!(matches!(events.last(), Some(Ok(LlmEvent::Done(FinishReason::Stop)))), "{events:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn each_status_becomes_what_its_reader_can_do() {
    let unauthorised = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 63\r\n\r\n\
                        {\"error\":{\"message\":\"sk-never-to-be-seen is no key for sold.\"}}";
    assert!(matches!(failure(vec![Send(unauthorised)]).await, ProviderError::Unauthorised { .. }));
    let limited = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\n{}";
    let error = failure(vec![Send(limited)]).await;
    assert!(
        matches!(error, ProviderError::Limited { retry_after: Some(after), .. } if after == Duration::from_secs(7)),
        "{error:?}"
    );
    let broken = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\noops";
    assert!(matches!(failure(vec![Send(broken)]).await, ProviderError::Failed { .. }));
    // A body that never comes does not hold the error back for long.
    let stuck = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 9999\r\n\r\n{";
    assert!(!matches!(failure(vec![Send(stuck), Hang]).await, ProviderError::TimedOut { .. }));
    // Another address never gets the key.
    let moved =
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let error = failure(vec![Send(moved)]).await;
    assert!(!matches!(error, ProviderError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn silence_has_a_limit_wherever_it_falls() {
    for steps in [vec![Hang], vec![Send(HEAD), Hang], vec![Send(HEAD), Send(WORD), Hang]] {
        let error = failure(steps).await;
        assert!(matches!(error, ProviderError::TimedOut { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_or_garbled_is_a_failure_after_its_words() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n34\r\n\
                   data: {\"choices\":[{\"delta\":{\"content\":\"Hello.\"}}]}\n\n\r\n";
    for steps in [
        vec![Send(chunked)],
        vec![Send(HEAD), Send(WORD)],
        vec![Send(HEAD), Send(WORD), Send("data: {]\n\n"), Send(STOP), Send(DONE)],
    ] {
        let events = answer(steps).await;
        assert!(matches!(events.first(), Some(Ok(LlmEvent::Delta(_)))), "{events:?}");
        assert!(matches!(events.last(), Some(Err(_))), "{events:?}");
    }
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let events: Vec<_> = chat(address).reply(question()).collect().await;
    let [Err(ProviderError::Unreachable { detail, .. })] = &events[..] else { panic!("{events:?}") };
    assert!(!detail.contains("chat/completions"), "{detail}");
}

#[tokio::test]
async fn dropping_an_answer_closes_its_connection() {
    let (address, server) = serve(vec![Send(HEAD), Send(WORD), Hang]).await;
    let mut events = chat(address).reply(question());
    assert!(matches!(events.next().await, Some(Ok(LlmEvent::Delta(_)))));
    drop(events);
    let (_, closed) = tokio::time::timeout(Duration::from_secs(10), server).await.unwrap().unwrap();
    assert!(closed);
}

#[tokio::test]
async fn what_a_server_offers_is_listed() {
    let list =
        "HTTP/1.1 200 OK\r\ncontent-length: 39\r\n\r\n{\"object\":\"list\",\"data\":[{\"id\":\"m-1\"}]}";
    let (address, server) = serve(vec![Send(list)]).await;
    assert_eq!(chat(address).models().await.unwrap(), ["m-1"]);
    assert!(server.await.unwrap().0.starts_with("GET /v1/models HTTP/1.1\r\n"));
}

#[tokio::test]
async fn tokens_are_counted_as_told_and_estimated_where_nothing_is_told() {
    const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":120,\"completion_tokens\":9,\
                         \"prompt_tokens_details\":{\"cached_tokens\":100}}}\n\n";
    let refused = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\n{}";
    let told = [(Measure::Input, 20, false), (Measure::Cached, 100, false), (Measure::Output, 9, false)];
    let estimated = [(Measure::Input, 7, true), (Measure::Output, 2, true)];
    for (steps, expected) in [
        (vec![Send(HEAD), Send(WORD), Send(STOP), Send(USAGE), Send(DONE)], &told[..]),
        (vec![Send(HEAD), Send(WORD), Send(STOP), Send(DONE)], &estimated[..]),
        (vec![Send(refused)], &[]),
    ] {
        let (address, _server) = serve(steps).await;
        let meter = Meter::start();
        let asked = LlmRequest { meter: meter.clone(), ..question() };
        let _: Vec<_> = chat(address).reply(asked).collect().await;
        let used: Vec<_> =
            meter.used().iter().map(|used| (used.measure, used.quantity, used.estimated)).collect();
        assert_eq!(used, expected);
    }
    // An answer that is given up in its middle has cost what had been sent and had come.
    let (address, _server) = serve(vec![Send(HEAD), Send(WORD), Hang]).await;
    let meter = Meter::start();
    let mut reply = chat(address).reply(LlmRequest { meter: meter.clone(), ..question() });
    assert!(matches!(reply.next().await, Some(Ok(LlmEvent::Delta(_)))));
    assert_eq!(meter.used(), []);
    drop(reply);
    assert_eq!(meter.used().iter().map(|used| used.quantity).collect::<Vec<_>>(), [7, 2]);
}
