//! Several voices as one: the preferred one speaks, and where it fails or is late, another goes on at a word boundary.
//!
//! The shell around [`Planner`]: starts the attempts it orders, tells it what comes, and passes on what the chosen attempt
//! gives, as one stream of one rate whose clauses and words count from the reply's start. It decides nothing. What was
//! given out is not said again: a successor begins behind the last word whose audio was given. Caller: `session`, through
//! [`TextToSpeech`].

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures::StreamExt as _;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use tokio::time::{Instant, sleep_until, timeout};

use super::{SpeechEvent, TextToSpeech, Voice, VoiceOptions, WordMark};
use crate::audio::{Resampler, SampleRate};
use crate::error::ProviderError;
use crate::ids::ReplyId;
use crate::resilience::{
    AttemptId, BreakerState, Change, Deadlines, Input, LineUp, LineUpError, Member, MemberStatus, Notice,
    Order, PROBE_WITHIN, Planner, ProviderIndex, Rules, Seed,
};
use crate::time::ProcessTime;

/// A voice, and how to see that it is back after it failed.
pub struct VoiceCandidate {
    /// The voice.
    pub voice: Arc<dyn TextToSpeech>,
    /// Asks as cheaply as can be whether it is there, without spending credit. Without it the voice counts as there.
    pub probe: Option<VoiceProbe>,
}

/// See [`VoiceCandidate::probe`].
pub type VoiceProbe = Arc<dyn Fn() -> BoxFuture<'static, Result<(), ProviderError>> + Send + Sync>;

/// Voices in order of preference, shared by all calls. Cheap to clone.
#[derive(Clone)]
pub struct ResilientVoice(Arc<Shared>);

struct Shared {
    voices: Vec<VoiceCandidate>,
    line_up: Mutex<LineUp>,
    begun: Instant,
    seeds: Mutex<Seed>,
}

impl ResilientVoice {
    /// The first voice speaks first. `seed` spreads the waits of retries: any number will do.
    ///
    /// # Errors
    /// No voice, or more than eight.
    pub fn new(voices: Vec<VoiceCandidate>, deadlines: &Deadlines, seed: u64) -> Result<Self, LineUpError> {
        let members: Vec<Member> =
            voices.iter().map(|candidate| Member { name: candidate.voice.name(), hedged: false }).collect();
        let line_up = Mutex::new(LineUp::new(&members, Rules::tts(deadlines), Seed(seed))?);
        let seeds = Mutex::new(Seed(seed ^ SPREAD));
        Ok(Self(Arc::new(Shared { voices, line_up, begun: Instant::now(), seeds })))
    }

    /// How each voice does, in order.
    pub fn status(&self) -> Vec<MemberStatus> {
        self.0.lock().status(self.0.now())
    }

    /// Whether no voice can be asked at the moment.
    pub fn is_down(&self) -> bool {
        self.0.lock().is_down(self.0.now())
    }

    /// Looks, beside all calls, whether voices that failed are back, and gives what changed to `changed`. Never ends; to
    /// be spawned once and dropped with the voices.
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
                let candidate = &self.0.voices[probe.provider().get()];
                let provider = candidate.voice.name();
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
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
/// Far enough for a timer, and within what an instant can hold.
const FAR: Duration = Duration::from_secs(86_400 * 365);
/// A change of state shows in logs and events this soon.
const TELL_WITHIN: Duration = Duration::from_secs(1);

impl TextToSpeech for ResilientVoice {
    /// The preferred voice's name.
    fn name(&self) -> &'static str {
        self.0.voices[0].voice.name()
    }

    /// That of the voice that would be asked at the moment.
    fn sound(&self, options: &VoiceOptions) -> Option<String> {
        let now = self.0.now();
        let rests = |status: &MemberStatus| status.resting_until.is_some_and(|until| until > now);
        let is_there = |status: &MemberStatus| status.state == BreakerState::Closed && !rests(status);
        let first = self.status().iter().position(is_there).unwrap_or(0);
        self.0.voices[first].voice.sound(options)
    }

