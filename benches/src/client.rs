//! One caller: talks in real time, notes when each message came, and judges afterwards what that was like.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};
use voice_core::audio::{Level, SampleRate};

use crate::recorded;
use crate::socket::{self, Ear, Message};
use crate::stamp;

/// In which form the caller asks for answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Wanted {
    /// Raw frames of 20 ms at 16 kHz.
    Pcm16,
    /// Raw messages at 24 kHz, which is what other engines give.
    #[value(name = "pcm16-24k")]
    Pcm24,
    /// Complete files.
    Wav,
}

impl Wanted {
    /// Path and query of a new call.
    pub fn path(self) -> String {
        let id = uuid::Uuid::new_v4();
        match self {
            Self::Pcm16 => format!("/voice/{id}?in=pcm16&out=pcm16&out_rate=16000"),
            Self::Pcm24 => format!("/voice/{id}?in=pcm16&out=pcm16&out_rate=24000"),
            Self::Wav => format!("/voice/{id}?in=pcm16&out=wav"),
        }
    }

    fn samples(self, payload: &[u8]) -> Vec<i16> {
        match self {
            Self::Pcm16 | Self::Pcm24 => {
                payload.as_chunks().0.iter().map(|two| i16::from_le_bytes(*two)).collect()
            }
            Self::Wav => recorded::decode(payload).unwrap_or_default(),
        }
    }

    const fn rate(self) -> SampleRate {
        match self {
            Self::Pcm16 => RATE,
            Self::Pcm24 => SampleRate::HZ_24000,
            // Files are decoded to the engine's rate, whatever theirs is.
            Self::Wav => voice_core::audio::ENGINE_RATE,
        }
    }
}

/// What a caller does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How answers come.
    pub wanted: Wanted,
    /// What is said in each turn.
    pub utterance: Arc<[i16]>,
    /// The last voiced sample in it.
    pub speech_end: Duration,
    /// When the caller starts to send; when the call is open, if that is later.
    pub start: Instant,
    /// Silence that is sent before the first turn.
    pub lead: Duration,
    /// From one turn's start to the next.
    pub cycle: Duration,
    /// How many turns.
    pub turns: u32,
    /// The caller hangs up when he has heard this much of the last answer. `None`: after the last cycle.
    pub enough: Option<Duration>,
}

/// A message of audio as it came.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// When.
    pub at: Instant,
    /// How long it is heard.
    pub lasts: Duration,
    /// Whether it is louder than -50 dBFS.
    pub audible: bool,
    /// Time since its voice gave it, where it says so.
    pub added: Option<Duration>,
}

/// A turn of the caller as it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Spoken {
    /// Its first message.
    pub from: Instant,
    /// The message with the last voiced sample.
    pub zero: Instant,
}

/// What a call was.
#[derive(Debug, Default)]
pub struct Call {
    /// The caller's turns.
    pub spoken: Vec<Spoken>,
    /// What came.
    pub pieces: Vec<Piece>,
    /// How late each message left, against real time.
    pub late: Vec<Duration>,
    /// Why it broke off, if it did.
    pub error: Option<String>,
}

/// What a turn was like for the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Turn {
    /// Which turn of its call, from zero.
    pub number: usize,
    /// From the last voiced sample, as sent, to the first audible message. `None`: no answer before the next turn.
    pub first_sound: Option<Duration>,
    /// From the voice's first sample to the first message.
    pub added: Option<Duration>,
    /// How often the player ran dry.
    pub underruns: u32,
    /// How much of the answer came.
    pub heard: Duration,
    /// Sound came while the caller was still talking.
    pub early: bool,
}

/// Rate of what the caller sends and, in raw form, hears.
const RATE: SampleRate = SampleRate::HZ_16000;
/// Samples of one message.
const MESSAGE: usize = 320;
/// Length of one message.
const EVERY: Duration = Duration::from_millis(20);
/// Quieter is no sound.
const AUDIBLE_DBFS: f32 = -50.0;
/// The player starts this long after the first audio.
const PLAYER_WAITS: Duration = Duration::from_millis(60);
/// How long a caller waits until his call is open.
const OPEN_LIMIT: Duration = Duration::from_secs(15);
/// How long a caller waits for the echo of his close.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Makes a call. What goes wrong stands in the result.
pub async fn call(server: SocketAddr, plan: Plan) -> Call {
    let mut call = Call::default();
    if let Err(error) = talk(server, &plan, &mut call).await {
        call.error = Some(error.to_string());
    }
    call
}

