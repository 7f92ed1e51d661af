//! The layer before tonic's own server, called by tonic's own client over loopback.

use std::time::Duration;

use dayfly_keys::Algorithm;
use dayfly_verifier::dpop::{Nonces, Policy};
use dayfly_verifier::testing::DpopKey;
use dayfly_verifier::tonic::{caller, caller_with_scope};
use dayfly_verifier::tower::{Metrics, RateLimit, RefusalCode, VerifierLayer};
use dayfly_verifier::{RevocationSource, Verifier};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Response, Status};

use crate::events::Recorder;
use crate::fixture::{AUDIENCE, Bench, NOW};

#[path = "../../examples/tonic/orders.rs"]
mod orders;

async fn place(request: Request<String>) -> Result<Response<String>, Status> {
    let caller = match request.get_ref().as_str() {
        "free" => caller(&request)?,
        _ => caller_with_scope(&request, "orders:write")?,
    };
    Ok(Response::new(caller.subject().to_owned()))
}

/// A server on loopback, and a channel to it. It ends with the test.
async fn serving(layer: VerifierLayer, limit: RateLimit) -> Channel {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder()
        .layer(layer)
        .layer(limit)
        .add_service(orders::OrdersServer::new(place));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect().await.unwrap()
}

fn layer(verifier: &Verifier) -> VerifierLayer {
    let layer = verifier.layer().clock(|| NOW).grpc();
    layer.resource_metadata("https://orders.internal/meta")
}

fn plenty() -> RateLimit {
    RateLimit::per_second(1000)
}

async fn call(channel: &Channel, what: &str, token: &str) -> Result<String, Status> {
    let mut request = Request::new(what.to_owned());
    if !token.is_empty() {
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    let answer = orders::place(channel, request).await;
    answer.map(Response::into_inner)
}

fn challenge_of(status: &Status) -> &str {
    let value = status.metadata().get("www-authenticate");
    value.map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn refusals_are_statuses() {
    let bench = Bench::new(Algorithm::EdDsa);
    let metrics = Metrics::new();
    let channel = serving(layer(&bench.verifier).count_in(&metrics), plenty()).await;
    let token = |scope| bench.authority.token(AUDIENCE).scope(scope);
    let (reader, writer) = (
        token("orders:read").mint(NOW).unwrap(),
        token("orders:write").mint(NOW).unwrap(),
    );
    let old = token("orders:write")
        .mint(NOW.saturating_sub(4000))
        .unwrap();
    let subject = "spiffe://test.example/tests/caller";
    assert_eq!(call(&channel, "pens", &writer).await.unwrap(), subject);
    assert_eq!(call(&channel, "free", &reader).await.unwrap(), subject);

    let metadata = "resource_metadata=\"https://orders.internal/meta\"";
    for (token, code, message, challenge) in [
        ("", Code::Unauthenticated, "no token", String::new()),
        (
            &*old,
            Code::Unauthenticated,
            "invalid_token",
            "error=\"invalid_token\",".to_owned(),
        ),
        (
            &*reader,
            Code::PermissionDenied,
            "insufficient_scope",
            "error=\"insufficient_scope\",scope=\"orders:write\",".to_owned(),
        ),
    ] {
        let status = call(&channel, "pens", token).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, message));
        assert_eq!(
            challenge_of(&status),
            format!("Bearer {challenge}{metadata}")
        );
    }
    let snapshot = metrics.snapshot();
    assert_eq!(snapshot.accepted(), 2);
    assert_eq!(snapshot.refused(RefusalCode::InsufficientScope), 1);
    assert_eq!(snapshot.refused(RefusalCode::TokenMissing), 1);
}

