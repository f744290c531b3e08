//! The token of a run's API: from a file that its user alone can read, made there when it is not yet, or made
//! for the one run and shown on the terminal. It is in no log, no argument and no output for programs.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The shortest token that is accepted, in characters.
const LEAST: usize = 32;
/// The longest.
const MOST: u64 = 1024;
/// Bits that let others than the owner at a file.
const OTHERS: u32 = 0o077;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody would see it.
    #[error(
        "standard error is no terminal, so nobody would see the token: name a file by --token-file"
    )]
    ShowNobody,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Draw,
    /// The file cannot be used.
    #[error("the file {} cannot be read or made", path.display())]
    Use {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others can read the file.
    #[error("others than its owner can read the file {}: chmod 600 it", path.display())]
    KeepSecret {
        /// The file.
        path: PathBuf,
    },
    /// What is in the file is no token.
    #[error("the file {} has to hold one word of {LEAST} to {MOST} visible characters", path.display())]
    Read {
        /// The file.
        path: PathBuf,
    },
}

/// The token of a run; `is_shown` when its user sees what is told.
///
/// # Errors
///
/// When nobody would know it, or the file does not fit.
pub fn of_run(file: Option<&Path>, is_shown: bool) -> Result<String, Error> {
    match file {
        Some(path) => of_file(path),
        None if is_shown => random(),
        None => Err(Error::ShowNobody),
    }
}

fn of_file(path: &Path) -> Result<String, Error> {
    let failed = |source| Error::Use { path: path.to_owned(), source };
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Ok(mut file) => {
            let token = random()?;
            file.write_all(token.as_bytes()).map_err(failed)?;
            Ok(token)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(path),
        Err(error) => Err(failed(error)),
    }
}

fn read(path: &Path) -> Result<String, Error> {
    let failed = |source| Error::Use { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::other("it is not a regular file")));
    }
    if metadata.permissions().mode() & OTHERS != 0 {
        return Err(Error::KeepSecret { path: path.to_owned() });
    }
    let mut text = String::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(MOST + 1).read_to_string(&mut text).map_err(failed)?;
    let token = text.trim();
    let fits = token.len() >= LEAST && token.chars().all(|one| one.is_ascii_graphic());
    let is_whole = u64::try_from(text.len()).is_ok_and(|length| length <= MOST);
    if fits && is_whole { Ok(token.to_owned()) } else { Err(Error::Read { path: path.to_owned() }) }
}

/// 256 bits.
fn random() -> Result<String, Error> {
    let mut bytes = [0; 32];
    let source = rustls::crypto::ring::default_provider().secure_random;
    source.fill(&mut bytes).map_err(|_| Error::Draw)?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_once_and_kept_secret() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let token = of_run(Some(&path), false).unwrap();
        assert_eq!(token.len(), 64);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(of_run(Some(&path), true).unwrap(), token);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(of_run(Some(&path), true), Err(Error::KeepSecret { .. })));
    }

    #[test]
    fn a_weak_token_and_one_that_nobody_sees_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        for text in ["", "short", &"two words ".repeat(8), &"x".repeat(2000)] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(of_run(Some(&path), true), Err(Error::Read { .. })), "{text}");
        }
        assert!(matches!(of_run(None, false), Err(Error::ShowNobody)));
        assert_ne!(of_run(None, true).unwrap(), of_run(None, true).unwrap());
    }
}
