//! One certificate for each rule of the X509-SVID standard.

use dayfly_verifier::svid::{MAX_CERTIFICATE_BYTES, SvidError, check_issuer, identity_of};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

const ID: &str = "spiffe://prod.example/ns/payments";

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn good() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2036, 1, 1);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.subject_alt_names = vec![uri(ID)];
    params
}

fn good_issuer() -> CertificateParams {
    let mut params = good();
    params
        .distinguished_name
        .push(DnType::CommonName, "test CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.extended_key_usages = Vec::new();
    params.subject_alt_names = vec![uri("spiffe://prod.example")];
    params
}

fn der(params: CertificateParams) -> Vec<u8> {
    params
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap()
        .der()
        .to_vec()
}

fn leaf(change: impl FnOnce(&mut CertificateParams)) -> Result<String, SvidError> {
    let mut params = good();
    change(&mut params);
    identity_of(&der(params)).map(|id| id.to_string())
}

fn issuer(change: impl FnOnce(&mut CertificateParams)) -> Result<(), SvidError> {
    let mut params = good_issuer();
    change(&mut params);
    check_issuer(&der(params))
}

fn key_usage(critical: bool, bits: [u8; 2]) -> CustomExtension {
    let mut extension =
        CustomExtension::from_oid_content(&[2, 5, 29, 15], vec![3, 2, bits[0], bits[1]]);
    extension.set_criticality(critical);
    extension
}

#[test]
fn what_is_an_svid() {
    assert_eq!(leaf(|_| ()).as_deref(), Ok(ID));
    // DNS names may stand beside, a subject may be there, the extended key usage may be absent.
    assert!(
        leaf(|params| params
            .subject_alt_names
            .push(SanType::DnsName("a.example".try_into().unwrap())))
        .is_ok()
    );
    assert!(
        leaf(|params| params
            .distinguished_name
            .push(DnType::CommonName, "spiffe://evil.example/x"))
        .is_ok()
    );
    assert!(leaf(|params| params.extended_key_usages.clear()).is_ok());
    assert!(leaf(|params| params.key_usages.push(KeyUsagePurpose::KeyEncipherment)).is_ok());
}

#[test]
fn names() {
    for count in [0, 2, 32, 33, 40] {
        let refused = leaf(|params| {
            params.subject_alt_names = (0..count)
                .map(|number| uri(&format!("{ID}{number}")))
                .collect()
        });
        assert_eq!(
            refused,
            Err(SvidError::UriNames {
                count: count.min(33)
            }),
            "{count}"
        );
    }
    for other in [
        vec![uri(ID), uri(ID)],
        vec![uri("https://x.example"), uri(ID)],
        vec![uri(ID), uri("urn:x")],
    ] {
        assert_eq!(
            leaf(|params| params.subject_alt_names = other),
            Err(SvidError::UriNames { count: 2 })
        );
    }
    // Names of other kinds are no identity.
    let dns = vec![
        SanType::DnsName("prod.example".try_into().unwrap()),
        SanType::Rfc822Name("a@prod.example".try_into().unwrap()),
    ];
    assert_eq!(
        leaf(|params| params.subject_alt_names = dns),
        Err(SvidError::UriNames { count: 0 })
    );
    assert!(matches!(
        leaf(|params| params.subject_alt_names = vec![uri("spiffe://prod.example")]),
        Err(SvidError::Path { .. })
    ));
    for text in [
        "https://prod.example/ns/payments",
        "spiffe://",
        "spiffe:///x",
        "spiffe://prod.example/",
        "spiffe://prod.example/a/",
        "spiffe://prod.example//a",
        "spiffe://prod.example/../a",
        "spiffe://prod.example/./a",
        "spiffe://prod.example/a%2fb",
        "spiffe://prod.example:8443/a",
        "spiffe://u@prod.example/a",
        "spiffe://prod.example/a?b",
        "spiffe://prod.example/a#b",
        "spiffe://PROD.example/a",
        "SPIFFE://prod.example/a",
        "spiffe://prod.example/a b",
        " spiffe://prod.example/a",
        "spiffe:/prod.example/a",
    ] {
        let refused = leaf(|params| params.subject_alt_names = vec![uri(text)]);
        assert!(
            matches!(refused, Err(SvidError::Identity { .. })),
            "{text} {refused:?}"
        );
    }
}

#[test]
fn usages() {
    for ca in [
        IsCa::NoCa,
        IsCa::Ca(BasicConstraints::Unconstrained),
        IsCa::Ca(BasicConstraints::Constrained(0)),
    ] {
        assert_eq!(
            leaf(|params| params.is_ca = ca),
            Err(SvidError::BasicConstraints),
            "{ca:?}"
        );
    }
    use KeyUsagePurpose as Usage;
    for usages in [
        vec![],
        vec![Usage::KeyEncipherment],
        vec![Usage::DigitalSignature, Usage::KeyCertSign],
        vec![Usage::DigitalSignature, Usage::CrlSign],
    ] {
        assert_eq!(
            leaf(|params| params.key_usages = usages.clone()),
            Err(SvidError::KeyUsage),
            "{usages:?}"
        );
    }
    let by_hand = |critical| {
        leaf(|params| {
            params.key_usages.clear();
            params.custom_extensions = vec![key_usage(critical, [7, 0x80])];
        })
    };
    assert_eq!(by_hand(true).as_deref(), Ok(ID));
    assert_eq!(
        by_hand(false),
        Err(SvidError::KeyUsage),
        "key usage must be critical"
    );
    for purposes in [
        vec![ExtendedKeyUsagePurpose::ServerAuth],
        vec![ExtendedKeyUsagePurpose::ClientAuth],
        vec![ExtendedKeyUsagePurpose::CodeSigning],
        vec![ExtendedKeyUsagePurpose::Any],
    ] {
        assert_eq!(
            leaf(|params| params.extended_key_usages = purposes.clone()),
            Err(SvidError::ExtendedKeyUsage),
            "{purposes:?}"
        );
    }
}

#[test]
fn an_empty_subject_makes_the_names_critical() {
    // rcgen marks them so; by hand it can be left out.
    let content = |critical: bool| {
        let name = [&[0x86, ID.len() as u8][..], ID.as_bytes()].concat();
        let mut extension = CustomExtension::from_oid_content(
            &[2, 5, 29, 17],
            [&[0x30, name.len() as u8][..], &name].concat(),
        );
        extension.set_criticality(critical);
        extension
    };
    let with = |critical, subject: bool| {
        leaf(|params| {
            params.subject_alt_names.clear();
            params.custom_extensions = vec![content(critical)];
            if subject {
                params
                    .distinguished_name
                    .push(DnType::OrganizationName, "x");
            }
        })
    };
    assert_eq!(with(true, false).as_deref(), Ok(ID));
    assert_eq!(with(false, true).as_deref(), Ok(ID));
    assert_eq!(with(false, false), Err(SvidError::SubjectAlternativeName));
}

#[test]
fn extensions_twice() {
    let twice = leaf(|params| params.custom_extensions = vec![key_usage(true, [7, 0x80])]);
    assert!(
        matches!(twice, Err(SvidError::Encoding { .. })),
        "{twice:?}"
    );
}

#[test]
fn signing_certificates() {
    assert_eq!(issuer(|_| ()), Ok(()));
    assert_eq!(issuer(|params| params.subject_alt_names.clear()), Ok(()));
    assert_eq!(
        issuer(|params| params.is_ca = IsCa::ExplicitNoCa),
        Err(SvidError::BasicConstraints)
    );
    assert_eq!(
        issuer(|params| params.is_ca = IsCa::NoCa),
        Err(SvidError::BasicConstraints)
    );
    assert_eq!(
        issuer(|params| params.key_usages.clear()),
        Err(SvidError::KeyUsage)
    );
    assert_eq!(
        issuer(|params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]),
        Err(SvidError::KeyUsage)
    );
    assert!(matches!(
        issuer(|params| params.subject_alt_names = vec![uri(ID)]),
        Err(SvidError::Path { .. })
    ));
    // Neither passes for the other.
    assert!(check_issuer(&der(good())).is_err());
    assert!(identity_of(&der(good_issuer())).is_err());
}

