use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dayfly_keys::{JwkSetError, KeySet};
use dayfly_token::{Excerpt, JsonError};
use url::Url;

use super::feed::Problem;
use super::plan::Plan;
use super::state::StateError;
use super::{Guard, Timing, metadata};
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
    /// No connection can be made at all: the CA certificates, or those of the system, cannot be used.
    #[error("no connection to the issuer can be prepared")]
    Client {
        /// Why.
        source: FetchError,
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
    #[error("the metadata are of the issuer `{found}`, which is not the name given, to the byte")]
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
    /// The issuer is out of reach, and the state file does not help.
    #[error("the issuer is out of reach, and there is no state to start from: {state}")]
    Offline {
        /// Why the state file was not used.
        state: StateError,
        /// Why the issuer was not reached.
        source: Box<ConnectError>,
    },
    /// A document stands on another origin than the issuer.
    #[error("`{member}` is `{url}`, not on the issuer's own origin")]
    Origin {
        /// The metadata member.
        member: &'static str,
        /// Its value.
        url: Excerpt,
    },
    /// A state file for a verifier that does not follow the feed: nothing would say how old it is.
    #[error("a state file needs the revocation feed: choose `RevocationSource::Follow`")]
    StateWithoutFeed,
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
    state_file: Option<PathBuf>,
    without_issuer: bool,
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
            state_file: None,
            without_issuer: false,
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

    /// See [`VerifierBuilder::shared_proofs`].
    pub fn shared_proofs(self, verifier: &Verifier) -> Self {
        self.with(|builder| builder.shared_proofs(verifier))
    }

    /// See [`VerifierBuilder::cached_tokens`].
    pub fn cached_tokens(self, tokens: usize) -> Self {
        self.with(|builder| builder.cached_tokens(tokens))
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

    /// Keeps what is known of the issuer in this file, so that a restart works while the issuer is out of reach.
    ///
    /// The file is written in the background, every 30 s at most, all or nothing, with mode 0600. If the issuer cannot
    /// be reached when the verifier is built, it comes up from the file and follows as soon as it can: the statements
    /// are verified again, their age counts as the feed's age, and keys that the issuer confirmed more than an hour ago
    /// are not used. Where the issuer can be reached, the file only adds revocations that it knows. An issuer that does not
    /// answer delays such a start by 10 s. The signed texts are held in memory as well.
    ///
    /// The file says whom to trust, as an operator's file does. On Unix it is therefore refused unless it belongs to
    /// this process's user or to root, and nobody else may write it or replace it; keep it in a directory of its own. A
    /// [`Bundle`](crate::feed::Bundle) that someone exported is such a file, and such a file is a bundle.
    pub fn state_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_file = Some(path.into());
        self
    }

    /// Lets [`FromIssuer::build`] succeed while the issuer is out of reach and there is no state to start from. The
    /// verifier refuses every token until the issuer is reached, and then heals by itself.
    ///
    /// For programs that serve more than this API, and for clusters that start in no order. Report
    /// [`Verifier::freshness`] as readiness, or clients will be refused by an instance that could not know better.
    pub const fn start_without_issuer(mut self) -> Self {
        self.without_issuer = true;
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
    /// If anything is missing, refused or out of reach, so that a verifier that comes out is ready; with
    /// [`FromIssuer::state_file`], if the file does not help either; with [`FromIssuer::start_without_issuer`], if
    /// something is there and wrong.
    pub async fn build(self) -> Result<Verifier, ConnectError> {
        if self.state_file.is_some() && self.source != RevocationSource::Follow {
            return Err(ConnectError::StateWithoutFeed);
        }
        let issuer_url = metadata::parse_issuer(&self.issuer, self.fetch.allow_http)?;
        let verifier = self
            .builder
            .revocation(self.source)
            .build()
            .map_err(|source| ConnectError::Build { source })?;
        let fetcher = Fetcher::new(self.fetch).map_err(|source| ConnectError::Client { source })?;
        let plan = Plan::new(&verifier, fetcher, issuer_url, self.source, self.timing);
        let task = plan.start(self.state_file, self.without_issuer).await?;
        Ok(verifier.followed_by(Guard(task)))
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
