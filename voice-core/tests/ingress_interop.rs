//! Files of other programs: ffmpeg and opusenc write, browsers recorded, ffmpeg decodes for comparison.
//!
//! A second opinion: where a program is missing, a test says so and checks nothing. `.ci/setup test` installs them; the
//! recordings of browsers are tested without any in `ingress_browser.rs`.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Heard, hear, hear_whole, likeness, voice, wav};
use voice_core::audio::{Channels, SampleRate};
use voice_core::ingress::Declared;

fn has(program: &str, version: &str) -> bool {
    let there = Command::new(program).arg(version).output().is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("skipped: {program} is not installed");
    }
    there
}

/// A directory of this test's own that goes when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("voice-ingress-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What ffmpeg hears in a file, at 16 kHz mono.
fn reference(path: &Path) -> Vec<i16> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-ar", "16000", "-ac", "1", "-f", "s16le", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.as_chunks().0.iter().map(|&b| i16::from_le_bytes(b)).collect()
}

/// Lets ffmpeg write a voice with the given arguments, and returns the file and its path.
fn written(scratch: &Scratch, name: &str, arguments: &[&str]) -> (PathBuf, Vec<u8>) {
    let source = scratch.file("source.wav", &wav::mono16(48_000, &voice(48_000, 3.0)));
    let path = scratch.0.join(name);
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-i"])
        .arg(source)
        .args(arguments)
        .arg(&path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bytes = std::fs::read(&path).unwrap();
    (path, bytes)
}

/// Checks length, place and shape against the reference decoder.
#[track_caller]
fn assert_like_reference(name: &str, heard: &[i16], reference: &[i16], least: f64) {
    let off = heard.len() as isize - reference.len() as isize;
    assert!((-40..=360).contains(&off), "{name}: {} samples instead of {}", heard.len(), reference.len());
    // The loudest second tells most.
    let window = 16_000.min(reference.len() / 2);
    let energy = |at: usize| reference[at..at + window].iter().map(|&s| i64::from(s).pow(2)).sum::<i64>();
    let at = (200..reference.len() - window - 200).step_by(800).max_by_key(|&at| energy(at)).unwrap_or(200);
    let (score, shift) = likeness(&heard[at..at + window], &reference[at..at + window], 16);
    println!("{name}: likeness {score:.4} at {shift}, {off} samples longer");
    assert!(score > least && shift.abs() <= 2, "{name}: likeness {score} at {shift}");
}

#[test]
fn opus_written_by_ffmpeg_is_heard_as_ffmpeg_hears_it() {
    if !has("ffmpeg", "-version") {
        return;
    }
    let scratch = Scratch::new("opus");
    let opus = ["-c:a", "libopus", "-b:a", "48k"];
    for (name, more) in [
        ("plain.webm", &[][..]),
        ("plain.ogg", &[]),
        ("long.webm", &["-frame_duration", "60"]),
        ("long.ogg", &["-frame_duration", "120"]),
        ("short.webm", &["-frame_duration", "2.5", "-application", "lowdelay"]),
        ("stereo.webm", &["-ac", "2"]),
        ("stereo.ogg", &["-ac", "2"]),
        ("live.webm", &["-live", "1"]),
        ("matroska.mkv", &[]),
        ("clusters.webm", &["-cluster_time_limit", "200"]),
    ] {
        let (path, bytes) = written(&scratch, name, &[&opus[..], more].concat());
        let heard = hear(None, bytes.chunks(777));
        assert_eq!((heard.error.clone(), heard.ends.len(), heard.concealed_frames()), (None, 1, 0), "{name}");
        assert_like_reference(name, &heard.samples, &reference(&path), 0.99);
    }
}

#[test]
fn opus_written_by_opusenc_is_heard_as_ffmpeg_hears_it() {
    if !has("ffmpeg", "-version") || !has("opusenc", "--version") {
        return;
    }
    let scratch = Scratch::new("opusenc");
    let source = scratch.file("source.wav", &wav::mono16(44_100, &voice(44_100, 2.345)));
    for (name, more) in [
        ("plain.opus", &[][..]),
        ("low.opus", &["--bitrate", "12"]),
        ("long.opus", &["--framesize", "60"]),
        ("picture.opus", &["--comment", "TITLE=a voice", "--padding", "70000"]),
    ] {
        let path = scratch.0.join(name);
        let done =
            Command::new("opusenc").arg("--quiet").args(more).arg(&source).arg(&path).status().unwrap();
        assert!(done.success());
        let bytes = std::fs::read(&path).unwrap();
        let heard = hear(None, bytes.chunks(1_000));
        assert_eq!((heard.error.clone(), heard.ends.len(), heard.concealed_frames()), (None, 1, 0), "{name}");
        assert_eq!(heard.samples.len(), 37_520usize.next_multiple_of(320), "{name}: the end is trimmed");
        assert_like_reference(name, &heard.samples, &reference(&path), 0.99);
    }
}

#[test]
fn wav_written_by_ffmpeg_is_heard_as_ffmpeg_hears_it() {
    if !has("ffmpeg", "-version") {
        return;
    }
    let scratch = Scratch::new("wav");
    for (name, arguments) in [
        ("s16.wav", &["-ar", "44100", "-ac", "2"][..]),
        ("u8.wav", &["-c:a", "pcm_u8", "-ar", "22050"]),
        ("s24.wav", &["-c:a", "pcm_s24le", "-ar", "48000", "-ac", "2"]),
        ("s32.wav", &["-c:a", "pcm_s32le", "-ar", "32000"]),
        ("f32.wav", &["-c:a", "pcm_f32le"]),
        ("f64.wav", &["-c:a", "pcm_f64le"]),
        ("ulaw.wav", &["-c:a", "pcm_mulaw", "-ar", "8000"]),
        ("alaw.wav", &["-c:a", "pcm_alaw", "-ar", "8000"]),
        ("rf64.wav", &["-rf64", "always", "-ar", "16000"]),
    ] {
        let (path, bytes) = written(&scratch, name, arguments);
        let heard = hear(None, bytes.chunks(777));
        assert_eq!((heard.error.clone(), heard.ends.len()), (None, 1), "{name}");
        assert_like_reference(name, &heard.samples, &reference(&path), 0.995);
    }
}

#[test]
fn other_formats_of_ffmpeg_are_named() {
    if !has("ffmpeg", "-version") {
        return;
    }
    let scratch = Scratch::new("foreign");
    for (name, arguments, is) in [
        ("a.m4a", &["-c:a", "aac"][..], "MP4/AAC"),
        ("a.aac", &["-c:a", "aac"], "AAC"),
        ("a.flac", &[], "FLAC"),
        ("a.aiff", &[], "AIFF"),
        ("a.ts", &["-c:a", "aac"], "MPEG-TS"),
    ] {
        let (_, bytes) = written(&scratch, name, arguments);
        let error = hear_whole(&bytes).error.unwrap().to_string();
        assert!(error.starts_with(&format!("this is {is};")), "{name}: {error}");
    }
}

/// The fixtures of one folder.
fn fixtures(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(voice_fixtures::folder(folder)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 5, "only {} fixtures in {folder}", paths.len());
    paths
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn recordings_of_browsers_are_heard_as_ffmpeg_hears_them() {
    if !has("ffmpeg", "-version") {
        return;
    }
    let scratch = Scratch::new("browsers");
    for path in
        fixtures("browser").into_iter().filter(|p| p.extension().is_some_and(|e| e == "webm" || e == "ogg"))
    {
        let bytes = std::fs::read(&path).unwrap();
        let told: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap_or(b"{}".to_vec()))
                .unwrap();
        let list = |key: &str| -> Vec<usize> {
            let list = told[key].as_array().cloned().unwrap_or_default();
            list.iter().filter_map(|v| v.as_u64()).map(|v| v as usize).collect()
        };
        // The messages as the browser cut them.
        let mut blobs = list("blobs");
        if blobs.iter().sum::<usize>() != bytes.len() {
            blobs = vec![bytes.len()];
        }
        let mut messages = Vec::new();
        let mut rest = &bytes[..];
        for size in &blobs {
            let (message, after) = rest.split_at(*size);
            messages.push(message);
            rest = after;
        }
        let heard = hear(None, messages.iter().copied());
        assert_eq!(heard.error, None, "{}", name(&path));
        assert!(heard == hear_whole(&bytes), "{}: the split matters", name(&path));
        // Each recording of a restarted recorder by itself.
        let mut starts = vec![0];
        starts.extend(list("restarts"));
        starts.push(messages.len());
        assert_eq!(heard.ends.len(), starts.len() - 1, "{}", name(&path));
        let mut from = 0;
        for (part, &end) in heard.ends.iter().enumerate() {
            let file = scratch
                .file(&format!("{part}-{}", name(&path)), &messages[starts[part]..starts[part + 1]].concat());
            let label = format!("{} part {part}, {} concealed", name(&path), heard.concealed_frames());
            assert_like_reference(&label, &heard.samples[from * 320..end * 320], &reference(&file), 0.97);
            from = end;
        }
    }
}

#[test]
fn fixtures_of_every_format_are_heard_or_named() {
    let ffmpeg = has("ffmpeg", "-version");
    let scratch = Scratch::new("formats");
    let declare = |path: &Path| {
        let (rate, channels) = (SampleRate::HZ_8000, Channels::Mono);
        match name(path).as_str() {
            "mulaw_8k.raw" => Some(Declared::Ulaw { rate, channels }),
            "alaw_8k.raw" => Some(Declared::Alaw { rate, channels }),
            _ => None,
        }
    };
    for path in fixtures("formats").into_iter().filter(|p| p.extension().is_none_or(|e| e != "json")) {
        let bytes = std::fs::read(&path).unwrap();
        let heard: Heard = hear(declare(&path), [&bytes[..]]);
        println!(
            "{}: {} frames, {} concealed, {:?}",
            name(&path),
            heard.frames(),
            heard.concealed_frames(),
            heard.error
        );
        let named = match name(&path).as_str() {
            "aac.mp4" => "this is MP4/AAC;",
            "mp3.mp3" => "this is MP3;",
            "flac.flac" => "this is FLAC;",
            "vorbis.ogg" => "this is Ogg/Vorbis;",
            "text.txt" => "this is text;",
            "empty.bin" => "the recording is empty;",
            _ => "",
        };
        if !named.is_empty() {
            let error = heard.error.unwrap().to_string();
            assert!(error.starts_with(named), "{}: {error}", name(&path));
            continue;
        }
        assert_eq!(heard.error, None, "{}", name(&path));
        if ffmpeg && declare(&path).is_none() && heard.frames() > 0 && !name(&path).starts_with("truncated") {
            let copy = scratch.file(&name(&path), &bytes);
            assert_like_reference(&name(&path), &heard.samples, &reference(&copy), 0.97);
        }
    }
}
