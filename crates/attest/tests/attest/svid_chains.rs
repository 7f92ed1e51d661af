//! Rules about the path from an SVID to its trust domain, and about who presents it.

use dayfly_attest::{Evidence, OidcIssuers, TrustBundles};
use dayfly_token::UnixTime;
use rcgen::{BasicConstraints, CustomExtension, IsCa, KeyUsagePurpose};

use crate::ca::{
    Ca, TRUST_DOMAIN, WORKLOAD, attest_at, bundle_of, ca_params, extension, instant,
    intermediate_params, leaf_params, outcome, outcome_at, peer, trusting, uri,
};
use crate::svid_rules::Change;
use crate::{NOW, attestor};

#[tokio::test]
async fn bundles_are_never_pooled() {
    let (ours, theirs) = (Ca::root(TRUST_DOMAIN), Ca::root("partner.example"));
    let both = || {
        TrustBundles::load(vec![
            bundle_of(TRUST_DOMAIN, &[&ours]),
            bundle_of("partner.example", &[&theirs]),
        ])
        .unwrap()
    };
    assert_eq!(outcome(both(), &[&ours.svid().der]).await, "accepted");
    // Their CA signs our name, with our root in the chain or without it, and the other way round.
    let forged = theirs.svid();
    assert_eq!(outcome(both(), &[&forged.der]).await, "untrusted_chain");
    assert_eq!(
        outcome(both(), &[&forged.der, &theirs.der()]).await,
        "untrusted_chain"
    );
    assert_eq!(
        outcome(both(), &[&forged.der, &theirs.der(), &ours.der()]).await,
        "untrusted_chain"
    );
    let stray = ours.issue(&leaf_params("spiffe://partner.example/a"));
    assert_eq!(outcome(both(), &[&stray.der]).await, "untrusted_chain");
    // Same subject, other key.
    let twin = Ca::root(TRUST_DOMAIN);
    assert_eq!(
        outcome(both(), &[&twin.svid().der]).await,
        "untrusted_chain"
    );
    let nobody = Ca::root("nobody.example");
    let stranger = nobody.issue(&leaf_params("spiffe://nobody.example/a"));
    assert_eq!(
        outcome(both(), &[&stranger.der]).await,
        "unknown_trust_domain"
    );
}

