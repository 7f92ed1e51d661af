use std::collections::BTreeMap;
use std::sync::Arc;

use dayfly_token::TrustDomain;
use dayfly_verifier::svid;
use dayfly_verifier::tls::provider;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::LabError;

/// A trust domain and its roots as PEM.
#[derive(Clone, Copy, Debug)]
pub struct ClientBundle<'a> {
    /// The trust domain's name.
    pub trust_domain: &'a str,
    /// Its roots.
    pub pem: &'a str,
}

/// Accepts SVIDs of these trust domains, each by the roots of its own, and callers without a certificate.
pub(crate) fn verifier(
    bundles: &[ClientBundle<'_>],
) -> Result<Arc<dyn ClientCertVerifier>, LabError> {
    let mut domains = BTreeMap::new();
    for bundle in bundles {
        let trust_domain = bundle
            .trust_domain
            .parse::<TrustDomain>()
            .map_err(|error| LabError::SpiffeId {
                text: bundle.trust_domain.to_owned(),
                reason: error.to_string(),
            })?;
        let verifier = WebPkiClientVerifier::builder_with_provider(
            Arc::new(root_store(bundle.pem)?),
            provider(),
        )
        .build()
        .map_err(|error| LabError::ClientRoots {
            reason: error.to_string(),
        })?;
        domains.insert(trust_domain, verifier);
    }
    Ok(Arc::new(SvidClients {
        domains,
        algorithms: provider().signature_verification_algorithms,
    }))
}

pub(crate) fn root_store(pem: &str) -> Result<RootCertStore, LabError> {
    let refused = |reason: String| LabError::ClientRoots { reason };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| refused(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(refused("there is no certificate in them".to_owned()));
    }
    Ok(roots)
}

#[derive(Debug)]
struct SvidClients {
    domains: BTreeMap<TrustDomain, Arc<dyn ClientCertVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for SvidClients {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    /// SPIFFE X509-SVID section 5: the leaf's trust domain picks the roots, before any path is built.
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let refused = Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
        let id = svid::identity_of(end_entity).map_err(|_| refused)?;
        self.domains
            .get(id.trust_domain())
            .ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?
            .verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
