//! Facts looked up while the caller still speaks, so that they are there when the turn is over.
//!
//! Each change of what the words come to asks the source anew, one look-up at a time and a bounded number a turn. At the end of
//! the turn what was found for the same words is taken; a look-up for them that is under way is waited for, and one that
//! was not begun is begun, each until the deadline. What is late or fails is answered without, and told to the source.
//! The call's task polls it; dropping it cancels. Callers: `driver`, `written`.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::context::{ContextQuery, ContextSource, LookUp, gist};
use crate::error::ProviderError;
use crate::ids::{SessionId, TurnId};
use crate::llm::concierge::HomeSource;

type Found = Result<Vec<String>, ProviderError>;

/// Look-ups of one turn before its end. Long turns settle what they are about early; the end asks once more.
const MOST_AHEAD: u32 = 8;

/// One call's look-ups.
pub(super) struct Lookahead {
    source: Option<Arc<dyn ContextSource>>,
    session: SessionId,
    turn: Option<TurnId>,
    /// Look-ups begun for the turn.
    asked: u32,
    /// The turn's words, where they differ from those that were looked up last.
    wanted: Option<(String, String)>,
    under_way: Option<(String, BoxFuture<'static, Found>)>,
    found: Option<(String, Vec<String>)>,
}

impl Lookahead {
    /// Of this source; without one nothing is ever found.
    pub(super) fn new(source: Option<Arc<dyn ContextSource>>, session: SessionId) -> Self {
        Self { source, session, turn: None, asked: 0, wanted: None, under_way: None, found: None }
    }

    /// The homes of the call, where its source has them.
    pub(super) fn homes(&self) -> Option<Arc<dyn HomeSource>> {
        self.source.as_ref().and_then(|source| source.homes())
    }

    /// The words of a turn so far, which may still change.
    pub(super) fn handle_words(&mut self, turn: TurnId, words: &str) {
        if self.source.is_none() {
            return;
        }
        if self.turn != Some(turn) {
            (self.turn, self.asked) = (Some(turn), 0);
            (self.wanted, self.under_way, self.found) = (None, None, None);
        }
        let gist = gist(words);
        let known = |of: &Option<(String, _)>| of.as_ref().is_some_and(|(known, _)| *known == gist);
        let is_asked = self.under_way.as_ref().is_some_and(|(known, _)| *known == gist);
        if is_asked || (self.under_way.is_none() && known(&self.found)) {
            self.wanted = None;
            return;
        }
        self.wanted = Some((gist, words.to_owned()));
        self.begin();
    }

    /// Goes on with the look-up under way; never ready where there is none. Dropping the future loses nothing.
    pub(super) async fn progress(&mut self) {
        let Some((_, look_up)) = &mut self.under_way else { return std::future::pending().await };
        let found = look_up.await;
        let Some((gist, _)) = self.under_way.take() else { return };
        match found {
            Ok(facts) => self.found = Some((gist, facts)),
            // The end of the turn asks again and tells what comes of it.
            Err(error) => tracing::debug!(%error, "a look-up ahead of the turn's end failed"),
        }
        self.begin();
    }

    /// The turn is over with these words: its facts, within `deadline`.
    pub(super) fn settle(&mut self, words: &str, deadline: Duration) -> BoxFuture<'static, Vec<String>> {
        let Some(source) = self.source.clone() else { return std::future::ready(Vec::new()).boxed() };
        let gist = gist(words);
        self.wanted = None;
        let under_way = self.under_way.take();
        if let Some((_, facts)) = self.found.as_ref().filter(|(known, _)| *known == gist) {
            source.note(LookUp::Ahead);
            return std::future::ready(facts.clone()).boxed();
        }
        let (begun, look_up) = match under_way {
            Some((known, look_up)) if known == gist => (LookUp::Ahead, look_up),
            _ => (LookUp::InTime, source.look_up(query(self.session, words))),
        };
        within(source, begun, look_up, deadline).boxed()
    }

    fn begin(&mut self) {
        if self.under_way.is_some() || self.asked >= MOST_AHEAD {
            return;
        }
        if let (Some(source), Some((gist, words))) = (&self.source, self.wanted.take()) {
            self.asked += 1;
            self.under_way = Some((gist, source.look_up(query(self.session, &words))));
        }
    }
}

/// What is found until the deadline, or nothing; the source is told which.
async fn within(
    source: Arc<dyn ContextSource>,
    begun: LookUp,
    look_up: BoxFuture<'static, Found>,
    deadline: Duration,
) -> Vec<String> {
    let (outcome, facts) = match tokio::time::timeout(deadline, look_up).await {
        Ok(Ok(facts)) => (begun, facts),
        Ok(Err(error)) => {
            tracing::warn!(source = source.name(), %error, "a look-up failed; answering without it");
            (LookUp::Failed, Vec::new())
        }
        Err(_) => (LookUp::Late, Vec::new()),
    };
    source.note(outcome);
    facts
}

