//! Attacks on what stands around the verifier: another's identity, and what strangers can write into the log.

use axum::body::Body;
use axum::{Router, routing};
use dayfly_keys::Algorithm;
use dayfly_token::feed::{Entry, FOREVER, Kind};
use dayfly_verifier::axum::Caller;
use dayfly_verifier::revocation::prefix;
use dayfly_verifier::testing::DpopKey;
use dayfly_verifier::tower::Gate;
use dayfly_verifier::{PeerCertificate, Verified, Verifier, Verifiers};
use http::header::AUTHORIZATION;
use http::{Request, Response};
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;

use crate::events::{Event, Recorder};
use crate::fixture::{AUDIENCE, Bench, NOW};

/// A byte of each kind that could end a line or steer a terminal.
const POISON: &str = "a\n\r\u{1b}[31m\0\u{7f}\u{85}\u{2028}\"\\x";
const ID: &str = "QAAAAAAAAAAAAAAAAAAAAA";

async fn whoami(Caller(caller): Caller) -> String {
    caller.subject().to_owned()
}

fn api(gate: Gate) -> Router {
    let layer = dayfly_verifier::tower::VerifierLayer::from(gate.clock(|| NOW));
    Router::new().route("/", routing::any(whoami)).layer(layer)
}

fn request(authorization: &[&str]) -> Request<Body> {
    let mut request = Request::builder().uri("/");
    for value in authorization {
        request = request.header(AUTHORIZATION, *value);
    }
    request.body(Body::empty()).unwrap()
}

async fn status(api: &Router, request: Request<Body>) -> u16 {
    let response: Response<Body> = api.clone().oneshot(request).await.unwrap();
    response.status().as_u16()
}

/// The one event of a call.
async fn recorded(recorder: &Recorder, api: &Router, token: &str) -> Event {
    status(api, request(&[&format!("Bearer {token}")])).await;
    let [event] = &recorder.taken()[..] else {
        panic!("one event for each call")
    };
    event.clone()
}

fn revoking(bench: &Bench) -> Verifier {
    let verifier = bench.following();
    let entry = Entry {
        prefix: prefix(Kind::Credential, ID),
        before: FOREVER,
        until: FOREVER,
    };
    verifier.revocations().merge(&[entry], NOW);
    verifier.revocations().heard(NOW);
    verifier
}

#[tokio::test]
async fn the_log_tells_who_still_uses_a_dead_token() {
    let bench = Bench::new(Algorithm::EdDsa);
    let key = DpopKey::from_seed([5; 32]).unwrap();
    let peer = PeerCertificate::new(vec![vec![1, 2, 3]], None).unwrap();
    let token = || bench.authority.token(AUDIENCE).id("RAAAAAAAAAAAAAAAAAAAAA");
    let good = bench.good();
    let api = api(Gate::new(revoking(&bench)));
    let recorder = Recorder::new();
    let known = [
        ("revoked", good.clone()),
        ("expired", token().mint(NOW.saturating_sub(4000)).unwrap()),
        (
            "not_yet_valid",
            token().mint(NOW.saturating_add(4000)).unwrap(),
        ),
        (
            "lifetime_too_long",
            token().ttl_secs(999_999).mint(NOW).unwrap(),
        ),
        (
            "unproven_confirmation",
            token().bound_to(&key.confirmation()).mint(NOW).unwrap(),
        ),
        (
            "unproven_confirmation",
            token().bound_to_certificate(&peer).mint(NOW).unwrap(),
        ),
    ];
    for (code, token) in &known {
        // The second time it may come from the cache.
        for _ in 0..2 {
            let event = recorded(&recorder, &api, token).await;
            let field = |name| event.fields.get(name).map_or("-", String::as_str);
            let id = if *code == "revoked" {
                ID
            } else {
                "RAAAAAAAAAAAAAAAAAAAAA"
            };
            assert_eq!((field("code"), field("credential_id")), (*code, id));
            assert_eq!(
                (field("workload"), field("owner")),
                ("tests/caller", "tests")
            );
            assert_eq!(field("issuer"), bench.verifier.issuer());
            // Who presented it is not known: it may be a thief.
            for absent in ["subject", "task", "audience", "freshness"] {
                assert_eq!(field(absent), "-", "{code}");
            }
            assert!(!format!("{:?}", event.fields).contains(token.rsplit('.').next().unwrap()));
        }
    }
    // What is not signed, or not for this API, names nobody.
    let mut forged = good.clone().into_bytes();
    let last = forged.len() - 2;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    let elsewhere = bench.authority.token("https://other").mint(NOW).unwrap();
    let foreign = Bench::new(Algorithm::Es256).good();
    for (code, token) in [
        ("bad_signature", String::from_utf8(forged).unwrap()),
        ("wrong_audience", elsewhere),
        ("unknown_kid", foreign),
        ("malformed", "a.b".to_owned()),
    ] {
        let event = recorded(&recorder, &api, &token).await;
        assert_eq!(event.fields["code"], code);
        for absent in ["credential_id", "workload", "owner", "issuer"] {
            assert!(!event.fields.contains_key(absent), "{code} {absent}");
        }
    }
}

