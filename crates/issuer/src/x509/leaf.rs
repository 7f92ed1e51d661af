//! The leaf profile, built and checked.

use std::collections::BTreeSet;

use dayfly_keys::csr::{CertificateRequest, CsrKey};
use dayfly_token::{EXTENSION_OID, TrustDomain, UnixTime, extension_oid_der};
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose, SanType, SerialNumber, SignatureAlgorithm,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension, X509Extension};
use x509_parser::oid_registry::OID_SIG_ECDSA_WITH_SHA256;
use x509_parser::x509::X509Version;

use super::certificate::date;
use super::extension::claims_of;
use super::{CaError, NOT_BEFORE_SECS};
use crate::issuance::Issuance;

/// noRevAvail (RFC 9608): there is no revocation information, and nobody need look for it.
const NO_REV_AVAIL: [u64; 4] = [2, 5, 29, 56];
const NO_REV_AVAIL_OID: [u8; 3] = [0x55, 0x1d, 56];

/// NULL in DER.
const NULL: [u8; 2] = [5, 0];

/// SAN, key usage, extended key usage, basic constraints, both key identifiers, noRevAvail, and the
/// private one.
const EXTENSIONS: usize = 8;

/// Only the bit `digitalSignature`.
const DIGITAL_SIGNATURE: u16 = 1;

/// A leaf about to be made: what it certifies is the issuance, and nothing else.
pub(crate) struct Leaf<'a> {
    pub(crate) issuance: &'a Issuance,
    pub(crate) dns_names: &'a [String],
}

/// What a leaf must say about the authority that issued it.
pub(super) struct AuthorityFacts<'a> {
    /// Its subject in DER.
    pub(super) name: &'a [u8],
    pub(super) key_id: &'a [u8],
    pub(super) not_after: UnixTime,
}

/// How the encoder writes a key of a request.
pub(super) fn encoder(key: CsrKey) -> &'static SignatureAlgorithm {
    match key {
        CsrKey::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        CsrKey::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
        CsrKey::Ed25519 => &rcgen::PKCS_ED25519,
        CsrKey::Rsa { .. } => &rcgen::PKCS_RSA_SHA256,
    }
}

impl Leaf<'_> {
    pub(crate) fn not_before(&self) -> UnixTime {
        self.issuance.issued_at.saturating_sub(NOT_BEFORE_SECS)
    }

    fn uri(&self, trust_domain: &TrustDomain) -> String {
        self.issuance.workload.spiffe_id(trust_domain).to_string()
    }

    /// Every field is set, because the encoder's defaults are for tests.
    pub(super) fn params(&self, trust_domain: &TrustDomain) -> Result<CertificateParams, CaError> {
        let ia5 = |text: String| text.try_into().map_err(CaError::Encode);
        let mut names = vec![SanType::URI(ia5(self.uri(trust_domain))?)];
        for name in self.dns_names {
            names.push(SanType::DnsName(ia5(name.clone())?));
        }
        let private = claims_of(self.issuance).to_der();
        let mut params = CertificateParams::default();
        params.not_before = date(self.not_before())?;
        params.not_after = date(self.issuance.expires_at)?;
        params.serial_number = Some(SerialNumber::from_slice(self.issuance.id.as_bytes()));
        params.subject_alt_names = names;
        params.distinguished_name = DistinguishedName::new();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        params.custom_extensions = vec![
            CustomExtension::from_oid_content(&NO_REV_AVAIL, NULL.to_vec()),
            CustomExtension::from_oid_content(&EXTENSION_OID, private),
        ];
        Ok(params)
    }

    /// Compares what was encoded with what is meant, field by field.
    pub(super) fn check(
        &self,
        leaf: &X509Certificate<'_>,
        trust_domain: &TrustDomain,
        request: &CertificateRequest,
        authority: &AuthorityFacts<'_>,
    ) -> Result<(), CaError> {
        let (from, until) = (leaf.validity().not_before, leaf.validity().not_after);
        let is_at = |at: x509_parser::time::ASN1Time, meant: UnixTime| {
            u64::try_from(at.timestamp()).is_ok_and(|secs| secs == meant.as_secs())
        };
        let same = [
            ("version", leaf.version() == X509Version::V3),
            (
                "serial number",
                leaf.raw_serial() == self.issuance.id.as_bytes(),
            ),
            (
                "signature algorithm",
                leaf.signature_algorithm.algorithm == OID_SIG_ECDSA_WITH_SHA256,
            ),
            ("issuer", leaf.issuer().as_raw() == authority.name),
            ("subject", leaf.subject().iter().next().is_none()),
            ("start", is_at(from, self.not_before())),
            ("end", is_at(until, self.issuance.expires_at)),
            ("end", self.issuance.expires_at <= authority.not_after),
            ("public key", leaf.public_key().raw == request.spki_der()),
        ];
        if let Some((member, _)) = same.iter().find(|(_, same)| !same) {
            return Err(CaError::Differs { member });
        }
        let mut seen = BTreeSet::new();
        for extension in leaf.extensions() {
            let (member, same) = self.check_extension(extension, trust_domain, authority);
            if !same || !seen.insert(member) {
                return Err(CaError::Differs { member });
            }
        }
        if seen.len() == EXTENSIONS {
            Ok(())
        } else {
            Err(CaError::Differs {
                member: "extensions",
            })
        }
    }

    /// Which extension it is, and whether it says what is meant.
    fn check_extension(
        &self,
        extension: &X509Extension<'_>,
        trust_domain: &TrustDomain,
        authority: &AuthorityFacts<'_>,
    ) -> (&'static str, bool) {
        let critical = extension.critical;
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => {
                // Critical, because the subject is empty (RFC 5280 section 4.1.2.6).
                let uri = self.uri(trust_domain);
                let meant = std::iter::once(GeneralName::URI(&uri))
                    .chain(self.dns_names.iter().map(|name| GeneralName::DNSName(name)));
                (
                    "names",
                    critical && names.general_names.iter().cloned().eq(meant),
                )
            }
            ParsedExtension::KeyUsage(usage) => {
                ("key usage", critical && usage.flags == DIGITAL_SIGNATURE)
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                let others = usage.any
                    || usage.code_signing
                    || usage.email_protection
                    || usage.time_stamping
                    || usage.ocsp_signing
                    || !usage.other.is_empty();
                (
                    "extended key usage",
                    usage.server_auth && usage.client_auth && !others,
                )
            }
            ParsedExtension::BasicConstraints(constraints) => {
                ("basic constraints", critical && !constraints.ca)
            }
            ParsedExtension::SubjectKeyIdentifier(_) => ("subject key identifier", !critical),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                let id = id.key_identifier.as_ref().map(|id| id.0);
                (
                    "authority key identifier",
                    !critical && id == Some(authority.key_id),
                )
            }
            _ if extension.oid.as_bytes() == NO_REV_AVAIL_OID => {
                ("noRevAvail", !critical && extension.value == NULL)
            }
            _ if extension.oid.as_bytes() == extension_oid_der() => {
                let private = claims_of(self.issuance).to_der();
                ("private extension", !critical && extension.value == private)
            }
            _ => ("extensions", false),
        }
    }
}
