//! The one way from evidence to a principal.

use std::collections::BTreeMap;
use std::sync::Arc;

use dayfly_policy::{Attribute, Method, Peer, Principal, Source};
use dayfly_token::{Compact, Excerpt, UnixTime};
use dayfly_verifier::{PeerCertificate, Presented, UnverifiedToken, Verifier};
use serde_json::Map;

use crate::oidc::{OidcIssuers, ProvenToken};
use crate::spiffe::{ProvenSvid, TrustBundles};
use crate::{AttestError, own};

/// What a caller presents, unverified.
#[derive(Clone, Copy)]
pub enum Evidence<'a> {
    /// The client certificate of the connection, as an X509-SVID.
    X509Svid {
        /// The certificate whose key the handshake proved.
        peer: &'a PeerCertificate,
        /// The `client_id` of the request; it has to be the SPIFFE ID of the certificate.
        client_id: &'a str,
    },
    /// A token of an OIDC issuer.
    Oidc {
        /// The token.
        token: &'a str,
        /// The client certificate of the connection, to bind a credential to.
        peer: Option<&'a PeerCertificate>,
    },
    /// An access token of ours.
    OwnToken {
        /// The token.
        token: &'a str,
        /// The client certificate of the connection: proof of the token's binding.
        peer: Option<&'a PeerCertificate>,
    },
}

/// Attests evidence. Cloning is cheap.
#[derive(Clone)]
pub struct Attestor {
    spiffe: Arc<TrustBundles>,
    oidc: OidcIssuers,
    own: Verifier,
    issuer: Arc<str>,
}

impl Attestor {
    /// An attestor that believes `spiffe`, `oidc`, and the tokens of `issuer` (this issuer itself) that `own` accepts.
    ///
    /// `own` answers to every audience, since a token that is narrowed is meant for another API. It may skip the check
    /// of bindings: the principal says whether the binding was proven.
    #[must_use]
    pub fn new(
        spiffe: Arc<TrustBundles>,
        oidc: OidcIssuers,
        own: Verifier,
        issuer: String,
    ) -> Self {
        Self {
            spiffe,
            oidc,
            own,
            issuer: issuer.into(),
        }
    }

    /// The bundles that X509-SVIDs are checked against.
    #[must_use]
    pub const fn trust_bundles(&self) -> &Arc<TrustBundles> {
        &self.spiffe
    }

    /// The OIDC issuers whose tokens are accepted.
    #[must_use]
    pub const fn oidc_issuers(&self) -> &OidcIssuers {
        &self.oidc
    }

    /// Verifies `evidence` completely. It waits for nothing but keys of a configured issuer that are not at hand.
    ///
    /// # Errors
    /// If the evidence is refused, or cannot be checked at the moment ([`AttestError::is_unavailable`]).
    pub async fn attest(
        &self,
        evidence: Evidence<'_>,
        now: UnixTime,
    ) -> Result<Principal, AttestError> {
        match evidence {
            Evidence::X509Svid { peer, client_id } => self.attest_svid(peer, client_id, now),
            Evidence::Oidc { token, peer } => {
                let proven = self.oidc.prove(token, now).await?;
                Ok(principal_of_token(proven, self.binding_key(peer, now)))
            }
            Evidence::OwnToken { token, peer } => self.attest_own(token, peer, now),
        }
    }

    /// Not the state of the handshake but the state of now: a connection may be older than the trust in its peer.
    fn attest_svid(
        &self,
        peer: &PeerCertificate,
        client_id: &str,
        now: UnixTime,
    ) -> Result<Principal, AttestError> {
        let svid = self.spiffe.prove(peer, now)?;
        // OAuth SPIFFE client authentication: `client_id` MUST equal the URI SAN.
        if client_id != svid.id.as_str() {
            return Err(AttestError::ClientId {
                expected: svid.id.clone(),
                found: Excerpt::of(client_id),
            });
        }
        Ok(principal_of_svid(&svid, peer))
    }

    fn attest_own(
        &self,
        token: &str,
        peer: Option<&PeerCertificate>,
        now: UnixTime,
    ) -> Result<Principal, AttestError> {
        let binding_key = self.binding_key(peer, now);
        let verified_peer = peer.and_then(|peer| with_identity(peer, binding_key.as_ref()));
        let presented = Presented {
            peer: verified_peer.as_ref(),
            ..Presented::NOTHING
        };
        let compact = Compact::split(token).map_err(|source| AttestError::Compact { source })?;
        let verified = self
            .own
            .verify(UnverifiedToken::new(token), &presented, now)
            .map_err(|source| AttestError::OwnToken { source })?;
        let parent = own::parent_of(&verified, binding_key.as_ref())?;
        Ok(Principal {
            method: Method::OwnToken,
            source: Source::Own,
            issuer_url: Some(self.issuer.as_ref().to_owned()),
            subject: verified.subject().to_owned(),
            attributes: BTreeMap::new(),
            issued_at: Some(verified.issued_at()),
            expires_at: verified.expires_at(),
            peer: binding_key,
            single_use: None,
            digest: dayfly_keys::sha256(compact.signing_input()),
            informational: Map::new(),
            parent: Some(Box::new(parent)),
        })
    }

    /// The key that the connection proved. Its SPIFFE ID counts only while it is a valid SVID of a trust domain in
    /// force.
    fn binding_key(&self, peer: Option<&PeerCertificate>, now: UnixTime) -> Option<Peer> {
        let peer = peer?;
        let svid = self.spiffe.prove(peer, now).ok();
        Some(Peer {
            thumbprint: *peer.thumbprint(),
            spiffe_id: svid.map(|svid| svid.id.clone()),
        })
    }
}

/// The peer with the identity that it has now, which may be none any more.
fn with_identity(peer: &PeerCertificate, binding_key: Option<&Peer>) -> Option<PeerCertificate> {
    let identity = binding_key.and_then(|key| key.spiffe_id.as_ref());
    if peer.spiffe_id() == identity {
        return Some(peer.clone());
    }
    PeerCertificate::new(peer.chain().to_vec(), identity.cloned())
}

fn principal_of_svid(svid: &ProvenSvid, peer: &PeerCertificate) -> Principal {
    let text = |text: &str| Attribute::Text(text.to_owned());
    let attributes = [
        ("spiffe_id".to_owned(), text(svid.id.as_str())),
        (
            "trust_domain".to_owned(),
            text(svid.id.trust_domain().as_str()),
        ),
    ];
    Principal {
        method: Method::X509Svid,
        source: Source::TrustDomain(svid.id.trust_domain().clone()),
        issuer_url: None,
        subject: svid.id.as_str().to_owned(),
        attributes: attributes.into(),
        issued_at: Some(svid.validity.not_before),
        expires_at: svid.validity.not_after,
        peer: Some(Peer {
            thumbprint: *peer.thumbprint(),
            spiffe_id: Some(svid.id.clone()),
        }),
        single_use: None,
        digest: svid.digest,
        informational: Map::new(),
        parent: None,
    }
}

fn principal_of_token(proven: ProvenToken, peer: Option<Peer>) -> Principal {
    let claims = proven.claims;
    Principal {
        method: Method::Oidc,
        source: Source::Issuer(proven.issuer),
        issuer_url: Some(proven.issuer_url),
        subject: claims.subject,
        attributes: claims.attributes,
        issued_at: Some(claims.issued_at),
        expires_at: claims.expires_at,
        peer,
        single_use: proven.single_use,
        digest: proven.digest,
        informational: claims.informational,
        parent: None,
    }
}
