//! Passwords: argon2id (RFC 9106) at the parameters that OWASP recommends, off the async workers, a few at a time.
//!
//! A hash is stored as text in the PHC form `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`, so that parameters may change
//! without spoiling what is stored. [`Passwords::check`] costs the same whether or not there is such a user: without a stored hash
//! it works on a hash that no password has. Callers: `api::auth` and `voice user`.

use std::sync::Arc;
use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::hmac;
use tokio::sync::Semaphore;

use super::secrets::{NoRandomness, fill_random};

/// KiB of memory for one hash; OWASP's first choice for argon2id together with the next two.
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over the memory.
const PASSES: u32 = 2;
/// Lanes.
const LANES: u32 = 1;
/// Bytes of a salt; RFC 9106, section 3.1, recommends 16.
const SALT_BYTES: usize = 16;
/// Bytes of a hash.
const HASH_BYTES: usize = 32;
/// Shortest password that may be set.
pub const SHORTEST: usize = 10;
/// Longest password that is looked at, in bytes. A longer one costs time and adds nothing.
pub const LONGEST: usize = 256;
/// Largest memory, in KiB, and most passes that a stored hash may ask for: a hash is data, and may be spoilt.
const MOST: (u32, u32) = (256 * 1024, 16);
/// How long a check may wait for its place. Beyond it the server says that it is busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a password was neither accepted nor refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// Too many are checked at this moment. Try again.
    #[error("too many passwords are being checked")]
    Busy,
    /// The new password is too short or too long. Choose another.
    #[error("a password has {SHORTEST} to {LONGEST} bytes")]
    Length,
    /// The hash could not be computed.
    #[error("a password cannot be hashed: {0}")]
    Failed(&'static str),
}

impl From<NoRandomness> for PasswordError {
    fn from(_: NoRandomness) -> Self {
        Self::Failed("the system gives no random bytes")
    }
}

/// Hashes and checks passwords. Cheap to clone; all clones share the places.
#[derive(Clone, Debug)]
pub struct Passwords {
    places: Arc<Semaphore>,
    nobody: Arc<str>,
}

impl Passwords {
    /// `at_once` hashes run side by side at most; each takes a core and 19 MiB for some tens of milliseconds.
    pub fn new(at_once: usize) -> Self {
        // The hash of nobody: right in form, and no password has it, since it is no hash at all.
        let nobody = phc(&Cost::default(), &[0x5a; SALT_BYTES], &[0; HASH_BYTES]);
        Self { places: Arc::new(Semaphore::new(at_once.max(1))), nobody: nobody.into() }
    }

    /// The text to store for a new password.
    ///
    /// # Errors
    /// Its length is not allowed, or see [`PasswordError`].
    pub async fn hash(&self, password: &str) -> Result<String, PasswordError> {
        if !(SHORTEST..=LONGEST).contains(&password.len()) {
            return Err(PasswordError::Length);
        }
        let password = password.to_owned();
        self.run(move || hash(&password)).await?
    }

