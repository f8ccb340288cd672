//! EBML: element IDs and sizes (RFC 8794, sections 4 to 6), and small elements inside a slice.

/// The four bytes that start an EBML document.
pub(super) const EBML: u32 = 0x1A45_DFA3;

/// Longest EBML header that is believed when one turns up in the middle of other data.
const MAX_HEADER_BYTES: u64 = 4_096;

/// Something read from the front of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read<T> {
    /// It, and how many bytes it took.
    Got(T, usize),
    /// The slice ends inside it.
    Short,
    /// No element starts so.
    Invalid,
}

/// Reads an element ID of one to four bytes, its marker bits kept (RFC 8794, section 5).
pub(super) fn read_id(bytes: &[u8]) -> Read<u32> {
    let Some(&first) = bytes.first() else { return Read::Short };
    let length = first.leading_zeros() as usize + 1;
    if length > 4 {
        return Read::Invalid;
    }
    let Some(id) = bytes.get(..length) else { return Read::Short };
    Read::Got(id.iter().fold(0, |id, &byte| id << 8 | u32::from(byte)), length)
}

/// Reads an element size of one to eight bytes; `None` is the size that is not known (RFC 8794, section 6.2).
pub(super) fn read_size(bytes: &[u8]) -> Read<Option<u64>> {
    match read_vint(bytes) {
        Read::Got(value, length) => Read::Got(Some(value).filter(|&v| v != (1 << (7 * length)) - 1), length),
        Read::Short => Read::Short,
        Read::Invalid => Read::Invalid,
    }
}

/// Reads a variable-size integer without its marker (RFC 8794, section 4).
pub(super) fn read_vint(bytes: &[u8]) -> Read<u64> {
    let Some(&first) = bytes.first() else { return Read::Short };
    let length = first.leading_zeros() as usize + 1;
    if length > 8 {
        return Read::Invalid;
    }
    let Some(vint) = bytes.get(..length) else { return Read::Short };
    let value = vint.iter().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
    Read::Got(value & !(1 << (7 * length)), length)
}

/// The elements of a slice, in order, as far as they are whole and valid.
pub(super) fn elements(mut bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> + Clone {
    std::iter::from_fn(move || {
        let Read::Got(id, id_length) = read_id(bytes) else { return None };
        let Read::Got(Some(size), size_length) = read_size(&bytes[id_length..]) else { return None };
        let start = id_length + size_length;
        let end = start.checked_add(usize::try_from(size).ok()?)?;
        let body = bytes.get(start..end)?;
        bytes = &bytes[end..];
        Some((id, body))
    })
}

/// An unsigned integer of up to eight bytes (RFC 8794, section 7.2).
pub(super) fn unsigned(body: &[u8]) -> Option<u64> {
    (body.len() <= 8).then(|| body.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}

/// Whether an EBML header starts at the front of the slice, judged by more than its four bytes, which may turn up in
/// audio: its size must be small and its first child must be one of its own.
pub(super) fn starts_document(bytes: &[u8]) -> Read<()> {
    let magic = EBML.to_be_bytes();
    if !bytes.iter().zip(magic).all(|(&a, b)| a == b) {
        return Read::Invalid;
    }
    let Some(rest) = bytes.get(magic.len()..) else { return Read::Short };
    match read_size(rest) {
        Read::Got(Some(size), length) if size <= MAX_HEADER_BYTES => match rest.get(length..length + 2) {
            Some([0x42, 0x82 | 0x85 | 0x86 | 0x87 | 0xF2 | 0xF3 | 0xF7]) => Read::Got((), magic.len()),
            Some(_) => Read::Invalid,
            None => Read::Short,
        },
        Read::Short => Read::Short,
        _ => Read::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_every_length_are_read() {
        assert_eq!(read_size(&[0x81]), Read::Got(Some(1), 1));
        assert_eq!(read_size(&[0x40, 0x01]), Read::Got(Some(1), 2));
        assert_eq!(read_size(&[0x01, 0, 0, 0, 0, 0, 0, 1]), Read::Got(Some(1), 8));
        assert_eq!(read_size(&[0xFF]), Read::Got(None, 1));
        assert_eq!(read_size(&[0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]), Read::Got(None, 8));
        assert_eq!(read_size(&[0x40]), Read::Short);
        assert_eq!(read_size(&[]), Read::Short);
        assert_eq!(read_size(&[0x00]), Read::Invalid);
    }

    #[test]
    fn ids_keep_their_marker() {
        assert_eq!(read_id(&[0xA3]), Read::Got(0xA3, 1));
        assert_eq!(read_id(&[0x1A, 0x45, 0xDF, 0xA3]), Read::Got(EBML, 4));
        assert_eq!(read_id(&[0x1A, 0x45]), Read::Short);
        assert_eq!(read_id(&[0x08]), Read::Invalid);
    }

    #[test]
    fn a_header_is_believed_only_with_a_child_of_its_own() {
        assert_eq!(starts_document(&[0x1A, 0x45, 0xDF, 0xA3, 0x9F, 0x42, 0x86]), Read::Got((), 4));
        assert_eq!(starts_document(&[0x1A, 0x45, 0xDF, 0xA3, 0x9F, 0x42]), Read::Short);
        assert_eq!(starts_document(&[0x1A, 0x45, 0xDF, 0xA3, 0x9F, 0x43, 0x86]), Read::Invalid);
        assert_eq!(starts_document(&[0x1A, 0x45, 0xDF, 0xA3, 0xFF]), Read::Invalid);
    }
}