#[tokio::test]
async fn proofs_are_checked_and_missed_in_grpc() {
    let bench = Bench::new(Algorithm::EdDsa);
    let nonces = Nonces::new([3; 32]);
    let builder = bench.authority.verifier(AUDIENCE);
    let verifier = builder
        .dpop(Policy::new().require_nonce(nonces))
        .revocation(RevocationSource::None)
        .build()
        .unwrap();
    let with_proofs = layer(&verifier).base_url("https://orders.internal".parse().unwrap());
    let channel = serving(with_proofs, plenty()).await;
    let key = DpopKey::from_seed([5; 32]).unwrap();
    let token = bench.authority.token(AUDIENCE).scope("orders:read");
    let token = token.bound_to(&key.confirmation()).mint(NOW).unwrap();
    let call = async |what: &str, scheme: &str, proof: Option<String>| {
        let mut request = Request::new(what.to_owned());
        let metadata = request.metadata_mut();
        metadata.insert(
            "authorization",
            format!("{scheme} {token}").parse().unwrap(),
        );
        if let Some(proof) = proof {
            metadata.insert("dpop", proof.parse().unwrap());
        }
        orders::place(&channel, request).await
    };
    let proof = |method: &str, nonce: &str| {
        let uri = "https://orders.internal/shop.Orders/Place";
        let proof = key.proof(method, uri, &token).nonce(nonce).sign(NOW);
        Some(proof.unwrap())
    };
    let meta = "resource_metadata=\"https://orders.internal/meta\"";
    let algs = "algs=\"ES256 Ed25519 EdDSA\"";
    let challenges = |status: &Status| -> Vec<String> {
        let all = status.metadata().get_all("www-authenticate");
        all.iter()
            .map(|value| value.to_str().unwrap().to_owned())
            .collect()
    };

    let status = call("free", "DPoP", proof("POST", "old"))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unauthenticated, "use_dpop_nonce")
    );
    assert_eq!(
        challenges(&status),
        [format!("DPoP error=\"use_dpop_nonce\",{algs},{meta}")]
    );
    let nonce = status.metadata().get("dpop-nonce").unwrap();
    let nonce = nonce.to_str().unwrap().to_owned();

    let answer = call("free", "DPoP", proof("POST", &nonce)).await.unwrap();
    assert!(
        answer.metadata().contains_key("dpop-nonce"),
        "and the next one"
    );

    for (what, scheme, proof, code, error, both) in [
        (
            "free",
            "DPoP",
            proof("GET", &nonce),
            Code::Unauthenticated,
            "invalid_dpop_proof",
            false,
        ),
        (
            "free",
            "DPoP",
            None,
            Code::Unauthenticated,
            "invalid_dpop_proof",
            false,
        ),
        (
            "free",
            "Bearer",
            None,
            Code::Unauthenticated,
            "invalid_token",
            true,
        ),
        (
            "pens",
            "DPoP",
            proof("POST", &nonce),
            Code::PermissionDenied,
            "insufficient_scope",
            true,
        ),
    ] {
        let status = call(what, scheme, proof).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, error));
        let told = challenges(&status);
        let schemes: Vec<_> = told
            .iter()
            .filter_map(|told| told.split(' ').next())
            .collect();
        let expected: &[_] = if both { &["Bearer", "DPoP"] } else { &["DPoP"] };
        assert_eq!(schemes, expected, "{error}");
        assert!(
            told.iter()
                .all(|told| told.contains(error) && told.contains(meta)),
            "{told:?}"
        );
    }
}

#[tokio::test]
async fn those_who_should_wait_are_told_how_long() {
    let bench = Bench::new(Algorithm::EdDsa);
    let cut_off = serving(layer(&bench.following()), plenty()).await;
    let status = call(&cut_off, "free", &bench.good()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(
        status.metadata().get("grpc-retry-pushback-ms").unwrap(),
        "5000"
    );
    let retry_info = b"type.googleapis.com/google.rpc.RetryInfo";
    let details = status.details();
    assert!(
        details
            .windows(retry_info.len())
            .any(|found| found == retry_info)
    );
    assert_eq!(challenge_of(&status), "", "another token would not help");

    let limit = RateLimit::per_minute(1).clock(|| Duration::ZERO);
    let busy = serving(layer(&bench.verifier), limit).await;
    call(&busy, "free", &bench.good()).await.unwrap();
    let status = call(&busy, "free", &bench.good()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(
        status.metadata().get("grpc-retry-pushback-ms").unwrap(),
        "60000"
    );
}

#[tokio::test]
async fn events_name_the_method_and_the_status() {
    let bench = Bench::new(Algorithm::EdDsa);
    let recorder = Recorder::new();
    let channel = serving(layer(&bench.verifier), plenty()).await;
    call(&channel, "free", &bench.good()).await.unwrap();
    call(&channel, "pens", &bench.good()).await.unwrap_err();
    call(&channel, "pens", "a.b").await.unwrap_err();
    let events = recorder.taken();
    let found: Vec<_> = events
        .iter()
        .map(|event| {
            let field = |name| event.fields.get(name).map_or("-", String::as_str);
            [
                field("route"),
                field("outcome"),
                field("code"),
                field("status"),
                field("grpc_status"),
            ]
        })
        .collect();
    let route = "/shop.Orders/Place";
    assert_eq!(
        found,
        [
            [route, "accepted", "-", "200", "-"],
            [route, "refused", "insufficient_scope", "200", "7"],
            [route, "refused", "malformed", "200", "16"]
        ]
    );
}

#[test]
fn without_the_layer_a_method_stays_shut() {
    let request = Request::new("free".to_owned());
    assert_eq!(caller(&request).unwrap_err().code(), Code::Internal);
    let scoped = caller_with_scope(&request, "orders:write");
    assert_eq!(scoped.unwrap_err().code(), Code::Internal);
}
