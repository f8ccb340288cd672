//! Addresses of users: what may be one, and the one form it is stored and looked for in.

/// RFC 5321, section 4.5.3.1.3: a path of 256 with its brackets.
const LONGEST: usize = 254;

/// The address in small letters and without spaces around it; `None` where it can be none. Whether mail arrives is not asked.
pub fn parse(text: &str) -> Option<String> {
    let email = text.trim().to_lowercase();
    let (local, domain) = email.split_once('@')?;
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '@' | '<' | '>' | ',' | ';');
    let sound = email.len() <= LONGEST
        && !local.is_empty()
        && local.chars().all(plain)
        && domain.chars().all(|c| plain(c) && c != '_')
        && domain.split('.').all(|label| !label.is_empty());
    sound.then_some(email)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_into_one_form() {
        for (text, expected) in [
            ("a@b.example", Some("a@b.example")),
            (" Anna.Lee+x@Example.COM ", Some("anna.lee+x@example.com")),
            ("a@localhost", Some("a@localhost")),
            ("", None),
            ("a", None),
            ("@b", None),
            ("a@", None),
            ("a@b@c", None),
            ("a b@c.d", None),
            ("a@b..c", None),
            ("a@b.c\0", None),
            ("a\n@b.c", None),
            ("Anna <a@b.c>", None),
            (&format!("{}@b.c", "x".repeat(254)), None),
        ] {
            assert_eq!(parse(text).as_deref(), expected, "{text:?}");
        }
    }
}
