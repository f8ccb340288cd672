//! The recogniser with a model that waits for permits, and with the real one where its weights are here.

use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::audio::FRAME_SAMPLES;
use crate::local::Moonshine;
use crate::local::testing::{human_clip, weights, word_errors};

/// Says how many voiced frames it was given; each transcription waits for a permit.
struct Counter {
    permits: Mutex<mpsc::Receiver<()>>,
    started: Mutex<mpsc::Sender<usize>>,
    stopped: AtomicUsize,
}

impl Transcriber for Counter {
    fn name(&self) -> &'static str {
        "counter"
    }

    fn transcribe(&self, audio: &[i16], stop: &AtomicBool) -> Result<String, ProviderError> {
        let voiced = audio.chunks(FRAME_SAMPLES).filter(|frame| frame[0] == VOICE).count();
        self.started.lock().expect("lock").send(voiced).expect("test listens");
        self.permits.lock().expect("lock").recv_timeout(PATIENCE).expect("a permit");
        if stop.load(Ordering::Relaxed) {
            self.stopped.fetch_add(1, Ordering::Relaxed);
        }
        match voiced {
            FAILS => Err(ProviderError::Failed { provider: "counter", detail: "on purpose".into() }),
            PANICS => panic!("on purpose"),
            _ => Ok(format!("voiced {voiced}")),
        }
    }
}

const VOICE: i16 = 5_000;
const FAILS: usize = 13;
const PANICS: usize = 14;
/// Only how long a broken test takes; nothing depends on it.
const PATIENCE: Duration = Duration::from_secs(20);

struct Events(Mutex<mpsc::Sender<SttEvent>>);

impl SttEvents for Events {
    fn handle_stt_event(&self, event: SttEvent) {
        let _ = self.0.lock().expect("lock").send(event);
    }
}

struct Bench {
    stream: Box<dyn SttStream>,
    model: Arc<Counter>,
    pool: Arc<Pool>,
    permit: mpsc::Sender<()>,
    started: mpsc::Receiver<usize>,
    events: mpsc::Receiver<SttEvent>,
}

fn bench() -> Bench {
    let (permit, permits) = mpsc::channel();
    let (start, started) = mpsc::channel();
    let (event, events) = mpsc::channel();
    let model = Arc::new(Counter {
        permits: Mutex::new(permits),
        started: Mutex::new(start),
        stopped: AtomicUsize::new(0),
    });
    let pool = Arc::new(Pool::start(1).expect("threads"));
    let recogniser = LocalRecogniser::new(model.clone(), pool.clone());
    let stream = recogniser.open(SttOptions::default(), Arc::new(Events(Mutex::new(event))));
    Bench { stream, model, pool, permit, started, events }
}

impl Bench {
    fn push(&mut self, level: i16, frames: usize) {
        for _ in 0..frames {
            self.stream.push(&[level; FRAME_SAMPLES]);
        }
    }

    fn permit(&self) {
        self.permit.send(()).expect("the model waits");
    }

    fn started(&self) -> usize {
        self.started.recv_timeout(PATIENCE).expect("a transcription starts")
    }

    /// The next event, in short.
    fn event(&self) -> (u32, &'static str, String) {
        match self.events.recv_timeout(PATIENCE).expect("an event") {
            SttEvent::Partial { utterance, text, .. } => (utterance.0, "partial", text),
            SttEvent::Final { utterance, text } => (utterance.0, "final", text),
            SttEvent::Failed { utterance, error } => (utterance.0, "failed", error.to_string()),
        }
    }

    /// The pool's one heavy thread has done all that was queued before.
    fn settle(&self) {
        let (done, heard) = mpsc::channel();
        assert!(self.pool.submit_once(Weight::Spare, move || done.send(()).expect("test listens")));
        heard.recv_timeout(PATIENCE).expect("the pool works");
    }
}

fn said(utterance: u32, kind: &'static str, text: &str) -> (u32, &'static str, String) {
    (utterance, kind, text.to_owned())
}

#[test]
fn a_transcript_of_the_pause_is_the_final_one() {
    let mut b = bench();
    b.stream.begin(UtteranceId(1));
    b.push(0, 10);
    b.push(VOICE, 12);
    b.push(0, 5);
    b.stream.hint_pause();
    assert_eq!(b.started(), 12);
    b.permit();
    assert_eq!(b.event(), said(1, "partial", "voiced 12"));
    b.push(0, 5);
    b.stream.finalise();
    assert_eq!(b.event(), said(1, "final", "voiced 12"));
    b.settle();
    assert!(b.started.try_recv().is_err(), "nothing was transcribed again");
}

