//! Our own access tokens as evidence.

use dayfly_policy::{Parent, Peer};
use dayfly_token::Confirmation;
use dayfly_verifier::Verified;

use crate::AttestError;

/// What an exchange has to know of the token that it starts from. The token is one of ours, so that a claim which is
/// missing or malformed means another program signs with our key.
pub(crate) fn parent_of(verified: &Verified, peer: Option<&Peer>) -> Result<Parent, AttestError> {
    let malformed = |claim: &'static str| move || AttestError::claim(claim, "is not one of ours");
    let parsed = |claim: &'static str| AttestError::claim(claim, "is not one of ours");
    let audience = verified.audience().single().ok_or_else(malformed("aud"))?;
    let rule = verified
        .rule()
        .ok_or(AttestError::MissingClaim { claim: "dfy" })?;
    Ok(Parent {
        id: verified.credential_id().to_owned(),
        workload: verified.workload().ok_or_else(malformed("sub"))?,
        audience: audience.parse().map_err(|_| parsed("aud"))?,
        scopes: verified.scopes().clone(),
        expires_at: verified.expires_at(),
        issued_at: verified.issued_at(),
        rule: rule.parse().map_err(|_| parsed("dfy.rule"))?,
        environment: verified
            .environment()
            .map(str::parse)
            .transpose()
            .map_err(|_| parsed("dfy.env"))?,
        task: verified
            .task()
            .map(str::parse)
            .transpose()
            .map_err(|_| parsed("txn"))?,
        confirmation: verified.confirmation().cloned(),
        binding_proven: is_proven(verified.confirmation(), peer),
        ancestors: verified.ancestors().to_vec(),
        actor: verified.actor_chain().cloned(),
        authorization_details: verified.authorization_details().to_vec(),
    })
}

/// Whether this request proves the binding. A token without one proves nothing.
fn is_proven(confirmation: Option<&Confirmation>, peer: Option<&Peer>) -> bool {
    match (confirmation, peer) {
        (Some(Confirmation::CertificateThumbprint(thumbprint)), Some(peer)) => {
            *thumbprint == peer.thumbprint
        }
        (Some(Confirmation::SpiffeId(id)), Some(peer)) => peer.spiffe_id.as_ref() == Some(id),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_is_proven_by_its_own_key_only() {
        let peer = Peer {
            thumbprint: [1; 32],
            spiffe_id: Some("spiffe://td/a".parse().unwrap()),
        };
        let nameless = Peer {
            spiffe_id: None,
            ..peer.clone()
        };
        let id = |id: &str| Confirmation::SpiffeId(id.parse().unwrap());
        for (confirmation, peer, proven) in [
            (
                Some(Confirmation::CertificateThumbprint([1; 32])),
                Some(&peer),
                true,
            ),
            (
                Some(Confirmation::CertificateThumbprint([2; 32])),
                Some(&peer),
                false,
            ),
            (
                Some(Confirmation::CertificateThumbprint([1; 32])),
                None,
                false,
            ),
            (
                Some(Confirmation::KeyThumbprint([1; 32])),
                Some(&peer),
                false,
            ),
            (Some(id("spiffe://td/a")), Some(&peer), true),
            (Some(id("spiffe://td/b")), Some(&peer), false),
            (Some(id("spiffe://td/a")), Some(&nameless), false),
            (Some(id("spiffe://td/a")), None, false),
            (None, Some(&peer), false),
            (None, None, false),
        ] {
            assert_eq!(
                is_proven(confirmation.as_ref(), peer),
                proven,
                "{confirmation:?}"
            );
        }
    }
}
