#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod cache;
mod content;
mod core;
mod details;
pub mod dpop;
pub mod feed;
mod keyring;
pub mod manual;
mod peer;
#[cfg(any(feature = "http", feature = "rustls"))]
mod pem;
mod rejection;
pub mod revocation;
mod staleness;
mod unverified;
mod verified;
mod verifier;
mod verifiers;

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "http")]
pub mod fetch;
#[cfg(feature = "http")]
pub mod follow;
#[cfg(feature = "migrate")]
pub mod migrate;
#[cfg(any(feature = "http", feature = "rustls", feature = "tower"))]
mod rim;
#[cfg(feature = "rustls")]
pub mod svid;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "rustls")]
pub mod tls;
#[cfg(feature = "tonic")]
pub mod tonic;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "rustls")]
pub mod x509;

pub use builder::{BuildError, RevocationSource, VerifierBuilder};
pub use details::{AuthorizationDetail, DetailError};
pub use peer::{PeerCertificate, Presented};
pub use rejection::{Rejection, RejectionCode};
pub use revocation::Revocations;
pub use unverified::UnverifiedToken;
pub use verified::{Freshness, Verified};
pub use verifier::Verifier;
pub use verifiers::{MAX_ISSUERS, TooManyIssuers, Verifiers};

// What appears in the signatures above, so that users need no second dependency for it.
pub use dayfly_keys::{JwkSet, KeySet};
pub use dayfly_token::{
    Actor, Audiences, CertificateClaims, Claims, Confirmation, CredentialId, Scope, ScopeSet, Slug,
    SpiffeId, TrustDomain, UnixTime, WorkloadId,
};

/// Seconds within which a revocation state counts as fresh: three heartbeats of the feed, which sends one every
/// 5 s, so that one lost heartbeat is not yet called stale.
pub const FRESH_SECS: u64 = 15;

/// Leeway for clocks in seconds, unless the builder says otherwise.
pub const DEFAULT_LEEWAY_SECS: u64 = 30;

/// Largest leeway in seconds: more would be a way around `exp` for tokens that live minutes.
pub const MAX_LEEWAY_SECS: u64 = 60;

/// Longest lifetime of a token in seconds, unless the builder says otherwise: the longest that a dayfly issuer
/// can be configured to.
pub const DEFAULT_MAX_LIFETIME_SECS: u64 = 3600;

/// How many verified tokens a verifier remembers, unless the builder says otherwise: as many as are alive at once at an
/// API that a few thousand workloads call, in 24 MiB at most with tokens of ours.
pub const DEFAULT_CACHED_TOKENS: usize = 8192;
