//! The real router over a real server on the embedded ledger, without sockets.

mod admin;
mod documents;
mod doubt;
mod feed;
mod grants;
mod matrix;
mod records;
mod reload;
mod surface;

use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use dayfly_lab::{
    GithubJob, LOOPBACK_NAMES, OidcIssuer, OidcOptions, SpiffeCa, Svid, TlsAuthority,
};
use dayfly_verifier::PeerCertificate;
use http::{HeaderMap, Request, StatusCode, header};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

use super::SocketPeer;
use crate::app::{Running, Server, Settings};
use crate::config::{
    Config, Grant, IssuerUrl, OidcIssuer as Section, PresetName, TrustDomainBundle,
};

pub(crate) const API: &str = "https://payments.internal";

const PAYMENTS: &str = r#"
[owner]
contact = "payments@example.org"

[[audience]]
id = "https://payments.internal"
environment = "prod"
scopes = ["deploy:write", "deploy:read", "ledger:read"]
operators = ["payments/api"]

[[workload]]
name = "deploy"
environment = "prod"
purpose = "deploys the payments service"
[[workload.rule]]
name = "gh-deploy"
issuer = "github"
match = { repository_id = "74", repository_owner_id = "65", environment = "prod", event_name = "push" }
[[workload.grant]]
audience = "https://payments.internal"
scopes = ["deploy:write", "deploy:read"]
ttl = "5m"
require_task = true

[[workload]]
name = "worker"
environment = "prod"
purpose = "books what was paid"
[[workload.rule]]
name = "svid-worker"
trust_domain = "prod.example.org"
spiffe_id = "spiffe://prod.example.org/payments/worker"
[[workload.grant]]
audience = "https://payments.internal"
scopes = ["ledger:read", "deploy:read"]
ttl = "10m"
[workload.certificate]
ttl = "15m"
dns_names = ["worker.payments.internal"]

[[workload]]
name = "api"
environment = "prod"
purpose = "the payments API itself"
[[workload.rule]]
name = "svid-api"
trust_domain = "prod.example.org"
spiffe_id = "spiffe://prod.example.org/payments/api"
"#;

const PLATFORM: &str = r#"
[owner]
contact = "platform@example.org"

[[workload]]
name = "console"
environment = "prod"
purpose = "operates dayfly"
[[workload.rule]]
name = "svid-console"
trust_domain = "prod.example.org"
spiffe_id = "spiffe://prod.example.org/platform/console"

[[workload]]
name = "billing-admin"
environment = "prod"
purpose = "operates what belongs to billing"
[[workload.rule]]
name = "svid-billing-admin"
trust_domain = "prod.example.org"
spiffe_id = "spiffe://prod.example.org/platform/billing-admin"
"#;

const BILLING: &str = r#"
[owner]
contact = "billing@example.org"

[[workload]]
name = "reader"
environment = "prod"
purpose = "reads the ledger"
[[workload.rule]]
name = "svid-reader"
trust_domain = "prod.example.org"
spiffe_id = "spiffe://prod.example.org/billing/reader"
"#;

/// Every right there is.
const ALL_RIGHTS: [&str; 6] = [
    "dayfly:audit",
    "dayfly:hold",
    "dayfly:introspect",
    "dayfly:keys",
    "dayfly:revoke",
    "dayfly:task",
];

/// A server with the lab around it.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) spiffe: SpiffeCa,
    pub(crate) github: OidcIssuer,
    pub(crate) running: Running,
    pub(crate) public: Router,
    pub(crate) socket: Router,
    pub(crate) operations: Router,
    pub(crate) base: String,
}

