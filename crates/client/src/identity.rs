use std::fmt;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use webpki::EndEntityCert;

use crate::{ClientError, Secret};

/// A client certificate with its key, as PEM: an X.509-SVID, or a binding key of one's own.
pub struct Identity {
    /// The chain, leaf first, without the root.
    pub cert_chain_pem: String,
    /// The private key, PKCS#8 or SEC 1.
    pub key_pem: Secret,
}

impl Identity {
    /// From PEM texts.
    pub fn new(cert_chain_pem: impl Into<String>, key_pem: impl Into<Secret>) -> Self {
        Self {
            cert_chain_pem: cert_chain_pem.into(),
            key_pem: key_pem.into(),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// The same, parsed.
pub(crate) struct ParsedIdentity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    /// The SPIFFE ID of the leaf, if it has exactly one.
    pub(crate) spiffe_id: Option<String>,
}

impl ParsedIdentity {
    pub(crate) fn parse(identity: &Identity) -> Result<Self, ClientError> {
        let unusable = |what: &str, problem: &dyn fmt::Display| ClientError::Configuration {
            reason: format!("the client {what} is unusable: {problem}"),
        };
        // The parser's messages quote what it read. That is a key, or may be one in the wrong place: say nothing of it.
        let chain = CertificateDer::pem_slice_iter(identity.cert_chain_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| unusable("certificate", &"not well-formed PEM"))?;
        let leaf = chain
            .first()
            .ok_or_else(|| unusable("certificate", &"no certificate in the PEM"))?;
        let spiffe_id = spiffe_id_of(leaf).map_err(|error| unusable("certificate", &error))?;
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem.expose().as_bytes())
            .map_err(|_| unusable("key", &"no private key in the PEM"))?;
        Ok(Self {
            chain,
            key,
            spiffe_id,
        })
    }
}

fn spiffe_id_of(leaf: &CertificateDer<'_>) -> Result<Option<String>, webpki::Error> {
    let leaf = EndEntityCert::try_from(leaf)?;
    let mut ids = leaf
        .valid_uri_names()
        .filter(|uri| uri.starts_with("spiffe://"));
    let first = ids.next().map(str::to_owned);
    Ok(first.filter(|_| ids.next().is_none()))
}
