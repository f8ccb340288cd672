//! Taking written layout off a text: Markdown and HTML marks, bullets, tables, line ends. Pauses stay as punctuation.
//!
//! Signs that are written in several ways (quotes, dashes, digits of other scripts) come out in one. Every byte of the
//! result knows the written text's end behind what it was made of, in order. Caller: `speakable`.

/// A text as one line of plain prose.
#[derive(Debug, Default)]
pub(super) struct Flat {
    pub(super) text: String,
    /// Signs stay as they are written; only emoji go.
    verbatim: bool,
    /// For each byte of `text`, where the written text goes on behind what made it.
    ends: Vec<usize>,
}

/// What one piece of a text leaves to the next: whether a line and a block of code are still open.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    in_line: bool,
    in_code: bool,
    /// The text is not English: nothing but the layout changes.
    verbatim: bool,
}

impl Layout {
    /// In the middle of a line of prose.
    pub(super) fn in_line() -> Self {
        Self { in_line: true, ..Self::default() }
    }

    /// Of a text in another language.
    pub(super) fn verbatim() -> Self {
        Self { verbatim: true, ..Self::default() }
    }

    pub(super) fn is_verbatim(&self) -> bool {
        self.verbatim
    }
}

impl Flat {
    /// Where the written text goes on behind what made the first `bytes`.
    pub(super) fn written_end(&self, bytes: usize) -> usize {
        if bytes == 0 { 0 } else { self.ends[bytes - 1] }
    }

    fn push(&mut self, c: char, end: usize) {
        let joins = c == JOINER && !self.text.ends_with(|c: char| !c.is_whitespace());
        let c = if self.verbatim { (!is_emoji(c) && !joins).then_some(c) } else { plain(c) };
        if let Some(c) = c {
            self.text.push(c);
            self.ends.resize(self.text.len(), end);
        }
    }

    fn push_all(&mut self, text: &str, end: usize) {
        self.text.push_str(text);
        self.ends.resize(self.text.len(), end);
    }

    /// A mark of our own belongs to what stands before it.
    fn push_mark(&mut self, mark: char) {
        let end = self.ends.last().copied().unwrap_or(0);
        self.push(mark, end);
    }

    fn trim_end(&mut self) {
        self.text.truncate(self.text.trim_end().len());
        self.ends.truncate(self.text.len());
    }

    /// Ends what was said before with a full stop, unless something ends it already.
    fn close_sentence(&mut self) {
        self.trim_end();
        if self.text.ends_with([',', ';']) {
            self.text.pop();
            self.ends.pop();
        }
        // Whatever else ends it, an emoji too, is no end for the ear.
        if !self.text.is_empty() && !self.text.ends_with(['.', ':', '!', '?', '…']) {
            self.push_mark('.');
        }
    }
}

/// Takes the layout off a text. Lines that are items of their own end in a full stop; the last one only if the text
/// is `whole`, for else it may go on.
pub(super) fn flatten(text: &str, layout: &mut Layout, whole: bool) -> Flat {
    let mut out = Flat { verbatim: layout.verbatim, ..Flat::default() };
    for line in text.split_inclusive('\n') {
        let ends = line.ends_with('\n');
        let line = line.trim();
        let begun = layout.in_line;
        layout.in_line = !ends && (begun || !line.is_empty());
        if !begun && is_fence(line) {
            layout.in_code = !layout.in_code;
            continue;
        }
        if line.is_empty() || !begun && is_rule(line) {
            if !begun {
                out.close_sentence();
            }
            continue;
        }
        let (item, line) = if layout.in_code || begun { (false, line) } else { strip_line_mark(line) };
        if item {
            out.close_sentence();
        }
        if !out.text.is_empty() {
            out.push_mark(' ');
        }
        push_inline(text, line, &mut out);
        if item && (ends || whole) {
            out.close_sentence();
        }
    }
    out
}

/// A line of three back-ticks that opens or closes a block; on one line they mark code inside it.
fn is_fence(line: &str) -> bool {
    line.strip_prefix("```").is_some_and(|rest| !rest.contains("```"))
}

/// `---`, `***`, `|---|---|`.
fn is_rule(line: &str) -> bool {
    line.len() >= 3 && line.chars().all(|c| matches!(c, '-' | '*' | '_' | '=' | '|' | ':' | ' '))
}

