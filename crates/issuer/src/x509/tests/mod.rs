mod roots;

use std::time::Duration;

use dayfly_keys::csr::{CertificateRequest, CsrKey};
use dayfly_token::{CredentialId, DecisionId, TrustDomain, UnixTime};
use dayfly_verifier::svid;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType};
use rustls_pki_types::{CertificateDer, UnixTime as PkiTime};
use serde_json::json;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::*;
use crate::issuance::{Issuance, IssuanceKind, IssuanceState};
use crate::testing::SeededRng;

const T: u64 = 1_800_000_000;
const DAY: u64 = 86_400;

fn now() -> UnixTime {
    UnixTime::from_secs(T)
}

fn trust_domain() -> TrustDomain {
    "sts.example.org".parse().unwrap()
}

fn authority() -> (EphemeralRoot, IssuingCa) {
    let mut rng = SeededRng::new(3);
    let root = EphemeralRoot::generate(&trust_domain(), now(), &mut rng).unwrap();
    let ca = IssuingCa::new(&root, &trust_domain(), "a", DAY, now(), &mut rng).unwrap();
    (root, ca)
}

fn issuance() -> Issuance {
    Issuance {
        id: CredentialId::new(5, [0xff; 15]),
        kind: IssuanceKind::Certificate,
        state: IssuanceState::Recorded,
        decision: DecisionId::new(5, [1; 15]),
        workload: "payments/deploy".parse().unwrap(),
        environment: "prod".parse().unwrap(),
        rule: "svid-deploy".parse().unwrap(),
        audience: None,
        scopes: dayfly_token::ScopeSet::default(),
        task: Some("payments/deploy-1".parse().unwrap()),
        issued_at: now(),
        expires_at: UnixTime::from_secs(T + 900),
        kid: "ca".to_owned(),
        ancestors: vec!["parent".to_owned()],
        source: "spiffe:prod.example.org".to_owned(),
        subject: "spiffe://prod.example.org/payments/deploy".to_owned(),
        evidence_sha256: "00".repeat(32),
        policy_version: "v1".to_owned(),
    }
}

fn request_by(key: &KeyPair, params: &CertificateParams) -> CertificateRequest {
    CertificateRequest::parse(params.serialize_request(key).unwrap().der()).unwrap()
}

fn request() -> CertificateRequest {
    request_by(&KeyPair::generate().unwrap(), &CertificateParams::default())
}

fn issue(ca: &IssuingCa, request: &CertificateRequest) -> Vec<u8> {
    let names = ["deploy.payments.internal".to_owned()];
    ca.issue(
        &Leaf {
            issuance: &issuance(),
            dns_names: &names,
        },
        request,
    )
    .unwrap()
}

/// What a rustls peer does: the path to the root, for both ends of a connection.
fn verify_path(
    leaf: &[u8],
    intermediate: &[u8],
    root: &[u8],
    at: u64,
) -> Result<(), webpki::Error> {
    let root = CertificateDer::from(root);
    let anchor = anchor_from_trusted_cert(&root)?;
    let (leaf, intermediate) = (
        CertificateDer::from(leaf),
        CertificateDer::from(intermediate),
    );
    let leaf = EndEntityCert::try_from(&leaf)?;
    let at = PkiTime::since_unix_epoch(Duration::from_secs(at));
    for usage in [KeyUsage::client_auth(), KeyUsage::server_auth()] {
        leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            std::slice::from_ref(&anchor),
            std::slice::from_ref(&intermediate),
            at,
            usage,
            None,
            None,
        )?;
    }
    Ok(())
}

#[test]
fn a_leaf_is_an_svid_that_peers_accept_while_it_lives() {
    let (root, ca) = authority();
    let leaf = issue(&ca, &request());
    let id = svid::identity_of(&leaf).unwrap();
    assert_eq!(id.to_string(), "spiffe://sts.example.org/payments/deploy");
    svid::check_issuer(ca.certificate()).unwrap();
    svid::check_issuer(root.certificate()).unwrap();
    let verify = |at| verify_path(&leaf, ca.certificate(), root.certificate(), at);
    assert_eq!(verify(T - 30), Ok(()));
    assert_eq!(verify(T + 900), Ok(()));
    assert!(verify(T - 31).is_err());
    assert!(verify(T + 901).is_err());
    let (other, _) = (
        EphemeralRoot::generate(&trust_domain(), now(), &mut SeededRng::new(9)).unwrap(),
        (),
    );
    assert!(verify_path(&leaf, ca.certificate(), other.certificate(), T).is_err());
}

