//! A CA in memory, the certificates it makes, and TLS configurations of both sides.

use std::sync::Arc;

use dayfly_verifier::tls::{ServerIdentity, provider, server_config};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::client::Resumption;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

pub struct Pki(CertifiedIssuer<'static, KeyPair>);

pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

impl Pki {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "test CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn ca_pem(&self) -> String {
        self.0.pem()
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        Arc::new(roots)
    }

    fn issue(&self, names: Vec<SanType>, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.subject_alt_names = names;
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Identity {
            chain: vec![certificate.der().clone()],
            key,
        }
    }

    /// A certificate for the server on loopback.
    pub fn server(&self, name: &str) -> Identity {
        self.issue(vec![SanType::DnsName(name.try_into().unwrap())], |_| ())
    }

    /// A client certificate with one URI name.
    pub fn client(&self, uri: &str) -> Identity {
        self.issue(vec![SanType::URI(uri.try_into().unwrap())], |_| ())
    }

    /// A server on `localhost` that asks for a client certificate of this CA and does without.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let clients = WebPkiClientVerifier::builder_with_provider(self.roots(), provider())
            .allow_unauthenticated()
            .build()
            .unwrap();
        let Identity { chain, key } = self.server("localhost");
        Arc::new(server_config(ServerIdentity::new(chain, key), Some(clients)).unwrap())
    }

    /// A client that trusts this CA.
    pub fn client_config(&self, identity: Option<Identity>) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = builder.with_root_certificates(self.roots());
        let mut config = match identity {
            Some(Identity { chain, key }) => builder.with_client_auth_cert(chain, key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::in_memory_sessions(16);
        config
    }
}

/// Certificates in DER of every kind that the rules for SVIDs tell apart.
pub fn specimens() -> Vec<Vec<u8>> {
    let pki = Pki::new();
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    let leaf = |names: Vec<SanType>| pki.issue(names, |_| ()).chain[0].to_vec();
    let good = leaf(vec![uri("spiffe://td/a/b")]);
    vec![
        pki.0.der().to_vec(),
        leaf(vec![uri("spiffe://td/a"), uri("spiffe://td/b")]),
        leaf(vec![uri("spiffe://td")]),
        leaf(vec![uri("spiffe://td/a/../b")]),
        leaf(vec![SanType::DnsName("localhost".try_into().unwrap())]),
        leaf(Vec::new()),
        [good.as_slice(), b"x"].concat(),
        good[..good.len() / 2].to_vec(),
        good,
    ]
}