#[tokio::test]
async fn intermediates_are_cas() {
    let root = Ca::root(TRUST_DOMAIN);
    let changes: &[(&str, Change)] = &[
        ("not a CA", |params| params.is_ca = IsCa::ExplicitNoCa),
        ("no basic constraints", |params| params.is_ca = IsCa::NoCa),
        ("cannot sign certificates", |params| {
            params.key_usages = vec![KeyUsagePurpose::CrlSign];
        }),
        ("no key usage", |params| params.key_usages.clear()),
        ("names a workload", |params| {
            params.subject_alt_names = vec![uri(WORKLOAD)];
        }),
        ("two names", |params| {
            params.subject_alt_names.push(uri("spiffe://prod.example"));
        }),
    ];
    let good = root.intermediate(intermediate_params("middle"));
    assert_eq!(
        outcome(trusting(&root), &[&good.svid().der, &good.der()]).await,
        "accepted"
    );
    for (name, change) in changes {
        let mut params = intermediate_params("middle");
        change(&mut params);
        let bad = root.intermediate(params);
        let leaf = bad.svid();
        assert_eq!(
            outcome(trusting(&root), &[&leaf.der, &bad.der()]).await,
            "untrusted_chain",
            "{name}"
        );
        // Not even beside a good chain that does not need it.
        assert_eq!(
            outcome(trusting(&root), &[&root.svid().der, &bad.der()]).await,
            "untrusted_chain",
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_leaf_signs_nothing_and_a_ca_does_not_log_in() {
    let root = Ca::root(TRUST_DOMAIN);
    let signing_leaf = root.intermediate(leaf_params("spiffe://prod.example/evil"));
    let forged = signing_leaf.svid();
    assert_eq!(
        outcome(trusting(&root), &[&forged.der, &signing_leaf.der()]).await,
        "untrusted_chain"
    );
    let self_signed = Ca::self_signed(leaf_params(WORKLOAD));
    assert_eq!(
        outcome(trusting(&root), &[&self_signed.der()]).await,
        "untrusted_chain"
    );
    assert_eq!(
        outcome(trusting(&root), &[&root.der()]).await,
        "not_an_svid"
    );
}

#[tokio::test]
async fn depth_is_limited() {
    let root = Ca::root(TRUST_DOMAIN);
    let mut chain = vec![root.intermediate(intermediate_params("level 0"))];
    for level in 1..5 {
        let next = chain[level - 1].intermediate(intermediate_params(&format!("level {level}")));
        chain.push(next);
    }
    for (levels, expected) in [(1, "accepted"), (4, "accepted"), (5, "chain_too_long")] {
        let leaf = chain[levels - 1].svid();
        let ders: Vec<Vec<u8>> = chain[..levels].iter().rev().map(Ca::der).collect();
        let mut presented: Vec<&[u8]> = vec![&leaf.der];
        presented.extend(ders.iter().map(Vec::as_slice));
        assert_eq!(
            outcome(trusting(&root), &presented).await,
            expected,
            "{levels}"
        );
    }
    // Many certificates of one subject make many paths.
    let same: Vec<Vec<u8>> = (0..3)
        .map(|_| root.intermediate(intermediate_params("same")).der())
        .collect();
    let leaf = root.svid();
    assert_eq!(
        outcome(trusting(&root), &[&leaf.der, &same[0], &same[1], &same[2]]).await,
        "chain_too_long"
    );
}

#[tokio::test]
async fn path_lengths_are_kept() {
    let limited = |name: &str, length: u8| {
        let mut params = intermediate_params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(length));
        params
    };
    let root = Ca::self_signed(limited("root", 0));
    assert_eq!(
        outcome(trusting(&root), &[&root.svid().der]).await,
        "accepted"
    );
    let middle = root.intermediate(intermediate_params("middle"));
    assert_eq!(
        outcome(trusting(&root), &[&middle.svid().der, &middle.der()]).await,
        "untrusted_chain",
        "the authority's own limit"
    );
    let root = Ca::root(TRUST_DOMAIN);
    let first = root.intermediate(limited("first", 0));
    assert_eq!(
        outcome(trusting(&root), &[&first.svid().der, &first.der()]).await,
        "accepted"
    );
    let second = first.intermediate(intermediate_params("second"));
    assert_eq!(
        outcome(
            trusting(&root),
            &[&second.svid().der, &second.der(), &first.der()]
        )
        .await,
        "untrusted_chain"
    );
}

#[tokio::test]
async fn every_certificate_has_its_time() {
    let at = |secs: u64| UnixTime::from_secs(secs);
    let root = Ca::root(TRUST_DOMAIN);
    let mut params = leaf_params(WORKLOAD);
    params.not_before = instant(NOW.as_secs());
    params.not_after = instant(NOW.as_secs() + 60);
    let leaf = root.issue(&params);
    for (now, expected) in [
        (NOW.as_secs() - 1, "not_yet_valid"),
        (NOW.as_secs(), "accepted"),
        (NOW.as_secs() + 60, "accepted"),
        (NOW.as_secs() + 61, "expired"),
        (0, "not_yet_valid"),
        (u64::MAX, "expired"),
    ] {
        assert_eq!(
            outcome_at(trusting(&root), &[&leaf.der], at(now)).await,
            expected,
            "{now}"
        );
    }
    let mut params = intermediate_params("short");
    params.not_after = instant(NOW.as_secs() + 30);
    let short = root.intermediate(params);
    let leaf = short.svid();
    let chain: &[&[u8]] = &[&leaf.der, &short.der()];
    let principal = attest_at(trusting(&root), chain, NOW).await.unwrap();
    assert_eq!(
        principal.expires_at,
        at(NOW.as_secs() + 30),
        "the path ends before the leaf"
    );
    assert_eq!(
        outcome_at(trusting(&root), chain, at(NOW.as_secs() + 31)).await,
        "expired"
    );
    let mut params = ca_params(TRUST_DOMAIN);
    params.not_after = instant(NOW.as_secs() - 1);
    let old = Ca::self_signed(params);
    assert_eq!(
        outcome(trusting(&old), &[&old.svid().der]).await,
        "untrusted_chain"
    );
}

#[tokio::test]
async fn a_flipped_bit_is_noticed() {
    let root = Ca::root(TRUST_DOMAIN);
    let leaf = root.svid();
    assert_eq!(outcome(trusting(&root), &[&leaf.der]).await, "accepted");
    for position in [40, leaf.der.len() / 2, leaf.der.len() - 3] {
        let mut forged = leaf.der.clone();
        forged[position] ^= 1;
        assert_ne!(
            outcome(trusting(&root), &[&forged]).await,
            "accepted",
            "{position}"
        );
    }
    let mut longer = leaf.der.clone();
    longer.push(0);
    assert_eq!(outcome(trusting(&root), &[&longer]).await, "not_an_svid");
    assert_eq!(outcome(trusting(&root), &[&[]]).await, "not_an_svid");
    assert_eq!(
        outcome(trusting(&root), &[&leaf.der, b"junk"]).await,
        "untrusted_chain"
    );
}

#[tokio::test]
async fn the_client_id_is_the_certificates() {
    let root = Ca::root(TRUST_DOMAIN);
    let attestor = attestor(trusting(&root), OidcIssuers::default());
    let peer = peer(&[&root.svid().der]);
    for client_id in [
        "",
        "spiffe://prod.example/ns/payments/deplo",
        "spiffe://prod.example/ns/payments/deploy/",
        "spiffe://prod.example/ns/payments/Deploy",
        "spiffe://prod.example",
        "deploy",
        "*",
    ] {
        let evidence = Evidence::X509Svid {
            peer: &peer,
            client_id,
        };
        let refused = attestor.attest(evidence, NOW).await.unwrap_err();
        assert_eq!(refused.code(), "client_id_mismatch", "{client_id}");
        assert!(!refused.is_unavailable());
    }
}

#[tokio::test]
async fn another_signature_of_the_ca_is_the_same_evidence() {
    let root = Ca::root(TRUST_DOMAIN);
    let key = rcgen::KeyPair::generate().unwrap();
    let digest_of = async |der: Vec<u8>| {
        let principal = attest_at(trusting(&root), &[&der], NOW).await.unwrap();
        (principal.digest, principal.peer.unwrap().thumbprint)
    };
    // ECDSA as the CA does it is randomised: two signatures over the same certificate.
    let params = leaf_params(WORKLOAD);
    let (first, second) = (root.sign_for(&params, &key), root.sign_for(&params, &key));
    let (first, second) = (digest_of(first).await, digest_of(second).await);
    assert_eq!(first.0, second.0);
    assert_ne!(first.1, second.1);
}

/// permittedSubtrees { uniformResourceIdentifier "prod.example" }
fn uri_constraint() -> CustomExtension {
    let host = TRUST_DOMAIN.as_bytes();
    let length = host.len() as u8;
    let mut content = vec![
        0x30,
        6 + length,
        0xa0,
        4 + length,
        0x30,
        2 + length,
        0x86,
        length,
    ];
    content.extend_from_slice(host);
    extension(&[2, 5, 29, 30], content, true)
}

#[tokio::test]
async fn name_constraints_on_uris_fail_closed() {
    let root = Ca::root(TRUST_DOMAIN);
    let mut params = intermediate_params("constrained");
    params.custom_extensions.push(uri_constraint());
    let constrained = root.intermediate(params);
    assert_eq!(
        outcome(
            trusting(&root),
            &[&constrained.svid().der, &constrained.der()]
        )
        .await,
        "untrusted_chain"
    );
}

#[tokio::test]
async fn certificates_of_one_authority_do_not_lend_each_other_their_limits() {
    // One key, one name: a certificate that is over, and one in force that may not sign such names.
    let mut over = ca_params(TRUST_DOMAIN);
    over.not_after = instant(NOW.as_secs() - 1);
    let over = Ca::self_signed(over);
    let mut constrained = ca_params(TRUST_DOMAIN);
    constrained.custom_extensions.push(uri_constraint());
    let constrained = over.again(constrained);
    let both = TrustBundles::load(vec![bundle_of(TRUST_DOMAIN, &[&over, &constrained])]).unwrap();
    assert_eq!(outcome(both, &[&over.svid().der]).await, "untrusted_chain");
    let in_force = over.again(ca_params(TRUST_DOMAIN));
    let both = TrustBundles::load(vec![bundle_of(TRUST_DOMAIN, &[&over, &in_force])]).unwrap();
    assert_eq!(outcome(both, &[&over.svid().der]).await, "accepted");
}

#[tokio::test]
async fn nothing_stands_behind_the_last_field() {
    // A zero byte within the outermost sequence: the signature covers none of it.
    let longer = |der: &[u8]| {
        let length = u16::from_be_bytes([der[2], der[3]]) + 1;
        let mut longer = vec![der[0], der[1]];
        longer.extend_from_slice(&length.to_be_bytes());
        longer.extend_from_slice(&der[4..]);
        longer.push(0);
        longer
    };
    let root = Ca::root(TRUST_DOMAIN);
    let middle = root.intermediate(intermediate_params("middle"));
    let leaf = middle.svid();
    assert_eq!(leaf.der[..2], [0x30, 0x82], "a length of two bytes");
    let good: &[&[u8]] = &[&leaf.der, &middle.der()];
    assert_eq!(outcome(trusting(&root), good).await, "accepted");
    for chain in [
        [longer(&leaf.der), middle.der()],
        [leaf.der.clone(), longer(&middle.der())],
    ] {
        assert_eq!(
            outcome(trusting(&root), &[&chain[0], &chain[1]]).await,
            "untrusted_chain"
        );
    }
}
