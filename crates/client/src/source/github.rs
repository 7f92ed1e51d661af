use std::fmt;

use reqwest::header::ACCEPT;
use serde::Deserialize;
use tokio::sync::OnceCell;
use url::Url;

use crate::http::send;
use crate::tls::{Trust, http_client};
use crate::{ClientError, Secret};

const REQUEST_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const REQUEST_TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

/// The token service of a GitHub Actions job with `permissions: { id-token: write }`.
pub struct GithubActions {
    request_url: String,
    request_token: Secret,
    audience: Option<String>,
    ca_pem: Option<Vec<u8>>,
    http: OnceCell<reqwest::Client>,
}

impl GithubActions {
    /// From `ACTIONS_ID_TOKEN_REQUEST_URL` and `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
    pub fn new(request_url: impl Into<String>, request_token: impl Into<Secret>) -> Self {
        Self {
            request_url: request_url.into(),
            request_token: request_token.into(),
            audience: None,
            ca_pem: None,
            http: OnceCell::new(),
        }
    }

    /// Asks for tokens for `audience`, where the issuer expects another than its own identifier.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Trusts these CAs, for a GitHub Enterprise Server with a private one.
    #[must_use]
    pub fn ca_pem(mut self, ca_pem: impl Into<Vec<u8>>) -> Self {
        self.ca_pem = Some(ca_pem.into());
        self
    }

    /// From the environment of this job.
    pub fn from_environment() -> Result<Self, ClientError> {
        Self::from_variables(&|name| std::env::var(name).ok()).ok_or_else(|| ClientError::EvidenceMissing {
            reason: format!(
                "`{REQUEST_URL}` and `{REQUEST_TOKEN}` are not set: give the job `permissions: {{ id-token: write }}`"
            ),
        })
    }

    pub(super) fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        Some(Self::new(
            variable(REQUEST_URL)?,
            Secret::new(variable(REQUEST_TOKEN)?),
        ))
    }

    /// A fresh token for `issuer`.
    pub(super) async fn token(&self, issuer: &str, insecure: bool) -> Result<Secret, ClientError> {
        let mut url = Url::parse(&self.request_url).map_err(|_| ClientError::Configuration {
            reason: format!("`{REQUEST_URL}` is no URL"),
        })?;
        let endpoint = endpoint_name(&url);
        if url.scheme() != "https" && !insecure {
            return Err(ClientError::Unencrypted { url: endpoint });
        }
        url.query_pairs_mut()
            .append_pair("audience", self.audience.as_deref().unwrap_or(issuer));
        let http = self
            .http
            .get_or_try_init(|| async { self.http_client(&url) })
            .await?;
        let request = http
            .get(url)
            .bearer_auth(self.request_token.expose())
            .header(ACCEPT, "application/json; api-version=2.0");
        let reply = send(request, &endpoint).await?;
        if !reply.status.is_success() {
            let status = reply.status.as_u16();
            let reason = format!("it answered {status}");
            return Err(ClientError::EvidenceRefused {
                endpoint,
                reason,
                status,
            });
        }
        let body: IdToken = reply.json()?;
        Ok(Secret::new(body.value))
    }

    fn http_client(&self, url: &Url) -> Result<reqwest::Client, ClientError> {
        let trust = match &self.ca_pem {
            Some(pem) => Trust::Pinned(pem),
            None if url.scheme() == "https" => Trust::Platform,
            None => Trust::Nobody,
        };
        http_client(trust, None, crate::session::is_loopback(url))
    }
}

impl fmt::Debug for GithubActions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GithubActions").finish_non_exhaustive()
    }
}

/// Scheme, host and path: the query may have ids of the run.
fn endpoint_name(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.to_string()
}

#[derive(Deserialize)]
struct IdToken {
    value: String,
}
