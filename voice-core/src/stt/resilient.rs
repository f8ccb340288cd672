//! Several recognisers as one: the preferred one hears the call, and where it fails or is late, another gets the utterance.
//!
//! The shell around [`Planner`], one task a call: it keeps the audio of utterances that are not understood yet, starts the
//! attempts that are ordered, plays the audio to them again, and passes on what the chosen attempt understood. It decides
//! nothing. Each finalised utterance ends in `Final` or `Failed`, once. Caller: `session`, through [`SpeechToText`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::told::{Told, telling};
use super::{AbsentRecogniser, SpeechToText, SttEvent, SttEvents, SttOptions, SttStream};
use crate::audio::Frame;
use crate::error::ProviderError;
use crate::ids::UtteranceId;
use crate::resilience::{
    AttemptId, Change, Deadlines, Input, LineUp, LineUpError, Member, MemberStatus, Notice, Order,
    PROBE_WITHIN, Planner, ProviderIndex, Rules, Seed,
};
use crate::time::ProcessTime;

/// A recogniser, and how to see that it is back after it failed.
pub struct RecogniserCandidate {
    /// The recogniser.
    pub recogniser: Arc<dyn SpeechToText>,
    /// Asks as cheaply as can be whether it is there, without spending credit. Without it the recogniser counts as there.
    pub probe: Option<RecogniserProbe>,
}

/// See [`RecogniserCandidate::probe`].
pub type RecogniserProbe = Arc<dyn Fn() -> BoxFuture<'static, Result<(), ProviderError>> + Send + Sync>;

/// Recognisers in order of preference, shared by all calls. Cheap to clone.
#[derive(Clone)]
pub struct ResilientRecogniser(Arc<Shared>);

struct Shared {
    recognisers: Vec<RecogniserCandidate>,
    line_up: Mutex<LineUp>,
    begun: Instant,
    seeds: Mutex<Seed>,
}

impl ResilientRecogniser {
    /// The first recogniser hears first. `seed` spreads the waits of retries: any number will do.
    ///
    /// # Errors
    /// No recogniser, or more than eight.
    pub fn new(
        recognisers: Vec<RecogniserCandidate>,
        deadlines: &Deadlines,
        seed: u64,
    ) -> Result<Self, LineUpError> {
        let members: Vec<Member> = recognisers
            .iter()
            .map(|candidate| Member { name: candidate.recogniser.name(), hedged: false })
            .collect();
        let line_up = Mutex::new(LineUp::new(&members, Rules::stt(deadlines), Seed(seed))?);
        let seeds = Mutex::new(Seed(seed ^ SPREAD));
        Ok(Self(Arc::new(Shared { recognisers, line_up, begun: Instant::now(), seeds })))
    }

    /// How each recogniser does, in order.
    pub fn status(&self) -> Vec<MemberStatus> {
        self.0.lock().status(self.0.now())
    }

    /// Whether no recogniser can be asked at the moment.
    pub fn is_down(&self) -> bool {
        self.0.lock().is_down(self.0.now())
    }

    /// Looks, beside all calls, whether recognisers that failed are back, and gives what changed to `changed`. Never ends;
    /// to be spawned once and dropped with the recognisers.
    pub async fn watch(self, mut changed: impl FnMut(Change) + Send) {
        loop {
            let (probe, at) = {
                let now = self.0.now();
                let mut line_up = self.0.lock();
                while let Some(change) = line_up.poll_change() {
                    changed(change);
                }
                (line_up.poll_probe(now), line_up.poll_timeout())
            };
            if let Some(probe) = probe {
                let candidate = &self.0.recognisers[probe.provider().get()];
                let provider = candidate.recogniser.name();
                let late = Err(ProviderError::TimedOut { provider, after: PROBE_WITHIN });
                let found = match &candidate.probe {
                    Some(ask) => timeout(PROBE_WITHIN, ask()).await.unwrap_or(late),
                    None => Ok(()),
                };
                self.0.lock().handle_probe(probe, found, self.0.now());
                continue;
            }
            // Changes are told within this time, and a breaker may open at any moment.
            let soon = Instant::now() + TELL_WITHIN;
            sleep_until(at.map_or(soon, |at| self.0.instant_of(at).min(soon))).await;
        }
    }
}

