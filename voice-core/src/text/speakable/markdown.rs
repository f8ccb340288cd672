//! Taking written layout off a text: Markdown marks, bullets, tables, line ends. Pauses stay as punctuation.

/// The text as one line of plain prose. Lines that are items of their own end in a full stop or a comma.
pub(super) fn flatten(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut fenced = false;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if line.is_empty() || is_rule(line) {
            close_sentence(&mut out);
            continue;
        }
        let (item, line) = if fenced { (false, line) } else { strip_line_mark(line) };
        if item {
            close_sentence(&mut out);
        }
        if !out.is_empty() {
            out.push(' ');
        }
        push_inline(line, &mut out);
        if item {
            close_sentence(&mut out);
        }
    }
    out
}

/// `---`, `***`, `|---|---|`.
fn is_rule(line: &str) -> bool {
    line.len() >= 3 && line.chars().all(|c| matches!(c, '-' | '*' | '_' | '=' | '|' | ':' | ' '))
}

/// Headings, quotes, bullets and numbered items; `true` if the line stands for itself.
fn strip_line_mark(line: &str) -> (bool, &str) {
    let heading = line.trim_start_matches('#');
    if heading.len() < line.len() && heading.starts_with(' ') {
        return (true, heading.trim());
    }
    for bullet in ["- ", "* ", "+ ", "• ", "– ", "> "] {
        if let Some(rest) = line.strip_prefix(bullet) {
            return (true, rest.trim());
        }
    }
    if line.starts_with('|') {
        return (true, line);
    }
    let number = line.bytes().take_while(u8::is_ascii_digit).count();
    if (1..=2).contains(&number)
        && let Some(rest) = line[number..].strip_prefix(". ").or_else(|| line[number..].strip_prefix(") "))
    {
        return (true, rest.trim());
    }
    (false, line)
}

/// Emphasis, code marks, links and images inside a line.
fn push_inline(line: &str, out: &mut String) {
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match c {
            '*' if after.starts_with('*') => rest = after.trim_start_matches('*'),
            // A lone star between numbers would be a product; elsewhere it is emphasis.
            '*' | '`' => rest = after,
            '_' if !out.ends_with(char::is_alphanumeric) || !after.starts_with(char::is_alphanumeric) => {
                rest = after
            }
            '~' if after.starts_with('~') => rest = after.trim_start_matches('~'),
            '!' if after.starts_with('[') => rest = after,
            '[' => match link(after) {
                Some((label, behind)) => {
                    push_inline(label, out);
                    rest = behind;
                }
                None => rest = after,
            },
            ']' => rest = after,
            '|' => {
                out.truncate(out.trim_end().len());
                if out.ends_with(char::is_alphanumeric) {
                    out.push(',');
                }
                rest = after;
            }
            _ => {
                out.push(c);
                rest = after;
            }
        }
    }
}

/// `label](address)` after the opening bracket: the label, and what comes behind.
fn link(text: &str) -> Option<(&str, &str)> {
    let (label, rest) = text.split_once("](")?;
    let (address, behind) = rest.split_once(')')?;
    (!label.contains(['[', ']']) && !address.contains(char::is_whitespace)).then_some((label, behind))
}

/// Ends what was said before with a full stop, unless something ends it already.
fn close_sentence(out: &mut String) {
    out.truncate(out.trim_end().len());
    if out.ends_with([',', ';']) {
        out.pop();
    }
    if out.ends_with(|c: char| c.is_alphanumeric() || matches!(c, ')' | '%' | '"' | '+')) {
        out.push('.');
    }
}
