use super::*;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::sleep;

/// How a recogniser behaves. Its words are its name and how many frames it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Well,
    /// Fails when the utterance is over.
    FailsAtEnd,
    /// Fails after so many frames.
    FailsAfter(usize),
    /// Never says anything.
    Hangs,
}

struct Scripted {
    name: &'static str,
    manner: Manner,
}

struct Hearing {
    name: &'static str,
    manner: Manner,
    events: Arc<dyn SttEvents>,
    utterance: Option<UtteranceId>,
    frames: usize,
}

impl SpeechToText for Scripted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn open(&self, _options: SttOptions, events: Arc<dyn SttEvents>) -> Box<dyn SttStream> {
        Box::new(Hearing { name: self.name, manner: self.manner, events, utterance: None, frames: 0 })
    }
}

impl Hearing {
    fn fail(&self, utterance: UtteranceId) {
        let error = ProviderError::Failed { provider: self.name, detail: "as the test wants".to_owned() };
        self.events.handle_stt_event(SttEvent::Failed { utterance, error });
    }
}

impl SttStream for Hearing {
    fn begin(&mut self, utterance: UtteranceId) {
        (self.utterance, self.frames) = (Some(utterance), 0);
    }

    fn push(&mut self, _frame: &Frame) {
        let Some(utterance) = self.utterance else { return };
        self.frames += 1;
        if self.manner == Manner::FailsAfter(self.frames) {
            self.utterance = None;
            self.fail(utterance);
        } else if self.frames.is_multiple_of(10) && self.manner != Manner::Hangs {
            let text = format!("{} {}", self.name, self.frames);
            self.events.handle_stt_event(SttEvent::Partial { utterance, text, stable: 0 });
        }
    }

    fn finalise(&mut self) {
        let Some(utterance) = self.utterance.take() else { return };
        match self.manner {
            Manner::Hangs => {}
            Manner::FailsAtEnd => self.fail(utterance),
            Manner::Well | Manner::FailsAfter(_) => {
                let text = format!("{} {}", self.name, self.frames);
                self.events.handle_stt_event(SttEvent::Final { utterance, text });
            }
        }
    }
}

struct Out(mpsc::UnboundedSender<SttEvent>);

impl SttEvents for Out {
    fn handle_stt_event(&self, event: SttEvent) {
        let _ = self.0.send(event);
    }
}

struct Talk {
    stream: Box<dyn SttStream>,
    events: UnboundedReceiver<SttEvent>,
}

fn talk(manners: &[Manner]) -> Talk {
    let names = ["first", "second", "third"];
    let candidates = manners.iter().zip(names).map(|(manner, name)| RecogniserCandidate {
        recogniser: Arc::new(Scripted { name, manner: *manner }),
        probe: None,
    });
    let recogniser =
        ResilientRecogniser::new(candidates.collect(), &Deadlines::default(), 5).expect("a line-up");
    let (tx, events) = unbounded_channel();
    Talk { stream: recogniser.open(SttOptions::default(), Arc::new(Out(tx))), events }
}

fn utterance(number: u32) -> UtteranceId {
    (0..number).fold(UtteranceId::default(), |id, _| id.next())
}

impl Talk {
    async fn say(&mut self, number: u32, frames: usize) {
        self.stream.begin(utterance(number));
        for _ in 0..frames {
            self.stream.push(&[0; crate::audio::FRAME_SAMPLES]);
            sleep(Duration::from_millis(20)).await;
        }
        self.stream.finalise();
    }

    /// All endings of utterances until nothing comes for long.
    async fn endings(&mut self) -> Vec<(UtteranceId, Option<String>)> {
        let mut endings = Vec::new();
        while let Ok(Some(event)) = timeout(Duration::from_secs(20), self.events.recv()).await {
            match event {
                SttEvent::Partial { .. } => {}
                SttEvent::Final { utterance, text } => endings.push((utterance, Some(text))),
                SttEvent::Failed { utterance, .. } => endings.push((utterance, None)),
            }
        }
        endings
    }
}

#[tokio::test(start_paused = true)]
async fn the_preferred_recogniser_hears_while_it_can() {
    let mut talk = talk(&[Manner::Well, Manner::Well]);
    talk.say(1, 30).await;
    talk.say(2, 40).await;
    let expected = [(1, "first 30"), (2, "first 40")].map(|(n, text)| (utterance(n), Some(text.to_owned())));
    assert_eq!(talk.endings().await, expected);
}

#[tokio::test(start_paused = true)]
async fn another_gets_the_whole_utterance_where_one_fails_or_is_silent() {
    for manner in [Manner::FailsAtEnd, Manner::Hangs, Manner::FailsAfter(1), Manner::FailsAfter(25)] {
        let mut talk = talk(&[manner, Manner::Well]);
        for number in 1..=8 {
            let begun = Instant::now();
            talk.say(number, 30).await;
            let said = begun.elapsed();
            let ending = loop {
                match talk.events.recv().await.expect("an ending") {
                    SttEvent::Partial { .. } => {}
                    other => break other,
                }
            };
            assert!(
                matches!(&ending, SttEvent::Final { utterance: of, text } if *of == utterance(number) && text == "second 30"),
                "{manner:?}: {ending:?}"
            );
            assert!(
                begun.elapsed() - said < Duration::from_millis(3_500),
                "{manner:?}: {:?}",
                begun.elapsed() - said
            );
        }
        assert!(talk.endings().await.is_empty(), "{manner:?}: an utterance ended twice");
    }
}

#[tokio::test(start_paused = true)]
async fn with_nobody_left_each_utterance_fails_once_it_is_over() {
    for manner in [Manner::FailsAtEnd, Manner::Hangs] {
        let mut talk = talk(&[manner, manner]);
        talk.say(1, 30).await;
        assert_eq!(talk.endings().await, [(utterance(1), None)], "{manner:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_utterance_that_waits_is_not_disturbed_by_the_next() {
    let mut talk = talk(&[Manner::Hangs, Manner::Well]);
    talk.say(1, 30).await;
    // The next one begins at once, while the first is given to another recogniser.
    talk.say(2, 100).await;
    let mut endings = talk.endings().await;
    endings.sort_by_key(|(utterance, _)| *utterance);
    let expected =
        [(1, "second 30"), (2, "second 100")].map(|(n, text)| (utterance(n), Some(text.to_owned())));
    assert_eq!(endings, expected);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_utterance_ends_in_nothing() {
    let mut talk = talk(&[Manner::Well, Manner::Well]);
    talk.stream.begin(utterance(1));
    talk.stream.push(&[0; crate::audio::FRAME_SAMPLES]);
    talk.say(2, 30).await;
    assert_eq!(talk.endings().await, [(utterance(2), Some("first 30".to_owned()))]);
}
