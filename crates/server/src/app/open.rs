//! Opening everything that a server needs, in order, and wiring it.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use arc_swap::ArcSwap;
use dayfly_attest::{Attestor, OidcIssuers, TrustBundles};
use dayfly_issuer::control::{ClusterSecret, ControlView};
use dayfly_issuer::feed::FeedSigner;
use dayfly_issuer::lifecycle::{KeyLifecycle, LifecycleError};
use dayfly_issuer::{Clock, Issuer, IssuerConfig, Ledger, Rng};
use dayfly_ledger::{EmbeddedLedger, RedisConfig, RedisLedger};
use dayfly_policy::{MAX_LIFETIME_SECS, Registry};
use dayfly_verifier::{BuildError, RevocationSource, Revocations, Verifier};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::listeners::{self, Bound};
use super::state::{App, RETENTION};
use super::{Running, Settings};
use crate::audit::{AuditError, AuditTrail, Sink, Writer};
use crate::config::{
    Config, ConfigErrors, IssuerUrl, SourceError, Sources, algorithm, bundle_sources,
    cluster_secrets, read_pem, redis_password, root_key, warnings,
};
use crate::feed::FeedHub;
use crate::metrics::Metrics;
use crate::rim::{SystemClock, SystemRng};
use crate::tasks::authority::Authority;
use crate::tasks::reload::Reloader;
use crate::tasks::settle::MOST_WAITING;
use crate::{process, tasks};

/// The file in `data_dir` that keeps the replica's name over restarts.
const REPLICA_FILE: &str = "replica";

