//! The commands, one file each.

pub(crate) mod cert;
pub(crate) mod completions;
#[cfg(feature = "server")]
pub(crate) mod config;
pub(crate) mod hold;
pub(crate) mod inspect;
pub(crate) mod issuer;
pub(crate) mod revoke;
#[cfg(feature = "server")]
pub(crate) mod serve;
pub(crate) mod task;
pub(crate) mod token;
pub(crate) mod verify;
pub(crate) mod why;

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use dayfly_token::UnixTime;

use crate::output::Output;

/// What every command may be told.
#[derive(Debug)]
pub(crate) struct Common {
    /// `--issuer`.
    pub(crate) issuer: Option<String>,
    /// `--ca-file`.
    pub(crate) ca_file: Option<PathBuf>,
    /// `--output`.
    pub(crate) output: Output,
}

/// Waits for the end that a terminal or a service manager asks for.
pub(crate) async fn until_stopped() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        stopped = tokio::signal::ctrl_c() => stopped,
        _ = terminate.recv() => Ok(()),
    }
}

/// A note for a name that the issuer does not know.
pub(crate) fn unknown_note(known: bool) -> &'static str {
    if known {
        ""
    } else {
        "\nnote: the issuer knows nothing of this name; it was recorded all the same, and may be mistyped"
    }
}

/// The present, by this machine's clock.
#[expect(clippy::disallowed_methods, reason = "the command line is the rim")]
pub(crate) fn now() -> UnixTime {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixTime::from_secs(since.as_secs())
}
