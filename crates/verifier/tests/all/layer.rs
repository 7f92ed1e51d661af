//! The layer and the extractors: who gets in, and what the others are told.

use axum::body::Body;
use axum::{Router, routing};
use dayfly_keys::Algorithm;
use dayfly_token::feed::{Entry, FOREVER, Kind};
use dayfly_verifier::axum::{Caller, RequiredScope, Scoped};
use dayfly_verifier::revocation::prefix;
use dayfly_verifier::testing::TestAuthority;
use dayfly_verifier::{KeySet, PeerCertificate, Verified};
use http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use tower::ServiceExt as _;

use crate::fixture::{AUDIENCE, Bench, ISSUER, NOW};

struct Write;

impl RequiredScope for Write {
    const SCOPE: &'static str = "orders:write";
}

async fn whoami(Caller(caller): Caller) -> String {
    caller.subject().to_owned()
}

async fn write(caller: Scoped<Write>) -> String {
    caller.into_inner().credential_id().to_owned()
}

fn routes() -> Router {
    Router::new()
        .route("/whoami", routing::get(whoami))
        .route("/orders", routing::get(write))
}

fn api(bench: &Bench) -> Router {
    routes().layer(
        bench
            .verifier
            .layer()
            .clock(|| NOW)
            .resource_metadata("https://orders.internal/meta"),
    )
}

fn request(path: &str, authorization: &[&str]) -> Request<Body> {
    let mut request = Request::builder().uri(path);
    for value in authorization {
        request = request.header(AUTHORIZATION, *value);
    }
    request.body(Body::empty()).unwrap()
}

