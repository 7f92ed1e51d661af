//! Where the keys of an issuer are read from: over HTTP, or from a file.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dayfly_token::{Excerpt, JsonError, json};
use dayfly_verifier::fetch::{FetchError, FetchOptions, Fetched, Fetcher};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::algorithm::JoseAlgorithm;
use super::config::{JwksSource, OidcConfigError, OidcIssuerConfig};
use super::jwks::{IssuerKeys, JwksError, MAX_JWKS_BYTES};
use super::location::{self, LocationError};
use super::schedule::RefreshTiming;

/// The path of the discovery document, appended to the issuer (OpenID Connect Discovery section 4).
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// Why keys could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("discovery document: {0}")]
    Discovery(JsonError),
    #[error("{url}: {reason}")]
    Fetch { url: Url, reason: String },
    #[error("{}: {source}", path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("discovery document is of `{found}`")]
    Issuer { found: Excerpt },
    #[error("JWK Set: {0}")]
    Jwks(JwksError),
    #[error("`jwks_uri`: {0}")]
    Location(LocationError),
}

/// What a fetch brought.
#[derive(Debug)]
pub(crate) struct Load {
    /// The keys; `None` if those at hand are still the ones.
    pub(crate) keys: Option<IssuerKeys>,
    /// For how long the server says that they are fresh.
    pub(crate) max_age: Option<Duration>,
}

/// Where one issuer's keys come from.
#[derive(Debug)]
pub(crate) enum KeyOrigin {
    Http(Box<HttpOrigin>),
    File(PathBuf),
}

pub(crate) struct HttpOrigin {
    fetcher: Fetcher,
    known: Mutex<Known>,
}

/// What the last fetch learned for the next.
#[derive(Debug, Default)]
struct Known {
    /// Of the discovery document, until it has to be read again.
    jwks_uri: Option<(Url, Instant)>,
    /// The version of the keys at hand, and where they came from.
    etag: Option<(Url, String)>,
}

impl KeyOrigin {
    pub(crate) fn new(
        config: &OidcIssuerConfig,
        timing: &RefreshTiming,
    ) -> Result<Self, OidcConfigError> {
        if let JwksSource::File(path) = &config.jwks {
            return Ok(Self::File(path.clone()));
        }
        let fetcher = Fetcher::new(FetchOptions {
            ca_pem: config.ca_pem.clone(),
            timeout: timing.fetch_timeout,
            max_bytes: MAX_JWKS_BYTES,
            allow_http: config.danger_allow_http,
            public_addresses_only: !config.allow_private && !config.danger_allow_http,
        })
        .map_err(|error: FetchError| OidcConfigError::Fetcher {
            issuer: config.name.clone(),
            reason: whole(&error),
        })?;
        Ok(Self::Http(Box::new(HttpOrigin {
            fetcher,
            known: Mutex::default(),
        })))
    }

    /// The keys of a file, which are there from the start or never. What comes over the network comes later.
    pub(crate) fn load_at_start(
        &self,
        config: &OidcIssuerConfig,
        allowed: &[JoseAlgorithm],
    ) -> Result<Option<IssuerKeys>, OidcConfigError> {
        let Self::File(path) = self else {
            return Ok(None);
        };
        let refused = |error: LoadError| OidcConfigError::File {
            issuer: config.name.clone(),
            path: path.clone(),
            reason: error.to_string(),
        };
        read_file(path, allowed).map(Some).map_err(refused)
    }

    pub(crate) async fn load(
        &self,
        config: &OidcIssuerConfig,
        allowed: &[JoseAlgorithm],
        timing: &RefreshTiming,
    ) -> Result<Load, LoadError> {
        match self {
            Self::Http(origin) => origin.load(config, allowed, timing).await,
            // A local file of at most 256 KiB, read once a minute.
            Self::File(path) => Ok(Load {
                keys: Some(read_file(path, allowed)?),
                max_age: Some(timing.min_age),
            }),
        }
    }
}

impl HttpOrigin {
    async fn load(
        &self,
        config: &OidcIssuerConfig,
        allowed: &[JoseAlgorithm],
        timing: &RefreshTiming,
    ) -> Result<Load, LoadError> {
        let url = match &config.jwks {
            JwksSource::Url(url) => url.clone(),
            _ => self.jwks_uri(config, timing).await?,
        };
        let etag = self.known(|known| known.etag.clone());
        let etag = etag.filter(|(of, _)| *of == url).map(|(_, etag)| etag);
        let answer = self.get(&url, etag.as_deref()).await.inspect_err(|_| {
            // Discovery is asked again: the keys may have moved.
            self.known(|known| known.jwks_uri = None);
        })?;
        let max_age = answer.max_age.map(Duration::from_secs);
        if answer.is_not_modified() {
            return Ok(Load {
                keys: None,
                max_age,
            });
        }
        let keys = IssuerKeys::parse(&answer.body, allowed).map_err(LoadError::Jwks)?;
        self.known(|known| known.etag = answer.etag.map(|etag| (url, etag)));
        Ok(Load {
            keys: Some(keys),
            max_age,
        })
    }

    /// OpenID Connect Discovery section 4.3: the `issuer` in the document MUST be exactly the one that it was fetched
    /// for. `jwks_uri` may be on another host.
    async fn jwks_uri(
        &self,
        config: &OidcIssuerConfig,
        timing: &RefreshTiming,
    ) -> Result<Url, LoadError> {
        #[derive(Deserialize)]
        struct Document {
            issuer: String,
            jwks_uri: String,
        }
        let now = Instant::now();
        let known = self.known(|known| known.jwks_uri.clone());
        if let Some((url, _)) = known.filter(|(_, until)| now < *until) {
            return Ok(url);
        }
        let base = config.issuer.strip_suffix('/').unwrap_or(&config.issuer);
        let url = location::check_endpoint(&format!("{base}{WELL_KNOWN}"), config.reach())
            .map_err(LoadError::Location)?;
        let answer = self.get(&url, None).await?;
        let document: Document = json::from_slice(&answer.body).map_err(LoadError::Discovery)?;
        if document.issuer != config.issuer {
            return Err(LoadError::Issuer {
                found: Excerpt::of(&document.issuer),
            });
        }
        let jwks_uri = location::check_endpoint(&document.jwks_uri, config.reach())
            .map_err(LoadError::Location)?;
        let until = now + timing.fresh_for(answer.max_age.map(Duration::from_secs));
        self.known(|known| known.jwks_uri = Some((jwks_uri.clone(), until)));
        Ok(jwks_uri)
    }

    async fn get(&self, url: &Url, etag: Option<&str>) -> Result<Fetched, LoadError> {
        let fetched = self.fetcher.get(url, etag).await;
        fetched.map_err(|error| LoadError::Fetch {
            url: url.clone(),
            reason: whole(&error),
        })
    }

    fn known<T>(&self, use_it: impl FnOnce(&mut Known) -> T) -> T {
        use_it(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for HttpOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpOrigin")
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

/// An error with all its sources, for a status that keeps text only.
fn whole(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn read_file(path: &Path, allowed: &[JoseAlgorithm]) -> Result<IssuerKeys, LoadError> {
    let failed = |source| LoadError::File {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .map_err(failed)?
        .take(MAX_JWKS_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    IssuerKeys::parse(&bytes, allowed).map_err(LoadError::Jwks)
}
