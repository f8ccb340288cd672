//! Blocks: their header and the frames laced into them (RFC 9559, sections 10.2 and 10.3).

use std::ops::Range;

use super::ebml::{Read, read_vint};

/// Bits of a SimpleBlock's flags that are reserved and zero (RFC 9559, section 10.2).
const RESERVED_FLAGS: u8 = 0x70;

/// Bits of the flags that say how frames are laced; none for a single frame.
const LACING: u8 = 0x06;

/// The head of a Block or SimpleBlock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockHead {
    pub(super) track: u64,
    /// Relative to the cluster, in units of the timestamp scale.
    pub(super) timestamp: i16,
    flags: u8,
    length: usize,
}

impl BlockHead {
    /// Longest head: a track number of eight bytes, two of timestamp, one of flags.
    pub(super) const MAX_BYTES: usize = 11;

    /// Parses the head at the front of a block's payload. `None`: this is no block.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let Read::Got(track, at) = read_vint(payload) else { return None };
        let &[high, low, flags] = payload.get(at..at + 3)?.first_chunk()?;
        let head = Self { track, timestamp: i16::from_be_bytes([high, low]), flags, length: at + 3 };
        (flags & RESERVED_FLAGS == 0).then_some(head)
    }

    /// Whether several frames share the block.
    pub(super) fn is_laced(&self) -> bool {
        self.flags & LACING != 0
    }

    /// Whether it has flags that no block of audio needs: invisible, or discardable.
    pub(super) fn is_marked(&self) -> bool {
        self.flags & (0x08 | 0x01) != 0
    }

    /// The frame of a block without lacing.
    pub(super) fn single_frame<'a>(&self, payload: &'a [u8]) -> &'a [u8] {
        payload.get(self.length..).unwrap_or_default()
    }

    /// Puts the bounds of the block's frames into `frames`. `None`: the lacing does not add up.
    pub(super) fn frames(&self, payload: &[u8], frames: &mut Vec<Range<usize>>) -> Option<()> {
        frames.clear();
        let mut at = self.length;
        let lacing = self.flags & LACING;
        if lacing == 0 {
            frames.push(at..payload.len());
            return Some(());
        }
        let count = usize::from(*payload.get(at)?) + 1;
        at += 1;
        match lacing {
            0x02 => {
                // Xiph: every length but the last as a run of bytes that ends below 255.
                for _ in 1..count {
                    let mut length = 0;
                    loop {
                        let byte = *payload.get(at)?;
                        at += 1;
                        length += usize::from(byte);
                        if byte != 255 {
                            break;
                        }
                    }
                    frames.push(0..length);
                }
            }
            0x06 => {
                // EBML: the first length, then signed differences, the last left out.
                let mut length = 0i64;
                for frame in 1..count {
                    let Read::Got(value, used) = read_vint(payload.get(at..)?) else { return None };
                    at += used;
                    let value = i64::try_from(value).ok()?;
                    length = if frame == 1 { value } else { length + value - ((1i64 << (7 * used - 1)) - 1) };
                    frames.push(0..usize::try_from(length).ok()?);
                }
            }
            _ => {
                let total = payload.len().checked_sub(at)?;
                if total % count != 0 {
                    return None;
                }
                (1..count).for_each(|_| frames.push(0..total / count));
            }
        }
        for frame in frames.iter_mut() {
            let end = at.checked_add(frame.end)?;
            *frame = at..end;
            at = end;
        }
        (at <= payload.len()).then(|| frames.push(at..payload.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(payload: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut bounds = Vec::new();
        BlockHead::parse(payload)?.frames(payload, &mut bounds)?;
        Some(bounds.into_iter().map(|range| payload[range].to_vec()).collect())
    }

    #[test]
    fn every_lacing_gives_its_frames() {
        let expected = Some(vec![vec![1], vec![2, 2], vec![3, 3, 3]]);
        assert_eq!(frames(&[0x81, 0, 7, 0x02, 2, 1, 2, 1, 2, 2, 3, 3, 3]), expected, "Xiph");
        // The difference of +1 is 64 as one signed byte, and its marker.
        assert_eq!(frames(&[0x81, 0, 7, 0x06, 2, 0x81, 0xC0, 1, 2, 2, 3, 3, 3]), expected, "EBML");
        assert_eq!(frames(&[0x81, 0, 7, 0x04, 1, 5, 6, 7, 8]), Some(vec![vec![5, 6], vec![7, 8]]), "fixed");
        assert_eq!(frames(&[0x81, 0, 7, 0x80, 5, 6]), Some(vec![vec![5, 6]]), "none");
    }

    #[test]
    fn long_laces_take_several_bytes_of_length() {
        let mut payload = vec![0x81, 0, 0, 0x02, 1, 255, 45];
        payload.extend([9; 300]);
        payload.extend([8; 3]);
        let got = frames(&payload).expect("valid");
        assert_eq!((got[0].len(), got[1].len()), (300, 3));
    }

    #[test]
    fn laces_that_do_not_add_up_are_refused() {
        assert_eq!(frames(&[0x81, 0, 7, 0x02, 2, 9, 9, 1]), None);
        assert_eq!(frames(&[0x81, 0, 7, 0x04, 1, 5, 6, 7]), None);
        assert_eq!(frames(&[0x81, 0, 7, 0x06, 2, 0x81, 0x80, 1]), None, "a negative length");
        assert_eq!(frames(&[0x81, 0, 7, 0x02]), None);
        assert_eq!(frames(&[0x81, 0]), None);
        assert_eq!(frames(&[0x81, 0, 7, 0x10, 1]), None, "reserved flags");
    }
}
