//! What every recogniser keeps (`voice_core::stt`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use voice_core::audio::Frame;
use voice_core::error::ProviderError;
use voice_core::ids::UtteranceId;
use voice_core::stt::{SpeechToText, SttEvent, SttEvents, SttOptions, SttStream};
use voice_fixtures::standin::Cloud;

use crate::clips::{clips, hum, is_like, silence};
use crate::{sentences, soon, until};

sentences! { SENTENCES of Recogniser:
    each_utterance_ends_once_with_its_words,
    words_that_are_still_coming_do_not_hold_the_next_utterance_back,
    silence_has_no_words,
    without_an_utterance_nothing_happens,
    a_new_utterance_abandons_the_one_before,
    a_promised_partial_comes,
    a_promised_partial_comes_where_there_are_no_words_too,
    a_long_utterance_ends,
    pushing_waits_for_nobody_and_the_end_is_told_all_the_same,
    two_calls_keep_their_words_apart,
    a_dropped_stream_leaves_nothing_behind,
}

sentences! { LOST of Recogniser:
    a_lost_utterance_is_told_at_its_end_and_the_next_one_ends_too,
}

sentences! { DEAF of Recogniser:
    a_promised_partial_comes_where_there_are_no_words_too,
}

sentences! { SLOW of Recogniser:
    an_utterance_whose_words_do_not_come_ends,
}

/// A recogniser, and what is known of it.
#[derive(Clone)]
pub(crate) struct Recogniser {
    pub(crate) stt: Arc<dyn SpeechToText>,
    pub(crate) ear: Ear,
    /// Between two frames: none where any pace is taken.
    pub(crate) pace: Duration,
    /// Whether an utterance that is lost is told to be before its end.
    pub(crate) fails_early: bool,
    /// Whether connections stay with it for the next call.
    pub(crate) keeps_connections: bool,
    /// The stand-ins that it talks to.
    pub(crate) clouds: Vec<Arc<Cloud>>,
}

impl Recogniser {
    /// One that listens, at any pace.
    pub(crate) fn new(stt: impl SpeechToText + 'static) -> Self {
        Self::shared(Arc::new(stt))
    }

    /// The same of one that others use too.
    pub(crate) fn shared(stt: Arc<dyn SpeechToText>) -> Self {
        Self {
            stt,
            ear: Ear::Listens,
            pace: Duration::ZERO,
            fails_early: false,
            keeps_connections: false,
            clouds: Vec::new(),
        }
    }

    /// The same with a stand-in behind it.
    pub(crate) fn of(mut self, cloud: Arc<Cloud>) -> Self {
        self.clouds.push(cloud);
        self
    }
}

/// What its words come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ear {
    /// What is said.
    Listens,
    /// The texts of the recordings, one after the other, whatever is said.
    Scripted,
    /// Unknown: a stand-in that somebody else has started.
    Unknown,
}

struct Sink(UnboundedSender<SttEvent>);

impl SttEvents for Sink {
    fn handle_stt_event(&self, event: SttEvent) {
        let _ = self.0.send(event);
    }
}

/// One call.
struct Call {
    stream: Box<dyn SttStream>,
    sink: Arc<Sink>,
    events: UnboundedReceiver<SttEvent>,
    pace: Duration,
    ear: Ear,
    /// Everything that came, in order.
    seen: Vec<SttEvent>,
    begun: u32,
    finalised: BTreeSet<UtteranceId>,
}

fn of(event: &SttEvent) -> UtteranceId {
    match event {
        SttEvent::Partial { utterance, .. }
        | SttEvent::Final { utterance, .. }
        | SttEvent::Failed { utterance, .. } => *utterance,
    }
}

fn is_ending(event: &SttEvent) -> bool {
    !matches!(event, SttEvent::Partial { .. })
}

