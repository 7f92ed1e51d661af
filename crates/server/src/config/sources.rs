//! From the settings to what they name: secrets, certificates, bundles, issuers, policy.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dayfly_attest::{
    BundleSource, JwksSource, OidcIssuerConfig, OidcIssuers, SvidClientVerifier, TrustBundles,
};
use dayfly_issuer::Clock;
use dayfly_issuer::control::ClusterSecret;
use dayfly_issuer::x509::{EphemeralRoot, FileRoot, RootKey};
use dayfly_keys::Algorithm;
use dayfly_policy::{AdminGrantConfig, Lint, LoadOptions, Preset, Registry, Source, SourceInfo};
use dayfly_token::{Slug, UnixTime};
use dayfly_verifier::tls::{ServerIdentity, server_config};
use zeroize::Zeroizing;

use super::error::ConfigErrors;
use super::file::{Config, KeyAlgorithm, OidcIssuer, PresetName};
use super::secret::{SecretError, read_secret, read_secret_line};
use crate::http::whole_chain;
use crate::rim::{SystemClock, SystemRng};

/// The largest file of certificates that is read.
const MAX_PEM_BYTES: u64 = 1024 * 1024;

/// The name of the source that a preset without a name gets.
const GITHUB: &str = "github";

/// What a configuration names, as far as it can change while the server runs. Making it reads
/// files, and so blocks.
pub struct Sources {
    /// The compiled registry and guardrails.
    pub registry: Registry,
    /// What is not wrong but worth a look.
    pub lints: Vec<Lint>,
    /// The OIDC issuers.
    pub oidc: Vec<OidcIssuerConfig>,
}

/// A file that the configuration names is unusable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A bundle.
    #[error("a trust domain's bundle is unusable")]
    Bundle(#[from] dayfly_attest::TrustBundlesError),
    /// A cluster secret.
    #[error("the cluster secret is unusable")]
    ClusterSecret(#[from] dayfly_issuer::control::ControlError),
    /// A file.
    #[error("{} cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A name.
    #[error("{0}")]
    Name(String),
    /// The settings of an OIDC issuer.
    #[error("an OIDC issuer is unusable")]
    Oidc(#[from] dayfly_attest::OidcConfigError),
    /// The registry or the guardrails.
    #[error("registry and guardrails are refused:\n{0}")]
    Registry(dayfly_policy::LoadErrors),
    /// The root of the certificates.
    #[error("the X.509 root is unusable")]
    Root(#[from] dayfly_issuer::x509::CaError),
    /// A secret.
    #[error("a secret file is refused")]
    Secret(#[from] SecretError),
    /// The certificate of the listener.
    #[error("the TLS certificate is unusable")]
    Tls(#[from] dayfly_verifier::tls::ConfigError),
}

impl Sources {
    /// Reads registry, guardrails and the files of the OIDC issuers.
    ///
    /// # Errors
    /// If one of them is unusable.
    pub fn read(config: &Config, issuer: &str) -> Result<Self, SourceError> {
        let oidc = oidc_issuers(config, issuer)?;
        let options = load_options(config, issuer)?;
        let (registry, lints) =
            Registry::load(&config.policy_dir, &options).map_err(SourceError::Registry)?;
        Ok(Self {
            registry,
            lints,
            oidc,
        })
    }
}

/// What `dayfly config check` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What keeps the server from starting, each with its place.
    pub errors: Vec<String>,
    /// What is worth a look.
    pub warnings: Vec<String>,
}

impl Report {
    /// Whether the server would start.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        self.errors.is_empty()
    }

    fn take<T>(&mut self, result: Result<T, SourceError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.errors.push(whole_chain(&error));
                None
            }
        }
    }
}

/// Checks a main file and everything that it names, without starting anything or reaching out.
#[must_use]
pub fn check(path: &Path) -> Report {
    let mut report = Report::default();
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(ConfigErrors(errors)) => {
            report.errors = errors.iter().map(ToString::to_string).collect();
            return report;
        }
    };
    let issuer = config.issuer.to_string();
    if let Some(sources) = report.take(Sources::read(&config, &issuer)) {
        report
            .warnings
            .extend(sources.lints.iter().map(ToString::to_string));
        report.take(OidcIssuers::new(sources.oidc).map_err(SourceError::from));
    }
    // Each part by itself, so that a broken bundle hides nothing about the certificate.
    report.take(TrustBundles::load(bundle_sources(&config)).map_err(SourceError::from));
    report.take(operations_tls(&config));
    if config.ledger.redis.is_some() {
        report.take(cluster_secrets(&config));
        report.take(redis_password(&config));
    }
    let now = SystemClock::new().now().time();
    report.take(root_key(&config, now).map(drop));
    report.warnings.extend(warnings(&config));
    report
}

