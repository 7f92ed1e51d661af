//! Certificates: an in-memory intermediate under an upstream root, and short-lived leaves.
//!
//! A leaf is an X.509-SVID of the issuer's own trust domain and of no other. From the request it
//! takes the public key and nothing else. Its serial number is the credential id, it asks for no
//! revocation check (RFC 9608), and it carries what a token carries (`txn`, `dfy`, the issuing
//! instant) in one private, non-critical extension.
//!
//! # The private extension
//!
//! [`EXTENSION_OID`] holds a [`CertificateClaims`], whose members have the names and meanings of a
//! token's claims: `iat` (the issuing instant that cut-offs are compared with; `notBefore` lies
//! before it), `txn` if there is a task, and `dfy` with `rule`, `env` and `anc`. Peers read it with
//! `dayfly_verifier::x509`.

mod authority;
mod bundle;
mod certificate;
mod extension;
mod leaf;
mod root;

#[cfg(test)]
mod tests;

pub use authority::IssuingCa;
pub use bundle::bundle_document;
pub use dayfly_token::{CertificateClaims, EXTENSION_OID};
pub(crate) use leaf::Leaf;
pub use root::{EphemeralRoot, FileRoot, RootAlgorithm, RootKey};

/// How far `notBefore` lies before the issuing instant, in seconds, for peers whose clock is a
/// little behind.
pub const NOT_BEFORE_SECS: u64 = 30;

/// A certificate was not issued, or a root cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaError {
    /// What was encoded is not what was meant.
    #[error("the certificate differs from what was meant in its {member}")]
    Differs {
        /// What differs.
        member: &'static str,
    },
    /// The encoder failed.
    #[error("the certificate cannot be encoded")]
    Encode(#[source] rcgen::Error),
    /// The key failed.
    #[error("a key of the certificate authority failed")]
    Key(#[from] dayfly_keys::KeyError),
    /// The key of the request is one of the authority's own.
    #[error("the certificate request has the key of a certificate authority")]
    KeyOfAuthority,
    /// The certificate cannot be read.
    #[error("a certificate cannot be read: {detail}")]
    Malformed {
        /// What the parser says.
        detail: String,
    },
    /// The root cannot sign for this issuer.
    #[error("the root certificate cannot be used: {fault}")]
    Root {
        /// Why.
        fault: &'static str,
    },
    /// The key file of the root cannot be used.
    #[error("the key of the root cannot be read as an unencrypted PEM key")]
    RootKey,
    /// A signature does not verify.
    #[error("a signature of the certificate authority does not verify")]
    Signature,
    /// An instant that no certificate can say.
    #[error("the instant {secs} has no place in a certificate")]
    Time {
        /// Seconds since 1970.
        secs: u64,
    },
}
