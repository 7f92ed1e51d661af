//! What the ledger on Redis is told, and what follows from it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use zeroize::Zeroizing;

use crate::error::OpenError;

/// The longest wait for an answer on the way of a request. The promise is a refusal within
/// 300 ms, of which 50 are left for everything else.
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(250);

/// The ledger on Redis.
#[derive(Debug)]
pub struct RedisConfig {
    /// `redis://[user[:password]@]host[:port][/db]`, `rediss://…` for TLS 1.3, or
    /// `redis+unix:///path`.
    pub url: RedisUrl,
    /// The CA certificates that the server's chain must end in, as PEM. Without them, those of
    /// the system. Only for `rediss`.
    pub ca_pem: Option<Vec<u8>>,
    /// The certificate to show to a server that asks for one. Only for `rediss`.
    pub client_identity: Option<ClientIdentity>,
    /// The longest wait for an answer.
    pub timeout: Duration,
    /// What must have happened to a write before it counts.
    pub ack: Ack,
}

impl RedisConfig {
    /// The defaults for a URL: no TLS material, 250 ms, acknowledged from memory.
    #[must_use]
    pub fn new(url: impl Into<RedisUrl>) -> Self {
        Self {
            url: url.into(),
            ca_pem: None,
            client_identity: None,
            timeout: DEFAULT_TIMEOUT,
            ack: Ack::Memory,
        }
    }
}

/// The URL of a Redis, which may hold a password: it shows itself without.
#[derive(Clone)]
pub struct RedisUrl(Zeroizing<String>);

impl From<String> for RedisUrl {
    fn from(url: String) -> Self {
        Self(Zeroizing::new(url))
    }
}

impl From<&str> for RedisUrl {
    fn from(url: &str) -> Self {
        Self(Zeroizing::new(url.to_owned()))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match url::Url::parse(&self.0) {
            Ok(url) => write!(
                f,
                "RedisUrl({}://{}{})",
                url.scheme(),
                url.host_str().unwrap_or_default(),
                url.port()
                    .map(|port| format!(":{port}"))
                    .unwrap_or_default()
            ),
            Err(_) => f.write_str("RedisUrl(…)"),
        }
    }
}

/// A client certificate with its key.
#[derive(Clone)]
pub struct ClientIdentity {
    /// The chain, leaf first, as PEM.
    pub chain_pem: Vec<u8>,
    /// The private key, as PEM.
    pub key_pem: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientIdentity(…)")
    }
}

/// What must have happened to a write before it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ack {
    /// The primary has it in memory.
    #[default]
    Memory,
    /// The primary has it on disk (`WAITAOF`, Redis 7.2).
    Fsync,
    /// So many replicas have it in memory.
    Replicas(u8),
}

impl fmt::Display for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Fsync => f.write_str("fsync"),
            Self::Replicas(count) => write!(f, "replicas = {count}"),
        }
    }
}

/// Where a checked configuration leads.
pub(super) struct Target {
    pub(super) place: Place,
    pub(super) settings: RedisConnectionInfo,
    pub(super) timeout: Duration,
}

