//! The events of the layer: their fields are part of the contract, and no token is in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write as _};
use std::future::pending;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::{Router, routing};
use dayfly_keys::Algorithm;
use dayfly_verifier::axum::{Caller, RequiredScope, Scoped};
use dayfly_verifier::tower::{ACCEPTED, Gate, REFUSED, RateLimit};
use dayfly_verifier::{KeySet, RejectionCode, Verifier};
use http::header::AUTHORIZATION;
use http::{Request, StatusCode};
use serde_json::json;
use tower::ServiceExt as _;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry;

use crate::fixture::{AUDIENCE, Bench, NOW};

/// Everything that is recorded while it lives, at every level, on this thread.
pub struct Recorder {
    events: Arc<Mutex<Vec<Event>>>,
    /// While there is one subscriber only, tracing asks the thread that meets an event first whether anyone listens, and
    /// the other tests' threads say no for all.
    _second: tracing::Dispatch,
    _guard: tracing::subscriber::DefaultGuard,
}

#[derive(Clone, Default)]
pub struct Event {
    pub target: String,
    pub level: String,
    pub fields: BTreeMap<&'static str, String>,
}

struct Recording(Arc<Mutex<Vec<Event>>>);

impl<S: tracing::Subscriber> Layer<S> for Recording {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut recorded = Event {
            target: event.metadata().target().to_owned(),
            level: event.metadata().level().to_string(),
            ..Event::default()
        };
        event.record(&mut recorded);
        self.0.lock().unwrap().push(recorded);
    }
}

impl tracing::field::Visit for Event {
    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
}

