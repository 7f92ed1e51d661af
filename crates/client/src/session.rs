use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::{Host, Url};

use crate::connection::Connection;
use crate::http::send;
use crate::identity::ParsedIdentity;
use crate::metadata;
use crate::request::Form;
use crate::tls::Trust;
use crate::{ClientError, Metadata, RetryPolicy, Source};

/// How long metadata are used before they are asked for again; endpoints move with a deployment, not in between.
const METADATA_LIFETIME: Duration = Duration::from_secs(300);
/// How long after a failure known metadata are used before they are asked for again: an issuer that hangs would
/// otherwise hold up every call for [`REQUEST_TIMEOUT`](crate::http::REQUEST_TIMEOUT).
const METADATA_RETRY: Duration = Duration::from_secs(10);

const CLIENT_CREDENTIALS: &str = "client_credentials";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// What the clones of a client share: settings, the connection, the metadata.
pub(crate) struct Session {
    pub(crate) issuer: String,
    issuer_url: Url,
    ca_pem: Option<Vec<u8>>,
    insecure: bool,
    pub(crate) source: Option<Source>,
    pub(crate) retry: RetryPolicy,
    connection: ArcSwapOption<Connection>,
    /// Held while an SVID is read anew, so that many callers read it once.
    renewal: Mutex<()>,
    metadata: ArcSwapOption<Known>,
    /// Held by the one who asks again for metadata that are known.
    metadata_turn: Mutex<()>,
}

/// The metadata and when they are asked for again.
struct Known {
    metadata: Arc<Metadata>,
    until: Instant,
}

impl Session {
    pub(crate) fn new(
        issuer: String,
        issuer_url: Url,
        ca_pem: Option<Vec<u8>>,
        insecure: bool,
        source: Option<Source>,
        retry: RetryPolicy,
    ) -> Self {
        Self {
            issuer,
            issuer_url,
            ca_pem,
            insecure,
            source,
            retry,
            connection: ArcSwapOption::empty(),
            renewal: Mutex::new(()),
            metadata: ArcSwapOption::empty(),
            metadata_turn: Mutex::new(()),
        }
    }

    /// Sets up the connection with `identity`; that of an SVID source takes its place at the first use.
    pub(crate) fn connect(&self, identity: Option<&ParsedIdentity>) -> Result<(), ClientError> {
        let connection = Connection::new(self.trust(), identity, is_loopback(&self.issuer_url))?;
        self.connection.store(Some(Arc::new(connection)));
        Ok(())
    }

