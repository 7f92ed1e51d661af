//! Certificates of a dayfly issuer in real TLS 1.3 handshakes, on either side.

use std::sync::Arc;

use axum::extract::Request;
use axum::{Router, routing};
use dayfly_verifier::tls::{ExpectedServers, client_config, server_config};
use dayfly_verifier::x509::{
    BundleError, CertificateRejection, CertificateRejectionCode as Code, CertificateVerifier,
    claims_of,
};
use dayfly_verifier::{PeerCertificate, RevocationSource, UnixTime};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SerialNumber,
};
use rustls::client::Resumption;
use rustls::{CertificateError, HandshakeKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::mint::{
    Authority, ID, Leaf, RULE, TASK, TRUST_DOMAIN, TTL_SECS, issuer_below, key_id, now,
    signing_params, uri,
};
use crate::pki::Identity;
use crate::tls::{Running, connect, get, quick, start_with};

pub const SERVER: &str = "spiffe://sts.example.org/payments/deploy";

/// An authority, what both ends know of it, and a server that shows one of its certificates.
pub struct World {
    pub authority: Authority,
    pub certificates: CertificateVerifier,
    pub running: Running,
}

pub fn verifier_of(authority: &Authority) -> CertificateVerifier {
    CertificateVerifier::builder(authority.bundle())
        .revocation(RevocationSource::None)
        .build()
        .unwrap()
}

pub fn expected() -> ExpectedServers {
    ExpectedServers::id(SERVER.parse().unwrap())
}

/// A server that shows `identity` and wants client certificates that `certificates` accepts.
pub async fn serve(
    certificates: &CertificateVerifier,
    identity: Identity,
    service: Router,
) -> Running {
    let clients = certificates.required_clients();
    let config = Arc::new(server_config(identity.server(), Some(clients)).unwrap());
    start_with(
        move || Arc::clone(&config),
        |server| server.limits(quick()),
        service,
    )
    .await
}

pub fn names() -> Router {
    let name = |request: Request| async move {
        match request.extensions().get::<PeerCertificate>() {
            Some(peer) => peer.spiffe_id().unwrap().to_string(),
            None => "nobody".to_owned(),
        }
    };
    Router::new().route("/", routing::get(name))
}

pub fn peer_of(identity: &Identity) -> PeerCertificate {
    let id = dayfly_verifier::svid::identity_of(&identity.chain[0]).ok();
    PeerCertificate::new(identity.chain_der(), id).unwrap()
}

impl World {
    pub async fn new() -> Self {
        let authority = Authority::new();
        let certificates = verifier_of(&authority);
        Self::of(authority, certificates).await
    }

    pub async fn of(authority: Authority, certificates: CertificateVerifier) -> Self {
        let running = serve(&certificates, authority.good(), names()).await;
        Self {
            authority,
            certificates,
            running,
        }
    }

    /// What the client's request brings, over a handshake of its own.
    pub async fn ask(&self, client: Identity) -> std::io::Result<String> {
        let servers = self.certificates.servers(expected());
        let config = client_config(Some(client.server()), servers).unwrap();
        get(self.running.address, config, "/", "").await
    }

    #[track_caller]
    pub fn code(&self, identity: &Identity, at: UnixTime) -> Result<(), Code> {
        let recheck = self.certificates.recheck(&peer_of(identity), at);
        recheck.map(drop).map_err(|rejection| rejection.code())
    }

    pub async fn accepts(&self, client: Identity) {
        assert_eq!(self.code(&client, now()), Ok(()));
        let answer = self.ask(client).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with(ID),
            "{answer}"
        );
    }

    /// Refused for that reason: from a client by the server, from a server by the client.
    pub async fn refuses(&self, what: &str, identity: Identity, code: Code) {
        let at = now();
        assert_eq!(self.code(&identity, at), Err(code), "{what}");
        let servers = self.certificates.servers(expected());
        let rejection = servers.recheck(&peer_of(&identity), at).unwrap_err();
        assert_eq!(rejection.code(), code, "{what}");
        // The positive control, with the other halves of both handshakes as they are.
        self.accepts(self.authority.good()).await;
        assert!(self.ask(identity.again()).await.is_err(), "{what}");
        let running = serve(&self.certificates, identity, names()).await;
        let client = self.authority.good().server();
        let config = client_config(Some(client), servers).unwrap();
        let error = connect(running.address, config).await.unwrap_err();
        assert!(invalid_certificate(&error).is_some(), "{what}: {error}");
    }
}

