use std::fmt;
use std::sync::Arc;

use url::Url;

use crate::client::Client;
use crate::identity::ParsedIdentity;
use crate::session::Session;
use crate::{ClientError, Identity, RetryPolicy, Source};

/// Sets up a [`Client`].
pub struct ClientBuilder {
    issuer: String,
    ca_pem: Option<Vec<u8>>,
    identity: Option<Identity>,
    source: Option<Source>,
    retry: RetryPolicy,
    insecure: bool,
}

impl ClientBuilder {
    pub(crate) fn new(issuer: String) -> Self {
        Self {
            issuer,
            ca_pem: None,
            identity: None,
            source: None,
            retry: RetryPolicy::DEFAULT,
            insecure: false,
        }
    }

    /// Trusts these CAs (PEM) for the issuer's certificate, and no others. Without it: what the machine trusts.
    #[must_use]
    pub fn ca_pem(mut self, ca_pem: impl Into<Vec<u8>>) -> Self {
        self.ca_pem = Some(ca_pem.into());
        self
    }

    /// Presents this certificate on every connection. With no [`Self::source`] it is the evidence and must be an SVID;
    /// with an OIDC source it is the key that tokens are bound to.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Where the evidence comes from.
    #[must_use]
    pub fn source(mut self, source: Source) -> Self {
        self.source = Some(source);
        self
    }

    /// How often calls are repeated after a temporary failure.
    #[must_use]
    pub const fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Allows plain HTTP, to the issuer and to the platform that hands out tokens. For tests on loopback: whoever is
    /// on the way can read and use every token.
    #[must_use]
    pub const fn danger_allow_http(mut self) -> Self {
        self.insecure = true;
        self
    }

    /// Checks the settings. No connection is made yet, and no file of a [`Source`] is read.
    pub fn build(self) -> Result<Client, ClientError> {
        let issuer_url = self.issuer_url()?;
        if self.identity.is_some() && matches!(self.source, Some(Source::Svid { .. })) {
            return Err(ClientError::Configuration {
                reason: "there are two client certificates: an identity and an SVID source"
                    .to_owned(),
            });
        }
        let identity = self
            .identity
            .as_ref()
            .map(ParsedIdentity::parse)
            .transpose()?;
        let session = Session::new(
            self.issuer,
            issuer_url,
            self.ca_pem,
            self.insecure,
            self.source,
            self.retry,
        );
        session.connect(identity.as_ref())?;
        Ok(Client {
            session: Arc::new(session),
        })
    }

    /// The issuer's URL; it is not repeated before it is known to have no password in it.
    fn issuer_url(&self) -> Result<Url, ClientError> {
        let refused = |reason: String| ClientError::Configuration { reason };
        let url = Url::parse(&self.issuer)
            .map_err(|error| refused(format!("the issuer is no URL: {error}")))?;
        // RFC 8414 section 2: scheme, host, port and path, nothing else.
        if !url.has_host()
            || url.query().is_some()
            || url.fragment().is_some()
            || !url.username().is_empty()
            || url.password().is_some()
        {
            return Err(refused(
                "the issuer's URL is not just scheme, host, port and path".to_owned(),
            ));
        }
        if url.scheme() != "https" && !(self.insecure && url.scheme() == "http") {
            return Err(ClientError::Unencrypted {
                url: self.issuer.clone(),
            });
        }
        Ok(url)
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the issuer: nobody has looked yet whether a password is in it.
        f.debug_struct("ClientBuilder")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}
