use std::time::Duration;

use dayfly_lab::{
    BasicConstraintsKnob, CertificateKey, ExtendedKeyUsagePurpose, KeyUsageKnob, KeyUsagePurpose,
    SpiffeCa, Svid, SvidParams,
};
use dayfly_token::json;
use dayfly_verifier::svid;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

const ID: &str = "spiffe://prod.example/payments/deploy";

/// Path validation as rustls does it, against the one root.
fn path_leads_to(root: &[u8], svid: &Svid) -> Result<(), webpki::Error> {
    let root = CertificateDer::from(root);
    let anchor = anchor_from_trusted_cert(&root).unwrap();
    let chain: Vec<_> = svid
        .chain_der
        .iter()
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    let (leaf, intermediates) = chain.split_first().unwrap();
    EndEntityCert::try_from(leaf)?
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &[anchor],
            intermediates,
            UnixTime::since_unix_epoch(Duration::from_secs(super::now())),
            KeyUsage::client_auth(),
            None,
            None,
        )
        .map(drop)
}

fn params() -> SvidParams {
    SvidParams::new(ID, 600)
}

#[test]
fn a_proper_svid_follows_every_rule() {
    for ca in [
        SpiffeCa::new("prod.example").unwrap(),
        SpiffeCa::with_intermediate("prod.example").unwrap(),
    ] {
        let svid = ca
            .svid("/payments/deploy", Duration::from_secs(600))
            .unwrap();
        path_leads_to(ca.root_der(), &svid).unwrap();
        assert_eq!(svid::identity_of(svid.leaf_der()).unwrap().as_str(), ID);
        assert_eq!(svid.spiffe_id, ID);

        let (rest, leaf) = X509Certificate::from_der(svid.leaf_der()).unwrap();
        assert!(rest.is_empty());
        assert_eq!(leaf.subject().iter().count(), 0);
        let names = leaf.subject_alternative_name().unwrap().unwrap();
        assert!(names.critical, "an empty subject makes the names critical");
        assert!(matches!(
            names.value.general_names.as_slice(),
            [GeneralName::URI(ID)]
        ));
        let constraints = leaf.basic_constraints().unwrap().unwrap();
        assert!(constraints.critical && !constraints.value.ca);
        let usage = leaf.key_usage().unwrap().unwrap();
        assert!(usage.critical && usage.value.digital_signature());
        assert!(!usage.value.key_cert_sign() && !usage.value.crl_sign());
        let extended = leaf.extended_key_usage().unwrap().unwrap();
        assert!(extended.value.client_auth && extended.value.server_auth);
        let serial = leaf.raw_serial();
        assert!(serial.len() == 16 && serial[0] < 0x80, "{serial:?}");
        let life = leaf.validity().not_after.timestamp() - leaf.validity().not_before.timestamp();
        assert_eq!(life, 610);
        assert_eq!(svid.thumbprint(), dayfly_keys::sha256(svid.leaf_der()));
    }
}

#[test]
fn signing_certificates_are_cas_without_a_path() {
    let ca = SpiffeCa::with_intermediate("prod.example").unwrap();
    let svid = ca.svid("/a", Duration::from_secs(60)).unwrap();
    for der in [ca.root_der(), &svid.chain_der[1]] {
        svid::check_issuer(der).unwrap();
        let (_, certificate) = X509Certificate::from_der(der).unwrap();
        assert!(certificate.is_ca());
        assert!(
            certificate
                .key_usage()
                .unwrap()
                .unwrap()
                .value
                .key_cert_sign()
        );
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        assert!(matches!(
            names.value.general_names.as_slice(),
            [GeneralName::URI("spiffe://prod.example")]
        ));
    }
}

#[test]
fn keys_of_every_kind_sign() {
    let ca = SpiffeCa::new("prod.example").unwrap();
    for key in [
        CertificateKey::P256,
        CertificateKey::P384,
        CertificateKey::Ed25519,
        CertificateKey::Rsa2048,
    ] {
        let svid = ca.svid_with(&SvidParams { key, ..params() }).unwrap();
        path_leads_to(ca.root_der(), &svid).unwrap();
        svid::identity_of(svid.leaf_der()).unwrap();
        assert!(
            svid.key_pem.starts_with("-----BEGIN PRIVATE KEY-----"),
            "{key:?}"
        );
    }
}