impl Shared {
    fn now(&self) -> ProcessTime {
        ProcessTime::from_start(self.begun.elapsed())
    }

    fn instant_of(&self, at: ProcessTime) -> Instant {
        self.begun + at.since_start().min(FAR)
    }

    fn lock(&self) -> MutexGuard<'_, LineUp> {
        self.line_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seed(&self) -> Seed {
        let mut seeds = self.seeds.lock().unwrap_or_else(PoisonError::into_inner);
        seeds.next_fraction();
        *seeds
    }
}

/// Keeps the seeds of the requests apart from the line-up's.
const SPREAD: u64 = 0xc2b2_ae3d_27d4_eb4f;
/// Far enough for a timer, and within what an instant can hold.
const FAR: Duration = Duration::from_secs(86_400 * 365);
/// A change of state shows in logs and events this soon.
const TELL_WITHIN: Duration = Duration::from_secs(1);

impl SpeechToText for ResilientRecogniser {
    /// The preferred recogniser's name.
    fn name(&self) -> &'static str {
        self.0.recognisers[0].recogniser.name()
    }

    /// Opens the preferred recogniser; the others when they are needed.
    fn open(&self, options: SttOptions, events: Arc<dyn SttEvents>) -> Box<dyn SttStream> {
        let Ok(runtime) = Handle::try_current() else {
            let detail = "it was opened outside a runtime".to_owned();
            let reason = ProviderError::Failed { provider: self.name(), detail };
            return AbsentRecogniser::new(reason).open(options, events);
        };
        let (stream, orders) = telling(WAITING, 1);
        let (heard, understood) = mpsc::channel(WAITING);
        let sink = Arc::new(Sink { source: Source::Call, heard: heard.clone() });
        let line = Line {
            preferred: self.0.recognisers[0].recogniser.open(options.clone(), sink),
            serving: None,
            shared: self.0.clone(),
            options,
            events,
            heard,
            requests: Vec::new(),
            next: AttemptId::default(),
        };
        // It ends with the stream: then nobody tells it anything any more.
        runtime.spawn(line.run(orders, understood));
        Box::new(stream)
    }
}

/// 20 s of audio: the task takes what is told at once, unless the process stands still.
const WAITING: usize = 1_000;
/// Audio of one utterance that is kept for another attempt, 60 s: a turn that goes on for longer is heard by one
/// recogniser or by none.
const MOST_FRAMES: usize = 3_000;
/// Utterances that wait for their words. A call has one, and for a moment the one before it.
const MOST_REQUESTS: usize = 4;

/// Which stream an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The preferred recogniser's stream for the whole call.
    Call,
    /// A stream for this attempt only.
    Attempt(AttemptId),
}

struct Sink {
    source: Source,
    heard: mpsc::Sender<(Source, SttEvent)>,
}

impl SttEvents for Sink {
    fn handle_stt_event(&self, event: SttEvent) {
        // The task takes events at once; what it cannot take is late, and a deadline says so.
        let _ = self.heard.try_send((self.source, event));
    }
}

/// One recogniser's try at one utterance.
struct Attempt {
    id: AttemptId,
    /// `None`: over the call's stream.
    own: Option<Box<dyn SttStream>>,
}

/// One utterance.
struct Request {
    utterance: UtteranceId,
    frames: Vec<Frame>,
    /// More audio came than is kept, so no other attempt can have all of it.
    long: bool,
    finalised: bool,
    planner: Planner<()>,
    attempts: Vec<Attempt>,
    lost: Option<ProviderError>,
    done: bool,
}

/// One call's recognisers.
struct Line {
    shared: Arc<Shared>,
    options: SttOptions,
    events: Arc<dyn SttEvents>,
    preferred: Box<dyn SttStream>,
    /// What the preferred recogniser's stream has open.
    serving: Option<AttemptId>,
    heard: mpsc::Sender<(Source, SttEvent)>,
    requests: Vec<Request>,
    next: AttemptId,
}

