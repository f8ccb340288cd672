//! One reply over HTTP, for models and formats that no socket carries, and where sockets fail: a request a clause.
//!
//! Clauses and the bytes of answers go in with `handle_*`; requests and speech come out with `poll_*`. One request is
//! under way at a time, since each counts against the account's concurrency; the next is ready when the answer before
//! it is over, which is sooner than its audio is heard. Cancelling is dropping the value and the request. Invariants: as
//! many `ClauseEnd`s as clauses unless it fails, and the bytes of an answer that is not waited for change nothing.
//! Caller: the client.

use std::collections::VecDeque;
use std::time::Duration;

use crate::error::ProviderError;
use crate::tts::SpeechEvent;

use super::spoken::Spoken;
use super::wire::{self, MOST_MESSAGE, SpeechPiece};
use super::{ElevenLabsConfig, PROVIDER};

/// Text of one reply, 128 KiB, as on a socket. More is [`ProviderError::Rejected`].
const MOST_TEXT: usize = 128 << 10;

/// A `POST` with a JSON body.
#[derive(Clone, PartialEq, Eq)]
pub struct SpeechRequest {
    /// To be named with the answer. Never used twice within a reply.
    pub id: u32,
    /// What to send.
    pub body: String,
    /// Characters of text in it.
    pub chars: usize,
}

impl std::fmt::Debug for SpeechRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The body is what the caller will hear.
        write!(f, "SpeechRequest({}, {} bytes)", self.id, self.body.len())
    }
}

/// One reply.
#[derive(Debug)]
pub struct HttpReply {
    config: ElevenLabsConfig,
    timed: bool,
    spoken: Spoken,
    unsent: VecDeque<Clause>,
    /// Bytes of all its text.
    text: usize,
    /// The last clause that was asked for.
    previous: String,
    ended: bool,
    asked: Option<Asked>,
    next: u32,
    events: VecDeque<SpeechEvent>,
}

#[derive(Debug)]
struct Clause {
    text: String,
    /// None where there is nothing to speak.
    body: Option<String>,
}

/// A request that is under way.
#[derive(Debug)]
struct Asked {
    id: u32,
    /// The beginning of a line whose rest has not come.
    line: Vec<u8>,
    /// Where its audio begins in the reply.
    start: Duration,
    /// Up to where times went, as the service said them.
    reached: Duration,
}

impl HttpReply {
    /// A reply of which nothing is said. `timed`: the requests go to [`wire::timed_stream_address`], whose answers have
    /// word times and are a third larger, else to [`wire::stream_address`].
    pub fn new(config: ElevenLabsConfig, timed: bool) -> Self {
        Self {
            timed,
            spoken: Spoken::new(&config),
            unsent: VecDeque::new(),
            text: 0,
            previous: String::new(),
            ended: false,
            asked: None,
            next: 0,
            events: VecDeque::new(),
            config,
        }
    }

    /// Where its requests go.
    pub fn address(&self, voice_id: &str) -> String {
        let address = if self.timed { wire::timed_stream_address } else { wire::stream_address };
        address(&self.config, voice_id)
    }

    /// The next clause. Behind the end it does nothing.
    ///
    /// # Errors
    /// [`ProviderError::Rejected`]: the reply has more text than the model or anybody takes. It is over.
    pub fn handle_clause(&mut self, clause: &str) -> Result<(), ProviderError> {
        if self.ended {
            return Ok(());
        }
        self.text += clause.len();
        if self.text > MOST_TEXT {
            self.stop();
            let detail = "a reply of more than 128 KiB".to_owned();
            return Err(ProviderError::Rejected { provider: PROVIDER, detail });
        }
        // Signs alone would be spoken as a noise, or refused.
        let body = if clause.contains(char::is_alphanumeric) {
            let text = clause.trim();
            let body =
                wire::encode_request(&self.config, text, &self.previous).inspect_err(|_| self.stop())?;
            text.clone_into(&mut self.previous);
            Some(body)
        } else {
            None
        };
        self.unsent.push_back(Clause { text: clause.to_owned(), body });
        self.advance();
        Ok(())
    }

    /// No more clauses will come.
    pub fn handle_end(&mut self) {
        self.ended = true;
    }

