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
use rustls::client::Resumption;
use rustls::{CertificateError, HandshakeKind};

use crate::mint::{Authority, ID, RULE, TASK, TRUST_DOMAIN, TTL_SECS, key_id, now, uri};
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
