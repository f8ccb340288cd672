//! The one-time link by which the first admin of a server is made, where nobody can sign in yet.

use std::sync::{Mutex, PoisonError};

use ring::hmac;

use super::demo;
use super::secrets::{NoRandomness, digest, random_text};
use crate::data::{Accounts, DataError};

/// The link's secret, as long as it waits to be used. It ends with the process.
#[derive(Debug, Default)]
pub struct Setup(Mutex<Option<[u8; 32]>>);

impl Setup {
    /// Draws the secret, which is told once.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn open(&self) -> Result<String, NoRandomness> {
        let text = random_text()?;
        *self.lock() = Some(digest(&text));
        Ok(text)
    }

    /// Whether this is the secret of a link that waits.
    pub fn is(&self, text: &str) -> bool {
        fits(&self.lock(), text)
    }

    /// Uses the link up; false where this is not its secret or it was used.
    pub fn take(&self, text: &str) -> bool {
        let mut held = self.lock();
        let fits = fits(&held, text);
        if fits {
            *held = None;
        }
        fits
    }

    /// Makes a link good again that was taken in vain.
    pub(crate) fn put_back(&self, text: &str) {
        self.lock().get_or_insert(digest(text));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<[u8; 32]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fits(held: &Option<[u8; 32]>, text: &str) -> bool {
    held.is_some_and(|expected| {
        // Compared under a key of the moment, so that the time says nothing about the secret.
        let key = hmac::Key::new(hmac::HMAC_SHA256, &expected);
        hmac::verify(&key, &expected, hmac::sign(&key, &digest(text)).as_ref()).is_ok()
    })
}

/// Whether nobody but demo users can sign in.
///
/// # Errors
/// The database does not answer.
pub(crate) async fn is_wanted(accounts: &dyn Accounts) -> Result<bool, DataError> {
    let mut demos = 0;
    for demo in demo::USERS {
        demos += i64::from(accounts.user_by_id(demo.id).await?.is_some());
    }
    Ok(accounts.count_users().await? <= demos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_works_once_and_only_with_its_secret() {
        let setup = Setup::default();
        assert!(!setup.take(""), "nothing was opened");
        let text = setup.open().expect("drawn");
        assert!(!setup.take("") && !setup.take("another"));
        assert!(setup.take(&text));
        assert!(!setup.take(&text));
    }
}
