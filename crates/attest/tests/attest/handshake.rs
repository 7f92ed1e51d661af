//! The verifier of client certificates, in real TLS handshakes.

use std::io;
use std::sync::Arc;

use dayfly_attest::{SvidClientVerifier, TrustBundles};
use dayfly_verifier::tls::{ServerIdentity, server_config};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::server::danger::ClientCertVerifier;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig,
    ServerConnection, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::ca::{
    Ca, Leaf, TRUST_DOMAIN, bundle_of, ca_params, instant, intermediate_params, leaf_params,
    trusting,
};
use crate::{NOW, ca};

/// The handshake reads the real clock, so that these certificates are always valid.
fn timeless(mut params: rcgen::CertificateParams) -> rcgen::CertificateParams {
    params.not_before = instant(0);
    params.not_after = instant(4_000_000_000);
    params
}

fn timeless_root() -> Ca {
    Ca::self_signed(timeless(ca_params(TRUST_DOMAIN)))
}

fn server(bundles: TrustBundles) -> Arc<ServerConfig> {
    let own = Ca::root("sts.example").issue(&leaf_params("spiffe://sts.example/server"));
    let key = PrivateKeyDer::try_from(own.key.serialize_der()).unwrap();
    let identity = ServerIdentity::new(vec![own.der.into()], key);
    let verifier = Arc::new(SvidClientVerifier::new(Arc::new(bundles)));
    Arc::new(server_config(identity, Some(verifier)).unwrap())
}

/// A client that does not look at the server: this is about the other direction.
fn client(identity: Option<(&Leaf, &[&Ca])>) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer));
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some((leaf, intermediates)) => {
            let mut chain: Vec<CertificateDer<'static>> = vec![leaf.der.clone().into()];
            chain.extend(intermediates.iter().map(|ca| ca.der().into()));
            let key = PrivateKeyDer::try_from(leaf.key.serialize_der()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    })
}

#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls_pki_types::UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ED25519,
        ]
    }
}

/// Runs a handshake in memory; the number of certificates that the server saw, or why it ended.
fn shake(
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
) -> Result<Option<usize>, rustls::Error> {
    let mut server = ServerConnection::new(server).unwrap();
    let name = ServerName::try_from("sts.example").unwrap();
    let mut client = ClientConnection::new(client, name).unwrap();
    for _ in 0..10 {
        let mut to_server = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut to_server).unwrap();
        }
        let mut input = io::Cursor::new(to_server);
        while input.position() < input.get_ref().len() as u64 {
            server.read_tls(&mut input).unwrap();
            server.process_new_packets()?;
        }
        let mut to_client = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut to_client).unwrap();
        }
        let mut input = io::Cursor::new(to_client);
        while input.position() < input.get_ref().len() as u64 {
            client.read_tls(&mut input).unwrap();
            client.process_new_packets()?;
        }
        if !server.is_handshaking() && !client.is_handshaking() {
            return Ok(server.peer_certificates().map(<[_]>::len));
        }
    }
    panic!("the handshake does not end");
}

#[test]
fn a_certificate_is_asked_for_and_optional() {
    let root = timeless_root();
    assert_eq!(shake(server(trusting(&root)), client(None)), Ok(None));
    let leaf = root.issue(&timeless(leaf_params(ca::WORKLOAD)));
    assert_eq!(
        shake(server(trusting(&root)), client(Some((&leaf, &[])))),
        Ok(Some(1))
    );
    let middle = root.intermediate(timeless(intermediate_params("middle")));
    let leaf = middle.issue(&timeless(leaf_params(ca::WORKLOAD)));
    assert_eq!(
        shake(server(trusting(&root)), client(Some((&leaf, &[&middle])))),
        Ok(Some(2))
    );
}

#[test]
fn anything_but_an_svid_in_force_ends_the_handshake() {
    let root = timeless_root();
    let refused = |leaf: &Leaf| {
        let ended = shake(server(trusting(&root)), client(Some((leaf, &[]))));
        match ended {
            Err(rustls::Error::InvalidCertificate(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let issue = |params| root.issue(&timeless(params));
    let stranger = timeless_root().issue(&timeless(leaf_params(ca::WORKLOAD)));
    assert_eq!(refused(&stranger), CertificateError::UnknownIssuer);
    let elsewhere = issue(leaf_params("spiffe://nobody.example/a"));
    assert_eq!(refused(&elsewhere), CertificateError::UnknownIssuer);
    let mut params = leaf_params(ca::WORKLOAD);
    params.subject_alt_names.clear();
    assert!(matches!(
        refused(&issue(params)),
        CertificateError::Other(_)
    ));
    let past = root.issue(&leaf_params_between(1_000, 2_000));
    assert_eq!(refused(&past), CertificateError::Expired);
    let future = root.issue(&leaf_params_between(3_900_000_000, 3_900_000_100));
    assert_eq!(refused(&future), CertificateError::NotValidYet);
}

fn leaf_params_between(from: u64, until: u64) -> rcgen::CertificateParams {
    let mut params = leaf_params(ca::WORKLOAD);
    params.not_before = instant(from);
    params.not_after = instant(until);
    params
}

#[test]
fn the_key_has_to_be_the_certificates() {
    let root = timeless_root();
    let leaf = root.issue(&timeless(leaf_params(ca::WORKLOAD)));
    let thief = Leaf {
        der: leaf.der,
        key: rcgen::KeyPair::generate().unwrap(),
    };
    // rustls compares key and certificate for whoever uses it honestly; the thief signs by hand.
    let key = rustls::crypto::aws_lc_rs::sign::any_ecdsa_type(
        &PrivateKeyDer::try_from(thief.key.serialize_der()).unwrap(),
    )
    .unwrap();
    let certified = rustls::sign::CertifiedKey::new(vec![thief.der.into()], key);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer))
        .with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    let ended = shake(server(trusting(&root)), Arc::new(client));
    assert_eq!(
        ended,
        Err(rustls::Error::InvalidCertificate(
            CertificateError::BadSignature
        ))
    );
}

#[test]
fn reloads_reach_the_next_handshake() {
    let (old, new) = (timeless_root(), timeless_root());
    let bundles = Arc::new(trusting(&old));
    let verifier = SvidClientVerifier::new(Arc::clone(&bundles));
    let now =
        rustls_pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(NOW.as_secs()));
    let leaf = CertificateDer::from(old.svid().der);
    assert!(verifier.verify_client_cert(&leaf, &[], now).is_ok());
    bundles
        .reconfigure(vec![bundle_of(TRUST_DOMAIN, &[&new])])
        .unwrap();
    assert!(verifier.verify_client_cert(&leaf, &[], now).is_err());
    let leaf = CertificateDer::from(new.svid().der);
    assert!(verifier.verify_client_cert(&leaf, &[], now).is_ok());
}

#[test]
fn what_it_offers() {
    let verifier = SvidClientVerifier::new(Arc::new(crate::no_bundles()));
    assert!(verifier.offer_client_auth() && !verifier.client_auth_mandatory());
    assert!(verifier.root_hint_subjects().is_empty());
    let schemes = verifier.supported_verify_schemes();
    assert!(schemes.contains(&SignatureScheme::ECDSA_NISTP256_SHA256));
    assert!(!schemes.contains(&SignatureScheme::RSA_PKCS1_SHA1));
}
