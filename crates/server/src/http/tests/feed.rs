//! The feed as a verifier sees it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use dayfly_keys::KeySet;
use dayfly_token::feed::Kind;
use dayfly_verifier::Revocations;
use dayfly_verifier::feed::{FeedState, Outcome, open_statement};
use dayfly_verifier::revocation;
use futures_util::StreamExt;
use http::Request;
use serde_json::json;
use tower::ServiceExt;

use super::World;
use dayfly_token::UnixTime;

impl World {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.running.app.clock_secs())
    }

    async fn feed_keys(&self) -> KeySet {
        KeySet::parse(&self.get("/v1/trust", None).await.body).unwrap()
    }
}

/// Reads events of a stream.
struct Events {
    body: axum::body::BodyDataStream,
    text: String,
}

impl Events {
    async fn open(world: &World, from: Option<&str>) -> Self {
        let uri = from.map_or("/v1/feed/stream".to_owned(), |from| {
            format!("/v1/feed/stream?from={from}")
        });
        let request = Request::get(uri).body(Body::empty()).unwrap();
        let response = world.public.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self {
            body: response.into_body().into_data_stream(),
            text: String::new(),
        }
    }

    /// The id and the data of the next event.
    async fn next(&mut self) -> Option<(String, String)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let line = |name: &str| {
                    let found = event.lines().find_map(|line| line.strip_prefix(name));
                    found.unwrap_or_default().to_owned()
                };
                let event = (line("id: "), line("data: "));
                self.text = rest.to_owned();
                return Some(event);
            }
            let chunk = tokio::time::timeout(Duration::from_secs(8), self.body.next());
            let chunk = chunk.await.expect("a heartbeat within 8 s")?.unwrap();
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

#[tokio::test]
async fn a_revocation_is_in_the_snapshot_when_its_answer_is_there() {
    let world = World::new().await;
    let body = json!({ "action": "revoke", "kind": "task", "value": "payments/t" });
    assert_eq!(
        world.admin("/v1/revocations", Some(&body)).await.status,
        200
    );
    let answer = world.get("/v1/feed", None).await;
    assert_eq!(answer.header("content-type"), "application/jwt");
    let text = std::str::from_utf8(&answer.body).unwrap();
    let keys = world.feed_keys().await;
    let statement = open_statement(text, &keys, world.running.public_url(), world.now()).unwrap();
    assert!(statement.snapshot);
    let prefix = revocation::prefix(Kind::Task, "payments/t");
    assert!(statement.entries.iter().any(|entry| entry.prefix == prefix));
    assert!(!text.contains("payments"), "entries name nobody");
}

#[tokio::test]
async fn the_stream_brings_a_revocation_and_resumes() {
    let world = World::new().await;
    let revocations = Arc::new(Revocations::new());
    let issuer = world.running.public_url().to_owned();
    let mut state = FeedState::new(issuer, world.feed_keys().await, Arc::clone(&revocations));
    let snapshot = world.get("/v1/feed", None).await;
    let applied = state.apply(std::str::from_utf8(&snapshot.body).unwrap(), world.now());
    assert!(matches!(applied, Outcome::Applied { .. }), "{applied:?}");
    let cursor = state.cursor().unwrap().text();
    let mut events = Events::open(&world, Some(&cursor)).await;
    let first = events.next().await.unwrap();
    let outcome = state.apply(&first.1, world.now());
    assert!(
        !matches!(outcome, Outcome::Refused(_) | Outcome::Gap { .. }),
        "{outcome:?}"
    );
    assert_eq!(first.0, state.cursor().unwrap().text());
    let prefix = revocation::prefix(Kind::Workload, "payments/deploy");
    let body = json!({ "action": "revoke", "kind": "workload", "value": "payments/deploy" });
    world.admin("/v1/revocations", Some(&body)).await;
    while !revocations.is_dead(&prefix, world.now()) {
        let (id, data) = events.next().await.unwrap();
        state.apply(&data, world.now());
        assert_eq!(id, state.cursor().unwrap().text());
    }
    // What happens while the line is cut is there after it.
    drop(events);
    let cursor = state.cursor().unwrap().text();
    let body = json!({ "action": "revoke", "kind": "owner", "value": "billing" });
    world.admin("/v1/revocations", Some(&body)).await;
    let prefix = revocation::prefix(Kind::Owner, "billing");
    let mut events = Events::open(&world, Some(&cursor)).await;
    while !revocations.is_dead(&prefix, world.now()) {
        let (_, data) = events.next().await.unwrap();
        let outcome = state.apply(&data, world.now());
        assert!(!matches!(outcome, Outcome::Gap { .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn subscribers_are_bounded_and_end_with_the_server() {
    let world = World::with("https://localhost:0", |config| {
        config.limits.feed_subscribers = 2;
    })
    .await;
    let mut one = Events::open(&world, None).await;
    let two = Events::open(&world, None).await;
    let third = world.get("/v1/feed/stream", None).await;
    third.assert_error(503, "too_many_subscribers");
    assert!(!third.header("retry-after").is_empty());
    drop(two);
    let _again = Events::open(&world, Some("unknown.cursor")).await;
    assert!(one.next().await.is_some());
    world.running.app.stopping.cancel();
    assert!(one.next().await.is_none());
}

#[tokio::test]
async fn answers_share_the_bytes_of_a_snapshot() {
    let world = World::new().await;
    let app = &world.running.app;
    let (one, two) = (app.snapshot().unwrap(), app.snapshot().unwrap());
    assert_eq!(one.as_ptr(), two.as_ptr());
}
