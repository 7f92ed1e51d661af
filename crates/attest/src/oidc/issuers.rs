//! All configured issuers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dayfly_token::Slug;
use tokio::task::{JoinHandle, JoinSet};

use super::config::{OidcConfigError, OidcIssuerConfig};
use super::issuer::Issuer;
use super::schedule::RefreshTiming;

/// The configured OIDC issuers, with their keys. Cloning is cheap, and clones share the keys.
#[derive(Debug, Clone, Default)]
pub struct OidcIssuers {
    by_identifier: Arc<BTreeMap<String, Arc<Issuer>>>,
}

/// The state of one issuer, for readiness and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerStatus {
    /// Its name in the configuration.
    pub name: Slug,
    /// Its identifier.
    pub issuer: String,
    /// Whether its tokens can be checked now.
    pub ready: bool,
    /// How many keys it has that can be used.
    pub keys: usize,
    /// How long ago the keys were fetched, in seconds.
    pub age_secs: Option<u64>,
    /// Fetches since the start, good and bad.
    pub fetches: u64,
    /// Failed fetches since the last good one.
    pub failures: u32,
    /// Why the last fetch failed, if it did.
    pub last_error: Option<String>,
}

impl OidcIssuers {
    /// Takes the configured issuers. Nothing is fetched yet; files of keys are read, which blocks.
    ///
    /// # Errors
    /// If a configuration is refused, or two are for the same name or identifier.
    pub fn new(configs: Vec<OidcIssuerConfig>) -> Result<Self, OidcConfigError> {
        Self::with_timing(configs, RefreshTiming::default())
    }

    /// The same with another timing.
    ///
    /// # Errors
    /// As [`OidcIssuers::new`].
    pub fn with_timing(
        configs: Vec<OidcIssuerConfig>,
        timing: RefreshTiming,
    ) -> Result<Self, OidcConfigError> {
        Self::build(configs, timing, &Self::default())
    }

    /// The issuers of a new configuration; one that did not change keeps its keys.
    ///
    /// # Errors
    /// As [`OidcIssuers::new`].
    pub fn reconfigured(
        &self,
        configs: Vec<OidcIssuerConfig>,
        timing: RefreshTiming,
    ) -> Result<Self, OidcConfigError> {
        Self::build(configs, timing, self)
    }

    fn build(
        configs: Vec<OidcIssuerConfig>,
        timing: RefreshTiming,
        known: &Self,
    ) -> Result<Self, OidcConfigError> {
        let mut names = BTreeSet::new();
        let mut by_identifier: BTreeMap<String, Arc<Issuer>> = BTreeMap::new();
        for config in configs {
            if !names.insert(config.name.clone()) {
                return Err(OidcConfigError::DuplicateName { name: config.name });
            }
            if let Some(other) = by_identifier.get(&config.issuer) {
                return Err(OidcConfigError::DuplicateIssuer {
                    first: other.name().clone(),
                    second: config.name,
                });
            }
            let issuer = match known.by_identifier.get(&config.issuer) {
                Some(issuer) if issuer.is_as_configured(&config, &timing) => Arc::clone(issuer),
                _ => Arc::new(Issuer::new(config, timing)?),
            };
            by_identifier.insert(issuer.identifier().to_owned(), issuer);
        }
        Ok(Self {
            by_identifier: Arc::new(by_identifier),
        })
    }

    /// Keeps the keys of all issuers fresh until the handle is aborted or the runtime ends. Call it inside a runtime.
    pub fn spawn_refresh(&self) -> JoinHandle<()> {
        let issuers = Arc::clone(&self.by_identifier);
        tokio::spawn(async move {
            let mut tasks = JoinSet::new();
            for issuer in issuers.values() {
                tasks.spawn(Arc::clone(issuer).keep_fresh());
            }
            while tasks.join_next().await.is_some() {}
        })
    }

    /// The state of every issuer.
    #[must_use]
    pub fn status(&self) -> Vec<IssuerStatus> {
        self.by_identifier
            .values()
            .map(|issuer| issuer.status())
            .collect()
    }

    /// The issuer with exactly that identifier.
    pub(super) fn by_identifier(&self, identifier: &str) -> Option<&Arc<Issuer>> {
        self.by_identifier.get(identifier)
    }
}
