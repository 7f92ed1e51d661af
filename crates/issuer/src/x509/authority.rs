//! The in-memory intermediate.

use std::sync::atomic::{AtomicU64, Ordering};

use dayfly_keys::csr::CertificateRequest;
use dayfly_keys::{Algorithm, SigningKey, sha256};
use dayfly_token::{TrustDomain, UnixTime, base64url};
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, KeyIdMethod, KeyUsagePurpose, PublicKeyData,
    SignatureAlgorithm,
};

use super::certificate::{PublicKey, date, parse, verify};
use super::leaf::{self, AuthorityFacts, Leaf};
use super::root::{RootKey, RootSigner, common_name, random_serial, trust_domain_name};
use super::{CaError, NOT_BEFORE_SECS};
use crate::keygen::generate;
use crate::port::Rng;

/// Longest replica name in the subject: X.520 allows a common name 64 characters.
const MAX_NAME_CHARS: usize = 32;

/// Bytes of a key identifier: those of RFC 7093 section 2 method 1.
const KEY_ID_BYTES: usize = 20;

/// Every how many leaves a signature is verified.
const VERIFY_EVERY: u64 = 1024;

/// An intermediate certificate authority of this replica. Its key is in memory only, zeroised when
/// dropped; its certificate travels with every leaf, so it needs no time to be known.
pub struct IssuingCa {
    issuer: rcgen::Issuer<'static, IntermediateKey>,
    certificate: Vec<u8>,
    /// The subject of the certificate in DER.
    name: Vec<u8>,
    trust_domain: TrustDomain,
    not_before: UnixTime,
    not_after: UnixTime,
    key_id: [u8; KEY_ID_BYTES],
    id: String,
    /// The public keys of the authority's own certificates: no leaf may have one of them.
    own_keys: [Vec<u8>; 2],
    leaves: AtomicU64,
}

struct IntermediateKey {
    key: SigningKey,
    raw_public: Vec<u8>,
}

impl PublicKeyData for IntermediateKey {
    fn der_bytes(&self) -> &[u8] {
        &self.raw_public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for IntermediateKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.key
            .sign_der(message)
            .map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

impl IssuingCa {
    /// A new intermediate for `trust_domain`, valid for `validity_secs`, and no longer than the
    /// root.
    ///
    /// # Errors
    /// If the root cannot sign, or what it signed does not hold.
    pub fn new(
        root: &dyn RootKey,
        trust_domain: &TrustDomain,
        replica: &str,
        validity_secs: u64,
        now: UnixTime,
        rng: &mut dyn Rng,
    ) -> Result<Self, CaError> {
        let key = generate(Algorithm::Es256, rng)?;
        let spki = key.spki_der();
        let key_id = key_id(&spki);
        let root_certificate = parse(root.certificate())?;
        let root_until = root_certificate.validity().not_after.timestamp();
        let root_until = UnixTime::from_secs(u64::try_from(root_until).unwrap_or_default());
        let not_before = now.saturating_sub(NOT_BEFORE_SECS);
        let not_after = now.saturating_add(validity_secs).min(root_until);

        let mut params = CertificateParams::default();
        params.not_before = date(not_before)?;
        params.not_after = date(not_after)?;
        params.serial_number = Some(random_serial(rng));
        // A name of its own for each intermediate, so that chains never need to be guessed.
        let replica: String = replica.chars().take(MAX_NAME_CHARS).collect();
        let id = base64url::encode(sha256(&spki));
        let short: String = id.chars().take(8).collect();
        params.distinguished_name = common_name(&format!("dayfly {replica} {short}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.subject_alt_names = vec![trust_domain_name(trust_domain)?];
        params.use_authority_key_identifier_extension = true;
        params.key_identifier_method = KeyIdMethod::PreSpecified(key_id.to_vec());

        let raw_public = key.raw_public();
        let public = PublicKey {
            raw: &raw_public,
            algorithm: &rcgen::PKCS_ECDSA_P256_SHA256,
        };
        let upstream =
            rcgen::Issuer::from_ca_cert_der(&root.certificate().into(), RootSigner(root))
                .map_err(CaError::Encode)?;
        let certificate = params
            .signed_by(&public, &upstream)
            .map_err(CaError::Encode)?
            .der()
            .to_vec();
        let name = check_intermediate(&certificate, &root_certificate, &spki)?;
        let own_keys = [root_certificate.public_key().raw.to_vec(), spki];
        let issuer = rcgen::Issuer::new(params, IntermediateKey { key, raw_public });
        Ok(Self {
            issuer,
            certificate,
            name,
            trust_domain: trust_domain.clone(),
            not_before,
            not_after,
            key_id,
            id,
            own_keys,
            leaves: AtomicU64::new(0),
        })
    }

    /// The intermediate certificate in DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Names the intermediate in the records: the digest of its public key in base64url.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Until when the intermediate, and so each of its leaves, is valid.
    #[must_use]
    pub const fn not_after(&self) -> UnixTime {
        self.not_after
    }

    /// Whether it is time for the next intermediate: after two thirds of this one's life.
    #[must_use]
    pub const fn needs_renewal(&self, now: UnixTime) -> bool {
        let life = self.not_after.seconds_since(self.not_before);
        now.seconds_since(self.not_before) >= life / 3 * 2
    }

    /// The trust domain that it certifies identities of.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Builds, signs and checks a leaf, in DER. From the request it takes the key alone.
    pub(crate) fn issue(
        &self,
        leaf: &Leaf<'_>,
        request: &CertificateRequest,
    ) -> Result<Vec<u8>, CaError> {
        if self.own_keys.iter().any(|own| own == request.spki_der()) {
            return Err(CaError::KeyOfAuthority);
        }
        let public = PublicKey {
            raw: request.raw_public(),
            algorithm: leaf::encoder(request.key_kind()),
        };
        let params = leaf.params(&self.trust_domain)?;
        let der = params
            .signed_by(&public, &self.issuer)
            .map_err(CaError::Encode)?
            .der()
            .to_vec();
        let issued = parse(&der)?;
        let facts = AuthorityFacts {
            name: &self.name,
            key_id: &self.key_id,
            not_after: self.not_after,
        };
        leaf.check(&issued, &self.trust_domain, request, &facts)?;
        if self
            .leaves
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(VERIFY_EVERY)
        {
            verify(&issued, parse(&self.certificate)?.public_key())?;
        }
        Ok(der)
    }
}

/// The first 20 bytes of the SHA-256 of a public key.
fn key_id(spki: &[u8]) -> [u8; KEY_ID_BYTES] {
    let mut id = [0; KEY_ID_BYTES];
    for (byte, digested) in id.iter_mut().zip(sha256(spki)) {
        *byte = digested;
    }
    id
}

/// What the root signed is believed only if a verifier would believe it. Gives its subject in DER.
fn check_intermediate(
    der: &[u8],
    root: &x509_parser::certificate::X509Certificate<'_>,
    spki: &[u8],
) -> Result<Vec<u8>, CaError> {
    let certificate = parse(der)?;
    verify(&certificate, root.public_key())?;
    // The encoder writes names anew, and a name of an unusual string type may come out different.
    if certificate.issuer().as_raw() != root.subject().as_raw() {
        return Err(CaError::Root {
            fault: "its subject has a form that cannot be written again",
        });
    }
    if certificate.public_key().raw != spki {
        return Err(CaError::Differs {
            member: "public key",
        });
    }
    Ok(certificate.subject().as_raw().to_vec())
}
