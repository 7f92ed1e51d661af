//! Configuration: one TOML file, strict, with the line of every mistake.

mod error;
mod file;
mod later;
mod lifecycle;
mod period;
mod place;
mod regular;
mod secret;
mod sources;
mod url;
mod validate;

use std::path::{Path, PathBuf};

pub use error::{ConfigError, ConfigErrors};
pub use file::{
    Ack, Audit, Config, Grant, KeyAlgorithm, Keys, LedgerSection, Limits, Listen, OidcIssuer,
    PresetName, Tls, TrustDomainBundle, X509,
};
pub(crate) use lifecycle::lifecycle;
pub use period::{Period, PeriodError};
pub use secret::{SecretError, read_secret};
pub use sources::{Report, SourceError, Sources, check};
pub(crate) use sources::{
    algorithm, bundle_sources, cluster_secrets, operations_tls, read_pem, redis_password, root_key,
    tls, warnings,
};
pub use url::{IssuerUrl, RedisUrl, UrlError};

use dayfly_token::TrustDomain;
use place::Places;

/// A larger main file is no main file.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

impl Config {
    /// Reads and checks the main file. The files that it names are read later, by [`Sources`].
    ///
    /// # Errors
    /// Every mistake that was found, each with its line.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let text = read_bounded(path)
            .map_err(|message| ConfigErrors::one(path, None, String::new(), message))?;
        let base = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        Self::parse(&text, path, base.unwrap_or(Path::new(".")))
    }

    /// Reads and checks the text of a main file; relative paths start at `base`.
    ///
    /// # Errors
    /// Every mistake that was found, each with its line.
    pub fn parse(text: &str, path: &Path, base: &Path) -> Result<Self, ConfigErrors> {
        let places = Places::read(text).map_err(|error| ConfigErrors::toml(path, text, &error))?;
        let later = later::refused(&places);
        if !later.is_empty() {
            return Err(ConfigErrors::of(path, &places, later));
        }
        let mut config: Self =
            toml::from_str(text).map_err(|error| ConfigErrors::toml(path, text, &error))?;
        config.resolve(base);
        let mistakes = validate::mistakes(&config);
        if mistakes.is_empty() {
            Ok(config)
        } else {
            Err(ConfigErrors::of(path, &places, mistakes))
        }
    }

    /// A configuration for development and tests, everything below `dir`: the embedded ledger, a
    /// listener on a free loopback port as `https://localhost:<port>`, an ephemeral X.509 root,
    /// `tls.crt` and `tls.key`, `registry/` and `policies/`. The fields are there to be changed.
    #[must_use]
    pub fn dev(dir: &Path, issuer: IssuerUrl, trust_domain: TrustDomain) -> Self {
        let loopback = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            issuer,
            trust_domain,
            data_dir: dir.join("data"),
            policy_dir: dir.to_owned(),
            replica: None,
            listen: Listen {
                public: loopback,
                operations: loopback,
                danger_plain_operations: false,
                admin_socket: Some(dir.join("admin.sock")),
            },
            tls: Tls {
                cert_file: dir.join("tls.crt"),
                key_file: dir.join("tls.key"),
            },
            ledger: LedgerSection::default(),
            trust_domain_bundle: Vec::new(),
            oidc_issuer: Vec::new(),
            x509: Some(X509 {
                danger_ephemeral_root: true,
                ..X509::default()
            }),
            limits: Limits::default(),
            keys: Keys::default(),
            audit: Audit::default(),
            grant: Vec::new(),
        }
    }

    /// Checks a configuration that was put together in code.
    ///
    /// # Errors
    /// Every mistake that was found.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mistakes = validate::mistakes(self);
        if mistakes.is_empty() {
            return Ok(());
        }
        Err(ConfigErrors::of(
            Path::new("configuration"),
            &Places::none(),
            mistakes,
        ))
    }

    /// Where the audit trail goes when it is a file.
    #[must_use]
    pub fn audit_file(&self) -> Option<PathBuf> {
        if self.audit.stdout {
            return None;
        }
        Some(
            self.audit
                .file
                .clone()
                .unwrap_or_else(|| self.data_dir.join("audit.jsonl")),
        )
    }

    /// The settings that differ and take effect at a restart only, by their names.
    #[must_use]
    pub fn fixed_differences(&self, other: &Self) -> Vec<&'static str> {
        let fixed = [
            ("issuer", self.issuer == other.issuer),
            ("trust_domain", self.trust_domain == other.trust_domain),
            ("data_dir", self.data_dir == other.data_dir),
            ("replica", self.replica == other.replica),
            ("listen", self.listen == other.listen),
            ("ledger", self.ledger == other.ledger),
            ("x509", self.x509 == other.x509),
            (
                "limits.feed_subscribers",
                self.limits.feed_subscribers == other.limits.feed_subscribers,
            ),
            (
                "limits.request_timeout",
                self.limits.request_timeout == other.limits.request_timeout,
            ),
            (
                "limits.connection_age",
                self.limits.connection_age == other.limits.connection_age,
            ),
            ("keys", self.keys == other.keys),
            ("audit", self.audit == other.audit),
        ];
        fixed
            .iter()
            .filter(|(_, same)| !same)
            .map(|(name, _)| *name)
            .collect()
    }

    fn resolve(&mut self, base: &Path) {
        let mut paths = vec![
            &mut self.data_dir,
            &mut self.policy_dir,
            &mut self.tls.cert_file,
            &mut self.tls.key_file,
        ];
        paths.extend(&mut self.listen.admin_socket);
        paths.extend(&mut self.ledger.redis_password_file);
        paths.extend(&mut self.ledger.ca_file);
        paths.extend(&mut self.ledger.cluster_secret_file);
        paths.extend(&mut self.ledger.former_cluster_secret_files);
        paths.extend(
            self.trust_domain_bundle
                .iter_mut()
                .map(|bundle| &mut bundle.file),
        );
        for issuer in &mut self.oidc_issuer {
            paths.extend(&mut issuer.jwks_file);
            paths.extend(&mut issuer.ca_file);
        }
        if let Some(x509) = &mut self.x509 {
            paths.extend(&mut x509.danger_root_key_file);
            paths.extend(&mut x509.root_cert_file);
        }
        paths.extend(&mut self.audit.file);
        for path in paths {
            // By components, so that a folder `.` is not seen in messages.
            *path = base.join(&path).components().collect();
        }
    }
}

/// The JSON Schema of the main file.
#[must_use]
pub fn schema() -> String {
    let mut text = serde_json::to_string_pretty(&schemars::schema_for!(Config)).unwrap_or_default();
    text.push('\n');
    text
}

fn read_bounded(path: &Path) -> Result<String, String> {
    use std::io::Read;
    let failed = |error| format!("cannot be read: {error}");
    let file = regular::open(path).map_err(failed)?;
    let mut text = String::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("is larger than {MAX_FILE_BYTES} bytes"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
