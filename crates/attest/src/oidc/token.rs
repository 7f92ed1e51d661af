//! From a token to who it proves.

use dayfly_token::{Compact, Excerpt, Header, Slug, UnixTime, json};
use serde::Deserialize;

use super::claims::OidcClaims;
use super::issuers::OidcIssuers;
use super::jwks::OpenError;
use super::preset;
use crate::AttestError;

/// A token of a configured issuer that passed every check.
#[derive(Debug)]
pub(crate) struct ProvenToken {
    /// The issuer's name in the configuration.
    pub(crate) issuer: Slug,
    /// Its identifier.
    pub(crate) issuer_url: String,
    pub(crate) claims: OidcClaims,
    /// The digest under which it counts once, if it counts once.
    pub(crate) single_use: Option<[u8; 32]>,
    /// SHA-256 of what is signed: the twin that an ECDSA signature has is the same evidence.
    pub(crate) digest: [u8; 32],
}

impl OidcIssuers {
    /// Checks `token`. Only a token that names a configured issuer can cause a fetch, and only of that issuer's keys.
    pub(crate) async fn prove(
        &self,
        token: &str,
        now: UnixTime,
    ) -> Result<ProvenToken, AttestError> {
        let parts = read(token)?;
        let Some(issuer) = self.by_identifier(&parts.issuer) else {
            return Err(AttestError::UnknownIssuer {
                found: Excerpt::of(&parts.issuer),
            });
        };
        let keys = issuer.keys_with(&parts.kid).await?;
        let Some(key) = keys.get(&parts.kid) else {
            return Err(AttestError::UnknownKey {
                issuer: issuer.name().clone(),
                kid: Excerpt::of(&parts.kid),
            });
        };
        let payload = key
            .open(token, &parts.header)
            .map_err(|error| match error {
                OpenError::Algorithm => AttestError::Algorithm {
                    issuer: issuer.name().clone(),
                    expected: key.algorithm().name(),
                    found: Excerpt::of(&parts.header.alg),
                },
                OpenError::Header => AttestError::HeaderMember,
                OpenError::Signature => AttestError::Signature {
                    issuer: issuer.name().clone(),
                    kid: Excerpt::of(&parts.kid),
                },
            })?;
        let claims = OidcClaims::parse(&payload, issuer.config(), now)?;
        let single_use = claims
            .single_use_id
            .as_deref()
            .map(|jti| preset::single_use_digest(issuer.identifier(), jti));
        Ok(ProvenToken {
            issuer: issuer.name().clone(),
            issuer_url: issuer.identifier().to_owned(),
            claims,
            single_use,
            digest: parts.digest,
        })
    }
}

/// What has to be known of a token to find its key. Nothing of it is believed.
struct Unverified {
    header: Header,
    kid: String,
    issuer: String,
    digest: [u8; 32],
}

#[derive(Deserialize)]
struct NamesIssuer {
    iss: Option<String>,
}

/// Everything that can be refused without a key.
fn read(token: &str) -> Result<Unverified, AttestError> {
    let compact = Compact::split(token).map_err(|source| AttestError::Compact { source })?;
    let decoded = |part: Result<Vec<u8>, _>| part.map_err(|source| AttestError::Compact { source });
    let header = Header::parse(&decoded(compact.header_bytes())?)
        .map_err(|source| AttestError::Header { source })?;
    // RFC 8725 section 3.11: these tokens have no type of their own; one that has another is something else.
    if let Some(typ) = header.typ.as_deref().filter(|_| !header.is_type("JWT")) {
        return Err(AttestError::Type {
            found: Excerpt::of(typ),
        });
    }
    let kid = header.kid.clone().ok_or(AttestError::MissingKeyId)?;
    decoded(compact.signature_bytes())?;
    let payload = decoded(compact.payload_bytes())?;
    let named: NamesIssuer =
        json::from_slice(&payload).map_err(|source| AttestError::Claims { source })?;
    Ok(Unverified {
        header,
        kid,
        issuer: named
            .iss
            .ok_or(AttestError::MissingClaim { claim: "iss" })?,
        digest: dayfly_keys::sha256(compact.signing_input()),
    })
}
