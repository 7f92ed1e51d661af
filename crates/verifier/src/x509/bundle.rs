//! The X.509 authorities of one trust domain, from PEM, from DER, or from a SPIFFE bundle document.

use std::fmt;

use base64::Engine as _;
use dayfly_token::{JsonError, TrustDomain, base64url, json};
use rustls_pki_types::pem::{self, PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, TrustAnchor};
use serde_json::{Map, Value};

use super::chain::AnchorLimits;
use crate::svid::{self, SvidError};

/// Longest bundle, in bytes: about 1,000 authorities, while a busy federation has tens.
pub const MAX_BUNDLE_BYTES: usize = 1024 * 1024;
/// Most authorities of one trust domain: each costs a comparison in every handshake.
pub const MAX_AUTHORITIES: usize = 64;

/// The X.509 authorities of one trust domain, ready for path building: the only thing that makes its certificates
/// believed. With no authority, nothing of the trust domain is believed.
#[derive(Clone)]
pub struct TrustBundle {
    trust_domain: TrustDomain,
    form: Form,
    pub(super) anchors: Vec<TrustAnchor<'static>>,
    pub(super) authorities: Vec<Authority>,
    sequence: Option<u64>,
    refresh_hint_secs: Option<u64>,
}

/// Certificates come from an operator's hand, documents from a place that may serve an old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Certificates,
    Document,
}

/// What webpki leaves out of a trust anchor.
#[derive(Clone)]
pub(super) struct Authority {
    der: Vec<u8>,
    pub(super) limits: AnchorLimits,
    /// base64url of the SHA-256 of its public key.
    pub(super) key_id: String,
    domain: Option<TrustDomain>,
}