#[test]
fn a_transcript_under_way_at_the_end_becomes_the_final_one() {
    let mut b = bench();
    b.stream.begin(UtteranceId(1));
    b.push(VOICE, 12);
    b.push(0, 5);
    b.stream.hint_pause();
    assert_eq!(b.started(), 12);
    b.stream.finalise();
    b.permit();
    assert_eq!(b.event(), said(1, "final", "voiced 12"));
    b.settle();
    assert!(b.started.try_recv().is_err());
    assert_eq!(b.model.stopped.load(Ordering::Relaxed), 0);
}

#[test]
fn voice_after_the_pause_is_in_the_final_words() {
    let mut b = bench();
    b.stream.begin(UtteranceId(1));
    b.push(VOICE, 12);
    b.push(0, 5);
    b.stream.hint_pause();
    assert_eq!(b.started(), 12);
    b.push(VOICE, 8);
    b.push(0, 5);
    b.stream.finalise();
    b.permit();
    assert_eq!(b.started(), 20);
    b.permit();
    assert_eq!(b.event(), said(1, "final", "voiced 20"));
    assert_eq!(b.model.stopped.load(Ordering::Relaxed), 1, "the overtaken one was told to stop");
}

#[test]
fn partials_come_while_the_caller_talks_and_not_while_the_threads_are_busy() {
    let mut b = bench();
    b.stream.begin(UtteranceId(1));
    b.push(VOICE, 25);
    assert_eq!(b.started(), 25);
    b.push(VOICE, 60);
    b.permit();
    assert_eq!(b.event(), said(1, "partial", "voiced 25"));
    assert_eq!(b.started(), 85, "one transcription at a time, of all that came meanwhile");
    b.permit();
    assert_eq!(b.event(), said(1, "partial", "voiced 85"));
}

#[test]
fn a_partial_makes_way_when_the_caller_may_have_stopped_but_not_twice_in_a_row() {
    let mut b = bench();
    b.stream.begin(UtteranceId(1));
    b.push(VOICE, 25);
    assert_eq!(b.started(), 25);
    b.push(VOICE, 2);
    b.push(0, 4);
    b.permit();
    assert_eq!(b.started(), 27);
    b.push(VOICE, 3);
    b.push(0, 4);
    b.permit();
    assert_eq!(b.event(), said(1, "partial", "voiced 27"), "this one was let finish");
    assert_eq!(b.started(), 30);
    b.permit();
    assert_eq!(b.event(), said(1, "partial", "voiced 30"));
    assert_eq!(b.model.stopped.load(Ordering::Relaxed), 1);
}

#[test]
fn an_abandoned_utterance_says_nothing() {
    let mut b = bench();
    b.stream.begin(UtteranceId(1));
    b.push(VOICE, 25);
    assert_eq!(b.started(), 25);
    b.stream.begin(UtteranceId(2));
    b.push(VOICE, 10);
    b.stream.finalise();
    b.permit();
    assert_eq!(b.started(), 10);
    b.permit();
    assert_eq!(b.event(), said(2, "final", "voiced 10"));
    assert_eq!(b.model.stopped.load(Ordering::Relaxed), 1);
}

#[test]
fn a_finalised_utterance_gets_its_words_after_the_next_began() {
    let mut b = bench();
    b.stream.begin(UtteranceId(1));
    b.push(VOICE, 10);
    b.stream.finalise();
    b.stream.begin(UtteranceId(2));
    b.push(VOICE, 20);
    b.stream.finalise();
    b.permit();
    b.permit();
    assert_eq!(b.event(), said(1, "final", "voiced 10"));
    assert_eq!(b.event(), said(2, "final", "voiced 20"));
}

#[test]
fn silence_is_final_at_once_and_calls_without_an_utterance_do_nothing() {
    let mut b = bench();
    b.push(VOICE, 5);
    b.stream.hint_pause();
    b.stream.finalise();
    b.stream.begin(UtteranceId(1));
    b.push(0, 50);
    b.stream.finalise();
    assert_eq!(b.event(), said(1, "final", ""));
    b.settle();
    assert!(b.started.try_recv().is_err());
}

#[test]
fn a_failing_or_panicking_model_fails_the_utterance_and_not_the_next() {
    let mut b = bench();
    for (id, frames, kind) in [(1, FAILS, "failed"), (2, PANICS, "failed"), (3, 10, "final")] {
        b.stream.begin(UtteranceId(id));
        b.push(VOICE, frames);
        b.stream.finalise();
        b.permit();
        let (utterance, what, _) = b.event();
        assert_eq!((utterance, what), (id, kind));
    }
}

#[test]
fn more_finalised_utterances_than_can_wait_fail() {
    let mut b = bench();
    for id in 1..=6 {
        b.stream.begin(UtteranceId(id));
        b.push(VOICE, 10);
        b.stream.finalise();
    }
    for id in 5..=6 {
        let (utterance, what, why) = b.event();
        assert_eq!((utterance, what), (id, "failed"), "{why}");
    }
    for id in 1..=4 {
        b.permit();
        assert_eq!(b.event(), said(id, "final", "voiced 10"));
    }
}

