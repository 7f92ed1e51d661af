//! OIDC tokens that are almost tokens, where they are evidence: each rightly signed but for one
//! thing, and by both grants that take them.

mod claims;
mod headers;
mod texts;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::still_serves;
use crate::harness::{Answer, Form, LEDGER_API, Ledger, Scene, jwt_claims};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_genuine_assertion_counts() {
    let scene = Scene::start(Ledger::Embedded).await;
    present(&scene, &genuine(&scene)).await.access_token();
    let listener = Listener::open();
    headers::forged(&scene, &listener).await;
    headers::unsigned(&scene).await;
    texts::forged(&scene).await;
    claims::forged(&scene, &listener).await;
    expensive_tokens(&scene).await;
    nothing_strange_was_fetched(&scene, &listener).await;
    present(&scene, &genuine(&scene)).await.access_token();
    still_serves(&scene).await;
}

/// Honest claims of the forge's job, with a fresh `jti`.
fn honest(scene: &Scene) -> Value {
    jwt_claims(&scene.forged(json!({})))
}

/// A token that is signed by hand, and honest.
fn genuine(scene: &Scene) -> String {
    scene.forge.sign_with(&scene.forge.header(), &honest(scene))
}

fn with(mut object: Value, member: &str, value: impl Into<Value>) -> Value {
    object[member] = value.into();
    object
}

pub async fn present(scene: &Scene, assertion: &str) -> Answer {
    let form = Form::jwt_bearer(assertion, LEDGER_API).with("scope", "ledger:read");
    scene.server.token(None, &form).await
}

/// Asserts that a token does not count, by either grant that takes it.
async fn refused(scene: &Scene, what: &str, token: &str) {
    let answer = present(scene, token).await;
    assert_eq!(answer.status, 400, "{what}: {answer:?}");
    assert!(
        ["invalid_grant", "invalid_request"].contains(&answer.text("error")),
        "{what}: {answer:?}"
    );
    assert!(answer.body.get("access_token").is_none(), "{what}");
    let form = Form::exchange(token, "id_token", LEDGER_API).with("scope", "ledger:read");
    let answer = scene.server.token(None, &form).await;
    assert_eq!(
        (answer.status, answer.text("error")),
        (400, "invalid_request"),
        "{what}: {answer:?}"
    );
}

/// A port where somebody waits for the server to come and fetch a key.
struct Listener(std::net::TcpListener);

impl Listener {
    fn open() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.0.local_addr().unwrap())
    }

    fn was_visited(&self) -> bool {
        self.0.accept().is_ok()
    }
}

async fn expensive_tokens(scene: &Scene) {
    let started = Instant::now();
    for token in [
        ".".repeat(16 * 1024),
        "a.".repeat(8 * 1024),
        format!("{}.x.x", "A".repeat(16 * 1024 - 4)),
        format!("x.{}.x", "A".repeat(16 * 1024 - 4)),
    ] {
        refused(scene, "an expensive one", &token).await;
    }
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

/// No token has made the server ask anybody, but for an unknown `kid` once in a cooldown.
async fn nothing_strange_was_fetched(scene: &Scene, listener: &Listener) {
    assert!(
        !listener.was_visited(),
        "a token has told the server where to go"
    );
    let counts = scene.forge.requests();
    assert!(counts.jwks <= 3 && counts.discovery <= 3, "{counts:?}");
    assert_eq!(counts.followed, 0);
    let counts = scene.world.github.requests();
    assert!(counts.jwks <= 3 && counts.discovery <= 3, "{counts:?}");
}
