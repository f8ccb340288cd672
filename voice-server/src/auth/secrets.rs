//! Randomness, digests and keyed digests: the few primitives that every credential here is made of.
//!
//! Whatever a client holds is 256 random bits in Base64 for addresses; the server keeps the SHA-256 of it, which is
//! enough to find it again and worth nothing to a thief. Keys for different ends are derived from one secret with a label
//! each, so that nothing made for one end passes at another.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};

/// Bytes of every random credential.
pub const RANDOM_BYTES: usize = 32;

/// The system gave no random bytes. Nothing that depends on them may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct NoRandomness;

/// Fills `bytes` from the system's generator.
///
/// # Errors
/// The system has none.
pub fn fill_random(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    SystemRandom::new().fill(bytes).map_err(|_| NoRandomness)
}

/// 256 random bits as text that may stand in an address.
///
/// # Errors
/// The system has none.
pub fn random_text() -> Result<String, NoRandomness> {
    let mut bytes = [0; RANDOM_BYTES];
    fill_random(&mut bytes)?;
    Ok(text_of(&bytes))
}

/// Bytes as text that may stand in an address: Base64 of RFC 4648, section 5, without padding.
pub fn text_of(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The SHA-256 of a credential, which is what is stored of it.
pub fn digest(credential: &str) -> [u8; 32] {
    Sha256::digest(credential.as_bytes()).into()
}

/// A key for one end, derived from a secret and the end's label.
pub fn derived_key(secret: &[u8], label: &str) -> hmac::Key {
    let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, label.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_text_has_256_bits_and_never_comes_twice() {
        let (one, other) = (random_text().expect("random"), random_text().expect("random"));
        assert_eq!(one.len(), 43);
        assert_ne!(one, other);
        assert!(one.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{one}");
    }

    #[test]
    fn keys_of_different_labels_sign_differently() {
        let signed = |label| hmac::sign(&derived_key(b"secret", label), b"x").as_ref().to_vec();
        assert_ne!(signed("a"), signed("b"));
        assert_eq!(signed("a"), signed("a"));
    }
}
