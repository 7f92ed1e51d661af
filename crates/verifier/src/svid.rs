//! What makes a certificate an X.509-SVID, beyond the path to a trust anchor.
//!
//! Path validation alone accepts many certificates that are no SVIDs. These are the rules of the X509-SVID
//! standard for the leaf and for signing certificates; the path itself, with the bundle of the leaf's trust
//! domain and no other, is the TLS verifier's matter.

use dayfly_token::{Excerpt, SpiffeId, SpiffeIdError, TrustDomain};
use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::X509Version;

/// Longest certificate in bytes: an SVID with an RSA key of 4096 bits and a few names has under 2 KiB, one with a
/// post-quantum key and signature under 8.
pub const MAX_CERTIFICATE_BYTES: usize = 16 * 1024;

/// Most URI names that are counted; the right number is one.
const MAX_URI_NAMES: usize = 32;

/// The X.509 tag of `uniformResourceIdentifier` in a general name.
const URI_TAG: u32 = 6;

/// Why a certificate is no SVID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SvidError {
    /// `cA` is not what the certificate's role needs, or the extension is absent.
    #[error("basic constraints are absent or say the wrong thing about being a CA")]
    BasicConstraints,
    /// Not one DER certificate, or one with extensions twice or malformed.
    #[error("not one well-formed certificate: {detail}")]
    Encoding {
        /// What the parser says.
        detail: String,
    },
    /// An extended key usage without both `serverAuth` and `clientAuth`.
    #[error("extended key usage without server and client authentication")]
    ExtendedKeyUsage,
    /// The URI name is not a SPIFFE ID.
    #[error("URI name `{uri}` is not a SPIFFE ID")]
    Identity {
        /// The URI name.
        uri: Excerpt,
        /// What is wrong with it.
        source: SpiffeIdError,
    },
    /// A key usage that is absent, not critical, or wrong for the certificate's role.
    #[error("key usage is absent, not critical, or wrong for this certificate")]
    KeyUsage,
    /// A signing certificate that names a workload, or a leaf that names none.
    #[error("the path of `{id}` is wrong for this certificate")]
    Path {
        /// The SPIFFE ID.
        id: SpiffeId,
    },
    /// A name that cannot be read, or an empty subject whose alternative names are not critical.
    #[error(
        "the alternative names are malformed, or must be critical because the subject is empty"
    )]
    SubjectAlternativeName,
    /// Longer than [`MAX_CERTIFICATE_BYTES`].
    #[error("{length} bytes are more than {MAX_CERTIFICATE_BYTES}")]
    TooLong {
        /// The length.
        length: usize,
    },
    /// Not exactly one URI name.
    #[error("{count} URI names instead of 1")]
    UriNames {
        /// How many there are, counted up to 33.
        count: usize,
    },
    /// Not X.509 version 3.
    #[error("not a certificate of version 3")]
    Version,
}

/// The SPIFFE ID of a leaf, if it keeps every rule for one.
///
/// The path to a trust anchor is not checked here: an ID from here is a claim until the chain is verified
/// against the bundle of its trust domain.
///
/// # Errors
/// The first rule that the certificate breaks.
pub fn identity_of(leaf_der: &[u8]) -> Result<SpiffeId, SvidError> {
    let certificate = parse(leaf_der)?;
    // X509-SVID section 4.1: cA MUST be false; absent it cannot be told from an old-style CA.
    if certificate
        .basic_constraints()
        .map_err(malformed)?
        .is_none_or(|constraints| constraints.value.ca)
    {
        return Err(SvidError::BasicConstraints);
    }
    check_leaf_usage(&certificate)?;
    // X509-SVID section 2: exactly one URI name, and validators MUST refuse more.
    let id = spiffe_name(&certificate)?.ok_or(SvidError::UriNames { count: 0 })?;
    if id.path().is_empty() {
        return Err(SvidError::Path { id });
    }
    Ok(id)
}

/// Checks a signing certificate: an intermediate or a trust anchor of a SPIFFE bundle.
///
/// # Errors
/// The first rule that the certificate breaks.
pub fn check_issuer(der: &[u8]) -> Result<(), SvidError> {
    issuer_domain_of(der).map(drop)
}

