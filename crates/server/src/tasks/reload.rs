//! Hot reload: each part keeps its last good state if the new one is refused.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use dayfly_attest::{Attestor, BundleReport, OidcIssuers, ReloadOutcome, TrustBundles};
use rustls::ServerConfig;
use tokio::task::JoinHandle;

use crate::app::App;
use crate::config::{Config, SourceError, Sources, bundle_sources, operations_tls, tls, warnings};
use crate::http::whole_chain;

/// What a reload did, part by part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReloadReport {
    /// The parts whose new state is in force.
    pub reloaded: Vec<&'static str>,
    /// The parts that keep their last good state, and why.
    pub kept: Vec<(&'static str, String)>,
    /// The settings that changed and take effect at a restart.
    pub at_restart: Vec<&'static str>,
}

impl ReloadReport {
    /// Whether everything is as it stands in the files.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        self.kept.is_empty() && self.at_restart.is_empty()
    }
}

/// Reads everything that can change again.
pub(crate) struct Reloader {
    app: Arc<App>,
    file: Option<PathBuf>,
    bundles: Arc<TrustBundles>,
    tls: Arc<ArcSwap<ServerConfig>>,
    operations_tls: Arc<ArcSwap<ServerConfig>>,
    oidc: Mutex<(OidcIssuers, JoinHandle<()>)>,
    /// One reload at a time.
    turn: tokio::sync::Mutex<()>,
}

