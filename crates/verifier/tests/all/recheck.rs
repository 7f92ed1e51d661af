//! Certificates after the handshake: revoked, cut off, stale, and bundles that change under open connections.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::{Router, routing};
use dayfly_token::feed::{Entry, FOREVER, Kind};
use dayfly_verifier::revocation::prefix;
use dayfly_verifier::testing::TestAuthority;
use dayfly_verifier::tls::client_config;
use dayfly_verifier::x509::{
    BundleError, CertificateRejectionCode as Code, CertificateVerifier, VerifiedCertificate,
};
use dayfly_verifier::{
    CredentialId, Freshness, PeerCertificate, RejectionCode, RevocationSource, Revocations,
    UnixTime, Verifier,
};
use hyper::client::conn::http1::{SendRequest, handshake};

use crate::certificates::{World, expected, peer_of, serve, verifier_of};
use crate::fixture::{AUDIENCE, ISSUER};
use crate::mint::{ANCESTOR, Authority, RULE, TASK, key_id, now};
use crate::pki::Identity;
use crate::tls::{Running, connect};

fn entry(kind: Kind, value: &str, before: UnixTime) -> Entry {
    Entry {
        prefix: prefix(kind, value),
        before,
        until: now().saturating_add(3600),
    }
}

fn following(authority: &Authority) -> CertificateVerifier {
    let certificates = CertificateVerifier::builder(authority.bundle())
        .revocation(RevocationSource::Follow)
        .build()
        .unwrap();
    certificates.revocations().heard(now());
    certificates
}

const SERIAL: &str = "QAEAAAAAAAAAAAAAAAAAAA";

/// A certificate with [`SERIAL`], issued at `issued_at`.
fn issued(authority: &Authority, issued_at: UnixTime) -> Identity {
    let id: CredentialId = SERIAL.parse().unwrap();
    authority.mint(issued_at, |leaf| leaf.id = id)
}

fn code(
    certificates: &CertificateVerifier,
    peer: &PeerCertificate,
    at: UnixTime,
) -> Result<VerifiedCertificate, Code> {
    certificates
        .recheck(peer, at)
        .map_err(|rejection| rejection.code())
}

#[tokio::test]
async fn everything_that_a_certificate_belongs_to_can_be_revoked() {
    let authority = Authority::new();
    let intermediate = key_id(&authority.intermediate);
    let root = key_id(&authority.root);
    let issued_at = now().saturating_sub(100);
    for (kind, value, other) in [
        (Kind::Credential, SERIAL, "QAIAAAAAAAAAAAAAAAAAAA"),
        (Kind::Credential, ANCESTOR, "QAAAAAAAAAAAAAAAAAAAAQ"),
        (Kind::Task, TASK, "payments/deploy-2"),
        (Kind::Rule, RULE, "gh-deploy-2"),
        (Kind::Workload, "payments/deploy", "payments/deploy-2"),
        (Kind::Owner, "payments", "billing"),
        (Kind::Key, intermediate.as_str(), "another"),
        (Kind::Key, root.as_str(), SERIAL),
    ] {
        for (value, before, dead) in [
            (other, FOREVER, false),
            (value, issued_at.saturating_sub(1), false),
            (value, issued_at, true),
            (value, issued_at.saturating_add(1), true),
        ] {
            let certificates = following(&authority);
            let peer = peer_of(&issued(&authority, issued_at));
            assert!(code(&certificates, &peer, now()).is_ok());
            let cut = entry(kind, value, before);
            certificates.revocations().merge(&[cut], now());
            let outcome = code(&certificates, &peer, now()).map(drop);
            let meant = if dead { Err(Code::Revoked) } else { Ok(()) };
            assert_eq!(outcome, meant, "{kind} {value} {before}");
        }
    }
}

