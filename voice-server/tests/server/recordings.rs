//! Recordings of whole calls: the real engine with scripted providers behind the real socket, in real time, and other
//! programs that read what was recorded.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastwebsockets::{Frame, OpCode, Payload, Role, WebSocket};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;
use voice_core::session::Engine;
use voice_core::sim::{ScriptedLlm, ScriptedStt, ScriptedTts};
use voice_server::config::Config;
use voice_server::data::{
    ConsentKind, OrganizationChange, OrganizationSettings, Recording, RecordingMode, RecordingState,
    Timestamp,
};
use voice_server::engine::Built;

use crate::harness::{Server, Wish, soon};

/// Pitch of the scripted voice.
const OURS: f64 = 220.0;
/// Pitch of the caller.
const CALLER: f64 = 700.0;

/// A server whose engine hears `said`, a sentence a turn.
async fn server<const N: usize>(mode: RecordingMode, said: [&'static str; N]) -> Server {
    let mut stt = ScriptedStt::hearing(said);
    (stt.script.partial_lag, stt.script.final_delay) = (Duration::ZERO, Duration::ZERO);
    let mut llm = ScriptedLlm::default();
    (llm.script.first_token, llm.script.token_every) = (Duration::ZERO, Duration::ZERO);
    let mut tts = ScriptedTts::default();
    (tts.script.first_audio, tts.script.speed, tts.script.per_byte) =
        (Duration::ZERO, 50.0, Duration::from_millis(15));
    let engine = Engine::builder().stt(Arc::new(stt)).llm(Arc::new(llm)).tts(Arc::new(tts)).build().unwrap();
    let config = Config { recording: mode, ..Config::default() };
    Server::of_with(Arc::new(Built::whole(engine)), Wish { config, ..Wish::default() }).await
}

/// What a caller did and heard, in seconds from the begin of his call.
struct Call {
    id: Uuid,
    /// When the first message of ours came.
    heard: Option<f64>,
    /// When his tone began.
    spoke: f64,
    /// When he hung up.
    over: f64,
}

/// A call of `seconds` in 20 ms frames, in which the caller speaks between `tone`'s ends.
async fn call(server: &Server, query: &str, seconds: f64, tone: std::ops::Range<f64>) -> Call {
    let id = Uuid::new_v4();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let request = format!(
        "GET /voice/{id}?in=pcm16&out=pcm16{query} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    let begun = Instant::now();
    let (read, write) = stream.into_split();
    let mut read = WebSocket::after_handshake(tokio::io::join(read, tokio::io::sink()), Role::Client);
    read.set_auto_close(false);
    read.set_auto_pong(false);
    let mut write = WebSocket::after_handshake(tokio::io::join(tokio::io::empty(), write), Role::Client);
    let reading = tokio::spawn(async move {
        let mut heard = None;
        while let Ok(frame) = read.read_frame().await {
            match frame.opcode {
                OpCode::Binary if heard.is_none() => heard = Some(begun.elapsed().as_secs_f64()),
                OpCode::Close => break,
                _ => {}
            }
        }
        heard
    });
    let mut spoke = 0.0;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for k in 0..(seconds * 50.0) as usize {
        ticks.tick().await;
        let speaks = tone.contains(&(k as f64 / 50.0));
        if speaks && spoke == 0.0 {
            spoke = begun.elapsed().as_secs_f64();
        }
        let samples = (0..320).map(|i| {
            let at = (k * 320 + i) as f64 / 16_000.0;
            if speaks { ((at * CALLER * std::f64::consts::TAU).sin() * 9_000.0) as i16 } else { 0 }
        });
        let bytes: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
        write.write_frame(Frame::binary(Payload::Borrowed(&bytes))).await.unwrap();
    }
    let over = begun.elapsed().as_secs_f64();
    write.write_frame(Frame::close(1000, b"")).await.unwrap();
    let heard = soon(reading).await.unwrap();
    Call { id, heard, spoke, over }
}

/// The one recording of a call, once it is stored.
async fn recording(server: &Server, call: &Call) -> Recording {
    let found = async {
        loop {
            let found = server.app.store.recordings(server.app.organization, call.id).await.unwrap();
            if let Some(stored) = found.into_iter().find(|one| one.state == RecordingState::Stored) {
                return stored;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon(found).await
}

/// Both sides at 8 kHz as ffmpeg decodes them.
fn decoded(file: &Path) -> [Vec<f64>; 2] {
    let out = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(file)
        .args(["-f", "s16le", "-ar", "8000", "-"])
        .stderr(Stdio::inherit())
        .output()
        .expect("ffmpeg, which .ci/setup test brings");
    assert!(out.status.success());
    let samples: Vec<f64> =
        out.stdout.chunks_exact(2).map(|s| f64::from(i16::from_le_bytes([s[0], s[1]]))).collect();
    [samples.iter().step_by(2).copied().collect(), samples.iter().skip(1).step_by(2).copied().collect()]
}

/// How loud `pitch` is in each 20 ms, as an amplitude.
fn levels(side: &[f64], pitch: f64) -> Vec<f64> {
    let level = |block: &[f64]| {
        let (mut sin, mut cos) = (0.0, 0.0);
        for (k, sample) in block.iter().enumerate() {
            let (s, c) = (k as f64 * pitch * std::f64::consts::TAU / 8_000.0).sin_cos();
            (sin, cos) = (sin + sample * s, cos + sample * c);
        }
        2.0 * f64::hypot(sin, cos) / block.len() as f64
    };
    side.chunks_exact(160).map(level).collect()
}

/// The effective level of a span of seconds.
fn loudness(side: &[f64], span: std::ops::Range<f64>) -> f64 {
    let samples = &side[(span.start * 8_000.0) as usize..(span.end * 8_000.0) as usize];
    (samples.iter().map(|sample| sample * sample).sum::<f64>() / samples.len() as f64).sqrt()
}

/// When a pitch is first loud, in seconds.
fn begin(levels: &[f64]) -> f64 {
    levels.iter().position(|level| *level > 2_000.0).expect("the pitch is heard") as f64 / 50.0
}

fn write_sound(name: &str, folder: &Path, bytes: &[u8]) -> std::path::PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, bytes).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_with_a_notice_is_recorded_on_two_sides_that_other_programs_read() {
    let server = server(RecordingMode::Notice, ["How much is it?"]).await;
    let call = call(&server, "&greeting=1", 6.0, 3.0..3.6).await;
    let stored = recording(&server, &call).await;
    assert!(stored.channels == 2 && !stored.encrypted && stored.expires_at.is_some());

    // The consent, with its place in the sound: after the greeting, before the caller spoke.
    let consents = server.app.store.consents(server.app.organization, call.id).await.unwrap();
    assert_eq!(consents.len(), 1);
    assert!(consents[0].kind == ConsentKind::Recording && consents[0].given);
    assert!(consents[0].wording.contains("recorded"), "{consents:?}");
    assert!((1_000..3_000).contains(&consents[0].audio_ms), "{consents:?}");

    // Through its link, whole and in part.
    let link = server.app.links.link(&stored, Timestamp::now()).expect("it is stored");
    let whole = server.bytes("GET", &link.url, &[]).await;
    assert_eq!(whole.status, 200, "{}", whole.head);
    assert!(whole.head.contains("content-type: audio/ogg") && whole.head.contains("accept-ranges: bytes"));
    assert_eq!(whole.bytes.len() as i64, stored.bytes);
    let part = server.bytes("GET", &link.url, &["Range: bytes=100-299"]).await;
    assert_eq!((part.status, &part.bytes[..]), (206, &whole.bytes[100..300]));
    assert!(part.head.contains(&format!("content-range: bytes 100-299/{}", stored.bytes)), "{}", part.head);
    let tail = server.bytes("GET", &link.url, &["Range: bytes=-50"]).await;
    assert_eq!((tail.status, &tail.bytes[..]), (206, &whole.bytes[whole.bytes.len() - 50..]));
    let past = server.bytes("GET", &link.url, &["Range: bytes=99999999-"]).await;
    assert_eq!(past.status, 416);
    assert!(past.head.contains(&format!("content-range: bytes */{}", stored.bytes)), "{}", past.head);
    let other = server.bytes("GET", &link.url, &["Range: bytes=0-9", "If-Range: \"other\""]).await;
    assert_eq!(other.status, 200);
    let head = server.bytes("HEAD", &link.url, &[]).await;
    assert!(head.status == 200 && head.bytes.is_empty());
    assert!(head.head.contains(&format!("content-length: {}", stored.bytes)), "{}", head.head);
    let changed = link.url.replacen("expires=1", "expires=2", 1);
    for url in [&*changed, &format!("/api/v1/recordings/{}", stored.id), &link.url[..link.url.len() - 1]] {
        assert_eq!(server.bytes("GET", url, &[]).await.status, 403, "{url}");
    }

    // What other programs say of it.
    let file = write_sound("call.ogg", &server.folder, &whole.bytes);
    let probe = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-of",
            "csv=p=0",
            "-show_entries",
            "stream=codec_name,channels:format=duration",
        ])
        .arg(&file)
        .output()
        .expect("ffprobe, which .ci/setup test brings");
    let told = String::from_utf8(probe.stdout).unwrap() + &String::from_utf8(probe.stderr).unwrap();
    assert!(told.starts_with("opus,2"), "{told}");
    let length: f64 = told.lines().nth(1).expect("a duration").trim().parse().unwrap();
    let info = Command::new("opusinfo").arg(&file).output().expect("opusinfo, which .ci/setup test brings");
    let info = String::from_utf8(info.stdout).unwrap() + &String::from_utf8(info.stderr).unwrap();
    assert!(info.contains("Channels: 2") && !info.to_lowercase().contains("warning"), "{info}");

    // Everything in its place: the recording begins with the call.
    let heard = call.heard.expect("a greeting");
    let [left, right] = decoded(&file);
    let (caller, ours) = (levels(&left, CALLER), levels(&right, OURS));
    let (spoke, sounded) = (begin(&caller), begin(&ours));
    assert!((length - call.over).abs() < 0.1, "{length} s of a call of {} s", call.over);
    assert!((stored.audio_ms as f64 / 1_000.0 - length).abs() < 0.05, "{} of {length}", stored.audio_ms);
    assert!((spoke - call.spoke).abs() < 0.1, "the caller is at {spoke} instead of {}", call.spoke);
    assert!((sounded - heard).abs() < 0.1, "we are at {sounded} instead of {heard}");
    // And nothing on the other side: 40 dB below.
    let (over, under) =
        (loudness(&right, spoke + 0.1..spoke + 0.5), loudness(&left, sounded + 0.1..sounded + 0.5));
    assert!(over < 64.0, "the caller is on our side at {over}");
    assert!(under < 42.0, "we are on the caller's side at {under}");
    // Both were heard after each other, and the answer to the question too.
    assert!(caller.iter().filter(|level| **level > 2_000.0).count().abs_diff(30) < 5);
    assert!(ours[(spoke * 50.0) as usize + 30..].iter().any(|level| *level > 2_000.0), "no answer is heard");
    assert_eq!(std::fs::read_dir(server.folder.join("spool")).unwrap().count(), 0, "the spool is gone");

    // Gone on request, everywhere, for whom it was asked.
    server.app.blobs.delete(&stored.object).await.unwrap();
    assert_eq!(server.bytes("GET", &link.url, &[]).await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_recorded_by_default_nor_without_a_greeting() {
    for (mode, query) in [(RecordingMode::Off, "&greeting=1"), (RecordingMode::Notice, "")] {
        let mut server = server(mode, ["How much is it?"]).await;
        let call = call(&server, query, 2.0, 0.5..1.0).await;
        assert_eq!(soon(server.ended.recv()).await, Some(call.id));
        server.app.archive.drain(Duration::from_secs(10)).await;
        let organization = server.app.organization;
        assert!(server.app.store.recordings(organization, call.id).await.unwrap().is_empty());
        assert!(server.app.store.consents(organization, call.id).await.unwrap().is_empty());
        assert_eq!(std::fs::read_dir(server.folder.join("spool")).unwrap().count(), 0);
        assert!(server.app.blobs.list("recordings", 1).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_asked_is_recorded_from_his_yes_on_and_who_says_no_is_not() {
    // The organization asks, whatever the server's setting.
    for (answer, agrees) in [("Yes, go ahead.", true), ("I'd rather not.", false)] {
        let server = server(RecordingMode::Off, [answer, "How much is it?"]).await;
        let organization = server.app.organization;
        let settings = OrganizationSettings {
            recording: Some(RecordingMode::Ask),
            disclosure: Some("I am a computer.".into()),
            ..OrganizationSettings::default()
        };
        let change = OrganizationChange { settings: Some(settings), ..OrganizationChange::default() };
        server.app.store.change_organization(organization, change, None).await.unwrap();
        let call = call(&server, "&greeting=1", 5.5, 2.5..3.1).await;
        server.app.archive.drain(Duration::from_secs(20)).await;
        let consents = server.app.store.consents(organization, call.id).await.unwrap();
        let told: Vec<_> = consents.iter().map(|consent| (consent.kind, consent.given)).collect();
        assert_eq!(told, [(ConsentKind::Disclosure, true), (ConsentKind::Recording, agrees)]);
        let recordings = server.app.store.recordings(organization, call.id).await.unwrap();
        assert_eq!(recordings.len(), usize::from(agrees));
        assert_eq!(std::fs::read_dir(server.folder.join("spool")).unwrap().count(), 0);
        let Some(stored) = recordings.first() else { continue };
        assert_eq!(stored.state, RecordingState::Stored);
        let bytes = server.app.blobs.get(&stored.object, None).await.unwrap();
        let [left, right] = decoded(&write_sound("call.ogg", &server.folder, &bytes));
        // The yes itself and the greeting came before it.
        let seconds = left.len() as f64 / 8_000.0;
        assert!((1.0..3.0).contains(&seconds), "{seconds}");
        assert!(
            levels(&left, CALLER).iter().all(|level| *level < 2_000.0),
            "what came before the yes is kept"
        );
        assert!(levels(&right, OURS).iter().any(|level| *level > 2_000.0), "the answer is not on it");
    }
}