/// How the server is reached.
pub(super) enum Place {
    Tcp {
        host: String,
        port: u16,
    },
    Tls {
        host: String,
        port: u16,
        name: ServerName<'static>,
        config: Arc<rustls::ClientConfig>,
    },
    Unix(std::path::PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } | Self::Tls { host, port, .. } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Target {
    pub(super) fn new(config: &RedisConfig) -> Result<Self, OpenError> {
        if config.ack != Ack::Memory {
            return Err(OpenError::AckUnsupported { ack: config.ack });
        }
        let info = parse(&config.url)?;
        let settings = info
            .redis_settings()
            .clone()
            .set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        let place = match info.addr() {
            ConnectionAddr::Tcp(host, port) => Place::Tcp {
                host: host.clone(),
                port: *port,
            },
            ConnectionAddr::TcpTls { host, port, .. } => Place::Tls {
                name: ServerName::try_from(host.clone()).map_err(|_| OpenError::Address {
                    what: "has a host that no certificate can name",
                })?,
                host: host.clone(),
                port: *port,
                config: Arc::new(tls(config)?),
            },
            ConnectionAddr::Unix(path) => Place::Unix(path.clone()),
            _ => {
                return Err(OpenError::Address {
                    what: "has an unknown kind of address",
                });
            }
        };
        let without_tls = !matches!(place, Place::Tls { .. });
        if without_tls && (config.ca_pem.is_some() || config.client_identity.is_some()) {
            return Err(OpenError::Tls {
                what: "is of no use without `rediss://`".to_owned(),
            });
        }
        Ok(Self {
            place,
            settings,
            timeout: config.timeout,
        })
    }
}

/// Nothing of the client library's URL dialect that weakens a connection gets through.
fn parse(url: &RedisUrl) -> Result<ConnectionInfo, OpenError> {
    let refuse = |what| OpenError::Address { what };
    let parsed = url::Url::parse(&url.0).map_err(|_| refuse("cannot be read"))?;
    if !matches!(parsed.scheme(), "redis" | "rediss" | "redis+unix") {
        return Err(refuse(
            "must begin with redis://, rediss:// or redis+unix://",
        ));
    }
    if parsed.fragment().is_some() {
        return Err(refuse("must have no fragment (`#…`)"));
    }
    if parsed.query().is_some() {
        return Err(refuse("must have no query (`?…`)"));
    }
    url.0
        .as_str()
        .into_connection_info()
        .map_err(|_| refuse("has no usable host, path or database number"))
}

/// TLS 1.3 only, by the one provider of the project, whatever the process has installed.
fn tls(config: &RedisConfig) -> Result<rustls::ClientConfig, OpenError> {
    let refuse = |what: &str| OpenError::Tls {
        what: what.to_owned(),
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| refuse(&error.to_string()))?
        .with_root_certificates(roots(config.ca_pem.as_deref())?);
    let Some(identity) = &config.client_identity else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = CertificateDer::pem_slice_iter(&identity.chain_pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| refuse("has a client certificate that is no PEM"))?;
    let key = PrivateKeyDer::from_pem_slice(&identity.key_pem)
        .map_err(|_| refuse("has a client key that is no PEM"))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|_| refuse("has a client certificate and key that do not belong together"))
}

fn roots(ca_pem: Option<&[u8]>) -> Result<RootCertStore, OpenError> {
    let mut roots = RootCertStore::empty();
    match ca_pem {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                // The parser's own text quotes the line, which may be a key in the wrong file.
                certificate
                    .map_err(|_| "it is no PEM".to_owned())
                    .and_then(|certificate| {
                        roots.add(certificate).map_err(|error| error.to_string())
                    })
                    .map_err(|error| OpenError::Tls {
                        what: format!("has an unreadable CA certificate: {error}"),
                    })?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(OpenError::Tls {
            what: "has no CA certificate".to_owned(),
        });
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(url: &str) -> Result<Target, OpenError> {
        Target::new(&RedisConfig::new(url))
    }

    #[test]
    fn urls_that_weaken_or_confuse_are_refused() {
        for url in [
            "rediss://h:6379/#insecure",
            "redis://h:6379/?protocol=resp3",
            "http://h:6379",
            "redis://",
            "redis://h/notanumber",
            "h:6379",
            "",
        ] {
            assert!(matches!(open(url), Err(OpenError::Address { .. })), "{url}");
        }
        assert!(open("redis://h").is_ok());
        assert!(open("redis+unix:///run/redis.sock").is_ok());
    }

    #[test]
    fn a_url_and_an_identity_show_no_secret() {
        let config = RedisConfig {
            client_identity: Some(ClientIdentity {
                chain_pem: b"chain".to_vec(),
                key_pem: Zeroizing::new(b"hunter3".to_vec()),
            }),
            ..RedisConfig::new("redis://user:hunter2@host:1234/0")
        };
        let shown = format!("{config:?}");
        assert!(shown.contains("redis://host:1234"), "{shown}");
        assert!(
            !shown.contains("hunter") && !shown.contains("user"),
            "{shown}"
        );
        assert_eq!(
            format!("{:?}", RedisUrl::from("redis:// :hunter2@")),
            "RedisUrl(…)"
        );
    }

    #[test]
    fn tls_material_is_for_tls() {
        let config = RedisConfig {
            ca_pem: Some(b"x".to_vec()),
            ..RedisConfig::new("redis://h")
        };
        assert!(matches!(Target::new(&config), Err(OpenError::Tls { .. })));
        let config = RedisConfig {
            ca_pem: Some(b"no certificate".to_vec()),
            ..RedisConfig::new("rediss://h")
        };
        assert!(matches!(Target::new(&config), Err(OpenError::Tls { .. })));
    }

    #[test]
    fn stronger_acknowledgement_is_a_clear_error_for_now() {
        for ack in [Ack::Fsync, Ack::Replicas(2)] {
            let config = RedisConfig {
                ack,
                ..RedisConfig::new("redis://h")
            };
            let error = Target::new(&config).err().unwrap().to_string();
            assert!(error.contains("comes later"), "{error}");
        }
    }
}
