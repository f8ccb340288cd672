//! One call on the real server, from the page of the caller to the console of whoever looks after it.
//!
//! The caller talks, interrupts, loses the network, comes back, reloads the page; the console follows, steps in and ends the
//! call; then the conversation is found, read and played.

use std::net::SocketAddr;

use serde_json::{Value, json};
use voice_core::text::words::word_error_rate;

use crate::accessible::Checks;
use crate::console_page::{enter, shows};
use crate::microphone::{METER, MICROPHONE, speak};
use crate::road::Road;
use crate::webdriver::{Browser, Driver};

/// The words of one side, without the name for screen readers before them.
pub(crate) const WORDS: &str = r"
  const lines = (who) => [...document.querySelectorAll(`#log .${who}`)].map((line) => {
    const copy = line.cloneNode(true);
    copy.querySelector('.who').remove();
    return copy.textContent;
  });
  const words = (who) => lines(who).join(' ');
";
const SOUNDS: &str = "return !document.querySelector('#interrupt').disabled";

fn link(browser: &Browser<'_>, state: &str) {
    browser.wait(state, &format!("return document.querySelector('#link').textContent === '{state}'"));
}

/// Which call the page has.
fn call_of(browser: &Browser<'_>) -> String {
    let id = browser.run("return JSON.parse(sessionStorage['voice.call'] ?? '{}').id");
    id.as_str().expect("a call").to_owned()
}

/// How often a question is said again that was not understood, as a person would. Where four programs share two cores, sound
/// is lost between the browser's own threads.
const REPEATED: u32 = 3;
/// A pause between two parts of an answer, or a gap that a busy machine makes, is shorter.
const QUIET_MS: u32 = 1_200;

/// Says a question and waits until words of it stay on the page; gives what was said, and what is shown for it.
fn say(caller: &Browser<'_>, name: &str) -> (String, String) {
    let before = caller.run("return document.querySelectorAll('#log .caller').length").as_u64().unwrap_or(0);
    let spoken = speak(caller, name);
    let words = spoken.split(' ').count();
    // A pause may end a turn in mid-sentence: then the rest comes as another one.
    let there = format!(
        "{WORDS} const said = [...document.querySelectorAll('#log .caller')].slice({before});
         if (!said.length || said.at(-1).matches('.partial')) return false;
         window.saidAt ??= performance.now();
         return lines('caller').slice({before}).join(' ').split(' ').length >= {words} - 1 || performance.now() - saidAt > 3000"
    );
    caller.run("delete window.saidAt");
    caller.wait(&format!("the words {spoken:?}"), &there);
    let shown = caller.run(&format!("{WORDS} return lines('caller').slice({before}).join(' ')"));
    (spoken, shown.as_str().unwrap_or_default().to_owned())
}

/// The same until it is understood.
fn ask(caller: &Browser<'_>, name: &str) {
    for _ in 0..REPEATED {
        let (spoken, shown) = say(caller, name);
        let errors = word_error_rate(&spoken, &shown).rate();
        println!("  journey: said {spoken:?}, shown {shown:?}, {:.0} % wrong", errors * 100.0);
        if errors < 0.35 {
            return;
        }
        hear_out(caller);
    }
    panic!("{name} is not understood: {}", caller.text());
}

/// Waits until what was said last is answered, and the answer is over.
fn hear_out(caller: &Browser<'_>) {
    caller.run("delete window.quiet");
    let over = format!(
        "const over = document.querySelector('#log li:last-child').className === 'answer' && document.querySelector('#interrupt').disabled
           && document.querySelector('#status').textContent.startsWith('Speak');
         if (!over) window.quiet = undefined; else window.quiet ??= performance.now();
         return over && performance.now() - quiet > {QUIET_MS}"
    );
    caller.wait("the end of an answer", &over);
}

