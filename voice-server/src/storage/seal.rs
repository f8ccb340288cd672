//! Encryption at rest: AES-256-GCM in chunks, so that any part can be read without the rest and nothing can be cut off,
//! mixed up or exchanged unseen.
//!
//! An object is a header (magic, the key's name, a random salt) and chunks of 64 KiB, each with its tag. The key of an
//! object comes from the configured one, the salt and the object's own name by HKDF-SHA256 (RFC 5869), so every object
//! has its own and none can stand in another's place. A chunk's nonce (RFC 5116, section 3.2) is its number and whether it
//! is the last: chunks that are moved, repeated or missing at the end do not open. Pure. Callers: [`super::Upload`],
//! [`super::Reader`], the spool of recordings.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{self, HKDF_SHA256};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::StorageError;
use crate::config::Secret;

/// Plain bytes of every chunk but the last.
pub(crate) const CHUNK: usize = 64 * 1024;
/// Bytes of a chunk's tag.
pub(crate) const TAG: usize = 16;
/// Bytes before the first chunk.
pub(crate) const HEADER: usize = MAGIC.len() + ID + SALT;

const MAGIC: &[u8; 8] = b"voicebx1";
const ID: usize = 8;
const SALT: usize = 32;

/// One configured key, and its name in headers.
#[derive(Clone)]
pub(crate) struct Key {
    id: [u8; ID],
    secret: [u8; 32],
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key([redacted])")
    }
}

impl Key {
    /// A key of 32 random bytes.
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        let mut id = [0; ID];
        // The name tells nothing of the key: it is derived as the keys of objects are.
        expand(&[], &secret, &[b"voice storage key id"], &mut id);
        Self { id, secret }
    }

    /// Reads 32 bytes in Base64 (RFC 4648, section 4).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.trim()).ok()?;
        Some(Self::new(bytes.try_into().ok()?))
    }
}

/// The keys of a server: the one that encrypts, and all that decrypt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    current: Option<Key>,
    previous: Vec<Key>,
}

impl Keys {
    /// `current` encrypts; without it nothing is encrypted, but all of these decrypt.
    pub(crate) fn new(current: Option<Key>, previous: Vec<Key>) -> Self {
        Self { current, previous }
    }

    /// The keys of the settings.
    pub(crate) fn of(current: Option<&Secret>, previous: &[Secret]) -> Result<Self, StorageError> {
        let parse = |text: &Secret| {
            Key::parse(text.expose()).ok_or_else(|| {
                StorageError::Settings(
                    "a storage key is not 32 bytes in Base64; `openssl rand -base64 32` makes one".into(),
                )
            })
        };
        let current = current.map(parse).transpose()?;
        Ok(Self::new(current, previous.iter().map(parse).collect::<Result<_, _>>()?))
    }

    pub(crate) fn current(&self) -> Option<&Key> {
        self.current.as_ref()
    }

    /// A fresh key for the object of this name, and the header that finds it again.
    pub(crate) fn fresh(&self, name: &str) -> Result<(ObjectKey, [u8; HEADER]), StorageError> {
        let key = self.current().ok_or(StorageError::UnknownKey)?;
        let mut salt = [0; SALT];
        SystemRandom::new().fill(&mut salt).map_err(|_| StorageError::Damaged)?;
        let mut header = [0; HEADER];
        header[..MAGIC.len()].copy_from_slice(MAGIC);
        header[MAGIC.len()..MAGIC.len() + ID].copy_from_slice(&key.id);
        header[MAGIC.len() + ID..].copy_from_slice(&salt);
        Ok((ObjectKey::derive(key, &salt, name)?, header))
    }

    /// The key of the object of this name that has this header.
    pub(crate) fn find(&self, name: &str, header: &[u8]) -> Result<ObjectKey, StorageError> {
        let rest = header.strip_prefix(MAGIC).ok_or(StorageError::Damaged)?;
        let (id, salt) = rest.split_at_checked(ID).ok_or(StorageError::Damaged)?;
        if salt.len() != SALT {
            return Err(StorageError::Damaged);
        }
        let mut all = self.current.iter().chain(&self.previous);
        let key = all.find(|key| key.id == id).ok_or(StorageError::UnknownKey)?;
        ObjectKey::derive(key, salt, name)
    }
}

/// The key of one object.
pub(crate) struct ObjectKey(LessSafeKey);

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectKey([redacted])")
    }
}