async fn answer(api: &Router, request: Request<Body>) -> (StatusCode, Option<String>, String) {
    let response: Response<Body> = api.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let challenge = response
        .headers()
        .get(WWW_AUTHENTICATE)
        .map(|value| value.to_str().unwrap().to_owned());
    let body = axum::body::to_bytes(response.into_body(), 65536)
        .await
        .unwrap();
    (status, challenge, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn who_gets_in() {
    let bench = Bench::new(Algorithm::EdDsa);
    let api = api(&bench);
    let good = format!("Bearer {}", bench.good());
    let (status, challenge, body) = answer(&api, request("/whoami", &[&good])).await;
    assert_eq!(
        (status, challenge, body.as_str()),
        (StatusCode::OK, None, "spiffe://test.example/tests/caller")
    );
    let lower = good.replacen("Bearer", "bearer", 1);
    assert_eq!(
        answer(&api, request("/whoami", &[&lower])).await.0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn what_the_others_are_told() {
    let bench = Bench::new(Algorithm::EdDsa);
    let api = api(&bench);
    let good = format!("Bearer {}", bench.good());
    let expired = format!(
        "Bearer {}",
        bench
            .authority
            .token(AUDIENCE)
            .mint(NOW.saturating_sub(4000))
            .unwrap()
    );
    let elsewhere = format!(
        "Bearer {}",
        bench.authority.token("https://other").mint(NOW).unwrap()
    );
    let metadata = "resource_metadata=\"https://orders.internal/meta\"";
    let none = format!("Bearer {metadata}");
    let invalid = format!("Bearer error=\"invalid_token\",{metadata}");
    let malformed = format!("Bearer error=\"invalid_request\",{metadata}");
    for (path, authorization, status, challenge) in [
        ("/whoami", vec![], 401, &none),
        ("/whoami", vec!["Basic dTpw"], 401, &none),
        ("/whoami", vec!["DPoP a.b.c"], 401, &none),
        ("/whoami", vec!["Bearer a.b.c"], 401, &invalid),
        ("/whoami", vec![expired.as_str()], 401, &invalid),
        ("/whoami", vec![elsewhere.as_str()], 401, &invalid),
        ("/whoami", vec!["Bearer"], 400, &malformed),
        (
            "/whoami",
            vec![good.as_str(), good.as_str()],
            400,
            &malformed,
        ),
        (
            "/whoami",
            vec![good.as_str(), "Basic dTpw"],
            400,
            &malformed,
        ),
        ("/whoami?access_token=a.b.c", vec![], 400, &malformed),
        (
            "/whoami?access_token=a.b.c",
            vec![good.as_str()],
            400,
            &malformed,
        ),
        // A route that does not exist is protected as well.
        ("/nowhere", vec![], 401, &none),
    ] {
        let (found, told, body) = answer(&api, request(path, &authorization)).await;
        assert_eq!(
            (found.as_u16(), told.as_deref(), body.as_str()),
            (status, Some(challenge.as_str()), ""),
            "{path} {authorization:?}"
        );
    }
}

#[tokio::test]
async fn scopes_are_403() {
    let bench = Bench::new(Algorithm::EdDsa);
    let api = api(&bench);
    let bearer = |scope: &str| {
        format!(
            "Bearer {}",
            bench
                .authority
                .token(AUDIENCE)
                .scope(scope)
                .mint(NOW)
                .unwrap()
        )
    };
    let (status, _, id) = answer(&api, request("/orders", &[&bearer("orders:write")])).await;
    assert_eq!(
        (status, id.as_str()),
        (StatusCode::OK, "QAAAAAAAAAAAAAAAAAAAAA")
    );
    for scope in ["orders:read", "orders", "orders:writer", "ORDERS:WRITE"] {
        let (status, challenge, _) = answer(&api, request("/orders", &[&bearer(scope)])).await;
        let told = "Bearer error=\"insufficient_scope\",scope=\"orders:write\",resource_metadata=\"https://orders.internal/meta\"";
        assert_eq!(
            (status, challenge.as_deref()),
            (StatusCode::FORBIDDEN, Some(told)),
            "{scope}"
        );
    }
    let layer = bench
        .verifier
        .layer()
        .clock(|| NOW)
        .require_scope("orders:read")
        .require_scope("orders:list");
    let api = routes().layer(layer);
    let both = format!(
        "Bearer {}",
        bench
            .authority
            .token(AUDIENCE)
            .scope("orders:list")
            .scope("orders:read")
            .mint(NOW)
            .unwrap()
    );
    assert_eq!(
        answer(&api, request("/whoami", &[&both])).await.0,
        StatusCode::OK
    );
    let (status, challenge, _) = answer(&api, request("/whoami", &[&bearer("orders:read")])).await;
    assert_eq!(
        (status, challenge.as_deref()),
        (
            StatusCode::FORBIDDEN,
            Some("Bearer error=\"insufficient_scope\",scope=\"orders:read orders:list\"")
        )
    );
}

#[tokio::test]
async fn the_certificate_of_the_connection_proves_a_binding() {
    let bench = Bench::new(Algorithm::EdDsa);
    let api = api(&bench);
    let peer = |leaf: &[u8]| PeerCertificate::new(vec![leaf.to_vec()], None).unwrap();
    let token = bench
        .authority
        .token(AUDIENCE)
        .bound_to_certificate(&peer(b"ours"))
        .mint(NOW)
        .unwrap();
    for (leaf, status) in [
        (Some(&b"ours"[..]), StatusCode::OK),
        (Some(b"theirs"), StatusCode::UNAUTHORIZED),
        (None, StatusCode::UNAUTHORIZED),
    ] {
        let mut request = request("/whoami", &[&format!("Bearer {token}")]);
        // Headers that proxies set prove nothing here.
        for name in [
            "client-cert",
            "x-forwarded-client-cert",
            "x-ssl-client-cert",
        ] {
            request
                .headers_mut()
                .insert(name, ":b3Vycw==:".parse().unwrap());
        }
        if let Some(leaf) = leaf {
            request.extensions_mut().insert(peer(leaf));
        }
        assert_eq!(answer(&api, request).await.0, status, "{leaf:?}");
    }
}

#[tokio::test]
async fn a_lost_revocation_state_is_the_apis_trouble() {
    let bench = Bench::new(Algorithm::EdDsa);
    let verifier = bench.following();
    let api = routes().layer(verifier.layer().clock(|| NOW));
    let good = format!("Bearer {}", bench.good());
    let response = api
        .clone()
        .oneshot(request("/whoami", &[&good]))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        response.headers().contains_key(RETRY_AFTER)
            && !response.headers().contains_key(WWW_AUTHENTICATE)
    );
    verifier.revocations().heard(NOW);
    assert_eq!(
        answer(&api, request("/whoami", &[&good])).await.0,
        StatusCode::OK
    );
    let entry = Entry {
        prefix: prefix(Kind::Owner, "tests"),
        before: FOREVER,
        until: FOREVER,
    };
    verifier.revocations().merge(&[entry], NOW);
    assert_eq!(
        answer(&api, request("/whoami", &[&good])).await.0,
        StatusCode::UNAUTHORIZED
    );
}

/// RFC 6750 section 3.1 has clients answer `invalid_token` with a request for another token, and an issuer that cannot be
/// reached has none.
#[tokio::test]
async fn without_any_key_it_is_the_apis_trouble() {
    let bench = Bench::new(Algorithm::EdDsa);
    let api = routes().layer(bench.verifier.layer().clock(|| NOW));
    let ask = |token: &str| api.clone().oneshot(request("/whoami", &[token]));
    let good = format!("Bearer {}", bench.good());
    assert_eq!(ask(&good).await.unwrap().status(), StatusCode::OK);
    bench.verifier.replace_keys(KeySet::default());
    let response = ask(&good).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        response.headers().contains_key(RETRY_AFTER)
            && !response.headers().contains_key(WWW_AUTHENTICATE)
    );
    let malformed = ask("Bearer a.b").await.unwrap();
    assert_eq!(malformed.status(), StatusCode::UNAUTHORIZED);
    let stranger = TestAuthority::from_seed(ISSUER, [7; 32]).unwrap();
    bench.verifier.replace_keys(stranger.keys());
    assert_eq!(ask(&good).await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_route_without_the_layer_stays_shut() {
    assert_eq!(
        answer(&routes(), request("/whoami", &[])).await.0,
        StatusCode::INTERNAL_SERVER_ERROR
    );
}

#[tokio::test]
async fn what_stood_in_the_request_before_does_not_count() {
    let bench = Bench::new(Algorithm::EdDsa);
    let mut smuggled = request("/whoami", &[]);
    smuggled
        .extensions_mut()
        .insert(bench.accepts(&bench.good()));
    assert_eq!(
        answer(&api(&bench), smuggled).await.0,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn inner_services_see_the_caller_and_no_log_sees_the_token() {
    let bench = Bench::new(Algorithm::EdDsa);
    let handler = |request: Request<Body>| async move {
        let header = &request.headers()[AUTHORIZATION];
        assert!(request.extensions().get::<Verified>().is_some());
        format!("{:?} {}", header, header.is_sensitive())
    };
    let api = Router::new()
        .route("/", routing::get(handler))
        .layer(bench.verifier.layer().clock(|| NOW));
    let (status, _, shown) =
        answer(&api, request("/", &[&format!("Bearer {}", bench.good())])).await;
    assert_eq!((status, shown.as_str()), (StatusCode::OK, "Sensitive true"));
}