impl Line {
    async fn run(
        mut self,
        mut orders: mpsc::Receiver<Told>,
        mut understood: mpsc::Receiver<(Source, SttEvent)>,
    ) {
        loop {
            let due = self.requests.iter().filter_map(|request| request.planner.poll_timeout()).min();
            let at = due.map_or_else(Instant::now, |at| self.shared.instant_of(at));
            tokio::select! {
                told = orders.recv() => match told {
                    Some(told) => self.handle_told(told),
                    None => break,
                },
                heard = understood.recv() => {
                    if let Some((source, event)) = heard {
                        self.handle_heard(source, event);
                    }
                }
                () = sleep_until(at), if due.is_some() => {
                    let now = self.shared.now();
                    for request in &mut self.requests {
                        request.planner.handle_timeout(&mut self.shared.lock(), now);
                    }
                }
            }
            self.carry_out_orders();
        }
        for request in &mut self.requests {
            request.planner.handle_input(Input::Abandoned, &mut self.shared.lock(), self.shared.now());
        }
    }

    fn handle_told(&mut self, told: Told) {
        match told {
            Told::Begin(utterance) => self.begin(utterance),
            Told::Audio(frame) => {
                let serving = self.serving;
                let Some(request) = open(&mut self.requests) else { return };
                if request.frames.len() < MOST_FRAMES {
                    request.frames.push(frame);
                } else {
                    request.long = true;
                }
                for attempt in &mut request.attempts {
                    if let Some(stream) = stream_of(attempt, &mut self.preferred, serving) {
                        stream.push(&frame);
                    }
                }
            }
            Told::Pause => {
                let serving = self.serving;
                let Some(request) = open(&mut self.requests) else { return };
                for attempt in &mut request.attempts {
                    if let Some(stream) = stream_of(attempt, &mut self.preferred, serving) {
                        stream.hint_pause();
                    }
                }
            }
            Told::Finalise => {
                let serving = self.serving;
                let Some(request) = open(&mut self.requests) else { return };
                request.finalised = true;
                for attempt in &mut request.attempts {
                    if let Some(stream) = stream_of(attempt, &mut self.preferred, serving) {
                        stream.finalise();
                    }
                }
                if let Some(error) = request.lost.take() {
                    request.done = true;
                    let utterance = request.utterance;
                    self.events.handle_stt_event(SttEvent::Failed { utterance, error });
                    return;
                }
                request.planner.handle_input(Input::Wanted, &mut self.shared.lock(), self.shared.now());
            }
        }
    }

    fn begin(&mut self, utterance: UtteranceId) {
        let now = self.shared.now();
        // An unfinished one before it is abandoned, and so is the oldest of too many.
        while let Some(at) = self
            .requests
            .iter()
            .position(|request| !request.finalised)
            .or_else(|| (self.requests.len() >= MOST_REQUESTS).then_some(0))
        {
            let mut request = self.requests.remove(at);
            request.planner.handle_input(Input::Abandoned, &mut self.shared.lock(), now);
            if request.finalised && !request.done {
                let detail = "too many utterances wait for their words".to_owned();
                let provider = self.shared.recognisers[0].recogniser.name();
                let error = ProviderError::Limited { provider, detail, retry_after: None };
                self.events.handle_stt_event(SttEvent::Failed { utterance: request.utterance, error });
            }
        }
        let planner = Planner::new(self.next, (), self.shared.seed(), &mut self.shared.lock(), now);
        self.requests.push(Request {
            utterance,
            frames: Vec::new(),
            long: false,
            finalised: false,
            planner,
            attempts: Vec::new(),
            lost: None,
            done: false,
        });
    }

    fn handle_heard(&mut self, source: Source, event: SttEvent) {
        let (utterance, text) = match &event {
            SttEvent::Partial { utterance, text, .. } => (*utterance, Some(text)),
            SttEvent::Final { utterance, .. } | SttEvent::Failed { utterance, .. } => (*utterance, None),
        };
        let Some(request) = self.requests.iter_mut().find(|request| request.utterance == utterance) else {
            return;
        };
        let ours = |attempt: &Attempt| match source {
            Source::Call => attempt.own.is_none(),
            Source::Attempt(id) => attempt.id == id,
        };
        let Some(attempt) = request.attempts.iter().find(|attempt| ours(attempt)).map(|attempt| attempt.id)
        else {
            return;
        };
        let now = self.shared.now();
        let mut line_up = self.shared.lock();
        match event {
            SttEvent::Partial { .. } => {
                let useful = text.is_some_and(|text| !text.trim().is_empty());
                let input =
                    if useful { Input::Useful { attempt, resume: () } } else { Input::Started { attempt } };
                request.planner.handle_input(input, &mut line_up, now);
                drop(line_up);
                if request.planner.emitter() == Some(attempt) {
                    self.events.handle_stt_event(event);
                }
            }
            SttEvent::Final { .. } => {
                request.planner.handle_input(Input::Useful { attempt, resume: () }, &mut line_up, now);
                let counts = request.planner.emitter() == Some(attempt);
                request.planner.handle_input(Input::Finished { attempt }, &mut line_up, now);
                drop(line_up);
                request.attempts.retain(|one| one.id != attempt);
                if counts && !request.done {
                    request.done = true;
                    self.events.handle_stt_event(event);
                }
            }
            SttEvent::Failed { error, .. } => {
                request.attempts.retain(|one| one.id != attempt);
                request.planner.handle_input(Input::Failed { attempt, error }, &mut line_up, now);
            }
        }
    }

