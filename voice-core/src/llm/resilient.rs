//! Several models as one: the preferred one answers, and where it fails, is late or is full, the next one does.
//!
//! The shell around [`Planner`]: starts the attempts it orders, tells it what comes, and passes on what the chosen attempt
//! gives. It decides nothing. Once words have been given out no other model is asked, since none would go on with them; so
//! the first words, too few to be spoken, are held back, and a model that breaks off in them is replaced unheard.
//! Tools belong around this (see [`ToolUser`](super::tools::ToolUser)), never inside.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use tokio::time::{Instant, sleep_until, timeout};

use super::{LanguageModel, LlmEvent, LlmRequest};
use crate::error::ProviderError;
use crate::ids::SessionId;
use crate::resilience::{
    AttemptId, Change, Deadlines, Input, LineUp, LineUpError, Member, MemberStatus, Notice, Order,
    PROBE_WITHIN, Planner, Rules, Seed,
};
use crate::time::ProcessTime;

/// A model, and how to see that it is back after it failed.
pub struct Candidate {
    /// The model.
    pub model: Arc<dyn LanguageModel>,
    /// Whether a second attempt beside a late one can be quicker: not where both would share one processor.
    pub hedged: bool,
    /// Asks as cheaply as can be whether it is there, without spending credit. Without it the model counts as there.
    pub probe: Option<ModelProbe>,
}

/// See [`Candidate::probe`].
pub type ModelProbe = Arc<dyn Fn() -> BoxFuture<'static, Result<(), ProviderError>> + Send + Sync>;

/// Models in order of preference, shared by all calls. Cheap to clone.
#[derive(Clone)]
pub struct ResilientModel(Arc<Shared>);

struct Shared {
    models: Vec<Candidate>,
    line_up: Mutex<LineUp>,
    begun: Instant,
    seeds: Mutex<Seed>,
}

impl ResilientModel {
    /// The first model is asked first. `seed` spreads the waits of retries: any number will do.
    ///
    /// # Errors
    /// No model, or more than eight.
    pub fn new(models: Vec<Candidate>, deadlines: &Deadlines, seed: u64) -> Result<Self, LineUpError> {
        let members: Vec<Member> = models
            .iter()
            .map(|candidate| Member { name: candidate.model.name(), hedged: candidate.hedged })
            .collect();
        let line_up = LineUp::new(&members, Rules::llm(deadlines), Seed(seed))?;
        let (line_up, seeds) = (Mutex::new(line_up), Mutex::new(Seed(seed ^ SPREAD)));
        Ok(Self(Arc::new(Shared { models, line_up, begun: Instant::now(), seeds })))
    }

    /// How each model does, in order.
    pub fn status(&self) -> Vec<MemberStatus> {
        self.0.lock().status(self.0.now())
    }

    /// Whether no model can be asked at the moment.
    pub fn is_down(&self) -> bool {
        self.0.lock().is_down(self.0.now())
    }

    /// Looks, beside all calls, whether models that failed are back, and gives what changed to `changed`. Never ends; to
    /// be spawned once and dropped with the models.
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
                let provider = probe.provider();
                let name = self.0.models[provider.get()].model.name();
                let asked = self.0.models[provider.get()].probe.clone();
                let found = match asked {
                    Some(ask) => timeout(PROBE_WITHIN, ask())
                        .await
                        .unwrap_or(Err(ProviderError::TimedOut { provider: name, after: PROBE_WITHIN })),
                    None => Ok(()),
                };
                self.0.lock().handle_probe(probe, found, self.0.now());
                continue;
            }
            // Changes are told within this time, and a breaker may open at any moment.
            let soon = Instant::now() + TELL_WITHIN;
            let at = at.map_or(soon, |at| self.0.instant_of(at).min(soon));
            sleep_until(at).await;
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

impl LanguageModel for ResilientModel {
    /// The preferred model's name.
    fn name(&self) -> &'static str {
        self.0.models[0].model.name()
    }

    fn reply(&self, request: LlmRequest) -> BoxStream<'static, Result<LlmEvent, ProviderError>> {
        let shared = self.0.clone();
        let planner = {
            let (now, seed) = (shared.now(), shared.seed());
            let mut line_up = shared.lock();
            let mut planner = Planner::new(AttemptId::default(), (), seed, &mut line_up, now);
            // An answer is wanted at once.
            planner.handle_input(Input::Wanted, &mut line_up, now);
            planner
        };
        let reply =
            Reply { shared, request, planner, attempts: Vec::new(), ready: VecDeque::new(), lost: None };
        stream::unfold(reply, |mut reply| async move { reply.next().await.map(|event| (event, reply)) })
            .boxed()
    }

    fn prepare(&self, session: SessionId) -> BoxFuture<'static, ()> {
        self.0.models[0].model.prepare(session)
    }
}