/// Each of these is a fine certificate for webpki, or nearly, and no SVID.
#[test]
fn every_knob_makes_a_certificate_that_is_no_svid() {
    let ca = SpiffeCa::with_intermediate("prod.example").unwrap();
    let signer = KeyUsageKnob::Exactly(vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
    ]);
    let crl = KeyUsageKnob::Exactly(vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::CrlSign,
    ]);
    let agreement = KeyUsageKnob::Exactly(vec![KeyUsagePurpose::KeyAgreement]);
    let second = vec![ID.to_owned(), "spiffe://prod.example/admin".to_owned()];
    let cases = [
        (
            "several URIs",
            SvidParams {
                uris: second,
                ..params()
            },
        ),
        (
            "no URI",
            SvidParams {
                uris: vec![],
                dns_names: vec!["a.example".to_owned()],
                ..params()
            },
        ),
        (
            "another scheme",
            SvidParams {
                uris: vec!["https://prod.example/a".to_owned()],
                ..params()
            },
        ),
        (
            "no path",
            SvidParams {
                uris: vec!["spiffe://prod.example".to_owned()],
                ..params()
            },
        ),
        (
            "dot segment",
            SvidParams {
                uris: vec!["spiffe://prod.example/a/../b".to_owned()],
                ..params()
            },
        ),
        (
            "a CA",
            SvidParams {
                basic_constraints: BasicConstraintsKnob::Ca,
                ..params()
            },
        ),
        (
            "no key usage",
            SvidParams {
                key_usage: KeyUsageKnob::Absent,
                ..params()
            },
        ),
        (
            "key usage not critical",
            SvidParams {
                key_usage: KeyUsageKnob::NotCritical,
                ..params()
            },
        ),
        (
            "keyCertSign",
            SvidParams {
                key_usage: signer,
                ..params()
            },
        ),
        (
            "cRLSign",
            SvidParams {
                key_usage: crl,
                ..params()
            },
        ),
        (
            "no digitalSignature",
            SvidParams {
                key_usage: agreement,
                ..params()
            },
        ),
    ];
    for (what, params) in cases {
        let svid = ca.svid_with(&params).unwrap();
        assert!(svid::identity_of(svid.leaf_der()).is_err(), "{what}");
    }
}

#[test]
fn every_knob_of_the_path_breaks_the_path() {
    let ca = SpiffeCa::with_intermediate("prod.example").unwrap();
    let server_only = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let cases = [
        ("expired", params().expired()),
        ("not yet valid", params().not_yet_valid()),
        (
            "a purpose missing",
            SvidParams {
                extended_key_usage: server_only,
                ..params()
            },
        ),
        (
            "unknown critical extension",
            SvidParams {
                unknown_critical_extension: true,
                ..params()
            },
        ),
        (
            "no intermediate",
            SvidParams {
                leave_out_intermediate: true,
                ..params()
            },
        ),
    ];
    for (what, params) in cases {
        let svid = ca.svid_with(&params).unwrap();
        assert!(path_leads_to(ca.root_der(), &svid).is_err(), "{what}");
    }
    let svid = ca.svid_with(&params()).unwrap();
    path_leads_to(ca.root_der(), &svid).unwrap();
    assert!(path_leads_to(ca.root_der(), &svid.with_broken_signature()).is_err());
    let namesake = SpiffeCa::with_intermediate("prod.example").unwrap();
    assert!(
        path_leads_to(namesake.root_der(), &svid).is_err(),
        "another CA of the same name"
    );
    let below_leaf = ca.svid_signed_by(&svid, &params()).unwrap();
    assert_eq!(below_leaf.chain_der.len(), 3);
    assert!(
        path_leads_to(ca.root_der(), &below_leaf).is_err(),
        "a leaf is no CA"
    );
}

#[test]
fn the_bundle_holds_the_roots() {
    let ca = SpiffeCa::with_intermediate("prod.example").unwrap();
    let old = SpiffeCa::new("prod.example").unwrap();
    let bundle = json::object(ca.bundle_json().as_bytes()).unwrap();
    assert_eq!(bundle["spiffe_sequence"], 1);
    let entry = &bundle["keys"][0];
    assert_eq!(entry["use"], "x509-svid");
    assert!(
        entry.get("kid").is_none(),
        "an x509-svid entry must have none"
    );
    assert_eq!(entry["x5c"].as_array().unwrap().len(), 1);
    let (_, root) = X509Certificate::from_der(ca.root_der()).unwrap();
    let point = &root.public_key().subject_public_key.data;
    let coordinate =
        |name: &str| dayfly_token::base64url::decode(entry[name].as_str().unwrap()).unwrap();
    assert_eq!(&point[1..33], coordinate("x"));
    assert_eq!(&point[33..], coordinate("y"));

    let rotated = ca.bundle_document(2, &[&old]);
    assert_eq!(rotated["keys"].as_array().unwrap().len(), 2);
    assert_eq!(rotated["spiffe_sequence"], 2);
    assert_eq!(ca.bundle_pem().matches("BEGIN CERTIFICATE").count(), 1);
}

#[test]
fn names_that_are_none_are_refused() {
    assert!(SpiffeCa::new("Prod.Example").is_err());
    assert!(SpiffeCa::new("").is_err());
    let ca = SpiffeCa::new("prod.example").unwrap();
    for path in ["", "/", "/a/", "/a//b", "/a/../b", "/a%2fb", "/a b"] {
        assert!(ca.svid(path, Duration::from_secs(60)).is_err(), "{path:?}");
    }
    assert!(!format!("{:?}", ca.svid("/a", Duration::from_secs(60)).unwrap()).contains("PRIVATE"));
}