/// In the handshake, for a client and for a server.
#[tokio::test]
async fn what_is_revoked_shakes_no_hands() {
    let authority = Authority::new();
    let certificates = following(&authority);
    let world = World::of(authority, certificates).await;
    let revoked = issued(&world.authority, now());
    world.accepts(revoked.again()).await;
    let cut = entry(Kind::Credential, SERIAL, FOREVER);
    world.certificates.revocations().merge(&[cut], now());
    world.refuses("revoked", revoked, Code::Revoked).await;
    // A workload that was cut off a minute ago, and is back with a new certificate.
    let old = world.authority.mint(now().saturating_sub(90), |_| ());
    world.accepts(old.again()).await;
    let cut = entry(Kind::Workload, "payments/deploy", now().saturating_sub(60));
    world.certificates.revocations().merge(&[cut], now());
    world.refuses("cut off", old, Code::Revoked).await;
    world.accepts(world.authority.good()).await;
}

#[tokio::test]
async fn how_old_the_knowledge_may_be() {
    let authority = Authority::new();
    let certificates = CertificateVerifier::builder(authority.bundle())
        .revocation(RevocationSource::Follow)
        .max_staleness_secs(100)
        .build()
        .unwrap();
    let world = World::of(Authority::new(), verifier_of(&authority)).await;
    let peer = peer_of(&authority.good());
    let start = now();
    let freshness = |at| code(&certificates, &peer, at).map(|verified| verified.freshness());
    assert_eq!(freshness(start), Err(Code::RevocationStale), "never heard");
    certificates.revocations().heard(start);
    for (age_secs, outcome) in [
        (0, Ok(Freshness::Fresh)),
        (15, Ok(Freshness::Fresh)),
        (16, Ok(Freshness::Stale { age_secs: 16 })),
        (100, Ok(Freshness::Stale { age_secs: 100 })),
        (101, Err(Code::RevocationStale)),
    ] {
        assert_eq!(freshness(start.saturating_add(age_secs)), outcome);
    }
    certificates.revocations().heard(start.saturating_add(61));
    assert_eq!(freshness(start), Err(Code::RevocationStale), "set back");
    // Nothing chosen but to follow nothing: said in each result.
    let none = verifier_of(&authority);
    let verified = code(&none, &peer, start).unwrap();
    assert_eq!(verified.freshness(), Freshness::Unknown);
    drop(world);
}

#[tokio::test]
async fn a_stale_end_shakes_no_hands() {
    let authority = Authority::new();
    let certificates = following(&authority);
    let world = World::of(authority, certificates).await;
    world.accepts(world.authority.good()).await;
    let deaf = CertificateVerifier::builder(world.authority.bundle())
        .revocation(RevocationSource::Follow)
        .build()
        .unwrap();
    deaf.revocations().heard(now().saturating_sub(3700));
    let running = serve(&deaf, world.authority.good(), names_of_nobody()).await;
    let client = |certificates: &CertificateVerifier| {
        let identity = Some(world.authority.good().server());
        client_config(identity, certificates.servers(expected())).unwrap()
    };
    let asked = crate::tls::get(running.address, client(&world.certificates), "/", "");
    assert!(asked.await.is_err(), "the server does not know");
    let dialled = connect(world.running.address, client(&deaf));
    assert!(dialled.await.is_err(), "the client does not know");
    deaf.revocations().heard(now());
    let asked = crate::tls::get(running.address, client(&world.certificates), "/", "");
    assert!(asked.await.unwrap().ends_with("hello"));
}

fn names_of_nobody() -> Router {
    Router::new().route("/", routing::get(|| async { "hello" }))
}