fn invalid_certificate(error: &std::io::Error) -> Option<&CertificateError> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::InvalidCertificate(error) => Some(error),
        _ => None,
    }
}

#[tokio::test]
async fn both_ends_know_each_other() {
    let world = World::new().await;
    world.accepts(world.authority.good()).await;
    let issued_at = now().saturating_sub(10);
    let identity = world.authority.mint(issued_at, |_| ());
    let verified = world
        .certificates
        .recheck(&peer_of(&identity), now())
        .unwrap();
    assert_eq!(verified.spiffe_id().as_str(), ID);
    assert_eq!(verified.workload().to_string(), "payments/deploy");
    assert_eq!(verified.task(), Some(TASK));
    assert_eq!((verified.rule(), verified.environment()), (RULE, "prod"));
    assert_eq!(verified.ancestors().len(), 1);
    assert_eq!(verified.issued_at(), issued_at);
    assert_eq!(verified.expires_at(), issued_at.saturating_add(TTL_SECS));
    assert_eq!(verified.kid(), key_id(&world.authority.intermediate));
    assert_eq!(verified.freshness(), dayfly_verifier::Freshness::Unknown);
    let (_, leaf) = x509_parser::parse_x509_certificate(&identity.chain[0]).unwrap();
    assert_eq!(leaf.raw_serial(), verified.serial().as_bytes());
    assert_eq!(claims_of(&identity.chain[0]).unwrap().iat, issued_at);
    assert!(!format!("{verified:?}").contains(TASK));
}

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
    let cases: [Case; 7] = [
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
    ];
    for (what, change, client, server) in cases {
        let authority = Authority::new().with_intermediate(change);
        let certificates = verifier_of(&authority);
        let peer = peer_of(&authority.good());
        // In this order: what one end was proven for counts for nothing at the other.
        let servers = certificates.servers(expected());
        let outcomes = (
            servers.recheck(&peer, now()).is_ok(),
            certificates.recheck(&peer, now()).is_ok(),
        );
        assert_eq!(outcomes, (server, client), "{what}");
    }
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
            "a serial number with a sign byte",
            |leaf| leaf.params.serial_number = Some(SerialNumber::from_slice(&[0xc0; 16])),
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
    for count in [6, 10, 11] {
        world
            .refuses("too many", filled(count), Code::ChainTooLong)
            .await;
    }
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

#[tokio::test]
async fn a_client_means_certain_servers() {
    let world = World::new().await;
    let id = |text: &str| ExpectedServers::id(text.parse().unwrap());
    let owner = |name: &str| ExpectedServers::owner(name.parse().unwrap());
    let other = "spiffe://sts.example.org/payments/other";
    for (expected, met) in [
        (id(SERVER), true),
        (id(other), false),
        (id("spiffe://sts.example.org/payments/deploy2"), false),
        (id("spiffe://prod.example.org/payments/deploy"), false),
        (id(other).or_id(SERVER.parse().unwrap()), true),
        (owner("payments"), true),
        (owner("payment"), false),
        (owner("billing"), false),
        (owner("billing").or_owner("payments".parse().unwrap()), true),
        (id(other).or_owner("payments".parse().unwrap()), true),
    ] {
        let what = format!("{expected:?}");
        let servers = world.certificates.servers(expected);
        let server = peer_of(&world.authority.good());
        let recheck = servers.recheck(&server, now());
        let code = recheck
            .map(drop)
            .map_err(|rejection: CertificateRejection| rejection.code());
        let client = world.authority.good().server();
        let config = client_config(Some(client), servers).unwrap();
        match connect(world.running.address, config).await {
            Ok(_) => assert!(met && code.is_ok(), "{what}"),
            Err(error) => {
                assert!(!met, "{what} {error}");
                assert_eq!(code, Err(Code::UnexpectedServer));
                let error = invalid_certificate(&error);
                assert_eq!(error, Some(&CertificateError::NotValidForName));
            }
        }
    }
}

