//! The local voice behind the trait of all voices.
//!
//! Each clause becomes one or a few pieces of work on the inference threads; a long clause is cut where a speaker
//! would breathe, so that its first words are heard early. One piece is computed ahead of what is being taken, never
//! more, so that an interrupted reply costs at most one piece of wasted work. Dropping the stream stops after the
//! piece that is running. Caller: `session`.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::channel::oneshot;
use futures::stream::{BoxStream, Stream, StreamExt};

use super::piper::Synthesiser;
use crate::error::ProviderError;
use crate::ids::ReplyId;
use crate::infer::{Pool, Weight};
use crate::text::speakable::speakable;
use crate::tts::{SpeechEvent, TextToSpeech, Voice, VoiceOptions};

/// A local voice, shared by all calls. It has one voice and one language, whatever a call asks for.
pub struct LocalVoice {
    voice: Arc<dyn Synthesiser>,
    pool: Arc<Pool>,
}

impl LocalVoice {
    /// A voice that computes on the heavy threads of `pool`.
    pub fn new(voice: Arc<dyn Synthesiser>, pool: Arc<Pool>) -> Self {
        Self { voice, pool }
    }
}

impl TextToSpeech for LocalVoice {
    fn name(&self) -> &'static str {
        self.voice.name()
    }

    fn sound(&self, _options: &VoiceOptions) -> Option<String> {
        Some(format!("{} {} Hz", self.voice.name(), self.voice.rate().hz()))
    }

    fn open(&self, _options: VoiceOptions) -> Box<dyn Voice> {
        Box::new(CallVoice { voice: self.voice.clone(), pool: self.pool.clone() })
    }
}

struct CallVoice {
    voice: Arc<dyn Synthesiser>,
    pool: Arc<Pool>,
}

impl Voice for CallVoice {
    fn speak(
        &mut self,
        _reply: ReplyId,
        clauses: BoxStream<'static, String>,
    ) -> BoxStream<'static, Result<SpeechEvent, ProviderError>> {
        Box::pin(Speech {
            voice: self.voice.clone(),
            pool: self.pool.clone(),
            clauses: Some(clauses),
            waiting: VecDeque::new(),
            running: None,
            begun: false,
            ended_clauses: 0,
        })
    }
}

/// One reply being spoken.
struct Speech {
    voice: Arc<dyn Synthesiser>,
    pool: Arc<Pool>,
    /// `None` once it has ended.
    clauses: Option<BoxStream<'static, String>>,
    /// Pieces of the clause that was taken last.
    waiting: VecDeque<Piece>,
    running: Option<Running>,
    /// The first piece has been started: nobody waits in silence for the others.
    begun: bool,
    /// Ends of clauses to be told before anything else.
    ended_clauses: usize,
}

struct Piece {
    text: String,
    ends_clause: bool,
}

struct Running {
    speech: oneshot::Receiver<Result<Vec<i16>, ProviderError>>,
    ends_clause: bool,
}

