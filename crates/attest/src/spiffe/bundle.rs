//! Reading a trust bundle: PEM certificates, or a SPIFFE bundle document in JSON.

use base64::Engine as _;
use dayfly_token::{JsonError, TrustDomain, json};
use dayfly_verifier::svid::{self, SvidError};
use rustls_pki_types::pem::{self, PemObject, SectionKind};
use serde_json::{Map, Value};
use spiffe::X509Bundle;

/// Longest bundle, in bytes: about 1,000 authorities, while a busy federation has tens.
pub const MAX_BUNDLE_BYTES: usize = 1024 * 1024;
/// Most authorities of one trust domain: each costs a comparison in every handshake.
pub const MAX_AUTHORITIES: usize = 64;

/// What a bundle says of its trust domain. A domain with no authority is one whose SVIDs are all refused.
#[derive(Debug, Clone)]
pub struct BundleDocument {
    /// The X.509 authorities.
    pub x509: X509Bundle,
    /// `spiffe_sequence`: it grows with every change of the document.
    pub sequence: Option<u64>,
    /// `spiffe_refresh_hint`, in seconds.
    pub refresh_hint_secs: Option<u64>,
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
    #[error("no PEM certificate in it; write `{{\"keys\":[]}}` to distrust the domain on purpose")]
    Empty,
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
    /// More bytes than allowed.
    #[error("{length} bytes, more than {MAX_BUNDLE_BYTES}")]
    TooLong {
        /// The length.
        length: usize,
    },
    /// More authorities than allowed.
    #[error("more than {MAX_AUTHORITIES} authorities")]
    TooMany,
    /// The name of the trust domain cannot stand in a bundle.
    #[error("trust domain refused: {reason}")]
    TrustDomain {
        /// Why.
        reason: String,
    },
}

impl BundleDocument {
    /// Reads a bundle of `trust_domain`: SPIFFE JSON if it begins with a brace, else PEM.
    ///
    /// # Errors
    /// If it cannot be read, or one of its authorities could not sign SVIDs.
    pub fn parse(trust_domain: &TrustDomain, bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > MAX_BUNDLE_BYTES {
            return Err(BundleError::TooLong {
                length: bytes.len(),
            });
        }
        if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{') {
            Self::from_json(trust_domain, bytes)
        } else {
            Self::from_pem(trust_domain, bytes)
        }
    }

    fn from_pem(trust_domain: &TrustDomain, bytes: &[u8]) -> Result<Self, BundleError> {
        let mut authorities = Vec::new();
        for (index, section) in <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes).enumerate() {
            let (kind, der) = section.map_err(|error: pem::Error| BundleError::Pem {
                reason: problem_of(&error).to_owned(),
            })?;
            if kind != SectionKind::Certificate {
                return Err(BundleError::OtherSection { index });
            }
            authorities.push(der);
        }
        if authorities.is_empty() {
            return Err(BundleError::Empty);
        }
        Ok(Self {
            x509: x509_bundle(trust_domain, &authorities)?,
            sequence: None,
            refresh_hint_secs: None,
        })
    }

    /// SPIFFE Trust Domain and Bundle, section 4: entries of an unknown `use` or `kty` are ignored, and a document
    /// without authorities leaves the domain without any.
    fn from_json(trust_domain: &TrustDomain, bytes: &[u8]) -> Result<Self, BundleError> {
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
            x509: x509_bundle(trust_domain, &authorities)?,
            sequence: whole_number(&document, "spiffe_sequence")?,
            refresh_hint_secs: whole_number(&document, "spiffe_refresh_hint")?,
        })
    }
}

/// What is wrong with the PEM. The error's own text quotes the line, which may be a key that lost its line ends.
const fn problem_of(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::IllegalSectionStart { .. } => "the first line of a section is malformed",
        pem::Error::MissingSectionEnd { .. } => "a section has no end",
        _ => "a section cannot be decoded",
    }
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

fn x509_bundle(
    trust_domain: &TrustDomain,
    authorities: &[Vec<u8>],
) -> Result<X509Bundle, BundleError> {
    if authorities.len() > MAX_AUTHORITIES {
        return Err(BundleError::TooMany);
    }
    let name = spiffe::TrustDomain::new(trust_domain.as_str()).map_err(|error| {
        BundleError::TrustDomain {
            reason: error.to_string(),
        }
    })?;
    let mut bundle = X509Bundle::new(name);
    for (index, der) in authorities.iter().enumerate() {
        bundle
            .add_authority(der)
            .map_err(|error| BundleError::Certificate {
                index,
                reason: error.to_string(),
            })?;
        svid::check_issuer(der).map_err(|source| BundleError::Authority { index, source })?;
    }
    Ok(bundle)
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
