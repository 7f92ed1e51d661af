//! The path from a leaf to the authorities of its own trust domain.

use std::collections::HashMap;

use dayfly_token::{TrustDomain, UnixTime};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::CertificateDer;
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};
use x509_parser::error::X509Error;
use x509_parser::prelude::X509Certificate;

use super::bundle::{Authority, TrustBundle, key_id_of};
use crate::svid::{self, SvidError};

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
    /// An intermediate names another trust domain.
    #[error("intermediate {index} is one of the trust domain `{found}`")]
    Foreign {
        /// Which one, from 0.
        index: usize,
        /// The trust domain that it names.
        found: TrustDomain,
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
            Self::Foreign { .. }
            | Self::Issuer { .. }
            | Self::Path { .. }
            | Self::Unreadable { .. } => "untrusted_chain",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::Untrusted => "untrusted_domain",
        }
    }
}

/// When something is valid, both ends included (RFC 5280 section 4.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first instant.
    pub not_before: UnixTime,
    /// The last instant.
    pub not_after: UnixTime,
}

impl Validity {
    /// Whether `now` lies in it.
    #[must_use]
    pub fn contains(self, now: UnixTime) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    fn and(self, other: Self) -> Self {
        Self {
            not_before: self.not_before.max(other.not_before),
            not_after: self.not_after.min(other.not_after),
        }
    }

    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        let instant = |time: x509_parser::time::ASN1Time| {
            UnixTime::from_secs(u64::try_from(time.timestamp()).unwrap_or_default())
        };
        Self {
            not_before: instant(certificate.validity().not_before),
            not_after: instant(certificate.validity().not_after),
        }
    }
}

/// Which end of a connection shows the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Usage {
    /// The client.
    Client,
    /// The server.
    Server,
}

impl Usage {
    const fn key_usage(self) -> KeyUsage {
        match self {
            Self::Client => KeyUsage::client_auth(),
            Self::Server => KeyUsage::server_auth(),
        }
    }
}

/// A path from a leaf to an authority of its trust domain.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProvenPath {
    /// When every certificate of the path is valid.
    pub validity: Validity,
    /// The ids of the keys that signed it, from the leaf's issuer to the authority: each is base64url of the SHA-256 of
    /// the public key.
    pub key_ids: Vec<String>,
}

/// What webpki leaves out of a trust anchor, and Go's verifier, and so SPIRE, checks: its validity and path length.
#[derive(Clone, Debug)]
pub(super) struct AnchorLimits {
    validity: Validity,
    path_length: Option<u32>,
}

impl TrustBundle {
    /// Checks the path of `leaf`, whose own rules [`svid::identity_of`] has checked before, and says when all of it is
    /// valid. That the leaf is one of this trust domain is the caller's matter too.
    ///
    /// # Errors
    /// If there is no path that keeps every limit at `now`.
    pub fn check_path(
        &self,
        leaf: &[u8],
        intermediates: &[CertificateDer<'_>],
        usage: Usage,
        algorithms: &WebPkiSupportedAlgorithms,
        now: UnixTime,
    ) -> Result<ProvenPath, ChainError> {
        if self.is_empty() {
            return Err(ChainError::Untrusted);
        }
        self.check_intermediates(intermediates)?;
        let leaf = CertificateDer::from(leaf);
        let end_entity = EndEntityCert::try_from(&leaf).map_err(unreadable)?;
        let within_limits = |path: &VerifiedPath<'_>| match self.authority_of(path, now) {
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
                usage.key_usage(),
                None,
                Some(&within_limits),
            )
            .map_err(|error| refused(&error, now))?;
        let mut validity = Validity::of(&parse(&leaf)?);
        let mut key_ids = Vec::new();
        for intermediate in path.intermediate_certificates() {
            let der = intermediate.der();
            let intermediate = parse(&der)?;
            validity = validity.and(Validity::of(&intermediate));
            key_ids.push(key_id_of(intermediate.public_key().raw));
        }
        let authority = self.authority_of(&path, now).ok_or(ChainError::Untrusted)?;
        key_ids.push(authority.key_id.clone());
        Ok(ProvenPath {
            validity: validity.and(authority.limits.validity),
            key_ids,
        })
    }

    /// The authority at the path's end, if it keeps its limits.
    fn authority_of(&self, path: &VerifiedPath<'_>, now: UnixTime) -> Option<&Authority> {
        let depth = u32::try_from(path.intermediate_certificates().count()).unwrap_or(u32::MAX);
        // With its name constraints: another certificate for the same key has limits of its own.
        let candidates = self.anchors.iter().zip(&self.authorities);
        candidates
            .filter(|(anchor, _)| *anchor == path.anchor())
            .map(|(_, authority)| authority)
            .find(|authority| authority.limits.allow(depth, now))
    }

    /// All of them have to be CAs, even those that no path would use: webpki looks at `cA` only, not at `keyCertSign`.
    fn check_intermediates(&self, intermediates: &[CertificateDer<'_>]) -> Result<(), ChainError> {
        if intermediates.len() > MAX_INTERMEDIATES {
            return Err(ChainError::Depth {
                count: intermediates.len(),
            });
        }
        let mut subjects: HashMap<Vec<u8>, usize> = HashMap::new();
        for (index, der) in intermediates.iter().enumerate() {
            let domain = svid::issuer_domain_of(der)
                .map_err(|source| ChainError::Issuer { index, source })?;
            // X509-SVID section 4.2: it MUST reside in the trust domain of any leaf that it issues.
            if let Some(found) = domain.filter(|domain| domain != self.trust_domain()) {
                return Err(ChainError::Foreign { index, found });
            }
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
}

impl AnchorLimits {
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Result<Self, X509Error> {
        let constraints = certificate.basic_constraints()?;
        Ok(Self {
            validity: Validity::of(certificate),
            path_length: constraints.and_then(|constraints| constraints.value.path_len_constraint),
        })
    }

    fn allow(&self, depth: u32, now: UnixTime) -> bool {
        self.validity.contains(now) && self.path_length.is_none_or(|length| depth <= length)
    }
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, ChainError> {
    svid::parse(der).map_err(unreadable)
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