    fn carry_out_orders(&mut self) {
        for at in 0..self.requests.len() {
            while let Some(order) = self.requests[at].planner.poll_order() {
                self.carry_out(at, order);
            }
        }
        let next = self.requests.iter().map(|request| request.planner.next_attempt()).max();
        self.next = next.unwrap_or(self.next).max(self.next);
        self.requests.retain(|request| !request.done || !request.finalised);
    }

    fn carry_out(&mut self, at: usize, order: Order<()>) {
        match order {
            Order::Start { attempt, provider, why, .. } => {
                let name = self.shared.recognisers[provider.get()].recogniser.name();
                tracing::debug!(provider = name, why = why.as_str(), "a recogniser is asked");
                self.start(at, attempt, provider);
            }
            Order::Cancel { attempt } => {
                self.requests[at].attempts.retain(|one| one.id != attempt);
            }
            Order::GiveUp(lost) => {
                let request = &mut self.requests[at];
                request.attempts.clear();
                let (utterance, error) = (request.utterance, lost.error);
                if request.finalised {
                    request.done = true;
                } else {
                    request.lost = Some(error.clone());
                }
                self.events.handle_stt_event(SttEvent::Failed { utterance, error });
            }
            Order::Notice(Notice::Failed { error, .. }) => {
                tracing::warn!(provider = error.provider(), %error, "a recogniser failed; another attempt may follow");
            }
            Order::Notice(_) => {}
        }
    }

    fn start(&mut self, at: usize, id: AttemptId, provider: ProviderIndex) {
        let newest = at + 1 == self.requests.len();
        let request = &mut self.requests[at];
        let candidate = &self.shared.recognisers[provider.get()].recogniser;
        // The call's stream serves one utterance at a time: not one that another has followed.
        let own = if provider.get() == 0 && newest {
            self.serving = Some(id);
            None
        } else {
            let sink = Arc::new(Sink { source: Source::Attempt(id), heard: self.heard.clone() });
            Some(candidate.open(self.options.clone(), sink))
        };
        let mut attempt = Attempt { id, own };
        let input = if request.long {
            let detail = "the utterance is longer than the minute of audio that is kept".to_owned();
            Input::Failed {
                attempt: id,
                error: ProviderError::Rejected { provider: candidate.name(), detail },
            }
        } else {
            if let Some(stream) = stream_of(&mut attempt, &mut self.preferred, self.serving) {
                stream.begin(request.utterance);
                request.frames.iter().for_each(|frame| stream.push(frame));
                if request.finalised {
                    stream.finalise();
                }
            }
            request.attempts.push(attempt);
            // Whether a recogniser has taken the call does not show; the deadline for words counts from its end.
            Input::Started { attempt: id }
        };
        request.planner.handle_input(input, &mut self.shared.lock(), self.shared.now());
    }
}

/// The utterance that audio is for.
fn open(requests: &mut [Request]) -> Option<&mut Request> {
    requests.last_mut().filter(|request| !request.finalised)
}

/// Where an attempt hears; none where the call's stream has gone on to another.
fn stream_of<'a>(
    attempt: &'a mut Attempt,
    preferred: &'a mut Box<dyn SttStream>,
    serving: Option<AttemptId>,
) -> Option<&'a mut dyn SttStream> {
    match &mut attempt.own {
        Some(own) => Some(&mut **own),
        None if serving == Some(attempt.id) => Some(&mut **preferred),
        None => None,
    }
}

#[cfg(test)]
mod tests;
