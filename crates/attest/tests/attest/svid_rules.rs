//! One chain for each rule of SPIFFE X509-SVID, each beside the good chain that differs in that rule alone.

use dayfly_policy::{Attribute, Method, Source};
use dayfly_token::UnixTime;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose, SanType,
};

use crate::NOW;
use crate::ca::{
    Ca, TRUST_DOMAIN, WORKLOAD, attest_at, ca_params, extension, intermediate_params, leaf_params,
    outcome, trusting, uri,
};

#[tokio::test]
async fn positive_control() {
    let root = Ca::root(TRUST_DOMAIN);
    let leaf = root.svid();
    let principal = attest_at(trusting(&root), &[&leaf.der], NOW).await.unwrap();
    assert_eq!(principal.method, Method::X509Svid);
    assert_eq!(
        principal.source,
        Source::TrustDomain(TRUST_DOMAIN.parse().unwrap())
    );
    assert_eq!(principal.subject, WORKLOAD);
    assert_eq!(
        principal.attributes["spiffe_id"],
        Attribute::Text(WORKLOAD.to_owned())
    );
    assert_eq!(principal.expires_at.as_secs(), NOW.as_secs() + 3_600);
    assert_eq!(
        principal.issued_at,
        Some(UnixTime::from_secs(NOW.as_secs() - 600))
    );
    assert_eq!((principal.single_use, principal.issuer_url), (None, None));
    let proven = principal.peer.unwrap();
    assert_eq!(proven.thumbprint, dayfly_keys::sha256(&leaf.der));
    assert_eq!(proven.spiffe_id.unwrap().as_str(), WORKLOAD);
    assert_ne!(principal.digest, proven.thumbprint);
}

#[tokio::test]
async fn good_chains_are_accepted() {
    let root = Ca::root(TRUST_DOMAIN);
    let first = root.intermediate(intermediate_params("first"));
    let second = first.intermediate(intermediate_params("second"));
    let deep = second.svid();
    let chains: [&[&[u8]]; 3] = [
        &[&deep.der, &second.der(), &first.der()],
        &[&deep.der, &second.der(), &first.der(), &root.der()],
        &[&deep.der, &first.der(), &second.der()],
    ];
    for chain in chains {
        assert_eq!(outcome(trusting(&root), chain).await, "accepted");
    }
    // SPIRE's intermediates have the subject of their root.
    let like_root = root.intermediate(ca_params(TRUST_DOMAIN));
    let leaf = like_root.svid();
    assert_eq!(
        outcome(trusting(&root), &[&leaf.der, &like_root.der()]).await,
        "accepted"
    );
    let variants: [fn(&mut CertificateParams); 4] = [
        |params| params.extended_key_usages.clear(),
        |params| params.distinguished_name = rcgen::DistinguishedName::new(),
        |params| {
            let dns = SanType::DnsName("deploy.internal".try_into().unwrap());
            params.subject_alt_names.push(dns);
        },
        |params| params.key_usages.push(KeyUsagePurpose::KeyEncipherment),
    ];
    for vary in variants {
        let mut params = leaf_params(WORKLOAD);
        vary(&mut params);
        let leaf = root.issue(&params);
        assert_eq!(outcome(trusting(&root), &[&leaf.der]).await, "accepted");
    }
}

/// A good leaf's parameters, changed.
pub(crate) type Change = fn(&mut CertificateParams);

#[tokio::test]
async fn rules_of_the_leaf() {
    let changes: &[(&str, Change)] = &[
        ("no URI", |params| params.subject_alt_names.clear()),
        ("DNS name only", |params| {
            params.subject_alt_names = vec![SanType::DnsName("prod.example".try_into().unwrap())];
        }),
        ("two URIs", |params| {
            params
                .subject_alt_names
                .push(uri("spiffe://prod.example/other"));
        }),
        ("the same URI twice", |params| {
            params.subject_alt_names.push(uri(WORKLOAD));
        }),
        ("a second, other URI", |params| {
            params
                .subject_alt_names
                .insert(0, uri("https://prod.example/x"));
        }),
        ("33 URIs", |params| {
            params.subject_alt_names = (0..33)
                .map(|n| uri(&format!("spiffe://prod.example/{n}")))
                .collect();
        }),
        ("CA", |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }),
        ("no basic constraints", |params| params.is_ca = IsCa::NoCa),
        ("no key usage", |params| params.key_usages.clear()),
        ("no digital signature", |params| {
            params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
        }),
        ("certificate signing", |params| {
            params.key_usages.push(KeyUsagePurpose::KeyCertSign);
        }),
        ("CRL signing", |params| {
            params.key_usages.push(KeyUsagePurpose::CrlSign);
        }),
        ("key usage not critical", |params| {
            params.key_usages.clear();
            params
                .custom_extensions
                .push(extension(&[2, 5, 29, 15], vec![3, 2, 7, 0x80], false));
        }),
        ("client authentication only", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }),
        ("server authentication only", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }),
        ("other key purpose", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        }),
        ("empty subject, names not critical", |params| {
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.subject_alt_names.clear();
            let mut names = vec![0x30, 2 + WORKLOAD.len() as u8, 0x86, WORKLOAD.len() as u8];
            names.extend_from_slice(WORKLOAD.as_bytes());
            params
                .custom_extensions
                .push(extension(&[2, 5, 29, 17], names, false));
        }),
        ("names twice", |params| {
            let mut names = vec![0x30, 2 + WORKLOAD.len() as u8, 0x86, WORKLOAD.len() as u8];
            names.extend_from_slice(WORKLOAD.as_bytes());
            params
                .custom_extensions
                .push(extension(&[2, 5, 29, 17], names, false));
        }),
    ];
    let root = Ca::root(TRUST_DOMAIN);
    assert_eq!(
        outcome(trusting(&root), &[&root.svid().der]).await,
        "accepted"
    );
    for (name, change) in changes {
        let mut params = leaf_params(WORKLOAD);
        change(&mut params);
        let leaf = root.issue(&params);
        assert_eq!(
            outcome(trusting(&root), &[&leaf.der]).await,
            "not_an_svid",
            "{name}"
        );
    }
}

