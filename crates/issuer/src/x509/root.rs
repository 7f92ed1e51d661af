//! The upstream root: what signs the intermediate.

use dayfly_keys::{Algorithm, SigningKey};
use dayfly_token::{TrustDomain, UnixTime};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PublicKeyData, SanType, SerialNumber, SignatureAlgorithm,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use super::certificate::{date, parse};
use super::{CaError, NOT_BEFORE_SECS};
use crate::keygen::generate;
use crate::port::Rng;

/// How long an ephemeral root lives, in seconds: a week, longer than any drill or demo.
const EPHEMERAL_SECS: u64 = 7 * 24 * 3600;

/// A root key, wherever it is: in this process, in a token, behind a service.
pub trait RootKey: Send + Sync {
    /// The root certificate in DER.
    fn certificate(&self) -> &[u8];

    /// What the key signs with.
    fn algorithm(&self) -> RootAlgorithm;

    /// The content of the public key's bit string.
    fn raw_public(&self) -> &[u8];

    /// A signature as a certificate carries it: DER for ECDSA.
    ///
    /// # Errors
    /// If the key cannot sign now.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CaError>;
}

/// The signature algorithms of roots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    EcdsaP256,
    /// ECDSA on P-384 with SHA-384.
    EcdsaP384,
    /// Ed25519.
    Ed25519,
    /// RSA by PKCS #1 v1.5 with SHA-256.
    Rsa,
}

impl RootAlgorithm {
    const ALL: [Self; 4] = [Self::EcdsaP256, Self::EcdsaP384, Self::Ed25519, Self::Rsa];

    pub(super) fn encoder(self) -> &'static SignatureAlgorithm {
        match self {
            Self::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::EcdsaP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Self::Ed25519 => &rcgen::PKCS_ED25519,
            Self::Rsa => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

/// A root key as the encoder wants it.
pub(super) struct RootSigner<'a>(pub(super) &'a dyn RootKey);

impl PublicKeyData for RootSigner<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.raw_public()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0.algorithm().encoder()
    }
}

impl rcgen::SigningKey for RootSigner<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0
            .sign(message)
            .map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

/// A root whose key lies in a file (`danger_root_key_file`). Whoever reads the file is the root; a
/// hardware token or a transit service is the better place.
pub struct FileRoot {
    certificate: Vec<u8>,
    key: KeyPair,
    algorithm: RootAlgorithm,
}

impl FileRoot {
    /// Reads a certificate and its unencrypted key (PKCS #8, SEC 1 or PKCS #1), both in PEM.
    ///
    /// # Errors
    /// If the two do not belong together, or the certificate cannot sign an intermediate for
    /// `trust_domain` at `now`.
    pub fn from_pem(
        certificate_pem: &str,
        key_pem: &str,
        trust_domain: &TrustDomain,
        now: UnixTime,
    ) -> Result<Self, CaError> {
        let certificate = one_certificate(certificate_pem)?;
        let key = KeyPair::from_pem(key_pem).map_err(|_| CaError::RootKey)?;
        let algorithm = RootAlgorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.encoder() == key.algorithm())
            .ok_or(CaError::Root {
                fault: "its key is not P-256, P-384, Ed25519 or RSA",
            })?;
        {
            let parsed = parse(&certificate)?;
            if parsed.public_key().raw != key.subject_public_key_info() {
                return Err(CaError::Root {
                    fault: "the key is not that of the certificate",
                });
            }
            check_root(&parsed, trust_domain, now)?;
        }
        Ok(Self {
            certificate,
            key,
            algorithm,
        })
    }
}

impl RootKey for FileRoot {
    fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    fn algorithm(&self) -> RootAlgorithm {
        self.algorithm
    }