pub(crate) fn a_call_is_talked_through_and_found_again(
    server: SocketAddr,
    driver: &Driver,
    checks: Option<&Checks>,
) {
    let road = Road::to(server);
    let desk = driver.browser("desk");
    enter(&desk, &format!("http://{server}/console"), "calls");
    shows(&desk, "Nobody is calling");
    let caller = driver.browser("caller");
    caller.prepare(METER);
    caller.prepare(MICROPHONE);
    caller.open(&road.page("/"));

    // The greeting says that the call is recorded; heard to its end, that is the consent.
    caller.press("#talk");
    caller.wait("the greeting", &format!("{WORDS} return words('answer').includes('This call is recorded')"));
    caller.wait("its sound", "return window.loudest > 0.02");
    hear_out(&caller);
    let id = call_of(&caller);
    shows(&desk, "1 now");

    ask(&caller, "q02");
    hear_out(&caller);
    let answer = caller.run(&format!("{WORDS} return lines('answer').at(-1)"));
    println!("  journey: answered {answer}");
    assert!(answer.as_str().is_some_and(|text| text.contains("Maple") && text.contains('$')), "{answer}");
    shows(&desk, "Maple Street");
    let total = caller.text_of("#total");
    assert!(total.contains(" ms "), "the latency: {total}");

    interrupt_by_voice(&caller, &desk);
    drop_and_come_back(&caller, &desk, &road, &id, checks);
    reload(&caller, &id);
    step_in(&caller, &desk, checks);
    assert_eq!(desk.console_errors(), Vec::<Value>::new());
    find_and_play(&desk, &id, checks);
    assert_eq!(desk.console_errors(), Vec::<Value>::new());
    let errors: Vec<Value> = caller.console_errors();
    // A browser itself notes each attempt of a socket while the network is gone.
    let ours: Vec<&Value> = errors
        .iter()
        .filter(|one| !one["message"].as_str().is_some_and(|text| text.contains("WebSocket connection to")))
        .collect();
    assert_eq!(ours, Vec::<&Value>::new());
}

/// The caller talks over the answer, which stops, and what was not heard of it is struck through.
fn interrupt_by_voice(caller: &Browser<'_>, desk: &Browser<'_>) {
    ask(caller, "q30");
    caller.wait("an audible answer", SOUNDS);
    // The desk reads along while it is said.
    desk.wait("the answer as it comes", "return !!document.querySelector('.call .said .answer.partial')");
    say(caller, "q34");
    caller.wait("what was not heard", "return !!document.querySelector('#log .unheard:not(:empty)')");
    println!("  journey: interrupted before {:?}", caller.text_of("#log .unheard:not(:empty)"));
    hear_out(caller);
}

/// The network goes in the middle of an answer. The page says so, comes back to the same call, and the answer goes on.
fn drop_and_come_back(
    caller: &Browser<'_>,
    desk: &Browser<'_>,
    road: &Road,
    id: &str,
    checks: Option<&Checks>,
) {
    ask(caller, "q17");
    caller.wait("an audible answer", SOUNDS);
    let lines = caller.run("return document.querySelectorAll('#log li').length");
    road.cut();
    link(caller, "Reconnecting…");
    assert!(caller.text_of("#status").contains("come back"), "{}", caller.text());
    shows(desk, "Line dropped, waiting");
    if let Some(checks) = checks {
        checks.run(caller, "talk-reconnecting");
    }
    assert_eq!(caller.text_of("#link"), "Reconnecting…", "nothing came through while the network was gone");
    road.mend();
    link(caller, "Connected");
    shows(desk, "Answering");
    assert_eq!(call_of(caller), id, "another call");
    hear_out(caller);
    assert_eq!(caller.run("return document.querySelectorAll('#log li').length"), lines, "each line once");
    ask(caller, "q03");
    hear_out(caller);
}

/// The page is loaded anew in the middle of the call, shows what was said, and goes on.
fn reload(caller: &Browser<'_>, id: &str) {
    let lines = caller.run("return document.querySelectorAll('#log li').length");
    caller.reload();
    link(caller, "Connected");
    assert_eq!(call_of(caller), id, "another call");
    assert_eq!(caller.run("return document.querySelectorAll('#log li').length"), lines);
    caller.wait("the microphone", "return !document.querySelector('#mute').disabled && !!window.lips");
    ask(caller, "q20");
    hear_out(caller);
}

