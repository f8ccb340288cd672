//! Moonshine's token table: numbers to text.
//!
//! The file is a run of byte strings, each after its length: one byte below 128, or two, the first with its high bit
//! set and the second counting 128s. A space is written as U+2581. The first three and those in double angle brackets
//! are marks, not text. A damaged file is an error, an unknown number is nothing.

/// The table.
#[derive(Clone, Debug)]
pub struct Tokens {
    bytes: Vec<u8>,
    /// Where each token's bytes end; they start where the one before ends.
    ends: Vec<u32>,
}

/// What is wrong with a token table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokensError {
    /// The file ends inside token number `.0`.
    #[error("the token table ends inside token {0}")]
    CutOff(usize),
    /// Fewer tokens than marks, or more than any model has.
    #[error("a token table of {0} tokens is none of Moonshine's")]
    Count(usize),
}

impl Tokens {
    /// Reads a table.
    ///
    /// # Errors
    /// The file is cut off, or has an impossible number of tokens.
    pub fn parse(file: &[u8]) -> Result<Self, TokensError> {
        let mut tokens = Self { bytes: Vec::with_capacity(file.len()), ends: Vec::new() };
        let mut rest = file;
        while let Some((&first, after)) = rest.split_first() {
            let number = tokens.ends.len();
            let cut_off = TokensError::CutOff(number);
            rest = after;
            let mut length = usize::from(first);
            if first >= 128 {
                let (&second, after) = rest.split_first().ok_or(cut_off)?;
                rest = after;
                length = usize::from(second) * 128 + length - 128;
            }
            if length > rest.len() {
                return Err(cut_off);
            }
            let (token, after) = rest.split_at(length);
            rest = after;
            tokens.bytes.extend_from_slice(token);
            tokens.ends.push(tokens.bytes.len() as u32);
            if number >= MOST_TOKENS {
                return Err(TokensError::Count(number + 1));
            }
        }
        if tokens.len() <= FIRST_TEXT { Err(TokensError::Count(tokens.len())) } else { Ok(tokens) }
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none; a parsed table never is.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The text of a run of tokens, with single spaces and none at the ends.
    pub fn text(&self, ids: &[u32]) -> String {
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        for &id in ids {
            bytes.extend_from_slice(self.text_bytes(id));
        }
        let text = String::from_utf8_lossy(&bytes).replace('\u{2581}', " ");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn text_bytes(&self, id: u32) -> &[u8] {
        let id = id as usize;
        if id < FIRST_TEXT || id >= self.ends.len() {
            return &[];
        }
        let bytes = &self.bytes[self.ends[id - 1] as usize..self.ends[id] as usize];
        if bytes.starts_with(b"<<") && bytes.ends_with(b">>") { &[] } else { bytes }
    }
}

/// Unknown, start, end.
const FIRST_TEXT: usize = 3;
/// More than any table of this format; a bound against a file of zero-length tokens.
const MOST_TOKENS: usize = 1 << 18;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(tokens: &[&[u8]]) -> Vec<u8> {
        let mut file = Vec::new();
        for token in tokens {
            if token.len() < 128 {
                file.push(token.len() as u8);
            } else {
                file.extend([(token.len() % 128 + 128) as u8, (token.len() / 128) as u8]);
            }
            file.extend_from_slice(token);
        }
        file
    }

    const LONG: [u8; 300] = [b'x'; 300];

    fn table() -> Vec<u8> {
        let space = "\u{2581}hello".as_bytes();
        file(&[b"<unk>", b"<s>", b"</s>", space, b"", b"ing", b"<<ST_1>>", b"\xc3", b"\xa9", &LONG])
    }

    #[test]
    fn numbers_become_text_without_marks() {
        let tokens = Tokens::parse(&table()).expect("a good table");
        assert_eq!(tokens.len(), 10);
        assert_eq!(tokens.text(&[1, 3, 5, 6, 3, 4, 2]), "helloing hello");
        assert_eq!(tokens.text(&[7, 8]), "é", "bytes of one letter in two tokens");
        assert_eq!(tokens.text(&[7]), "\u{fffd}", "half a letter");
        assert_eq!(tokens.text(&[9]).len(), 300, "a two-byte length");
        assert_eq!(tokens.text(&[10, u32::MAX]), "", "numbers outside the table");
        assert_eq!(tokens.text(&[]), "");
    }

    #[test]
    fn a_cut_file_is_an_error_at_every_length_that_is_not_a_boundary() {
        let whole = table();
        let mut boundaries = vec![0];
        for token in [5, 3, 4, 8, 0, 3, 8, 1, 1, 300_usize] {
            let header = if token < 128 { 1 } else { 2 };
            boundaries.push(boundaries[boundaries.len() - 1] + header + token);
        }
        for cut in 0..whole.len() {
            let parsed = Tokens::parse(&whole[..cut]);
            match boundaries.iter().position(|&b| b == cut) {
                Some(count) if count <= FIRST_TEXT => {
                    assert_eq!(parsed.expect_err("too few"), TokensError::Count(count));
                }
                Some(count) => assert_eq!(parsed.expect("whole tokens").len(), count),
                None => assert!(matches!(parsed, Err(TokensError::CutOff(_))), "cut at {cut}"),
            }
        }
    }

    #[test]
    fn a_file_of_nothing_but_empty_tokens_is_refused() {
        let error = Tokens::parse(&vec![0; MOST_TOKENS + 10]).expect_err("too many");
        assert_eq!(error, TokensError::Count(MOST_TOKENS + 1));
    }
}
