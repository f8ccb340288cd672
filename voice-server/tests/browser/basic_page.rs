//! A page of somebody else that does nothing but `decodeAudioData` and `start()` on each message.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use uuid::Uuid;
use voice_core::text::words::word_error_rate;

use crate::server::Server;
use crate::spoken;
use crate::webdriver::{Driver, http, http_with};

/// Serves the page from an origin of its own until the test's process ends.
fn serve_page() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        const PAGE: &str = include_str!("basic.html");
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4_096]);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: ";
            let _ = write!(stream, "{head}{}\r\n\r\n{PAGE}", PAGE.len());
        }
    });
    address
}

pub(crate) fn a_page_that_only_decodes_and_starts_plays_in_order(server: &Server, driver: &Driver) {
    let browser = driver.browser("basic");
    browser.open(&format!("http://{}/", serve_page()));
    let id = Uuid::new_v4();
    browser.run(&format!("talk('ws://{}/voice/{id}')", server.address));
    let until = Instant::now() + Duration::from_secs(90);
    // The pause between the two sentences may end a turn or not; what counts is that every word is there.
    loop {
        let said = conversation(server, id).map(|found| callers_words(&found)).unwrap_or_default();
        if word_error_rate(&spoken(), &said).rate() < 0.2 {
            break;
        }
        assert!(Instant::now() < until, "heard {said:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let played = browser.run("return played");
    browser.run("hangUp()");
    browser.wait("the echo", "return window.closeCode !== undefined");
    assert_eq!(browser.run("return window.closeCode"), 1000, "the close code");
    let stored = conversation(server, id).expect("it was there");
    let turns = stored["turns"].as_array().expect("turns").len();

    let played: Vec<(u64, f64, f64)> = played
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (one["number"].as_u64().unwrap(), one["at"].as_f64().unwrap(), one["lasts"].as_f64().unwrap())
        })
        .collect();
    assert!(played.len() > 1, "{played:?}");
    let numbers: Vec<u64> = played.iter().map(|(number, _, _)| *number).collect();
    assert!(numbers.is_sorted(), "decoded out of order: {numbers:?}");
    let gaps: Vec<f64> =
        played.windows(2).map(|pair| (pair[1].1 - pair[0].1 - pair[0].2) * 1_000.0).collect();
    let shown: Vec<String> = gaps.iter().map(|gap| format!("{gap:.1}")).collect();
    println!("  basic page: {} messages, gaps of ms {}", played.len(), shown.join(" "));
    println!("  basic page: ledger {} = {} ms", stored["turns"][0]["ledger"], stored["turns"][0]["totalMs"]);
    // A message that a busy machine started late is overlapped by the next one, which is on time: that is the machine's doing.
    let mut late = 0.0;
    for gap in &gaps {
        assert!(late + gap >= -15.0, "messages overlap: {}", shown.join(" "));
        late = f64::max(0.0, late + gap);
    }
    // Between two answers there is silence; within one there is none.
    let audible = gaps.iter().filter(|gap| **gap > 60.0).count();
    assert!(audible < turns, "gaps are audible in {turns} answers: {}", shown.join(" "));
    assert_eq!(browser.console_errors(), Vec::<Value>::new());
}

/// All that the caller said.
fn callers_words(conversation: &Value) -> String {
    let lines = conversation["transcript"].as_array().map(Vec::as_slice).unwrap_or_default();
    let words = lines.iter().filter(|line| line["role"] == "user").filter_map(|line| line["text"].as_str());
    words.collect::<Vec<_>>().join(" ")
}

/// The conversation once the page has opened it.
fn conversation(server: &Server, id: Uuid) -> Option<Value> {
    static ADMIN: OnceLock<String> = OnceLock::new();
    let admin = ADMIN.get_or_init(|| {
        let credentials = r#"{"email":"admin@demo.example","password":"demo-password"}"#;
        let (status, body) = http(server.address, "POST", "/api/v1/auth/login", credentials);
        assert_eq!(status, 200, "{body}");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        format!("Authorization: Bearer {}\r\n", body["accessToken"].as_str().expect("a token"))
    });
    let (status, body) = http_with(server.address, "GET", &format!("/api/v1/conversations/{id}"), admin, "");
    (status == 200).then(|| serde_json::from_str(&body).expect("JSON"))
}
