//! What the wire formats of several providers share: addresses, secrets, refusals, settings out of range.
//!
//! Pure: it builds and reads text and never sends any. It knows no trait of `stt`, `llm` or `tts`. Invariants: nothing
//! here prints a secret, and nothing that a service said reaches an error text except a short machine code, since
//! services quote keys and callers back. Callers: the provider folders.

mod elevenlabs;
mod endpoint;
mod refusal;

use std::fmt;

pub use elevenlabs::{Concurrency, account_refusal, named_refusal};
pub use endpoint::{Endpoint, EndpointError, Target};
pub use refusal::{MOST_ERROR_BODY, close_refusal, machine_code, parse_retry_after, status_refusal};

/// A key or token. Its `Debug` prints none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Checks a key: visible ASCII, up to 512 characters, so that it fits into a header. Blanks around it go.
    ///
    /// # Errors
    /// [`SettingError::Key`], which does not repeat it.
    pub fn parse(key: &str) -> Result<Self, SettingError> {
        let key = key.trim();
        let fits = !key.is_empty() && key.len() <= LONGEST_KEY && key.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Self(key.to_owned())) } else { Err(SettingError::Key) }
    }

    /// The key itself, for a header and nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Keys have 30 to 170 characters, tokens up to some hundred; more would be a file pasted by mistake.
const LONGEST_KEY: usize = 512;

/// A provider setting that cannot work. Fix the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// The base address is none.
    #[error("the base address is not usable")]
    Endpoint(#[from] EndpointError),
    /// The key is empty or holds characters that no key has.
    #[error("the key is empty, too long or has characters that no key has")]
    Key,
    /// A name or code is empty, too long, or not made of the characters that such names have.
    #[error("{0} is empty, too long or has characters that do not belong there")]
    Name(&'static str),
    /// A number is outside what the service takes.
    #[error("{field} must be between {low} and {high}")]
    Range {
        /// Which setting.
        field: &'static str,
        /// Lowest value, as the service documents it.
        low: &'static str,
        /// Highest value.
        high: &'static str,
    },
    /// More entries than the service takes.
    #[error("{field} takes at most {most} entries")]
    TooMany {
        /// Which setting.
        field: &'static str,
        /// How many it takes.
        most: usize,
    },
    /// The model does not do what another setting asks of it.
    #[error("the model {model} cannot be used with {with}")]
    Model {
        /// The model.
        model: String,
        /// What does not go with it.
        with: String,
    },
}

/// Whether a name that goes into a path or a query is one: visible, without blanks at its ends, up to `longest` bytes.
pub(crate) fn is_name(name: &str, longest: usize) -> bool {
    !name.is_empty() && name.len() <= longest && name.trim() == name && !name.chars().any(char::is_control)
}

/// The language part of a BCP 47 tag in lower case (RFC 5646, section 2.2.1): `en` of `en-US`. `None` where it is not
/// two or three letters.
pub(crate) fn language_subtag(tag: &str) -> Option<String> {
    let first = tag.trim().split(['-', '_']).next()?;
    let fits = (2..=3).contains(&first.len()) && first.bytes().all(|b| b.is_ascii_alphabetic());
    fits.then(|| first.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print_itself() {
        let secret = Secret::parse(" sk_0123abc \n").expect("a key");
        assert_eq!(secret.reveal(), "sk_0123abc");
        assert_eq!(format!("{secret:?}"), "Secret(hidden)");
    }

    #[test]
    fn what_would_break_a_header_is_no_key() {
        for bad in ["", "   ", "two words", "line\nbreak", "ключ", &"k".repeat(513)] {
            assert_eq!(Secret::parse(bad), Err(SettingError::Key));
        }
    }

    #[test]
    fn a_language_is_the_first_part_of_its_tag() {
        assert_eq!(language_subtag("en-US").as_deref(), Some("en"));
        assert_eq!(language_subtag("DE").as_deref(), Some("de"));
        assert_eq!(language_subtag("fil_PH").as_deref(), Some("fil"));
        for bad in ["", "e", "english", "1a", "-en"] {
            assert_eq!(language_subtag(bad), None, "{bad:?}");
        }
    }
}
