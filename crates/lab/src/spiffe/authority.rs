use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dayfly_token::{SpiffeId, TrustDomain, base64url};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, Issuer, KeyPair,
    PublicKeyData as _, SanType,
};
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};

use super::SvidParams;
use crate::{LabError, guard, tls};

/// How long lab roots and intermediates live.
const AUTHORITY_LIFETIME: time::Duration = time::Duration::days(30);

/// What the bundle asks its consumers to wait between two reads, in seconds (SPIFFE Trust Domain and Bundle, 4.1.2).
const REFRESH_HINT_SECS: u64 = 300;

/// The certificate authority of one SPIFFE trust domain, like a SPIRE server's, in memory.
pub struct SpiffeCa {
    trust_domain: TrustDomain,
    root: CertifiedIssuer<'static, KeyPair>,
    intermediate: Option<CertifiedIssuer<'static, KeyPair>>,
}

/// An X.509-SVID (or what a test made of it) and its key.
#[derive(Clone)]
pub struct Svid {
    /// The chain without the root, leaf first, as PEM.
    pub cert_chain_pem: String,
    /// The private key, PKCS#8 as PEM.
    pub key_pem: String,
    /// The chain without the root, leaf first, as DER.
    pub chain_der: Vec<Vec<u8>>,
    /// The private key, PKCS#8 as DER.
    pub key_der: Vec<u8>,
    /// The first URI SAN, or the empty string.
    pub spiffe_id: String,
}

impl SpiffeCa {
    /// A root for `trust_domain` that signs SVIDs itself.
    pub fn new(trust_domain: &str) -> Result<Self, LabError> {
        guard::check_environment()?;
        let trust_domain =
            trust_domain
                .parse::<TrustDomain>()
                .map_err(|error| LabError::SpiffeId {
                    text: trust_domain.to_owned(),
                    reason: error.to_string(),
                })?;
        let key = authority_key()?;
        let params = signing_params(&trust_domain, "root", BasicConstraints::Unconstrained)?;
        let root =
            CertifiedIssuer::self_signed(params, key).map_err(|source| LabError::Certificate {
                what: "SPIFFE root",
                source,
            })?;
        Ok(Self {
            trust_domain,
            root,
            intermediate: None,
        })
    }

    /// A root for `trust_domain`, and an intermediate under it that signs the SVIDs and travels with them.
    pub fn with_intermediate(trust_domain: &str) -> Result<Self, LabError> {
        let mut ca = Self::new(trust_domain)?;
        let params = signing_params(
            &ca.trust_domain,
            "intermediate",
            BasicConstraints::Constrained(0),
        )?;
        let intermediate =
            CertifiedIssuer::signed_by(params, authority_key()?, &ca.root).map_err(|source| {
                LabError::Certificate {
                    what: "SPIFFE intermediate",
                    source,
                }
            })?;
        ca.intermediate = Some(intermediate);
        Ok(ca)
    }

    /// The trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        self.trust_domain.as_str()
    }

    /// The SPIFFE ID of `path` (`/payments/deploy`) here.
    pub fn spiffe_id(&self, path: &str) -> Result<SpiffeId, LabError> {
        SpiffeId::new(&self.trust_domain, path).map_err(|error| LabError::SpiffeId {
            text: path.to_owned(),
            reason: error.to_string(),
        })
    }

    /// A proper SVID with a P-256 key for `path` (`/payments/deploy`), valid for `ttl` from now.
    pub fn svid(&self, path: &str, ttl: Duration) -> Result<Svid, LabError> {
        let id = self.spiffe_id(path)?;
        if id.path().is_empty() {
            // The ID of the trust domain itself is for its authorities (SPIFFE X509-SVID section 3.1).
            let reason = "an SVID names a workload, so it has a path".to_owned();
            return Err(LabError::SpiffeId {
                text: id.as_str().to_owned(),
                reason,
            });
        }
        self.svid_with(&SvidParams::new(id.as_str(), ttl.as_secs()))
    }

    /// A certificate that says what `params` say, proper or not.
    pub fn svid_with(&self, params: &SvidParams) -> Result<Svid, LabError> {
        let key = params.key.generate()?;
        let signer = self.intermediate.as_ref().unwrap_or(&self.root);
        let leaf = sign(&params.certificate_params()?, &key, signer)?;
        let intermediate = self
            .intermediate
            .as_ref()
            .filter(|_| !params.leave_out_intermediate);
        let chain = std::iter::once(leaf.der().to_vec())
            .chain(intermediate.map(|intermediate| intermediate.der().to_vec()))
            .collect();
        Ok(Svid::new(chain, &key, params))
    }

    /// A certificate signed with the key of `signer`, which is an SVID and so must never count as a CA.
    pub fn svid_signed_by(&self, signer: &Svid, params: &SvidParams) -> Result<Svid, LabError> {
        let unusable = |_| LabError::Key { what: "SVID" };
        let key = params.key.generate()?;
        let signer_der = signer
            .chain_der
            .first()
            .ok_or(LabError::Key { what: "SVID" })?;
        let signer_key = KeyPair::try_from(signer.key_der.as_slice()).map_err(unusable)?;
        let issuer =
            Issuer::from_ca_cert_der(&CertificateDer::from(signer_der.as_slice()), signer_key)
                .map_err(unusable)?;
        let leaf = sign(&params.certificate_params()?, &key, &issuer)?;
        let chain = std::iter::once(leaf.der().to_vec())
            .chain(signer.chain_der.iter().cloned())
            .collect();
        Ok(Svid::new(chain, &key, params))
    }

    /// The bundle as PEM: the root alone.
    #[must_use]
    pub fn bundle_pem(&self) -> String {
        self.root.pem()
    }

    /// The root as DER.
    #[must_use]
    pub fn root_der(&self) -> &[u8] {
        self.root.der()
    }

    /// The bundle as a SPIFFE bundle document with sequence number 1.
    #[must_use]
    pub fn bundle_json(&self) -> String {
        self.bundle_document(1, &[]).to_string()
    }

    /// The bundle document with this sequence number, and with the roots of `others` beside the own one: an
    /// authority that is being rotated, or a hostile bundle.
    #[must_use]
    pub fn bundle_document(&self, sequence: u64, others: &[&Self]) -> Value {
        let keys: Vec<Value> = std::iter::once(self)
            .chain(others.iter().copied())
            .map(Self::bundle_entry)
            .collect();
        json!({ "keys": keys, "spiffe_sequence": sequence, "spiffe_refresh_hint": REFRESH_HINT_SECS })
    }

    /// SPIFFE Trust Domain and Bundle, section 4.2: `use` and `kty` required, no `kid`, one certificate in `x5c`.
    fn bundle_entry(&self) -> Value {
        let point = self.root.key().der_bytes();
        let (x, y) = point
            .get(1..)
            .unwrap_or_default()
            .split_at_checked(32)
            .unwrap_or_default();
        json!({
            "use": "x509-svid",
            "kty": "EC",
            "crv": "P-256",
            "x": base64url::encode(x),
            "y": base64url::encode(y),
            "x5c": [STANDARD.encode(self.root.der())],
        })
    }
}

