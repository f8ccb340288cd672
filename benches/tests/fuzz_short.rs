//! The fuzzing entries with seeded damage: the short form of `.ci/long`, in every test run.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use voice_benches::fuzz::{ENTRIES, entry};
use voice_core::sim::Random;

/// How the pieces are split where an entry lets the bytes choose: small, middling, large, tiny.
const SPLIT: [u8; 4] = [60, 200, 255, 9];

fn files(group: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(voice_fixtures::folder(group)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn run(name: &str, data: &[u8]) {
    (entry(name).expect("an entry").run)(data);
}

/// As much of a recording as a damaged stream is read in a test: a second or two of each.
const LONGEST: usize = 24_000;

/// Cuts and flips bits of every file, the headers most of all.
fn damage(group: &str, cuts: usize, flips: usize, seed: u64) {
    let mut random = Random::new(seed);
    for (path, file) in files(group) {
        let file = &file[..file.len().min(LONGEST)];
        if file.is_empty() || path.extension().is_some_and(|extension| extension == "json") {
            continue;
        }
        let bytes = |part: &[u8]| [&SPLIT[..], part].concat();
        for cut in (0..cuts.min(file.len())).chain((0..8).map(|k| file.len() * k / 8)) {
            run("sniff", &bytes(&file[..cut]));
        }
        for _ in 0..flips {
            let mut damaged = bytes(file);
            for _ in 0..=random.below(8) {
                // Half of the damage meets the first bytes, where the structure is.
                let within = if random.one_in(2) { damaged.len().min(400) } else { damaged.len() };
                let at = random.below(within as u64) as usize;
                damaged[at] ^= 1 << random.below(8);
            }
            run("sniff", &damaged);
        }
    }
}

#[test]
fn recordings_in_every_format_survive_cuts_and_flipped_bits() {
    damage("formats", 300, 40, 1);
}

#[test]
fn recordings_of_browsers_survive_cuts_and_flipped_bits() {
    damage("browser", 200, 25, 2);
}

/// Random bytes, and pieces of `seeds` spliced, for entries that take anything.
fn anything(name: &str, seeds: &[&[u8]], rounds: u64, longest: u64, seed: u64) {
    let mut random = Random::new(seed);
    for _ in 0..rounds {
        let mut data = Vec::new();
        let length = random.below(longest) as usize;
        while data.len() < length {
            if seeds.is_empty() || random.one_in(3) {
                data.extend(&random.bits().to_le_bytes()[..1 + random.below(7) as usize]);
            } else {
                let piece = random.pick(seeds);
                let from = random.below(piece.len() as u64) as usize;
                let to = from + random.below((piece.len() - from) as u64 + 1) as usize;
                data.extend(if random.one_in(2) { piece } else { &piece[from..to] });
            }
        }
        run(name, &data);
    }
}

#[test]
fn declared_audio_of_any_bytes_ends_well() {
    anything("declared", &[], 600, 6_000, 3);
}

#[test]
fn containers_of_any_bytes_end_well() {
    for (k, name) in ["wav", "ogg", "webm"].into_iter().enumerate() {
        let seeds: [&[u8]; 6] = [
            b"fmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data",
            b"OggS\0\x02\0\0\0\0\0\0\0\0",
            b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0",
            b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff",
            b"\x16\x54\xae\x6b\x40\x30\xae\x40\x2d\xd7\x81\x01",
            b"\x1f\x43\xb6\x75\x01\xff\xff\xff\xff\xff\xff\xff\xe7\x81\0\xa3\x84\x81\0\0\x80",
        ];
        anything(name, &seeds, 3_000, 1_500, 4 + k as u64);
    }
}

#[test]
fn the_turn_machine_takes_any_facts() {
    anything("turns", &[], 2_000, 600, 7);
}

#[test]
fn texts_of_any_kind_are_cut_spoken_and_answered() {
    let seeds: [&[u8]; 8] = [
        b"How much is the house on Maple Street? ",
        b"It is $525,000, at 1208 Barton Dr., Apt. 4B. ",
        b"**May 3rd**, 2:30-4 pm; 1,850 sq ft. ",
        b"| ",
        "größe 価格 … ".as_bytes(),
        b"three bedrooms under six hundred thousand ",
        b"(512) 555-0142, a@b.example, https://x.example/?q=1 ",
        b"-0.5e9 00:99 13/32/20 $. # ",
    ];
    anything("text", &seeds, 1_500, 300, 8);
}

#[test]
fn settings_of_any_text_are_taken_or_refused() {
    let seeds: [&[u8]; 8] = [
        b"[serving]\nbind = \"127.0.0.1:8000\"\n",
        b"[data]\n",
        b"[providers.openai]\n",
        b"= \"\n",
        b"\0VOICE_BIND=0.0.0.0:1\nVOICE_MAX_CALLS=99999999999\n",
        b"VOICE_TRUSTED_PROXIES=10.0.0.0/33,::/129\n",
        b"VOICE_STT=local,deepgram\nVOICE_LANGUAGE=\n",
        b"VOICE_NO_SUCH=1\n",
    ];
    anything("config", &seeds, 2_000, 200, 9);
}

#[test]
fn queries_and_messages_of_any_kind_are_taken_or_refused() {
    let queries: [&[u8]; 6] = [
        b"in=pcm16&",
        b"rate=16000&",
        b"channels=2&",
        b"out=wav&",
        b"out_rate=99999999999&",
        b"greeting=1&&=%",
    ];
    let messages: [&[u8]; 8] = [
        br#"{"type":"start","in":{"format":"pcm16","rate":16000},"greeting":true}"#,
        br#"{"type":"position","reply":1,"playedMs":1e308}"#,
        br#"{"type":"mute","on":true}"#,
        br#"{"type":"text","text":"hello"}"#,
        br#"{"type":"interrupt"}"#,
        br#"{"type":"resume","token":"x","lastSeq":-1}"#,
        b"\0",
        br#"{"type":[[[[{"a":"#,
    ];
    let mut random = Random::new(10);
    for k in 0..240_u8 {
        let seeds = if k % 2 == 0 { &queries[..] } else { &messages[..] };
        let mut data = vec![k];
        for _ in 0..=random.below(5) {
            data.extend(*random.pick(seeds));
        }
        if data.len() > 1 && random.one_in(2) {
            let at = 1 + random.below(data.len() as u64 - 1) as usize;
            data[at] ^= 1 << random.below(7);
        }
        run("socket", &data);
    }
    run("socket", &[]);
}

#[test]
fn what_fuzzing_found_stays_mended() {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/found");
    for entry in ENTRIES {
        let Ok(files) = fs::read_dir(found.join(entry.name)) else { continue };
        for file in files {
            (entry.run)(&fs::read(file.unwrap().path()).unwrap());
        }
    }
}
