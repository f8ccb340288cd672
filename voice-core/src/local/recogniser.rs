//! A recogniser that streams with a model that does not: it transcribes the utterance so far again and again.
//!
//! Partials come from a new transcript every half second and at each dip in the speech, with words equal in two of
//! them in a row called stable. [`SttStream::hint_pause`] transcribes at once; [`SttStream::finalise`] a moment later finds that transcript ready,
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
        state.broken = None;
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
        let dip = open.is_dip().then(|| (open.serial, open.voiced_end()));
        let wanted = match open.work() {
            Work::Nothing => false,
            Work::Welcome => self.0.shared.busy.load(Ordering::Relaxed) < PARTIALS_AT_ONCE,
            Work::Wanted => true,
        };
        if let Some((serial, voiced_end)) = dip.filter(|_| !state.stopped_at_dip) {
            state.stopped_at_dip = state.stop(|running| running.is_stale(serial, voiced_end));
        }
        if wanted {
            self.0.schedule(&mut state);
            self.0.emit(state);
        }
    }

    fn hint_pause(&mut self) -> bool {
        let mut state = self.0.lock();
        let Some(open) = state.open.as_mut() else { return false };
        open.note_pause();
        let follows = open.work() == Work::Wanted;
        let (serial, voiced_end) = (open.serial, open.voiced_end());
        state.stop(|running| running.is_stale(serial, voiced_end));
        self.0.schedule(&mut state);
        self.0.emit(state);
        follows
    }

    fn finalise(&mut self) {
        let mut state = self.0.lock();
        let Some(mut utterance) = state.open.take() else {
            if let Some((utterance, error)) = state.broken.take() {
                state.outbox.push_back(SttEvent::Failed { utterance, error });
                self.0.emit(state);
            }
            return;
        };
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
    /// What was open and has failed; told again when it is finalised.
    broken: Option<(UtteranceId, ProviderError)>,
    /// Finalised, oldest first.
    closing: VecDeque<Utterance>,
    /// The job waits in the pool's queue, as this. A job that is queued again as something more urgent is done by
    /// whichever comes first; the other finds nothing.
    queued: Option<Weight>,
    /// The job runs.
    working: bool,
    running: Option<Running>,
    /// The last transcription was stopped for a dip. Two in a row are not: a slow machine would never give partials.
    stopped_at_dip: bool,
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
    /// Stops the transcription that runs, if it is of the kind; tells whether it did.
    fn stop(&self, which: impl Fn(&Running) -> bool) -> bool {
        let running = self.running.as_ref().filter(|running| which(running));
        running.is_some_and(|running| !running.stop.swap(true, Ordering::Relaxed))
    }

    fn has_work(&self) -> bool {
        self.closing.iter().chain(self.open.as_ref()).any(|utterance| utterance.work() != Work::Nothing)
    }

    /// How urgent the work is: a caller who has paused waits for it, one who speaks does not.
    fn weight(&self) -> Weight {
        let wanted = self.open.as_ref().is_some_and(|utterance| utterance.work() == Work::Wanted);
        if wanted || !self.closing.is_empty() { Weight::Urgent } else { Weight::Spare }
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
        self.stopped_at_dip &= stopped;
        let closing = self.closing.iter().position(|u| u.serial == task.serial);
        let utterance = match closing {
            Some(at) => self.closing.get_mut(at),
            None => self.open.as_mut().filter(|u| u.serial == task.serial),
        };
        let Some(utterance) = utterance else { return };
        let id = utterance.id;
        let done = match outcome {
            Err(error) => {
                if closing.is_none() {
                    self.broken = Some((id, error.clone()));
                }
                self.outbox.push_back(SttEvent::Failed { utterance: id, error });
                true
            }
            Ok(_) if stopped => false,
            Ok(text) => {
                let was_unread = utterance.is_unread();
                let words = utterance.absorb(task.range, text);
                if utterance.finalised {
                    let text = utterance.final_words();
                    let done = text.is_some();
                    self.outbox.extend(text.map(|text| SttEvent::Final { utterance: id, text }));
                    done
                } else {
                    // Whoever waits for a pause to be read is told that there was nothing in it.
                    if !words.text.is_empty() || (was_unread && !utterance.is_unread()) {
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
        let weight = state.weight();
        let is_queued = state.queued.is_some_and(|queued| queued == Weight::Urgent || queued == weight);
        if state.working || is_queued || !state.has_work() {
            return;
        }
        let queued = self.shared.pool.submit(weight, self.clone());
        if queued {
            if state.queued.replace(weight).is_none() {
                self.shared.busy.fetch_add(1, Ordering::Relaxed);
            }
        } else if state.queued.is_none() {
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
        {
            let mut state = self.lock();
            if state.working || state.queued.take().is_none() {
                return;
            }
            state.working = true;
        }
        loop {
            let task = {
                let mut state = self.lock();
                let Some(task) = state.next_task() else {
                    state.working = false;
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
            let turn_over = state.weight() == Weight::Spare && state.has_work();
            if turn_over && self.shared.pool.submit(Weight::Spare, self.clone()) {
                state.working = false;
                state.queued = Some(Weight::Spare);
                self.emit(state);
                return;
            }
            self.emit(state);
        }
    }
}

#[cfg(test)]
mod tests;
