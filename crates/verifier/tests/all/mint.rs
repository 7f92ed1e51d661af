//! An authority that mints certificates as a dayfly issuer does, and others that must be refused.

use dayfly_token::{
    CertificateClaims, CredentialId, DayflyClaims, EXTENSION_OID, TrustDomain, base64url,
};
use dayfly_verifier::UnixTime;
use dayfly_verifier::tls::ServerIdentity;
use dayfly_verifier::x509::TrustBundle;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::OffsetDateTime;

use crate::pki::Identity;

pub const TRUST_DOMAIN: &str = "sts.example.org";
pub const ID: &str = "spiffe://sts.example.org/payments/deploy";
pub const RULE: &str = "gh-deploy";
pub const TASK: &str = "payments/deploy-1";
pub const ANCESTOR: &str = "QAAAAAAAAAAAAAAAAAAAAA";
/// Lifetime of a certificate in seconds, unless a test says otherwise.
pub const TTL_SECS: u64 = 900;

/// The present: TLS servers and clients read the clock themselves.
#[expect(clippy::disallowed_methods, reason = "the tests shake hands now")]
pub fn now() -> UnixTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixTime::from_secs(since.unwrap().as_secs())
}

pub fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

pub fn date(at: UnixTime) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(i64::try_from(at.as_secs()).unwrap()).unwrap()
}

/// A root, and an intermediate below it that mints.
pub struct Authority {
    pub trust_domain: TrustDomain,
    pub root: CertifiedIssuer<'static, KeyPair>,
    pub intermediate: CertifiedIssuer<'static, KeyPair>,
}

/// A leaf about to be minted: a good one, changed as the test says.
pub struct Leaf {
    pub params: CertificateParams,
    pub id: CredentialId,
    pub claims: CertificateClaims,
    /// In the place of the claims, as often as there are.
    pub extensions: Option<Vec<Vec<u8>>>,
}

impl Authority {
    pub fn new() -> Self {
        Self::of(TRUST_DOMAIN)
    }

    pub fn of(trust_domain: &str) -> Self {
        Self::with_root(trust_domain, |_| ())
    }

    pub fn with_root(trust_domain: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut root_params = signing_params("dayfly root", trust_domain, 1);
        change(&mut root_params);
        let root = CertifiedIssuer::self_signed(root_params, KeyPair::generate().unwrap()).unwrap();
        let intermediate = issuer_below(&root, signing_params("dayfly a", trust_domain, 0));
        Self {
            trust_domain: trust_domain.parse().unwrap(),
            root,
            intermediate,
        }
    }

    /// The same root with an intermediate of another form.
    pub fn with_intermediate(mut self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = signing_params("dayfly b", self.trust_domain.as_str(), 0);
        change(&mut params);
        self.intermediate = issuer_below(&self.root, params);
        self
    }

    pub fn root_der(&self) -> Vec<u8> {
        self.root.der().to_vec()
    }

    pub fn bundle(&self) -> TrustBundle {
        TrustBundle::from_der(&self.trust_domain, [self.root_der()]).unwrap()
    }

    /// The document that an issuer serves.
    pub fn document(&self, sequence: Option<u64>) -> TrustBundle {
        let document = document(&[self.root_der()], sequence);
        TrustBundle::from_json(&self.trust_domain, document.as_bytes()).unwrap()
    }

    /// A good certificate.
    pub fn good(&self) -> Identity {
        self.mint(now(), |_| ())
    }

    /// A certificate that was issued at `issued_at`.
    pub fn mint(&self, issued_at: UnixTime, change: impl FnOnce(&mut Leaf)) -> Identity {
        let mut leaf = Leaf::new(&self.trust_domain, issued_at);
        change(&mut leaf);
        let key = KeyPair::generate().unwrap();
        let der = leaf.finish().signed_by(&key, &self.intermediate).unwrap();
        Identity {
            chain: vec![der.der().clone(), self.intermediate.der().clone()],
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        }
    }
}

impl Leaf {
    pub fn new(trust_domain: &TrustDomain, issued_at: UnixTime) -> Self {
        let mut random = [0; 15];
        random.copy_from_slice(&KeyPair::generate().unwrap().public_key_raw()[1..16]);
        let mut params = CertificateParams::default();
        params.not_before = date(issued_at.saturating_sub(30));
        params.not_after = date(issued_at.saturating_add(TTL_SECS));
        params.distinguished_name = DistinguishedName::new();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.subject_alt_names = vec![uri(&format!("spiffe://{trust_domain}/payments/deploy"))];
        params.use_authority_key_identifier_extension = true;
        Self {
            params,
            id: CredentialId::new(0, random),
            claims: CertificateClaims {
                iat: issued_at,
                txn: Some(TASK.to_owned()),
                dfy: DayflyClaims {
                    rule: RULE.to_owned(),
                    env: "prod".to_owned(),
                    anc: vec![ANCESTOR.to_owned()],
                    src: None,
                },
            },
            extensions: None,
        }
    }

    pub fn finish(self) -> CertificateParams {
        let mut params = self.params;
        if params.serial_number.is_none() {
            params.serial_number = Some(SerialNumber::from_slice(self.id.as_bytes()));
        }
        let extensions = self.extensions;
        for content in extensions.unwrap_or_else(|| vec![self.claims.to_der()]) {
            let extension = CustomExtension::from_oid_content(&EXTENSION_OID, content);
            params.custom_extensions.push(extension);
        }
        params
    }
}

pub fn signing_params(name: &str, trust_domain: &str, path_length: u8) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date(now().saturating_sub(86_400));
    params.not_after = date(now().saturating_add(86_400));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.subject_alt_names = vec![uri(&format!("spiffe://{trust_domain}"))];
    params.use_authority_key_identifier_extension = true;
    params
}

pub fn issuer_below(
    issuer: &CertifiedIssuer<'static, KeyPair>,
    params: CertificateParams,
) -> CertifiedIssuer<'static, KeyPair> {
    CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), issuer).unwrap()
}

/// What names a signing certificate in the feed.
pub fn key_id(issuer: &CertifiedIssuer<'static, KeyPair>) -> String {
    let (_, certificate) = x509_parser::parse_x509_certificate(issuer.der()).unwrap();
    base64url::encode(dayfly_keys::sha256(certificate.public_key().raw))
}

/// A SPIFFE bundle document with one entry for each certificate.
pub fn document(certificates: &[Vec<u8>], sequence: Option<u64>) -> String {
    use base64::Engine as _;
    let entry = |der: &Vec<u8>| {
        let der = base64::engine::general_purpose::STANDARD.encode(der);
        serde_json::json!({"kty": "EC", "crv": "P-256", "use": "x509-svid", "x5c": [der]})
    };
    let keys: Vec<_> = certificates.iter().map(entry).collect();
    let mut document = serde_json::json!({ "keys": keys, "spiffe_refresh_hint": 300 });
    if let Some(sequence) = sequence {
        document["spiffe_sequence"] = sequence.into();
    }
    document.to_string()
}

impl Identity {
    pub fn server(self) -> ServerIdentity {
        ServerIdentity::new(self.chain, self.key)
    }

    pub fn again(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }

    pub fn chain_der(&self) -> Vec<Vec<u8>> {
        self.chain.iter().map(|der| der.to_vec()).collect()
    }

    pub fn with_more(mut self, more: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        self.chain.extend(more);
        self
    }
}
