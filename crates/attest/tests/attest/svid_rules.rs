//! One chain for each rule of SPIFFE X509-SVID, each beside the good chain that differs in that rule alone.

use dayfly_policy::{Attribute, Method, Source};
use dayfly_token::UnixTime;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType,
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