    /// Opens the preferred voice; the others when they are needed.
    fn open(&self, options: VoiceOptions) -> Box<dyn Voice> {
        let mut opened: Opened = self.0.voices.iter().map(|_| None).collect();
        opened[0] = Some(self.0.voices[0].voice.open(options.clone()));
        Box::new(Call { shared: self.0.clone(), options, opened: Arc::new(Mutex::new(opened)) })
    }
}

/// A call's voices, by the place of their candidates, as far as they were needed.
type Opened = Vec<Option<Box<dyn Voice>>>;

/// One call's voices.
struct Call {
    shared: Arc<Shared>,
    options: VoiceOptions,
    opened: Arc<Mutex<Opened>>,
}

impl Voice for Call {
    fn speak(
        &mut self,
        reply: ReplyId,
        clauses: BoxStream<'static, String>,
    ) -> BoxStream<'static, Result<SpeechEvent, ProviderError>> {
        let shared = self.shared.clone();
        let planner = {
            let (now, seed) = (shared.now(), shared.seed());
            Planner::new(AttemptId::default(), Place::default(), seed, &mut shared.lock(), now)
        };
        let speech = Speech {
            shared,
            options: self.options.clone(),
            opened: self.opened.clone(),
            reply,
            incoming: Some(clauses),
            text: Vec::new(),
            bytes: 0,
            planner,
            attempts: Vec::new(),
            rate: None,
            told: Told::default(),
            ready: VecDeque::new(),
            wanted: false,
            lost: None,
        };
        stream::unfold(speech, |mut speech| async move { speech.next().await.map(|piece| (piece, speech)) })
            .boxed()
    }
}

/// A word boundary in a reply's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    clause: usize,
    /// Bytes of that clause that are done with.
    byte: usize,
}

/// What of a reply was given out.
#[derive(Debug, Default)]
struct Told {
    /// Samples at the reply's rate.
    samples: u64,
    /// Clauses that are over.
    clauses: usize,
    /// Samples before the clause that is not.
    clause_start: u64,
    /// Words of that clause whose place is known.
    words: Vec<WordMark>,
}

impl Told {
    /// Where a successor would go on.
    fn place(&self, text: &[String], rate: SampleRate) -> Place {
        let given = rate.duration_of(self.samples);
        let known = self.words.iter().rev().find(|word| word.end <= given);
        if let Some(word) = known {
            return Place { clause: word.clause, byte: word.upto };
        }
        let Some(clause) = text.get(self.clauses) else { return Place { clause: self.clauses, byte: 0 } };
        if !self.words.is_empty() {
            // Its words are known, and none of them is over.
            return Place { clause: self.clauses, byte: 0 };
        }
        let spoken = rate.duration_of(self.samples - self.clause_start.min(self.samples));
        let letters = (spoken.as_secs_f64() * LETTERS_PER_SECOND) as usize;
        Place { clause: self.clauses, byte: boundary_before(clause, letters) }
    }
}

/// Where a voice does not tell where its words lie: English of a quick speaker, so that a word is rather lost than said
/// twice.
const LETTERS_PER_SECOND: f64 = 18.0;

/// The end of the last word that ends within so many letters; all of the text where it has no more.
fn boundary_before(text: &str, letters: usize) -> usize {
    let Some((limit, _)) = text.char_indices().nth(letters) else { return text.len() };
    text[..limit].rfind(char::is_whitespace).unwrap_or(0)
}

/// One voice's speech under way.
struct Attempt {
    id: AttemptId,
    provider: &'static str,
    from: Place,
    /// Clauses that it has ended.
    ended: usize,
    /// Samples of the reply before its first one.
    start: u64,
    /// Not more than the text of the reply waits in it. Dropped at the end of the text.
    tell: Option<UnboundedSender<String>>,
    resampler: Option<Resampler>,
    events: BoxStream<'static, Result<SpeechEvent, ProviderError>>,
}

/// One reply's speech.
struct Speech {
    shared: Arc<Shared>,
    options: VoiceOptions,
    opened: Arc<Mutex<Opened>>,
    reply: ReplyId,
    /// `None` behind the last clause.
    incoming: Option<BoxStream<'static, String>>,
    text: Vec<String>,
    bytes: usize,
    planner: Planner<Place>,
    attempts: Vec<Attempt>,
    /// The first attempt's.
    rate: Option<SampleRate>,
    told: Told,
    ready: VecDeque<SpeechEvent>,
    wanted: bool,
    lost: Option<ProviderError>,
}

