//! Voice activity of a simulated caller: the truth, seen late, as a network behind a segmenter sees it.

use std::time::Duration;

use crate::time::SessionTime;

use super::caller::Track;

/// What was found in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// The caller started to speak.
    Started {
        /// First voiced moment.
        at: SessionTime,
    },
    /// The caller fell silent.
    Ended {
        /// Last voiced moment.
        last_voiced: SessionTime,
    },
}

/// Judges windows of 32 ms. A start takes two voiced windows, an end 96 ms of silence.
#[derive(Clone, Debug, Default)]
pub struct Listening {
    judged: SessionTime,
    speaking: bool,
    run: Option<SessionTime>,
    run_windows: u32,
    last_voiced: SessionTime,
}

impl Listening {
    /// Up to where has been judged.
    pub fn judged(&self) -> SessionTime {
        self.judged
    }

    /// Audio goes on at `at` after a gap in which nothing was sent.
    pub fn skip_to(&mut self, at: SessionTime) {
        self.judged = self.judged.max(at);
    }

    /// Judges the next window if audio up to `taken` holds a whole one. Gives what was found in it.
    pub fn judge(&mut self, track: &Track, taken: SessionTime) -> Option<Option<Activity>> {
        let end = self.judged + WINDOW;
        if end > taken {
            return None;
        }
        let voiced = track.voiced(self.judged, end).filter(|(_, _, voiced)| *voiced >= WINDOW / 2);
        self.judged = end;
        let Some((first, last, _)) = voiced else {
            self.run = None;
            self.run_windows = 0;
            if self.speaking && end.since(self.last_voiced) >= HANG {
                self.speaking = false;
                return Some(Some(Activity::Ended { last_voiced: self.last_voiced }));
            }
            return Some(None);
        };
        self.last_voiced = last;
        let at = *self.run.get_or_insert(first);
        self.run_windows += 1;
        if self.speaking || self.run_windows < ONSET_WINDOWS {
            return Some(None);
        }
        self.speaking = true;
        Some(Some(Activity::Started { at }))
    }

    /// A turn was decided: if the caller still speaks, that is a new start.
    pub fn end_speech(&mut self) {
        self.speaking = false;
        self.run = None;
        self.run_windows = 0;
    }
}

/// What the network takes at once.
const WINDOW: Duration = Duration::from_millis(32);
/// Voiced windows that make a start.
const ONSET_WINDOWS: u32 = 2;
/// Silence that makes an end.
const HANG: Duration = Duration::from_millis(96);