impl fmt::Debug for SpiffeCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpiffeCa")
            .field("trust_domain", &self.trust_domain)
            .finish_non_exhaustive()
    }
}

impl Svid {
    fn new(chain_der: Vec<Vec<u8>>, key: &KeyPair, params: &SvidParams) -> Self {
        Self {
            cert_chain_pem: chain_der.iter().map(|der| certificate_pem(der)).collect(),
            key_pem: key.serialize_pem(),
            chain_der,
            key_der: key.serialize_der(),
            spiffe_id: params.uris.first().cloned().unwrap_or_default(),
        }
    }

    /// The leaf as DER.
    #[must_use]
    pub fn leaf_der(&self) -> &[u8] {
        self.chain_der.first().map_or(&[], Vec::as_slice)
    }

    /// SHA-256 of the leaf, which `cnf.x5t#S256` of a bound token names (RFC 8705 section 3.1).
    #[must_use]
    pub fn thumbprint(&self) -> [u8; 32] {
        dayfly_keys::sha256(self.leaf_der())
    }

    /// The same chain with the last bit of the leaf's signature flipped.
    #[must_use]
    pub fn with_broken_signature(&self) -> Self {
        let mut broken = self.clone();
        if let Some(last) = broken
            .chain_der
            .first_mut()
            .and_then(|leaf| leaf.last_mut())
        {
            *last ^= 1;
        }
        broken.cert_chain_pem = broken
            .chain_der
            .iter()
            .map(|der| certificate_pem(der))
            .collect();
        broken
    }
}

impl fmt::Debug for Svid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Svid")
            .field("spiffe_id", &self.spiffe_id)
            .finish_non_exhaustive()
    }
}

fn sign(
    params: &CertificateParams,
    key: &KeyPair,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<Certificate, LabError> {
    params
        .signed_by(key, issuer)
        .map_err(|source| LabError::Certificate {
            what: "SVID",
            source,
        })
}

fn authority_key() -> Result<KeyPair, LabError> {
    KeyPair::generate().map_err(|_| LabError::Key { what: "CA" })
}

/// A signing certificate carries at most the trust domain's own ID, without a path (SPIFFE X509-SVID section 3.1).
fn signing_params(
    trust_domain: &TrustDomain,
    role: &str,
    constraints: BasicConstraints,
) -> Result<CertificateParams, LabError> {
    let name = format!("{role} of {trust_domain}");
    let mut params = tls::authority_params(&name, constraints, AUTHORITY_LIFETIME)?;
    let uri = format!("spiffe://{trust_domain}")
        .as_str()
        .try_into()
        .map_err(|source| LabError::Certificate {
            what: "SPIFFE CA",
            source,
        })?;
    params.subject_alt_names = vec![SanType::URI(uri)];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn certificate_pem(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = body.as_str();
    while let Some((line, tail)) = rest.split_at_checked(64) {
        pem.push_str(line);
        pem.push('\n');
        rest = tail;
    }
    if !rest.is_empty() {
        pem.push_str(rest);
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