/// One feed for tokens and certificates, and one rule about its age.
#[test]
fn shared_with_the_verifier_of_tokens() {
    let authority = Authority::new();
    let tokens = |builder: dayfly_verifier::VerifierBuilder| {
        let verifier: Verifier = builder
            .revocation(RevocationSource::Follow)
            .build()
            .unwrap();
        let certificates = CertificateVerifier::sharing(&verifier, authority.bundle()).unwrap();
        (verifier, certificates)
    };
    let issuer = TestAuthority::from_seed(ISSUER, [1; 32]).unwrap();
    let (verifier, certificates) = tokens(issuer.verifier(AUDIENCE).max_staleness_secs(50));
    assert!(Arc::ptr_eq(
        verifier.revocations(),
        certificates.revocations()
    ));
    let peer = peer_of(&issued(&authority, now()));
    let at = now();
    assert_eq!(
        code(&certificates, &peer, at).map(drop),
        Err(Code::RevocationStale)
    );
    verifier.revocations().heard(at);
    for (age_secs, known) in [(0, true), (50, true), (51, false)] {
        let at = at.saturating_add(age_secs);
        assert_eq!(code(&certificates, &peer, at).is_ok(), known);
        assert_eq!(verifier.freshness(at).is_some(), known);
    }
    verifier.set_max_lifetime(300);
    assert_eq!(
        code(&certificates, &peer, at).map(drop),
        Err(Code::LifetimeTooLong)
    );
    verifier.set_max_lifetime(3600);
    assert!(code(&certificates, &peer, at).is_ok());
    let cut = entry(Kind::Credential, SERIAL, FOREVER);
    verifier.revocations().merge(&[cut], at);
    assert_eq!(code(&certificates, &peer, at).map(drop), Err(Code::Revoked));
    for name in [Code::Revoked, Code::RevocationStale, Code::LifetimeTooLong] {
        let same = |code: &RejectionCode| code.as_str() == name.as_str();
        assert!(RejectionCode::ALL.iter().any(same), "{name}");
    }
}

/// A server that looks again at each request.
async fn careful(certificates: &CertificateVerifier, identity: Identity) -> Running {
    let check = {
        let certificates = certificates.clone();
        move |request: Request| async move {
            let peer = request.extensions().get::<PeerCertificate>().unwrap();
            match certificates.recheck(peer, now()) {
                Ok(verified) => (StatusCode::OK, verified.spiffe_id().to_string()),
                Err(rejection) => (StatusCode::UNAUTHORIZED, rejection.code().to_string()),
            }
        }
    };
    let service = Router::new().route("/", routing::get(check));
    serve(certificates, identity, service).await
}

/// An open connection of a client, for one request after the other.
async fn open(
    running: &Running,
    certificates: &CertificateVerifier,
    client: Identity,
) -> std::io::Result<SendRequest<axum::body::Body>> {
    let servers = certificates.servers(expected());
    let config = client_config(Some(client.server()), servers).unwrap();
    let stream = connect(running.address, config).await?;
    let io = hyper_util::rt::TokioIo::new(stream);
    let (sender, connection) = handshake(io).await.unwrap();
    tokio::spawn(connection);
    Ok(sender)
}