    /// Whether `password` is the one that `stored` was made of. Without `stored` the answer is no, after the same time.
    ///
    /// # Errors
    /// See [`PasswordError`].
    pub async fn check(&self, password: &str, stored: Option<&str>) -> Result<bool, PasswordError> {
        let is_somebody = stored.is_some();
        let stored = stored.unwrap_or(&self.nobody).to_owned();
        // What is too long is nobody's; the time is spent all the same, on its beginning.
        let fits = password.len() <= LONGEST;
        let password = password.as_bytes()[..password.len().min(LONGEST)].to_vec();
        let matches = self.run(move || matches(&password, &stored)).await?;
        Ok(matches && is_somebody && fits)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place = tokio::time::timeout(PATIENCE, self.places.clone().acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(PasswordError::Busy) };
        let work = tokio::task::spawn_blocking(move || {
            // The place is held until the work is done, also where nobody waits for it any more.
            let _place = place;
            work()
        });
        work.await.map_err(|_| PasswordError::Failed("the work was cut short"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    memory: u32,
    passes: u32,
    lanes: u32,
}

impl Default for Cost {
    fn default() -> Self {
        Self { memory: MEMORY_KIB, passes: PASSES, lanes: LANES }
    }
}

fn hash(password: &str) -> Result<String, PasswordError> {
    let mut salt = [0; SALT_BYTES];
    fill_random(&mut salt)?;
    let cost = Cost::default();
    let mut out = [0; HASH_BYTES];
    argon2(cost, password.as_bytes(), &salt, &mut out)
        .ok_or(PasswordError::Failed("argon2 refuses its input"))?;
    Ok(phc(&cost, &salt, &out))
}

fn matches(password: &[u8], stored: &str) -> bool {
    let Some((cost, salt, expected)) = parse(stored) else { return false };
    let mut out = vec![0; expected.len()];
    if argon2(cost, password, &salt, &mut out).is_none() {
        return false;
    }
    // Compared under a key, so that the time says nothing about the hash.
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salt);
    hmac::verify(&key, &expected, hmac::sign(&key, &out).as_ref()).is_ok()
}

fn argon2(cost: Cost, password: &[u8], salt: &[u8], out: &mut [u8]) -> Option<()> {
    let params = Params::new(cost.memory, cost.passes, cost.lanes, Some(out.len())).ok()?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(password, salt, out).ok()
}

fn phc(cost: &Cost, salt: &[u8], hash: &[u8]) -> String {
    let Cost { memory, passes, lanes } = cost;
    let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}")
}

fn parse(text: &str) -> Option<(Cost, Vec<u8>, Vec<u8>)> {
    let mut parts = text.strip_prefix("$argon2id$v=19$")?.split('$');
    let (costs, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
    let mut numbers = costs.split(',');
    let mut number = |name: &str| numbers.next()?.strip_prefix(name)?.parse::<u32>().ok();
    let cost = Cost { memory: number("m=")?, passes: number("t=")?, lanes: number("p=")? };
    let (salt, hash) = (STANDARD_NO_PAD.decode(salt).ok()?, STANDARD_NO_PAD.decode(hash).ok()?);
    let sound = parts.next().is_none()
        && numbers.next().is_none()
        && cost.memory <= MOST.0
        && cost.passes <= MOST.1
        && (1..=16).contains(&cost.lanes)
        && (8..=64).contains(&salt.len())
        && (16..=64).contains(&hash.len());
    sound.then_some((cost, salt, hash))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn the_right_password_passes_and_no_other() {
        let passwords = Passwords::new(2);
        let stored = passwords.hash("correct horse battery").await.expect("hashed");
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_eq!(passwords.check("correct horse battery", Some(&stored)).await, Ok(true));
        for wrong in ["", "correct horse batter", "correct horse battery ", "Correct horse battery"] {
            assert_eq!(passwords.check(wrong, Some(&stored)).await, Ok(false), "{wrong:?}");
        }
        let again = passwords.hash("correct horse battery").await.expect("hashed");
        assert_ne!(stored, again, "each hash has its own salt");
    }

    #[tokio::test]
    async fn lengths_outside_the_limits_are_refused() {
        let passwords = Passwords::new(1);
        for password in ["", "nine char", &"x".repeat(LONGEST + 1)] {
            assert_eq!(passwords.hash(password).await, Err(PasswordError::Length));
        }
        let longest = "x".repeat(LONGEST);
        let stored = passwords.hash(&longest).await.expect("hashed");
        assert_eq!(passwords.check(&(longest + "y"), Some(&stored)).await, Ok(false));
    }

    #[tokio::test]
    async fn nobody_has_no_password_and_costs_as_much_as_somebody() {
        let passwords = Passwords::new(1);
        let stored = passwords.hash("correct horse battery").await.expect("hashed");
        let (mut somebody, mut nobody) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            let begun = Instant::now();
            assert_eq!(passwords.check("wrong password", Some(&stored)).await, Ok(false));
            somebody.push(begun.elapsed());
            let begun = Instant::now();
            assert_eq!(passwords.check("wrong password", None).await, Ok(false));
            nobody.push(begun.elapsed());
        }
        // The least of several is the work itself; what the machine does meanwhile only adds.
        let (somebody, nobody) = (somebody.iter().min().expect("some"), nobody.iter().min().expect("some"));
        assert!(*nobody > *somebody / 3, "{nobody:?} against {somebody:?}");
    }

    #[test]
    fn a_hash_of_other_parameters_is_read_and_a_spoilt_one_is_nobody_s() {
        let cost = Cost { memory: 64, passes: 3, lanes: 2 };
        let mut out = [0; 24];
        argon2(cost, b"an old password", b"saltsalt", &mut out).expect("hashed");
        let stored = phc(&cost, b"saltsalt", &out);
        assert!(matches(b"an old password", &stored));
        assert!(!matches(b"another password", &stored));
        for spoilt in [
            "",
            "plain",
            &stored.replace("argon2id", "argon2i"),
            &stored.replace("v=19", "v=16"),
            &stored.replace("m=64", "m=4000000000"),
            &stored.replace("t=3", "t=99"),
            &stored.replace("p=2", "p=0"),
            &format!("{stored}$more"),
            &stored[..stored.len() - 8],
        ] {
            assert!(!matches(b"an old password", spoilt), "{spoilt}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_the_places_wait_and_then_hear_that_it_is_busy() {
        let passwords = Passwords::new(1);
        let place = passwords.places.clone().acquire_owned().await.expect("a place");
        assert_eq!(passwords.check("whatever it is", None).await, Err(PasswordError::Busy));
        drop(place);
    }
}