impl Speech {
    /// Starts the next piece if none is running; takes the next clause if all its pieces are gone.
    fn start_next(&mut self, context: &mut Context<'_>) -> Result<(), ProviderError> {
        while self.running.is_none() {
            if let Some(piece) = self.waiting.pop_front() {
                self.running = Some(self.start(piece)?);
                return Ok(());
            }
            let Some(clauses) = &mut self.clauses else { return Ok(()) };
            match clauses.poll_next_unpin(context) {
                Poll::Pending => return Ok(()),
                Poll::Ready(None) => self.clauses = None,
                Poll::Ready(Some(clause)) => {
                    // The session's clauses are speakable and stay as they are. This voice skips what it cannot
                    // read without a word, so it makes sure.
                    let text = speakable(&clause);
                    let mut pieces: Vec<&str> = pieces(&text);
                    if pieces.is_empty() {
                        // Nothing to say is still a clause that whoever counts them waits for.
                        pieces.push("");
                    }
                    let last = pieces.len() - 1;
                    let piece =
                        |(i, text): (usize, &str)| Piece { text: text.to_owned(), ends_clause: i == last };
                    self.waiting.extend(pieces.into_iter().enumerate().map(piece));
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, piece: Piece) -> Result<Running, ProviderError> {
        let (done, speech) = oneshot::channel();
        let voice = self.voice.clone();
        let Piece { text, ends_clause } = piece;
        if text.is_empty() {
            let _ = done.send(Ok(Vec::new()));
            return Ok(Running { speech, ends_clause });
        }
        let weight = if std::mem::replace(&mut self.begun, true) { Weight::Ahead } else { Weight::Urgent };
        let queued = self.pool.submit_once(weight, move || {
            // The reply may have been interrupted while the piece waited.
            if !done.is_canceled() {
                let _ = done.send(voice.synthesise(&text));
            }
        });
        if queued {
            return Ok(Running { speech, ends_clause });
        }
        let detail = "too many calls wait for the inference threads".to_owned();
        Err(ProviderError::Limited { provider: self.voice.name(), detail, retry_after: None })
    }

    /// After an error nothing follows.
    fn end(&mut self) {
        self.clauses = None;
        self.waiting.clear();
        self.running = None;
    }
}

impl Stream for Speech {
    type Item = Result<SpeechEvent, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if self.ended_clauses > 0 {
                self.ended_clauses -= 1;
                return Poll::Ready(Some(Ok(SpeechEvent::ClauseEnd)));
            }
            if let Err(error) = self.start_next(context) {
                self.end();
                return Poll::Ready(Some(Err(error)));
            }
            let Some(running) = &mut self.running else {
                return if self.clauses.is_none() { Poll::Ready(None) } else { Poll::Pending };
            };
            let Poll::Ready(speech) = Pin::new(&mut running.speech).poll(context) else {
                return Poll::Pending;
            };
            let ends_clause = running.ends_clause;
            self.running = None;
            let detail = "the synthesis was given up".to_owned();
            let speech = speech
                .unwrap_or_else(|_| Err(ProviderError::Failed { provider: self.voice.name(), detail }))
                // What comes next is started before this audio is handed over.
                .and_then(|samples| self.start_next(context).map(|()| samples));
            match speech {
                Err(error) => {
                    self.end();
                    return Poll::Ready(Some(Err(error)));
                }
                Ok(samples) => {
                    self.ended_clauses += usize::from(ends_clause);
                    if !samples.is_empty() {
                        let rate = self.voice.rate();
                        return Poll::Ready(Some(Ok(SpeechEvent::Audio { rate, samples })));
                    }
                }
            }
        }
    }
}

/// A clause of up to this many words is spoken in one piece.
const WHOLE: usize = 12;
/// Words of the first piece of a longer one: enough to cover the computing of the next.
const FIRST: std::ops::RangeInclusive<usize> = 4..=7;
/// Words of the pieces after it.
const LATER: std::ops::RangeInclusive<usize> = 6..=12;

/// Cuts speakable text at natural places: best behind punctuation, else in front of a word that begins a phrase, and
/// only where there is neither, anywhere.
fn pieces(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text.trim();
    while rest.split_whitespace().count() > WHOLE {
        let range = if out.is_empty() { FIRST } else { LATER };
        let starts: Vec<usize> = word_starts(rest);
        let cut = range
            .clone()
            .filter_map(|words| starts.get(words).map(|at| (words, *at)))
            .max_by_key(|(words, at)| (fitness(&rest[..*at], &rest[*at..]), *words))
            .map_or(rest.len(), |(_, at)| at);
        out.push(rest[..cut].trim_end());
        rest = &rest[cut..];
    }
    if !rest.is_empty() {
        out.push(rest);
    }
    out
}

fn word_starts(text: &str) -> Vec<usize> {
    let mut before_was_space = true;
    text.char_indices()
        .filter(|(_, c)| {
            let starts = before_was_space && !c.is_whitespace();
            before_was_space = c.is_whitespace();
            starts
        })
        .map(|(at, _)| at)
        .collect()
}

/// How natural a cut is here.
fn fitness(before: &str, after: &str) -> u8 {
    let next = after.split_whitespace().next().unwrap_or_default();
    let last = before.split_whitespace().next_back().unwrap_or_default();
    if last.ends_with(['.', '?', '!', ';', ':']) {
        3
    } else if last.ends_with(',') {
        2
    } else {
        u8::from(BEGINNERS.contains(&next) && !BEGINNERS.contains(&last))
    }
}

/// Words that begin a phrase, in front of which a speaker may pause.
const BEGINNERS: [&str; 20] = [
    "about", "after", "and", "at", "because", "before", "but", "for", "from", "if", "in", "near", "on", "or",
    "so", "that", "when", "which", "while", "with",
];

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc;
    use std::time::Duration;