/// Replicas of one deployment, as long as the partition count is fixed to one.
const PARTITIONS: u8 = 1;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The audit trail.
    #[error("the audit trail cannot be started")]
    Audit(#[from] AuditError),
    /// A listener.
    #[error("cannot listen on {at}")]
    Bind {
        /// The address or path.
        at: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The configuration.
    #[error("the configuration is refused:\n{0}")]
    Config(ConfigErrors),
    /// A directory or file of the server's own.
    #[error("{} cannot be used", path.display())]
    Data {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The times of the keys.
    #[error("the times of the keys do not fit together")]
    Keys(#[from] LifecycleError),
    /// The ledger.
    #[error("the ledger cannot be opened")]
    Ledger(#[from] dayfly_ledger::OpenError),
    /// Signals.
    #[error("signals cannot be waited for")]
    Signals {
        /// Why.
        source: std::io::Error,
    },
    /// A file that the configuration names.
    #[error("a file that the configuration names is unusable")]
    Source(#[from] SourceError),
    /// The verifier of our own tokens.
    #[error("the verifier of our own tokens cannot be built")]
    Verifier(#[from] BuildError),
    /// A part of the start broke off.
    #[error("the start broke off")]
    BrokeOff,
}

/// What was opened from files.
struct Opened {
    sources: Sources,
    bundles: Arc<TrustBundles>,
    tls: Arc<rustls::ServerConfig>,
    oidc: OidcIssuers,
    authority: Option<Authority>,
    replica: String,
}

pub(super) async fn start(settings: Settings) -> Result<Running, StartError> {
    process::install_crypto_provider();
    let mut config = settings.config.clone();
    config.validate().map_err(StartError::Config)?;
    let public = bind(config.listen.public).await?;
    let operations = bind(config.listen.operations).await?;
    let port = address(&public)?.port();
    config.issuer = with_port(&config.issuer, port)?;
    private_directory(&config.data_dir)?;
    let clock = SystemClock::new();
    let opened = {
        let config = config.clone();
        tokio::task::spawn_blocking(move || open_files(&config, clock))
            .await
            .map_err(|_| StartError::BrokeOff)??
    };
    for warning in warnings(&config) {
        tracing::warn!("{warning}");
    }
    for lint in &opened.sources.lints {
        tracing::warn!("{lint}");
    }
    let (ledger, secrets) = open_ledger(&config).await?;
    let bound = Bound {
        public,
        operations,
        admin: match &config.listen.admin_socket {
            Some(path) => Some(listeners::bind_admin(path)?),
            None => None,
        },
    };
    wire(settings, config, clock, opened, ledger, secrets, bound)
}

fn open_files(config: &Config, clock: SystemClock) -> Result<Opened, StartError> {
    let sources = Sources::read(config, config.issuer.as_str())?;
    let bundles = TrustBundles::load(bundle_sources(config)).map_err(SourceError::from)?;
    let bundles = Arc::new(bundles);
    let tls = crate::config::tls(config, &bundles)?;
    let oidc = OidcIssuers::new(sources.oidc.clone()).map_err(SourceError::from)?;
    let replica = replica_name(config)?;
    let now = clock.now().time();
    let authority = match root_key(config, now)? {
        Some(root) => Some(
            Authority::new(root, config.trust_domain.clone(), replica.clone(), now)
                .map_err(SourceError::from)?,
        ),
        None => None,
    };
    Ok(Opened {
        sources,
        bundles,
        tls,
        oidc,
        authority,
        replica,
    })
}

fn wire(
    settings: Settings,
    config: Config,
    clock: SystemClock,
    opened: Opened,
    ledger: Arc<dyn Ledger>,
    secrets: Vec<ClusterSecret>,
    bound: Bound,
) -> Result<Running, StartError> {
    let Opened {
        sources,
        bundles,
        tls,
        oidc,
        authority,
        replica,
    } = opened;
    let metrics = Arc::new(Metrics::new());
    let (audit, writer) = open_audit(&config, &metrics)?;
    let control = Arc::new(RwLock::new(ControlView::new(
        secrets,
        RETENTION.after_end_secs(),
    )));
    let issuer = issuer(&config, &replica, ledger, &control, sources.registry);
    if let Some(authority) = &authority {
        issuer.use_authority(Some(authority.present()));
    }
    let lifecycle = KeyLifecycle::new(crate::config::lifecycle(&config, &replica))?;
    let signer = FeedSigner::new(config.issuer.to_string(), issuer.max_lifetime_secs());
    let own = OwnVerifiers::new(config.issuer.as_str())?;
    let attestor = Attestor::new(
        Arc::clone(&bundles),
        oidc.clone(),
        own.unbound.clone(),
        config.issuer.to_string(),
    );
    let app = Arc::new(App {
        issuer_url: config.issuer.clone(),
        clock,
        audit,
        issuer,
        control,
        attestor: ArcSwap::from_pointee(attestor),
        own: own.of_issuer,
        own_any: own.any,
        own_unbound: own.unbound,
        feed: FeedHub::new(config.limits.feed_subscribers, Arc::clone(&metrics)),
        signer: Mutex::new(signer),
        lifecycle: Mutex::new(lifecycle),
        authority,
        followed: watch::Sender::default(),
        publishing_fails: std::sync::atomic::AtomicBool::new(false),
        keys_wanted: tokio::sync::Notify::new(),
        feed_wanted: tokio::sync::Notify::new(),
        settling: Arc::new(Semaphore::new(MOST_WAITING)),
        stopping: CancellationToken::new(),
        config: ArcSwap::from_pointee(config),
        snapshot: Mutex::new(None),
        replica,
        metrics,
    });
    Ok(run(
        settings,
        app,
        Parts {
            bundles,
            tls,
            oidc,
            writer,
            bound,
        },
    ))
}

struct Parts {
    bundles: Arc<TrustBundles>,
    tls: Arc<rustls::ServerConfig>,
    oidc: OidcIssuers,
    writer: Writer,
    bound: Bound,
}

fn run(settings: Settings, app: Arc<App>, parts: Parts) -> Running {
    let Parts {
        bundles,
        tls,
        oidc,
        writer,
        bound,
    } = parts;
    let reloader = Arc::new(Reloader::new(
        Arc::clone(&app),
        settings.file,
        bundles,
        tls,
        oidc,
    ));
    let mut background = tasks::spawn(&app);
    if settings.watch {
        background.push(tokio::spawn(crate::tasks::watch::follow(Arc::clone(
            &reloader,
        ))));
    }
    let served = listeners::serve(&app, &reloader, bound);
    Running {
        public: served.public,
        operations: served.operations,
        operations_tls: served.operations_tls,
        admin_socket: served.admin_socket,
        listeners: served.tasks,
        tasks: background,
        audit: Some(writer),
        reloader,
        app,
    }
}

/// The verifiers of our own tokens; they share keys and revocations with the control view.
struct OwnVerifiers {
    of_issuer: Verifier,
    any: Verifier,
    unbound: Verifier,
}

impl OwnVerifiers {
    fn new(issuer: &str) -> Result<Self, BuildError> {
        let revocations = Arc::new(Revocations::new());
        let builder = || {
            Verifier::builder(issuer)
                .revocation(RevocationSource::Follow)
                .shared_revocations(Arc::clone(&revocations))
                .max_lifetime_secs(MAX_LIFETIME_SECS)
        };
        Ok(Self {
            of_issuer: builder().audience(issuer).build()?,
            any: builder().danger_any_audience().build()?,
            unbound: builder()
                .danger_any_audience()
                .danger_any_binding()
                .build()?,
        })
    }
}

fn issuer(
    config: &Config,
    replica: &str,
    ledger: Arc<dyn Ledger>,
    control: &Arc<RwLock<ControlView>>,
    registry: Registry,
) -> Arc<Issuer> {
    let fixed = IssuerConfig {
        issuer: config.issuer.to_string(),
        trust_domain: config.trust_domain.clone(),
        replica: replica.to_owned(),
        algorithm: algorithm(config.keys.algorithm),
        partitions: PARTITIONS,
        max_lifetime_secs: registry.max_lifetime_secs(),
        bundle_endpoint: format!("{}/spiffe/bundle.json", config.issuer),
    };
    Arc::new(Issuer::new(
        fixed,
        ledger,
        Arc::clone(control),
        Arc::new(registry),
    ))
}

fn open_audit(config: &Config, metrics: &Arc<Metrics>) -> Result<(AuditTrail, Writer), AuditError> {
    let sink = config.audit_file().map_or(Sink::Stdout, Sink::File);
    AuditTrail::start(sink, Arc::clone(metrics))
}

async fn open_ledger(config: &Config) -> Result<(Arc<dyn Ledger>, Vec<ClusterSecret>), StartError> {
    let Some(redis) = &config.ledger.redis else {
        let directory = config.data_dir.clone();
        let ledger = tokio::task::spawn_blocking(move || EmbeddedLedger::open(&directory))
            .await
            .map_err(|_| StartError::BrokeOff)??;
        let secret = Zeroizing::new(ledger.cluster_secret().to_vec());
        let secret = ClusterSecret::new(secret).map_err(SourceError::from)?;
        return Ok((Arc::new(ledger), vec![secret]));
    };
    let mut settings = RedisConfig::new(with_password(redis.as_str(), config)?);
    settings.ca_pem = match &config.ledger.ca_file {
        Some(file) => Some(read_pem(file)?),
        None => None,
    };
    settings.timeout = config.ledger.timeout.get();
    let secrets = cluster_secrets(config)?;
    Ok((Arc::new(RedisLedger::connect(settings).await?), secrets))
}

/// The URL with the password from its file.
fn with_password(url: &str, config: &Config) -> Result<String, StartError> {
    let Some(password) = redis_password(config)? else {
        return Ok(url.to_owned());
    };
    let refused =
        || SourceError::Name("`ledger.redis` cannot have a password from a file".to_owned());
    let mut url = url::Url::parse(url).map_err(|_| refused())?;
    url.set_password(Some(&password)).map_err(|()| refused())?;
    Ok(url.into())
}

async fn bind(at: std::net::SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(at)
        .await
        .map_err(|source| StartError::Bind {
            at: at.to_string(),
            source,
        })
}

fn address(listener: &TcpListener) -> Result<std::net::SocketAddr, StartError> {
    listener.local_addr().map_err(|source| StartError::Bind {
        at: "the public listener".to_owned(),
        source,
    })
}

fn with_port(issuer: &IssuerUrl, port: u16) -> Result<IssuerUrl, StartError> {
    issuer
        .with_port(port)
        .map_err(|error| SourceError::Name(format!("the issuer with its port: {error}")).into())
}

/// The directory of ledger and audit is the owner's alone.
fn private_directory(path: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(|source| StartError::Data {
        path: path.to_owned(),
        source,
    })
}

/// The configured name, or one that is drawn once and kept.
fn replica_name(config: &Config) -> Result<String, StartError> {
    use std::io::Write;
    if let Some(name) = &config.replica {
        return Ok(name.to_string());
    }
    let path = config.data_dir.join(REPLICA_FILE);
    let failed = |source| StartError::Data {
        path: path.clone(),
        source,
    };
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim().parse::<dayfly_token::Slug>().is_ok() => {
            return Ok(text.trim().to_owned());
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let mut bytes = [0; 4];
    SystemRng.fill(&mut bytes);
    let name = format!("r-{:08x}", u32::from_be_bytes(bytes));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(&path)
        .and_then(|mut file| file.write_all(name.as_bytes()))
        .map_err(failed)?;
    Ok(name)
}