/// Headings, quotes, bullets and numbered items; `true` if the line stands for itself.
fn strip_line_mark(line: &str) -> (bool, &str) {
    let heading = line.trim_start_matches('#');
    if heading.len() < line.len() && heading.starts_with(' ') {
        return (true, heading.trim_end_matches('#').trim());
    }
    for bullet in ["- ", "* ", "+ ", "• ", "– ", "> ", "→ "] {
        if let Some(rest) = line.strip_prefix(bullet) {
            return (true, strip_task(rest.trim_start()));
        }
    }
    if line.starts_with('|') {
        return (true, line);
    }
    let number = line.bytes().take_while(u8::is_ascii_digit).count();
    if (1..=2).contains(&number)
        && let Some(rest) = line[number..].strip_prefix(". ").or_else(|| line[number..].strip_prefix(") "))
    {
        return (true, rest.trim_start());
    }
    (false, line)
}

/// The box of a task list.
fn strip_task(item: &str) -> &str {
    ["[ ] ", "[x] ", "[X] "].iter().find_map(|mark| item.strip_prefix(mark)).unwrap_or(item)
}

/// Emphasis, code marks, links, images, tags and escapes inside a line, which is a part of `whole`.
fn push_inline(whole: &str, line: &str, out: &mut Flat) {
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let end = place(whole, after);
        rest = after;
        match c {
            '\\' if after.starts_with(|c: char| c.is_ascii_punctuation()) => {
                let escaped = after.chars().next().unwrap_or(' ');
                rest = &after[escaped.len_utf8()..];
                out.push(escaped, place(whole, rest));
            }
            '*' if after.starts_with('*') => rest = after.trim_start_matches('*'),
            // Between numbers it is a product, elsewhere emphasis.
            '*' if is_product(&out.text, after) => {
                if out.verbatim {
                    out.push(c, end);
                } else {
                    out.push_all(" times ", end);
                }
            }
            '*' | '`' => {}
            '_' if !out.text.ends_with(char::is_alphanumeric)
                || !after.starts_with(char::is_alphanumeric) => {}
            '~' if after.starts_with('~') => rest = after.trim_start_matches('~'),
            '!' if after.strip_prefix('[').and_then(link).is_some() => {}
            '[' => {
                if let Some(behind) = footnote(after) {
                    rest = behind;
                } else if let Some((label, behind)) = link(after) {
                    push_inline(whole, label, out);
                    rest = behind;
                }
            }
            ']' => {}
            '&' => {
                if let Some((sign, behind)) = entity(after) {
                    rest = behind;
                    out.push(sign, place(whole, rest));
                } else {
                    out.push(c, end);
                }
            }
            '<' => match bracketed(after) {
                Some((Bracketed::Tag { breaks }, behind)) => {
                    if breaks {
                        push_break(out);
                    }
                    rest = behind;
                }
                Some((Bracketed::Address(address), behind)) => {
                    for (at, c) in address.char_indices() {
                        out.push(c, place(whole, after) + at + c.len_utf8());
                    }
                    rest = behind;
                }
                None => out.push(c, end),
            },
            '|' => push_break(out),
            _ => out.push(c, end),
        }
    }
}

/// Where a part of a text begins in it.
fn place(whole: &str, part: &str) -> usize {
    part.as_ptr().addr() - whole.as_ptr().addr()
}

/// The end of a cell or of a line inside a line.
fn push_break(out: &mut Flat) {
    out.trim_end();
    if out.text.ends_with(char::is_alphanumeric) {
        out.push_mark(',');
    }
    if !out.text.is_empty() {
        out.push_mark(' ');
    }
}

fn is_product(before: &str, after: &str) -> bool {
    let digit = |c: char| c.is_ascii_digit();
    // One space at the most: to search a longer gap from each of its stars would take the square of its length.
    let spaced = before.strip_suffix(' ').zip(after.strip_prefix(' '));
    let (before, after) = spaced.unwrap_or((before, after));
    before.ends_with(digit) && after.starts_with(digit)
}

/// Longest label with its address that is looked at as a link, in bytes: the longest usable web addresses are as long.
/// Without a limit a text of opening brackets would be searched through from each of them.
const LONGEST_LINK: usize = 2_048;