impl Call {
    fn open(recogniser: &Recogniser) -> Self {
        let (tx, events) = mpsc::unbounded_channel();
        let sink = Arc::new(Sink(tx));
        let options = SttOptions {
            language: "en".to_owned(),
            key_terms: vec!["Maple".to_owned()],
            ..SttOptions::default()
        };
        let (stream, seen) = (recogniser.stt.open(options, sink.clone()), Vec::new());
        let (pace, ear, finalised) = (recogniser.pace, recogniser.ear, BTreeSet::new());
        Self { stream, sink, events, pace, ear, seen, begun: 0, finalised }
    }

    /// Starts the next utterance.
    fn begin(&mut self) -> UtteranceId {
        self.begun += 1;
        let utterance = UtteranceId(self.begun);
        self.stream.begin(utterance);
        utterance
    }

    async fn push(&mut self, frames: &[Frame]) {
        for frame in frames {
            self.stream.push(frame);
            if self.pace.is_zero() {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(self.pace).await;
            }
        }
    }

    fn finalise(&mut self) {
        self.finalised.insert(UtteranceId(self.begun));
        self.stream.finalise();
    }

    /// Starts an utterance, says the next recording in it, and finalises it.
    async fn say(&mut self) -> UtteranceId {
        let clip = &clips()[self.begun as usize % clips().len()];
        let utterance = self.begin();
        self.push(&clip.frames).await;
        self.push(&silence(10)).await;
        self.finalise();
        utterance
    }

    async fn next(&mut self, what: &str) -> SttEvent {
        let event = soon(what, self.events.recv()).await.expect("the sink is ours");
        self.seen.push(event.clone());
        event
    }

    /// How an utterance ends.
    async fn ending(&mut self, utterance: UtteranceId) -> Result<String, ProviderError> {
        let ended = |event: &SttEvent| of(event) == utterance && is_ending(event);
        let known = self.seen.iter().find(|event| ended(event)).cloned();
        let mut event = known;
        while event.as_ref().is_none_or(|event| !ended(event)) {
            event = Some(self.next("the end of an utterance").await);
        }
        match event {
            Some(SttEvent::Failed { error, .. }) => Err(error),
            Some(SttEvent::Final { text, .. } | SttEvent::Partial { text, .. }) => Ok(text),
            None => unreachable!("the loop ends with an event"),
        }
    }

    /// The utterance ends with the words of its recording.
    async fn understood(&mut self, utterance: UtteranceId) {
        let heard = self.ending(utterance).await.expect("its words");
        let said = &clips()[(utterance.0 as usize - 1) % clips().len()].words;
        let right = if self.ear == Ear::Unknown { !heard.is_empty() } else { is_like(said, &heard) };
        assert!(right, "{heard:?} of {said:?}");
    }

    /// Hangs up, waits until nobody is left who could say something, and gives all that was said.
    async fn hang_up(self) -> Vec<SttEvent> {
        let Self { stream, sink, mut events, mut seen, .. } = self;
        drop(stream);
        until("the end of what serves the call", || Arc::strong_count(&sink) == 1).await;
        while let Ok(event) = events.try_recv() {
            seen.push(event);
        }
        seen
    }

    /// Hangs up and checks all that was said.
    async fn leave(self) -> Vec<SttEvent> {
        let (begun, finalised) = (self.begun, self.finalised.clone());
        let seen = self.hang_up().await;
        let mut ended = BTreeSet::new();
        for event in &seen {
            let utterance = of(event);
            assert!((1..=begun).contains(&utterance.0), "of an utterance that nobody began: {event:?}");
            assert!(!ended.contains(&utterance), "behind the end of its utterance: {event:?}");
            match event {
                SttEvent::Partial { text, stable, .. } => {
                    assert!(text.is_char_boundary(*stable), "{stable} is no place in {text:?}");
                }
                SttEvent::Final { .. } | SttEvent::Failed { .. } => {
                    assert!(finalised.contains(&utterance), "of an utterance that was not over: {event:?}");
                    ended.insert(utterance);
                }
            }
        }
        assert_eq!(ended, finalised, "each that is finalised ends: {seen:?}");
        seen
    }
}