    use futures::channel::mpsc as clause_channel;
    use futures::stream;

    use super::*;
    use crate::audio::SampleRate;

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
    }

    /// Speaks as many samples as the text has letters, and notes what it was given.
    #[derive(Default)]
    struct Stand {
        said: Mutex<Vec<String>>,
        /// Waited for before each piece is done.
        gate: Option<Mutex<mpsc::Receiver<()>>>,
        started: Option<mpsc::Sender<()>>,
        fails: bool,
    }

    impl Synthesiser for Stand {
        fn name(&self) -> &'static str {
            "stand-in"
        }

        fn rate(&self) -> SampleRate {
            SampleRate::HZ_24000
        }

        fn synthesise(&self, text: &str) -> Result<Vec<i16>, ProviderError> {
            self.said.lock().expect("said").push(text.to_owned());
            if let Some(started) = &self.started {
                let _ = started.send(());
            }
            if let Some(gate) = &self.gate {
                let _ = gate.lock().expect("gate").recv_timeout(Duration::from_secs(20));
            }
            if text.contains("panic") {
                panic!("on purpose");
            }
            if self.fails {
                return Err(ProviderError::Failed { provider: "stand-in", detail: "on purpose".into() });
            }
            Ok(vec![1; text.len()])
        }
    }

    fn speak(
        stand: Arc<Stand>,
        clauses: BoxStream<'static, String>,
    ) -> BoxStream<'static, Result<SpeechEvent, ProviderError>> {
        let pool = Arc::new(Pool::start(2).expect("threads"));
        let voice = LocalVoice::new(stand, pool);
        voice.open(VoiceOptions::default()).speak(ReplyId(1), clauses)
    }

    fn clauses(texts: &[&str]) -> BoxStream<'static, String> {
        stream::iter(texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).boxed()
    }

    fn summary(events: Vec<Result<SpeechEvent, ProviderError>>) -> Vec<String> {
        events
            .into_iter()
            .map(|event| match event {
                Ok(SpeechEvent::Audio { samples, .. }) => samples.len().to_string(),
                Ok(SpeechEvent::ClauseEnd) => "end".to_owned(),
                Ok(SpeechEvent::Alignment(_)) => "words".to_owned(),
                Err(error) => error.to_string(),
            })
            .collect()
    }

    #[test]
    fn every_clause_gives_its_audio_and_then_its_end() {
        let stand = Arc::new(Stand::default());
        let events = block_on(speak(stand.clone(), clauses(&["Sure.", "", "It has $5."])).collect());
        assert_eq!(summary(events), ["5", "end", "end", "20", "end"]);
        assert_eq!(*stand.said.lock().expect("said"), ["Sure.", "It has five dollars."]);
    }

    #[test]
    fn a_long_clause_comes_in_pieces_and_has_one_end() {
        let stand = Arc::new(Stand::default());
        let text = "The house on the corner has three large bedrooms and two baths, and it was renovated a short while ago.";
        let events = summary(block_on(speak(stand.clone(), clauses(&[text])).collect()));
        let said = stand.said.lock().expect("said");
        assert!(said.len() >= 2, "{said:?}");
        assert!(said[0].split(' ').count() <= *FIRST.end(), "{said:?}");
        assert_eq!(said.join(" "), text);
        assert_eq!(events.len(), said.len() + 1);
        assert_eq!(events.last().map(String::as_str), Some("end"));
    }

    #[test]
    fn audio_starts_with_the_first_clause_and_the_next_is_computed_meanwhile() {
        let (open, gate) = mpsc::channel();
        let (started, starts) = mpsc::channel();
        let stand =
            Arc::new(Stand { gate: Some(Mutex::new(gate)), started: Some(started), ..Stand::default() });
        let (mut give, take) = clause_channel::channel(4);
        let mut speech = speak(stand.clone(), take.boxed());
        let wait = || starts.recv_timeout(Duration::from_secs(20)).expect("a piece was started");
        for clause in ["One.", "Two.", "Three."] {
            give.try_send(clause.to_owned()).expect("room");
        }
        open.send(()).expect("open");
        assert!(matches!(block_on(speech.next()), Some(Ok(SpeechEvent::Audio { .. }))));
        wait();
        // Nobody asked for more yet, and the second is being computed already; the third is not.
        wait();
        assert_eq!(*stand.said.lock().expect("said"), ["One.", "Two."]);
        assert!(matches!(block_on(speech.next()), Some(Ok(SpeechEvent::ClauseEnd))));
        open.send(()).expect("open");
        assert!(matches!(block_on(speech.next()), Some(Ok(SpeechEvent::Audio { .. }))));
    }

    #[test]
    fn dropping_the_stream_leaves_the_rest_unsaid() {
        let (open, gate) = mpsc::channel();
        let (started, starts) = mpsc::channel();
        let stand =
            Arc::new(Stand { gate: Some(Mutex::new(gate)), started: Some(started), ..Stand::default() });
        let pool = Arc::new(Pool::start(1).expect("threads"));
        let voice = LocalVoice::new(stand.clone(), pool.clone());
        let mut first = voice.open(VoiceOptions::default()).speak(ReplyId(1), clauses(&["One.", "Two."]));
        let mut second = voice.open(VoiceOptions::default()).speak(ReplyId(2), clauses(&["Other."]));
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(first.poll_next_unpin(&mut context).is_pending());
        assert!(second.poll_next_unpin(&mut context).is_pending());
        starts.recv_timeout(Duration::from_secs(20)).expect("the first piece runs");
        drop(first);
        drop(second);
        drop(open);
        // Whatever is queued behind them has run when this has.
        let (done, heard) = mpsc::channel();
        assert!(pool.submit_once(Weight::Urgent, move || done.send(()).expect("receiver")));
        heard.recv_timeout(Duration::from_secs(20)).expect("the queue goes on");
        assert_eq!(*stand.said.lock().expect("said"), ["One."]);
    }

    #[test]
    fn a_failure_ends_the_stream() {
        let stand = Arc::new(Stand { fails: true, ..Stand::default() });
        let events = summary(block_on(speak(stand, clauses(&["One.", "Two."])).collect()));
        assert_eq!(events, ["stand-in failed: on purpose"]);
    }

    #[test]
    fn a_panic_of_the_model_is_a_failure_and_not_a_hang() {
        let events = summary(block_on(speak(Arc::new(Stand::default()), clauses(&["panic"])).collect()));
        assert_eq!(events, ["stand-in failed: the synthesis was given up"]);
    }

    #[test]
    fn a_full_queue_is_told() {
        let (open, gate) = mpsc::channel::<()>();
        let pool = Arc::new(Pool::start(1).expect("threads"));
        let gate = Arc::new(Mutex::new(gate));
        loop {
            let gate = gate.clone();
            let wait = move || {
                let _ = gate.lock().expect("gate").recv_timeout(Duration::from_secs(20));
            };
            if !pool.submit_once(Weight::Urgent, wait) {
                break;
            }
        }
        let voice = LocalVoice::new(Arc::new(Stand::default()), pool);
        let mut speech = voice.open(VoiceOptions::default()).speak(ReplyId(1), clauses(&["One."]));
        let first = block_on(speech.next());
        assert!(matches!(first, Some(Err(ProviderError::Limited { .. }))));
        assert!(block_on(speech.next()).is_none());
        drop(open);
    }

    #[test]
    fn cuts_fall_in_natural_places() {
        for (text, first) in [
            (
                "I found three homes, and the nearest one of them is a few minutes from downtown.",
                "I found three homes,",
            ),
            (
                "twelve oh eight Barton Drive is listed for five hundred twenty five thousand dollars and has a pool",
                "twelve oh eight Barton Drive is listed",
            ),
            ("Sure, it has three bedrooms.", "Sure, it has three bedrooms."),
        ] {
            assert_eq!(pieces(text)[0], first);
        }
        assert!(pieces("").is_empty());
        let endless = "word ".repeat(500);
        let cut = pieces(&endless);
        assert!(cut.iter().all(|piece| piece.split(' ').count() <= WHOLE));
        assert_eq!(cut.join(" "), endless.trim());
    }

    #[test]
    fn a_voice_may_move_between_threads() {
        fn sendable<T: Send>() {}
        sendable::<Speech>();
        sendable::<LocalVoice>();
    }
}
