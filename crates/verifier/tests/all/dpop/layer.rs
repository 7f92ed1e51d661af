//! Token and proof as they come in a request, and what those are told whose proof is refused.

use axum::body::Body;
use axum::{Router, routing};
use dayfly_keys::Algorithm;
use dayfly_verifier::axum::{Caller, RequiredScope, Scoped};
use dayfly_verifier::dpop::{Nonces, Policy};
use dayfly_verifier::tower::VerifierLayer;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, Request, Response, StatusCode};
use tower::ServiceExt as _;

use super::{Scene, URI, key};
use crate::fixture::NOW;

const BOTH: [&str; 2] = ["Bearer", "DPoP algs=\"ES256 Ed25519 EdDSA\""];

struct Write;

impl RequiredScope for Write {
    const SCOPE: &'static str = "orders:write";
}

async fn whoami(Caller(caller): Caller) -> String {
    caller.subject().to_owned()
}

async fn write(_: Scoped<Write>) {}

/// Whether the headers that carry secrets are marked so that no log prints them.
async fn hidden(headers: HeaderMap) -> String {
    let hidden = [AUTHORIZATION.as_str(), "dpop"].map(|name| headers[name].is_sensitive());
    format!("{hidden:?}")
}

fn layer_of(scene: &Scene) -> VerifierLayer {
    let layer = scene.verifier.layer().clock(|| NOW);
    layer.base_url("https://Orders.internal:443/".parse().unwrap())
}

fn api(scene: &Scene) -> Router {
    Router::new()
        .route("/orders/{id}", routing::get(whoami))
        .route("/write", routing::get(write))
        .route("/hidden", routing::get(hidden))
        .layer(layer_of(scene))
}

fn request(path: &str, authorization: &str, proofs: &[&str]) -> Request<Body> {
    let mut request = Request::builder()
        .uri(path)
        .header(AUTHORIZATION, authorization);
    for proof in proofs {
        request = request.header("dpop", *proof);
    }
    request.body(Body::empty()).unwrap()
}

struct Answer {
    status: u16,
    challenges: Vec<String>,
    nonce: Option<String>,
    body: String,
}

