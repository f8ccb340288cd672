//! One call's utterances for a recogniser that takes whole recordings: what to ask for when.
//!
//! The words are asked for at the end of an utterance, and at a pause already: if nothing voiced comes after it, that
//! answer is the final one. A long utterance is asked for piece by piece. Silence is never asked for, because these
//! models hear words in it. Invariants: each finalised utterance ends in `Final` or `Failed`; an answer that nobody
//! waits for changes nothing. Pure; caller: the client.

use std::collections::VecDeque;
use std::time::Duration;

use crate::audio::Frame;
use crate::error::ProviderError;
use crate::ids::UtteranceId;
use crate::stt::SttEvent;
use crate::stt::backlog::VoicedEnd;
use crate::stt::words::join;
use crate::time::SessionTime;

use super::wire::{Form, encode_form};
use super::{PROVIDER, TranscriptionConfig};

/// From here on a pause ends a piece: 20 s.
const LONG: usize = 20 * 16_000;
/// Here a piece ends without a pause: 40 s, 1.3 MB. Less than the 25 MB that the service takes and than its models
/// hear at once (30 s windows that follow each other).
const TOO_LONG: usize = 40 * 16_000;
/// Audio after the last voiced sample that is sent: 300 ms. Last words that end abruptly are misheard.
const TAIL: usize = 4_800;
/// Requests at pauses of one utterance; each costs as much as the last one.
const MOST_AHEAD: u32 = 3;
/// Longest wait for the words of a finalised utterance: 10 s. The session waits less; this is only so that nothing
/// waits for ever.
const ANSWER: Duration = Duration::from_secs(10);
/// Utterances that wait for their words; more means that nothing is answered any more.
const MOST_WAITING: usize = 8;

/// A recording to transcribe.
#[derive(Clone, Debug)]
pub struct TranscriptionRequest {
    /// To be named with the answer. Never used twice.
    pub id: u64,
    /// What to send.
    pub form: Form,
}

/// One call's utterances.
#[derive(Debug)]
pub struct WholeUtterances {
    config: TranscriptionConfig,
    /// Oldest first; the open one is the last.
    utterances: VecDeque<Utterance>,
    next: u64,
    requests: VecDeque<TranscriptionRequest>,
    events: VecDeque<SttEvent>,
}

#[derive(Debug)]
struct Utterance {
    id: UtteranceId,
    /// Audio behind the pieces.
    audio: Vec<i16>,
    voiced: VoicedEnd,
    pieces: Vec<Piece>,
    ahead: Option<Ahead>,
    aheads: u32,
    finalised: Option<SessionTime>,
    broken: Option<ProviderError>,
}

/// A part of an utterance that was asked for and is settled.
#[derive(Debug)]
struct Piece {
    request: u64,
    text: Option<String>,
}

/// What was asked for at a pause.
#[derive(Debug)]
struct Ahead {
    piece: Piece,
    /// The voiced end at that moment.
    voiced: u64,
}

impl Utterance {
    fn has_voice(&self) -> bool {
        self.voiced.end() > 0
    }

    fn words(&self) -> String {
        let texts = self.pieces.iter().filter_map(|piece| piece.text.as_deref());
        texts.fold(String::new(), |all, text| join(&all, text))
    }
}