/// "No more audio for this utterance: `Final` or `Failed` must follow", for many on one stream.
async fn each_utterance_ends_once_with_its_words(recogniser: &Recogniser) {
    let mut call = Call::open(recogniser);
    for _ in 0..2 * clips().len() {
        let utterance = call.say().await;
        call.understood(utterance).await;
    }
    call.leave().await;
}

/// The next one may begin before the words of the last are there.
async fn words_that_are_still_coming_do_not_hold_the_next_utterance_back(recogniser: &Recogniser) {
    let mut call = Call::open(recogniser);
    let (first, second) = (call.say().await, call.say().await);
    call.understood(first).await;
    call.understood(second).await;
    call.leave().await;
}

/// "Empty where nothing was understood": silence, and no audio at all.
async fn silence_has_no_words(recogniser: &Recogniser) {
    let mut call = Call::open(recogniser);
    for frames in [50, 0] {
        let utterance = call.begin();
        call.push(&silence(frames)).await;
        call.finalise();
        let heard = call.ending(utterance).await.expect("an end");
        assert!(heard.is_empty() || recogniser.ear == Ear::Scripted, "{heard:?}");
    }
    call.leave().await;
}

/// "Without an open utterance it does nothing."
async fn without_an_utterance_nothing_happens(recogniser: &Recogniser) {
    let mut call = Call::open(recogniser);
    let idle = async |call: &mut Call| {
        call.push(&hum(25)).await;
        assert!(!call.stream.hint_pause(), "a partial of nothing is promised");
        call.stream.finalise();
    };
    idle(&mut call).await;
    let utterance = call.say().await;
    idle(&mut call).await;
    call.understood(utterance).await;
    idle(&mut call).await;
    // Behind this end whatever the others might have led to has come.
    let utterance = call.say().await;
    call.understood(utterance).await;
    call.leave().await;
}

/// "Starts an utterance; an unfinished one before it is abandoned": its end is never told, its words are nobody's.
async fn a_new_utterance_abandons_the_one_before(recogniser: &Recogniser) {
    let mut call = Call::open(recogniser);
    let abandoned = call.begin();
    call.push(&clips()[0].frames).await;
    let utterance = call.say().await;
    call.understood(utterance).await;
    let ended = call.leave().await.into_iter().any(|event| of(&event) == abandoned && is_ending(&event));
    assert!(!ended, "an utterance that was left has ended");
}

/// "`true`: a partial transcript of all up to here follows."
async fn a_promised_partial_comes(recogniser: &Recogniser) {
    let mut call = Call::open(recogniser);
    let utterance = call.begin();
    call.push(&clips()[0].frames).await;
    call.push(&silence(10)).await;
    if call.stream.hint_pause() {
        loop {
            let SttEvent::Partial { text, .. } = call.next("the promised partial").await else {
                panic!("an end that nobody asked for: {:?}", call.seen)
            };
            // One that was under way may come first.
            if is_like(&clips()[0].words, &text) {
                break;
            }
        }
    }
    call.finalise();
    call.understood(utterance).await;
    call.leave().await;
}

/// The same for a noise: who waits for that partial would wait in vain.
async fn a_promised_partial_comes_where_there_are_no_words_too(recogniser: &Recogniser) {
    let mut call = Call::open(recogniser);
    let utterance = call.begin();
    // Short, and without a gap behind it: nothing has asked for its words before.
    call.push(&hum(10)).await;
    if call.stream.hint_pause() {
        let event = call.next("the promised partial").await;
        assert!(!is_ending(&event), "{event:?}");
    }
    call.finalise();
    let _ = call.ending(utterance).await;
    call.leave().await;
}

