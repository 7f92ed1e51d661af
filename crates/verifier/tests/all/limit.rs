//! The limit on each workload's calls, as a layer behind the gate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::{Router, routing};
use dayfly_keys::Algorithm;
use dayfly_verifier::tower::RateLimit;
use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::{Request, StatusCode};
use tower::ServiceExt as _;

use crate::fixture::{AUDIENCE, Bench, NOW};

struct Api {
    bench: Bench,
    router: Router,
    millis: Arc<AtomicU64>,
}

impl Api {
    /// One call a second, two at once, four callers.
    fn new() -> Self {
        let bench = Bench::new(Algorithm::EdDsa);
        let millis = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&millis);
        let limit = RateLimit::per_second(1)
            .burst(2)
            .capacity(4)
            .clock(move || Duration::from_millis(clock.load(Ordering::Relaxed)));
        let router = Router::new()
            .route("/", routing::get(|| async {}))
            .layer(limit)
            .layer(bench.verifier.layer().clock(|| NOW));
        Self {
            bench,
            router,
            millis,
        }
    }

    async fn calls(&self, subject: &str, id: &str) -> (StatusCode, Option<String>) {
        let token = self.bench.authority.token(AUDIENCE).subject(subject).id(id);
        self.with(&token.mint(NOW).unwrap()).await
    }

    async fn with(&self, token: &str) -> (StatusCode, Option<String>) {
        let request = Request::builder().header(AUTHORIZATION, format!("Bearer {token}"));
        let request = request.uri("/").body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let wait = response.headers().get(RETRY_AFTER);
        let wait = wait.map(|value| value.to_str().unwrap().to_owned());
        (response.status(), wait)
    }
}

const OK: (StatusCode, Option<String>) = (StatusCode::OK, None);

fn over(secs: &str) -> (StatusCode, Option<String>) {
    (StatusCode::TOO_MANY_REQUESTS, Some(secs.to_owned()))
}

#[tokio::test]
async fn each_workload_has_its_own() {
    let api = Api::new();
    let (ours, theirs) = (
        "spiffe://test.example/a/ours",
        "spiffe://test.example/a/theirs",
    );
    // Another credential of the same workload is no way out.
    assert_eq!(api.calls(ours, "first").await, OK);
    assert_eq!(api.calls(ours, "second").await, OK);
    assert_eq!(api.calls(ours, "third").await, over("1"));
    assert_eq!(api.calls(theirs, "first").await, OK);
    api.millis.store(999, Ordering::Relaxed);
    assert_eq!(api.calls(ours, "third").await, over("1"));
    api.millis.store(1000, Ordering::Relaxed);
    assert_eq!(api.calls(ours, "third").await, OK);
    assert_eq!(api.calls(ours, "third").await, over("1"));
}

#[tokio::test]
async fn nobody_spends_anothers_calls_without_a_good_token() {
    let api = Api::new();
    let good = api.bench.good();
    let forged = format!("{}AAAA", &good[..good.len() - 4]);
    for _ in 0..10 {
        assert_eq!(api.with(&forged).await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(api.with(&good).await, OK);
}

#[tokio::test]
async fn a_flood_of_workloads_resets_no_bucket() {
    let api = Api::new();
    let ours = "spiffe://test.example/a/ours";
    assert_eq!(api.calls(ours, "1").await, OK);
    assert_eq!(api.calls(ours, "2").await, OK);
    let mut accepted = 0;
    for number in 0..50 {
        let subject = format!("spiffe://test.example/flood/w{number}");
        accepted += usize::from(api.calls(&subject, "1").await == OK);
    }
    assert_eq!(
        accepted,
        3 + 2,
        "three with a bucket of their own, two of the shared one"
    );
    assert_eq!(api.calls(ours, "3").await, over("1"));
}

#[tokio::test]
async fn without_the_gate_nothing_passes() {
    let router: Router = Router::new()
        .route("/", routing::get(|| async {}))
        .layer(RateLimit::per_second(1));
    let request = Request::builder().uri("/").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}
