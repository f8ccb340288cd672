//! A recogniser that streams with a model that does not: it transcribes the utterance so far again and again.
//!
//! Partials come from a new transcript every half second, with words equal in two of them in a row called stable.
//! [`SttStream::hint_pause`] transcribes at once; [`SttStream::finalise`] a moment later finds that transcript ready,
//! as long as nothing voiced came in between, so that the final words cost no time. One transcription at a time runs
//! for a call; a partial that is overtaken is stopped, and partials are left out while the threads are busy. Final
//! words are not: each finalised utterance ends in `Final` or `Failed`. Callers: `session`, replay.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::utterance::{Range, Utterance, Work};
use crate::audio::Frame;
use crate::error::ProviderError;
use crate::ids::UtteranceId;
use crate::infer::{Job, Pool, Weight};
use crate::stt::{SpeechToText, SttEvent, SttEvents, SttOptions, SttStream};

/// A model that turns a stretch of audio into text.
pub trait Transcriber: Send + Sync {
    /// Name for logs and errors.
    fn name(&self) -> &'static str;

    /// The words of 16 kHz audio; empty where nothing was understood. Computes on the calling thread. Where `stop` is
    /// set meanwhile, returns soon with whatever it has, which nobody reads.
    ///
    /// # Errors
    /// The model fails.
    fn transcribe(&self, audio: &[i16], stop: &AtomicBool) -> Result<String, ProviderError>;
}

/// A local recogniser, shared by all calls. Speaks the language of its model, whatever a call asks for, and makes no
/// use of key terms.
pub struct LocalRecogniser {
    shared: Arc<Shared>,
}

struct Shared {
    model: Arc<dyn Transcriber>,
    pool: Arc<Pool>,
    /// Calls with a job queued or running.
    busy: AtomicUsize,
    lost: AtomicU64,
}

impl LocalRecogniser {
    /// A recogniser that computes on the heavy threads of `pool`.
    pub fn new(model: Arc<dyn Transcriber>, pool: Arc<Pool>) -> Self {
        Self { shared: Arc::new(Shared { model, pool, busy: AtomicUsize::new(0), lost: AtomicU64::new(0) }) }
    }

    /// Frames lost so far because 60 s of an utterance were waiting to be transcribed.
    pub fn lost_frames(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }
}

impl SpeechToText for LocalRecogniser {
    fn name(&self) -> &'static str {
        self.shared.model.name()
    }

    fn open(&self, _options: SttOptions, events: Arc<dyn SttEvents>) -> Box<dyn SttStream> {
        let call = Call { shared: self.shared.clone(), events, state: Mutex::new(State::default()) };
        Box::new(Stream(Arc::new(call)))
    }
}

/// Calls that may have a job at the same time for a partial to be made: with more, final words would wait for it.
const PARTIALS_AT_ONCE: usize = 2;
/// Finalised utterances of one call that wait for their words; more means that nothing is transcribed any more.
const MOST_WAITING: usize = 4;

struct Stream(Arc<Call>);

impl SttStream for Stream {
    fn begin(&mut self, utterance: UtteranceId) {
        let mut state = self.0.lock();
        state.serial += 1;
        let serial = state.serial;
        if let Some(abandoned) = state.open.replace(Utterance::new(utterance, serial)) {
            state.stop(|running| running.serial == abandoned.serial);
        }
    }

    fn push(&mut self, frame: &Frame) {
        let mut state = self.0.lock();
        let Some(open) = state.open.as_mut() else { return };
        if !open.push(frame) {
            self.0.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
        let wanted = match open.work() {
            Work::Nothing => false,
            Work::Welcome => self.0.shared.busy.load(Ordering::Relaxed) < PARTIALS_AT_ONCE,
            Work::Wanted => true,
        };
        if wanted {
            self.0.schedule(&mut state);
            self.0.emit(state);
        }
    }

    fn hint_pause(&mut self) {
        let mut state = self.0.lock();
        let Some(open) = state.open.as_mut() else { return };
        open.note_pause();
        let (serial, voiced_end) = (open.serial, open.voiced_end());
        state.stop(|running| running.is_stale(serial, voiced_end));
        self.0.schedule(&mut state);
        self.0.emit(state);
    }

    fn finalise(&mut self) {
        let mut state = self.0.lock();
        let Some(mut utterance) = state.open.take() else { return };
        utterance.finalised = true;
        if let Some(text) = utterance.final_words() {
            state.outbox.push_back(SttEvent::Final { utterance: utterance.id, text });
        } else if state.closing.len() >= MOST_WAITING {
            state.outbox.push_back(self.0.too_busy(utterance.id));
        } else {
            let (serial, voiced_end) = (utterance.serial, utterance.voiced_end());
            state.stop(|running| running.is_stale(serial, voiced_end));
            state.closing.push_back(utterance);
            self.0.schedule(&mut state);
        }
        self.0.emit(state);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.open = None;
        state.closing.clear();
        state.stop(|_| true);
    }
}

/// One call, shared by its stream and its job.
struct Call {
    shared: Arc<Shared>,
    events: Arc<dyn SttEvents>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<Utterance>,
    /// Finalised, oldest first.
    closing: VecDeque<Utterance>,
    /// The job is in the pool's queue or runs.
    queued: bool,
    running: Option<Running>,
    serial: u64,
    /// Events in order, and whether somebody is giving them out.
    outbox: VecDeque<SttEvent>,
    emitting: bool,
}

struct Running {
    serial: u64,
    range: Range,
    stop: Arc<AtomicBool>,
}

impl Running {
    /// Whether this is a transcript of the utterance that leaves out voiced audio and settles nothing.
    fn is_stale(&self, serial: u64, voiced_end: usize) -> bool {
        self.serial == serial && self.range.covers.is_some_and(|covers| covers != voiced_end)
    }
}

/// A copy of what to transcribe.
struct Task {
    serial: u64,
    range: Range,
    audio: Vec<i16>,
    stop: Arc<AtomicBool>,
}

impl State {
    fn stop(&self, which: impl Fn(&Running) -> bool) {
        if let Some(running) = self.running.as_ref().filter(|running| which(running)) {
            running.stop.store(true, Ordering::Relaxed);
        }
    }