/// Text of one reply, as much as any voice takes.
const MOST_TEXT: usize = 128 << 10;

impl Speech {
    async fn next(&mut self) -> Option<Result<SpeechEvent, ProviderError>> {
        loop {
            self.carry_out_orders();
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if let Some(error) = self.lost.take() {
                return Some(Err(error));
            }
            if self.planner.is_over() {
                return None;
            }
            let until = self.planner.poll_timeout().map(|at| self.shared.instant_of(at));
            let Self { attempts, incoming, .. } = self;
            tokio::select! {
                biased;
                (at, event) = next_of(attempts) => self.take(at, event),
                clause = next_clause(incoming) => self.take_clause(clause),
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                    let now = self.shared.now();
                    self.planner.handle_timeout(&mut self.shared.lock(), now);
                }
            }
        }
    }

    fn input(&mut self, input: Input<Place>) {
        let now = self.shared.now();
        self.planner.handle_input(input, &mut self.shared.lock(), now);
    }

    fn take_clause(&mut self, clause: Option<String>) {
        let Some(clause) = clause else {
            self.incoming = None;
            self.attempts.iter_mut().for_each(|attempt| attempt.tell = None);
            return;
        };
        self.bytes += clause.len();
        if self.bytes > MOST_TEXT {
            let detail = "a reply of more than 128 KiB".to_owned();
            self.lost =
                Some(ProviderError::Rejected { provider: self.shared.voices[0].voice.name(), detail });
            self.attempts.clear();
            self.incoming = None;
            self.input(Input::Abandoned);
            return;
        }
        for tell in self.attempts.iter().filter_map(|attempt| attempt.tell.as_ref()) {
            // An attempt that does not listen any more says why by itself.
            let _ = tell.unbounded_send(clause.clone());
        }
        self.text.push(clause);
        self.want();
    }

    /// Deadlines run while something given is not spoken.
    fn want(&mut self) {
        let wanted = self.told.clauses < self.text.len();
        if wanted != self.wanted {
            self.wanted = wanted;
            self.input(if wanted { Input::Wanted } else { Input::Idle });
        }
    }

    /// What the attempt at this place gave.
    fn take(&mut self, at: usize, event: Option<Result<SpeechEvent, ProviderError>>) {
        let attempt = &mut self.attempts[at];
        let id = attempt.id;
        match event {
            Some(Ok(SpeechEvent::Audio { rate, samples })) => {
                let own = *self.rate.get_or_insert(rate);
                let resampler = attempt.resampler.get_or_insert_with(|| Resampler::new(rate, own));
                let mut converted = Vec::with_capacity(samples.len());
                resampler.push_into(&samples, &mut converted);
                self.told.samples += converted.len() as u64;
                let resume = self.told.place(&self.text, own);
                self.ready.push_back(SpeechEvent::Audio { rate: own, samples: converted });
                self.input(Input::Useful { attempt: id, resume });
            }
            Some(Ok(SpeechEvent::Alignment(words))) => {
                // Without a rate nothing was given, and times count from the start.
                let before = self.rate.map_or(Duration::ZERO, |rate| rate.duration_of(attempt.start));
                let from = attempt.from;
                let words: Vec<WordMark> = words
                    .into_iter()
                    .map(|word| WordMark {
                        clause: word.clause + from.clause,
                        upto: word.upto + if word.clause == 0 { from.byte } else { 0 },
                        start: word.start + before,
                        end: word.end + before,
                    })
                    .collect();
                let current = self.told.clauses;
                self.told.words.extend(words.iter().filter(|word| word.clause >= current));
                self.ready.push_back(SpeechEvent::Alignment(words));
            }
            Some(Ok(SpeechEvent::ClauseEnd)) => {
                attempt.ended += 1;
                let clauses = attempt.from.clause + attempt.ended;
                self.end_clause(clauses);
                let resume = Place { clause: clauses, byte: 0 };
                self.input(Input::Useful { attempt: id, resume });
                self.want();
            }
            Some(Err(error)) => {
                self.attempts.remove(at);
                self.input(Input::Failed { attempt: id, error });
            }
            None => {
                let Attempt { provider, resampler, .. } = self.attempts.remove(at);
                if self.incoming.is_some() || self.told.clauses < self.text.len() {
                    let detail = "its speech ended before its text".to_owned();
                    self.input(Input::Failed {
                        attempt: id,
                        error: ProviderError::Failed { provider, detail },
                    });
                    return;
                }
                let mut rest = Vec::new();
                if let (Some(mut resampler), Some(rate)) = (resampler, self.rate) {
                    resampler.finish_into(&mut rest);
                    if !rest.is_empty() {
                        self.ready.push_back(SpeechEvent::Audio { rate, samples: rest });
                    }
                }
                if self.planner.emitter() == Some(id) {
                    self.input(Input::Finished { attempt: id });
                } else {
                    // There was nothing to say, or nothing left.
                    self.input(Input::Abandoned);
                }
            }
        }
    }

    fn end_clause(&mut self, clauses: usize) {
        self.told.clauses = clauses;
        self.told.clause_start = self.told.samples;
        self.told.words.retain(|word| word.clause >= clauses);
        self.ready.push_back(SpeechEvent::ClauseEnd);
    }

    fn carry_out_orders(&mut self) {
        while let Some(order) = self.planner.poll_order() {
            match order {
                Order::Start { attempt, provider, from, why } => {
                    tracing::debug!(
                        provider = self.shared.voices[provider.get()].voice.name(),
                        why = why.as_str(),
                        "a voice is asked"
                    );
                    self.start(attempt, provider, from);
                }
                Order::Cancel { attempt } => self.attempts.retain(|one| one.id != attempt),
                Order::GiveUp(lost) => {
                    self.attempts.clear();
                    self.lost = Some(lost.error);
                }
                Order::Notice(Notice::Failed { error, .. }) => {
                    tracing::warn!(provider = error.provider(), %error, "a voice failed; another attempt may follow");
                }
                Order::Notice(_) => {}
            }
        }
    }

    fn start(&mut self, id: AttemptId, provider: ProviderIndex, mut from: Place) {
        // A clause of which nothing is left to say is over.
        let left = |text: &String| text.get(from.byte..).unwrap_or_default().trim().is_empty();
        if from.byte > 0 && self.text.get(from.clause).is_some_and(left) {
            from = Place { clause: from.clause + 1, byte: 0 };
            self.end_clause(from.clause);
            self.want();
        }
        let (tell, clauses) = unbounded();
        if let Some(first) = self.text.get(from.clause) {
            let rest = first.get(from.byte..).unwrap_or_default().trim_start();
            // Places within the clause count from its own beginning.
            from.byte = first.len() - rest.len();
            let left = std::iter::once(rest.to_owned()).chain(self.text[from.clause + 1..].iter().cloned());
            left.for_each(|clause| {
                // The other end is in this function.
                let _ = tell.unbounded_send(clause);
            });
        }
        let candidate = &self.shared.voices[provider.get()].voice;
        let events = {
            let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            let voice = opened[provider.get()].get_or_insert_with(|| candidate.open(self.options.clone()));
            voice.speak(self.reply, clauses.boxed())
        };
        self.attempts.push(Attempt {
            id,
            provider: candidate.name(),
            from,
            ended: 0,
            start: self.told.samples,
            tell: self.incoming.is_some().then_some(tell),
            resampler: None,
            events,
        });
        // What a voice does before its first audio does not show; the deadline for that counts from the first clause.
        self.input(Input::Started { attempt: id });
    }
}

impl Drop for Speech {
    fn drop(&mut self) {
        self.input(Input::Abandoned);
    }
}

/// What the first attempt with something to say gives, and which one.
async fn next_of(attempts: &mut [Attempt]) -> (usize, Option<Result<SpeechEvent, ProviderError>>) {
    std::future::poll_fn(|context| {
        for (at, attempt) in attempts.iter_mut().enumerate() {
            if let Poll::Ready(event) = attempt.events.poll_next_unpin(context) {
                return Poll::Ready((at, event));
            }
        }
        Poll::Pending
    })
    .await
}

async fn next_clause(incoming: &mut Option<BoxStream<'static, String>>) -> Option<String> {
    match incoming {
        Some(clauses) => clauses.next().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