impl ObjectKey {
    fn derive(key: &Key, salt: &[u8], name: &str) -> Result<Self, StorageError> {
        let mut secret = [0; 32];
        expand(salt, &key.secret, &[b"voice storage object\0", name.as_bytes()], &mut secret);
        let key = UnboundKey::new(&AES_256_GCM, &secret).map_err(|_| StorageError::Damaged)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Appends chunk `number`, encrypted, to `out`.
    pub(crate) fn seal(
        &self,
        number: u64,
        last: bool,
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), StorageError> {
        let start = out.len();
        out.extend_from_slice(plain);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce(number, last), Aad::empty(), &mut out[start..])
            .map_err(|_| StorageError::Damaged)?;
        out.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// Decrypts chunk `number` where it lies, and gives the plain bytes.
    pub(crate) fn open<'c>(
        &self,
        number: u64,
        last: bool,
        chunk: &'c mut [u8],
    ) -> Result<&'c mut [u8], StorageError> {
        self.0.open_in_place(nonce(number, last), Aad::empty(), chunk).map_err(|_| StorageError::Damaged)
    }
}

fn nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(last);
    Nonce::assume_unique_for_key(nonce)
}

/// HKDF-SHA256. `out` is far shorter than the 8 KiB at which that could fail.
fn expand(salt: &[u8], secret: &[u8], info: &[&[u8]], out: &mut [u8]) {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let prk = hkdf::Salt::new(HKDF_SHA256, salt).extract(secret);
    let filled = prk.expand(info, Length(out.len())).and_then(|okm| okm.fill(out));
    debug_assert!(filled.is_ok(), "the length is within HKDF's limit");
}

/// Another secret for another purpose, from one that must not be used twice.
pub(crate) fn derived(secret: &[u8], purpose: &str) -> [u8; 32] {
    let mut out = [0; 32];
    expand(&[], secret, &[purpose.as_bytes()], &mut out);
    out
}

/// Encrypts one object as it comes.
#[derive(Debug)]
pub(crate) struct Sealer {
    key: ObjectKey,
    header: Option<[u8; HEADER]>,
    /// Plain bytes of the chunk that is being filled; never more than one chunk.
    waiting: Vec<u8>,
    number: u64,
}

impl Sealer {
    /// For the object of this name.
    pub(crate) fn new(keys: &Keys, name: &str) -> Result<Self, StorageError> {
        let (key, header) = keys.fresh(name)?;
        Ok(Self { key, header: Some(header), waiting: Vec::new(), number: 0 })
    }

    /// Appends to `out` what of the object is ready after these bytes.
    pub(crate) fn push(&mut self, mut plain: &[u8], out: &mut Vec<u8>) -> Result<(), StorageError> {
        while !plain.is_empty() {
            // A full chunk waits until something follows: the last one is sealed as such.
            if self.waiting.len() == CHUNK {
                self.seal(false, out)?;
            }
            let (now, rest) = plain.split_at(plain.len().min(CHUNK - self.waiting.len()));
            self.waiting.extend_from_slice(now);
            plain = rest;
        }
        Ok(())
    }

    /// Appends the rest.
    pub(crate) fn finish(mut self, out: &mut Vec<u8>) -> Result<(), StorageError> {
        self.seal(true, out)
    }

    fn seal(&mut self, last: bool, out: &mut Vec<u8>) -> Result<(), StorageError> {
        if let Some(header) = self.header.take() {
            out.extend_from_slice(&header);
        }
        self.key.seal(self.number, last, &self.waiting, out)?;
        self.waiting.clear();
        self.number += 1;
        Ok(())
    }
}

