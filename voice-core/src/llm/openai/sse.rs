//! Server-sent events from bytes in any split (HTML Living Standard, section 9.2.6).
//!
//! Only what a chat completion uses: data, and whether an event is named `error`. Lines end in CR, LF or both; comments
//! and unknown fields are skipped. One tolerance: a line that begins like a JSON object counts as data, since servers
//! that fail before they stream write such a line.

/// Most bytes of one line and of one event's data: a whole tool call with a long text. More is no chat completion.
const MAX_EVENT: usize = 1 << 20;

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SseEvent {
    /// Its data, lines joined by LF.
    pub(super) data: Vec<u8>,
    /// Whether it is named `error`.
    pub(super) is_error: bool,
}

/// A line or an event beyond the limit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Cuts bytes into events.
#[derive(Debug, Default)]
pub(super) struct SseReader {
    line: Vec<u8>,
    data: Option<Vec<u8>>,
    is_error: bool,
    /// The last byte was a CR: an LF right after it belongs to it.
    after_cr: bool,
    started: bool,
}

impl SseReader {
    /// Takes bytes and gives the events that are complete. After an error the reader is of no use any more.
    pub(super) fn push(
        &mut self,
        mut bytes: &[u8],
        mut on_event: impl FnMut(SseEvent),
    ) -> Result<(), TooLong> {
        while let Some(end) = bytes.iter().position(|b| matches!(b, b'\r' | b'\n')) {
            let (piece, rest) = bytes.split_at(end);
            let is_lf = rest[0] == b'\n';
            if !(is_lf && piece.is_empty() && std::mem::take(&mut self.after_cr)) {
                self.extend_line(piece)?;
                self.end_line(&mut on_event)?;
            }
            self.after_cr = !is_lf;
            bytes = &rest[1..];
        }
        if !bytes.is_empty() {
            self.after_cr = false;
            self.extend_line(bytes)?;
        }
        Ok(())
    }

    /// No more bytes will come: gives the event that lacks only its end. Whether it was whole is for who reads it.
    pub(super) fn finish(&mut self, mut on_event: impl FnMut(SseEvent)) -> Result<(), TooLong> {
        if !self.line.is_empty() {
            self.end_line(&mut on_event)?;
        }
        self.dispatch(&mut on_event);
        Ok(())
    }

    fn extend_line(&mut self, piece: &[u8]) -> Result<(), TooLong> {
        if self.line.len() + piece.len() > MAX_EVENT {
            return Err(TooLong);
        }
        self.line.extend_from_slice(piece);
        Ok(())
    }

    fn end_line(&mut self, on_event: &mut impl FnMut(SseEvent)) -> Result<(), TooLong> {
        let line = std::mem::take(&mut self.line);
        let mut rest = line.as_slice();
        if !std::mem::replace(&mut self.started, true) {
            rest = rest.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(rest);
        }
        if rest.is_empty() {
            self.dispatch(on_event);
        } else if rest[0] == b'{' {
            on_event(SseEvent { data: rest.to_vec(), is_error: false });
        } else {
            let colon = rest.iter().position(|b| *b == b':').unwrap_or(rest.len());
            let (field, value) = rest.split_at(colon);
            let value = value.strip_prefix(b":").unwrap_or(value);
            self.take_field(field, value.strip_prefix(b" ").unwrap_or(value))?;
        }
        // The room is kept for the next line.
        self.line = line;
        self.line.clear();
        Ok(())
    }

    fn take_field(&mut self, field: &[u8], value: &[u8]) -> Result<(), TooLong> {
        match field {
            b"data" => {
                let joint = usize::from(self.data.is_some());
                let data = self.data.get_or_insert_default();
                if data.len() + joint + value.len() > MAX_EVENT {
                    return Err(TooLong);
                }
                data.extend_from_slice(&b"\n"[..joint]);
                data.extend_from_slice(value);
            }
            b"event" => self.is_error = value == b"error",
            // Comments have an empty name; `id` and `retry` are for reconnecting, which an answer does not.
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self, on_event: &mut impl FnMut(SseEvent)) {
        let is_error = std::mem::take(&mut self.is_error);
        if let Some(data) = self.data.take() {
            on_event(SseEvent { data, is_error });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<(String, bool)> {
        let mut reader = SseReader::default();
        let mut events = Vec::new();
        let mut take = |event: SseEvent| {
            events.push((String::from_utf8(event.data).expect("UTF-8 in, UTF-8 out"), event.is_error));
        };
        for piece in pieces {
            reader.push(piece, &mut take).expect("short lines");
        }
        reader.finish(&mut take).expect("short lines");
        events
    }

    #[test]
    fn lines_may_end_in_any_way_and_fields_in_any_order() {
        let text = "\u{FEFF}: ping\r\n\r\ndata: one\r\rid: 7\ndata:two\ndata:  three\nretry: 5\n\nevent: error\r\ndata\r\n\r\n\
                    event: error\n\ndata: last";
        let expected = [
            ("one".to_owned(), false),
            ("two\n three".to_owned(), false),
            (String::new(), true),
            ("last".to_owned(), false),
        ];
        assert_eq!(read(&[text.as_bytes()]), expected);
        for at in 0..=text.len() {
            let (one, two) = text.as_bytes().split_at(at);
            assert_eq!(read(&[one, two]), expected, "split at {at}");
        }
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(read(&bytes), expected);
    }

    #[test]
    fn a_bare_object_counts_as_data() {
        assert_eq!(read(&[b"{\"error\":\"x\"}"]), [("{\"error\":\"x\"}".to_owned(), false)]);
    }

    #[test]
    fn no_line_and_no_event_grows_without_end() {
        let mut reader = SseReader::default();
        let line = vec![b'a'; MAX_EVENT];
        assert_eq!(reader.push(&line, |_| {}), Ok(()));
        assert_eq!(reader.push(b"a", |_| {}), Err(TooLong));
        let mut reader = SseReader::default();
        let half = [b"data:".as_slice(), &vec![b'a'; MAX_EVENT / 2], b"\n"].concat();
        assert_eq!(reader.push(&half, |_| {}), Ok(()));
        assert_eq!(reader.push(&half, |_| {}), Err(TooLong));
    }
}