#[test]
fn bytes_that_are_no_certificate() {
    let good = der(good());
    assert!(identity_of(&good).is_ok());
    let after = [&good[..], &[0]].concat();
    let twice = [&good[..], &good[..]].concat();
    for bytes in [
        &[][..],
        &[0x30],
        &good[..good.len() - 1],
        &good[1..],
        &after,
        &twice,
        b"-----BEGIN CERTIFICATE-----",
    ] {
        assert!(matches!(
            identity_of(bytes),
            Err(SvidError::Encoding { .. })
        ));
    }
    assert!(matches!(
        identity_of(&vec![0x30; MAX_CERTIFICATE_BYTES + 1]),
        Err(SvidError::TooLong { .. })
    ));
    // No flip of one bit panics.
    for at in 0..good.len() * 8 {
        let mut flipped = good.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        let _ = (identity_of(&flipped), check_issuer(&flipped));
    }
}

/// The files of go-spiffe, where they are at hand (`DAYFLY_VECTORS`).
#[test]
fn the_certificates_of_go_spiffe() {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;
    let Some(vectors) = std::env::var_os("DAYFLY_VECTORS") else {
        println!("skipped: DAYFLY_VECTORS is not set");
        return;
    };
    let folder = std::path::Path::new(&vectors).join("go-spiffe/svid/x509svid/testdata");
    let certificates = |file: &str| -> Vec<Vec<u8>> {
        let pem = std::fs::read(folder.join(file)).unwrap();
        CertificateDer::pem_slice_iter(&pem)
            .map(|certificate| certificate.unwrap().to_vec())
            .collect()
    };
    for good in ["good-leaf-only.pem", "good-leaf-and-intermediate.pem"] {
        let chain = certificates(good);
        assert!(
            identity_of(&chain[0]).is_ok(),
            "{good} {:?}",
            identity_of(&chain[0])
        );
        assert!(
            chain[1..].iter().all(|issuer| check_issuer(issuer).is_ok()),
            "{good}"
        );
    }
    for wrong in [
        "wrong-leaf-ca-true.pem",
        "wrong-leaf-cert-sign.pem",
        "wrong-leaf-crl-sign.pem",
        "wrong-leaf-empty-id.pem",
        "wrong-leaf-no-digital-signature.pem",
    ] {
        assert!(identity_of(&certificates(wrong)[0]).is_err(), "{wrong}");
    }
    for wrong in [
        "wrong-intermediate-no-ca.pem",
        "wrong-intermediate-no-key-cert-sign.pem",
    ] {
        assert!(
            certificates(wrong)[1..]
                .iter()
                .any(|issuer| check_issuer(issuer).is_err()),
            "{wrong}"
        );
    }
}