/// An answer, read whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with("https://localhost:0", |_| {}).await
    }

    pub(crate) async fn with(issuer: &str, change: impl FnOnce(&mut Config)) -> Self {
        Self::start(issuer, false, change).await
    }

    pub(crate) async fn start(issuer: &str, watch: bool, change: impl FnOnce(&mut Config)) -> Self {
        let world = Self::open(issuer, watch, change).await;
        if world.running.app.audit.is_healthy() {
            world.running.ready(Duration::from_secs(10)).await.unwrap();
        }
        world
    }

    /// A world whose server may never get ready.
    pub(crate) async fn open(issuer: &str, watch: bool, change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let spiffe = SpiffeCa::new("prod.example.org").unwrap();
        let github = OidcIssuer::start(OidcOptions::default()).await.unwrap();
        let mut config = config(dir.path(), issuer, &spiffe, &github);
        change(&mut config);
        let running = Server::start(Settings {
            watch,
            ..Settings::new(config)
        })
        .await
        .unwrap();
        let app = &running.app;
        Self {
            public: super::public(app),
            socket: super::socket(app),
            operations: super::operations(app),
            base: app.issuer_url.path().to_owned(),
            dir,
            spiffe,
            github,
            running,
        }
    }

    pub(crate) fn svid(&self, workload: &str) -> Svid {
        self.spiffe
            .svid(&format!("/{workload}"), Duration::from_secs(3600))
            .unwrap()
    }

    pub(crate) fn ci_token(&self) -> String {
        self.github
            .github_token(&GithubJob::for_audience(self.running.public_url()))
    }

    /// A form, sent to the public listener.
    pub(crate) async fn form(
        &self,
        path: &str,
        svid: Option<&Svid>,
        fields: &[(&str, &str)],
    ) -> Answer {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        let request = Request::post(format!("{}{path}", self.base))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(body.finish()))
            .unwrap();
        send(&self.public, with_peer(request, svid)).await
    }

    /// JSON, sent to the public listener.
    pub(crate) async fn json(&self, path: &str, svid: Option<&Svid>, body: &Value) -> Answer {
        let request = Request::post(format!("{}{path}", self.base))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        send(&self.public, with_peer(request, svid)).await
    }

    pub(crate) async fn get(&self, path: &str, svid: Option<&Svid>) -> Answer {
        let request = Request::get(format!("{}{path}", self.base))
            .body(Body::empty())
            .unwrap();
        send(&self.public, with_peer(request, svid)).await
    }

    /// JSON, sent to the admin socket; `None` is a GET.
    pub(crate) async fn admin(&self, path: &str, body: Option<&Value>) -> Answer {
        let request = match body {
            Some(body) => Request::post(path)
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(body.to_string())),
            None => Request::get(path).body(Body::empty()),
        };
        let mut request = request.unwrap();
        request.extensions_mut().insert(SocketPeer { uid: 0 });
        send(&self.socket, request).await
    }

    /// A token of the worker, bound to its certificate.
    pub(crate) async fn worker_token(&self, svid: &Svid) -> String {
        let answer = self
            .form(
                "/oauth2/token",
                Some(svid),
                &[
                    ("grant_type", "client_credentials"),
                    ("client_id", &svid.spiffe_id),
                    ("audience", API),
                ],
            )
            .await;
        answer.text("access_token")
    }

    /// A bearer token of the CI job.
    pub(crate) async fn ci_access(&self, task: &str) -> Answer {
        let assertion = self.ci_token();
        self.form(
            "/oauth2/token",
            None,
            &[
                ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                ("assertion", &assertion),
                ("audience", API),
                ("task", task),
            ],
        )
        .await
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| {
            panic!(
                "not JSON: {} {}",
                self.status,
                String::from_utf8_lossy(&self.body)
            )
        })
    }

    /// A text member of a good answer.
    pub(crate) fn text(&self, name: &str) -> String {
        let body = self.json();
        body[name]
            .as_str()
            .unwrap_or_else(|| panic!("{name}: {} {body}", self.status))
            .to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Status and code of an error answer.
    #[track_caller]
    pub(crate) fn assert_error(&self, status: u16, code: &str) {
        let body = self.json();
        let member = if body.get("error").is_some() {
            "error"
        } else {
            "code"
        };
        assert_eq!(
            (self.status.as_u16(), body[member].as_str().unwrap()),
            (status, code),
            "{body}"
        );
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(
            body["request_id"].as_str().unwrap(),
            self.header("x-request-id"),
            "{body}"
        );
    }
}

pub(crate) fn with_peer(mut request: Request<Body>, svid: Option<&Svid>) -> Request<Body> {
    if let Some(svid) = svid {
        let id = svid.spiffe_id.parse().unwrap();
        let peer = PeerCertificate::new(svid.chain_der.clone(), Some(id)).unwrap();
        request.extensions_mut().insert(peer);
    }
    request
}

pub(crate) async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    }
}

fn config(dir: &Path, issuer: &str, spiffe: &SpiffeCa, github: &OidcIssuer) -> Config {
    let (cert, key) = TlsAuthority::new()
        .unwrap()
        .server_identity(LOOPBACK_NAMES)
        .unwrap();
    write(dir, "tls.crt", &cert);
    write_secret(dir, "tls.key", &key);
    write(dir, "prod.pem", &spiffe.bundle_pem());
    write(dir, "github.jwks", &github.jwks());
    write(dir, "registry/payments/payments.toml", PAYMENTS);
    write(dir, "registry/platform/platform.toml", PLATFORM);
    write(dir, "registry/billing/billing.toml", BILLING);
    std::fs::create_dir_all(dir.join("policies")).unwrap();
    let issuer = IssuerUrl::try_from(issuer.to_owned()).unwrap();
    let mut config = Config::dev(dir, issuer, "sts.example.org".parse().unwrap());
    config.trust_domain_bundle = vec![TrustDomainBundle {
        name: "prod.example.org".parse().unwrap(),
        file: dir.join("prod.pem"),
    }];
    config.oidc_issuer = vec![github_section(dir, github.url())];
    let grant = |workload: &str, owner: Option<&str>| Grant {
        workload: workload.parse().unwrap(),
        scopes: ALL_RIGHTS.map(str::to_owned).to_vec(),
        owner: owner.map(|owner| owner.parse().unwrap()),
    };
    config.grant = vec![
        grant("platform/console", None),
        grant("platform/billing-admin", Some("billing")),
    ];
    config
}

fn github_section(dir: &Path, url: &str) -> Section {
    Section {
        preset: PresetName::Github,
        name: None,
        issuer: Some(url.to_owned()),
        jwks_file: Some(dir.join("github.jwks")),
        jwks_uri: None,
        audiences: Vec::new(),
        algorithms: Vec::new(),
        ca_file: None,
        max_lifetime: None,
        single_use: None,
        shared: None,
        allow_private: true,
        danger_allow_http: true,
    }
}

pub(crate) fn write(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

pub(crate) fn write_secret(dir: &Path, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    write(dir, name, text);
    std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
}
