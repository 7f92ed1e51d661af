//! Leaves and chains of every wrong kind, from a client and from a server.

use dayfly_verifier::x509::CertificateRejectionCode as Code;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::certificates::{World, expected, peer_of, verifier_of};
use crate::mint::{
    Authority, ID, Leaf, TRUST_DOMAIN, TTL_SECS, issuer_below, now, signing_params, uri,
};
use crate::pki::Identity;

#[tokio::test]
async fn certificates_of_others() {
    let world = World::new().await;
    let stranger = Authority::new();
    let foreign = Authority::of("prod.example.org");
    for (what, identity, code) in [
        (
            "the same names under another root",
            stranger.good(),
            Code::UntrustedChain,
        ),
        (
            "another trust domain",
            foreign.good(),
            Code::UntrustedDomain,
        ),
        (
            "another trust domain under our root",
            world.authority.mint(now(), |leaf| {
                leaf.params.subject_alt_names = vec![uri("spiffe://prod.example.org/payments/x")];
            }),
            Code::UntrustedDomain,
        ),
        (
            "our trust domain under another's root",
            foreign.mint(now(), |leaf| leaf.params.subject_alt_names = vec![uri(ID)]),
            Code::UntrustedChain,
        ),
        (
            "an intermediate of another trust domain under our root",
            {
                let params = signing_params("theirs", "prod.example.org", 0);
                let theirs = issuer_below(&world.authority.root, params);
                below(&theirs, |_| ())
            },
            Code::UntrustedChain,
        ),
        (
            "the intermediate left out",
            {
                let mut alone = world.authority.good();
                alone.chain.truncate(1);
                alone
            },
            Code::UntrustedChain,
        ),
        (
            "a leaf that signs",
            {
                let signer = world.authority.good();
                let params = CertificateParams::default();
                let key = KeyPair::try_from(signer.key.secret_der()).unwrap();
                let issuer = rcgen::Issuer::new(params, key);
                let leaf = below_issuer(&issuer, signer.chain[0].clone());
                leaf.with_more([world.authority.intermediate.der().clone()])
            },
            Code::UntrustedChain,
        ),
    ] {
        world.refuses(what, identity, code).await;
    }
}

fn below(
    issuer: &rcgen::CertifiedIssuer<'static, KeyPair>,
    change: impl FnOnce(&mut Leaf),
) -> Identity {
    let mut leaf = Leaf::new(&TRUST_DOMAIN.parse().unwrap(), now());
    change(&mut leaf);
    signed(leaf, issuer, issuer.der().clone())
}

fn below_issuer(
    issuer: &rcgen::Issuer<'_, KeyPair>,
    certificate: CertificateDer<'static>,
) -> Identity {
    signed(
        Leaf::new(&TRUST_DOMAIN.parse().unwrap(), now()),
        issuer,
        certificate,
    )
}

fn signed(
    leaf: Leaf,
    issuer: &rcgen::Issuer<'_, KeyPair>,
    certificate: CertificateDer<'static>,
) -> Identity {
    let key = KeyPair::generate().unwrap();
    let der = leaf.finish().signed_by(&key, issuer).unwrap();
    Identity {
        chain: vec![der.der().clone(), certificate],
        key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
    }
}