async fn talk(server: SocketAddr, plan: &Plan, call: &mut Call) -> io::Result<()> {
    let path = plan.wanted.path();
    let dialled = timeout(OPEN_LIMIT, socket::dial(server, &path, None)).await;
    let (mut mouth, ear) = dialled.map_err(|_| io::Error::other("the call was not opened"))??;
    let start = plan.start.max(Instant::now());
    let (heard_in, mut heard) = tokio::sync::watch::channel(Duration::ZERO);
    let (give_up, given_up) = tokio::sync::oneshot::channel();
    let mut listening = tokio::spawn(listen(ear, plan.wanted, heard_in, given_up));
    let result = async {
        let per = |time: Duration| (time.as_micros() / EVERY.as_micros()) as u32;
        let (lead, cycle) = (per(plan.lead), per(plan.cycle));
        let messages = lead + cycle * plan.turns;
        let zero = per(plan.speech_end.saturating_sub(Duration::from_nanos(1)));
        let mut message = [0; 2 * MESSAGE];
        let mut before_last = Duration::ZERO;
        for k in 0..messages {
            // A microphone hands a message over when its last sample is there.
            let due = start + EVERY * (k + 1);
            sleep_until(due).await;
            let in_turn = k.checked_sub(lead).map(|k| k % cycle);
            fill(&mut message, &plan.utterance, in_turn);
            let now = Instant::now();
            mouth.audio(&message).await?;
            call.late.push(now - due);
            if in_turn == Some(0) {
                call.spoken.push(Spoken { from: now, zero: now });
                before_last = *heard.borrow_and_update();
            }
            if in_turn == Some(zero)
                && let Some(spoken) = call.spoken.last_mut()
            {
                spoken.zero = now;
            }
            let is_last = call.spoken.len() == plan.turns as usize;
            if is_last && plan.enough.is_some_and(|enough| *heard.borrow() >= before_last + enough) {
                break;
            }
            if listening.is_finished() {
                return Err(io::Error::other("the server ended the call"));
            }
        }
        mouth.close().await
    }
    .await;
    let unechoed = || io::Error::other("the close was not echoed");
    let (ended, in_time) = match timeout(CLOSE_LIMIT, &mut listening).await {
        Ok(ended) => (ended, true),
        Err(_) => {
            // What came until now was heard all the same.
            let _ = give_up.send(());
            (listening.await, false)
        }
    };
    let (pieces, ended) = ended.map_err(io::Error::other)?;
    call.pieces = pieces;
    result.and(ended).and(if in_time { Ok(()) } else { Err(unechoed()) })
}

fn fill(message: &mut [u8; 2 * MESSAGE], utterance: &[i16], in_turn: Option<u32>) {
    message.fill(0);
    let from = in_turn.map_or(utterance.len(), |k| k as usize * MESSAGE);
    let samples = utterance.get(from..).unwrap_or_default();
    for (two, sample) in message.as_chunks_mut().0.iter_mut().zip(samples) {
        *two = sample.to_le_bytes();
    }
}

async fn listen(
    mut ear: Ear,
    wanted: Wanted,
    heard: tokio::sync::watch::Sender<Duration>,
    mut given_up: tokio::sync::oneshot::Receiver<()>,
) -> (Vec<Piece>, io::Result<()>) {
    let mut pieces = Vec::new();
    loop {
        let message = tokio::select! {
            message = ear.next() => message,
            _ = &mut given_up => return (pieces, Ok(())),
        };
        let (at, wall) = (Instant::now(), stamp::wall_ns());
        match message {
            Ok(Message::Binary(payload)) => {
                let samples = wanted.samples(&payload);
                let stamped = stamp::read(&samples);
                // A stamp is loud; what counts is the sound behind it.
                let sound = samples.get(8..).unwrap_or_default();
                let lasts = wanted.rate().duration_of(samples.len() as u64);
                let audible = Level::of(sound).rms > AUDIBLE_DBFS;
                let added = stamped.map(|given| Duration::from_nanos(wall.saturating_sub(given)));
                pieces.push(Piece { at, lasts, audible, added });
                heard.send_modify(|heard| *heard += lasts);
            }
            Ok(Message::Text(_)) => {}
            Ok(Message::Close(1000)) => return (pieces, Ok(())),
            Ok(Message::Close(code)) => {
                return (pieces, Err(io::Error::other(format!("closed with {code}"))));
            }
            Err(error) => return (pieces, Err(error)),
        }
    }
}

