//! Leaves of every wrong kind, from a client and from a server.

use dayfly_verifier::x509::CertificateRejectionCode as Code;
use rcgen::{
    BasicConstraints, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, SerialNumber,
};
use rustls_pki_types::CertificateDer;

use crate::certificates::World;
use crate::mint::{ID, Leaf, TTL_SECS, now, uri};

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