/// The desk takes the call over in writing, gives it back, and ends it.
fn step_in(caller: &Browser<'_>, desk: &Browser<'_>, checks: Option<&Checks>) {
    const WRITTEN: &str = "One moment please, I will ask the owner.";
    desk.press(".call button[aria-pressed]");
    shows(desk, "A person answers");
    desk.write(".say input", WRITTEN);
    desk.press(".say button");
    caller
        .wait("the person's words", &format!("{WORDS} return words('answer').includes({})", json!(WRITTEN)));
    shows(desk, WRITTEN);
    assert_eq!(desk.run("return document.querySelector('.say input').value"), "", "it was taken");
    hear_out(caller);
    // Nobody else answers meanwhile.
    let answers = caller.run("return document.querySelectorAll('#log .answer').length");
    let (_, asked) = say(caller, "q23");
    shows(desk, &asked);
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(caller.run("return document.querySelectorAll('#log .answer').length"), answers);
    if let Some(checks) = checks {
        checks.run(desk, "console-calls");
        checks.run(caller, "talk-call");
    }
    desk.press(".call button[aria-pressed]");
    shows(desk, "Answering");
    ask(caller, "q07");
    hear_out(caller);
    desk.press(".call button.danger");
    desk.press("dialog button.danger");
    shows(desk, "Nobody is calling");
    caller.wait("the end", "return document.body.dataset.state === 'idle'");
    assert!(caller.text_of("#status").contains("The call has ended"), "{}", caller.text());
    assert_eq!(caller.text_of("#alert"), "", "nothing went wrong");
}

/// The conversation is found by words of it, and its sound is played from the places of its turns.
fn find_and_play(desk: &Browser<'_>, id: &str, checks: Option<&Checks>) {
    desk.run("location.hash = '#/conversations'");
    desk.wait("the list", "return document.querySelectorAll('.rows li').length === 30");
    desk.write("[name=q]", "Maple Street");
    desk.press(".filters button.main");
    desk.wait("what is sought", "return document.querySelectorAll('.rows li').length === 1");
    desk.press(".rows a");
    shows(desk, "Maple Street");
    assert!(desk.run("return location.hash").as_str().is_some_and(|hash| hash.ends_with(id)), "another one");
    shows(desk, "One moment please, I will ask the owner.");
    shows(desk, "The caller interrupted here.");
    shows(desk, "models of this machine cost nothing");
    desk.press(".times summary");
    desk.wait("the waterfall", "return document.querySelectorAll('.times[open] .steps li').length > 3");
    // The recording is stored some seconds after the call, and the view takes it in by itself.
    desk.wait("a recording", "return document.querySelector('audio')?.duration > 20");
    if let Some(checks) = checks {
        checks.run(desk, "console-conversation");
    }
    const CHOSEN: &str =
        "[...document.querySelectorAll('.whole .caller')].find((line) => line.innerText.includes('Maple'))";
    desk.run(&format!("{CHOSEN}.querySelector('.place').click()"));
    desk.wait("sound", "const a = document.querySelector('audio'); window.from ??= a.currentTime; return !a.paused && a.currentTime > from + 0.5");
    desk.wait("the line that is heard", &format!("return {CHOSEN}.classList.contains('now')"));
    let played = desk
        .run("const a = document.querySelector('audio'); const is = [a.error, from]; a.pause(); return is");
    println!(
        "  journey: played from {} s, the turn is at {}",
        played[1],
        desk.run(&format!("return {CHOSEN}.dataset.ms"))
    );
    assert_eq!(played[0], Value::Null);
    // What is heard there is the caller, who is on the left.
    const LISTEN: &str = r"
      const done = arguments[arguments.length - 1];
      const listen = async () => {
        const bytes = await (await fetch(document.querySelector('audio').src)).arrayBuffer();
        const sound = await new OfflineAudioContext(2, 1, 48000).decodeAudioData(bytes);
        const part = (side) => sound.getChannelData(side).slice(from * 48000, (from + 2) * 48000);
        const energy = (side) => part(side).reduce((sum, sample) => sum + sample * sample, 0);
        done([energy(0), energy(1), sound.duration]);
      };
      listen().catch((error) => done([String(error)]));
    ";
    let loud = desk.run_async(LISTEN);
    println!("  journey: energy of caller and answer there, and seconds of all: {loud}");
    let (caller, answer) = (loud[0].as_f64().unwrap_or(0.0), loud[1].as_f64().unwrap_or(f64::MAX));
    assert!(caller > 10.0 * answer && caller > 1.0, "not the caller's question: {loud}");
}
