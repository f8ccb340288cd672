//! The caller's voice: recorded questions as 16 kHz samples, with the annotated end of speech.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use voice_core::audio::{ENGINE_RATE, FRAME_SAMPLES};
use voice_core::ingress::{Ingress, Limits};

/// One recorded question.
#[derive(Clone, Debug)]
pub struct Question {
    /// Its file's name.
    pub name: String,
    /// Mono samples at 16 kHz.
    pub samples: Arc<[i16]>,
    /// The annotated last voiced sample.
    pub speech_end: Duration,
}

impl Question {
    /// The speech alone, without the quiet before and after, at most `longest` of its end.
    pub fn tight(&self, speech_start: Duration, longest: Duration) -> Self {
        let end = ENGINE_RATE.samples_in(self.speech_end) as usize;
        let start =
            ENGINE_RATE.samples_in(speech_start.max(self.speech_end.saturating_sub(longest))) as usize;
        let samples: Arc<[i16]> = self.samples[start.min(end)..end.min(self.samples.len())].into();
        let speech_end = ENGINE_RATE.duration_of(samples.len() as u64);
        Self { name: self.name.clone(), samples, speech_end }
    }
}

/// The first `count` of the synthetic questions.
///
/// # Errors
/// A file is missing or cannot be decoded.
pub fn questions(count: usize) -> io::Result<Vec<Question>> {
    let zeros: Value = serde_json::from_slice(&voice_fixtures::read("questions", "zeros.json")?)?;
    (1..=count.min(MOST)).map(|k| question(&zeros, &format!("q{k:02}.ogg"))).collect()
}

/// Questions that there are.
const MOST: usize = 36;

/// One utterance of 3.1 s, so that a turn each 8.5 s is 36 % speech.
///
/// # Errors
/// As [`questions`].
pub fn peer_utterance() -> io::Result<Question> {
    let zeros: Value = serde_json::from_slice(&voice_fixtures::read("questions", "zeros.json")?)?;
    Ok(question(&zeros, "q06.ogg")?.tight(SPEECH_START, Duration::from_secs(4)))
}

/// The end of a question, for runs of many turns.
///
/// # Errors
/// As [`questions`].
pub fn short_utterance() -> io::Result<Question> {
    let zeros: Value = serde_json::from_slice(&voice_fixtures::read("questions", "zeros.json")?)?;
    Ok(question(&zeros, "q05.ogg")?.tight(SPEECH_START, Duration::from_millis(600)))
}

/// All synthetic questions start to speak here.
const SPEECH_START: Duration = Duration::from_millis(330);

fn question(zeros: &Value, name: &str) -> io::Result<Question> {
    let missing = || io::Error::other(format!("zeros.json does not say where the speech of {name} ends"));
    let end = zeros["files"][name]["speech_end_ms"].as_u64().ok_or_else(missing)?;
    let samples = decode(&voice_fixtures::read("questions", name)?)?.into();
    Ok(Question { name: name.to_owned(), samples, speech_end: Duration::from_millis(end) })
}

/// The samples of a recording in any container the engine takes, at 16 kHz.
///
/// # Errors
/// It is not one the engine takes.
pub fn decode(bytes: &[u8]) -> io::Result<Vec<i16>> {
    let mut ingress = Ingress::sniffing(Limits::default());
    ingress.push(bytes).and_then(|()| ingress.finish()).map_err(io::Error::other)?;
    let mut samples = Vec::new();
    let mut frame = [0; FRAME_SAMPLES];
    while let Some(pulled) = ingress.poll_frame(&mut frame).map_err(io::Error::other)? {
        if pulled != voice_core::ingress::Pulled::Ended {
            samples.extend_from_slice(&frame);
        }
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_end_where_the_annotation_says() {
        let questions = questions(20).expect("fixtures");
        assert_eq!(questions.len(), 20);
        for question in questions {
            let after = &question.samples[ENGINE_RATE.samples_in(question.speech_end) as usize..];
            let loudest = after.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
            let speech = question.samples.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
            assert!(loudest < speech / 8, "{}: {loudest} of {speech} after its end", question.name);
        }
    }

    #[test]
    fn the_peer_utterance_is_36_percent_of_a_cycle() {
        let share = peer_utterance().expect("fixtures").speech_end.as_secs_f64() / 8.5;
        assert!((0.355..0.375).contains(&share), "{share}");
        assert_eq!(short_utterance().expect("fixtures").speech_end, Duration::from_millis(600));
    }
}