/// `label](address)` or `label][name]` after the opening bracket: the label, and what comes behind.
fn link(text: &str) -> Option<(&str, &str)> {
    let text = &text[..text.floor_char_boundary(LONGEST_LINK.min(text.len()))];
    let (label, rest) = text.split_once(']')?;
    let close = if rest.starts_with('(') { ')' } else { ']' };
    let (address, behind) = rest.strip_prefix(['(', '['])?.split_once(close)?;
    (!label.contains('[') && !address.contains(char::is_whitespace)).then_some((label, behind))
}

/// `^1]` after the opening bracket.
fn footnote(text: &str) -> Option<&str> {
    let name = text.strip_prefix('^')?;
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '-')?;
    name[end..].strip_prefix(']')
}

/// What stands in angle brackets.
enum Bracketed<'a> {
    /// A mark of HTML or SSML; whether it ends a line.
    Tag { breaks: bool },
    /// `<https://example.com>`, `<maria@example.com>`.
    Address(&'a str),
}

/// Longest tag in bytes; see [`LONGEST_LINK`].
const LONGEST_TAG: usize = 512;

fn bracketed(text: &str) -> Option<(Bracketed<'_>, &str)> {
    let near = &text[..text.floor_char_boundary(LONGEST_TAG.min(text.len()))];
    let (inside, _) = near.split_once('>')?;
    let behind = &text[inside.len() + 1..];
    if !inside.contains(char::is_whitespace) && (inside.contains('@') || inside.contains("://")) {
        return Some((Bracketed::Address(inside), behind));
    }
    let name = inside.trim_start_matches('/');
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(name.len());
    let closed = matches!(name[end..].chars().next(), None | Some('/') | Some(' '));
    let breaks = matches!(&name[..end], "br" | "p" | "li" | "div" | "tr" | "td" | "th" | "hr" | "ul" | "ol");
    let tag = name.starts_with(|c: char| c.is_ascii_alphabetic()) && closed;
    tag.then_some((Bracketed::Tag { breaks }, behind))
}

/// `amp;` after the ampersand: the sign, and what comes behind.
fn entity(text: &str) -> Option<(char, &str)> {
    ENTITIES.iter().find_map(|(name, sign)| Some((*sign, text.strip_prefix(name)?)))
}

const ENTITIES: [(&str, char); 13] = [
    ("amp;", '&'),
    ("nbsp;", ' '),
    ("lt;", '<'),
    ("gt;", '>'),
    ("quot;", '"'),
    ("apos;", '\''),
    ("#39;", '\''),
    ("mdash;", '—'),
    ("ndash;", '–'),
    ("frac12;", '½'),
    ("frac14;", '¼'),
    ("deg;", '°'),
    ("bull;", '•'),
];

/// Joins two letters in some scripts, and the parts of an emoji.
const JOINER: char = '\u{200d}';

/// Emoji, dingbats and what shapes them.
fn is_emoji(c: char) -> bool {
    matches!(
        c,
        '\u{20e3}'
            | '\u{fe0f}'
            | '\u{2600}'..='\u{27bf}'
            | '\u{2b00}'..='\u{2bff}'
            | '\u{1f000}'..='\u{1faff}'
            | '\u{e0020}'..='\u{e007f}'
    )
}

/// A sign in its usual form; `None` where it only shapes its neighbours (joiners, combining accents).
fn plain(c: char) -> Option<char> {
    let c = match c {
        // Full-width forms of ASCII.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        _ => c,
    };
    Some(match c {
        '‘' | '’' | '‛' | '′' | 'ʼ' | '`' => '\'',
        '“' | '”' | '„' | '‟' | '″' => '"',
        '\u{2010}'..='\u{2012}' | '−' | '﹣' => '-',
        '⁄' | '∕' => '/',
        '\u{ad}'
        | '\u{300}'..='\u{36f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2060}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' => return None,
        _ if c.is_ascii() => c,
        _ => {
            let zero = ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&u32::from(c)));
            match zero.and_then(|zero| char::from_digit(u32::from(c) - zero, 10)) {
                Some(digit) => digit,
                None => c,
            }
        }
    })
}

/// The zeros of scripts whose digits people type: Arabic, Persian, Devanagari, Bengali, Thai.
const ZEROS: [u32; 5] = [0x660, 0x6f0, 0x966, 0x9e6, 0xe50];
