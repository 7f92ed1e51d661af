//! Certificate authorities and certificates, good ones and every kind of bad one.

use dayfly_attest::{AttestError, BundleSource, Evidence, OidcIssuers, TrustBundles};
use dayfly_policy::Principal;
use dayfly_token::UnixTime;
use dayfly_verifier::PeerCertificate;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use time::OffsetDateTime;

use crate::{NOW, attestor};

pub(crate) const TRUST_DOMAIN: &str = "prod.example";
pub(crate) const WORKLOAD: &str = "spiffe://prod.example/ns/payments/deploy";

/// A CA with its key.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub(crate) fn root(trust_domain: &str) -> Self {
        Self::self_signed(ca_params(trust_domain))
    }

    pub(crate) fn self_signed(params: CertificateParams) -> Self {
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Another self-signed certificate for the key of this one.
    pub(crate) fn again(&self, params: CertificateParams) -> Self {
        let key = KeyPair::try_from(self.0.key().serialize_der()).unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(crate) fn intermediate(&self, params: CertificateParams) -> Self {
        Self(CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &self.0).unwrap())
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        self.0.der().to_vec()
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn issue(&self, params: &CertificateParams) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let der = params.signed_by(&key, &self.0).unwrap().der().to_vec();
        Leaf { der, key }
    }

    /// A certificate for a key that is there already.
    pub(crate) fn sign_for(&self, params: &CertificateParams, key: &KeyPair) -> Vec<u8> {
        params.signed_by(key, &self.0).unwrap().der().to_vec()
    }

    /// A good SVID.
    pub(crate) fn svid(&self) -> Leaf {
        self.issue(&leaf_params(WORKLOAD))
    }
}

/// A certificate with its key.
pub(crate) struct Leaf {
    pub(crate) der: Vec<u8>,
    pub(crate) key: KeyPair,
}

/// Parameters of a CA as SPIRE makes them.
pub(crate) fn ca_params(trust_domain: &str) -> CertificateParams {
    let mut params = common(&format!("SPIFFE {trust_domain}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.subject_alt_names = vec![uri(&format!("spiffe://{trust_domain}"))];
    params
}

/// The same under another name, so that paths are unambiguous.
pub(crate) fn intermediate_params(name: &str) -> CertificateParams {
    let mut params = ca_params(TRUST_DOMAIN);
    params.distinguished_name = named(name);
    params
}

/// Parameters of a good SVID.
pub(crate) fn leaf_params(id: &str) -> CertificateParams {
    let mut params = common("SPIRE");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.subject_alt_names = vec![uri(id)];
    params
}

fn common(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = instant(NOW.as_secs() - 600);
    params.not_after = instant(NOW.as_secs() + 3_600);
    params.distinguished_name = named(name);
    params.use_authority_key_identifier_extension = true;
    params
}

pub(crate) fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::OrganizationName, name);
    distinguished
}

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

pub(crate) fn instant(secs: u64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(secs.try_into().unwrap()).unwrap()
}

pub(crate) fn extension(oid: &[u64], content: Vec<u8>, critical: bool) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(oid, content);
    extension.set_criticality(critical);
    extension
}

pub(crate) fn bundle_of(trust_domain: &str, authorities: &[&Ca]) -> BundleSource {
    let pem: String = authorities.iter().map(|ca| ca.pem()).collect();
    BundleSource::text(trust_domain.parse().unwrap(), pem)
}

pub(crate) fn trusting(root: &Ca) -> TrustBundles {
    TrustBundles::load(vec![bundle_of(TRUST_DOMAIN, &[root])]).unwrap()
}

pub(crate) fn peer(chain: &[&[u8]]) -> PeerCertificate {
    PeerCertificate::new(chain.iter().map(|der| der.to_vec()).collect(), None).unwrap()
}

/// Attests a chain, leaf first, as the evidence of `WORKLOAD`.
pub(crate) async fn attest_at(
    bundles: TrustBundles,
    chain: &[&[u8]],
    now: UnixTime,
) -> Result<Principal, AttestError> {
    let peer = peer(chain);
    attestor(bundles, OidcIssuers::default())
        .attest(
            Evidence::X509Svid {
                peer: &peer,
                client_id: WORKLOAD,
            },
            now,
        )
        .await
}

/// The code of the refusal, or `accepted`.
pub(crate) async fn outcome(bundles: TrustBundles, chain: &[&[u8]]) -> &'static str {
    outcome_at(bundles, chain, NOW).await
}

pub(crate) async fn outcome_at(
    bundles: TrustBundles,
    chain: &[&[u8]],
    now: UnixTime,
) -> &'static str {
    match attest_at(bundles, chain, now).await {
        Ok(_) => "accepted",
        Err(error) => error.code(),
    }
}
