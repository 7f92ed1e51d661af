//! The directory of the embedded store: the ledger and the secret that was made with it.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, StorageError};
use zeroize::Zeroizing;

use crate::error::OpenError;

/// What redb keeps in memory of the file. The whole idle server is to stay under 40 MB.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// As long as the MAC key that it becomes.
pub(super) const SECRET_BYTES: usize = 32;

const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// Everyone but the owner.
const OTHERS: u32 = 0o077;

/// Where things stand in the directory.
pub(super) struct Files {
    directory: PathBuf,
    ledger: PathBuf,
    secret: PathBuf,
}

impl Files {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            ledger: directory.join("ledger.redb"),
            secret: directory.join("cluster-secret"),
        }
    }

    pub(super) fn ledger(&self) -> &Path {
        &self.ledger
    }

    /// Opens the ledger file and locks it, or makes both directory and file.
    pub(super) fn open_database(&self) -> Result<Database, OpenError> {
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(&self.directory)
            .map_err(|source| failed("create", &self.directory, source))?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&self.ledger)
            .map_err(|source| failed("open", &self.ledger, source))?;
        let metadata = file
            .metadata()
            .map_err(|source| failed("look at", &self.ledger, source))?;
        if metadata.len() == 0 && self.secret.exists() {
            // Starting anew here would forget revocations and replay marks without a word.
            return Err(OpenError::Gone {
                path: self.ledger.clone(),
                secret: self.secret.clone(),
            });
        }
        if metadata.permissions().mode() & OTHERS != 0 {
            file.set_permissions(Permissions::from_mode(FILE_MODE))
                .map_err(|source| failed("close to others", &self.ledger, source))?;
        }
        drop(file);
        // redb documents that opening or checking a damaged file may panic.
        std::panic::catch_unwind(|| {
            Database::builder()
                .set_cache_size(CACHE_BYTES)
                .set_check_integrity_on_open(true)
                .create(&self.ledger)
        })
        .map_err(|_| self.damaged("its structure is broken".to_owned()))?
        .map_err(|error| self.explain(error))
    }

    fn explain(&self, error: DatabaseError) -> OpenError {
        match error {
            DatabaseError::DatabaseAlreadyOpen => OpenError::AlreadyOpen {
                path: self.ledger.clone(),
            },
            DatabaseError::Storage(StorageError::Io(source))
                if !matches!(
                    source.kind(),
                    std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
                ) =>
            {
                failed("read", &self.ledger, source)
            }
            other => self.damaged(other.to_string()),
        }
    }

    pub(super) fn damaged(&self, what: String) -> OpenError {
        OpenError::Damaged {
            path: self.ledger.clone(),
            what,
        }
    }

    /// The secret of this store; made on the first start.
    #[expect(
        clippy::disallowed_methods,
        reason = "the secret is drawn where its file is made"
    )]
    pub(super) fn secret(&self) -> Result<Zeroizing<[u8; SECRET_BYTES]>, OpenError> {
        let unusable = |what| OpenError::Secret {
            path: self.secret.clone(),
            what,
        };
        if let Some(found) = self.read_secret()? {
            return Ok(found);
        }
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        getrandom::fill(secret.as_mut_slice())
            .map_err(|_| unusable("cannot be drawn: the system gives no random bytes"))?;
        let draft = self.secret.with_extension("new");
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(FILE_MODE)
                .open(&draft)?;
            file.set_permissions(Permissions::from_mode(FILE_MODE))?;
            file.write_all(secret.as_slice())?;
            file.sync_all()?;
            std::fs::rename(&draft, &self.secret)?;
            self.sync_directory()
        };
        write().map_err(|source| failed("write", &self.secret, source))?;
        Ok(secret)
    }

    fn read_secret(&self) -> Result<Option<Zeroizing<[u8; SECRET_BYTES]>>, OpenError> {
        let unusable = |what| OpenError::Secret {
            path: self.secret.clone(),
            what,
        };
        let mut file = match File::open(&self.secret) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed("open", &self.secret, source)),
        };
        let metadata = file
            .metadata()
            .map_err(|source| failed("look at", &self.secret, source))?;
        if metadata.permissions().mode() & OTHERS != 0 {
            return Err(unusable("can be read by others: set its mode to 0600"));
        }
        if metadata.len() != SECRET_BYTES as u64 {
            return Err(unusable("has not 32 bytes"));
        }
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        file.read_exact(secret.as_mut_slice())
            .map_err(|source| failed("read", &self.secret, source))?;
        Ok(Some(secret))
    }

    /// Makes the names of new files survive a power cut.
    pub(super) fn sync_directory(&self) -> std::io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    pub(super) fn sync(&self) -> Result<(), OpenError> {
        self.sync_directory()
            .map_err(|source| failed("sync", &self.directory, source))
    }
}

fn failed(action: &'static str, path: &Path, source: std::io::Error) -> OpenError {
    OpenError::File {
        action,
        path: path.to_owned(),
        source,
    }
}