#[tokio::test]
async fn an_id_of_any_size_takes_little_room_in_the_log() {
    let bench = Bench::new(Algorithm::EdDsa);
    let api = api(Gate::new(bench.verifier.clone()));
    let recorder = Recorder::new();
    let token = bench
        .authority
        .token(AUDIENCE)
        .id(&"\u{202e}\"".repeat(2000));
    let token = token.mint(NOW.saturating_sub(4000)).unwrap();
    let event = recorded(&recorder, &api, &token).await;
    let id = &event.fields["credential_id"];
    assert!(id.len() < 1000 && id.starts_with("\\u{202e}"), "{id}");
}

/// Every member of header, claims, nested objects and proofs, with what could break a line.
#[tokio::test]
async fn nothing_that_a_token_says_breaks_a_line() {
    let bench = Bench::new(Algorithm::EdDsa);
    let key = DpopKey::from_seed([5; 32]).unwrap();
    let layer = bench.verifier.layer().clock(|| NOW);
    let api = Router::new()
        .route("/", routing::any(whoami))
        .layer(layer.base_url("https://orders.internal".parse().unwrap()));
    let recorder = Recorder::new();
    let poisons = [
        json!(POISON),
        json!(POISON.repeat(500)),
        json!([POISON]),
        json!({ POISON: POISON }),
        json!({ "type": POISON }),
        json!([{ "type": [POISON] }, { POISON: 1 }]),
        json!({ "jkt": POISON }),
        json!({ "spiffe_id": POISON }),
        json!({ "x5t#S256": POISON, "jkt": 1 }),
        json!({ "sub": POISON, "act": { POISON: 1 } }),
        json!({ "rule": POISON, "env": [POISON] }),
        json!({ "kty": POISON, "crv": POISON, "x": POISON }),
    ];
    let mut requests = Vec::new();
    let bearer = |token: String| vec![("authorization", format!("Bearer {token}"))];
    let names = [
        "iss",
        "sub",
        "client_id",
        "aud",
        "jti",
        "exp",
        "iat",
        "nbf",
        "txn",
        "scope",
        "cnf",
        "act",
        "dfy",
        "authorization_details",
        POISON,
    ];
    for poison in &poisons {
        for name in names {
            requests.push(bearer(bench.with_claim(name, poison.clone())));
        }
        for name in ["alg", "typ", "kid", "crit", "jwk", POISON] {
            let mut header: Map<String, Value> = bench.header();
            header.insert(name.to_owned(), poison.clone());
            let header = json!(header).to_string();
            let payload = json!(bench.payload()).to_string();
            requests.push(bearer(bench.authority.sign(&header, &payload).unwrap()));
        }
        let token = bench
            .authority
            .token(AUDIENCE)
            .bound_to(&key.confirmation());
        let token = token.mint(NOW).unwrap();
        let proof = || key.proof("GET", "https://orders.internal/", &token);
        let mut proofs = Vec::new();
        for name in ["jti", "htm", "htu", "iat", "ath", "nonce", "exp", "nbf"] {
            proofs.push(proof().claim(name, poison.clone()).sign(NOW).unwrap());
        }
        for name in ["alg", "typ", "jwk", "kid", "crit", POISON] {
            proofs.push(proof().header(name, poison.clone()).sign(NOW).unwrap());
        }
        for proof in proofs {
            let dpop = ("authorization", format!("DPoP {token}"));
            requests.push(vec![dpop, ("dpop", proof)]);
        }
    }
    let mut refused = 0;
    for headers in requests {
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = api.clone().oneshot(request.body(Body::empty()).unwrap());
        let answer = answer.await.unwrap();
        let challenge = answer.headers().get("www-authenticate").cloned();
        for event in recorder.taken() {
            refused += usize::from(event.fields["outcome"] == "refused");
            for (name, text) in &event.fields {
                assert!(!text.contains(char::is_control), "{name}: {text:?}");
                assert!(
                    event.fields["outcome"] != "refused" || text.len() < 2048,
                    "{name}: {text}"
                );
            }
        }
        let said = challenge.map(|value| value.to_str().unwrap().to_owned());
        assert!(!said.unwrap_or_default().contains("31m"));
    }
    assert!(refused > 200, "{refused}");
}

