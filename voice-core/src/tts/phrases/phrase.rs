//! One phrase: its sound, where its words lie, and its bytes in a store. Pure.

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::audio::SampleRate;

/// A clause that was spoken whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tts) struct Phrase {
    pub(super) rate: SampleRate,
    pub(super) samples: Vec<i16>,
    /// Ends of words in the bytes of the clause without white space before it, and where they lie from its first sample.
    pub(super) words: Vec<PhraseWord>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PhraseWord {
    pub(super) upto: usize,
    pub(super) start: Duration,
    pub(super) end: Duration,
}

/// Longest phrase that is kept: a clause of 20 words takes about 8 s.
pub(super) const LONGEST: Duration = Duration::from_secs(15);
/// Words of one phrase; a clause has 600 bytes at most.
const MOST_WORDS: usize = 600;
/// Names the format and its version.
const MAGIC: &[u8; 4] = b"VPH1";

impl Phrase {
    pub(super) fn bytes(&self) -> usize {
        self.samples.len() * 2 + self.words.len() * size_of::<PhraseWord>() + 64
    }

    /// `VPH1`, rate, number of words, for each word bytes, start and end in microseconds, all u32, then samples; all
    /// little-endian.
    pub(super) fn encode(&self) -> Bytes {
        let words = &self.words[..self.words.len().min(MOST_WORDS)];
        let mut out = BytesMut::with_capacity(12 + words.len() * 12 + self.samples.len() * 2);
        let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        out.put_slice(MAGIC);
        out.put_u32_le(self.rate.hz());
        out.put_u32_le(words.len() as u32);
        for word in words {
            out.put_u32_le(u32::try_from(word.upto).unwrap_or(u32::MAX));
            out.put_u32_le(micros(word.start));
            out.put_u32_le(micros(word.end));
        }
        for &sample in &self.samples {
            out.put_i16_le(sample);
        }
        out.freeze()
    }

    /// `None`: these are not the bytes of a phrase.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (head, rest) = rest.split_first_chunk::<8>()?;
        let number =
            |at: usize, bytes: &[u8]| bytes.as_chunks::<4>().0.get(at).map(|b| u32::from_le_bytes(*b));
        let rate = SampleRate::new(number(0, head)?).ok()?;
        let count = number(1, head)? as usize;
        if count > MOST_WORDS {
            return None;
        }
        let (words, samples) = rest.split_at_checked(count * 12)?;
        let words: Vec<PhraseWord> = words
            .as_chunks::<12>()
            .0
            .iter()
            .filter_map(|word| {
                let micros = |at| number(at, word).map(|time| Duration::from_micros(u64::from(time)));
                Some(PhraseWord { upto: number(0, word)? as usize, start: micros(1)?, end: micros(2)? })
            })
            .collect();
        let (samples, odd) = samples.as_chunks::<2>();
        if !odd.is_empty() || rate.duration_of(samples.len() as u64) > LONGEST {
            return None;
        }
        Some(Self { rate, samples: samples.iter().map(|s| i16::from_le_bytes(*s)).collect(), words })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phrase() -> Phrase {
        let word = |upto, start, end| PhraseWord {
            upto,
            start: Duration::from_millis(start),
            end: Duration::from_millis(end),
        };
        Phrase {
            rate: SampleRate::HZ_24000,
            samples: (0..2_400).map(|k| k as i16 - 1_200).collect(),
            words: vec![word(5, 10, 40), word(12, 45, 99)],
        }
    }

    #[test]
    fn a_phrase_comes_back_as_it_was() {
        assert_eq!(Phrase::decode(&phrase().encode()), Some(phrase()));
        let silent = Phrase { samples: Vec::new(), words: Vec::new(), ..phrase() };
        assert_eq!(Phrase::decode(&silent.encode()), Some(silent));
    }

    #[test]
    fn other_bytes_are_no_phrase() {
        let whole = phrase().encode();
        for cut in 0..36 {
            assert_eq!(Phrase::decode(&whole[..cut]), None, "cut at {cut}");
        }
        assert_eq!(Phrase::decode(&whole[..whole.len() - 1]), None, "half a sample");
        for (at, byte) in [(0, b'X'), (5, 0), (10, 0xff)] {
            let mut other = whole.to_vec();
            other[at] = byte;
            if at == 5 {
                other[4] = 1;
            }
            assert_eq!(Phrase::decode(&other), None, "byte {at}");
        }
        let long = Phrase { samples: vec![0; 16 * 24_000], ..phrase() };
        assert_eq!(Phrase::decode(&long.encode()), None);
    }
}