/// Plain bytes of an object that lies as `stored` bytes, and its chunks. `None`: no object is that long.
pub(crate) fn plain_size(stored: u64) -> Option<(u64, u64)> {
    let body = stored.checked_sub(HEADER as u64)?;
    let whole = (CHUNK + TAG) as u64;
    let chunks = body.div_ceil(whole);
    let last = body - chunks.checked_sub(1)? * whole;
    // Only an empty object has an empty chunk.
    let least = if chunks == 1 { TAG as u64 } else { TAG as u64 + 1 };
    (last >= least).then(|| (body - chunks * TAG as u64, chunks))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "recordings/a.ogg.sealed";

    fn keys(byte: u8) -> Keys {
        Keys::new(Some(Key::new([byte; 32])), Vec::new())
    }

    fn sealed(plain: &[u8], step: usize) -> Vec<u8> {
        let (mut sealer, mut out) = (Sealer::new(&keys(1), NAME).expect("a key"), Vec::new());
        plain.chunks(step).for_each(|part| sealer.push(part, &mut out).expect("seals"));
        sealer.finish(&mut out).expect("seals");
        out
    }

    /// Opens a whole object as a reader would.
    fn opened(keys: &Keys, name: &str, object: &[u8]) -> Result<Vec<u8>, StorageError> {
        let (size, chunks) = plain_size(object.len() as u64).ok_or(StorageError::Damaged)?;
        let key = keys.find(name, &object[..HEADER])?;
        let mut plain = Vec::new();
        for (number, chunk) in object[HEADER..].chunks(CHUNK + TAG).enumerate() {
            let mut chunk = chunk.to_vec();
            plain.extend_from_slice(key.open(number as u64, number as u64 + 1 == chunks, &mut chunk)?);
        }
        assert_eq!(plain.len() as u64, size);
        Ok(plain)
    }

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|k| (k * 31 % 251) as u8).collect()
    }

    #[test]
    fn any_length_in_any_split_comes_back() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7] {
            for step in [1_000, CHUNK, 10 * CHUNK] {
                let object = sealed(&bytes(length), step);
                assert_eq!(
                    opened(&keys(1), NAME, &object).expect("opens"),
                    bytes(length),
                    "{length} by {step}"
                );
            }
        }
    }

    #[test]
    fn what_is_cut_moved_changed_or_renamed_does_not_open() {
        let object = sealed(&bytes(3 * CHUNK), CHUNK);
        let whole = CHUNK + TAG;
        let is_damaged = |object: &[u8]| opened(&keys(1), NAME, object).is_err();
        assert!(is_damaged(&object[..HEADER + 2 * whole]), "cut between two chunks");
        assert!(is_damaged(&object[..object.len() - 1]) && is_damaged(&object[..HEADER]) && is_damaged(&[]));
        let mut swapped = object.clone();
        swapped[HEADER..HEADER + 2 * whole].rotate_left(whole);
        assert!(is_damaged(&swapped), "two chunks in each other's place");
        let mut repeated = object.clone();
        repeated.extend_from_slice(&object[HEADER + 2 * whole..]);
        assert!(is_damaged(&repeated), "the last chunk twice");
        for at in [0, 9, 20, HEADER, HEADER + whole + 5, object.len() - 1] {
            let mut changed = object.clone();
            changed[at] ^= 1;
            assert!(is_damaged(&changed), "byte {at} changed");
        }
        assert!(opened(&keys(1), "recordings/b.ogg.sealed", &object).is_err(), "in another's place");
    }

    #[test]
    fn an_earlier_key_still_opens_and_an_unknown_one_is_named_as_such() {
        let object = sealed(&bytes(10), 10);
        let rotated = Keys::new(Some(Key::new([2; 32])), vec![Key::new([3; 32]), Key::new([1; 32])]);
        assert_eq!(opened(&rotated, NAME, &object).expect("opens"), bytes(10));
        assert!(matches!(opened(&keys(2), NAME, &object), Err(StorageError::UnknownKey)));
        assert_ne!(sealed(&bytes(10), 10), object, "each object has its own key");
    }

    #[test]
    fn keys_are_read_from_base64_of_32_bytes_and_never_shown() {
        let text = STANDARD.encode([7; 32]);
        assert!(Key::parse(&text).is_some() && Key::parse(&format!(" {text}\n")).is_some());
        assert!(Key::parse(&STANDARD.encode([7; 31])).is_none() && Key::parse("no").is_none());
        assert_eq!(format!("{:?}", Key::new([7; 32])), "Key([redacted])");
    }

    #[test]
    fn sizes_that_no_object_has_are_refused() {
        let (header, whole) = (HEADER as u64, (CHUNK + TAG) as u64);
        assert_eq!(plain_size(header + 16), Some((0, 1)));
        assert_eq!(plain_size(header + whole + 17), Some((CHUNK as u64 + 1, 2)));
        for stored in [0, header, header + 15, header + whole + 16] {
            assert_eq!(plain_size(stored), None, "{stored}");
        }
    }
}
