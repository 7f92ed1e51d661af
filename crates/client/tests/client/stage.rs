//! An issuer that answers what a test tells it to, and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use dayfly_client::{Client, ClientBuilder, Identity, RetryPolicy, Secret};
use dayfly_lab::{ClientBundle, LOOPBACK_NAMES, SpiffeCa, Svid, TlsAuthority, guard};
use dayfly_verifier::PeerCertificate;
use dayfly_verifier::tls::Server;
use serde_json::{Value, json};
use tokio::sync::oneshot;

pub(crate) const AUDIENCE: &str = "https://payments.internal";
pub(crate) const METADATA: &str = "/.well-known/oauth-authorization-server";
pub(crate) const TOKEN: &str = "/oauth2/token";

/// One request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) peer: Option<String>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.to_string(),
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn unavailable(retry_after: &str) -> Self {
        Self::json(503, &json!({ "error": "temporarily_unavailable" }))
            .header("retry-after", retry_after)
    }
}

/// Answers by what was asked; for certificates, which are made for the request's key.
pub(crate) type Answerer = Arc<dyn Fn(&Seen) -> Answer + Send + Sync>;

#[derive(Default)]
pub(crate) struct Script {
    seen: Mutex<Vec<Seen>>,
    queued: Mutex<HashMap<String, VecDeque<Answer>>>,
    standing: Mutex<HashMap<String, Answerer>>,
}

impl Script {
    /// Answers this once to the next request for `path`; several queue up.
    pub(crate) fn once(&self, path: &str, answer: Answer) {
        self.queued
            .lock()
            .unwrap()
            .entry(path.to_owned())
            .or_default()
            .push_back(answer);
    }

    /// Answers like this to every request for `path` that no queued answer is for.
    pub(crate) fn always(
        &self,
        path: &str,
        answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) {
        self.standing
            .lock()
            .unwrap()
            .insert(path.to_owned(), Arc::new(answer));
    }

    pub(crate) fn seen(&self, path: &str) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|seen| seen.target.split('?').next() == Some(path))
            .cloned()
            .collect()
    }

    fn answer(&self, seen: Seen) -> Answer {
        let path = seen.target.split('?').next().unwrap_or_default().to_owned();
        self.seen.lock().unwrap().push(seen.clone());
        if let Some(answer) = self
            .queued
            .lock()
            .unwrap()
            .get_mut(&path)
            .and_then(VecDeque::pop_front)
        {
            return answer;
        }
        // Not under the lock: an answer may take its time.
        let standing = self.standing.lock().unwrap().get(&path).map(Arc::clone);
        standing.map_or_else(|| Answer::json(404, &json!({})), |answer| answer(&seen))
    }
}

pub(crate) struct Stage {
    pub(crate) tls: TlsAuthority,
    pub(crate) spiffe: SpiffeCa,
    pub(crate) script: Arc<Script>,
    pub(crate) issuer: String,
    _stop: oneshot::Sender<()>,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let tls = TlsAuthority::new().unwrap();
        let spiffe = SpiffeCa::with_intermediate("prod.example").unwrap();
        let bundle_pem = spiffe.bundle_pem();
        let bundles = [ClientBundle {
            trust_domain: "prod.example",
            pem: &bundle_pem,
        }];
        let config = tls
            .server_config_with_clients(LOOPBACK_NAMES, &bundles)
            .unwrap();
        let listener = guard::listen(guard::any_port()).await.unwrap();
        let issuer = format!("https://{}", listener.local_addr().unwrap());
        let script = Arc::new(Script::default());
        let metadata = metadata(&issuer);
        script.always(METADATA, move |_| Answer::json(200, &metadata));
        script.always(TOKEN, |_| token_answer("eyJ.granted.token", 300));
        let (stop, stopped) = oneshot::channel::<()>();
        let server = Server::new(listener, move || Arc::clone(&config));
        let router = router(Arc::clone(&script));
        tokio::spawn(server.serve(router, async move {
            let _ = stopped.await;
        }));
        Self {
            tls,
            spiffe,
            script,
            issuer,
            _stop: stop,
        }
    }

    /// A builder that trusts the stage's CA and waits little.
    pub(crate) fn client(&self) -> ClientBuilder {
        Client::builder(&self.issuer)
            .ca_pem(self.tls.ca_pem())
            .retry(RetryPolicy::DEFAULT.longest_wait(Duration::from_secs(2)))
    }

    pub(crate) fn svid(&self, path: &str) -> Svid {
        self.spiffe.svid(path, Duration::from_secs(600)).unwrap()
    }

    pub(crate) fn seen(&self, path: &str) -> Vec<Seen> {
        self.script.seen(path)
    }
}

pub(crate) fn router(script: Arc<Script>) -> Router {
    Router::new().fallback(handle).with_state(script)
}

pub(crate) fn identity(svid: &Svid) -> Identity {
    Identity::new(
        svid.cert_chain_pem.clone(),
        Secret::new(svid.key_pem.clone()),
    )
}

pub(crate) fn metadata(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "token_endpoint": format!("{issuer}/oauth2/token"),
        "revocation_endpoint": format!("{issuer}/oauth2/revoke"),
        "introspection_endpoint": format!("{issuer}/oauth2/introspect"),
        "response_types_supported": [],
    })
}

pub(crate) fn token_answer(token: &str, expires_in: u64) -> Answer {
    Answer::json(
        200,
        &json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": expires_in,
            "scope": "deploy:write",
            "decision_id": "QAAAAAAAAAAAAAAAAAAAAA",
        }),
    )
}

async fn handle(State(script): State<Arc<Script>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let peer = parts
        .extensions
        .get::<PeerCertificate>()
        .and_then(PeerCertificate::spiffe_id);
    let answer = script.answer(Seen {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
        peer: peer.map(ToString::to_string),
    });
    let mut response = (StatusCode::from_u16(answer.status).unwrap(), answer.body).into_response();
    for (name, value) in answer.headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}
