use std::error::Error;
use std::fmt;
use std::sync::Arc;

use dayfly_token::feed::Kind;
use dayfly_token::{SpiffeId, TrustDomain, UnixTime};
use rustls::{CertificateError, OtherError};
use serde::{Serialize, Serializer};

use super::chain::ChainError;
use super::leaf::LeafError;
use crate::svid::{MAX_CERTIFICATE_BYTES, SvidError};

/// Why a certificate was refused. [`CertificateRejection::code`] is stable and may be shown to anyone; the `Display`
/// text and its sources state the facts for the log, not for the peer.
#[derive(Debug)]
pub struct CertificateRejection(Box<Reason>);

/// The stable name of a refusal. Where a [`RejectionCode`](crate::RejectionCode) has the same name it has the same
/// meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CertificateRejectionCode {
    /// The private extension of a dayfly issuer is there and cannot be read.
    BadExtension,
    /// The leaf breaks a rule of X.509-SVIDs, or of the leaves of a dayfly issuer.
    BadLeaf,
    /// More certificates than any chain needs.
    ChainTooLong,
    /// A certificate of the chain has expired.
    Expired,
    /// The certificate was issued for longer than this issuer or this program allows.
    LifetimeTooLong,
    /// The private extension is not there: another CA of the trust domain made the certificate.
    MissingExtension,
    /// A certificate of the chain begins, or was issued, in the future.
    NotYetValid,
    /// The revocation state is older than is accepted here, or of no age that this clock can tell.
    RevocationStale,
    /// The certificate, or something that it belongs to, was revoked.
    Revoked,
    /// A certificate that is longer than any that is looked at.
    TooLarge,
    /// A good certificate of a server that this client did not ask for.
    UnexpectedServer,
    /// No path to an authority of the trust domain.
    UntrustedChain,
    /// Another trust domain, or one whose bundle is empty.
    UntrustedDomain,
}

impl CertificateRejectionCode {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 13] = [
        Self::BadExtension,
        Self::BadLeaf,
        Self::ChainTooLong,
        Self::Expired,
        Self::LifetimeTooLong,
        Self::MissingExtension,
        Self::NotYetValid,
        Self::RevocationStale,
        Self::Revoked,
        Self::TooLarge,
        Self::UnexpectedServer,
        Self::UntrustedChain,
        Self::UntrustedDomain,
    ];

    /// The name in logs and metrics, in `snake_case`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadExtension => "bad_extension",
            Self::BadLeaf => "bad_leaf",
            Self::ChainTooLong => "chain_too_long",
            Self::Expired => "expired",
            Self::LifetimeTooLong => "lifetime_too_long",
            Self::MissingExtension => "missing_extension",
            Self::NotYetValid => "not_yet_valid",
            Self::RevocationStale => "revocation_stale",
            Self::Revoked => "revoked",
            Self::TooLarge => "too_large",
            Self::UnexpectedServer => "unexpected_server",
            Self::UntrustedChain => "untrusted_chain",
            Self::UntrustedDomain => "untrusted_domain",
        }
    }
}

impl fmt::Display for CertificateRejectionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for CertificateRejectionCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl CertificateRejection {
    /// The stable name of the refusal.
    #[must_use]
    pub fn code(&self) -> CertificateRejectionCode {
        self.0.code()
    }

    /// What TLS tells the peer: what kind of fault it is, as far as there is an alert for it.
    pub(crate) fn into_tls(self) -> rustls::Error {
        use CertificateRejectionCode as Code;
        rustls::Error::InvalidCertificate(match self.code() {
            Code::Expired => CertificateError::Expired,
            Code::NotYetValid => CertificateError::NotValidYet,
            Code::Revoked => CertificateError::Revoked,
            Code::UntrustedChain | Code::UntrustedDomain => CertificateError::UnknownIssuer,
            Code::UnexpectedServer => CertificateError::NotValidForName,
            // The certificate may be good: it is this end that does not know.
            Code::RevocationStale => CertificateError::ApplicationVerificationFailure,
            _ => CertificateError::Other(OtherError(Arc::new(self))),
        })
    }