    fn trust(&self) -> Trust<'_> {
        match &self.ca_pem {
            Some(pem) => Trust::Pinned(pem),
            None if self.issuer_url.scheme() == "https" => Trust::Platform,
            None => Trust::Nobody,
        }
    }

    /// The endpoint as a URL that may carry secrets.
    pub(crate) fn checked(&self, endpoint: &str) -> Result<Url, ClientError> {
        let unusable = |problem: &str| ClientError::Malformed {
            endpoint: self.issuer.clone(),
            reason: format!("the metadata name an endpoint that {problem}"),
        };
        let url = Url::parse(endpoint).map_err(|_| unusable("is no URL"))?;
        // It would be sent as a second kind of proof beside ours.
        if !url.username().is_empty() || url.password().is_some() {
            return Err(unusable("has a user or a password in it"));
        }
        // Plain HTTP only to an issuer that is itself configured so.
        if url.scheme() == "https" || url.scheme() == self.issuer_url.scheme() {
            return Ok(url);
        }
        Err(ClientError::Unencrypted {
            url: dayfly_token::Excerpt::of(endpoint).to_string(),
        })
    }

    /// The parameters that carry the evidence, or point to the certificate that is it.
    pub(crate) async fn evidence(
        &self,
        connection: &Connection,
        with_grant: bool,
    ) -> Result<Form, ClientError> {
        let mut form = Form::default();
        match &self.source {
            Some(Source::Oidc(source)) => {
                let token = source.token(&self.issuer, self.insecure).await?;
                if with_grant {
                    form.add("grant_type", JWT_BEARER);
                }
                form.add("assertion", token.expose());
            }
            None | Some(Source::Svid { .. }) => {
                let id = connection
                    .spiffe_id
                    .as_deref()
                    .ok_or_else(|| no_svid(connection.has_certificate))?;
                if with_grant {
                    form.add("grant_type", CLIENT_CREDENTIALS);
                }
                // Required with a certificate, and equal to its URI SAN (draft-ietf-oauth-spiffe-client-auth).
                form.add("client_id", id);
            }
        }
        Ok(form)
    }

    /// The connection, with the SVID as it now lies in its files. While a new one cannot be read (a writer is half
    /// way), the last good one is used.
    pub(crate) async fn connection(&self) -> Result<Arc<Connection>, ClientError> {
        let current = self.connection.load_full();
        let Some(Source::Svid { cert, key }) = &self.source else {
            return current.ok_or_else(|| no_svid(false));
        };
        let _one_at_a_time = self.renewal.lock().await;
        let current = self.connection.load_full().ok_or_else(|| no_svid(false))?;
        match current
            .renewed(cert, key, self.trust(), is_loopback(&self.issuer_url))
            .await
        {
            Ok(None) => Ok(current),
            Ok(Some(renewed)) => {
                let renewed = Arc::new(renewed);
                self.connection.store(Some(Arc::clone(&renewed)));
                Ok(renewed)
            }
            Err(error) if current.has_certificate => {
                tracing::warn!(%error, "keeping the last good SVID");
                Ok(current)
            }
            Err(error) => Err(error),
        }
    }

    /// The metadata. Nobody waits for another caller's turn: while they are unknown everybody asks, and later one
    /// asks while the others go on with what is known.
    pub(crate) async fn metadata_by(
        &self,
        connection: &Connection,
    ) -> Result<Arc<Metadata>, ClientError> {
        let Some(known) = self.metadata.load_full() else {
            let metadata = self.fetch_metadata(connection).await?;
            return Ok(self.remember(Arc::new(metadata), METADATA_LIFETIME));
        };
        if Instant::now() < known.until {
            return Ok(Arc::clone(&known.metadata));
        }
        let Ok(_turn) = self.metadata_turn.try_lock() else {
            return Ok(Arc::clone(&known.metadata));
        };
        match self.fetch_metadata(connection).await {
            Ok(metadata) => Ok(self.remember(Arc::new(metadata), METADATA_LIFETIME)),
            Err(error) if error.is_temporary() => {
                tracing::warn!(%error, "keeping the last good metadata");
                Ok(self.remember(Arc::clone(&known.metadata), METADATA_RETRY))
            }
            Err(error) => Err(error),
        }
    }

    fn remember(&self, metadata: Arc<Metadata>, lifetime: Duration) -> Arc<Metadata> {
        self.metadata.store(Some(Arc::new(Known {
            metadata: Arc::clone(&metadata),
            until: Instant::now() + lifetime,
        })));
        metadata
    }

    async fn fetch_metadata(&self, connection: &Connection) -> Result<Metadata, ClientError> {
        let location = metadata::location(&self.issuer_url);
        let reply = send(connection.http.get(location.clone()), location.as_str())
            .await?
            .accepted()?;
        Metadata::parse(reply.body(), &self.issuer, &location)
    }
}

pub(crate) fn no_svid(has_certificate: bool) -> ClientError {
    let reason = if has_certificate {
        "the client certificate is no SVID: it has no SPIFFE ID, or several"
    } else {
        "nothing proves who this workload is: set a source, or an identity with an SVID"
    };
    ClientError::EvidenceMissing {
        reason: reason.to_owned(),
    }
}

/// Whether the URL's host is this machine; no proxy is asked for it.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        None => false,
    }
}
