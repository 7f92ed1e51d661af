use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dayfly_token::{UnixTime, base64url};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData as _};
use rustls_pki_types::CertificateDer;
use serde::Deserialize;
use webpki::EndEntityCert;

use crate::http::Reply;
use crate::{ClientError, Identity, Secret};

/// Certificates in an honest chain: leaf and intermediate, and room for one more.
const MAX_CHAIN: usize = 4;

/// A certificate (X.509-SVID) with its key, which was made here and has left this process never.
pub struct Certificate {
    chain_pem: String,
    key_pem: Secret,
    spiffe_id: String,
    serial: String,
    not_before: UnixTime,
    not_after: UnixTime,
    renew_after: Option<UnixTime>,
    bundle_endpoint: Option<String>,
    obtained_at: UnixTime,
}

impl Certificate {
    /// The chain as PEM, leaf first, without the root.
    #[must_use]
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// The key, PKCS#8 as PEM.
    #[must_use]
    pub const fn key_pem(&self) -> &Secret {
        &self.key_pem
    }

    /// The URI SAN.
    #[must_use]
    pub fn spiffe_id(&self) -> &str {
        &self.spiffe_id
    }

    /// The serial number in hexadecimal: the credential id.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// When it begins.
    #[must_use]
    pub const fn not_before(&self) -> UnixTime {
        self.not_before
    }

    /// When it ends.
    #[must_use]
    pub const fn not_after(&self) -> UnixTime {
        self.not_after
    }

    /// When the issuer would have it renewed.
    #[must_use]
    pub const fn renew_after(&self) -> Option<UnixTime> {
        self.renew_after
    }

    /// Where the roots are published, as a SPIFFE bundle.
    #[must_use]
    pub fn bundle_endpoint(&self) -> Option<&str> {
        self.bundle_endpoint.as_deref()
    }

    /// When it was asked for, by this machine's clock.
    #[must_use]
    pub const fn obtained_at(&self) -> UnixTime {
        self.obtained_at
    }

    /// As a client identity.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::new(self.chain_pem.clone(), Secret::new(self.key_pem.expose()))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("spiffe_id", &self.spiffe_id)
            .field("serial", &self.serial)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// A P-256 key in memory, and the request that proves its possession.
pub(crate) struct NewKey {
    key: KeyPair,
}

impl NewKey {
    pub(crate) fn generate() -> Result<Self, ClientError> {
        let key = KeyPair::generate().map_err(|_| ClientError::Certificate {
            reason: "no key could be made",
        })?;
        Ok(Self { key })
    }

    /// A PKCS#10 request as base64url of its DER. It asks for nothing but the key: names are the issuer's to choose.
    pub(crate) fn request(&self) -> Result<String, ClientError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request =
            params
                .serialize_request(&self.key)
                .map_err(|_| ClientError::Certificate {
                    reason: "no request could be made",
                })?;
        Ok(base64url::encode(request.der().as_ref()))
    }

    /// The certificate from the issuer's answer, once it is for this key.
    pub(crate) fn certificate(
        &self,
        reply: &Reply,
        asked_at: UnixTime,
    ) -> Result<Certificate, ClientError> {
        let body: CertificateResponse = reply.json()?;
        if body.certificate_chain.is_empty() || body.certificate_chain.len() > MAX_CHAIN {
            return Err(reply.malformed("`certificate_chain` has no certificate, or too many"));
        }
        let chain: Vec<Vec<u8>> = body
            .certificate_chain
            .iter()
            .map(|certificate| STANDARD.decode(certificate))
            .collect::<Result<_, _>>()
            .map_err(|_| reply.malformed("`certificate_chain` is no base64"))?;
        if let Some(leaf) = chain.first() {
            self.check_leaf(leaf, &body.spiffe_id)?;
        }
        Ok(Certificate {
            chain_pem: chain.iter().map(|der| pem(der)).collect(),
            key_pem: Secret::new(self.key.serialize_pem()),
            spiffe_id: body.spiffe_id,
            serial: body.serial,
            not_before: body.not_before,
            not_after: body.not_after,
            renew_after: body.renew_after,
            bundle_endpoint: body.bundle_endpoint,
            obtained_at: asked_at,
        })
    }

    fn check_leaf(&self, leaf: &[u8], spiffe_id: &str) -> Result<(), ClientError> {
        let unusable = |reason| ClientError::Certificate { reason };
        let der = CertificateDer::from(leaf);
        let leaf = EndEntityCert::try_from(&der).map_err(|_| unusable("it cannot be parsed"))?;
        if leaf.subject_public_key_info().as_ref() != self.key.subject_public_key_info().as_slice()
        {
            return Err(unusable("it is for another key"));
        }
        if !leaf.valid_uri_names().eq([spiffe_id]) {
            return Err(unusable(
                "it is not for the SPIFFE ID that the answer names",
            ));
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct CertificateResponse {
    certificate_chain: Vec<String>,
    spiffe_id: String,
    serial: String,
    not_before: UnixTime,
    not_after: UnixTime,
    renew_after: Option<UnixTime>,
    bundle_endpoint: Option<String>,
}

/// RFC 7468: lines of 64 characters.
fn pem(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at_checked(64).unwrap_or((rest, ""));
        pem.push_str(line);
        pem.push('\n');
        rest = tail;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
