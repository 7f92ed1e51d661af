//! The check of clients' certificates in the TLS handshake.

use std::sync::Arc;

use dayfly_token::UnixTime;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, SignatureScheme,
};
use rustls_pki_types::CertificateDer;

use super::ChainError;
use super::bundles::TrustBundles;
use crate::AttestError;

/// A rustls verifier that asks for a client certificate, does without one, and accepts only X509-SVIDs of the trust
/// domains in force.
///
/// Callers with other evidence share the listener, so that a certificate is optional; one that is presented and is no
/// valid SVID ends the handshake. It answers for TLS 1.3 alone. A server configuration that uses it must not resume
/// sessions (no session storage, no tickets): a resumed session does not ask the verifier again.
#[derive(Debug)]
pub struct SvidClientVerifier {
    bundles: Arc<TrustBundles>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl SvidClientVerifier {
    /// A verifier that follows `bundles` as they change.
    #[must_use]
    pub fn new(bundles: Arc<TrustBundles>) -> Self {
        Self {
            bundles,
            algorithms: rustls::crypto::aws_lc_rs::default_provider()
                .signature_verification_algorithms,
        }
    }
}

impl ClientCertVerifier for SvidClientVerifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None: the trait cannot hand out a list that changes, and bundles are reloaded.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: rustls_pki_types::UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let now = UnixTime::from_secs(now.as_secs());
        match self.bundles.prove_handshake(end_entity, intermediates, now) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(error) => {
                tracing::debug!(code = error.code(), %error, "client certificate refused");
                Err(rustls::Error::InvalidCertificate(alert_of(error)))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General(
            "client certificates are for TLS 1.3 only".to_owned(),
        ))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    /// With those of PKCS#1 v1.5, which TLS 1.3 allows in certificates only: some clients look for the algorithm of
    /// their CA here before they send a chain.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The alert tells the peer what kind of fault it is; the log has the rest.
fn alert_of(error: AttestError) -> CertificateError {
    match &error {
        AttestError::Chain { source, .. } => match source {
            ChainError::Expired { .. } => CertificateError::Expired,
            ChainError::NotYetValid { .. } => CertificateError::NotValidYet,
            ChainError::Unreadable { .. } => CertificateError::BadEncoding,
            _ => CertificateError::UnknownIssuer,
        },
        AttestError::UnknownTrustDomain { .. } => CertificateError::UnknownIssuer,
        _ => CertificateError::Other(OtherError(Arc::new(error))),
    }
}