/// Whatever stood among the extensions, the gate's own finding counts.
#[tokio::test]
async fn an_identity_that_somebody_put_into_the_request_does_not_survive() {
    let bench = Bench::new(Algorithm::EdDsa);
    let someone = bench
        .authority
        .token(AUDIENCE)
        .subject("spiffe://test.example/tests/someone");
    let someone: Verified = bench.accepts(&someone.mint(NOW).unwrap());
    let api = api(Gate::new(bench.verifier.clone()));
    for (authorization, expected) in [
        (vec![], 401),
        (vec!["Basic dTpw".to_owned()], 401),
        (
            vec![format!("Bearer {}", bench.good()), "Bearer x".to_owned()],
            400,
        ),
        (vec![format!("Bearer {}x", bench.good())], 401),
        (vec![format!("Bearer {}, Bearer {0}", bench.good())], 401),
        (vec![format!("Bearer {}", bench.good())], 200),
    ] {
        let headers: Vec<_> = authorization.iter().map(String::as_str).collect();
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "CONNECT", "BREW"] {
            let mut request = request(&headers);
            *request.method_mut() = method.parse().unwrap();
            request.extensions_mut().insert(someone.clone());
            let response = api.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), expected, "{method} {authorization:?}");
            let body = axum::body::to_bytes(response.into_body(), 65_536)
                .await
                .unwrap();
            assert!(!String::from_utf8_lossy(&body).contains("someone"));
        }
    }
    let mut overridden = request(&[]);
    for name in [
        "x-http-method-override",
        "x-authorization",
        "x-forwarded-authorization",
        "proxy-authorization",
        "authorization_",
    ] {
        let value = format!("Bearer {}", bench.good()).parse().unwrap();
        overridden.headers_mut().insert(name, value);
    }
    assert_eq!(status(&api, overridden).await, 401);
}

/// Two gates in a row: the inner one decides for the handler, whatever the outer one found.
#[tokio::test]
async fn two_gates_are_both_passed() {
    let (bench, other) = (Bench::new(Algorithm::EdDsa), Bench::new(Algorithm::Es256));
    let layer = |verifier: &Verifier| verifier.layer().clock(|| NOW);
    let inner = Router::new()
        .route("/", routing::get(whoami))
        .layer(layer(&other.verifier));
    let outer = Router::new()
        .nest("/in", inner)
        .layer(layer(&bench.verifier));
    for bench in [&bench, &other] {
        let mut request = request(&[&format!("Bearer {}", bench.good())]);
        *request.uri_mut() = "/in".parse().unwrap();
        assert_eq!(status(&outer, request).await, 401);
    }
}

/// The event says which of the issuers it was.
#[tokio::test]
async fn with_several_issuers_the_event_names_the_one() {
    let one = Bench::new(Algorithm::EdDsa);
    let two =
        dayfly_verifier::testing::TestAuthority::from_seed("https://sts.two.example", [4; 32])
            .unwrap();
    let verifiers = Verifiers::from(&one.verifier);
    let second = two
        .verifier(AUDIENCE)
        .revocation(dayfly_verifier::RevocationSource::None);
    verifiers.insert(second.build().unwrap()).unwrap();
    let api = api(Gate::new(verifiers));
    let recorder = Recorder::new();
    for (outcome, at) in [("accepted", NOW), ("refused", NOW.saturating_sub(4000))] {
        for (issuer, token) in [
            (
                one.verifier.issuer(),
                one.authority.token(AUDIENCE).mint(at),
            ),
            ("https://sts.two.example", two.token(AUDIENCE).mint(at)),
        ] {
            let event = recorded(&recorder, &api, &token.unwrap()).await;
            assert_eq!(event.fields["outcome"], outcome);
            assert_eq!(event.fields["issuer"], issuer);
        }
    }
}
