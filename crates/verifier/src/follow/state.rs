//! The state file: what is known of an issuer, kept for a start without it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dayfly_keys::KeySet;
use dayfly_token::UnixTime;

use crate::MAX_LEEWAY_SECS;
use crate::core::Core;
use crate::feed::{Bundle, BundleError, FeedState, MAX_BUNDLE_BYTES, Record};

/// Why the state file was not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// There is none, as before the first contact with the issuer.
    #[error("there is no state file")]
    Absent,
    /// It is cut, changed, of another issuer, or signed by keys that it does not vouch for.
    #[error("the state file is refused")]
    Bundle {
        /// Why.
        source: BundleError,
    },
    /// It is of the future: a clock was set back, or it is another machine's.
    #[error("the state file is of {as_of}, now is {now}")]
    Future {
        /// The present, by this machine's clock.
        now: UnixTime,
        /// When its keys were confirmed.
        as_of: UnixTime,
    },
    /// Someone else may write it, and so decide whom this verifier trusts.
    #[error("the state file is not safe: {detail}")]
    Insecure {
        /// What is wrong with it.
        detail: &'static str,
    },
    /// It cannot be read.
    #[error("the state file cannot be read")]
    Io {
        /// Why.
        source: io::Error,
    },
    /// The issuer confirmed its keys too long ago: whoever keeps this verifier from the issuer must not keep a withdrawn
    /// key alive.
    #[error("the keys in the state file were confirmed {age_secs} s ago, more than {limit_secs} s")]
    KeysTooOld {
        /// How long ago, in seconds.
        age_secs: u64,
        /// The limit in seconds.
        limit_secs: u64,
    },
}

/// What was read of a state file and is believed.
pub(super) struct Recalled {
    pub(super) feed: FeedState,
    pub(super) record: Record,
    pub(super) keys: Result<RecalledKeys, StateError>,
}

/// Token keys, and how much longer they may be used without the issuer.
pub(super) struct RecalledKeys {
    pub(super) keys: KeySet,
    pub(super) left: Duration,
}

/// Reads the file, and brings its revocations and the age of its knowledge into `core`. They only ever add: an older
/// file than what is known changes nothing. The keys are given back, not used.
pub(super) fn recall(
    path: &Path,
    core: &Core,
    keys_outlive: Duration,
    now: UnixTime,
) -> Result<Recalled, StateError> {
    let refused = |source| StateError::Bundle { source };
    let bundle = Bundle::parse(&read(path)?).map_err(refused)?;
    let keys = bundle.keys().map_err(refused)?;
    let record = Record::of(&bundle);
    let as_of = bundle
        .keys_as_of
        .or(record.snapshot_as_of())
        .unwrap_or(UnixTime::EPOCH);
    if as_of > now.saturating_add(MAX_LEEWAY_SECS) {
        return Err(StateError::Future { now, as_of });
    }
    let (feed, _) = bundle
        .recall(core.issuer(), core.revocations(), now)
        .map_err(refused)?;
    if let Some(secs) = bundle.max_lifetime_secs {
        core.set_max_lifetime(secs);
    }
    Ok(Recalled {
        feed,
        record,
        keys: young_enough(keys, as_of, keys_outlive, now),
    })
}

fn young_enough(
    keys: KeySet,
    as_of: UnixTime,
    keys_outlive: Duration,
    now: UnixTime,
) -> Result<RecalledKeys, StateError> {
    let age_secs = now.seconds_since(as_of);
    let left = keys_outlive.saturating_sub(Duration::from_secs(age_secs));
    if left.is_zero() {
        return Err(StateError::KeysTooOld {
            age_secs,
            limit_secs: keys_outlive.as_secs(),
        });
    }
    Ok(RecalledKeys { keys, left })
}

fn read(path: &Path) -> Result<Vec<u8>, StateError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => StateError::Absent,
        _ => StateError::Io { source },
    };
    let check = |file: &fs::Metadata| {
        check_kind(file)?;
        check_writers(file, &fs::metadata(directory(path)).map_err(failed)?)
    };
    // Before it is opened, because opening a pipe waits for ever; and what was opened, because it may be another.
    check(&fs::metadata(path).map_err(failed)?)?;
    let file = File::open(path).map_err(failed)?;
    check(&file.metadata().map_err(failed)?)?;
    let most = u64::try_from(MAX_BUNDLE_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

fn check_kind(metadata: &fs::Metadata) -> Result<(), StateError> {
    if metadata.is_file() {
        Ok(())
    } else {
        Err(StateError::Insecure {
            detail: "it is not a regular file",
        })
    }
}

/// The file says whom to trust, so it must be of the one who runs this process, or of root, and nobody else may write
/// it or put another in its place.
#[cfg(unix)]
fn check_writers(file: &fs::Metadata, directory: &fs::Metadata) -> Result<(), StateError> {
    use std::os::unix::fs::MetadataExt as _;

    /// Group and others may write.
    const OTHERS_WRITE: u32 = 0o022;
    /// In such a directory only the owner of a file may replace it.
    const STICKY: u32 = 0o1000;

    let insecure = |detail| Err(StateError::Insecure { detail });
    let trusted = |uid: u32| uid == 0 || uid == rustix::process::geteuid().as_raw();
    if !trusted(file.uid()) {
        return insecure("it belongs to another user");
    }
    if file.mode() & OTHERS_WRITE != 0 {
        return insecure("others may write it");
    }
    if !trusted(directory.uid()) {
        return insecure("its directory belongs to another user");
    }
    if directory.mode() & OTHERS_WRITE != 0 && directory.mode() & STICKY == 0 {
        return insecure("others may write its directory");
    }
    Ok(())
}

/// Windows has no such bits in the standard library: the directory's own access list must do.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the other platforms refuse")]
fn check_writers(_: &fs::Metadata, _: &fs::Metadata) -> Result<(), StateError> {
    Ok(())
}

fn directory(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."))
}

/// Puts `bytes` in the place of the file, all or nothing: whoever reads meanwhile, or after a crash, sees the former
/// file or this one. Mode 0600.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = beside(path);
    let written = write_new(&fresh, bytes).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
        return written;
    }
    // The new name is on the disk with the directory.
    #[cfg(unix)]
    File::open(directory(path))?.sync_all()?;
    Ok(())
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A name that no other process and no other verifier of this one writes to.
fn beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    name.push(format!(".{}-{number}.new", std::process::id()));
    path.with_file_name(name)
}