    fn raw_public(&self) -> &[u8] {
        self.key.public_key_raw()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CaError> {
        rcgen::SigningKey::sign(&self.key, message).map_err(CaError::Encode)
    }
}

/// A root that lives as long as the process: for `--dev`, the demo and tests. Nothing outside can
/// know it beforehand.
pub struct EphemeralRoot {
    certificate: Vec<u8>,
    key: SigningKey,
    raw_public: Vec<u8>,
}

impl EphemeralRoot {
    /// A new root of a trust domain, valid for a week.
    ///
    /// # Errors
    /// If the key or the certificate cannot be made.
    pub fn generate(
        trust_domain: &TrustDomain,
        now: UnixTime,
        rng: &mut dyn Rng,
    ) -> Result<Self, CaError> {
        let key = generate(Algorithm::Es256, rng)?;
        let mut root = Self {
            certificate: Vec::new(),
            raw_public: key.raw_public(),
            key,
        };
        let mut params = CertificateParams::default();
        params.not_before = date(now.saturating_sub(NOT_BEFORE_SECS))?;
        params.not_after = date(now.saturating_add(EPHEMERAL_SECS))?;
        params.serial_number = Some(random_serial(rng));
        params.distinguished_name = common_name("dayfly ephemeral root");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.subject_alt_names = vec![trust_domain_name(trust_domain)?];
        let signed = params
            .self_signed(&RootSigner(&root))
            .map_err(CaError::Encode)?;
        root.certificate = signed.der().to_vec();
        check_root(&parse(&root.certificate)?, trust_domain, now)?;
        Ok(root)
    }
}

impl RootKey for EphemeralRoot {
    fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    fn algorithm(&self) -> RootAlgorithm {
        RootAlgorithm::EcdsaP256
    }

    fn raw_public(&self) -> &[u8] {
        &self.raw_public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CaError> {
        Ok(self.key.sign_der(message)?)
    }
}

/// A subject of one common name.
pub(super) fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

/// The SPIFFE ID of a signing certificate: the trust domain without a path (X509-SVID section 4.2).
pub(super) fn trust_domain_name(trust_domain: &TrustDomain) -> Result<SanType, CaError> {
    let uri = format!("spiffe://{trust_domain}");
    Ok(SanType::URI(uri.try_into().map_err(CaError::Encode)?))
}

/// 16 random bytes with the top bits `01`: positive, and never shorter (RFC 5280 section 4.1.2.2).
pub(super) fn random_serial(rng: &mut dyn Rng) -> SerialNumber {
    let mut serial = [0_u8; 16];
    rng.fill(&mut serial);
    let [first, ..] = &mut serial;
    *first = *first & 0x3f | 0x40;
    SerialNumber::from_slice(&serial)
}

fn one_certificate(pem: &str) -> Result<Vec<u8>, CaError> {
    let mut certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
    match (certificates.next(), certificates.next()) {
        (Some(Ok(certificate)), None) => Ok(certificate.to_vec()),
        _ => Err(CaError::Root {
            fault: "there is not exactly one certificate in PEM",
        }),
    }
}

/// What a root must be for its intermediates to be believed.
fn check_root(
    root: &X509Certificate<'_>,
    trust_domain: &TrustDomain,
    now: UnixTime,
) -> Result<(), CaError> {
    let fault = |fault| Err(CaError::Root { fault });
    let malformed = |error: x509_parser::error::X509Error| CaError::Malformed {
        detail: error.to_string(),
    };
    let constraints = root.basic_constraints().map_err(malformed)?;
    let Some(constraints) = constraints.filter(|constraints| constraints.value.ca) else {
        return fault("it is not a CA");
    };
    if constraints.value.path_len_constraint == Some(0) {
        return fault("its path length leaves no room for an intermediate");
    }
    let usage = root.key_usage().map_err(malformed)?;
    if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
        return fault("its key usage does not allow to sign certificates");
    }
    if root.subject().iter().next().is_none() {
        return fault("its subject is empty");
    }
    // rustls refuses every chain below a constraint on URIs.
    if root.name_constraints().map_err(malformed)?.is_some() {
        return fault("it has name constraints, which make rustls peers refuse its SVIDs");
    }
    let (from, until) = (root.validity().not_before, root.validity().not_after);
    let instant = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if instant < from.timestamp() || until.timestamp() <= instant {
        return fault("it is not valid now");
    }
    let names = root.subject_alternative_name().map_err(malformed)?;
    let own = format!("spiffe://{trust_domain}");
    let foreign = |name: &GeneralName<'_>| matches!(name, GeneralName::URI(uri) if *uri != own);
    if names.is_some_and(|names| names.value.general_names.iter().any(foreign)) {
        return fault("it is a certificate of another trust domain, or of a workload");
    }
    Ok(())
}