#[tokio::test]
async fn only_strict_spiffe_ids() {
    let root = Ca::root(TRUST_DOMAIN);
    for id in [
        "spiffe://prod.example",
        "spiffe://prod.example/",
        "spiffe://prod.example/a/",
        "spiffe://prod.example//a",
        "spiffe://prod.example/a/../b",
        "spiffe://prod.example/./a",
        "spiffe://prod.example/a%2fb",
        "spiffe://prod.example/%2e%2e",
        "spiffe://prod.example:443/a",
        "spiffe://user@prod.example/a",
        "spiffe://prod.example/a?b",
        "spiffe://prod.example/a#b",
        "spiffe://PROD.example/a",
        "SPIFFE://prod.example/a",
        "spiffe:///a",
        "https://prod.example/a",
        "prod.example/a",
        "spiffe://prod.example/a b",
        "spiffe://prod.example/a\n",
        "spiffe://prod.example/a\0",
    ] {
        let leaf = root.issue(&leaf_params(id));
        assert_eq!(
            outcome(trusting(&root), &[&leaf.der]).await,
            "not_an_svid",
            "{id:?}"
        );
    }
}

/// A general name: its tag and its bytes.
type Name<'a> = (u8, &'a [u8]);

/// A subject alternative name extension with these general names.
fn alternative_names(names: &[Name<'_>]) -> CustomExtension {
    let mut content = Vec::new();
    for (tag, name) in names {
        content.extend_from_slice(&[*tag, u8::try_from(name.len()).unwrap()]);
        content.extend_from_slice(name);
    }
    let mut sequence = vec![0x30, u8::try_from(content.len()).unwrap()];
    sequence.append(&mut content);
    extension(&[2, 5, 29, 17], sequence, true)
}

#[tokio::test]
async fn other_names_are_no_identity() {
    const URI: u8 = 0x86;
    const EMAIL: u8 = 0x81;
    const DNS: u8 = 0x82;
    const ADDRESS: u8 = 0x87;
    let id = WORKLOAD.as_bytes();
    // otherName { 1.2.3, [0] UTF8String WORKLOAD }
    let length = id.len() as u8;
    let mut other = vec![0x06, 0x02, 0x2a, 0x03, 0xa0, 2 + length, 0x0c, length];
    other.extend_from_slice(id);
    let other = (0xa0, other.as_slice());
    let cases: &[(&[Name<'_>], &str)] = &[
        (&[(URI, id)], "accepted"),
        (
            &[
                other,
                (EMAIL, b"a@prod.example"),
                (ADDRESS, &[10, 0, 0, 1]),
                (DNS, b"a.internal"),
                (URI, id),
            ],
            "accepted",
        ),
        (&[other], "not_an_svid"),
        (&[(EMAIL, id)], "not_an_svid"),
        (&[(DNS, id)], "not_an_svid"),
        (&[(ADDRESS, &[10, 0, 0, 1])], "not_an_svid"),
        (&[(URI, id), (URI, b"\xff\xfe")], "not_an_svid"),
        (&[(URI, b"\xff\xfe"), (URI, id)], "not_an_svid"),
        (&[(URI, id), (URI, b"")], "not_an_svid"),
        (&[(URI, b"spiffe://prod.example/\xc3\xa9")], "not_an_svid"),
        (&[(0x30, id), (URI, id)], "not_an_svid"),
        (&[], "not_an_svid"),
    ];
    let root = Ca::root(TRUST_DOMAIN);
    for (names, expected) in cases {
        let mut params = leaf_params(WORKLOAD);
        params.subject_alt_names.clear();
        params.custom_extensions.push(alternative_names(names));
        let leaf = root.issue(&params);
        assert_eq!(
            outcome(trusting(&root), &[&leaf.der]).await,
            *expected,
            "{names:?}"
        );
    }
}
