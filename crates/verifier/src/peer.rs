use std::fmt;
use std::sync::Arc;

use dayfly_token::SpiffeId;

use crate::dpop;

/// The client certificate of the connection that a request came on: the request extension by which a TLS
/// acceptor tells the layer, and the proof of possession for certificate-bound tokens.
///
/// Whoever makes one vouches that the TLS handshake proved the leaf's private key, and for a `spiffe_id` also
/// that the chain was verified against the bundle of that trust domain. Never make one from a header that a
/// stranger can send.
#[derive(Clone)]
pub struct PeerCertificate(Arc<Inner>);

struct Inner {
    chain: Vec<Vec<u8>>,
    thumbprint: [u8; 32],
    spiffe_id: Option<SpiffeId>,
}

impl PeerCertificate {
    /// The certificates in DER, leaf first; `None` if there are none.
    #[must_use]
    pub fn new(chain: Vec<Vec<u8>>, spiffe_id: Option<SpiffeId>) -> Option<Self> {
        let thumbprint = dayfly_keys::sha256(chain.first()?);
        Some(Self(Arc::new(Inner {
            chain,
            thumbprint,
            spiffe_id,
        })))
    }

    /// The leaf in DER.
    #[must_use]
    pub fn leaf(&self) -> &[u8] {
        self.0.chain.first().map_or(&[], Vec::as_slice)
    }

    /// All certificates in DER, leaf first; never empty.
    #[must_use]
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.0.chain
    }

    /// SHA-256 of the leaf's DER: what `cnf.x5t#S256` is compared with (RFC 8705 section 3.1).
    #[must_use]
    pub fn thumbprint(&self) -> &[u8; 32] {
        &self.0.thumbprint
    }

    /// The verified SPIFFE ID of the peer, if the certificate is an X.509-SVID.
    #[must_use]
    pub fn spiffe_id(&self) -> Option<&SpiffeId> {
        self.0.spiffe_id.as_ref()
    }
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerCertificate")
            .field(
                "thumbprint",
                &dayfly_token::base64url::encode(self.0.thumbprint),
            )
            .field("spiffe_id", &self.0.spiffe_id)
            .finish_non_exhaustive()
    }
}

/// What the caller proved beside the token.
#[derive(Clone, Copy, Debug, Default)]
pub struct Presented<'a> {
    /// The client certificate, if the client showed one and proved its key.
    pub peer: Option<&'a PeerCertificate>,
    /// The `DPoP` proof, if the token came under the scheme `DPoP`.
    pub proof: Option<dpop::Presentation<'a>>,
}

impl<'a> Presented<'a> {
    /// Nothing but the token.
    pub const NOTHING: Self = Self {
        peer: None,
        proof: None,
    };

    /// A client certificate.
    #[must_use]
    pub const fn certificate(peer: &'a PeerCertificate) -> Self {
        Self {
            peer: Some(peer),
            ..Self::NOTHING
        }
    }

    /// A `DPoP` proof.
    #[must_use]
    pub const fn proof(proof: dpop::Presentation<'a>) -> Self {
        Self {
            proof: Some(proof),
            ..Self::NOTHING
        }
    }
}
