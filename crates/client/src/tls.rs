use std::sync::Arc;

use reqwest::redirect::Policy;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::ClientError;
use crate::http::{CONNECT_TIMEOUT, REQUEST_TIMEOUT};
use crate::identity::ParsedIdentity;

/// Whom to trust as a server.
#[derive(Clone, Copy)]
pub(crate) enum Trust<'a> {
    /// These CAs alone.
    Pinned(&'a [u8]),
    /// What the platform trusts.
    Platform,
    /// Nobody: the connection is a Unix socket or, in tests, plain HTTP.
    Nobody,
}

/// An HTTP client over TLS 1.3, aws-lc-rs, HTTP/1.1, without redirects.
pub(crate) fn http_client(
    trust: Trust<'_>,
    identity: Option<&ParsedIdentity>,
    loopback: bool,
) -> Result<reqwest::Client, ClientError> {
    let mut builder = client_builder(trust, identity)?;
    if loopback {
        builder = builder.no_proxy();
    }
    finish(builder)
}

/// An HTTP client whose every connection is the Unix socket at `path`.
#[cfg(unix)]
pub(crate) fn socket_client(path: &std::path::Path) -> Result<reqwest::Client, ClientError> {
    finish(
        client_builder(Trust::Nobody, None)?
            .no_proxy()
            .unix_socket(path),
    )
}

fn client_builder(
    trust: Trust<'_>,
    identity: Option<&ParsedIdentity>,
) -> Result<reqwest::ClientBuilder, ClientError> {
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(client_config(trust, identity)?)
        // A redirect would carry evidence to a place that nobody configured.
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .user_agent(concat!("dayfly-client/", env!("CARGO_PKG_VERSION"))))
}

fn finish(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, ClientError> {
    builder.build().map_err(|error| ClientError::Configuration {
        reason: format!("no HTTP client: {error}"),
    })
}

fn client_config(
    trust: Trust<'_>,
    identity: Option<&ParsedIdentity>,
) -> Result<ClientConfig, ClientError> {
    let tls = |source| ClientError::Tls { source };
    // The provider is named: a process-wide default may be another's, or missing.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(tls)?;
    let roots = match trust {
        Trust::Pinned(pem) => pinned_roots(pem)?,
        Trust::Platform => platform_roots()?,
        Trust::Nobody => RootCertStore::empty(),
    };
    let builder = builder.with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder
            .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
            .map_err(tls)?,
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// What the machine trusts. Single unreadable certificates among the platform's are left out, as its other programs do.
fn platform_roots() -> Result<RootCertStore, ClientError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(ClientError::Configuration {
            reason: "this machine has no trusted CA certificates: name the issuer's CA file"
                .to_owned(),
        });
    }
    Ok(roots)
}

fn pinned_roots(pem: &[u8]) -> Result<RootCertStore, ClientError> {
    let unusable = |reason: String| ClientError::Configuration { reason };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate =
            certificate.map_err(|error| unusable(format!("the CA file is no PEM: {error}")))?;
        roots.add(certificate).map_err(|error| {
            unusable(format!("the CA file has an unusable certificate: {error}"))
        })?;
    }
    if roots.is_empty() {
        return Err(unusable("the CA file has no certificate in it".to_owned()));
    }
    Ok(roots)
}
