//! The path from a leaf to the authorities of its own trust domain.

use std::collections::HashMap;

use dayfly_token::UnixTime;
use dayfly_verifier::svid::{self, SvidError};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use spiffe::X509Bundle;
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Most intermediates of a chain: a nested SPIRE deployment of three levels needs two. Path building tries them in
/// every order, so that the number decides what a hostile chain costs.
pub const MAX_INTERMEDIATES: usize = 4;
/// Most intermediates of one subject: SPIRE's CAs share a subject, and only such certificates can be confused. With
/// two, a hostile chain has at most 14 paths; with four it would have 64.
pub const MAX_SAME_SUBJECT: usize = 2;

/// Why a chain was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// More intermediates than allowed.
    #[error("{count} intermediates, more than {MAX_INTERMEDIATES}")]
    Depth {
        /// How many.
        count: usize,
    },
    /// A certificate of the chain is not valid any more.
    #[error("a certificate expired at {} (now {})", not_after.as_secs(), now.as_secs())]
    Expired {
        /// Its last instant.
        not_after: UnixTime,
        /// When it was looked at.
        now: UnixTime,
    },
    /// An intermediate is not the certificate of a CA.
    #[error("intermediate {index} cannot sign SVIDs")]
    Issuer {
        /// Which one, from 0.
        index: usize,
        /// The rule that it breaks.
        source: SvidError,
    },
    /// A certificate of the chain is not valid yet.
    #[error("a certificate is valid from {} (now {})", not_before.as_secs(), now.as_secs())]
    NotYetValid {
        /// Its first instant.
        not_before: UnixTime,
        /// When it was looked at.
        now: UnixTime,
    },
    /// No path from the leaf to an authority of its trust domain.
    #[error("no path to an authority: {reason}")]
    Path {
        /// What path building ended with.
        reason: String,
    },
    /// Too many intermediates share a subject.
    #[error("more than {MAX_SAME_SUBJECT} intermediates share a subject")]
    SameSubject,
    /// The bundle of the trust domain has no authority.
    #[error("the bundle has no authority")]
    Untrusted,
    /// A certificate that cannot be read.
    #[error("a certificate cannot be read: {reason}")]
    Unreadable {
        /// What is wrong with it.
        reason: String,
    },
}

impl ChainError {
    /// A stable code in snake case.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Depth { .. } | Self::SameSubject => "chain_too_long",
            Self::Expired { .. } => "expired",
            Self::Issuer { .. } | Self::Path { .. } | Self::Unreadable { .. } => "untrusted_chain",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::Untrusted => "untrusted_domain",
        }
    }
}

/// When something is valid, both ends included (RFC 5280 section 4.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: UnixTime,
    pub(crate) not_after: UnixTime,
}

impl Validity {
    pub(crate) fn contains(self, now: UnixTime) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    fn and(self, other: Self) -> Self {
        Self {
            not_before: self.not_before.max(other.not_before),
            not_after: self.not_after.min(other.not_after),
        }
    }

    fn of(certificate: &X509Certificate<'_>) -> Self {
        let instant = |time: x509_parser::time::ASN1Time| {
            UnixTime::from_secs(u64::try_from(time.timestamp()).unwrap_or_default())
        };
        Self {
            not_before: instant(certificate.validity().not_before),
            not_after: instant(certificate.validity().not_after),
        }
    }
}

/// The authorities of one trust domain, ready for path building.
#[derive(Debug)]
pub(crate) struct Authorities {
    anchors: Vec<TrustAnchor<'static>>,
    limits: Vec<AnchorLimits>,
}

/// What webpki leaves out of a trust anchor, and Go's verifier, and so SPIRE, checks: its validity and path length.
#[derive(Debug)]
struct AnchorLimits {
    validity: Validity,
    path_length: Option<u32>,
}

impl Authorities {
    pub(crate) fn new(bundle: &X509Bundle) -> Result<Self, ChainError> {
        let mut anchors = Vec::with_capacity(bundle.authorities().len());
        let mut limits = Vec::with_capacity(bundle.authorities().len());
        for authority in bundle.authorities() {
            let der = CertificateDer::from(authority.as_bytes());
            let anchor = webpki::anchor_from_trusted_cert(&der).map_err(unreadable)?;
            anchors.push(anchor.to_owned());
            limits.push(AnchorLimits::of(authority.as_bytes())?);
        }
        Ok(Self { anchors, limits })
    }