async fn ask(sender: &mut SendRequest<axum::body::Body>) -> (u16, String) {
    sender.ready().await.unwrap();
    let request = http::Request::get("/").header("host", "localhost");
    let request = request.body(axum::body::Body::empty()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::Body::new(response.into_body());
    let body = axum::body::to_bytes(body, 1024).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn an_open_connection_is_refused_after_the_revocation() {
    let authority = Authority::new();
    let certificates = following(&authority);
    let running = careful(&certificates, authority.good()).await;
    let client = issued(&authority, now());
    let mut revoked = open(&running, &certificates, client).await.unwrap();
    let mut other = open(&running, &certificates, authority.good())
        .await
        .unwrap();
    for _ in 0..2 {
        assert_eq!(ask(&mut revoked).await.0, 200);
    }
    let cut = entry(Kind::Credential, SERIAL, FOREVER);
    certificates.revocations().merge(&[cut], now());
    let refused = (401, "revoked".to_owned());
    assert_eq!(ask(&mut revoked).await, refused);
    assert_eq!(ask(&mut other).await.0, 200);
    let cut = entry(Kind::Owner, "payments", FOREVER);
    certificates.revocations().merge(&[cut], now());
    assert_eq!(ask(&mut other).await, refused);
}

#[tokio::test]
async fn bundles_are_replaced_under_open_connections() {
    let (old, new) = (Authority::new(), Authority::new());
    let certificates = verifier_of(&old);
    let running = careful(&certificates, old.good()).await;
    // The clients trust both, so that only the server's choice is seen.
    let both = {
        let roots = [old.root_der(), new.root_der()];
        dayfly_verifier::x509::TrustBundle::from_der(&old.trust_domain, roots).unwrap()
    };
    let trusting = CertificateVerifier::builder(both.clone())
        .revocation(RevocationSource::None)
        .build()
        .unwrap();
    let answers = async |identity: Identity| match open(&running, &trusting, identity).await {
        // A client of TLS 1.3 learns with the first answer that it is refused.
        Ok(mut sender) => {
            let request = http::Request::get("/").header("host", "localhost");
            let request = request.body(axum::body::Body::empty()).unwrap();
            sender.send_request(request).await.is_ok()
        }
        Err(_) => false,
    };
    let mut connection = open(&running, &trusting, old.good()).await.unwrap();
    assert_eq!(ask(&mut connection).await.0, 200);
    assert!(answers(old.good()).await && !answers(new.good()).await);
    certificates.replace_bundle(both).unwrap();
    assert!(answers(old.good()).await && answers(new.good()).await);
    assert_eq!(ask(&mut connection).await.0, 200);
    certificates.replace_bundle(new.bundle()).unwrap();
    assert!(!answers(old.good()).await && answers(new.good()).await);
    // Not dropped, and no longer believed, although it was proven before.
    let refused = (401, "untrusted_chain".to_owned());
    assert_eq!(ask(&mut connection).await, refused);
    certificates.replace_bundle(old.bundle()).unwrap();
    assert_eq!(ask(&mut connection).await.0, 200);
    let empty = dayfly_verifier::x509::TrustBundle::parse(&old.trust_domain, b"{\"keys\":[]}");
    certificates.replace_bundle(empty.unwrap()).unwrap();
    let refused = (401, "untrusted_domain".to_owned());
    assert_eq!(ask(&mut connection).await, refused);
    assert!(!answers(old.good()).await && !answers(new.good()).await);
}

#[test]
fn bundles_never_go_back() {
    let (old, new) = (Authority::new(), Authority::new());
    let certificates = CertificateVerifier::builder(old.document(Some(4)))
        .revocation(RevocationSource::Bundle)
        .revocations(Arc::new(Revocations::new()))
        .build()
        .unwrap();
    certificates.revocations().heard(now());
    let trusts = |authority: &Authority| {
        let peer = peer_of(&authority.good());
        code(&certificates, &peer, now()).is_ok()
    };
    assert!(trusts(&old) && !trusts(&new));
    certificates.replace_bundle(new.document(Some(5))).unwrap();
    assert!(!trusts(&old) && trusts(&new));
    assert!(matches!(
        certificates.replace_bundle(old.document(Some(4))),
        Err(BundleError::Rollback {
            current: 5,
            found: 4
        })
    ));
    assert!(matches!(
        certificates.replace_bundle(old.document(None)),
        Err(BundleError::SequenceMissing { current: 5 })
    ));
    assert!(!trusts(&old) && trusts(&new));
    // An operator's own certificates may come in between, and do not make an older document good again.
    certificates.replace_bundle(new.bundle()).unwrap();
    assert!(certificates.replace_bundle(old.document(Some(4))).is_err());
    certificates.replace_bundle(new.document(Some(5))).unwrap();
    assert!(!trusts(&old) && trusts(&new));
}

/// What was proven with its intermediate stays proven without; and a tainted intermediate ends that.
#[test]
fn what_was_proven_is_remembered_with_its_signers() {
    let authority = Authority::new();
    let certificates = following(&authority);
    let whole = authority.good();
    let mut alone = whole.again();
    alone.chain.truncate(1);
    let (whole, alone) = (peer_of(&whole), peer_of(&alone));
    assert_eq!(
        code(&certificates, &alone, now()).map(drop),
        Err(Code::UntrustedChain)
    );
    assert!(code(&certificates, &whole, now()).is_ok());
    assert!(code(&certificates, &alone, now()).is_ok());
    let taint = entry(Kind::Key, &key_id(&authority.intermediate), FOREVER);
    certificates.revocations().merge(&[taint], now());
    for peer in [&whole, &alone] {
        assert_eq!(
            code(&certificates, peer, now()).map(drop),
            Err(Code::Revoked)
        );
    }
}