/// What peers with `dayfly-verifier` do, by the document that the issuer serves.
#[test]
fn a_leaf_is_what_our_own_verifier_expects() {
    use dayfly_token::feed::{Entry, FOREVER, Kind};
    use dayfly_verifier::x509::{CertificateRejectionCode, CertificateVerifier, TrustBundle};
    use dayfly_verifier::{PeerCertificate, RevocationSource};

    let (root, ca) = authority();
    let document = bundle_document(&[root.certificate()], 1, 300).unwrap();
    let bundle = TrustBundle::from_json(&trust_domain(), document.as_bytes()).unwrap();
    let verifier = || {
        CertificateVerifier::builder(bundle.clone())
            .revocation(RevocationSource::None)
            .build()
            .unwrap()
    };
    let chain = vec![issue(&ca, &request()), ca.certificate().to_vec()];
    let peer = PeerCertificate::new(chain, None).unwrap();
    let verified = verifier().recheck(&peer, now()).unwrap();
    assert_eq!(verified.serial(), &issuance().id);
    assert_eq!(verified.issued_at(), issuance().issued_at);
    assert_eq!(verified.expires_at(), issuance().expires_at);
    assert_eq!(verified.task(), Some("payments/deploy-1"));
    assert_eq!(verified.kid(), ca.id(), "what a taint names");
    for (kind, value) in [
        (Kind::Credential, issuance().id.to_string()),
        (Kind::Credential, "parent".to_owned()),
        (Kind::Key, ca.id().to_owned()),
        (Kind::Task, "payments/deploy-1".to_owned()),
        (Kind::Workload, "payments/deploy".to_owned()),
        (Kind::Owner, "payments".to_owned()),
        (Kind::Rule, "svid-deploy".to_owned()),
    ] {
        let verifier = verifier();
        let entry = Entry {
            prefix: dayfly_verifier::revocation::prefix(kind, &value),
            before: FOREVER,
            until: now().saturating_add(3600),
        };
        verifier.revocations().merge(&[entry], now());
        let rejection = verifier.recheck(&peer, now()).unwrap_err();
        assert_eq!(rejection.code(), CertificateRejectionCode::Revoked);
    }
}

#[test]
fn the_leaf_has_the_profile_to_the_letter() {
    let (_, ca) = authority();
    let der = issue(&ca, &request());
    let leaf = certificate::parse(&der).unwrap();
    assert_eq!(
        leaf.raw_serial(),
        issuance().id.as_bytes(),
        "top bit clear, 16 bytes"
    );
    assert_eq!(
        leaf.validity().not_before.timestamp(),
        i64::try_from(T - 30).unwrap()
    );
    let critical: Vec<_> = leaf
        .extensions()
        .iter()
        .map(|extension| (extension.oid.to_id_string(), extension.critical))
        .collect();
    let private = EXTENSION_OID.map(|arc| arc.to_string()).join(".");
    let expected = [
        ("2.5.29.35", false),
        ("2.5.29.17", true),
        ("2.5.29.15", true),
        ("2.5.29.37", false),
        ("2.5.29.14", false),
        ("2.5.29.19", true),
        ("2.5.29.56", false),
        (private.as_str(), false),
    ];
    assert_eq!(
        critical,
        expected.map(|(oid, critical)| (oid.to_owned(), critical))
    );
    let no_rev_avail = leaf
        .extensions()
        .iter()
        .find(|e| e.oid.to_id_string() == "2.5.29.56");
    assert_eq!(no_rev_avail.unwrap().value, [5, 0]);
    assert!(leaf.subject().iter().next().is_none());
    let claims = dayfly_verifier::x509::claims_of(&der).unwrap();
    assert_eq!(
        serde_json::to_value(&claims).unwrap(),
        json!({
            "iat": T,
            "txn": "payments/deploy-1",
            "dfy": { "rule": "svid-deploy", "env": "prod", "anc": ["parent"] },
        })
    );
    assert!(dayfly_verifier::x509::claims_of(ca.certificate()).is_err());
}

#[test]
fn keys_of_each_kind_are_certified_as_the_request_wrote_them() {
    let (root, ca) = authority();
    for (algorithm, kind) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, CsrKey::P256),
        (&rcgen::PKCS_ECDSA_P384_SHA384, CsrKey::P384),
        (&rcgen::PKCS_ED25519, CsrKey::Ed25519),
        (&rcgen::PKCS_RSA_SHA256, CsrKey::Rsa { bits: 2048 }),
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let request = request_by(&key, &CertificateParams::default());
        assert_eq!(request.key_kind(), kind);
        let leaf = issue(&ca, &request);
        assert_eq!(
            certificate::parse(&leaf).unwrap().public_key().raw,
            request.spki_der()
        );
        let verified = verify_path(&leaf, ca.certificate(), root.certificate(), T);
        assert_eq!(verified, Ok(()), "{kind:?}");
        assert!(svid::identity_of(&leaf).is_ok(), "{kind:?}");
    }
}

#[test]
fn nothing_but_the_key_comes_out_of_a_request() {
    let (_, ca) = authority();
    let mut params = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
        .distinguished_name
        .push(DnType::CommonName, "root of all");
    params.subject_alt_names.push(SanType::URI(
        "spiffe://sts.example.org/admin/root".try_into().unwrap(),
    ));
    let plain = KeyPair::generate().unwrap();
    let leaf = issue(&ca, &request_by(&plain, &params));
    let plain_leaf = issue(&ca, &request_by(&plain, &CertificateParams::default()));
    // The whole of what is signed is the same as for a request that asks for nothing.
    let tbs = |der: &[u8]| {
        certificate::parse(der)
            .unwrap()
            .tbs_certificate
            .as_ref()
            .to_vec()
    };
    assert_eq!(tbs(&leaf), tbs(&plain_leaf));
}