    pub(crate) fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Checks the path of `leaf`, whose own rules were checked before, and says when all of it is valid.
    pub(crate) fn check_path(
        &self,
        leaf: &[u8],
        intermediates: &[CertificateDer<'_>],
        algorithms: &WebPkiSupportedAlgorithms,
        now: UnixTime,
    ) -> Result<Validity, ChainError> {
        if self.anchors.is_empty() {
            return Err(ChainError::Untrusted);
        }
        check_intermediates(intermediates)?;
        let leaf = CertificateDer::from(leaf);
        let end_entity = EndEntityCert::try_from(&leaf).map_err(unreadable)?;
        let within_limits = |path: &VerifiedPath<'_>| match self.limits_of(path, now) {
            Some(_) => Ok(()),
            None => Err(webpki::Error::UnknownIssuer),
        };
        let path = end_entity
            .verify_for_usage(
                algorithms.all,
                &self.anchors,
                intermediates,
                rustls_pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(
                    now.as_secs(),
                )),
                KeyUsage::client_auth(),
                None,
                Some(&within_limits),
            )
            .map_err(|error| refused(&error, now))?;
        let mut validity = validity_of(&leaf)?;
        for intermediate in path.intermediate_certificates() {
            validity = validity.and(validity_of(&intermediate.der())?);
        }
        let anchor = self.limits_of(&path, now).ok_or(ChainError::Untrusted)?;
        Ok(validity.and(anchor.validity))
    }

    /// The limits of the path's anchor, if it keeps them.
    fn limits_of(&self, path: &VerifiedPath<'_>, now: UnixTime) -> Option<&AnchorLimits> {
        let depth = u32::try_from(path.intermediate_certificates().count()).unwrap_or(u32::MAX);
        // With its name constraints: another certificate for the same key has limits of its own.
        let candidates = self.anchors.iter().zip(&self.limits);
        candidates
            .filter(|(anchor, _)| *anchor == path.anchor())
            .map(|(_, limits)| limits)
            .find(|limits| limits.allow(depth, now))
    }
}

impl AnchorLimits {
    fn of(der: &[u8]) -> Result<Self, ChainError> {
        let certificate = parse(der)?;
        let constraints = certificate.basic_constraints().map_err(unreadable)?;
        Ok(Self {
            validity: Validity::of(&certificate),
            path_length: constraints.and_then(|constraints| constraints.value.path_len_constraint),
        })
    }

    fn allow(&self, depth: u32, now: UnixTime) -> bool {
        self.validity.contains(now) && self.path_length.is_none_or(|length| depth <= length)
    }
}

/// All of them have to be CAs, even those that no path would use: webpki looks at `cA` only, not at `keyCertSign`.
fn check_intermediates(intermediates: &[CertificateDer<'_>]) -> Result<(), ChainError> {
    if intermediates.len() > MAX_INTERMEDIATES {
        return Err(ChainError::Depth {
            count: intermediates.len(),
        });
    }
    let mut subjects: HashMap<Vec<u8>, usize> = HashMap::new();
    for (index, der) in intermediates.iter().enumerate() {
        svid::check_issuer(der).map_err(|source| ChainError::Issuer { index, source })?;
        let same = subjects
            .entry(parse(der)?.subject().as_raw().to_vec())
            .or_default();
        *same += 1;
        if *same > MAX_SAME_SUBJECT {
            return Err(ChainError::SameSubject);
        }
    }
    Ok(())
}

pub(crate) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, ChainError> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(unreadable)?;
    if rest.is_empty() {
        Ok(certificate)
    } else {
        Err(ChainError::Unreadable {
            reason: "something follows it".to_owned(),
        })
    }
}

fn validity_of(der: &CertificateDer<'_>) -> Result<Validity, ChainError> {
    Ok(Validity::of(&parse(der)?))
}

fn unreadable(error: impl std::fmt::Display) -> ChainError {
    ChainError::Unreadable {
        reason: error.to_string(),
    }
}

fn refused(error: &webpki::Error, now: UnixTime) -> ChainError {
    let instant = |time: &rustls_pki_types::UnixTime| UnixTime::from_secs(time.as_secs());
    match error {
        webpki::Error::CertExpired { not_after, .. } => ChainError::Expired {
            not_after: instant(not_after),
            now,
        },
        webpki::Error::CertNotValidYet { not_before, .. } => ChainError::NotYetValid {
            not_before: instant(not_before),
            now,
        },
        other => ChainError::Path {
            reason: format!("{other:?}"),
        },
    }
}
