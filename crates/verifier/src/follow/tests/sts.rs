//! A small issuer over real TLS: what it publishes the test decides, and it counts who asks.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use axum::{Router, routing};
use dayfly_token::UnixTime;
use dayfly_token::feed::{Entry, FOREVER, Kind};
use http::{HeaderMap, StatusCode};
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::pki::Pki;
use crate::follow::{FromIssuer, Timing};
use crate::revocation::prefix;
use crate::testing::TestAuthority;
use crate::tls::{Limits, Server};
use crate::{Presented, RejectionCode, UnverifiedToken, Verified, Verifier};

pub(super) const AUDIENCE: &str = "https://orders.internal";

pub(super) struct Sts {
    pub(super) pki: Pki,
    pub(super) authority: TestAuthority,
    pub(super) published: Arc<Published>,
}

/// What is served, and what was asked for.
#[derive(Default)]
pub(super) struct Published {
    documents: Mutex<HashMap<String, Document>>,
    first_event: Mutex<Option<String>>,
    streams: Mutex<Vec<mpsc::UnboundedSender<Bytes>>>,
    asked: Mutex<Vec<(Instant, String)>>,
    refuse_streams: AtomicBool,
}

#[derive(Clone)]
pub(super) struct Document {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Sts {
    /// An issuer with everything in order.
    pub(super) async fn start() -> Self {
        let pki = Pki::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "https://localhost:{}",
            listener.local_addr().unwrap().port()
        );
        let published = Arc::new(Published::default());
        let served = Arc::clone(&published);
        let routes = Router::new().fallback(routing::get(move |request: Request| {
            answer(Arc::clone(&served), request)
        }));
        let config = pki.server_config();
        let limits = Limits {
            drain: Duration::ZERO,
            ..Limits::default()
        };
        let server = Server::new(listener, move || Arc::clone(&config)).limits(limits);
        tokio::spawn(server.serve(routes, std::future::pending()));
        let sts = Self {
            pki,
            authority: TestAuthority::from_seed(url, [1; 32]).unwrap(),
            published,
        };
        sts.publish_metadata(|_| ());
        sts.publish("/jwks", &json!(sts.authority.keys().to_jwks()));
        sts.publish("/v1/trust", &json!(sts.authority.feed_keys().to_jwks()));
        sts.publish_snapshot("1-0", &[]);
        sts
    }

    pub(super) fn url(&self) -> &str {
        self.authority.issuer()
    }

    pub(super) fn publish_metadata(&self, change: impl FnOnce(&mut Value)) {
        let url = self.url();
        let mut metadata = json!({
            "issuer": url,
            "token_endpoint": format!("{url}/oauth2/token"),
            "jwks_uri": format!("{url}/jwks"),
            "dayfly_trust_uri": format!("{url}/v1/trust"),
            "dayfly_feed_uri": format!("{url}/v1/feed"),
            "dayfly_max_lifetime": 3600,
        });
        change(&mut metadata);
        self.publish("/.well-known/oauth-authorization-server", &metadata);
    }

    pub(super) fn publish(&self, path: &str, body: &Value) {
        self.publish_answer(path, StatusCode::OK, &[], body.to_string().as_bytes());
    }