impl Recorder {
    pub fn new() -> Self {
        let events = Arc::default();
        let recording = Recording(Arc::clone(&events));
        let subscriber = registry().with(recording);
        Self {
            events,
            _second: tracing::Dispatch::new(registry().with(Recording(Arc::default()))),
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    /// What was recorded since the last time under the targets of the layer.
    pub fn taken(&self) -> Vec<Event> {
        let all = std::mem::take(&mut *self.events.lock().unwrap());
        let of_layer = |event: &Event| event.target.starts_with("dayfly::access");
        all.into_iter().filter(of_layer).collect()
    }
}

impl Event {
    /// For people: one field a line, except for the words that may change.
    fn golden(&self) -> String {
        let mut text = format!("{} {}\n", self.level, self.target);
        for (name, value) in &self.fields {
            if *name != "message" {
                writeln!(text, "  {name} = {value}").unwrap();
            }
        }
        text
    }
}

struct Write;

impl RequiredScope for Write {
    const SCOPE: &'static str = "orders:write";
}

fn api(verifier: &Verifier) -> Router {
    Router::new()
        .route("/orders/{id}", routing::get(|_: Caller| async { "order" }))
        .route(
            "/orders",
            routing::post(|_: Scoped<Write>| async { "placed" }),
        )
        .route(
            "/broken",
            routing::get(|| async { StatusCode::BAD_GATEWAY }),
        )
        .route("/slow", routing::get(pending::<()>))
        .layer(RateLimit::per_minute(2))
        .layer(verifier.layer().clock(|| NOW))
}

fn request(method: &str, path: &str, token: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if !token.is_empty() {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn an_accepted_call_can_be_joined_with_its_issuance() {
    let bench = Bench::new(Algorithm::EdDsa);
    let verifier = bench.following();
    verifier.revocations().heard(NOW.saturating_sub(100));
    let token = bench
        .authority
        .token(AUDIENCE)
        .claim("act", json!({ "sub": "spiffe://test.example/tests/agent" }))
        .mint(NOW)
        .unwrap();
    let recorder = Recorder::new();
    let request = request("GET", "/orders/4711?from=shop", &token);
    api(&verifier).oneshot(request).await.unwrap();
    let golden = "INFO dayfly::access::accepted
  actor = spiffe://test.example/tests/agent
  audience = https://orders.internal
  credential_id = QAAAAAAAAAAAAAAAAAAAAA
  environment = test
  freshness = stale
  freshness_age_secs = 100
  issuer = https://sts.example.org
  method = GET
  outcome = accepted
  owner = tests
  route = /orders/{id}
  status = 200
  subject = spiffe://test.example/tests/caller
  task = tests/task
  workload = tests/caller
";
    let [event] = &recorder.taken()[..] else {
        panic!("one event for each call")
    };
    assert_eq!(event.golden(), golden);
}

#[tokio::test]
async fn a_refused_token_leaves_its_code_and_the_reason() {
    let bench = Bench::new(Algorithm::EdDsa);
    let token = bench
        .authority
        .token(AUDIENCE)
        .mint(NOW.saturating_sub(4000))
        .unwrap();
    let recorder = Recorder::new();
    let request = request("DELETE", "/orders/4711", &token);
    api(&bench.verifier).oneshot(request).await.unwrap();
    let golden = "INFO dayfly::access::refused
  code = expired
  credential_id = QAAAAAAAAAAAAAAAAAAAAA
  issuer = https://sts.example.org
  method = DELETE
  outcome = refused
  owner = tests
  reason = expired at 1799996300, now is 1800000000, leeway 30 s
  route = /orders/{id}
  status = 401
  workload = tests/caller
";
    let [event] = &recorder.taken()[..] else {
        panic!("one event for each call")
    };
    assert_eq!(event.golden(), golden);
}

#[tokio::test]
async fn a_refusal_behind_the_gate_is_one_event_and_says_who() {
    let bench = Bench::new(Algorithm::EdDsa);
    let api = api(&bench.verifier);
    let recorder = Recorder::new();
    for _ in 0..3 {
        let request = request("POST", "/orders", &bench.good());
        api.clone().oneshot(request).await.unwrap();
    }
    let events = recorder.taken();
    let golden = "INFO dayfly::access::refused
  audience = https://orders.internal
  code = insufficient_scope
  credential_id = QAAAAAAAAAAAAAAAAAAAAA
  environment = test
  freshness = unknown
  issuer = https://sts.example.org
  method = POST
  outcome = refused
  owner = tests
  reason = needs `orders:write`
  route = /orders
  status = 403
  subject = spiffe://test.example/tests/caller
  task = tests/task
  workload = tests/caller
";
    assert_eq!(events.len(), 3);
    assert_eq!(events[0].golden(), golden);
    let limited = &events[2].fields;
    assert_eq!(
        (&*limited["code"], &*limited["status"]),
        ("rate_limited", "429")
    );
    assert_eq!(limited["credential_id"], events[0].fields["credential_id"]);

    // The gate's own scopes read the same.
    let layer = bench.verifier.layer().clock(|| NOW);
    let gated = Router::new()
        .route("/orders", routing::post(|| async { "placed" }))
        .layer(layer.require_scope(Write::SCOPE));
    let request = request("POST", "/orders", &bench.good());
    gated.oneshot(request).await.unwrap();
    assert_eq!(recorder.taken()[0].golden(), golden);
}

#[tokio::test]
async fn the_status_is_that_of_the_answer_and_hanging_up_hides_nothing() {
    let bench = Bench::new(Algorithm::EdDsa);
    let api = api(&bench.verifier);
    let recorder = Recorder::new();
    let broken = request("GET", "/broken", &bench.good());
    api.clone().oneshot(broken).await.unwrap();
    assert_eq!(recorder.taken()[0].fields["status"], "502");

    let mut call = Box::pin(api.oneshot(request("GET", "/slow", &bench.good())));
    assert!(is_pending(&mut call).await);
    assert!(recorder.taken().is_empty(), "it has not ended");
    drop(call);
    let [event] = &recorder.taken()[..] else {
        panic!("one event for each call")
    };
    assert_eq!(event.target, ACCEPTED);
    assert_eq!(event.fields["route"], "/slow");
    assert!(!event.fields.contains_key("status"));
}

/// Whether the future is pending after one poll.
async fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|context| {
        let polled = std::pin::Pin::new(&mut *future).poll(context);
        std::task::Poll::Ready(polled.is_pending())
    })
    .await
}

#[tokio::test]
async fn the_operators_own_trouble_is_a_warning() {
    let bench = Bench::new(Algorithm::EdDsa);
    let verifier = bench.following();
    let api = api(&verifier);
    let recorder = Recorder::new();
    let good = || request("GET", "/orders/1", &bench.good());
    api.clone().oneshot(good()).await.unwrap();
    verifier.replace_keys(KeySet::default());
    api.clone().oneshot(good()).await.unwrap();
    api.oneshot(request("GET", "/orders/1", "")).await.unwrap();
    let events = recorder.taken();
    let heads: Vec<_> = events
        .iter()
        .map(|event| (&*event.level, &*event.target, &*event.fields["code"]))
        .collect();
    assert_eq!(
        heads,
        [
            ("WARN", REFUSED, RejectionCode::RevocationStale.as_str()),
            ("WARN", REFUSED, RejectionCode::KeysUnavailable.as_str()),
            ("INFO", REFUSED, "token_missing")
        ]
    );
    assert_eq!(events[0].fields["status"], "503");
    assert_eq!(events[1].fields["status"], "503");
}

/// THREATS 105 and 110: what a stranger sends can neither grow nor break an event.
#[tokio::test]
async fn strangers_write_little_into_the_log() {
    let bench = Bench::new(Algorithm::EdDsa);
    let api = api(&bench.verifier);
    let long = "\u{1b}[31m\n".repeat(1000);
    let recorder = Recorder::new();
    for token in [
        bench.with_header(&[("kid", json!("k".repeat(5000)))]),
        bench.with_header(&[("typ", json!(long))]),
        bench.with_claim("iss", json!(long)),
        bench.with_claim("aud", json!(long)),
        bench.with_header(&[("kid", json!([long]))]),
        bench.with_header(&[("crit", json!([long]))]),
        bench.with_header(&[(&long, json!(1))]),
        bench.with_header(&[("alg", json!({ &long: long }))]),
        bench.with_claim("exp", json!(long)),
        bench.with_claim("scope", json!({ &long: long })),
        "x".repeat(8000),
    ] {
        let path = format!("/{}?x={}", "p".repeat(1000), "q".repeat(1000));
        let request = request("FROBNICATE", &path, &token);
        api.clone().oneshot(request).await.unwrap();
        let [event] = &recorder.taken()[..] else {
            panic!("one event for each call")
        };
        let text = event.golden();
        assert!(text.len() < 700, "{} bytes: {text}", text.len());
        assert!(!text.contains('\u{1b}') && !event.fields["reason"].contains('\n'));
        assert_eq!(event.fields["method"], "other");
        assert!(!event.fields.contains_key("route"), "{text}");
    }
}

/// P14: at every level and target, not in the layer's events alone.
#[tokio::test]
async fn no_event_has_a_token() {
    let bench = Bench::new(Algorithm::EdDsa);
    let api = api(&bench.verifier);
    let recorder = Recorder::new();
    let (good, strange) = (bench.good(), bench.with_claim("jti", json!("canary-jti")));
    let forged = format!("{}AAAA", &strange[..strange.len() - 4]);
    let mut requests = vec![
        request("GET", "/orders/1", &good),
        request("GET", "/orders/1", &forged),
        request("GET", &format!("/orders/1?access_token={good}"), ""),
        request("GET", "/orders/1", &format!("{good} {good}")),
    ];
    let mut twice = request("GET", "/orders/1", &good);
    let value = twice.headers()[AUTHORIZATION].clone();
    twice.headers_mut().append(AUTHORIZATION, value);
    requests.push(twice);
    let count = requests.len();
    for request in requests {
        api.clone().oneshot(request).await.unwrap();
    }
    let all = recorder.events.lock().unwrap().clone();
    let of_layer = all
        .iter()
        .filter(|event| event.target.starts_with("dayfly::access"));
    assert_eq!(
        of_layer.count(),
        count,
        "the control: there are events to look at"
    );
    for event in &all {
        let text = format!("{:?}", event.fields);
        for part in good.split('.').chain(forged.split('.')) {
            assert!(!text.contains(&part[..16]), "{text}");
        }
        assert!(!text.contains("canary-jti"), "{text}");
    }
}

#[tokio::test]
async fn the_table_of_fields_is_whole() {
    let bench = Bench::new(Algorithm::EdDsa);
    let recorder = Recorder::new();
    let request = request("GET", "/orders/1", &bench.good());
    api(&bench.verifier).oneshot(request).await.unwrap();
    // A callsite knows all its fields, also those that it leaves out.
    let documented = documented_fields();
    for field in recorder.taken()[0].fields.keys() {
        assert!(
            *field == "message" || documented.contains(*field),
            "{field}"
        );
    }
    let source = include_str!("../../src/tower/access.rs");
    let (_, source) = source.split_once("tracing::event!(").unwrap();
    let (source, _) = source.split_once("$message").unwrap();
    let emitted: BTreeSet<_> = source
        .lines()
        .filter_map(|line| line.trim().split([' ', ',']).next())
        .filter(|name| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        })
        .collect();
    assert_eq!(emitted, documented);
}

fn documented_fields() -> BTreeSet<&'static str> {
    let docs = include_str!("../../src/tower/mod.rs");
    let (_, table) = docs.split_once("//! | field | what | when |").unwrap();
    table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with("//! |"))
        .flat_map(|line| line.split('|').nth(1).unwrap().split(','))
        .map(|name| name.trim().trim_matches('`'))
        .collect()
}

#[test]
fn a_plain_gate_records_as_well() {
    let bench = Bench::new(Algorithm::EdDsa);
    let gate = Gate::new(bench.verifier.clone()).clock(|| NOW);
    let recorder = Recorder::new();
    let (good, _) = request("GET", "/", &bench.good()).into_parts();
    let (bad, _) = request("GET", "/", "a.b.c").into_parts();
    gate.check(&good).unwrap();
    gate.check(&bad).unwrap_err();
    let outcomes: Vec<_> = recorder
        .taken()
        .into_iter()
        .map(|event| event.fields["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["accepted", "refused"]);
}
