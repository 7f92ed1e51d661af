//! Chains of every wrong kind, from a client and from a server.

use dayfly_verifier::x509::CertificateRejectionCode as Code;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::certificates::{World, expected, peer_of, verifier_of};
use crate::mint::{Authority, ID, Leaf, TRUST_DOMAIN, issuer_below, now, signing_params, uri};
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