#[test]
fn an_authority_certifies_neither_its_own_key_nor_its_roots() {
    let key = KeyPair::generate().unwrap();
    let root = file_root(&key, |_| ()).unwrap();
    let mut rng = SeededRng::new(1);
    let ca = IssuingCa::new(&root, &trust_domain(), "a", DAY, now(), &mut rng).unwrap();
    let request = request_by(&key, &CertificateParams::default());
    let refused = ca.issue(
        &Leaf {
            issuance: &issuance(),
            dns_names: &[],
        },
        &request,
    );
    assert!(
        matches!(refused, Err(CaError::KeyOfAuthority)),
        "{refused:?}"
    );
}

#[test]
fn a_leaf_that_says_something_else_is_found() {
    let (_, ca) = authority();
    let request = request();
    let der = issue(&ca, &request);
    let issued = certificate::parse(&der).unwrap();
    let authority = certificate::parse(ca.certificate()).unwrap();
    let names = ["deploy.payments.internal".to_owned()];
    let differs = |issuance: &Issuance,
                   names: &[String],
                   request: &CertificateRequest,
                   until: u64| {
        let key_id = authority
            .iter_extensions()
            .find_map(|extension| match extension.parsed_extension() {
                x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
                _ => None,
            })
            .unwrap();
        let facts = leaf::AuthorityFacts {
            name: authority.subject().as_raw(),
            key_id,
            not_after: UnixTime::from_secs(until),
        };
        let leaf = Leaf {
            issuance,
            dns_names: names,
        };
        match leaf.check(&issued, &trust_domain(), request, &facts) {
            Ok(()) => None,
            Err(CaError::Differs { member }) => Some(member),
            Err(other) => panic!("{other:?}"),
        }
    };
    let meant = issuance();
    let with = |change: fn(&mut Issuance)| {
        let mut other = issuance();
        change(&mut other);
        differs(&other, &names, &request, T + DAY)
    };
    assert_eq!(differs(&meant, &names, &request, T + DAY), None);
    assert_eq!(
        with(|i| i.id = CredentialId::new(5, [1; 15])),
        Some("serial number")
    );
    assert_eq!(
        with(|i| i.issued_at = UnixTime::from_secs(T + 1)),
        Some("start")
    );
    assert_eq!(
        with(|i| i.expires_at = UnixTime::from_secs(T + 901)),
        Some("end")
    );
    assert_eq!(
        with(|i| i.workload = "payments/other".parse().unwrap()),
        Some("names")
    );
    assert_eq!(with(|i| i.task = None), Some("private extension"));
    assert_eq!(with(|i| i.ancestors.clear()), Some("private extension"));
    assert_eq!(differs(&meant, &[], &request, T + DAY), Some("names"));
    assert_eq!(
        differs(&meant, &names, &self::request(), T + DAY),
        Some("public key")
    );
    assert_eq!(differs(&meant, &names, &request, T + 899), Some("end"));
}

#[test]
fn a_name_that_no_certificate_can_carry_is_refused() {
    let (_, ca) = authority();
    let names = ["münchen.example".to_owned()];
    let refused = ca.issue(
        &Leaf {
            issuance: &issuance(),
            dns_names: &names,
        },
        &request(),
    );
    assert!(matches!(refused, Err(CaError::Encode(_))), "{refused:?}");
}

#[test]
fn the_intermediate_lives_no_longer_than_its_root_and_is_renewed_in_time() {
    let (_, ca) = authority();
    assert_eq!(ca.not_after().as_secs(), T + DAY);
    assert!(!ca.needs_renewal(UnixTime::from_secs(T + DAY / 2)));
    assert!(ca.needs_renewal(UnixTime::from_secs(T + DAY * 2 / 3)));
    let mut rng = SeededRng::new(4);
    let root = EphemeralRoot::generate(&trust_domain(), now(), &mut rng).unwrap();
    let long = IssuingCa::new(
        &root,
        &trust_domain(),
        &"ä".repeat(99),
        30 * DAY,
        now(),
        &mut rng,
    )
    .unwrap();
    assert_eq!(long.not_after().as_secs(), T + 7 * DAY);
    assert_ne!(long.id(), ca.id());
}

/// A root in PEM, changed as the test says.
fn root_pem(key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> String {
    let mut params = CertificateParams::default();
    params.not_before = certificate::date(UnixTime::from_secs(T - DAY)).unwrap();
    params.not_after = certificate::date(UnixTime::from_secs(T + 365 * DAY)).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    change(&mut params);
    params.self_signed(key).unwrap().pem()
}

fn file_root(
    key: &KeyPair,
    change: impl FnOnce(&mut CertificateParams),
) -> Result<FileRoot, CaError> {
    FileRoot::from_pem(
        &root_pem(key, change),
        &key.serialize_pem(),
        &trust_domain(),
        now(),
    )
}