#[tokio::test]
async fn intermediates_that_are_none() {
    type Case = (&'static str, fn(&mut CertificateParams), bool, bool);
    let cases: [Case; 8] = [
        ("as it should be", |_| (), true, true),
        (
            "without a trust domain",
            |params| params.subject_alt_names.clear(),
            true,
            true,
        ),
        (
            "of a workload",
            |params| params.subject_alt_names = vec![uri(ID)],
            false,
            false,
        ),
        (
            "no CA",
            |params| params.is_ca = IsCa::ExplicitNoCa,
            false,
            false,
        ),
        (
            "may not sign",
            |params| params.key_usages = vec![rcgen::KeyUsagePurpose::CrlSign],
            false,
            false,
        ),
        (
            "ended",
            |params| params.not_after = crate::mint::date(now().saturating_sub(1)),
            false,
            false,
        ),
        (
            "for servers only",
            |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
            false,
            true,
        ),
        (
            "for clients only",
            |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
            true,
            false,
        ),
    ];
    for (what, change, client, server) in cases {
        let authority = Authority::new().with_intermediate(change);
        let certificates = verifier_of(&authority);
        let peer = peer_of(&authority.good());
        let servers = certificates.servers(expected());
        // Twice: what one end was proven for counts for nothing at the other.
        for _ in 0..2 {
            let outcomes = (
                certificates.recheck(&peer, now()).is_ok(),
                servers.recheck(&peer, now()).is_ok(),
            );
            assert_eq!(outcomes, (client, server), "{what}");
        }
    }
}

#[test]
fn a_path_is_as_short_lived_as_its_certificates() {
    let start = now();
    let soon = crate::mint::date(start.saturating_add(100));
    let short_intermediate = Authority::new().with_intermediate(|params| params.not_after = soon);
    let short_root = Authority::with_root(TRUST_DOMAIN, |params| params.not_after = soon);
    for (authority, code) in [
        (short_intermediate, Code::Expired),
        // webpki knows no end of an authority; there is no other path then.
        (short_root, Code::UntrustedChain),
    ] {
        let certificates = verifier_of(&authority);
        let peer = peer_of(&authority.good());
        for (after, outcome) in [(0, Ok(())), (100, Ok(())), (101, Err(code))] {
            let recheck = certificates.recheck(&peer, start.saturating_add(after));
            let found = recheck.map(drop).map_err(|rejection| rejection.code());
            assert_eq!(found, outcome, "{after}");
        }
    }
    let no_room = Authority::with_root(TRUST_DOMAIN, |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
    let refused = verifier_of(&no_room).recheck(&peer_of(&no_room.good()), now());
    assert_eq!(refused.unwrap_err().code(), Code::UntrustedChain);
}

/// One change of a good leaf, and what it must lead to.
type Case = (&'static str, fn(&mut Leaf), Code);

#[tokio::test]
async fn leaves_that_are_none() {
    let world = World::new().await;
    let cases: [Case; 12] = [
        (
            "a CA as leaf",
            |leaf| leaf.params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            Code::BadLeaf,
        ),
        (
            "no basic constraints",
            |leaf| leaf.params.is_ca = IsCa::NoCa,
            Code::BadLeaf,
        ),
        (
            "two URI names",
            |leaf| leaf.params.subject_alt_names.push(uri(ID)),
            Code::BadLeaf,
        ),
        (
            "no names",
            |leaf| leaf.params.subject_alt_names.clear(),
            Code::BadLeaf,
        ),
        (
            "a common name only",
            |leaf| {
                leaf.params.subject_alt_names.clear();
                leaf.params.distinguished_name.push(DnType::CommonName, ID);
            },
            Code::BadLeaf,
        ),
        (
            "no path",
            |leaf| leaf.params.subject_alt_names = vec![uri("spiffe://sts.example.org")],
            Code::BadLeaf,
        ),
        (
            "not owner/workload",
            |leaf| leaf.params.subject_alt_names = vec![uri("spiffe://sts.example.org/ns/a/sa/b")],
            Code::BadLeaf,
        ),
        (
            "no extended key usage",
            |leaf| leaf.params.extended_key_usages.clear(),
            Code::BadLeaf,
        ),
        (
            "client authentication only",
            |leaf| leaf.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
            Code::BadLeaf,
        ),
        (
            "no key usage",
            |leaf| leaf.params.key_usages.clear(),
            Code::BadLeaf,
        ),
        (
            "a short serial number",
            |leaf| leaf.params.serial_number = Some(SerialNumber::from(7_u64)),
            Code::BadLeaf,
        ),
        (
            "a serial number of another form",
            |leaf| leaf.params.serial_number = Some(SerialNumber::from_slice(&[0x20; 16])),
            Code::BadLeaf,
        ),
    ];
    for (what, change, code) in cases {
        let identity = world.authority.mint(now(), change);
        world.refuses(what, identity, code).await;
    }
}

#[tokio::test]
async fn extensions_that_say_nothing() {
    let world = World::new().await;
    let cases: [Case; 9] = [
        (
            "none",
            |leaf| leaf.extensions = Some(vec![]),
            Code::MissingExtension,
        ),
        (
            "under another number",
            |leaf| {
                leaf.extensions = Some(vec![]);
                let content = leaf.claims.to_der();
                let other = CustomExtension::from_oid_content(&[2, 25, 7], content);
                leaf.params.custom_extensions.push(other);
            },
            Code::MissingExtension,
        ),
        (
            "twice",
            |leaf| leaf.extensions = Some(vec![leaf.claims.to_der(); 2]),
            Code::BadExtension,
        ),
        (
            "empty",
            |leaf| leaf.extensions = Some(vec![vec![]]),
            Code::BadExtension,
        ),
        (
            "no DER",
            |leaf| leaf.extensions = Some(vec![b"{}".to_vec()]),
            Code::BadExtension,
        ),
        (
            "no claims",
            |leaf| leaf.extensions = Some(vec![vec![0x0c, 2, b'{', b'}']]),
            Code::BadExtension,
        ),
        (
            "five ancestors",
            |leaf| leaf.claims.dfy.anc = vec!["a".to_owned(); 5],
            Code::BadExtension,
        ),
        (
            "issued before its validity",
            |leaf| leaf.claims.iat = now().saturating_sub(31),
            Code::BadExtension,
        ),
        (
            "issued later than any issuer says, and so after every cut-off",
            |leaf| leaf.claims.iat = now().saturating_add(31),
            Code::BadExtension,
        ),
    ];
    for (what, change, code) in cases {
        let identity = world.authority.mint(now(), change);
        world.refuses(what, identity, code).await;
    }
}

#[tokio::test]
async fn times() {
    let world = World::new().await;
    let (early, late) = (now().saturating_sub(TTL_SECS + 5), now().saturating_add(60));
    world
        .refuses(
            "expired",
            world.authority.mint(early, |_| ()),
            Code::Expired,
        )
        .await;
    world
        .refuses(
            "not yet valid",
            world.authority.mint(late, |_| ()),
            Code::NotYetValid,
        )
        .await;
    let long_lived = |secs: u64| {
        let until = now().saturating_add(secs);
        world.authority.mint(now(), |leaf| {
            leaf.params.not_after = crate::mint::date(until);
        })
    };
    world.accepts(long_lived(3600)).await;
    world
        .refuses("an hour and more", long_lived(3660), Code::LifetimeTooLong)
        .await;
    let ends_before_it_is_issued = world.authority.mint(now(), |leaf| {
        leaf.params.not_after = crate::mint::date(now().saturating_sub(1));
    });
    let at = now().saturating_sub(10);
    assert_eq!(
        world.code(&ends_before_it_is_issued, at),
        Err(Code::BadExtension)
    );
    // To the second, both ends included, of what was proven before and of what was not.
    let issued_at = now();
    for known in [true, false] {
        let edges = world.authority.mint(issued_at, |_| ());
        if known {
            assert_eq!(world.code(&edges, issued_at), Ok(()));
        }
        for (at, outcome) in [
            (issued_at.saturating_sub(31), Err(Code::NotYetValid)),
            (issued_at.saturating_sub(30), Ok(())),
            (issued_at.saturating_add(TTL_SECS), Ok(())),
            (issued_at.saturating_add(TTL_SECS + 1), Err(Code::Expired)),
        ] {
            assert_eq!(world.code(&edges, at), outcome, "{known} {at}");
        }
    }
}

#[tokio::test]
async fn chains_that_are_too_much() {
    let world = World::new().await;
    let good = world.authority.good();
    let root = world.authority.root.der().clone();
    let with_root = good.again().with_more([root.clone()]);
    world.accepts(with_root).await;
    // Each with a leaf of its own: one that was proven before is known.
    let filled = |count: usize| {
        let fresh = world.authority.good();
        let more = count - fresh.chain.len();
        fresh.with_more(vec![root.clone(); more])
    };
    // Five have four intermediates, of which three with one subject.
    for count in [5, 6, 10, 11] {
        world
            .refuses("too many", filled(count), Code::ChainTooLong)
            .await;
    }
    // And one that is known brings no more than ten either.
    let known = |count: usize| good.again().with_more(vec![root.clone(); count - 2]);
    assert_eq!(world.code(&known(10), now()), Ok(()));
    assert_eq!(world.code(&known(11), now()), Err(Code::ChainTooLong));
    let padded = world.authority.mint(now(), |leaf| {
        let padding = CustomExtension::from_oid_content(&[2, 25, 7], vec![5; 16 * 1024]);
        leaf.params.custom_extensions.push(padding);
    });
    assert!(padded.chain[0].len() > 16 * 1024);
    world
        .refuses("an oversized leaf", padded, Code::TooLarge)
        .await;
    let large = CertificateDer::from(vec![0x30; 16 * 1024 + 1]);
    world
        .refuses(
            "an oversized companion",
            good.again().with_more([large]),
            Code::TooLarge,
        )
        .await;
    let garbage = CertificateDer::from(vec![0x30, 0]);
    world
        .refuses(
            "a companion that is none",
            world.authority.good().with_more([garbage]),
            Code::UntrustedChain,
        )
        .await;
}

#[tokio::test]
async fn no_bit_of_a_leaf_can_be_changed() {
    let world = World::new().await;
    let good = world.authority.good();
    assert_eq!(world.code(&good, now()), Ok(()));
    for at in 0..good.chain[0].len() {
        let mut changed = good.again();
        let mut der = changed.chain[0].to_vec();
        der[at] ^= 1 << (at % 8);
        changed.chain[0] = CertificateDer::from(der);
        assert!(world.code(&changed, now()).is_err(), "{at}");
    }
}