/// However long an utterance is, it ends: 36 s are more than any recogniser hears at once.
async fn a_long_utterance_ends(recogniser: &Recogniser) {
    let mut call = Call::open(recogniser);
    let utterance = call.begin();
    for clip in clips().iter().cycle().take(12) {
        call.push(&clip.frames).await;
    }
    call.finalise();
    let text = call.ending(utterance).await.expect("its words");
    assert!(text.len() < 2_000, "{} bytes for 36 s", text.len());
    call.leave().await;
}

/// "Must not block", and the end is told whatever was lost on the way: nothing of the recogniser runs meanwhile.
async fn pushing_waits_for_nobody_and_the_end_is_told_all_the_same(recogniser: &Recogniser) {
    if !recogniser.pace.is_zero() {
        // A service in real time is not to be flooded.
        return;
    }
    let recogniser = recogniser.clone();
    let (done, outcome) = tokio::sync::oneshot::channel();
    // On a runtime of its own, whose one thread is here until all is pushed. If this blocks, the thread is left behind.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ended = runtime.block_on(async {
            let mut call = Call::open(&recogniser);
            let utterance = call.begin();
            // 100 s: more than any queue holds.
            silence(5_000).iter().for_each(|frame| call.stream.push(frame));
            call.finalise();
            let ended = call.ending(utterance).await;
            call.leave().await;
            ended
        });
        let _ = done.send(ended);
    });
    let ended = soon("the end of an utterance that came at once", outcome).await.expect("no panic");
    assert!(ended.is_ok(), "nothing is wrong with the service: {ended:?}");
}

/// Two calls at once.
async fn two_calls_keep_their_words_apart(recogniser: &Recogniser) {
    let (mut one, mut other) = (Call::open(recogniser), Call::open(recogniser));
    // The other is one recording ahead.
    let utterance = other.say().await;
    other.understood(utterance).await;
    let (first, second) = tokio::join!(one.say(), other.say());
    one.understood(first).await;
    other.understood(second).await;
    one.leave().await;
    other.leave().await;
}

/// "Dropping it abandons whatever is under way": no task, no connection is left.
async fn a_dropped_stream_leaves_nothing_behind(recogniser: &Recogniser) {
    for finalised in [false, true] {
        let mut call = Call::open(recogniser);
        call.begin();
        call.push(&clips()[0].frames).await;
        if let Some(cloud) = recogniser.clouds.last() {
            until("a connection", || cloud.live() > 0).await;
        }
        if finalised {
            call.finalise();
        }
        call.hang_up().await;
    }
    for cloud in recogniser.clouds.iter().filter(|_| !recogniser.keeps_connections) {
        until("the end of every connection", || cloud.live() == 0).await;
    }
}

/// "`Final` or `Failed` must follow" where it has failed before its end too; "the stream stays usable for the next one".
async fn a_lost_utterance_is_told_at_its_end_and_the_next_one_ends_too(recogniser: &Recogniser) {
    let mut call = Call::open(recogniser);
    let lost = call.begin();
    call.push(&hum(50)).await;
    if recogniser.fails_early {
        let event = call.next("the early failure").await;
        assert!(matches!(event, SttEvent::Failed { utterance, .. } if utterance == lost), "{event:?}");
        // What is said behind it is nobody's.
        call.push(&hum(50)).await;
        call.seen.clear();
    }
    call.finalise();
    call.ending(lost).await.expect_err("it is lost");
    let next = call.begin();
    call.push(&hum(50)).await;
    call.finalise();
    let _ = call.ending(next).await;
    let told = call.hang_up().await.iter().filter(|event| of(event) == lost && is_ending(event)).count();
    assert_eq!(told, 1, "times that the end was told");
}

/// "`Final` or `Failed` must follow", also where the service listens well and has no answer in time, however often it is
/// asked.
async fn an_utterance_whose_words_do_not_come_ends(recogniser: &Recogniser) {
    let mut call = Call::open(recogniser);
    let utterance = call.say().await;
    println!("        {:?}", call.ending(utterance).await);
    call.leave().await;
}
