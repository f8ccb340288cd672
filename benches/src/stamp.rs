//! A moment carried inside audio: the voice writes when it gave its first samples into those samples.
//!
//! The scripted voice and the client are different processes; where the voice's rate is that of the socket, samples
//! pass the engine unchanged, so the client reads from the first message when the voice gave it. Both ask the system's
//! wall clock, which is one clock on one machine.

use std::time::{SystemTime, UNIX_EPOCH};

/// No speech looks like this.
const MARK: [i16; 4] = [0x5A5A, -0x5A5A, 0x1234, -0x4321];

/// Nanoseconds of the wall clock.
pub fn wall_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// Writes a moment into the first eight samples. Fewer samples stay as they are.
pub fn write(samples: &mut [i16], ns: u64) {
    if let Some(head) = samples.first_chunk_mut::<8>() {
        head[..4].copy_from_slice(&MARK);
        for (k, sample) in head[4..].iter_mut().enumerate() {
            *sample = (ns >> (16 * k)) as u16 as i16;
        }
    }
}

/// The moment in these samples, if there is one.
pub fn read(samples: &[i16]) -> Option<u64> {
    let head = samples.first_chunk::<8>().filter(|head| head[..4] == MARK)?;
    Some(head[4..].iter().enumerate().fold(0, |ns, (k, sample)| ns | u64::from(*sample as u16) << (16 * k)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_survives_the_samples() {
        let mut samples = [7; 320];
        assert_eq!(read(&samples), None);
        for ns in [0, 1, wall_ns(), u64::MAX] {
            write(&mut samples, ns);
            assert_eq!(read(&samples), Some(ns));
        }
        assert_eq!(samples[8], 7);
        assert_eq!(read(&samples[..7]), None);
    }
}
