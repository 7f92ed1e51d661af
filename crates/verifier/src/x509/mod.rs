//! The certificates of a dayfly issuer: who shows one, and whether it still stands.
//!
//! A dayfly issuer mints X.509-SVIDs that live minutes, and writes into each what a token says in claims: the issuing
//! instant, the task, the rule, the ancestors ([`CertificateClaims`](dayfly_token::CertificateClaims)). A
//! [`CertificateVerifier`] checks them for both ends of a TLS connection, offline, and refuses what was revoked:
//!
//! - [`CertificateVerifier::required_clients`] and [`CertificateVerifier::optional_clients`] for a server,
//! - [`CertificateVerifier::servers`] for a client, which names the servers that it expects,
//! - [`CertificateVerifier::recheck`] for each request of an open connection, because TLS looks only once.
//!
//! What it trusts is one [`TrustBundle`], which [`CertificateVerifier::replace_bundle`] replaces while it runs. The
//! system's roots, DNS names and common names have no part in it.
//!
//! [`TrustBundle::check_path`] and [`ProvenCache`] are for those who verify SVIDs of any trust domain.

mod builder;
mod bundle;
mod chain;
mod leaf;
mod proven;
mod rejection;
mod verified;
mod verifier;

pub use dayfly_token::EXTENSION_OID;

pub use builder::{CertificateBuildError, CertificateVerifierBuilder};
pub use bundle::{BundleError, MAX_AUTHORITIES, MAX_BUNDLE_BYTES, TrustBundle};
pub use chain::{ChainError, MAX_INTERMEDIATES, MAX_SAME_SUBJECT, ProvenPath, Usage, Validity};
pub use leaf::{LeafError, claims_of};
pub use proven::ProvenCache;
pub(crate) use rejection::unexpected_server;
pub use rejection::{CertificateRejection, CertificateRejectionCode};
pub use verified::VerifiedCertificate;
pub use verifier::{CertificateVerifier, MAX_CHAIN};
