use std::fmt;
use std::sync::Arc;

use dayfly_verifier::tls::{ServerIdentity, provider, server_config};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};

use crate::clients::{self, ClientBundle};
use crate::{LabError, Svid, clock, guard, random};

/// The names under which a service on this machine is reached.
pub const LOOPBACK_NAMES: &[&str] = &["localhost", "127.0.0.1", "::1"];

/// How long lab server certificates live: a development issuer may run for weeks, and nobody renews it.
const LIFETIME: Duration = Duration::days(30);

/// A private CA for server certificates on loopback. Its root is in no trust store but those that are given it.
pub struct TlsAuthority {
    root: CertifiedIssuer<'static, KeyPair>,
}

impl TlsAuthority {
    /// A fresh CA with a P-256 key in memory.
    pub fn new() -> Result<Self, LabError> {
        guard::check_environment()?;
        let key = KeyPair::generate().map_err(|_| LabError::Key { what: "CA" })?;
        let params = authority_params(
            "dayfly lab TLS root",
            BasicConstraints::Constrained(0),
            LIFETIME,
        )?;
        let root =
            CertifiedIssuer::self_signed(params, key).map_err(|source| LabError::Certificate {
                what: "TLS root",
                source,
            })?;
        Ok(Self { root })
    }

    /// The root, for the trust stores of clients.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.root.pem()
    }

    /// The root as DER.
    #[must_use]
    pub fn ca_der(&self) -> &[u8] {
        self.root.der()
    }

    /// A certificate for `names` (DNS names and IP addresses) and its key, both PEM.
    pub fn server_identity(&self, names: &[&str]) -> Result<(String, String), LabError> {
        self.server_identity_valid(names, -Duration::MINUTE, LIFETIME)
    }

    /// Like [`Self::server_identity`], valid from and until these distances from now, in seconds.
    pub fn server_identity_between(
        &self,
        names: &[&str],
        not_before_secs: i64,
        not_after_secs: i64,
    ) -> Result<(String, String), LabError> {
        self.server_identity_valid(
            names,
            Duration::seconds(not_before_secs),
            Duration::seconds(not_after_secs),
        )
    }

    fn server_identity_valid(
        &self,
        names: &[&str],
        not_before: Duration,
        not_after: Duration,
    ) -> Result<(String, String), LabError> {
        let certificate_error = |source| LabError::Certificate {
            what: "server",
            source,
        };
        let key = KeyPair::generate().map_err(|_| LabError::Key { what: "server" })?;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).map_err(certificate_error)?;
        let now = now()?;
        params.not_before = now + not_before;
        params.not_after = now + not_after;
        params.distinguished_name = DistinguishedName::new();
        params.serial_number = Some(serial()?);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params
            .signed_by(&key, &self.root)
            .map_err(certificate_error)?;
        Ok((leaf.pem(), key.serialize_pem()))
    }

    /// TLS 1.3 for `names`, without client certificates and without resumption.
    pub fn server_config(&self, names: &[&str]) -> Result<Arc<ServerConfig>, LabError> {
        self.configured(names, None)
    }

    /// Like [`Self::server_config`], and a client may present an SVID of one of these trust domains.
    pub fn server_config_with_clients(
        &self,
        names: &[&str],
        bundles: &[ClientBundle<'_>],
    ) -> Result<Arc<ServerConfig>, LabError> {
        self.configured(names, Some(clients::verifier(bundles)?))
    }

    fn configured(
        &self,
        names: &[&str],
        clients: Option<Arc<dyn ClientCertVerifier>>,
    ) -> Result<Arc<ServerConfig>, LabError> {
        let (chain_pem, key_pem) = self.server_identity(names)?;
        let (chain, key) = identity_from_pem(&chain_pem, &key_pem)?;
        server_config(ServerIdentity::new(chain, key), clients)
            .map(Arc::new)
            .map_err(|error| LabError::ServerConfig {
                reason: error.to_string(),
            })
    }

    /// A client that trusts this CA alone and presents `svid`, if there is one: HTTP/1.1 over TLS 1.3.
    pub fn client_config(&self, svid: Option<&Svid>) -> Result<Arc<ClientConfig>, LabError> {
        let tls = |source| LabError::Tls { source };
        let roots = clients::root_store(&self.ca_pem())?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(tls)?
            .with_root_certificates(roots);
        let mut config = match svid {
            None => builder.with_no_client_auth(),
            Some(svid) => {
                let (chain, key) = identity_from_pem(&svid.cert_chain_pem, &svid.key_pem)?;
                builder.with_client_auth_cert(chain, key).map_err(tls)?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl fmt::Debug for TlsAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAuthority").finish_non_exhaustive()
    }
}

/// What every CA certificate of the lab has.
pub(crate) fn authority_params(
    name: &str,
    constraints: BasicConstraints,
    lifetime: Duration,
) -> Result<CertificateParams, LabError> {
    let mut params = CertificateParams::default();
    let now = now()?;
    params.not_before = now - Duration::MINUTE;
    params.not_after = now + lifetime;
    params.serial_number = Some(serial()?);
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "dayfly lab");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// 16 random bytes with the top bit clear, so that the number is positive in 16 octets (RFC 5280 section 4.1.2.2).
pub(crate) fn serial() -> Result<SerialNumber, LabError> {
    let mut bytes: [u8; 16] = random::bytes()?;
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(SerialNumber::from_slice(&bytes))
}

/// The present in whole seconds, as certificates carry it.
pub(crate) fn now() -> Result<OffsetDateTime, LabError> {
    let secs = i64::try_from(clock::unix_now()).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(secs).map_err(|_| LabError::Interrupted)
}

fn identity_from_pem(
    chain: &str,
    key: &str,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), LabError> {
    let unreadable = |_| LabError::Key { what: "PEM" };
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(unreadable)?;
    Ok((chain, key))
}