impl WholeUtterances {
    /// One call.
    pub fn new(config: TranscriptionConfig) -> Self {
        Self {
            config,
            utterances: VecDeque::new(),
            next: 0,
            requests: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// An utterance starts; an unfinished one before it is abandoned.
    pub fn handle_begin(&mut self, id: UtteranceId) {
        self.utterances.pop_back_if(|utterance| utterance.finalised.is_none());
        if self.utterances.len() >= MOST_WAITING
            && let Some(oldest) = self.utterances.pop_front()
        {
            let detail = "too many utterances wait for their words".to_owned();
            let error = ProviderError::Limited { provider: PROVIDER, detail, retry_after: None };
            self.events.push_back(SttEvent::Failed { utterance: oldest.id, error });
        }
        self.utterances.push_back(Utterance {
            id,
            audio: Vec::new(),
            voiced: VoicedEnd::new(0),
            pieces: Vec::new(),
            ahead: None,
            aheads: 0,
            finalised: None,
            broken: None,
        });
        self.drop_unwanted();
    }

    /// The next 20 ms of the open utterance.
    pub fn handle_audio(&mut self, frame: &Frame) {
        let Some(open) = self.utterances.back_mut().filter(|u| u.finalised.is_none() && u.broken.is_none())
        else {
            return;
        };
        open.audio.extend_from_slice(frame);
        open.voiced.note(frame, open.audio.len() as u64);
        if open.audio.len() >= TOO_LONG {
            self.cut_piece();
        }
    }

    /// The caller seems to have stopped; the utterance stays open.
    pub fn handle_pause(&mut self) {
        let Some(open) = self.utterances.back().filter(|u| u.finalised.is_none() && u.broken.is_none())
        else {
            return;
        };
        let voiced = open.voiced.end();
        if open.audio.len() >= LONG {
            self.cut_piece();
        } else if self.config.ahead
            && open.has_voice()
            && open.aheads < MOST_AHEAD
            && open.ahead.as_ref().is_none_or(|ahead| ahead.voiced < voiced)
        {
            let request = self.ask();
            if let Some(open) = self.utterances.back_mut() {
                open.aheads += 1;
                open.ahead = Some(Ahead { piece: Piece { request, text: None }, voiced });
            }
            self.drop_unwanted();
        }
    }

    /// No more audio for the open utterance.
    pub fn handle_finalise(&mut self, now: SessionTime) {
        let Some(open) = self.utterances.back_mut().filter(|utterance| utterance.finalised.is_none()) else {
            return;
        };
        open.finalised = Some(now);
        if open.broken.is_none() {
            let voiced = open.voiced.end();
            match open.ahead.take().filter(|ahead| ahead.voiced == voiced) {
                Some(ahead) => {
                    open.pieces.push(ahead.piece);
                    open.audio = Vec::new();
                }
                None => self.cut_piece(),
            }
        }
        self.tell();
    }

    /// A request was answered, or could not be.
    pub fn handle_answer(&mut self, request: u64, answer: Result<String, ProviderError>) {
        for utterance in &mut self.utterances {
            if let Some(piece) = utterance.pieces.iter_mut().find(|piece| piece.request == request) {
                match answer {
                    Ok(text) => piece.text = Some(text),
                    Err(error) => utterance.broken = Some(error),
                }
                break;
            }
            if utterance.ahead.as_ref().is_some_and(|ahead| ahead.piece.request == request) {
                match answer {
                    Ok(text) => {
                        let settled = utterance.words();
                        let (stable, all) = (settled.len(), join(&settled, &text));
                        if !all.is_empty() {
                            let event = SttEvent::Partial { utterance: utterance.id, text: all, stable };
                            self.events.push_back(event);
                        }
                        if let Some(ahead) = &mut utterance.ahead {
                            ahead.piece.text = Some(text);
                        }
                    }
                    // It is asked for again at the end, which is when a failure matters.
                    Err(_) => utterance.ahead = None,
                }
                break;
            }
        }
        self.tell();
    }

    /// The time has come that [`poll_timeout`](Self::poll_timeout) named, or any other.
    pub fn handle_timeout(&mut self, now: SessionTime) {
        for utterance in &mut self.utterances {
            if utterance.finalised.is_some_and(|since| since + ANSWER <= now) && utterance.broken.is_none() {
                utterance.broken = Some(ProviderError::TimedOut { provider: PROVIDER, after: ANSWER });
            }
        }
        self.tell();
    }

    /// The next request to send.
    pub fn poll_request(&mut self) -> Option<TranscriptionRequest> {
        self.requests.pop_front()
    }

    /// Whether somebody still waits for the answer to a request. If not, it may be given up.
    pub fn is_wanted(&self, request: u64) -> bool {
        let asks = |utterance: &Utterance| {
            let ahead = utterance.ahead.as_ref().map(|ahead| &ahead.piece);
            utterance.pieces.iter().chain(ahead).any(|piece| piece.request == request && piece.text.is_none())
        };
        self.utterances.iter().filter(|utterance| utterance.broken.is_none()).any(asks)
    }

    /// The next event, in order.
    pub fn poll_event(&mut self) -> Option<SttEvent> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), if nothing else happens.
    pub fn poll_timeout(&self) -> Option<SessionTime> {
        self.utterances.iter().filter_map(|utterance| utterance.finalised).min().map(|since| since + ANSWER)
    }

    /// Asks for the audio behind the pieces, up to its voiced end.
    fn ask(&mut self) -> u64 {
        let id = self.next;
        self.next += 1;
        if let Some(open) = self.utterances.back() {
            let end = (open.voiced.end() as usize + TAIL).min(open.audio.len());
            let form = encode_form(&self.config, &open.audio[..end]);
            self.requests.push_back(TranscriptionRequest { id, form });
        }
        id
    }

    /// Settles the audio behind the pieces as one more piece; silence is none.
    fn cut_piece(&mut self) {
        let voiced = self.utterances.back().is_some_and(Utterance::has_voice);
        let request = voiced.then(|| self.ask());
        if let Some(open) = self.utterances.back_mut() {
            open.pieces.extend(request.map(|request| Piece { request, text: None }));
            open.audio = Vec::new();
            open.voiced = VoicedEnd::new(0);
            open.ahead = None;
        }
        self.drop_unwanted();
    }

    /// What was asked for and not sent, and is not wanted any more, is not sent.
    fn drop_unwanted(&mut self) {
        let requests = std::mem::take(&mut self.requests);
        self.requests = requests.into_iter().filter(|request| self.is_wanted(request.id)).collect();
    }

    /// Gives out what is complete, in order.
    fn tell(&mut self) {
        let is_over = |utterance: &mut Utterance| {
            let complete = utterance.pieces.iter().all(|piece| piece.text.is_some());
            utterance.finalised.is_some() && (complete || utterance.broken.is_some())
        };
        while let Some(utterance) = self.utterances.pop_front_if(is_over) {
            let id = utterance.id;
            let event = match utterance.broken {
                Some(error) => SttEvent::Failed { utterance: id, error },
                None => SttEvent::Final { utterance: id, text: utterance.words() },
            };
            self.events.push_back(event);
        }
        self.drop_unwanted();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::FRAME_SAMPLES;

    fn frames(machine: &mut WholeUtterances, level: i16, count: usize) {
        let frame: Frame = std::array::from_fn(|i| if i % 2 == 0 { level } else { -level });
        (0..count).for_each(|_| machine.handle_audio(&frame));
    }

    fn machine() -> WholeUtterances {
        WholeUtterances::new(TranscriptionConfig::builder(None).build().expect("sound"))
    }

    fn said(machine: &mut WholeUtterances) -> Vec<String> {
        std::iter::from_fn(|| machine.poll_event())
            .map(|event| match event {
                SttEvent::Partial { utterance, text, stable } => format!("{utterance}~{text}~{stable}"),
                SttEvent::Final { utterance, text } => format!("{utterance}={text}"),
                SttEvent::Failed { utterance, error } => format!("{utterance}!{error}"),
            })
            .collect()
    }

    const NOW: SessionTime = SessionTime::ZERO;

    /// Bytes of a form around its samples.
    fn samples(request: &TranscriptionRequest) -> usize {
        let empty = encode_form(&TranscriptionConfig::builder(None).build().expect("sound"), &[]);
        (request.form.body.len() - empty.body.len()) / 2
    }

    #[test]
    fn what_was_asked_at_a_pause_is_the_answer_if_nothing_voiced_came_after() {
        let mut m = machine();
        m.handle_begin(UtteranceId(1));
        frames(&mut m, 3_000, 50);
        frames(&mut m, 0, 5);
        m.handle_pause();
        m.handle_pause();
        let request = m.poll_request().expect("asked");
        assert!(m.poll_request().is_none(), "once");
        frames(&mut m, 0, 15);
        m.handle_finalise(NOW);
        assert!(m.poll_request().is_none() && m.is_wanted(request.id));
        m.handle_answer(request.id, Ok("Two rooms.".into()));
        assert_eq!(said(&mut m), ["1=Two rooms."]);
        assert_eq!(m.poll_timeout(), None);
    }

    #[test]
    fn a_caller_who_goes_on_is_asked_for_as_a_whole() {
        let mut m = machine();
        m.handle_begin(UtteranceId(1));
        frames(&mut m, 3_000, 50);
        m.handle_pause();
        let early = m.poll_request().expect("asked");
        m.handle_answer(early.id, Ok("Two".into()));
        assert_eq!(said(&mut m), ["1~Two~0"]);
        frames(&mut m, 3_000, 50);
        m.handle_finalise(NOW);
        let whole = m.poll_request().expect("asked again");
        assert_eq!(samples(&whole), 100 * FRAME_SAMPLES);
        m.handle_answer(early.id, Ok("Too late".into()));
        m.handle_answer(whole.id, Ok("Two rooms.".into()));
        assert_eq!(said(&mut m), ["1=Two rooms."]);
    }

    #[test]
    fn silence_is_not_asked_for() {
        let mut m = machine();
        m.handle_begin(UtteranceId(1));
        frames(&mut m, 3, 100);
        m.handle_pause();
        m.handle_finalise(NOW);
        assert!(m.poll_request().is_none());
        assert_eq!(said(&mut m), ["1="]);
    }

    #[test]
    fn the_silent_tail_is_not_sent() {
        let mut m = machine();
        m.handle_begin(UtteranceId(1));
        frames(&mut m, 3_000, 50);
        frames(&mut m, 0, 100);
        m.handle_finalise(NOW);
        assert_eq!(samples(&m.poll_request().expect("asked")), 50 * FRAME_SAMPLES + TAIL);
    }

    #[test]
    fn a_long_utterance_is_asked_for_piece_by_piece() {
        let mut m = machine();
        m.handle_begin(UtteranceId(1));
        frames(&mut m, 3_000, 2_100);
        m.handle_finalise(NOW);
        let (first, last) = (m.poll_request().expect("a piece"), m.poll_request().expect("the rest"));
        assert_eq!((samples(&first), samples(&last)), (TOO_LONG, 100 * FRAME_SAMPLES));
        m.handle_answer(last.id, Ok("ends here".into()));
        assert!(said(&mut m).is_empty());
        m.handle_answer(first.id, Ok("It starts and".into()));
        assert_eq!(said(&mut m), ["1=It starts and ends here"]);
    }

    #[test]
    fn what_is_abandoned_or_refused_or_late_ends_as_it_should() {
        let mut m = machine();
        m.handle_begin(UtteranceId(1));
        frames(&mut m, 3_000, 50);
        m.handle_pause();
        m.handle_begin(UtteranceId(2));
        assert!(m.poll_request().is_none(), "nobody wants the first");
        frames(&mut m, 3_000, 50);
        m.handle_finalise(NOW);
        let request = m.poll_request().expect("asked");
        let detail = "server_error".to_owned();
        m.handle_answer(request.id, Err(ProviderError::Failed { provider: PROVIDER, detail }));
        assert_eq!(said(&mut m), ["2!openai failed: server_error"]);
        m.handle_begin(UtteranceId(3));
        frames(&mut m, 3_000, 50);
        m.handle_finalise(NOW);
        assert_eq!(m.poll_timeout(), Some(NOW + ANSWER));
        m.handle_timeout(NOW + ANSWER);
        assert_eq!(said(&mut m), ["3!openai gave no answer within 10s"]);
    }

    #[test]
    fn nothing_more_is_wanted_of_a_lost_utterance() {
        let mut m = machine();
        m.handle_begin(UtteranceId(1));
        frames(&mut m, 3_000, 4_100);
        let (first, second) = (m.poll_request().expect("a piece"), m.poll_request().expect("a piece"));
        assert!(m.is_wanted(second.id));
        m.handle_answer(first.id, Err(ProviderError::TimedOut { provider: PROVIDER, after: ANSWER }));
        assert!(!m.is_wanted(second.id));
        frames(&mut m, 3_000, 2_100);
        m.handle_finalise(NOW);
        assert!(m.poll_request().is_none(), "the rest is not asked for");
        assert_eq!(said(&mut m), ["1!openai gave no answer within 10s"]);
    }

    #[test]
    fn utterances_come_in_order() {
        let mut m = machine();
        for id in [1, 2] {
            m.handle_begin(UtteranceId(id));
            frames(&mut m, 3_000, 50);
            m.handle_finalise(NOW);
        }
        let (first, second) = (m.poll_request().expect("one"), m.poll_request().expect("two"));
        m.handle_answer(second.id, Ok("two".into()));
        assert!(said(&mut m).is_empty());
        m.handle_answer(first.id, Ok("one".into()));
        assert_eq!(said(&mut m), ["1=one", "2=two"]);
    }
}
