use std::sync::Arc;
use std::time::Duration;

use dayfly_keys::{JwkSetError, KeySet};
use dayfly_token::{Excerpt, JsonError};
use url::Url;

use super::feed::{FeedFollower, Problem};
use super::keys::KeyFollower;
use super::metadata::{self, Endpoints};
use super::{Guard, Timing};
use crate::Verifier;
use crate::builder::{BuildError, RevocationSource, VerifierBuilder};
use crate::dpop;
use crate::feed::FeedError;
use crate::fetch::{FetchError, FetchOptions, Fetcher};
use crate::revocation::Revocations;

/// Why an issuer cannot be followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The verifier itself is not complete.
    #[error("the verifier cannot be built")]
    Build {
        /// Why.
        source: BuildError,
    },
    /// The feed's snapshot is not believed.
    #[error("the revocation snapshot is refused")]
    Feed {
        /// Why.
        source: FeedError,
    },
    /// Something could not be fetched.
    #[error("cannot fetch the {what} from {url}")]
    Fetch {
        /// What.
        what: &'static str,
        /// Where from.
        url: String,
        /// Why.
        source: FetchError,
    },
    /// The issuer's name cannot be one.
    #[error("`{issuer}` is no issuer to follow: {detail}")]
    Issuer {
        /// The name.
        issuer: Excerpt,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// The metadata are another issuer's. The name must be the same to the byte, a slash at the end included.
    #[error("the metadata are of the issuer `{found}`")]
    IssuerMismatch {
        /// The name in the metadata.
        found: Excerpt,
    },
    /// A key set is refused.
    #[error("the {what} are refused")]
    Keys {
        /// Which.
        what: &'static str,
        /// Why.
        source: JwkSetError,
    },
    /// The metadata are not acceptable JSON.
    #[error("the metadata are refused")]
    Metadata {
        /// What is wrong with them.
        source: JsonError,
    },
    /// The issuer publishes no feed.
    #[error(
        "the issuer publishes no revocation feed: choose `RevocationSource::None` if that is all right"
    )]
    NoFeed,
    /// A document stands on another origin than the issuer.
    #[error("`{member}` is `{url}`, not on the issuer's own origin")]
    Origin {
        /// The metadata member.
        member: &'static str,
        /// Its value.
        url: Excerpt,
    },
}

/// Collects what following an issuer needs; [`FromIssuer::build`] connects.
#[derive(Clone)]
#[must_use]
pub struct FromIssuer {
    issuer: String,
    builder: VerifierBuilder,
    source: RevocationSource,
    fetch: FetchOptions,
    timing: Timing,
}

impl Verifier {
    /// Starts a verifier that follows `issuer`, which is an https URL and, to the byte, the `iss` of its tokens:
    /// keys and revocations are fetched at once and kept up to date in the background.
    ///
    /// Revocations are followed unless [`FromIssuer::revocation`] says otherwise.
    pub fn from_issuer(issuer: impl Into<String>) -> FromIssuer {
        let issuer = issuer.into();
        FromIssuer {
            builder: Self::builder(issuer.clone()),
            issuer,
            source: RevocationSource::Follow,
            fetch: FetchOptions::default(),
            timing: Timing::default(),
        }
    }
}

impl FromIssuer {
    /// An audience that this API answers to; see [`VerifierBuilder::audience`].
    pub fn audience(self, audience: impl Into<String>) -> Self {
        self.with(|builder| builder.audience(audience))
    }

    /// See [`VerifierBuilder::danger_any_audience`].
    pub fn danger_any_audience(self) -> Self {
        self.with(VerifierBuilder::danger_any_audience)
    }