/// The trust domain that a signing certificate names, if it names one, and if it keeps the rules of
/// [`check_issuer`].
///
/// # Errors
/// The first rule that the certificate breaks.
pub fn issuer_domain_of(der: &[u8]) -> Result<Option<TrustDomain>, SvidError> {
    let certificate = parse(der)?;
    if certificate
        .basic_constraints()
        .map_err(malformed)?
        .is_none_or(|constraints| !constraints.value.ca)
    {
        return Err(SvidError::BasicConstraints);
    }
    let usage = certificate
        .key_usage()
        .map_err(malformed)?
        .ok_or(SvidError::KeyUsage)?;
    if !usage.value.key_cert_sign() {
        return Err(SvidError::KeyUsage);
    }
    match spiffe_name(&certificate)? {
        // X509-SVID section 4.2: a signing certificate's ID has no path, so that it never authenticates.
        Some(id) if !id.path().is_empty() => Err(SvidError::Path { id }),
        id => Ok(id.map(|id| id.trust_domain().clone())),
    }
}

pub(crate) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, SvidError> {
    if der.len() > MAX_CERTIFICATE_BYTES {
        return Err(SvidError::TooLong { length: der.len() });
    }
    let (rest, certificate) =
        X509Certificate::from_der(der).map_err(|error| SvidError::Encoding {
            detail: error.to_string(),
        })?;
    if !rest.is_empty() {
        return Err(SvidError::Encoding {
            detail: format!("{} bytes after it", rest.len()),
        });
    }
    if certificate.version() != X509Version::V3 {
        return Err(SvidError::Version);
    }
    Ok(certificate)
}

/// X509-SVID section 4.3: key usage critical, `digitalSignature`, neither `keyCertSign` nor `cRLSign`; section 4.4:
/// an extended key usage has both `serverAuth` and `clientAuth`.
fn check_leaf_usage(certificate: &X509Certificate<'_>) -> Result<(), SvidError> {
    let usage = certificate
        .key_usage()
        .map_err(malformed)?
        .ok_or(SvidError::KeyUsage)?;
    let value = usage.value;
    if !usage.critical || !value.digital_signature() || value.key_cert_sign() || value.crl_sign() {
        return Err(SvidError::KeyUsage);
    }
    match certificate.extended_key_usage().map_err(malformed)? {
        Some(extended) if !(extended.value.server_auth && extended.value.client_auth) => {
            Err(SvidError::ExtendedKeyUsage)
        }
        _ => Ok(()),
    }
}

/// The one URI name; `None` if there is none.
fn spiffe_name(certificate: &X509Certificate<'_>) -> Result<Option<SpiffeId>, SvidError> {
    let Some(names) = certificate.subject_alternative_name().map_err(malformed)? else {
        return Ok(None);
    };
    // RFC 5280 section 4.2.1.6: with an empty subject the alternative names MUST be critical.
    if !names.critical && certificate.subject().iter_rdn().next().is_none() {
        return Err(SvidError::SubjectAlternativeName);
    }
    let is_uri = |name: &&GeneralName<'_>| match name {
        GeneralName::URI(_) => true,
        GeneralName::Invalid(tag, _) => tag.0 == URI_TAG,
        _ => false,
    };
    let count = names
        .value
        .general_names
        .iter()
        .filter(is_uri)
        .take(MAX_URI_NAMES + 1)
        .count();
    match names.value.general_names.iter().find(is_uri) {
        None => Ok(None),
        Some(_) if count > 1 => Err(SvidError::UriNames { count }),
        Some(GeneralName::URI(uri)) => match uri.parse() {
            Ok(id) => Ok(Some(id)),
            Err(source) => Err(SvidError::Identity {
                uri: Excerpt::of(uri),
                source,
            }),
        },
        Some(_) => Err(SvidError::SubjectAlternativeName),
    }
}

fn malformed(error: X509Error) -> SvidError {
    SvidError::Encoding {
        detail: error.to_string(),
    }
}

/// The end of a certificate's validity in seconds since 1970; `None` if it cannot be read.
pub(crate) fn not_after_secs(der: &[u8]) -> Option<u64> {
    let certificate = parse(der).ok()?;
    Some(u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or_default())
}
