use std::time::Duration;

use dayfly_lab::{LOOPBACK_NAMES, OidcIssuer, OidcOptions, SpiffeCa, TlsAuthority, TokenAlgorithm};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

#[test]
fn server_certificates_are_for_their_names_alone() {
    let tls = TlsAuthority::new().unwrap();
    let (chain, key) = tls.server_identity(LOOPBACK_NAMES).unwrap();
    assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"));
    let leaf = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
    let root = CertificateDer::from(tls.ca_der());
    let leaf = EndEntityCert::try_from(&leaf).unwrap();
    let verify = |usage| {
        leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &[anchor_from_trusted_cert(&root).unwrap()],
            &[],
            UnixTime::since_unix_epoch(Duration::from_secs(super::now())),
            usage,
            None,
            None,
        )
        .map(drop)
    };
    verify(KeyUsage::server_auth()).unwrap();
    assert!(verify(KeyUsage::client_auth()).is_err());
    for name in ["localhost", "127.0.0.1", "::1"] {
        leaf.verify_is_valid_for_subject_name(&ServerName::try_from(name).unwrap())
            .unwrap();
    }
    assert!(
        leaf.verify_is_valid_for_subject_name(&ServerName::try_from("sts.example").unwrap())
            .is_err()
    );
}

#[tokio::test]
async fn another_authority_is_not_trusted() {
    let tls = TlsAuthority::new().unwrap();
    let options = OidcOptions {
        tls: Some(&tls),
        algorithm: TokenAlgorithm::Es256,
        ..OidcOptions::default()
    };
    let issuer = OidcIssuer::start(options).await.unwrap();
    let stranger = TlsAuthority::new().unwrap();
    let url = format!("{}/.well-known/jwks", issuer.url());
    assert!(super::http(&stranger, None).get(&url).send().await.is_err());
    assert!(super::http(&tls, None).get(&url).send().await.is_ok());
    assert!(issuer.ca_pem().is_some_and(|pem| pem == tls.ca_pem()));
    // A SPIFFE CA's certificates are for workloads, and its root is not the TLS authority's.
    assert_ne!(
        SpiffeCa::new("prod.example").unwrap().bundle_pem(),
        tls.ca_pem()
    );
}