    fn has_work(&self) -> bool {
        self.closing.iter().chain(self.open.as_ref()).any(|utterance| utterance.work() != Work::Nothing)
    }

    fn next_task(&mut self) -> Option<Task> {
        let utterance =
            self.closing.iter_mut().chain(self.open.as_mut()).find(|u| u.work() != Work::Nothing)?;
        let range = utterance.next_range()?;
        utterance.note_started(range);
        let stop = Arc::new(AtomicBool::new(false));
        let task = Task {
            serial: utterance.serial,
            range,
            audio: utterance.audio(range).to_vec(),
            stop: stop.clone(),
        };
        self.running = Some(Running { serial: task.serial, range, stop });
        Some(task)
    }

    /// Takes a task's outcome; what is about an utterance that was left is dropped.
    fn absorb(&mut self, task: &Task, outcome: Result<String, ProviderError>) {
        self.running = None;
        let stopped = task.stop.load(Ordering::Relaxed);
        let closing = self.closing.iter().position(|u| u.serial == task.serial);
        let utterance = match closing {
            Some(at) => self.closing.get_mut(at),
            None => self.open.as_mut().filter(|u| u.serial == task.serial),
        };
        let Some(utterance) = utterance else { return };
        let id = utterance.id;
        let done = match outcome {
            Err(error) => {
                self.outbox.push_back(SttEvent::Failed { utterance: id, error });
                true
            }
            Ok(_) if stopped => false,
            Ok(text) => {
                let words = utterance.absorb(task.range, text);
                if utterance.finalised {
                    let text = utterance.final_words();
                    let done = text.is_some();
                    self.outbox.extend(text.map(|text| SttEvent::Final { utterance: id, text }));
                    done
                } else {
                    if !words.text.is_empty() {
                        let (text, stable) = (words.text, words.stable);
                        self.outbox.push_back(SttEvent::Partial { utterance: id, text, stable });
                    }
                    false
                }
            }
        };
        match closing {
            Some(at) if done => drop(self.closing.remove(at)),
            None if done => self.open = None,
            _ => {}
        }
    }
}

impl Call {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the job into the pool if there is work and it is not there. Where the pool refuses, partials are left
    /// out and finalised utterances fail.
    fn schedule(self: &Arc<Self>, state: &mut State) {
        if state.queued || !state.has_work() {
            return;
        }
        state.queued = true;
        self.shared.busy.fetch_add(1, Ordering::Relaxed);
        if !self.shared.pool.submit(Weight::Heavy, self.clone()) {
            state.queued = false;
            self.shared.busy.fetch_sub(1, Ordering::Relaxed);
            while let Some(utterance) = state.closing.pop_front() {
                state.outbox.push_back(self.too_busy(utterance.id));
            }
        }
    }

    fn too_busy(&self, utterance: UtteranceId) -> SttEvent {
        let error = ProviderError::Limited {
            provider: self.shared.model.name(),
            detail: "more speech is waiting to be transcribed than this machine can".into(),
            retry_after: None,
        };
        SttEvent::Failed { utterance, error }
    }

    /// Gives the events out in order and without the lock. One thread does it at a time; another that has events
    /// meanwhile leaves them to it.
    fn emit<'a>(&'a self, mut state: MutexGuard<'a, State>) {
        if std::mem::replace(&mut state.emitting, true) {
            // `emitting` was set before and stays so until its thread is done.
            return;
        }
        while let Some(event) = state.outbox.pop_front() {
            drop(state);
            self.events.handle_stt_event(event);
            state = self.lock();
        }
        state.emitting = false;
    }
}

impl Job for Call {
    fn run(self: Arc<Self>) {
        loop {
            let task = {
                let mut state = self.lock();
                let Some(task) = state.next_task() else {
                    state.queued = false;
                    self.shared.busy.fetch_sub(1, Ordering::Relaxed);
                    return;
                };
                task
            };
            let model = &self.shared.model;
            // A model that panics fails this utterance and no other.
            let outcome = catch_unwind(AssertUnwindSafe(|| model.transcribe(&task.audio, &task.stop)));
            let outcome = outcome.unwrap_or_else(|_| {
                Err(ProviderError::Failed { provider: model.name(), detail: "the model panicked".into() })
            });
            let mut state = self.lock();
            state.absorb(&task, outcome);
            // Final words at once; a partial waits its turn behind other calls.
            let turn_over = state.closing.is_empty() && state.has_work();
            if turn_over && self.shared.pool.submit(Weight::Heavy, self.clone()) {
                self.emit(state);
                return;
            }
            self.emit(state);
        }
    }
}

#[cfg(test)]
mod tests {
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
            assert!(self.pool.submit_once(Weight::Heavy, move || done.send(()).expect("test listens")));
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
        assert!(b.pool.submit_once(Weight::Heavy, move || {
            let _ = held.recv();
        }));
        let (done, heard) = mpsc::channel();
        let mut queued = 0;
        loop {
            let done = done.clone();
            if !b.pool.submit_once(Weight::Heavy, move || done.send(()).expect("test listens")) {
                break;
            }
            queued += 1;
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
}
