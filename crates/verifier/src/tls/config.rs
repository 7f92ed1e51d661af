use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::pem::{Error as PemError, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// What a TLS server shows, and a client that is asked for it: its certificate chain, leaf first, and the leaf's private key.
pub struct ServerIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Why there is no TLS configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A PEM file is not acceptable.
    #[error("the {what} is not acceptable PEM: {detail}")]
    Pem {
        /// Which file.
        what: &'static str,
        /// What is wrong with it; never its content.
        detail: String,
    },
    /// A PEM file without a certificate.
    #[error("no certificate in the chain")]
    NoCertificate,
    /// rustls refuses certificate, key or both.
    #[error("certificate and key are refused")]
    Refused {
        /// Why.
        source: rustls::Error,
    },
}

impl ServerIdentity {
    /// From DER.
    #[must_use]
    pub const fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Self {
        Self { chain, key }
    }

    /// From PEM: all certificates of the one text, the first private key of the other.
    ///
    /// # Errors
    /// If a text is not PEM, or holds no certificate or no key.
    pub fn from_pem(chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, ConfigError> {
        let refused = |what| {
            move |error: PemError| ConfigError::Pem {
                what,
                detail: crate::pem::problem(&error).to_owned(),
            }
        };
        let chain = CertificateDer::pem_slice_iter(chain_pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(refused("certificate chain"))?;
        if chain.is_empty() {
            return Err(ConfigError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(refused("private key"))?;
        Ok(Self { chain, key })
    }
}

/// The one crypto provider, named explicitly: rustls panics where it must guess between two.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A server configuration: TLS 1.3 only, HTTP/2 and HTTP/1.1, no tickets, no session storage, no early data.
///
/// Resumption is off because a resumed session skips the client verifier: a client whose trust was removed
/// meanwhile would come back in. `clients` decides about client certificates; with `None` no certificate is
/// asked for, and certificate-bound tokens are refused. For tokens bound to a `spiffe_id` it must verify chains
/// against the bundle of the leaf's own trust domain, never against pooled roots.
///
/// # Errors
/// If rustls refuses the identity.
pub fn server_config(
    identity: ServerIdentity,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, ConfigError> {
    let refused = |source| ConfigError::Refused { source };
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refused)?;
    let builder = match clients {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(identity.chain, identity.key)
        .map_err(refused)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// A client configuration for the servers that `servers` knows: TLS 1.3 only, no resumption, no early data, no roots of
/// the system. `identity` is what the client shows where the server asks for it.
///
/// Resumption is off because a resumed session skips the server verifier: a server that was revoked meanwhile would
/// still be believed.
///
/// # Errors
/// If rustls refuses the identity.
pub fn client_config(
    identity: Option<ServerIdentity>,
    servers: Arc<dyn ServerCertVerifier>,
) -> Result<ClientConfig, ConfigError> {
    let refused = |source| ConfigError::Refused { source };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refused)?
        .dangerous()
        .with_custom_certificate_verifier(servers);
    let mut config = match identity {
        Some(ServerIdentity { chain, key }) => {
            builder.with_client_auth_cert(chain, key).map_err(refused)?
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
}
