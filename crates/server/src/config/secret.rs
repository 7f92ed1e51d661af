//! Files that hold a secret.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// A longer file is no secret of ours.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Permission bits of group and others.
const GROUP_AND_OTHER: u32 = 0o077;

/// Why a secret file is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// It is empty.
    #[error("{} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("{} cannot be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is too long.
    #[error("{} is longer than {MAX_SECRET_BYTES} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// Others can read it.
    #[error(
        "{} has mode {mode:04o}, so others than its owner can reach the secret; write \
         `chmod 600 {}`", path.display(), path.display()
    )]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// Reads a file that only its owner may reach. The checks are made on the opened file.
///
/// # Errors
/// If it cannot be read, is empty, too long, or open to group or others.
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let io = |source| SecretError::Io {
        path: path.to_owned(),
        source,
    };
    let file = super::regular::open(path).map_err(io)?;
    let about = file.metadata().map_err(io)?;
    if about.mode() & GROUP_AND_OTHER != 0 {
        return Err(SecretError::TooOpen {
            path: path.to_owned(),
            mode: about.mode() & 0o7777,
        });
    }
    // The whole capacity at once: a growing vector would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(
        usize::try_from(about.len().min(MAX_SECRET_BYTES))
            .unwrap_or(0)
            .saturating_add(1),
    ));
    file.take(MAX_SECRET_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() as u64 > MAX_SECRET_BYTES {
        return Err(SecretError::TooLong {
            path: path.to_owned(),
        });
    }
    if bytes.is_empty() {
        return Err(SecretError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(bytes)
}

/// A secret that people write into a text file: without the line break at its end.
pub(super) fn read_secret_line(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let mut bytes = read_secret(path)?;
    while bytes
        .last()
        .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
    {
        bytes.pop();
    }
    if bytes.is_empty() {
        return Err(SecretError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(dir: &tempfile::TempDir, mode: u32, bytes: &[u8]) -> PathBuf {
        let path = dir.path().join(format!("secret-{mode:o}"));
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn refuses_what_others_can_reach() {
        let dir = tempfile::tempdir().unwrap();
        for mode in [0o640, 0o604, 0o620, 0o644, 0o610] {
            let error = read_secret(&file(&dir, mode, b"hunter2")).unwrap_err();
            assert!(matches!(error, SecretError::TooOpen { .. }), "{mode:o}");
            assert!(!error.to_string().contains("hunter2"));
        }
        for mode in [0o600, 0o400] {
            assert_eq!(
                read_secret(&file(&dir, mode, b"hunter2"))
                    .unwrap()
                    .as_slice(),
                b"hunter2"
            );
        }
    }

    #[test]
    fn refuses_empty_missing_and_huge() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            read_secret(&file(&dir, 0o600, b"")).unwrap_err(),
            SecretError::Empty { .. }
        ));
        assert!(matches!(
            read_secret_line(&file(&dir, 0o600, b"\n")).unwrap_err(),
            SecretError::Empty { .. }
        ));
        assert!(matches!(
            read_secret(&dir.path().join("none")).unwrap_err(),
            SecretError::Io { .. }
        ));
        assert!(matches!(
            read_secret(&file(&dir, 0o600, &vec![b'x'; 70_000])).unwrap_err(),
            SecretError::TooLong { .. }
        ));
    }

    #[test]
    fn a_line_loses_its_line_break_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(&dir, 0o600, b" pass word \r\n");
        assert_eq!(read_secret_line(&path).unwrap().as_slice(), b" pass word ");
    }
}
