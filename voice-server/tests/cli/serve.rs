//! What `voice serve` prints at its start and at its end.

use std::fs;
use std::io::Read as _;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::program::{Ended, bare, run, voice};
use crate::server::Folder;

/// Longer than a start without models takes on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Serves without models until the start is printed, then ends it as a service manager does.
#[cfg(unix)]
fn served(bind: &str, settings: &[(&str, &str)]) -> Ended {
    let folder = Folder::new();
    let printed = folder.path().join("printed");
    let mut command = bare(&folder, &["serve", "--bind", bind]);
    command.env("VOICE_LOG", "info").envs(settings.iter().copied());
    command.stdout(fs::File::create(&printed).expect("made"));
    let running = crate::program::Running::start(&mut command);
    let out = || {
        let mut text = String::new();
        fs::File::open(&printed).expect("there").read_to_string(&mut text).expect("text");
        text
    };
    let begun = Instant::now();
    while !out().contains("  ready  ") && begun.elapsed() < START_LIMIT {
        std::thread::sleep(Duration::from_millis(50));
    }
    let ended = Command::new("/bin/kill").arg("-TERM").arg(running.id().to_string()).status();
    assert!(ended.is_ok_and(|status| status.success()), "no signal was sent");
    Ended { out: out(), ..running.end() }
}

#[cfg(unix)]
#[test]
fn the_start_says_where_who_and_what_is_missing_once() {
    let ended = served("127.0.0.1:0", &[]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    for part in [
        "is serving\n",
        "  open     http://127.0.0.1:",
        "  data     ./data\n",
        "  llm      concierge\n",
        "  ready    ",
    ] {
        assert!(ended.out.contains(part), "{part:?} in {}", ended.out);
    }
    assert_eq!(ended.out.matches("  not working\n").count(), 2, "{}", ended.out);
    assert_eq!(ended.out.matches("callers are not heard").count(), 1, "the note stands twice: {}", ended.out);
    assert!(ended.out.contains("calls: from this machine only"), "{}", ended.out);
    assert!(ended.out.contains("sign-in: admin@demo.example or agent@demo.example, password demo-password, from this machine only"), "{}", ended.out);
}

#[cfg(unix)]
#[test]
fn the_start_tells_open_calls_and_what_settings_cannot_do() {
    let settings = [("VOICE_ANONYMOUS", "true"), ("VOICE_STT", "deepgram,local"), ("VOICE_LANGUAGE", "de")];
    let ended = served("0.0.0.0:0", &settings);
    for part in [
        "calls: from anywhere, without sign-in",
        "not the demo users, since 0.0.0.0 is no loopback address",
        "/setup?token=",
        "VOICE_STT names deepgram, which needs DEEPGRAM_API_KEY; local serves",
        "VOICE_LANGUAGE is de, but the local models hear and speak English only",
    ] {
        assert!(ended.out.contains(part), "{part:?} in {}", ended.out);
    }
}

#[cfg(unix)]
#[test]
fn the_end_says_what_becomes_of_calls() {
    let ended = served("127.0.0.1:0", &[]);
    assert!(ended.errors.contains("answers are cut short, what was said is stored"), "{ended:?}");
}

/// A program that ends with the value.
struct Ends(std::process::Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_stand_ins_run_as_a_command_and_the_doctor_tries_them() {
    use std::io::{BufRead as _, BufReader};

    let folder = Folder::new();
    let mut sim =
        Ends(voice(&folder, &["sim", "--port", "0", "--pace", "instant"]).spawn().expect("it starts"));
    let mut told = String::new();
    let mut lines = BufReader::new(sim.0.stdout.take().expect("piped")).lines();
    while !told.contains("ctrl-c") {
        told += &lines.next().expect("more is told").expect("text");
        told.push('\n');
    }
    let base = told.lines().next().and_then(|line| line.rsplit(' ').next()).expect("an address").to_owned();
    assert!(told.contains(&format!("OPENAI_BASE_URL={base}/v1")), "{told}");
    let doctor = |key: &str| {
        let mut doctor = bare(&folder, &["doctor", "--bind", "127.0.0.1:0"]);
        doctor
            .envs([("ELEVENLABS_API_KEY", key), ("DEEPGRAM_API_KEY", "any"), ("OPENAI_API_KEY", "any")])
            .envs([("ELEVENLABS_BASE_URL", &base), ("DEEPGRAM_BASE_URL", &base)])
            .env("OPENAI_BASE_URL", format!("{base}/v1"));
        run(doctor)
    };
    let found = doctor("key-of-the-doctor");
    for name in ["stt elevenlabs", "stt deepgram", "stt openai", "llm openai", "tts elevenlabs"] {
        let accepted = format!("ok    {name}: reachable and accepted, ");
        assert!(found.out.contains(&accepted), "{name}: {found:?}");
    }
    assert!(!format!("{found:?}").contains("key-of-the-doctor"), "{found:?}");
    drop(sim);
    let gone = doctor("any");
    for name in ["stt openai", "llm openai"] {
        assert!(gone.out.contains(&format!("fault {name}: ")), "{name}: {gone:?}");
    }
    assert!(gone.out.contains("check the network"), "{gone:?}");
}