fn query(session: SessionId, words: &str) -> ContextQuery {
    ContextQuery { session, said: words.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::{Instant, timeout};

    use super::*;

    const DEADLINE: Duration = Duration::from_millis(30);

    /// Takes its time, and keeps what it was asked and told.
    struct Slow {
        takes: Duration,
        fails: bool,
        asked: Mutex<Vec<String>>,
        told: Mutex<Vec<LookUp>>,
    }

    impl Slow {
        fn new(takes_ms: u64) -> Arc<Self> {
            let takes = Duration::from_millis(takes_ms);
            Arc::new(Self { takes, fails: false, asked: Mutex::default(), told: Mutex::default() })
        }

        fn asked(&self) -> Vec<String> {
            self.asked.lock().expect("unpoisoned").clone()
        }

        fn told(&self) -> Vec<LookUp> {
            self.told.lock().expect("unpoisoned").clone()
        }
    }

    impl ContextSource for Slow {
        fn name(&self) -> &'static str {
            "slow"
        }

        fn look_up(&self, query: ContextQuery) -> BoxFuture<'static, Found> {
            self.asked.lock().expect("unpoisoned").push(query.said.clone());
            let (takes, fails) = (self.takes, self.fails);
            Box::pin(async move {
                tokio::time::sleep(takes).await;
                let error = ProviderError::Failed { provider: "slow", detail: "no".to_owned() };
                if fails { Err(error) } else { Ok(vec![format!("about {}", query.said)]) }
            })
        }

        fn note(&self, outcome: LookUp) {
            self.told.lock().expect("unpoisoned").push(outcome);
        }
    }

    fn ahead(source: &Arc<Slow>) -> Lookahead {
        Lookahead::new(Some(source.clone()), SessionId::random())
    }

    /// The caller goes on speaking for so long.
    async fn pass(ahead: &mut Lookahead, ms: u64) {
        let until = Instant::now() + Duration::from_millis(ms);
        while tokio::time::timeout_at(until, ahead.progress()).await.is_ok() {}
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_found_while_the_caller_spoke_is_there_at_once() {
        let source = Slow::new(80);
        let mut ahead = ahead(&source);
        ahead.handle_words(TurnId(1), "Is there a garage");
        pass(&mut ahead, 100).await;
        ahead.handle_words(TurnId(1), "Um, is there the garage?");
        let begun = Instant::now();
        assert_eq!(ahead.settle("Is there a garage?", DEADLINE).await, ["about Is there a garage"]);
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!((source.asked().len(), source.told()), (1, vec![LookUp::Ahead]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_up_under_way_is_waited_for_until_the_deadline_and_no_longer() {
        for (takes, waits, outcome) in [(50, 20, LookUp::Ahead), (200, 30, LookUp::Late)] {
            let source = Slow::new(takes);
            let mut ahead = ahead(&source);
            ahead.handle_words(TurnId(1), "a garage");
            pass(&mut ahead, 30).await;
            let begun = Instant::now();
            let facts = ahead.settle("A garage.", DEADLINE).await;
            assert_eq!(begun.elapsed(), Duration::from_millis(waits), "{takes}");
            assert_eq!(facts.is_empty(), outcome == LookUp::Late);
            assert_eq!((source.asked().len(), source.told()), (1, vec![outcome]));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn other_words_at_the_end_are_looked_up_anew() {
        let source = Slow::new(10);
        let mut ahead = ahead(&source);
        ahead.handle_words(TurnId(1), "a garage");
        pass(&mut ahead, 50).await;
        assert_eq!(ahead.settle("a garden", DEADLINE).await, ["about a garden"]);
        assert_eq!(source.told(), [LookUp::InTime]);
        // What was found for one turn is nothing for the next.
        ahead.handle_words(TurnId(2), "hello");
        assert_eq!(ahead.settle("a garage", DEADLINE).await, ["about a garage"]);
        assert_eq!(source.told(), [LookUp::InTime; 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn growing_words_ask_one_at_a_time_and_a_bounded_number_of_times() {
        let source = Slow::new(250);
        let mut ahead = ahead(&source);
        let mut words = String::new();
        for n in 0..60 {
            words.push_str(&format!("word{n} "));
            ahead.handle_words(TurnId(1), &words);
            ahead.handle_words(TurnId(1), &format!("{words} um"));
            pass(&mut ahead, 100).await;
        }
        assert_eq!(source.asked().len(), MOST_AHEAD as usize);
        // The third asks for what had been said when the second was over, after half a second.
        let third = &source.asked()[2];
        assert!(third.contains("word4 ") && !third.contains("word6"), "{third}");
        assert!(timeout(DEADLINE * 2, ahead.settle(&words, DEADLINE)).await.is_ok());
        assert_eq!(source.told(), [LookUp::Late]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_answered_without_and_told() {
        let mut source = Slow::new(5);
        Arc::get_mut(&mut source).expect("alone").fails = true;
        let mut ahead = ahead(&source);
        ahead.handle_words(TurnId(1), "a garage");
        pass(&mut ahead, 20).await;
        assert!(ahead.settle("a garage", DEADLINE).await.is_empty());
        assert_eq!((source.asked().len(), source.told()), (2, vec![LookUp::Failed]));
        let mut nothing = Lookahead::new(None, SessionId::random());
        nothing.handle_words(TurnId(1), "a garage");
        assert!(nothing.settle("a garage", DEADLINE).await.is_empty());
    }
}