    pub(super) fn publish_answer(
        &self,
        path: &str,
        status: StatusCode,
        headers: &[(&'static str, &str)],
        body: &[u8],
    ) {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let document = Document {
            status,
            headers,
            body: body.to_vec(),
        };
        self.published
            .documents
            .lock()
            .unwrap()
            .insert(path.to_owned(), document);
    }

    /// What is published there, to be put back later.
    pub(super) fn take(&self, path: &str) -> Document {
        self.published
            .documents
            .lock()
            .unwrap()
            .remove(path)
            .unwrap()
    }

    pub(super) fn put(&self, path: &str, document: Document) {
        let path = path.to_owned();
        self.published
            .documents
            .lock()
            .unwrap()
            .insert(path, document);
    }

    pub(super) fn refuse_streams(&self, refuse: bool) {
        self.published
            .refuse_streams
            .store(refuse, Ordering::Relaxed);
    }

    pub(super) fn publish_snapshot(&self, to: &str, revoked: &[(Kind, &str)]) {
        let snapshot = self
            .authority
            .snapshot(to, entries(revoked), crate::rim::now())
            .unwrap();
        self.publish_answer("/v1/feed", StatusCode::OK, &[], snapshot.as_bytes());
    }

    pub(super) fn statement(&self, from: &str, to: &str, revoked: &[(Kind, &str)]) -> String {
        self.authority
            .statement(from, to, entries(revoked), crate::rim::now())
            .unwrap()
    }

    /// What every new stream begins with.
    pub(super) fn greet_with(&self, statement: String) {
        *self.published.first_event.lock().unwrap() = Some(statement);
    }

    /// Sends a statement to every open stream.
    pub(super) fn send(&self, statement: &str) {
        self.send_raw(format!("id: x\nevent: statement\ndata: {statement}\n\n"));
    }

    pub(super) fn send_raw(&self, text: impl Into<Bytes>) {
        let text = text.into();
        self.published
            .streams
            .lock()
            .unwrap()
            .retain(|stream| stream.send(text.clone()).is_ok());
    }

    pub(super) fn cut_streams(&self) {
        self.published.streams.lock().unwrap().clear();
    }

    /// Streams whose reader is still there.
    pub(super) fn open_streams(&self) -> usize {
        self.published
            .streams
            .lock()
            .unwrap()
            .iter()
            .filter(|stream| !stream.is_closed())
            .count()
    }

    /// Requests whose path and query begin so.
    pub(super) fn asked(&self, beginning: &str) -> usize {
        self.published
            .asked
            .lock()
            .unwrap()
            .iter()
            .filter(|(_, asked)| asked.starts_with(beginning))
            .count()
    }

    /// When they came.
    pub(super) fn asked_at(&self, beginning: &str) -> Vec<Instant> {
        let asked = self.published.asked.lock().unwrap();
        let those = asked
            .iter()
            .filter(|(_, asked)| asked.starts_with(beginning));
        those.map(|(at, _)| *at).collect()
    }

    pub(super) fn last_asked(&self, beginning: &str) -> String {
        let asked = self.published.asked.lock().unwrap();
        asked
            .iter()
            .rev()
            .find(|(_, asked)| asked.starts_with(beginning))
            .map(|(_, asked)| asked.clone())
            .unwrap_or_default()
    }

    pub(super) fn follower(&self) -> FromIssuer {
        Verifier::from_issuer(self.url())
            .audience(AUDIENCE)
            .ca_pem(self.pki.ca_pem())
            .timing(quick())
    }

    pub(super) async fn verifier(&self) -> Verifier {
        let verifier = self.follower().build().await.unwrap();
        self.stream_open().await;
        verifier
    }

    pub(super) async fn stream_open(&self) {
        until("a stream is open", || self.open_streams() > 0).await;
    }

    pub(super) fn token(&self) -> String {
        self.authority
            .token(AUDIENCE)
            .mint(crate::rim::now())
            .unwrap()
    }
}

/// The follower's times, a hundred times shorter, and no silence.
pub(super) fn quick() -> Timing {
    Timing {
        silence: Duration::from_secs(60),
        cooldown: Duration::from_millis(300),
        first_wait: Duration::from_millis(20),
        longest_wait: Duration::from_millis(200),
        default_max_age: Duration::from_secs(60),
        max_age_range: (Duration::from_millis(100), Duration::from_secs(60)),
        keys_outlive: Duration::from_secs(60),
        purge: Duration::from_millis(100),
        keep: Duration::from_millis(20),
        compact: Duration::from_millis(50),
    }
}

pub(super) fn entries(revoked: &[(Kind, &str)]) -> Vec<Entry> {
    let until = crate::rim::now().saturating_add(3600);
    revoked
        .iter()
        .map(|(kind, value)| Entry {
            prefix: prefix(*kind, value),
            before: FOREVER,
            until,
        })
        .collect()
}

pub(super) fn verify(verifier: &Verifier, token: &str) -> Result<Verified, RejectionCode> {
    verify_at(verifier, token, crate::rim::now())
}

pub(super) fn verify_at(
    verifier: &Verifier,
    token: &str,
    now: UnixTime,
) -> Result<Verified, RejectionCode> {
    let verified = verifier.verify(UnverifiedToken::new(token), &Presented::NOTHING, now);
    verified.map_err(|rejection| rejection.code())
}

/// Waits, and fails loudly if it never happens.
#[track_caller]
pub(super) fn until(what: &str, mut done: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let begun = Instant::now();
        while !done() {
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "{caller}: never: {what}"
            );
            sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn answer(published: Arc<Published>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    published
        .asked
        .lock()
        .unwrap()
        .push((Instant::now(), request.uri().to_string()));
    let is_stream =
        path.ends_with("/feed/stream") && !published.documents.lock().unwrap().contains_key(&path);
    if is_stream && published.refuse_streams.load(Ordering::Relaxed) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if is_stream {
        let (sender, receiver) = mpsc::unbounded_channel();
        if let Some(statement) = &*published.first_event.lock().unwrap() {
            let _ = sender.send(Bytes::from(format!(": welcome\n\ndata: {statement}\n\n")));
        }
        published.streams.lock().unwrap().push(sender);
        return (
            [("content-type", "text/event-stream")],
            Body::new(Stream(receiver)),
        )
            .into_response();
    }
    let Some(document) = published.documents.lock().unwrap().get(&path).cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let unchanged = |etag| request.headers().get("if-none-match") == Some(etag);
    if document.headers.get("etag").is_some_and(unchanged) {
        published
            .asked
            .lock()
            .unwrap()
            .push((Instant::now(), format!("304 {path}")));
        return (StatusCode::NOT_MODIFIED, document.headers).into_response();
    }
    (document.status, document.headers, document.body).into_response()
}

/// What is sent into a channel, as a body that never ends by itself.
struct Stream(mpsc::UnboundedReceiver<Bytes>);

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0
            .poll_recv(context)
            .map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
