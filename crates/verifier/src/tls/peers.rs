//! A [`CertificateVerifier`] in TLS handshakes, on either side.

use std::collections::BTreeSet;
use std::sync::Arc;

use dayfly_token::{Slug, SpiffeId, UnixTime};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName};

use crate::PeerCertificate;
use crate::x509::{
    CertificateRejection, CertificateVerifier, Usage, VerifiedCertificate, unexpected_server,
};

/// The servers that a client means: exact SPIFFE IDs, all workloads of an owner, or several of these. Never a pattern,
/// and never empty.
#[derive(Clone, Debug)]
pub struct ExpectedServers {
    ids: BTreeSet<SpiffeId>,
    owners: BTreeSet<Slug>,
}

/// Believes the servers that a client means, and no other: made by [`CertificateVerifier::servers`].
///
/// The name that was dialled is not looked at: it finds a server, and does not say who it is.
#[derive(Clone, Debug)]
pub struct ServerVerifier {
    certificates: CertificateVerifier,
    expected: Arc<ExpectedServers>,
}

#[derive(Debug)]
struct ClientVerifier {
    certificates: CertificateVerifier,
    mandatory: bool,
}

impl ExpectedServers {
    /// One server, by its SPIFFE ID.
    #[must_use]
    pub fn id(id: SpiffeId) -> Self {
        Self {
            ids: BTreeSet::from([id]),
            owners: BTreeSet::new(),
        }
    }

    /// Any workload of an owner.
    #[must_use]
    pub fn owner(owner: Slug) -> Self {
        Self {
            ids: BTreeSet::new(),
            owners: BTreeSet::from([owner]),
        }
    }

    /// Or this one.
    #[must_use]
    pub fn or_id(mut self, id: SpiffeId) -> Self {
        self.ids.insert(id);
        self
    }

    /// Or any workload of this owner.
    #[must_use]
    pub fn or_owner(mut self, owner: Slug) -> Self {
        self.owners.insert(owner);
        self
    }

    fn contains(&self, server: &VerifiedCertificate) -> bool {
        self.ids.contains(server.spiffe_id()) || self.owners.contains(&server.workload().owner)
    }
}

impl CertificateVerifier {
    /// For a server that every client must show a certificate to.
    #[must_use]
    pub fn required_clients(&self) -> Arc<dyn ClientCertVerifier> {
        self.clients(true)
    }

    /// For a server whose clients may come without a certificate, with a token perhaps. One that is shown and refused
    /// ends the handshake all the same, so that a request with a [`PeerCertificate`] has a good one.
    #[must_use]
    pub fn optional_clients(&self) -> Arc<dyn ClientCertVerifier> {
        self.clients(false)
    }

    fn clients(&self, mandatory: bool) -> Arc<dyn ClientCertVerifier> {
        Arc::new(ClientVerifier {
            certificates: self.clone(),
            mandatory,
        })
    }

    /// For a client that means these servers.
    #[must_use]
    pub fn servers(&self, expected: ExpectedServers) -> Arc<ServerVerifier> {
        Arc::new(ServerVerifier {
            certificates: self.clone(),
            expected: Arc::new(expected),
        })
    }
}

impl ServerVerifier {
    /// Checks the server's certificate of an open connection again, as of `now`, like
    /// [`CertificateVerifier::recheck`] does on the other side.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn recheck(
        &self,
        peer: &PeerCertificate,
        now: UnixTime,
    ) -> Result<VerifiedCertificate, CertificateRejection> {
        let verified = self.certificates.check_peer(peer, Usage::Server, now)?;
        self.expect(verified)
    }

    fn expect(
        &self,
        verified: VerifiedCertificate,
    ) -> Result<VerifiedCertificate, CertificateRejection> {
        if self.expected.contains(&verified) {
            Ok(verified)
        } else {
            Err(unexpected_server(verified.spiffe_id()))
        }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    /// None: the trait cannot hand out a list that changes, and bundles do.
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
        self.certificates
            .check(end_entity, intermediates, Usage::Client, now)
            .map(|_| ClientCertVerified::assertion())
            .map_err(|rejection| refused("client", rejection))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(only_tls_1_3())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, self.certificates.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.certificates.algorithms().supported_schemes()
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _dialled: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: rustls_pki_types::UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let now = UnixTime::from_secs(now.as_secs());
        self.certificates
            .check(end_entity, intermediates, Usage::Server, now)
            .and_then(|verified| self.expect(verified))
            .map(|_| ServerCertVerified::assertion())
            .map_err(|rejection| refused("server", rejection))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(only_tls_1_3())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, self.certificates.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.certificates.algorithms().supported_schemes()
    }
}

fn only_tls_1_3() -> rustls::Error {
    rustls::Error::General("these certificates are for TLS 1.3 only".to_owned())
}

/// One line for each refusal, at a level that strangers cannot fill a log with; [`Server`](super::Server) says at most
/// once a second, and louder, that there are such refusals.
fn refused(peer: &'static str, rejection: CertificateRejection) -> rustls::Error {
    let facts = rejection.in_one_line();
    tracing::debug!(peer, code = %rejection.code(), reason = facts, "certificate refused");
    rejection.into_tls()
}