/// The name that was dialled is not the identity: a server with the right name and another ID is refused.
#[tokio::test]
async fn a_name_is_no_identity() {
    let world = World::new().await;
    let named = world.authority.mint(now(), |leaf| {
        let localhost = rcgen::SanType::DnsName("localhost".try_into().unwrap());
        let other = uri("spiffe://sts.example.org/payments/other");
        leaf.params.subject_alt_names = vec![other, localhost];
    });
    let running = serve(&world.certificates, named, names()).await;
    for (expected, met) in [
        (expected(), false),
        (ExpectedServers::owner("payments".parse().unwrap()), true),
    ] {
        let servers = world.certificates.servers(expected);
        let client = world.authority.good().server();
        let config = client_config(Some(client), servers).unwrap();
        assert_eq!(connect(running.address, config).await.is_ok(), met);
    }
}

#[tokio::test]
async fn with_and_without_a_client_certificate() {
    let world = World::new().await;
    let anonymous = || client_config(None, world.certificates.servers(expected())).unwrap();
    assert!(
        get(world.running.address, anonymous(), "/", "")
            .await
            .is_err(),
        "required"
    );
    let clients = world.certificates.optional_clients();
    let config = server_config(world.authority.good().server(), Some(clients)).unwrap();
    let config = Arc::new(config);
    let running = start_with(move || Arc::clone(&config), |server| server, names()).await;
    let answer = get(running.address, anonymous(), "/", "").await.unwrap();
    assert!(answer.ends_with("nobody"), "{answer}");
    let shows = |identity: Identity| {
        let servers = world.certificates.servers(expected());
        client_config(Some(identity.server()), servers).unwrap()
    };
    let ours = get(running.address, shows(world.authority.good()), "/", "").await;
    assert!(ours.unwrap().ends_with(ID));
    let theirs = get(running.address, shows(Authority::new().good()), "/", "").await;
    assert!(
        theirs.is_err(),
        "shown and bad is not the same as not shown"
    );
}

/// THREATS: a resumed session skips the verifier, on either side.
#[tokio::test]
async fn nothing_is_resumed() {
    let world = World::new().await;
    let servers = || world.certificates.servers(expected());
    let client = || Some(world.authority.good().server());
    // A client that would like to, at our server.
    let mut eager = client_config(client(), servers()).unwrap();
    eager.resumption = Resumption::in_memory_sessions(16);
    // Our client, at a server that offers it.
    let clients = world.certificates.required_clients();
    let mut generous = server_config(world.authority.good().server(), Some(clients)).unwrap();
    generous.send_tls13_tickets = 2;
    generous.session_storage = rustls::server::ServerSessionMemoryCache::new(16);
    let generous = Arc::new(generous);
    let offering = start_with(move || Arc::clone(&generous), |server| server, names()).await;
    let ours = client_config(client(), servers()).unwrap();
    for (address, config) in [(world.running.address, &eager), (offering.address, &ours)] {
        for _ in 0..3 {
            let kind = handshake_kind(address, config.clone()).await;
            assert_eq!(kind, HandshakeKind::Full);
        }
    }
    // The control: these two would resume.
    let mut kinds = Vec::new();
    for _ in 0..2 {
        kinds.push(handshake_kind(offering.address, eager.clone()).await);
    }
    assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
}

async fn handshake_kind(
    address: std::net::SocketAddr,
    config: rustls::ClientConfig,
) -> HandshakeKind {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = connect(address, config).await.unwrap();
    let request = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    stream.get_ref().1.handshake_kind().unwrap()
}

#[test]
fn a_verifier_is_built_on_purpose() {
    let authority = Authority::new();
    let builder = || CertificateVerifier::builder(authority.bundle());
    assert!(builder().build().is_err(), "nothing said about revocations");
    let unlimited = builder().revocation(RevocationSource::None);
    assert!(unlimited.max_lifetime_secs(0).build().is_err());
    // A root of another trust domain in our bundle is a mistake, or worse.
    let foreign = Authority::of("prod.example.org");
    let mixed = || {
        let roots = [authority.root_der(), foreign.root_der()];
        dayfly_verifier::x509::TrustBundle::from_der(&authority.trust_domain, roots).unwrap()
    };
    let refused = CertificateVerifier::builder(mixed())
        .revocation(RevocationSource::None)
        .build();
    assert!(refused.is_err());
    let certificates = verifier_of(&authority);
    assert!(matches!(
        certificates.replace_bundle(mixed()),
        Err(BundleError::Foreign { index: 1, .. })
    ));
    assert!(matches!(
        certificates.replace_bundle(foreign.bundle()),
        Err(BundleError::TrustDomain { .. })
    ));
    assert_eq!(certificates.trust_domain().as_str(), TRUST_DOMAIN);
}
