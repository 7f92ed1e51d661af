use std::fmt;
use std::net::SocketAddr;

use axum::routing::get;
use axum::{Extension, Json, Router};
use dayfly_verifier::{Verified, Verifier};
use serde_json::{Value, json};

use crate::clients::ClientBundle;
use crate::service::{Bound, Service};
use crate::{LOOPBACK_NAMES, LabError, TlsAuthority, guard};

/// The scope that `GET /deployments` asks for.
const DEPLOYMENTS_SCOPE: &str = "deploy:write";

/// How to start a [`SampleApi`].
#[derive(Clone)]
pub struct SampleApiOptions<'a> {
    /// Checks the tokens: issuer, audience, keys and revocations are its matter.
    pub verifier: Verifier,
    /// Who signs the server certificate.
    pub tls: &'a TlsAuthority,
    /// The trust domains whose SVIDs clients may present, so that bound tokens can be proven.
    pub client_bundles: &'a [ClientBundle<'a>],
    /// Where to listen; a loopback address.
    pub address: SocketAddr,
}

impl<'a> SampleApiOptions<'a> {
    /// A free port of 127.0.0.1, no client certificates.
    #[must_use]
    pub const fn new(verifier: Verifier, tls: &'a TlsAuthority) -> Self {
        Self {
            verifier,
            tls,
            client_bundles: &[],
            address: guard::any_port(),
        }
    }

    /// Clients may present SVIDs of these trust domains.
    #[must_use]
    pub const fn client_bundles(mut self, client_bundles: &'a [ClientBundle<'a>]) -> Self {
        self.client_bundles = client_bundles;
        self
    }
}

/// An API as its author would write it: two routes, and `dayfly-verifier` in front of them.
///
/// `GET /whoami` admits every verified caller, `GET /deployments` those with the scope `deploy:write`. It stops
/// listening when it is dropped.
pub struct SampleApi {
    url: String,
    service: Service,
}

impl SampleApi {
    /// Starts to listen, over TLS 1.3.
    pub async fn start(options: SampleApiOptions<'_>) -> Result<Self, LabError> {
        let bound = Bound::new(options.address).await?;
        let config = options
            .tls
            .server_config_with_clients(LOOPBACK_NAMES, options.client_bundles)?;
        let url = format!("https://{}", bound.address);
        let service = bound.serve(router(&options.verifier), Some(config));
        Ok(Self { url, service })
    }

    /// Where it is, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops listening and waits until open requests have ended.
    pub async fn stop(self) {
        self.service.stop().await;
    }
}

impl fmt::Debug for SampleApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SampleApi")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

fn router(verifier: &Verifier) -> Router {
    let whoami_routes = Router::new()
        .route("/whoami", get(whoami))
        .layer(verifier.layer());
    let deployment_routes = Router::new()
        .route("/deployments", get(deployments))
        .layer(verifier.layer().require_scope(DEPLOYMENTS_SCOPE));
    whoami_routes.merge(deployment_routes)
}

/// Who the caller is, as the API has learnt it without asking anyone.
async fn whoami(Extension(caller): Extension<Verified>) -> Json<Value> {
    Json(json!({
        "subject": caller.subject(),
        "workload": caller.workload().map(|workload| workload.to_string()),
        "scopes": caller.scopes(),
        "task": caller.task(),
        "rule": caller.rule(),
        "environment": caller.environment(),
        "credential_id": caller.credential_id(),
        "expires_at": caller.expires_at(),
        "bound": caller.confirmation().is_some(),
        "revocation": caller.freshness(),
    }))
}

async fn deployments(Extension(caller): Extension<Verified>) -> Json<Value> {
    Json(json!({
        "deployments": [
            { "service": "payments", "version": "1.4.0", "state": "live" },
            { "service": "payments", "version": "1.4.1", "state": "rolling out" },
        ],
        "asked_by": caller.subject(),
        "task": caller.task(),
    }))
}