/// Why a bundle was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// An authority is not the certificate of a CA: a leaf, perhaps.
    #[error("authority {index} cannot sign SVIDs")]
    Authority {
        /// Which one, from 0.
        index: usize,
        /// The rule that it breaks.
        source: SvidError,
    },
    /// An authority is no certificate that can be read.
    #[error("authority {index} is not a readable certificate: {reason}")]
    Certificate {
        /// Which one, from 0.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing in it.
    #[error("no certificate in it; write `{{\"keys\":[]}}` to distrust the domain on purpose")]
    Empty,
    /// An authority names another trust domain.
    #[error("authority {index} is one of the trust domain `{found}`")]
    Foreign {
        /// Which one, from 0.
        index: usize,
        /// The trust domain that it names.
        found: TrustDomain,
    },
    /// Not strict JSON.
    #[error("not a SPIFFE bundle document")]
    Json {
        /// What is wrong with it.
        source: JsonError,
    },
    /// A member of the document or of one of its keys is not what it should be.
    #[error("member `{member}` {problem}")]
    Member {
        /// The member.
        member: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A PEM section of another kind: a private key in a bundle is an accident to stop at.
    #[error("PEM section {index} is not a certificate")]
    OtherSection {
        /// Which one, from 0.
        index: usize,
    },
    /// Bad PEM.
    #[error("not PEM: {reason}")]
    Pem {
        /// What is wrong with it.
        reason: String,
    },
    /// An older document than the one that is in force (SPIFFE Federation section 4.1).
    #[error("`spiffe_sequence` went back from {current} to {found}")]
    Rollback {
        /// That of the document in force.
        current: u64,
        /// That of the new one.
        found: u64,
    },
    /// A document without a sequence number in the place of one with: its age cannot be told.
    #[error("`spiffe_sequence` was {current}, and is gone")]
    SequenceMissing {
        /// That of the document in force.
        current: u64,
    },
    /// More bytes than allowed.
    #[error("{length} bytes, more than {MAX_BUNDLE_BYTES}")]
    TooLong {
        /// The length.
        length: usize,
    },
    /// More authorities than allowed.
    #[error("more than {MAX_AUTHORITIES} authorities")]
    TooMany,
    /// The bundle of another trust domain, or of one whose name cannot stand in a bundle.
    #[error("trust domain refused: {reason}")]
    TrustDomain {
        /// Why.
        reason: String,
    },
}

impl TrustBundle {
    /// Reads a bundle of `trust_domain`: a SPIFFE bundle document if it begins with a brace, else PEM.
    ///
    /// # Errors
    /// If it cannot be read, or one of its authorities could not sign SVIDs.
    pub fn parse(trust_domain: &TrustDomain, bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{') {
            Self::from_json(trust_domain, bytes)
        } else {
            Self::from_pem(trust_domain, bytes)
        }
    }

    /// From PEM certificates, and nothing but certificates.
    ///
    /// # Errors
    /// As for [`TrustBundle::parse`]; also if there is none.
    pub fn from_pem(trust_domain: &TrustDomain, bytes: &[u8]) -> Result<Self, BundleError> {
        check_length(bytes)?;
        let mut authorities = Vec::new();
        for (index, section) in <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes).enumerate() {
            let (kind, der) = section.map_err(|error: pem::Error| BundleError::Pem {
                reason: crate::pem::problem(&error).to_owned(),
            })?;
            if kind != SectionKind::Certificate {
                return Err(BundleError::OtherSection { index });
            }
            authorities.push(der);
        }
        Self::from_der(trust_domain, authorities)
    }

    /// From certificates in DER.
    ///
    /// # Errors
    /// As for [`TrustBundle::parse`]; also if there is none.
    pub fn from_der(
        trust_domain: &TrustDomain,
        authorities: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<Self, BundleError> {
        let authorities = authorities.into_iter().take(MAX_AUTHORITIES + 1).collect();
        let bundle = Self::of(trust_domain, Form::Certificates, authorities)?;
        if bundle.is_empty() {
            return Err(BundleError::Empty);
        }
        Ok(bundle)
    }

    /// From the SPIFFE bundle document that an issuer serves at `/spiffe/bundle.json`.
    ///
    /// SPIFFE Trust Domain and Bundle, section 4: entries of an unknown `use` or `kty` are ignored, and a document
    /// without authorities leaves the domain without any.
    ///
    /// # Errors
    /// As for [`TrustBundle::parse`].
    pub fn from_json(trust_domain: &TrustDomain, bytes: &[u8]) -> Result<Self, BundleError> {
        check_length(bytes)?;
        let document = json::object(bytes).map_err(|source| BundleError::Json { source })?;
        let Some(Value::Array(keys)) = document.get("keys") else {
            return Err(wrong("keys", "is not there or no list"));
        };
        let mut authorities = Vec::new();
        for key in keys {
            let Value::Object(key) = key else {
                return Err(wrong("keys", "has something in it that is no key"));
            };
            authorities.extend(authority(key)?);
        }
        Ok(Self {
            sequence: whole_number(&document, "spiffe_sequence")?,
            refresh_hint_secs: whole_number(&document, "spiffe_refresh_hint")?,
            ..Self::of(trust_domain, Form::Document, authorities)?
        })
    }

    fn of(
        trust_domain: &TrustDomain,
        form: Form,
        certificates: Vec<Vec<u8>>,
    ) -> Result<Self, BundleError> {
        if certificates.len() > MAX_AUTHORITIES {
            return Err(BundleError::TooMany);
        }
        let mut anchors = Vec::with_capacity(certificates.len());
        let mut authorities = Vec::with_capacity(certificates.len());
        for (index, der) in certificates.into_iter().enumerate() {
            let (anchor, authority) = Authority::new(index, der)?;
            anchors.push(anchor);
            authorities.push(authority);
        }
        Ok(Self {
            trust_domain: trust_domain.clone(),
            form,
            anchors,
            authorities,
            sequence: None,
            refresh_hint_secs: None,
        })
    }

    /// Whose authorities they are.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// How many authorities there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.authorities.len()
    }

    /// Whether there is none, and so nothing of the trust domain is believed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.authorities.is_empty()
    }

    /// The authorities' certificates in DER.
    pub fn authorities(&self) -> impl Iterator<Item = &[u8]> {
        self.authorities
            .iter()
            .map(|authority| authority.der.as_slice())
    }

    /// `spiffe_sequence`: it grows with every change of the document. Certificates have none.
    #[must_use]
    pub const fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// `spiffe_refresh_hint`, in seconds.
    #[must_use]
    pub const fn refresh_hint_secs(&self) -> Option<u64> {
        self.refresh_hint_secs
    }

    /// Whether this bundle may take the place of documents of which the newest had the sequence number `current`. An
    /// older document would bring back an authority that was taken out; bare certificates are an operator's word.
    ///
    /// # Errors
    /// If the sequence number goes back, or a document has none any more.
    pub const fn check_follows(&self, current: Option<u64>) -> Result<(), BundleError> {
        match (current, self.sequence, self.form) {
            (Some(current), Some(found), _) if found < current => {
                Err(BundleError::Rollback { current, found })
            }
            (Some(current), None, Form::Document) => Err(BundleError::SequenceMissing { current }),
            _ => Ok(()),
        }
    }

    /// Checks that no authority names another trust domain, for whoever mints in one trust domain only.
    pub(super) fn check_own(&self) -> Result<(), BundleError> {
        let foreign = |(index, authority): (usize, &Authority)| {
            let found = authority.domain.clone()?;
            (found != self.trust_domain).then_some(BundleError::Foreign { index, found })
        };
        match self.authorities.iter().enumerate().find_map(foreign) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for TrustBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustBundle")
            .field("trust_domain", &self.trust_domain)
            .field("authorities", &self.len())
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

impl Authority {
    fn new(index: usize, der: Vec<u8>) -> Result<(TrustAnchor<'static>, Self), BundleError> {
        let unreadable = |reason: String| BundleError::Certificate { index, reason };
        // A leaf as an anchor would let whoever has its key make identities (CVE-2024-2048).
        let domain = svid::issuer_domain_of(&der)
            .map_err(|source| BundleError::Authority { index, source })?;
        let anchor = webpki::anchor_from_trusted_cert(&CertificateDer::from(der.as_slice()))
            .map_err(|error| unreadable(error.to_string()))?
            .to_owned();
        let (limits, key_id) = {
            let certificate =
                svid::parse(&der).map_err(|source| BundleError::Authority { index, source })?;
            let limits =
                AnchorLimits::of(&certificate).map_err(|error| unreadable(error.to_string()))?;
            (limits, key_id_of(certificate.public_key().raw))
        };
        let authority = Self {
            der,
            limits,
            key_id,
            domain,
        };
        Ok((anchor, authority))
    }
}

/// What names a signing certificate in records and cut-offs: the digest of its public key.
pub(super) fn key_id_of(spki: &[u8]) -> String {
    base64url::encode(dayfly_keys::sha256(spki))
}

const fn check_length(bytes: &[u8]) -> Result<(), BundleError> {
    if bytes.len() > MAX_BUNDLE_BYTES {
        return Err(BundleError::TooLong {
            length: bytes.len(),
        });
    }
    Ok(())
}

/// The certificate of an entry, if the entry is one for X509-SVIDs.
fn authority(key: &Map<String, Value>) -> Result<Option<Vec<u8>>, BundleError> {
    let is_text = |member: &str| matches!(key.get(member), Some(Value::String(_)));
    if key.get("use").and_then(Value::as_str) != Some("x509-svid") || !is_text("kty") {
        return Ok(None);
    }
    match key.get("x5c") {
        None => Ok(None),
        Some(Value::Array(chain)) => match chain.as_slice() {
            [] => Ok(None),
            [Value::String(certificate)] => base64::engine::general_purpose::STANDARD
                .decode(certificate)
                .map(Some)
                .map_err(|_| wrong("x5c", "is not base64")),
            // SPIFFE X509-SVID section 6.2: it MUST be exactly one.
            _ => Err(wrong("x5c", "is not exactly one certificate")),
        },
        Some(_) => Err(wrong("x5c", "is no list")),
    }
}

fn whole_number(
    document: &Map<String, Value>,
    member: &'static str,
) -> Result<Option<u64>, BundleError> {
    match document.get(member) {
        None => Ok(None),
        Some(value) => value
            .as_u64()
            .map(Some)
            .ok_or_else(|| wrong(member, "is no whole number")),
    }
}

const fn wrong(member: &'static str, problem: &'static str) -> BundleError {
    BundleError::Member { member, problem }
}