#[test]
fn a_full_pool_leaves_partials_out_and_fails_final_words() {
    let mut b = bench();
    let (release, held) = mpsc::channel::<()>();
    assert!(b.pool.submit_once(Weight::Urgent, move || {
        let _ = held.recv();
    }));
    let (done, heard) = mpsc::channel();
    let mut queued = 0;
    for weight in [Weight::Urgent, Weight::Spare] {
        loop {
            let done = done.clone();
            if !b.pool.submit_once(weight, move || done.send(()).expect("test listens")) {
                break;
            }
            queued += 1;
        }
    }
    b.stream.begin(UtteranceId(1));
    b.push(VOICE, 50);
    b.stream.finalise();
    let (utterance, what, _) = b.event();
    assert_eq!((utterance, what), (1, "failed"));
    drop(release);
    for _ in 0..queued {
        heard.recv_timeout(PATIENCE).expect("the pool works again");
    }
    b.stream.begin(UtteranceId(2));
    b.push(VOICE, 10);
    b.stream.finalise();
    b.permit();
    assert_eq!(b.event(), said(2, "final", "voiced 10"));
}

#[test]
fn a_dropped_stream_is_silent_and_frees_the_pool() {
    let b = bench();
    let Bench { mut stream, model, pool, permit, started, events } = b;
    stream.begin(UtteranceId(1));
    for _ in 0..25 {
        stream.push(&[VOICE; FRAME_SAMPLES]);
    }
    started.recv_timeout(PATIENCE).expect("a partial starts");
    drop(stream);
    permit.send(()).expect("the model waits");
    // The last holder of the pool joins its threads.
    drop(pool);
    assert!(events.recv_timeout(PATIENCE).is_err(), "the channel closes without an event");
    assert_eq!(model.stopped.load(Ordering::Relaxed), 1);
}

#[test]
fn recorded_sentences_are_recognised_as_they_stream() {
    let Some((runtime, files)) = weights("recogniser::recorded_sentences_are_recognised_as_they_stream")
    else {
        return;
    };
    let model = Arc::new(Moonshine::load(&runtime, &files, 1).expect("loads"));
    let pool = Arc::new(Pool::start(1).expect("threads"));
    let recogniser = LocalRecogniser::new(model, pool);
    let (event, events) = mpsc::channel();
    let mut stream = recogniser.open(SttOptions::default(), Arc::new(Events(Mutex::new(event))));
    // One short and one that settles in windows.
    for (id, name) in [(1, "go_somewhere"), (2, "dickens_noisiest_authorities")] {
        let clip = human_clip(name);
        let frames = clip.samples.as_chunks::<FRAME_SAMPLES>().0;
        stream.begin(UtteranceId(id));
        frames.iter().for_each(|frame| stream.push(frame));
        stream.push(&[0; FRAME_SAMPLES]);
        stream.hint_pause();
        stream.push(&[0; FRAME_SAMPLES]);
        let mut before = String::new();
        stream.finalise();
        let text = loop {
            match events.recv_timeout(PATIENCE).expect("an event") {
                SttEvent::Partial { utterance, text, stable } => {
                    assert_eq!(utterance, UtteranceId(id));
                    assert!(text.is_char_boundary(stable), "{text} {stable}");
                    before = text;
                }
                SttEvent::Final { utterance, text } => {
                    assert_eq!(utterance, UtteranceId(id));
                    break text;
                }
                SttEvent::Failed { error, .. } => panic!("{error}"),
            }
        };
        let (errors, words) = word_errors(&clip.words, &text);
        println!("{name}: {errors}/{words}: {text} (last partial: {before})");
        assert!(errors * 8 < words, "{text}");
    }
    assert_eq!(recogniser.lost_frames(), 0);
}

#[test]
fn final_words_do_not_wait_behind_partials_of_others() {
    let mut b = bench();
    let (release, held) = mpsc::channel::<()>();
    assert!(b.pool.submit_once(Weight::Urgent, move || {
        let _ = held.recv();
    }));
    b.stream.begin(UtteranceId(1));
    b.push(VOICE, 50);
    // The partial is queued; another call's spare work stands behind it, and still more in front of nobody.
    let (done, heard) = mpsc::channel();
    assert!(b.pool.submit_once(Weight::Spare, move || done.send(()).expect("test listens")));
    b.stream.finalise();
    drop(release);
    b.permit();
    assert_eq!(b.event(), said(1, "final", "voiced 50"));
    heard.recv_timeout(PATIENCE).expect("the rest is done too");
    b.settle();
}
