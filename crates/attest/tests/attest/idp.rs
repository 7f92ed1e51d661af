//! An OIDC issuer on loopback, honest or not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use dayfly_attest::OidcIssuerConfig;
use dayfly_verifier::tls::{Server, ServerIdentity, server_config};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls_pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::signer::{AUDIENCE, Signer};

/// What an issuer does with a request.
#[derive(Clone, Default)]
pub(crate) struct Behaviour {
    /// In the discovery document, in place of its own identifier.
    pub(crate) issuer: Option<String>,
    /// In the discovery document, in place of its own URL.
    pub(crate) jwks_uri: Option<String>,
    /// The JWK Set.
    pub(crate) jwks: Value,
    /// In place of the JWK Set.
    pub(crate) raw: Option<Vec<u8>>,
    pub(crate) cache_control: Option<&'static str>,
    pub(crate) etag: Option<&'static str>,
    /// Answer everything with this status, and this `Location`.
    pub(crate) status: Option<(u16, String)>,
    /// The same for the JWK Set alone.
    pub(crate) jwks_status: Option<(u16, String)>,
    /// Time before every answer.
    pub(crate) delay: Option<Duration>,
    /// Send bytes for ever.
    pub(crate) endless: bool,
    /// Send a blank now and then, for ever.
    pub(crate) drip: bool,
    /// What the JWK Set claims to be encoded with.
    pub(crate) encoding: Option<&'static str>,
}

/// Counts of requests.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    discovery: AtomicUsize,
    jwks: AtomicUsize,
    other: AtomicUsize,
    not_modified: AtomicUsize,
}

struct Shared {
    url: String,
    behaviour: Mutex<Behaviour>,
    counts: Counts,
}

/// A running issuer. It ends with the value.
pub(crate) struct Idp {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
    /// The CA of its certificate, if it has one.
    pub(crate) ca_pem: Option<String>,
}

impl Drop for Idp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Idp {
    /// Plain HTTP, with the keys of `signers`.
    pub(crate) async fn start(signers: &[&Signer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (shared, app) = service(url, signers);
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            shared,
            task,
            ca_pem: None,
        }
    }

    /// HTTPS with a private CA; the certificate is for `name`, the URL says `localhost`.
    pub(crate) async fn start_tls(signers: &[&Signer], name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "https://localhost:{}",
            listener.local_addr().unwrap().port()
        );
        let (shared, app) = service(url, signers);
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &ca).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let identity = ServerIdentity::new(vec![leaf.der().clone()], key);
        let config = Arc::new(server_config(identity, None).unwrap());
        let server = Server::new(listener, move || Arc::clone(&config));
        let task = tokio::spawn(server.serve(app, std::future::pending()));
        Self {
            shared,
            task,
            ca_pem: Some(ca.pem()),
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.shared.url
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.shared.behaviour.lock().unwrap());
    }

    pub(crate) fn publish(&self, signers: &[&Signer]) {
        self.change(|behaviour| behaviour.jwks = jwks(signers));
    }

    pub(crate) fn discovery(&self) -> usize {
        self.shared.counts.discovery.load(Ordering::SeqCst)
    }

    pub(crate) fn jwks(&self) -> usize {
        self.shared.counts.jwks.load(Ordering::SeqCst)
    }

    pub(crate) fn not_modified(&self) -> usize {
        self.shared.counts.not_modified.load(Ordering::SeqCst)
    }

    pub(crate) fn other(&self) -> usize {
        self.shared.counts.other.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.discovery() + self.jwks() + self.other()
    }

    /// A configuration of it, as it is meant for tests on loopback.
    pub(crate) fn config(&self, name: &str) -> OidcIssuerConfig {
        let mut config = OidcIssuerConfig::custom(
            name.parse().unwrap(),
            self.url().to_owned(),
            vec![AUDIENCE.to_owned()],
        );
        config.allow_private = true;
        config.danger_allow_http = self.ca_pem.is_none();
        config.ca_pem = self.ca_pem.clone().map(String::into_bytes);
        config
    }

    /// Good claims of it.
    pub(crate) fn claims(&self) -> Value {
        let mut claims = crate::signer::corp_claims();
        claims["iss"] = json!(self.url());
        claims
    }
}

pub(crate) fn jwks(signers: &[&Signer]) -> Value {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    json!({"keys": keys})
}

fn service(url: String, signers: &[&Signer]) -> (Arc<Shared>, Router) {
    let shared = Arc::new(Shared {
        url,
        behaviour: Mutex::new(Behaviour {
            jwks: jwks(signers),
            ..Behaviour::default()
        }),
        counts: Counts::default(),
    });
    let app = Router::new()
        .fallback(answer)
        .with_state(Arc::clone(&shared));
    (shared, app)
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let behaviour = shared.behaviour.lock().unwrap().clone();
    let path = request.uri().path().to_owned();
    let counter = match path.as_str() {
        "/.well-known/openid-configuration" => &shared.counts.discovery,
        "/keys" => &shared.counts.jwks,
        _ => &shared.counts.other,
    };
    counter.fetch_add(1, Ordering::SeqCst);
    if let Some(delay) = behaviour.delay {
        tokio::time::sleep(delay).await;
    }
    let is_jwks = path == "/keys";
    let status = behaviour
        .status
        .clone()
        .or_else(|| behaviour.jwks_status.clone().filter(|_| is_jwks));
    if let Some((status, location)) = status {
        return Response::builder()
            .status(status)
            .header("location", location)
            .body(Body::empty())
            .unwrap();
    }
    if is_jwks && behaviour.endless {
        let chunks =
            futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 4096]));
        return Response::new(Body::from_stream(chunks));
    }
    if is_jwks && behaviour.drip {
        let drops = futures_util::stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Some((Ok::<_, std::io::Error>(" "), ()))
        });
        return Response::new(Body::from_stream(drops));
    }
    let seen = request.headers().get("if-none-match");
    if is_jwks
        && behaviour.etag.is_some()
        && seen.map(|seen| seen.as_bytes()) == behaviour.etag.map(str::as_bytes)
    {
        shared.counts.not_modified.fetch_add(1, Ordering::SeqCst);
        return Response::builder().status(304).body(Body::empty()).unwrap();
    }
    let body = if is_jwks {
        behaviour
            .raw
            .unwrap_or_else(|| behaviour.jwks.to_string().into_bytes())
    } else {
        let own_keys = format!("{}/keys", shared.url);
        json!({
            "issuer": behaviour.issuer.unwrap_or_else(|| shared.url.clone()),
            "jwks_uri": behaviour.jwks_uri.unwrap_or(own_keys),
            "id_token_signing_alg_values_supported": ["RS256"],
        })
        .to_string()
        .into_bytes()
    };
    let mut response = Response::builder().header("content-type", "application/json");
    if let Some(value) = behaviour.cache_control {
        response = response.header("cache-control", value);
    }
    if let Some(value) = behaviour.encoding.filter(|_| is_jwks) {
        response = response.header("content-encoding", value);
    }
    if let Some(value) = behaviour.etag.filter(|_| is_jwks) {
        response = response.header("etag", value);
    }
    response.body(Body::from(body)).unwrap()
}