/// What a configuration is free to say, and should not say by accident.
pub(crate) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    let x509 = config.x509.as_ref();
    if x509.is_some_and(|x509| x509.danger_ephemeral_root) {
        warnings.push(
            "`x509.danger_ephemeral_root`: the root of the certificates dies with the process"
                .to_owned(),
        );
    }
    if x509.is_some_and(|x509| x509.danger_root_key_file.is_some()) {
        warnings.push(
            "`x509.danger_root_key_file`: whoever reads this file can make any certificate"
                .to_owned(),
        );
    }
    if let Some(redis) = &config.ledger.redis
        && !redis.is_tls()
        && !redis.is_local()
    {
        warnings.push(
            "`ledger.redis` has no TLS: what is written to the ledger can be read on the way"
                .to_owned(),
        );
    }
    if config.listen.danger_plain_operations && !config.listen.operations.ip().is_loopback() {
        warnings.push(
            "`listen.danger_plain_operations`: metrics and health are served without TLS"
                .to_owned(),
        );
    }
    for issuer in config
        .oidc_issuer
        .iter()
        .filter(|issuer| issuer.danger_allow_http)
    {
        let name = issuer.name.as_ref().map_or(GITHUB, |name| name.as_str());
        warnings.push(format!(
            "`danger_allow_http` of `{name}`: whoever is on the way can forge its tokens"
        ));
    }
    if config.trust_domain_bundle.is_empty() && config.oidc_issuer.is_empty() {
        warnings.push("no source of evidence is configured: nobody can get anything".to_owned());
    }
    warnings
}

/// The algorithm of the signing keys.
pub(crate) const fn algorithm(name: KeyAlgorithm) -> Algorithm {
    match name {
        KeyAlgorithm::Es256 => Algorithm::Es256,
        KeyAlgorithm::EdDsa => Algorithm::EdDsa,
    }
}

/// Where the bundles come from.
pub(crate) fn bundle_sources(config: &Config) -> Vec<BundleSource> {
    let bundles = config.trust_domain_bundle.iter();
    bundles
        .map(|bundle| BundleSource::file(bundle.name.clone(), &bundle.file))
        .collect()
}

/// The TLS configuration of the public listener.
pub(crate) fn tls(
    config: &Config,
    bundles: &Arc<TrustBundles>,
) -> Result<Arc<rustls::ServerConfig>, SourceError> {
    let clients = Arc::new(SvidClientVerifier::new(Arc::clone(bundles)));
    Ok(Arc::new(server_config(identity(config)?, Some(clients))?))
}

/// The TLS configuration of the operations listener: nobody needs a certificate there.
pub(crate) fn operations_tls(config: &Config) -> Result<Arc<rustls::ServerConfig>, SourceError> {
    Ok(Arc::new(server_config(identity(config)?, None)?))
}

fn identity(config: &Config) -> Result<ServerIdentity, SourceError> {
    let chain = read_pem(&config.tls.cert_file)?;
    let key = read_secret(&config.tls.key_file)?;
    Ok(ServerIdentity::from_pem(&chain, &key)?)
}

/// The root of the certificates, if any are issued.
pub(crate) fn root_key(
    config: &Config,
    now: UnixTime,
) -> Result<Option<Box<dyn RootKey>>, SourceError> {
    let Some(x509) = &config.x509 else {
        return Ok(None);
    };
    let (Some(key_file), Some(cert_file)) = (&x509.danger_root_key_file, &x509.root_cert_file)
    else {
        let root = EphemeralRoot::generate(&config.trust_domain, now, &mut SystemRng)?;
        return Ok(Some(Box::new(root)));
    };
    let key = read_secret(key_file)?;
    let chain = read_pem(cert_file)?;
    let text = |bytes: &[u8], path: &Path| {
        std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|_| SourceError::Name(format!("{} is not PEM", path.display())))
    };
    let key = Zeroizing::new(text(&key, key_file)?);
    let chain = text(&chain, cert_file)?;
    Ok(Some(Box::new(FileRoot::from_pem(
        &chain,
        &key,
        &config.trust_domain,
        now,
    )?)))
}

/// The secrets that seal and open control entries: the first one seals, all of them open.
pub(crate) fn cluster_secrets(config: &Config) -> Result<Vec<ClusterSecret>, SourceError> {
    let ledger = &config.ledger;
    let files = ledger
        .cluster_secret_file
        .iter()
        .chain(&ledger.former_cluster_secret_files);
    files
        .map(|file| Ok(ClusterSecret::new(read_secret_line(file)?)?))
        .collect()
}

