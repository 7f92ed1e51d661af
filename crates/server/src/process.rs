//! What the process does so that its keys do not leave it.
//!
//! Not covered: the cryptographic backend's own copies of a key, registers and stacks, a debugger
//! of root, the memory of a virtual machine's host, and hibernation.

use rustix::process::{DumpableBehavior, Resource, Rlimit};

/// Why a process may not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// It runs as root.
    #[error("refuses to serve as root; run it as a user of its own, or pass --allow-root")]
    Root,
}

/// What could be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hardening {
    /// Memory is never swapped out.
    pub locked: bool,
    /// No other process of the same user can read the memory, and a crash leaves no core.
    pub not_dumpable: bool,
    /// The limit of core files is zero.
    pub no_core: bool,
}

/// Refuses user id 0 unless it was asked for.
///
/// # Errors
/// If the process runs as root and was not told that this is meant.
pub fn refuse_root(allow_root: bool) -> Result<(), ProcessError> {
    if rustix::process::geteuid().is_root() && !allow_root {
        return Err(ProcessError::Root);
    }
    Ok(())
}

/// Locks the memory where that is allowed, and forbids dumps. Says loudly what did not work.
pub fn harden() -> Hardening {
    let lock = rustix::mm::MlockAllFlags::CURRENT | rustix::mm::MlockAllFlags::FUTURE;
    let hardening = Hardening {
        locked: may_lock() && rustix::mm::mlockall(lock).is_ok(),
        not_dumpable: rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok(),
        no_core: rustix::process::setrlimit(
            Resource::Core,
            Rlimit {
                current: Some(0),
                maximum: Some(0),
            },
        )
        .is_ok(),
    };
    raise_file_limit();
    if !hardening.locked {
        tracing::warn!(
            "memory is not locked, so keys may be swapped out: allow it with LimitMEMLOCK=infinity \
             or CAP_IPC_LOCK, or switch swap off"
        );
    }
    if !hardening.not_dumpable || !hardening.no_core {
        tracing::warn!("the process may leave a core file with its keys in it");
    }
    hardening
}

/// Future pages count as well: with a small limit, an allocation far from here would fail. So
/// memory is locked without a limit, or not at all.
fn may_lock() -> bool {
    rustix::process::getrlimit(Resource::Memlock)
        .current
        .is_none()
        || rustix::process::geteuid().is_root()
}

/// Each connection takes a file descriptor, and the usual soft limit of 1024 is fewer than the
/// subscribers of a feed.
fn raise_file_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if rustix::process::setrlimit(Resource::Nofile, raised).is_err() {
        tracing::warn!("the limit of open files could not be raised");
    }
}

/// Installs the one cryptographic provider of TLS for the process. Calling it again is harmless.
pub fn install_crypto_provider() {
    // An error only says that one is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_provider_can_be_installed_twice() {
        install_crypto_provider();
        install_crypto_provider();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }

    #[test]
    fn root_is_refused_unless_it_is_meant() {
        assert!(refuse_root(true).is_ok());
        let root = rustix::process::geteuid().is_root();
        assert_eq!(refuse_root(false).is_err(), root);
    }
}