async fn answer(api: &Router, request: Request<Body>) -> Answer {
    let response: Response<Body> = api.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = |name: &str| {
        let values = parts.headers.get_all(name).iter();
        let texts = values.map(|value| value.to_str().unwrap().to_owned());
        texts.collect::<Vec<_>>()
    };
    let body = axum::body::to_bytes(body, 65536).await.unwrap();
    Answer {
        status: parts.status.as_u16(),
        challenges: text(WWW_AUTHENTICATE.as_str()),
        nonce: text("dpop-nonce").pop(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

#[tokio::test]
async fn who_gets_in() {
    let scene = Scene::new(Algorithm::Es256, Policy::new());
    let api = api(&scene);
    for scheme in ["DPoP", "dpop", "DPOP"] {
        let proof = scene.proof().sign(NOW).unwrap();
        let authorization = format!("{scheme} {}", scene.token);
        let mut request = request("/orders/7?all=1", &authorization, &[&proof]);
        // Nothing that a stranger can send says where this API is.
        for name in ["host", "x-forwarded-host", "forwarded", "x-original-url"] {
            let headers = request.headers_mut();
            headers.insert(name, "evil.example".parse().unwrap());
        }
        let answer = answer(&api, request).await;
        assert_eq!(
            (answer.status, answer.body.as_str(), answer.nonce),
            (200, "spiffe://test.example/tests/caller", None),
            "{scheme}"
        );
    }
    let bearer = format!("Bearer {}", scene.bench.good());
    for stray in [&[][..], &["x"], &["x", "y"]] {
        let answer = answer(&api, request("/orders/7", &bearer, stray)).await;
        assert_eq!(answer.status, 200, "{stray:?}");
    }
}

#[tokio::test]
async fn what_the_others_are_told() {
    let scene = Scene::new(Algorithm::EdDsa, Policy::new());
    let api = api(&scene);
    let proof = || scene.proof().sign(NOW).unwrap();
    let bound = format!("DPoP {}", scene.token);
    let used = proof();
    assert_eq!(
        answer(&api, request("/orders/7", &bound, &[&used]))
            .await
            .status,
        200
    );
    let invalid_proof = ["DPoP error=\"invalid_dpop_proof\",algs=\"ES256 Ed25519 EdDSA\""];
    let invalid_token = [
        "Bearer error=\"invalid_token\"",
        "DPoP error=\"invalid_token\",algs=\"ES256 Ed25519 EdDSA\"",
    ];
    let malformed = [
        "Bearer error=\"invalid_request\"",
        "DPoP error=\"invalid_request\",algs=\"ES256 Ed25519 EdDSA\"",
    ];
    let other = key(Algorithm::EdDsa, 4);
    let by_other = other.proof("GET", URI, &scene.token).sign(NOW).unwrap();
    let post = scene
        .key
        .proof("POST", URI, &scene.token)
        .sign(NOW)
        .unwrap();
    let elsewhere = scene
        .key
        .proof("GET", "https://evil.example/orders/7", &scene.token)
        .sign(NOW)
        .unwrap();
    let good = scene.bench.good();
    let for_good = scene.key.proof("GET", URI, &good).sign(NOW).unwrap();
    let huge = "a".repeat(1 << 20);
    for (path, authorization, proofs, status, challenges) in [
        ("/orders/7", bound.as_str(), vec![], 401, &invalid_proof[..]),
        (
            "/orders/7",
            &bound,
            vec![proof(), proof()],
            401,
            &invalid_proof,
        ),
        (
            "/orders/7",
            &bound,
            vec![format!("{}, {}", proof(), proof())],
            401,
            &invalid_proof,
        ),
        ("/orders/7", &bound, vec![used], 401, &invalid_proof),
        ("/orders/7", &bound, vec![post], 401, &invalid_proof),
        ("/orders/7", &bound, vec![elsewhere], 401, &invalid_proof),
        ("/orders/7", &bound, vec![huge], 401, &invalid_proof),
        ("/orders/8", &bound, vec![proof()], 401, &invalid_proof),
        ("/orders/7/", &bound, vec![proof()], 401, &invalid_proof),
        ("/x/../orders/7", &bound, vec![proof()], 401, &invalid_proof),
        // By another key: RFC 9449 section 7.1 blames the token.
        ("/orders/7", &bound, vec![by_other], 401, &invalid_token),
        (
            "/orders/7",
            "DPoP a.b.c",
            vec![proof()],
            401,
            &invalid_token,
        ),
        // Each token under its own scheme.
        (
            "/orders/7",
            &format!("Bearer {}", scene.token),
            vec![proof()],
            401,
            &invalid_token,
        ),
        (
            "/orders/7",
            &format!("DPoP {good}"),
            vec![for_good],
            401,
            &invalid_token,
        ),
        ("/orders/7", "DPoP", vec![proof()], 400, &malformed),
        (
            "/orders/7?access_token=x",
            &bound,
            vec![proof()],
            400,
            &malformed,
        ),
        ("/orders/7", "Basic dTpw", vec![proof()], 401, &BOTH),
    ] {
        let proofs: Vec<_> = proofs.iter().map(String::as_str).collect();
        let told = answer(&api, request(path, authorization, &proofs)).await;
        assert_eq!(
            (told.status, told.body.as_str()),
            (status, ""),
            "{path} {authorization}"
        );
        assert_eq!(told.challenges, challenges, "{path} {authorization}");
    }
    let nothing = Request::builder().uri("/orders/7").body(Body::empty());
    let told = answer(&api, nothing.unwrap()).await;
    assert_eq!(
        (told.status, told.challenges),
        (401, BOTH.map(str::to_owned).to_vec())
    );
}

#[tokio::test]
async fn without_a_base_url_there_is_no_dpop() {
    let scene = Scene::new(Algorithm::EdDsa, Policy::new());
    let layer = scene.verifier.layer().clock(|| NOW);
    let api = Router::new().route("/orders/7", routing::get(whoami));
    let (with, without) = (api.clone().layer(layer_of(&scene)), api.layer(layer));
    let authorization = format!("DPoP {}", scene.token);
    for (api, status) in [(with, 200), (without, 401)] {
        let proof = scene.proof().sign(NOW).unwrap();
        let told = answer(&api, request("/orders/7", &authorization, &[&proof])).await;
        assert_eq!(told.status, status);
        if status == 401 {
            assert_eq!(told.challenges, ["Bearer"]);
        }
    }
}

/// A nested router of axum cuts its prefix off the path; the client knows nothing of that.
#[tokio::test]
async fn nested_routers_are_seen_through() {
    let scene = Scene::new(Algorithm::EdDsa, Policy::new());
    let inner = Router::new()
        .route("/7", routing::get(whoami))
        .layer(layer_of(&scene));
    let api = Router::new().nest("/v1", Router::new().nest("/orders", inner));
    let authorization = format!("DPoP {}", scene.token);
    for (uri, status) in [
        ("https://orders.internal/v1/orders/7", 200),
        ("https://orders.internal/orders/7", 401),
        ("https://orders.internal/7", 401),
    ] {
        let proof = scene.key.proof("GET", uri, &scene.token).sign(NOW).unwrap();
        let told = answer(&api, request("/v1/orders/7", &authorization, &[&proof])).await;
        assert_eq!(told.status, status, "{uri}");
    }
}

/// A proxy in front that cuts a prefix off: the base URL has it.
#[tokio::test]
async fn a_base_url_with_a_path() {
    let scene = Scene::new(Algorithm::EdDsa, Policy::new());
    let base_url = "https://gateway.example/orders/".parse().unwrap();
    let layer = scene.verifier.layer().clock(|| NOW).base_url(base_url);
    let api = Router::new().route("/7", routing::get(whoami)).layer(layer);
    let authorization = format!("DPoP {}", scene.token);
    for (uri, status) in [
        ("https://gateway.example/orders/7", 200),
        ("https://gateway.example/7", 401),
    ] {
        let proof = scene.key.proof("GET", uri, &scene.token).sign(NOW).unwrap();
        let told = answer(&api, request("/7", &authorization, &[&proof])).await;
        assert_eq!(told.status, status, "{uri}");
    }
}

#[tokio::test]
async fn a_client_is_led_to_the_nonce() {
    let scene = Scene::new(
        Algorithm::EdDsa,
        Policy::new().require_nonce(Nonces::new([1; 32])),
    );
    let api = api(&scene);
    let authorization = format!("DPoP {}", scene.token);
    let proof = scene.proof().sign(NOW).unwrap();
    let told = answer(&api, request("/orders/7", &authorization, &[&proof])).await;
    assert_eq!(told.status, 401);
    assert_eq!(
        told.challenges,
        ["DPoP error=\"use_dpop_nonce\",algs=\"ES256 Ed25519 EdDSA\""]
    );
    let nonce = told.nonce.unwrap();
    let proof = scene.proof().nonce(&nonce).sign(NOW).unwrap();
    let told = answer(&api, request("/orders/7", &authorization, &[&proof])).await;
    // The next nonce comes with the answer.
    assert_eq!((told.status, told.nonce), (200, Some(nonce)));
    // Whoever shows no bound token gets none.
    let bearer = format!("Bearer {}", scene.bench.good());
    for (authorization, status) in [
        (bearer.as_str(), 200),
        ("DPoP a.b.c", 401),
        ("Bearer x", 401),
    ] {
        let told = answer(&api, request("/orders/7", authorization, &[&proof])).await;
        assert_eq!((told.status, told.nonce), (status, None), "{authorization}");
    }
}

#[tokio::test]
async fn scopes_and_a_full_memory() {
    let scene = Scene::new(Algorithm::EdDsa, Policy::new().capacity(1));
    let api = api(&scene);
    let authorization = format!("DPoP {}", scene.token);
    let proof = |path: &str| {
        let uri = format!("https://orders.internal{path}");
        scene
            .key
            .proof("GET", &uri, &scene.token)
            .sign(NOW)
            .unwrap()
    };
    let told = answer(&api, request("/write", &authorization, &[&proof("/write")])).await;
    assert_eq!(told.status, 403);
    let error = "error=\"insufficient_scope\",scope=\"orders:write\"";
    let dpop = format!("DPoP {error},algs=\"ES256 Ed25519 EdDSA\"");
    assert_eq!(told.challenges, [format!("Bearer {error}"), dpop]);
    // The request was the caller's: its proof is used.
    let told = answer(
        &api,
        request("/orders/7", &authorization, &[&proof("/orders/7")]),
    )
    .await;
    assert_eq!(
        (told.status, told.challenges.len()),
        (StatusCode::SERVICE_UNAVAILABLE.as_u16(), 0)
    );
}

#[tokio::test]
async fn token_and_proof_are_hidden_from_logs() {
    let scene = Scene::new(Algorithm::EdDsa, Policy::new());
    let api = api(&scene);
    let authorization = format!("DPoP {}", scene.token);
    let uri = "https://orders.internal/hidden";
    let proof = scene.key.proof("GET", uri, &scene.token).sign(NOW).unwrap();
    let told = answer(&api, request("/hidden", &authorization, &[&proof])).await;
    assert_eq!((told.status, told.body.as_str()), (200, "[true, true]"));
}