    /// Trusts these CA certificates (PEM) and no others for the connection to the issuer.
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.fetch.ca_pem = Some(pem.into());
        self
    }

    /// Where revocations come from; [`RevocationSource::Follow`] if not called.
    pub const fn revocation(mut self, source: RevocationSource) -> Self {
        self.source = source;
        self
    }

    /// See [`VerifierBuilder::leeway_secs`].
    pub fn leeway_secs(self, secs: u64) -> Self {
        self.with(|builder| builder.leeway_secs(secs))
    }

    /// See [`VerifierBuilder::max_lifetime_secs`].
    pub fn max_lifetime_secs(self, secs: u64) -> Self {
        self.with(|builder| builder.max_lifetime_secs(secs))
    }

    /// See [`VerifierBuilder::max_staleness_secs`].
    pub fn max_staleness_secs(self, secs: u64) -> Self {
        self.with(|builder| builder.max_staleness_secs(secs))
    }

    /// See [`VerifierBuilder::dpop`].
    pub fn dpop(self, policy: dpop::Policy) -> Self {
        self.with(|builder| builder.dpop(policy))
    }

    /// See [`VerifierBuilder::shared_revocations`].
    pub fn shared_revocations(self, revocations: Arc<Revocations>) -> Self {
        self.with(|builder| builder.shared_revocations(revocations))
    }

    /// Shortest time between two fetches that an unknown key id asks for; 10 s if not called.
    pub const fn refresh_cooldown(mut self, cooldown: Duration) -> Self {
        self.timing.cooldown = cooldown;
        self
    }

    /// Allows an `http:` issuer. Only for tests on loopback: whoever is on the path then mints at will.
    pub const fn danger_allow_http(mut self) -> Self {
        self.fetch.allow_http = true;
        self
    }

    #[cfg(test)]
    pub(super) const fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    fn with(self, change: impl FnOnce(VerifierBuilder) -> VerifierBuilder) -> Self {
        Self {
            builder: change(self.builder),
            ..self
        }
    }

    /// Fetches metadata, keys and revocations once, then starts the background task on the current tokio runtime.
    /// The task ends with the last clone of the verifier.
    ///
    /// # Errors
    /// If anything is missing, refused or out of reach: a verifier that comes out is ready.
    pub async fn build(self) -> Result<Verifier, ConnectError> {
        let issuer_url = metadata::parse_issuer(&self.issuer, self.fetch.allow_http)?;
        let verifier = self
            .builder
            .revocation(self.source)
            .build()
            .map_err(|source| ConnectError::Build { source })?;
        let fetch_failed = |source| ConnectError::Fetch {
            what: "trust roots",
            url: String::new(),
            source,
        };
        let fetcher = Fetcher::new(self.fetch).map_err(fetch_failed)?;
        let metadata_url = metadata::metadata_url(&issuer_url);
        let fetched = fetch(&fetcher, "metadata", &metadata_url).await?;
        let endpoints = metadata::parse_metadata(&fetched, &self.issuer, &issuer_url)?;
        let feed = feed_of(self.source, &endpoints)?;
        let core = Arc::clone(verifier.core());
        let keys = KeyFollower::start(
            Arc::clone(&core),
            fetcher.clone(),
            &issuer_url,
            &endpoints,
            self.timing,
        )
        .await?;
        let task = match feed {
            None => tokio::spawn(keys.run()),
            Some(urls) => {
                let feed = FeedFollower::start(core, fetcher, urls, self.timing).await?;
                tokio::spawn(async move {
                    tokio::join!(keys.run(), feed.run());
                })
            }
        };
        Ok(verifier.followed_by(Guard(task)))
    }
}

fn feed_of(
    source: RevocationSource,
    endpoints: &Endpoints,
) -> Result<Option<metadata::FeedEndpoints>, ConnectError> {
    match source {
        RevocationSource::Follow => endpoints.feed.clone().map(Some).ok_or(ConnectError::NoFeed),
        RevocationSource::Bundle | RevocationSource::None => Ok(None),
    }
}

/// One document, as a whole and unconditionally.
pub(super) async fn fetch(
    fetcher: &Fetcher,
    what: &'static str,
    url: &Url,
) -> Result<Vec<u8>, ConnectError> {
    match fetcher.get(url, None).await {
        Ok(fetched) => Ok(fetched.body),
        Err(source) => Err(ConnectError::Fetch {
            what,
            url: url.to_string(),
            source,
        }),
    }
}

pub(super) fn parse_keys(what: &'static str, bytes: &[u8]) -> Result<KeySet, ConnectError> {
    KeySet::parse(bytes).map_err(|source| ConnectError::Keys { what, source })
}

impl From<Problem> for ConnectError {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Fetch(error) => error,
            Problem::Refused(source) => Self::Feed { source },
        }
    }
}