/// What was read, before any of it is in force.
struct Fresh {
    policy: Result<(Config, Sources), (&'static str, String)>,
    at_restart: Vec<&'static str>,
}

impl Reloader {
    pub(crate) fn new(
        app: Arc<App>,
        file: Option<PathBuf>,
        bundles: Arc<TrustBundles>,
        tls: Arc<ServerConfig>,
        oidc: OidcIssuers,
    ) -> Self {
        let config = app.config();
        let operations = operations_tls(&config).unwrap_or_else(|_| Arc::clone(&tls));
        let refresh = oidc.spawn_refresh();
        Self {
            app,
            file,
            bundles,
            tls: Arc::new(ArcSwap::new(tls)),
            operations_tls: Arc::new(ArcSwap::new(operations)),
            oidc: Mutex::new((oidc, refresh)),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// The TLS configuration of the public listener, asked for at each connection.
    pub(crate) fn tls(&self) -> Arc<ArcSwap<ServerConfig>> {
        Arc::clone(&self.tls)
    }

    /// The TLS configuration of the operations listener.
    pub(crate) fn operations_tls(&self) -> Arc<ArcSwap<ServerConfig>> {
        Arc::clone(&self.operations_tls)
    }

    /// The state that the reloads change.
    pub(crate) const fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// The main file.
    pub(crate) const fn file(&self) -> Option<&PathBuf> {
        self.file.as_ref()
    }

    /// Reads everything again.
    pub(crate) async fn reload(this: &Arc<Self>) -> ReloadReport {
        let _turn = this.turn.lock().await;
        let reloader = Arc::clone(this);
        // A runtime of its own thread pool for the files, and a handle to come back with.
        let runtime = tokio::runtime::Handle::current();
        let work = tokio::task::spawn_blocking(move || {
            let _entered = runtime.enter();
            reloader.reload_blocking()
        });
        let report = work.await.unwrap_or_else(|_| ReloadReport {
            kept: vec![("everything", "the reload broke off".to_owned())],
            ..ReloadReport::default()
        });
        this.app.audit.reopen().await;
        report
    }

    fn reload_blocking(&self) -> ReloadReport {
        let mut report = ReloadReport::default();
        let Fresh { policy, at_restart } = self.read();
        report.at_restart = at_restart;
        let config = match policy {
            Ok((config, sources)) => {
                let result = self
                    .adopt(&config, sources)
                    .map_err(|error| whole_chain(&error));
                if result.is_ok() {
                    self.app.set_config(config.clone());
                }
                self.note(&mut report, "policy", result);
                Arc::new(config)
            }
            Err((part, error)) => {
                self.note(&mut report, part, Err(error));
                self.app.config()
            }
        };
        let bundles = self.reload_bundles(&config);
        self.note(&mut report, "bundles", bundles);
        let tls = self
            .reload_tls(&config)
            .map_err(|error| whole_chain(&error));
        self.note(&mut report, "tls", tls);
        if !report.at_restart.is_empty() {
            tracing::warn!(settings = ?report.at_restart, "changed settings wait for a restart");
        }
        report
    }

    /// Main file, registry, guardrails and issuers go together: a rule means what its source is.
    fn read(&self) -> Fresh {
        let current = self.app.config();
        let (config, at_restart) = match &self.file {
            None => ((*current).clone(), Vec::new()),
            Some(file) => match Config::load(file) {
                Ok(mut config) => {
                    // The port that the system picked stays.
                    if config.issuer.wants_port() {
                        config.issuer = current.issuer.clone();
                    }
                    let differences = current.fixed_differences(&config);
                    keep_fixed(&mut config, &current);
                    (config, differences)
                }
                Err(errors) => {
                    let policy = Err(("config", errors.to_string()));
                    return Fresh {
                        policy,
                        at_restart: Vec::new(),
                    };
                }
            },
        };
        let policy = match Sources::read(&config, current.issuer.as_str()) {
            Ok(sources) => Ok((config, sources)),
            Err(error) => Err(("policy", whole_chain(&error))),
        };
        Fresh { policy, at_restart }
    }

    fn adopt(&self, config: &Config, sources: Sources) -> Result<(), SourceError> {
        let mut oidc = self.oidc.lock().unwrap_or_else(PoisonError::into_inner);
        let next = oidc
            .0
            .reconfigured(sources.oidc, dayfly_attest::RefreshTiming::default())?;
        for warning in warnings(config) {
            tracing::warn!("{warning}");
        }
        for lint in &sources.lints {
            tracing::warn!("{lint}");
        }
        let attestor = Attestor::new(
            Arc::clone(&self.bundles),
            next.clone(),
            self.app.own_unbound.clone(),
            self.app.issuer_url.to_string(),
        );
        oidc.1.abort();
        *oidc = (next.clone(), next.spawn_refresh());
        let registry = Arc::new(sources.registry);
        tracing::info!(version = registry.version(), "the policy is in force");
        self.app
            .feed_signer()
            .set_max_lifetime_secs(registry.max_lifetime_secs());
        self.app.issuer.replace_policy(registry);
        self.app.attestor.store(Arc::new(attestor));
        Ok(())
    }

    fn reload_bundles(&self, config: &Config) -> Result<(), String> {
        let reports = self
            .bundles
            .reconfigure(bundle_sources(config))
            .map_err(|error| whole_chain(&error))?;
        let kept: Vec<String> = reports.iter().filter_map(kept).collect();
        if kept.is_empty() {
            Ok(())
        } else {
            Err(kept.join("; "))
        }
    }

    fn reload_tls(&self, config: &Config) -> Result<(), SourceError> {
        let public = tls(config, &self.bundles)?;
        self.operations_tls.store(operations_tls(config)?);
        self.tls.store(public);
        Ok(())
    }

    fn note(&self, report: &mut ReloadReport, part: &'static str, result: Result<(), String>) {
        self.app.metrics.reload(part, result.is_ok());
        match result {
            Ok(()) => report.reloaded.push(part),
            Err(error) => {
                tracing::error!(part, error, "refused; the last good state stays in force");
                report.kept.push((part, error));
            }
        }
    }
}

impl Drop for Reloader {
    fn drop(&mut self) {
        self.oidc
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .abort();
    }
}

fn kept(report: &BundleReport) -> Option<String> {
    match &report.outcome {
        ReloadOutcome::Kept { error } => Some(whole_chain(error)),
        _ => None,
    }
}

/// What takes effect at a restart keeps its value until then.
fn keep_fixed(config: &mut Config, current: &Config) {
    config.issuer = current.issuer.clone();
    config.trust_domain = current.trust_domain.clone();
    config.data_dir.clone_from(&current.data_dir);
    config.replica.clone_from(&current.replica);
    config.listen = current.listen.clone();
    config.ledger = current.ledger.clone();
    config.x509.clone_from(&current.x509);
    config.limits.feed_subscribers = current.limits.feed_subscribers;
    config.limits.request_timeout = current.limits.request_timeout;
    config.limits.connection_age = current.limits.connection_age;
    config.keys = current.keys.clone();
    config.audit = current.audit.clone();
}
