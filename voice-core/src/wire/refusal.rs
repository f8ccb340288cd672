//! Answers that are no success, sorted by what can be done about them.
//!
//! A service's own code decides where it is known; the status or close code decides otherwise. Human sentences of a
//! service are never passed on: they quote keys, texts and account names. What is passed on is a machine code that
//! cannot be any of these (see [`machine_code`]).

use std::time::Duration;

use crate::error::ProviderError;

/// Bytes of an error body that are worth reading: real ones have some hundred. The rest is left unread.
pub const MOST_ERROR_BODY: usize = 16 << 10;

/// What an HTTP status says by itself (RFC 9110, section 15). `code` is the service's machine code, if it gave one.
pub fn status_refusal(
    provider: &'static str,
    status: u16,
    code: Option<&str>,
    retry_after: Option<Duration>,
) -> ProviderError {
    let detail = match code.and_then(machine_code) {
        Some(code) => format!("{code} (status {status})"),
        None => format!("status {status}"),
    };
    match status {
        401 | 403 | 407 => ProviderError::Unauthorised { provider, detail },
        402 => ProviderError::OutOfCredit { provider, detail },
        // Also redirects: the base address is not that of the service.
        300..=399 | 404 | 405 | 410 | 426 => ProviderError::Misconfigured { provider, detail },
        408 => ProviderError::Unreachable { provider, detail },
        425 | 429 => ProviderError::Limited { provider, detail, retry_after },
        400..=499 => ProviderError::Rejected { provider, detail },
        503 | 529 if retry_after.is_some() => ProviderError::Limited { provider, detail, retry_after },
        502..=504 => ProviderError::Unreachable { provider, detail },
        _ => ProviderError::Failed { provider, detail },
    }
}

/// What a socket's close code says by itself (RFC 6455, section 7.4). `None`: it broke without a close.
pub fn close_refusal(provider: &'static str, code: Option<u16>, reason: Option<&str>) -> ProviderError {
    let mut detail = match code {
        Some(code) => format!("the socket was closed with {code}"),
        None => "the socket broke".to_owned(),
    };
    if let Some(reason) = reason.and_then(machine_code) {
        detail = format!("{detail}, {reason}");
    }
    match code {
        // 1012 and 1014 are a restart and a bad gateway in the IANA registry.
        None | Some(1000 | 1001 | 1005 | 1006 | 1012 | 1014 | 1015) => {
            ProviderError::Unreachable { provider, detail }
        }
        Some(1009) => ProviderError::Rejected { provider, detail },
        Some(1013) => ProviderError::Limited { provider, detail, retry_after: None },
        Some(_) => ProviderError::Failed { provider, detail },
    }
}

/// The text, if it can only be a machine code: words of letters or of up to four digits, joined by `_ - . +`, up to
/// 48 bytes. Keys mix letters and digits or are longer, sentences have blanks.
pub fn machine_code(text: &str) -> Option<&str> {
    let text = text.trim();
    let mut words = text.trim_end_matches('+').split(['_', '-', '.']);
    let is_word = |word: &str| {
        let letters = word.len() <= LONGEST_WORD && word.bytes().all(|b| b.is_ascii_alphabetic());
        let digits = word.len() <= 4 && word.bytes().all(|b| b.is_ascii_digit());
        !word.is_empty() && (letters || digits)
    };
    (text.len() <= LONGEST_CODE && words.all(is_word)).then_some(text)
}

/// The longest documented codes have about 35 characters.
const LONGEST_CODE: usize = 48;
/// A run of more letters is no English word.
const LONGEST_WORD: usize = 20;

/// The time that a `Retry-After` or `retry-after-ms`-like header asks for, in seconds (RFC 9110, section 10.2.3), at
/// most an hour. A date is `None`: without a clock it says nothing.
pub fn parse_retry_after(value: &str) -> Option<Duration> {
    let seconds: f64 = value.trim().parse().ok().filter(|s: &f64| s.is_finite() && *s >= 0.0)?;
    Some(Duration::from_secs_f64(seconds.min(LONGEST_RETRY_SECONDS)))
}

/// Whoever asks for more is not coming back in this call.
const LONGEST_RETRY_SECONDS: f64 = 3_600.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_cannot_be_a_key_or_a_sentence() {
        for code in ["invalid_api_key", "DATA-0000", "only_for_creator+", "Bad.Request", "error", "12"] {
            assert_eq!(machine_code(code), Some(code));
        }
        for other in [
            "",
            "sk_917d16326054c5e73036",
            "sk-proj-AbCd12",
            "0123456789abcdef0123456789abcdef01234567",
            "You have 3 credits left",
            "a__b",
            "+",
            "error:1",
            "aaaaaaaaaaaaaaaaaaaaaaaaa",
            "one_two_three_four_five_six_seven_eight_nine_ten_eleven",
        ] {
            assert_eq!(machine_code(other), None, "{other:?}");
        }
    }

    #[test]
    fn every_status_has_a_kind() {
        for (status, retry_after, kind) in [
            (301, None, "Misconfigured"),
            (400, None, "Rejected"),
            (401, None, "Unauthorised"),
            (402, None, "OutOfCredit"),
            (403, None, "Unauthorised"),
            (404, None, "Misconfigured"),
            (408, None, "Unreachable"),
            (413, None, "Rejected"),
            (422, None, "Rejected"),
            (425, None, "Limited"),
            (429, Some(1), "Limited"),
            (500, None, "Failed"),
            (502, None, "Unreachable"),
            (503, None, "Unreachable"),
            (503, Some(1), "Limited"),
            (529, Some(1), "Limited"),
            (0, None, "Failed"),
            (999, None, "Failed"),
        ] {
            let after = retry_after.map(Duration::from_secs);
            let error = status_refusal("test", status, Some("Sorry, dear Bob"), after);
            assert!(format!("{error:?}").starts_with(kind), "{status}: {error:?}");
            assert!(error.to_string().ends_with(&format!("status {status}")), "{error}");
        }
    }

    #[test]
    fn every_close_code_has_a_kind() {
        for (code, kind) in [
            (None, "Unreachable"),
            (Some(1000), "Unreachable"),
            (Some(1006), "Unreachable"),
            (Some(1008), "Failed"),
            (Some(1009), "Rejected"),
            (Some(1011), "Failed"),
            (Some(1013), "Limited"),
            (Some(4_999), "Failed"),
        ] {
            let error = close_refusal("test", code, Some("said: hush"));
            assert!(format!("{error:?}").starts_with(kind), "{code:?}: {error:?}");
            assert!(!error.to_string().contains("hush"));
        }
        assert!(close_refusal("test", Some(1011), Some("NET-0001")).to_string().ends_with("1011, NET-0001"));
    }

    #[test]
    fn a_time_to_come_back_is_bounded() {
        assert_eq!(parse_retry_after(" 2 "), Some(Duration::from_secs(2)));
        assert_eq!(parse_retry_after("0.25"), Some(Duration::from_millis(250)));
        assert_eq!(parse_retry_after("1e300"), Some(Duration::from_secs(3_600)));
        for nothing in ["", "-1", "NaN", "inf", "Wed, 21 Oct 2026 07:28:00 GMT"] {
            assert_eq!(parse_retry_after(nothing), None, "{nothing:?}");
        }
    }
}
