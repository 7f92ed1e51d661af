use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CidrSubnet, GeneralSubtree, NameConstraints};
use serde_json::Value;

use super::*;

#[test]
fn roots_of_each_kind_sign_intermediates_that_peers_accept() {
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let root = file_root(&key, |_| ()).unwrap();
        let mut rng = SeededRng::new(1);
        let ca = IssuingCa::new(&root, &trust_domain(), "a", DAY, now(), &mut rng).unwrap();
        let leaf = issue(&ca, &request());
        let verified = verify_path(&leaf, ca.certificate(), root.certificate(), T);
        assert_eq!(verified, Ok(()), "{algorithm:?}");
    }
}

#[test]
fn what_is_no_root_for_this_issuer_is_refused_with_its_fault() {
    let key = KeyPair::generate().unwrap();
    let fault = |change: fn(&mut CertificateParams)| match file_root(&key, change) {
        Err(CaError::Root { fault }) => fault,
        Ok(_) => "none",
        Err(other) => panic!("{other:?}"),
    };
    let uri = |uri: &str| SanType::URI(uri.try_into().unwrap());
    assert_eq!(fault(|_| ()), "none");
    assert_eq!(fault(|p| p.is_ca = IsCa::ExplicitNoCa), "it is not a CA");
    assert_eq!(fault(|p| p.is_ca = IsCa::NoCa), "it is not a CA");
    assert!(
        fault(|p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0))).contains("path length")
    );
    assert_eq!(
        fault(|p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(1))),
        "none"
    );
    assert!(fault(|p| p.key_usages = vec![KeyUsagePurpose::CrlSign]).contains("key usage"));
    assert!(fault(|p| p.distinguished_name = rcgen::DistinguishedName::new()).contains("subject"));
    assert!(
        fault(|p| {
            let subnet = GeneralSubtree::IpAddress(CidrSubnet::V4([10, 0, 0, 0], [255, 0, 0, 0]));
            p.name_constraints = Some(NameConstraints {
                permitted_subtrees: vec![subnet],
                excluded_subtrees: vec![],
            });
        })
        .contains("name constraints")
    );
    let ended = |p: &mut CertificateParams| p.not_after = certificate::date(now()).unwrap();
    assert_eq!(fault(ended), "it is not valid now");
    let later = |p: &mut CertificateParams| {
        p.not_before = certificate::date(UnixTime::from_secs(T + 1)).unwrap();
    };
    assert_eq!(fault(later), "it is not valid now");
    let foreign = file_root(&key, |p| {
        p.subject_alt_names = vec![uri("spiffe://other.example")]
    });
    assert!(matches!(foreign, Err(CaError::Root { .. })));
    let workload = file_root(&key, |p| {
        p.subject_alt_names = vec![uri("spiffe://sts.example.org/a")]
    });
    assert!(matches!(workload, Err(CaError::Root { .. })));
    assert!(
        file_root(&key, |p| p.subject_alt_names =
            vec![uri("spiffe://sts.example.org")])
        .is_ok()
    );
}

#[test]
fn a_key_or_file_that_does_not_belong_is_refused() {
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let pem = root_pem(&key, |_| ());
    let read = |certificate: &str, key: &str| {
        FileRoot::from_pem(certificate, key, &trust_domain(), now())
            .err()
            .unwrap()
            .to_string()
    };
    assert!(read(&pem, &other.serialize_pem()).contains("not that of the certificate"));
    assert!(read(&format!("{pem}{pem}"), &key.serialize_pem()).contains("exactly one"));
    assert!(read("", &key.serialize_pem()).contains("exactly one"));
    assert!(read(&key.serialize_pem(), &key.serialize_pem()).contains("exactly one"));
    let refused = read(
        &pem,
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
    );
    assert_eq!(refused, CaError::RootKey.to_string());
    assert_eq!(read(&pem, "secret"), CaError::RootKey.to_string());
}

#[test]
fn the_bundle_says_the_roots_and_nothing_else() {
    let ec = KeyPair::generate().unwrap();
    let rsa = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let okp = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let roots: Vec<_> = [&ec, &rsa, &okp]
        .into_iter()
        .map(|key| file_root(key, |_| ()).unwrap())
        .collect();
    let ders: Vec<_> = roots.iter().map(RootKey::certificate).collect();
    let document: Value = serde_json::from_str(&bundle_document(&ders, 7, 300).unwrap()).unwrap();
    assert_eq!(
        (
            &document["spiffe_sequence"],
            &document["spiffe_refresh_hint"]
        ),
        (&json!(7), &json!(300))
    );
    let keys = document["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 3);
    for (entry, root) in keys.iter().zip(&roots) {
        assert_eq!(entry["use"], "x509-svid");
        assert_eq!(entry.get("kid"), None);
        let der = STANDARD.decode(entry["x5c"][0].as_str().unwrap()).unwrap();
        assert_eq!(der, root.certificate());
        assert_eq!(entry["x5c"].as_array().unwrap().len(), 1);
    }
    let point = dayfly_token::base64url::encode(&ec.public_key_raw()[1..33]);
    assert_eq!(
        (&keys[0]["crv"], &keys[0]["x"]),
        (&json!("P-256"), &json!(point))
    );
    assert_eq!(
        (&keys[1]["kty"], &keys[1]["e"]),
        (&json!("RSA"), &json!("AQAB"))
    );
    assert_eq!(
        keys[1]["n"].as_str().unwrap().len(),
        342,
        "2048 bits without a sign byte"
    );
    assert_eq!(
        (&keys[2]["kty"], &keys[2]["crv"]),
        (&json!("OKP"), &json!("Ed25519"))
    );
    assert!(bundle_document(&[b"rubbish"], 1, 1).is_err());
    let none: Value = serde_json::from_str(&bundle_document(&[], 1, 300).unwrap()).unwrap();
    assert_eq!(none["keys"], json!([]));
}

#[test]
fn instants_beyond_the_calendar_are_refused() {
    assert!(matches!(
        certificate::date(UnixTime::MAX),
        Err(CaError::Time { .. })
    ));
    assert!(certificate::date(UnixTime::from_secs(253_402_300_799)).is_ok());
    assert!(certificate::date(UnixTime::from_secs(253_402_300_800)).is_err());
}
