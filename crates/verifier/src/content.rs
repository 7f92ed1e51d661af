//! What a token says, and that the issuer says it: form, type, key, signature, claims, issuer, audience. None of it
//! changes while the token's text, the keys and the audiences stay the same.

use dayfly_keys::Algorithm;
use dayfly_token::{Claims, ClaimsError, Compact, Excerpt, Header, JsonError, json};

use crate::core::AcceptedAudience;
use crate::keyring::{Keyring, Known};
use crate::rejection::Reason;
use crate::revocation::Facts;
use crate::verified::Checked;

/// Media type of an access token (RFC 9068 section 2.1).
pub(crate) const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// Every algorithm that is accepted at all; which one, the key says.
const ALGORITHMS: [Algorithm; 2] = [Algorithm::Es256, Algorithm::EdDsa];

/// The claims that RFC 9068 section 2.2 requires.
const REQUIRED_CLAIMS: [&str; 7] = ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"];

/// What the content of a token is held against.
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) audience: &'a AcceptedAudience,
    pub(crate) keyring: &'a Keyring,
}

impl Expected<'_> {
    /// Reads a token; `generation` names what it is held against.
    pub(crate) fn read(&self, token: &str, generation: u64) -> Result<Checked, Reason> {
        let (known, claims) = self.authenticate(token)?;
        self.check_issuer_and_audience(&claims)?;
        let kid = known.key().kid();
        Ok(Checked {
            marks: Facts::of(kid, &claims).marks_of(known.mark()),
            key: known.key().clone(),
            claims,
            generation,
        })
    }

    /// Form, header, key, signature, strict JSON. The claims that come out are the bytes that the signature covers,
    /// parsed once.
    fn authenticate(&self, token: &str) -> Result<(&Known, Claims), Reason> {
        let compact = Compact::split(token).map_err(compact_refused)?;
        let known = match self.keyring.by_header(compact.header()) {
            Some(known) => known,
            None => self.key_of(&compact)?,
        };
        let signature = compact.signature_bytes().map_err(compact_refused)?;
        known
            .key()
            .verify(compact.signing_input(), &signature)
            .map_err(|source| Reason::Signature { source })?;
        let payload = compact.payload_bytes().map_err(compact_refused)?;
        let claims = Claims::parse(&payload).map_err(|source| claims_refused(source, &payload))?;
        Ok((known, claims))
    }

    /// RFC 8725bis section 3.1: one key, one algorithm. The algorithm comes from the key and is compared with
    /// the header, never the other way round.
    fn key_of(&self, compact: &Compact<'_>) -> Result<&Known, Reason> {
        let json = compact.header_bytes().map_err(compact_refused)?;
        let header = Header::parse(&json).map_err(|source| Reason::Header { source })?;
        // RFC 9068 section 4: any other type MUST be refused, which keeps every other kind of JWT out.
        if !header.is_type(ACCESS_TOKEN_TYPE) {
            return Err(Reason::Type {
                found: Excerpt::of(header.typ.as_deref().unwrap_or_default()),
            });
        }
        let accepts = |algorithm: Algorithm| algorithm.accepts(&header.alg);
        let wrong_algorithm = || Reason::Algorithm {
            alg: Excerpt::of(&header.alg),
        };
        if !ALGORITHMS.into_iter().any(accepts) {
            return Err(wrong_algorithm());
        }
        let kid = header.kid.as_deref().ok_or(Reason::KidMissing)?;
        let known = self.keyring.by_kid(kid).ok_or_else(|| self.unknown(kid))?;
        if accepts(known.key().algorithm()) {
            Ok(known)
        } else {
            Err(wrong_algorithm())
        }
    }

    /// Without any key, it is this API that lacks something, and not the token.
    fn unknown(&self, kid: &str) -> Reason {
        if self.keyring.keys().is_empty() {
            return Reason::KeysAbsent;
        }
        Reason::KidUnknown {
            kid: Excerpt::of(kid),
        }
    }

    fn check_issuer_and_audience(&self, claims: &Claims) -> Result<(), Reason> {
        // RFC 8725bis section 3.8: byte by byte, no prefix and no normalisation.
        if claims.iss != self.issuer {
            return Err(Reason::Issuer {
                found: Excerpt::of(&claims.iss),
            });
        }
        match self.audience {
            AcceptedAudience::Any => Ok(()),
            AcceptedAudience::OneOf(names)
                if names.iter().any(|name| claims.aud.contains(name)) =>
            {
                Ok(())
            }
            AcceptedAudience::OneOf(_) => {
                let found: Vec<_> = claims.aud.iter().collect();
                Err(Reason::Audience {
                    found: Excerpt::of(&found.join(" ")),
                })
            }
        }
    }
}

fn compact_refused(source: dayfly_token::CompactError) -> Reason {
    Reason::Compact { source }
}

/// Tells an absent claim from a bad one.
fn claims_refused(source: ClaimsError, payload: &[u8]) -> Reason {
    if matches!(
        source,
        ClaimsError::Json {
            source: JsonError::Shape { .. }
        }
    ) && let Ok(members) = json::object(payload)
        && let Some(claim) = REQUIRED_CLAIMS
            .into_iter()
            .find(|claim| !members.contains_key(*claim))
    {
        return Reason::MissingClaim { claim };
    }
    Reason::Claims { source }
}