/// One model's answer under way.
struct Attempt {
    id: AttemptId,
    provider: &'static str,
    events: BoxStream<'static, Result<LlmEvent, ProviderError>>,
    /// What came so far, as long as nothing of it could be spoken.
    held: Vec<LlmEvent>,
    /// The text in it.
    words: String,
}

impl Attempt {
    /// Whether `event`, the next one, makes a beginning that is worth giving out.
    fn begins(&mut self, event: &LlmEvent) -> bool {
        if let LlmEvent::Delta(text) = event {
            self.words.push_str(text);
        }
        let sentence = self.words.ends_with(['.', '!', '?', ',', ';', ':', '\n']);
        let words = self.words.split_whitespace().count();
        // The last word may not be whole.
        let whole = words - usize::from(!self.words.ends_with(char::is_whitespace)).min(words);
        whole >= FIRST_WORDS
            || (sentence && words > 0)
            || matches!(event, LlmEvent::ToolCall(_) | LlmEvent::Done(_))
    }
}

/// A clause that is spoken first has at least so many words (`text::chunker`), so holding fewer back delays no sound.
const FIRST_WORDS: usize = 3;

/// One answer under way.
struct Reply {
    shared: Arc<Shared>,
    request: LlmRequest,
    planner: Planner,
    attempts: Vec<Attempt>,
    /// To be given out.
    ready: VecDeque<LlmEvent>,
    lost: Option<ProviderError>,
}

impl Reply {
    async fn next(&mut self) -> Option<Result<LlmEvent, ProviderError>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            self.carry_out_orders();
            if let Some(error) = self.lost.take() {
                return Some(Err(error));
            }
            if self.planner.is_over() {
                return None;
            }
            let until = self.planner.poll_timeout().map(|at| self.shared.instant_of(at));
            tokio::select! {
                biased;
                (at, event) = next_of(&mut self.attempts) => self.take(at, event),
                () = sleep_until(until.unwrap_or_else(Instant::now)) => {
                    let now = self.shared.now();
                    self.planner.handle_timeout(&mut self.shared.lock(), now);
                }
            }
        }
    }

    /// Tells the planner what the attempt at this place gave, and gives out what counts.
    fn take(&mut self, at: usize, event: Result<LlmEvent, ProviderError>) {
        let now = self.shared.now();
        let mut line_up = self.shared.lock();
        let attempt = self.attempts[at].id;
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                self.attempts.remove(at);
                self.planner.handle_input(Input::Failed { attempt, error }, &mut line_up, now);
                return;
            }
        };
        if self.planner.emitter() != Some(attempt) {
            let alone = self.shared.models.len() == 1;
            let holding = &mut self.attempts[at];
            let begins = holding.begins(&event) || alone && event.is_useful();
            // An answer that ends without a word is none; the planner says what follows.
            let useful = begins && (event.is_useful() || holding.held.iter().any(LlmEvent::is_useful));
            let done = matches!(event, LlmEvent::Done(_));
            holding.held.push(event);
            let input =
                if useful { Input::Useful { attempt, resume: () } } else { Input::Started { attempt } };
            self.planner.handle_input(input, &mut line_up, now);
            if self.planner.emitter() == Some(attempt) {
                self.ready.extend(self.attempts[at].held.drain(..));
            }
            if done {
                self.attempts.remove(at);
                self.planner.handle_input(Input::Finished { attempt }, &mut line_up, now);
            }
            return;
        }
        let input = match &event {
            LlmEvent::Done(_) => {
                self.attempts.remove(at);
                Input::Finished { attempt }
            }
            event if event.is_useful() => Input::Useful { attempt, resume: () },
            _ => Input::Started { attempt },
        };
        self.planner.handle_input(input, &mut line_up, now);
        self.ready.push_back(event);
    }

    fn carry_out_orders(&mut self) {
        while let Some(order) = self.planner.poll_order() {
            match order {
                Order::Start { attempt, provider, why, .. } => {
                    let model = &self.shared.models[provider.get()].model;
                    tracing::debug!(provider = model.name(), why = why.as_str(), "a model is asked");
                    let events = model.reply(self.request.clone());
                    self.attempts.push(Attempt {
                        id: attempt,
                        provider: model.name(),
                        events,
                        held: Vec::new(),
                        words: String::new(),
                    });
                }
                Order::Cancel { attempt } => self.attempts.retain(|one| one.id != attempt),
                Order::GiveUp(lost) => {
                    self.attempts.clear();
                    self.lost = Some(lost.error);
                }
                Order::Notice(Notice::Failed { error, .. }) => {
                    tracing::warn!(provider = error.provider(), %error, "a model failed; another attempt may follow");
                }
                Order::Notice(_) => {}
            }
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let now = self.shared.now();
        self.planner.handle_input(Input::Abandoned, &mut self.shared.lock(), now);
    }
}

