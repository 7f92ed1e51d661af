//! Small real services for the demo, for development and for the tests: a SPIFFE certificate authority, an OIDC
//! issuer that signs GitHub-Actions-shaped tokens, a private CA for servers on loopback, and a sample API.
//!
//! Everything here is real: certificates that other implementations validate, tokens that any OIDC library accepts,
//! TLS 1.3 on sockets. What it lacks is everything that makes such a service fit for production, and [`guard`] keeps
//! it out of there: loopback addresses only, and nothing at all where `DAYFLY_ENV` says production.

mod api;
mod clients;
mod clock;
mod error;
pub mod guard;
mod oidc;
mod random;
mod service;
mod spiffe;
mod tls;

pub use api::{SampleApi, SampleApiOptions};
pub use clients::ClientBundle;
pub use error::LabError;
pub use oidc::{
    Behaviour, Counts, DocumentKind, GithubJob, GithubRuntime, OidcIssuer, OidcOptions,
    TokenAlgorithm,
};
pub use spiffe::{BasicConstraintsKnob, CertificateKey, KeyUsageKnob, SpiffeCa, Svid, SvidParams};
pub use tls::{LOOPBACK_NAMES, TlsAuthority};

/// The purposes of a certificate that [`SvidParams::extended_key_usage`] lists.
pub use rcgen::ExtendedKeyUsagePurpose;
/// The purposes of a key that [`KeyUsageKnob::Exactly`] lists.
pub use rcgen::KeyUsagePurpose;
