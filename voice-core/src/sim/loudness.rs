//! Voice activity by loudness alone, for recordings without noise.

use crate::vad::{VAD_WINDOW, VadModel, VadStream};

/// Calls every window speech that is louder than a threshold. Has no state and takes no time.
#[derive(Clone, Copy, Debug)]
pub struct ScriptedVad {
    /// Mean square above which a window counts as speech.
    threshold: u64,
}

impl ScriptedVad {
    /// Windows whose root mean square exceeds `level` (of 32,768) are speech.
    pub const fn new(level: u16) -> Self {
        Self { threshold: level as u64 * level as u64 }
    }
}

impl Default for ScriptedVad {
    fn default() -> Self {
        Self::new(300)
    }
}

impl VadModel for ScriptedVad {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn open(&self) -> Box<dyn VadStream> {
        Box::new(*self)
    }
}

impl VadStream for ScriptedVad {
    fn probability(&mut self, window: &[i16; VAD_WINDOW]) -> f32 {
        let energy: u64 = window.iter().map(|s| u64::from(s.unsigned_abs()).pow(2)).sum();
        if energy > self.threshold * VAD_WINDOW as u64 { 0.98 } else { 0.01 }
    }

    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_is_told_from_silence() {
        let mut stream = ScriptedVad::default().open();
        assert!(stream.probability(&[0; VAD_WINDOW]) < 0.1);
        assert!(stream.probability(&[-1_000; VAD_WINDOW]) > 0.9);
        assert!(stream.probability(&[i16::MIN; VAD_WINDOW]) > 0.9);
        assert!(stream.probability(&[100; VAD_WINDOW]) < 0.1);
    }
}
