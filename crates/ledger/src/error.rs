//! Why a ledger cannot be opened.

use std::path::PathBuf;

use crate::redis::Ack;

/// A ledger cannot be opened as it is configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The level of acknowledgement is not built yet.
    #[error("acknowledgement `{ack}` comes later, `memory` is what there is")]
    AckUnsupported {
        /// What was asked for.
        ack: Ack,
    },
    /// The URL of the Redis is not one.
    #[error("the Redis URL {what}")]
    Address {
        /// What is wrong with it, without the URL.
        what: &'static str,
    },
    /// Another process, or this one, has the embedded store open.
    #[error("the ledger {} is open already", path.display())]
    AlreadyOpen {
        /// The file.
        path: PathBuf,
    },
    /// The embedded store cannot be read.
    #[error("the ledger {} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The file of the embedded store is gone, while the secret that was made with it is there.
    #[error(
        "the ledger {} is missing or empty, but {} shows that there was one: restore it, or remove both to start anew",
        path.display(),
        secret.display()
    )]
    Gone {
        /// The file of the ledger.
        path: PathBuf,
        /// The file of the secret.
        secret: PathBuf,
    },
    /// A file or directory cannot be used.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The Redis refuses this replica.
    #[error("{reason}")]
    Refused {
        /// What it said, without secrets.
        reason: String,
    },
    /// The secret file of the embedded store is unusable.
    #[error("the secret {} {what}", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The TLS material for the Redis is unusable.
    #[error("the TLS material for Redis {what}")]
    Tls {
        /// What is wrong with it.
        what: String,
    },
    /// The Redis cannot serve as a ledger.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

/// Why a Redis that answers cannot serve as a ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// It is a node of a cluster, or a sentinel.
    #[error("Redis runs in mode `{mode}`, only `standalone` is supported so far")]
    Mode {
        /// `cluster` or `sentinel`.
        mode: String,
    },
    /// It forgets entries when its memory is full.
    #[error(
        "Redis evicts entries when its memory is full (`maxmemory-policy {policy}`): revocations and replay marks would be forgotten; set `maxmemory-policy noeviction`"
    )]
    Evicts {
        /// The policy.
        policy: String,
    },
    /// It is too old.
    #[error("Redis {version} is too old, 6.2 is the oldest that has the commands")]
    Old {
        /// Its version.
        version: String,
    },
    /// It does not say what it is.
    #[error("Redis does not say its `{field}` in INFO")]
    Silent {
        /// The missing field.
        field: &'static str,
    },
    /// It is a replica of another.
    #[error("Redis is a replica, the ledger must be on the primary")]
    Replica,
}
