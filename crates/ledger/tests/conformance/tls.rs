//! Redis over TLS.

use std::path::PathBuf;

use dayfly_issuer::Ledger;
use dayfly_ledger::testing::{RedisServer, TlsFiles};
use dayfly_ledger::{ClientIdentity, OpenError, RedisConfig, RedisLedger};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use crate::draft::Draft;

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Redis CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
            directory: TempDir::new().unwrap(),
        }
    }

    fn ca_pem(&self) -> Vec<u8> {
        self.issuer.pem().into_bytes()
    }

    fn leaf(&self, name: &str) -> (String, String) {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        (leaf.pem(), key.serialize_pem())
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn server(&self, ask_for_client: bool, arguments: &[&str]) -> RedisServer {
        let (cert, key) = self.leaf("localhost");
        let files = TlsFiles {
            cert: self.file("cert.pem", &cert),
            key: self.file("key.pem", &key),
            client_ca: ask_for_client.then(|| self.file("ca.pem", &self.issuer.pem())),
        };
        RedisServer::start_tls(files, arguments)
    }
}

async fn works(config: RedisConfig) -> bool {
    let ledger = RedisLedger::connect(config).await.unwrap();
    if ledger.load_control().await.is_err() {
        return false;
    }
    ledger.record(Draft::new().commit()).await.unwrap();
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_known_by_its_authority() {
    let authority = Authority::new();
    let server = authority.server(false, &[]);
    let config = |ca_pem| RedisConfig {
        ca_pem,
        ..RedisConfig::new(server.url())
    };
    assert!(works(config(Some(authority.ca_pem()))).await);
    assert!(!works(config(Some(Authority::new().ca_pem()))).await);
    // The authorities of the system do not know it, if there are any.
    match RedisLedger::connect(config(None)).await {
        Ok(ledger) => assert!(ledger.load_control().await.is_err()),
        Err(error) => assert!(matches!(error, OpenError::Tls { .. })),
    }
    // The name counts, too.
    let elsewhere = RedisConfig {
        ca_pem: Some(authority.ca_pem()),
        ..RedisConfig::new(server.url().replace("localhost", "127.0.0.1"))
    };
    assert!(!works(elsewhere).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_wants_a_certificate_gets_it() {
    let authority = Authority::new();
    let server = authority.server(true, &[]);
    let config = |client_identity| RedisConfig {
        ca_pem: Some(authority.ca_pem()),
        client_identity,
        ..RedisConfig::new(server.url())
    };
    assert!(!works(config(None)).await);
    let (chain, key) = authority.leaf("issuer");
    let identity = ClientIdentity {
        chain_pem: chain.into_bytes(),
        key_pem: key.into_bytes().into(),
    };
    assert!(works(config(Some(identity))).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_tls_is_refused() {
    let authority = Authority::new();
    let server = authority.server(false, &["--tls-protocols", "TLSv1.2"]);
    let config = RedisConfig {
        ca_pem: Some(authority.ca_pem()),
        ..RedisConfig::new(server.url())
    };
    assert!(!works(config).await);
}
