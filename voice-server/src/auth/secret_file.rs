//! The secret of a server that was given none: drawn once, kept in the data folder, read by its owner only.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::secrets::random_text;
use crate::config::Secret;

/// The file's name in the data folder.
pub(super) const FILE: &str = "auth_secret";

/// Reads the secret of the data folder, or draws it.
///
/// # Errors
/// A sentence for the operator.
pub(super) fn read_or_draw(folder: &Path) -> Result<Secret, String> {
    let path = folder.join(FILE);
    let said = |error: std::io::Error| {
        format!("{} cannot be used: {error}; correct its rights or set VOICE_AUTH_SECRET", path.display())
    };
    fs::create_dir_all(folder).map_err(said)?;
    // Two starts at once: one makes the file, and both use what is in it.
    if !path.exists() {
        let secret = random_text().map_err(|error| format!("no secret can be drawn: {error}"))?;
        // Written whole under another name first, so that nobody ever reads half a secret.
        let draft = folder.join(format!(".{FILE}-{}", std::process::id()));
        let written =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft).and_then(
                |mut file| {
                    file.write_all(secret.as_bytes())?;
                    file.sync_all()
                },
            );
        let linked = written.and_then(|()| match fs::hard_link(&draft, &path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
        let _ = fs::remove_file(&draft);
        linked.map_err(said)?;
    }
    let mut text = String::new();
    let file = fs::File::open(&path).map_err(said)?;
    if file.metadata().map_err(said)?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(said)?;
    }
    (&file).take(4_096).read_to_string(&mut text).map_err(said)?;
    let text = text.trim();
    if text.len() < 32 {
        return Err(format!(
            "{} holds no secret of 32 letters or more; remove it, and everybody signs in again",
            path.display()
        ));
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn it_is_drawn_once_and_only_its_owner_reads_it() {
        let folder = std::env::temp_dir().join(format!("voice-secret-{}", Uuid::new_v4()));
        let one = read_or_draw(&folder).expect("drawn");
        assert_eq!(read_or_draw(&folder).expect("read"), one);
        let path = folder.join(FILE);
        let mode = || fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("changed");
        assert_eq!(read_or_draw(&folder).expect("read"), one);
        assert_eq!(mode(), 0o600, "rights that are too wide are mended");
        fs::write(&path, "short").expect("written");
        assert!(read_or_draw(&folder).expect_err("refused").contains("auth_secret"));
        assert_eq!(fs::read_dir(&folder).expect("read").count(), 1, "no draft stays");
        fs::remove_dir_all(&folder).expect("removed");
    }
}