    /// The facts in one line, the sources included.
    pub(crate) fn in_one_line(&self) -> String {
        let mut line = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            line.push_str(": ");
            line.push_str(&error.to_string());
            source = error.source();
        }
        line.chars().take(MAX_LINE_CHARACTERS).collect()
    }
}

/// Longest log line of a refusal, in characters: an ID of the greatest length, escaped and cut, with room for the
/// facts around it.
const MAX_LINE_CHARACTERS: usize = 512;

impl fmt::Display for CertificateRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for CertificateRejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// For the client side, which knows whom it means.
pub(crate) fn unexpected_server(found: &SpiffeId) -> CertificateRejection {
    let found = found.clone();
    Reason::Server { found }.into()
}

impl From<Reason> for CertificateRejection {
    fn from(reason: Reason) -> Self {
        Self(Box::new(reason))
    }
}

/// The facts of a refusal. What the certificate said is escaped and cut.
#[derive(Debug, thiserror::Error)]
pub(super) enum Reason {
    #[error("the chain is refused")]
    Chain { source: ChainError },
    #[error("{count} certificates are more than {limit}")]
    Count { count: usize, limit: usize },
    #[error("a certificate of `{found}`, not of the trust domain `{expected}`")]
    Domain {
        found: TrustDomain,
        expected: TrustDomain,
    },
    #[error("issued at {issued_at}, outside of the certificate's own validity")]
    Instant { issued_at: UnixTime },
    #[error("the leaf is not one of a dayfly issuer")]
    Leaf { source: LeafError },
    #[error("a lifetime of {lifetime_secs} s is over the {limit_secs} s allowed here")]
    LifetimeTooLong { lifetime_secs: u64, limit_secs: u64 },
    #[error("revoked: {kind}")]
    Revoked { kind: Kind },
    #[error("the server is `{found}`, which is not among the expected ones")]
    Server { found: SpiffeId },
    #[error(transparent)]
    Staleness { source: crate::rejection::Reason },
    #[error("the leaf is no X.509-SVID")]
    Svid { source: SvidError },
    #[error("a certificate of {length} bytes, more than {MAX_CERTIFICATE_BYTES}")]
    TooLarge { length: usize },
    #[error("`{id}` is not of the form owner/workload")]
    Workload { id: SpiffeId },
}

impl Reason {
    fn code(&self) -> CertificateRejectionCode {
        use CertificateRejectionCode as Code;
        match self {
            Self::Chain { source } => code_of_chain(source),
            Self::Count { .. } => Code::ChainTooLong,
            Self::Domain { .. } => Code::UntrustedDomain,
            Self::Leaf { source } => code_of_leaf(source),
            Self::Instant { .. } => Code::BadExtension,
            Self::LifetimeTooLong { .. } => Code::LifetimeTooLong,
            Self::Revoked { .. } => Code::Revoked,
            Self::Server { .. } => Code::UnexpectedServer,
            Self::Staleness { .. } => Code::RevocationStale,
            Self::Svid { .. } | Self::Workload { .. } => Code::BadLeaf,
            Self::TooLarge { .. } => Code::TooLarge,
        }
    }
}

const fn code_of_chain(error: &ChainError) -> CertificateRejectionCode {
    use CertificateRejectionCode as Code;
    match error {
        ChainError::Depth { .. } | ChainError::SameSubject => Code::ChainTooLong,
        ChainError::Expired { .. } => Code::Expired,
        ChainError::NotYetValid { .. } => Code::NotYetValid,
        ChainError::Untrusted => Code::UntrustedDomain,
        ChainError::Foreign { .. }
        | ChainError::Issuer { .. }
        | ChainError::Path { .. }
        | ChainError::Unreadable { .. } => Code::UntrustedChain,
    }
}

const fn code_of_leaf(error: &LeafError) -> CertificateRejectionCode {
    use CertificateRejectionCode as Code;
    match error {
        LeafError::ExtensionMissing => Code::MissingExtension,
        LeafError::ExtensionRefused { .. } | LeafError::ExtensionTwice => Code::BadExtension,
        LeafError::ExtendedKeyUsage | LeafError::Serial | LeafError::Unreadable { .. } => {
            Code::BadLeaf
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_sorted() {
        let names = CertificateRejectionCode::ALL.map(CertificateRejectionCode::as_str);
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
    }
}