    /// Takes a part of the body of a successful answer.
    ///
    /// # Errors
    /// [`ProviderError::Failed`]: it is not what was asked for. Or what the service said. The reply is over.
    pub fn handle_bytes(&mut self, request: u32, bytes: &[u8]) -> Result<(), ProviderError> {
        let Some(mut asked) = self.asked.take_if(|asked| asked.id == request) else { return Ok(()) };
        let mut out = Vec::new();
        let read = if self.timed {
            self.read_lines(&mut asked, bytes, &mut out)
        } else {
            self.spoken.handle_bytes(bytes, &mut out);
            Ok(())
        };
        self.events.extend(out);
        match read {
            Ok(()) => self.asked = Some(asked),
            Err(_) => self.stop(),
        }
        read
    }

    /// A successful answer is complete.
    ///
    /// # Errors
    /// As for [`handle_bytes`](Self::handle_bytes); also an answer without any audio.
    pub fn handle_answered(&mut self, request: u32) -> Result<(), ProviderError> {
        let Some(mut asked) = self.asked.take_if(|asked| asked.id == request) else { return Ok(()) };
        let mut out = Vec::new();
        let line = std::mem::take(&mut asked.line);
        let mut read = self.read_line(&mut asked, &line, &mut out);
        if read.is_ok() && self.spoken.duration() <= asked.start {
            read = Err(failed("an answer without audio"));
        }
        match read {
            Ok(()) => self.spoken.finish(&mut out),
            Err(_) => self.stop(),
        }
        self.events.extend(out);
        self.advance();
        read
    }

    /// The next request to send; none while one is under way.
    pub fn poll_request(&mut self) -> Option<SpeechRequest> {
        if self.asked.is_some() {
            return None;
        }
        let clause = self.unsent.pop_front()?;
        self.spoken.handle_clause(&clause.text);
        let id = self.next;
        self.next += 1;
        let start = self.spoken.duration();
        self.asked = Some(Asked { id, line: Vec::new(), start, reached: Duration::ZERO });
        // `advance` took those without a body.
        let chars = clause.text.chars().count();
        Some(SpeechRequest { id, body: clause.body.unwrap_or_default(), chars })
    }

    /// The next piece of speech.
    pub fn poll_event(&mut self) -> Option<SpeechEvent> {
        self.events.pop_front()
    }

    /// Whether all of it was said and given out, or it failed.
    pub fn is_over(&self) -> bool {
        self.ended && self.unsent.is_empty() && self.asked.is_none() && self.events.is_empty()
    }

    /// Passes over clauses with nothing to speak.
    fn advance(&mut self) {
        while self.asked.is_none()
            && let Some(clause) = self.unsent.pop_front_if(|clause| clause.body.is_none())
        {
            let mut out = Vec::new();
            self.spoken.handle_clause(&clause.text);
            self.spoken.finish(&mut out);
            self.events.extend(out);
        }
    }

    fn read_lines(
        &mut self,
        asked: &mut Asked,
        bytes: &[u8],
        out: &mut Vec<SpeechEvent>,
    ) -> Result<(), ProviderError> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if asked.line.len() + part.len() > MOST_MESSAGE {
                return Err(failed("a line of more than 4 MiB"));
            }
            asked.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut asked.line);
                self.read_line(asked, &line, out)?;
            }
        }
        Ok(())
    }

    fn read_line(
        &mut self,
        asked: &mut Asked,
        line: &[u8],
        out: &mut Vec<SpeechEvent>,
    ) -> Result<(), ProviderError> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        let piece = wire::parse_timed(line)?;
        let base = self.base_of(asked, &piece);
        self.spoken.handle_piece_from(&piece, base, out)
    }

    /// From where the times of a piece count. Whether that is the answer or the piece is not documented, and both agree
    /// for the first one: times that go on where those before ended count from the answer.
    fn base_of(&self, asked: &mut Asked, piece: &SpeechPiece<'_>) -> Duration {
        let times = piece.alignment.as_ref().or(piece.normalised.as_ref());
        let Some((first, last)) = times.and_then(|times| times.spans.first().zip(times.spans.last())) else {
            return self.spoken.duration();
        };
        let goes_on = !asked.reached.is_zero() && first.start + ROUNDING >= asked.reached;
        asked.reached = last.end;
        if goes_on { asked.start } else { self.spoken.duration() }
    }

    fn stop(&mut self) {
        self.ended = true;
        self.asked = None;
        self.unsent.clear();
    }
}

/// Times have three decimals and come from a model.
const ROUNDING: Duration = Duration::from_millis(20);

fn failed(detail: &str) -> ProviderError {
    ProviderError::Failed { provider: PROVIDER, detail: detail.to_owned() }
}