/// What the first attempt with something to say gives, and which one.
async fn next_of(attempts: &mut [Attempt]) -> (usize, Result<LlmEvent, ProviderError>) {
    std::future::poll_fn(|context| {
        for (at, attempt) in attempts.iter_mut().enumerate() {
            if let Poll::Ready(event) = attempt.events.poll_next_unpin(context) {
                let detail = "its answer ended without an end".to_owned();
                let provider = attempt.provider;
                return Poll::Ready((at, event.unwrap_or(Err(ProviderError::Failed { provider, detail }))));
            }
        }
        Poll::Pending
    })
    .await
}

/// Keeps the seeds of the requests apart from the line-up's.
const SPREAD: u64 = 0x5bd1_e995_97f4_a7c1;
/// Far enough for a timer, and within what an instant can hold.
const FAR: Duration = Duration::from_secs(86_400 * 365);
/// A change of state shows in logs and events this soon.
const TELL_WITHIN: Duration = Duration::from_secs(1);

#[cfg(all(test, feature = "sim"))]
mod tests {
    use super::*;
    use crate::llm::{Message, Role};
    use crate::sim::{LlmFault, ScriptedLlm};

    fn scripted(answer: &str, faults: &[LlmFault], first_token: u64) -> Candidate {
        let mut model = ScriptedLlm::default();
        model.script.answers = vec![answer.to_owned()];
        model.script.faults.extend(faults.iter().copied());
        model.script.first_token = Duration::from_millis(first_token);
        Candidate { model: Arc::new(model), hedged: false, probe: None }
    }

    async fn answer(model: &ResilientModel) -> Result<String, ProviderError> {
        let question = vec![Message::new(Role::User, "How much is it?")];
        let mut events = model.reply(LlmRequest::new(SessionId::random(), question, "en"));
        let mut text = String::new();
        while let Some(event) = events.next().await {
            if let LlmEvent::Delta(delta) = event? {
                text.push_str(&delta);
            }
        }
        Ok(text)
    }

    fn models(candidates: Vec<Candidate>) -> ResilientModel {
        ResilientModel::new(candidates, &Deadlines::default(), 7).expect("a line-up")
    }

    #[tokio::test(start_paused = true)]
    async fn the_preferred_model_answers_while_it_can() {
        let model = models(vec![scripted("first", &[], 100), scripted("second", &[], 100)]);
        assert_eq!(answer(&model).await.expect("an answer"), "first");
        assert_eq!(model.status().len(), 2);
        assert!(!model.is_down());
    }

    #[tokio::test(start_paused = true)]
    async fn a_model_that_fails_or_is_silent_is_replaced_before_its_first_word() {
        for fault in [LlmFault::Fail { after: 0 }, LlmFault::Stall { after: 0 }, LlmFault::Empty] {
            // The scripted model takes its faults anew with each request, so it fails every time.
            let model = models(vec![scripted("first", &[fault; 8], 100), scripted("second", &[], 100)]);
            let begun = Instant::now();
            assert_eq!(answer(&model).await.expect("an answer"), "second", "{fault:?}");
            assert!(begun.elapsed() < Duration::from_secs(6), "{fault:?} after {:?}", begun.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_breaks_off_in_its_first_words_is_replaced_unheard() {
        for after in 0..3 {
            let broken = scripted("one two three four five", &[LlmFault::Fail { after }; 8], 100);
            let model = models(vec![broken, scripted("second", &[], 100)]);
            assert_eq!(answer(&model).await.expect("an answer"), "second", "after {after}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_breaks_off_is_not_begun_again_by_another() {
        let broken = scripted("one two three four five", &[LlmFault::Fail { after: 4 }; 8], 100);
        let model = models(vec![broken, scripted("second", &[], 100)]);
        let question = vec![Message::new(Role::User, "How much is it?")];
        let mut events = model.reply(LlmRequest::new(SessionId::random(), question, "en"));
        let mut text = String::new();
        let mut failed = false;
        while let Some(event) = events.next().await {
            match event {
                Ok(LlmEvent::Delta(delta)) => text.push_str(&delta),
                Ok(_) => {}
                Err(_) => failed = true,
            }
        }
        assert!(failed);
        assert_eq!(text, "one two three four ");
    }

    #[tokio::test(start_paused = true)]
    async fn a_model_that_keeps_failing_is_left_alone_and_comes_back() {
        let failing = scripted("first", &[LlmFault::Fail { after: 0 }; 8], 10);
        let model = models(vec![failing, scripted("second", &[], 10)]);
        let mut changes = Vec::new();
        for _ in 0..8 {
            assert_eq!(answer(&model).await.expect("an answer"), "second");
        }
        while let Some(change) = model.0.lock().poll_change() {
            changes.push(change.kind.as_str());
        }
        assert!(changes.contains(&"opened"), "{changes:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn with_nobody_left_the_last_error_is_told() {
        let failing = || scripted("x", &[LlmFault::Fail { after: 0 }; 8], 10);
        let model = models(vec![failing(), failing()]);
        assert!(answer(&model).await.is_err());
    }
}