/// What each turn of a call was like.
pub fn judge(call: &Call) -> Vec<Turn> {
    let turns = call.spoken.iter().enumerate().map(|(k, spoken)| {
        let next = call.spoken.get(k + 1).map(|next| next.from);
        let until = |piece: &&Piece| next.is_none_or(|next| piece.at < next);
        let early = call.pieces.iter().any(|p| p.audible && p.at >= spoken.from && p.at < spoken.zero);
        let answer: Vec<&Piece> =
            call.pieces.iter().filter(|p| p.at >= spoken.zero).take_while(until).collect();
        Turn {
            number: k,
            first_sound: answer.iter().find(|p| p.audible).map(|p| p.at - spoken.zero),
            added: answer.first().and_then(|p| p.added),
            underruns: underruns(&answer),
            heard: answer.iter().map(|p| p.lasts).sum(),
            early,
        }
    });
    turns.collect()
}

fn underruns(answer: &[&Piece]) -> u32 {
    let Some(first) = answer.first() else { return 0 };
    let mut dry_at = first.at + PLAYER_WAITS + first.lasts;
    let mut count = 0;
    for piece in &answer[1..] {
        if piece.at > dry_at {
            count += 1;
            dry_at = piece.at;
        }
        dry_at += piece.lasts;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn call(start: Instant, turns: &[(u64, u64)], pieces: &[u64]) -> Call {
        let spoken =
            turns.iter().map(|&(from, zero)| Spoken { from: start + ms(from), zero: start + ms(zero) });
        let piece = |&at: &u64| Piece { at: start + ms(at), lasts: ms(20), audible: true, added: None };
        Call { spoken: spoken.collect(), pieces: pieces.iter().map(piece).collect(), ..Call::default() }
    }

    #[test]
    fn an_answer_belongs_to_the_turn_before_it() {
        let call = call(Instant::now(), &[(0, 1_000), (3_000, 4_000)], &[1_300, 1_320, 4_250]);
        let turns = judge(&call);
        assert_eq!(turns[0].first_sound, Some(ms(300)));
        assert_eq!((turns[0].heard, turns[0].underruns), (ms(40), 0));
        assert_eq!((turns[1].first_sound, turns[1].heard), (Some(ms(250)), ms(20)));
    }

    #[test]
    fn no_answer_and_an_early_answer_are_told_apart() {
        let turns = judge(&call(Instant::now(), &[(0, 1_000), (3_000, 4_000)], &[3_500]));
        assert_eq!((turns[0].first_sound, turns[0].early), (None, false));
        assert_eq!((turns[1].first_sound, turns[1].early), (None, true));
    }

    #[test]
    fn a_player_runs_dry_60_ms_and_a_piece_after_the_first() {
        let start = Instant::now();
        assert_eq!(judge(&call(start, &[(0, 0)], &[100, 180, 200]))[0].underruns, 0);
        assert_eq!(judge(&call(start, &[(0, 0)], &[100, 181, 201]))[0].underruns, 1);
        assert_eq!(judge(&call(start, &[(0, 0)], &[100, 181, 202]))[0].underruns, 2);
    }

    #[test]
    fn a_message_holds_the_utterance_and_then_silence() {
        let mut message = [1; 2 * MESSAGE];
        let utterance: Vec<i16> = (0..400).collect();
        fill(&mut message, &utterance, Some(1));
        assert_eq!(message[..2], 320_i16.to_le_bytes());
        assert_eq!(message[158..162], [143, 1, 0, 0]);
        fill(&mut message, &utterance, None);
        assert!(message.iter().all(|byte| *byte == 0));
    }
}