/// The password of Redis.
pub(crate) fn redis_password(config: &Config) -> Result<Option<Zeroizing<String>>, SourceError> {
    let Some(path) = &config.ledger.redis_password_file else {
        return Ok(None);
    };
    let bytes = read_secret_line(path)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| SourceError::Name(format!("{} is not text", path.display())))?;
    Ok(Some(Zeroizing::new(text.to_owned())))
}

/// A file of certificates.
pub(crate) fn read_pem(path: &Path) -> Result<Vec<u8>, SourceError> {
    use std::io::Read;
    let failed = |source| SourceError::File {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    super::regular::open(path)
        .and_then(|file| file.take(MAX_PEM_BYTES).read_to_end(&mut bytes))
        .map_err(failed)?;
    Ok(bytes)
}

fn load_options(config: &Config, issuer: &str) -> Result<LoadOptions, SourceError> {
    let issuer = issuer
        .parse()
        .map_err(|_| SourceError::Name(format!("the issuer `{issuer}` cannot be an audience")))?;
    let domains = config.trust_domain_bundle.iter().map(|bundle| SourceInfo {
        source: Source::TrustDomain(bundle.name.clone()),
        preset: None,
        shared: false,
    });
    let issuers = config.oidc_issuer.iter().map(|issuer| {
        Ok(SourceInfo {
            source: Source::Issuer(issuer_name(issuer)?),
            preset: Some(preset(issuer.preset)),
            shared: issuer.shared.unwrap_or(issuer.preset == PresetName::Github),
        })
    });
    let sources = domains
        .map(Ok)
        .chain(issuers)
        .collect::<Result<_, SourceError>>()?;
    let admin_grants = config
        .grant
        .iter()
        .map(admin_grant)
        .collect::<Result<_, _>>()?;
    Ok(LoadOptions {
        issuer,
        trust_domain: config.trust_domain.clone(),
        sources,
        admin_grants,
        limits: dayfly_policy::Limits {
            workload_per_minute: config.limits.workload_per_minute,
            workload_burst: config.limits.workload_burst,
            owner_per_minute: config.limits.owner_per_minute,
            owner_burst: config.limits.owner_burst,
        },
    })
}

fn admin_grant(grant: &super::file::Grant) -> Result<AdminGrantConfig, SourceError> {
    let scope = |text: &String| {
        text.parse()
            .map_err(|_| SourceError::Name(format!("`{text}` is no scope")))
    };
    Ok(AdminGrantConfig {
        workload: grant.workload.clone(),
        scopes: grant.scopes.iter().map(scope).collect::<Result<_, _>>()?,
        owner: grant.owner.clone(),
    })
}

fn oidc_issuers(config: &Config, issuer: &str) -> Result<Vec<OidcIssuerConfig>, SourceError> {
    config
        .oidc_issuer
        .iter()
        .map(|section| oidc_issuer(section, issuer))
        .collect()
}

fn oidc_issuer(section: &OidcIssuer, issuer: &str) -> Result<OidcIssuerConfig, SourceError> {
    let name = issuer_name(section)?;
    // RFC 7523 section 3: the issuer, or the token endpoint, and one of them alone.
    let audiences = if section.audiences.is_empty() {
        vec![issuer.to_owned(), format!("{issuer}/oauth2/token")]
    } else {
        section.audiences.clone()
    };
    let mut config = match section.preset {
        PresetName::Github => OidcIssuerConfig::github(name, audiences),
        PresetName::Custom => OidcIssuerConfig::custom(name, String::new(), audiences),
    };
    if let Some(url) = &section.issuer {
        config.issuer.clone_from(url);
    }
    if let Some(file) = &section.jwks_file {
        config.jwks = JwksSource::File(file.clone());
    } else if let Some(uri) = &section.jwks_uri {
        let url = uri.parse().map_err(|error| {
            SourceError::Name(format!("`jwks_uri` of `{}`: {error}", config.name))
        })?;
        config.jwks = JwksSource::Url(url);
    }
    if !section.algorithms.is_empty() {
        config.algorithms.clone_from(&section.algorithms);
    }
    if let Some(file) = &section.ca_file {
        config.ca_pem = Some(read_pem(file)?);
    }
    if let Some(most) = section.max_lifetime {
        config.max_lifetime_secs = most.as_secs();
    }
    if let Some(single_use) = section.single_use {
        config.single_use = single_use;
    }
    config.allow_private = section.allow_private;
    config.danger_allow_http = section.danger_allow_http;
    Ok(config)
}

fn issuer_name(section: &OidcIssuer) -> Result<Slug, SourceError> {
    match &section.name {
        Some(name) => Ok(name.clone()),
        None => GITHUB
            .parse()
            .map_err(|_| SourceError::Name("an OIDC issuer has no name".to_owned())),
    }
}

const fn preset(name: PresetName) -> Preset {
    match name {
        PresetName::Custom => Preset::Custom,
        PresetName::Github => Preset::Github,
    }
}
