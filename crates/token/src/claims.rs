use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::json::{self, JsonError, present, present_object};
use crate::{Audiences, Confirmation, ScopeSet, UnixTime};

/// Longest chain of actors: a delegation deeper than four hops is an error in the design of whoever asks for it.
pub const MAX_ACTOR_DEPTH: usize = 4;
/// Most ancestors of a credential: one for each delegation.
pub const MAX_ANCESTORS: usize = 4;
/// Longest `dfy.src`, in bytes of its compact JSON: it informs people, and tokens should stay under 2 KiB.
pub const MAX_SOURCE_BYTES: usize = 1024;

/// Why claims were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsError {
    /// A chain of actors longer than [`MAX_ACTOR_DEPTH`].
    #[error("more than {MAX_ACTOR_DEPTH} actors")]
    ActorDepth,
    /// More ancestors than [`MAX_ANCESTORS`].
    #[error("more than {MAX_ANCESTORS} ancestors")]
    Ancestors,
    /// Authorization details without a `type` (RFC 9396 section 2 requires it).
    #[error("authorization details without `type`")]
    DetailWithoutType,
    /// Not a strict JSON object, a claim that must be there and is not, or one of the wrong type.
    #[error("the claims are not acceptable JSON")]
    Json {
        /// What is wrong with it.
        source: JsonError,
    },
    /// A `dfy.src` longer than [`MAX_SOURCE_BYTES`].
    #[error("`dfy.src` has more than {MAX_SOURCE_BYTES} bytes")]
    SourceSize,
    /// An identifying claim that is empty or has control characters.
    #[error("claim `{claim}` is empty or has control characters")]
    Text {
        /// The claim.
        claim: &'static str,
    },
}

/// The claims of an access token (RFC 9068 section 2.2) as we mint them and read them. Not verified by being here.
///
/// Absent optional claims are left out, `null` is refused, and unknown claims are ignored. Read them with
/// [`Claims::parse`], which is strict; serde alone is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer, compared byte by byte.
    pub iss: String,
    /// Subject: the SPIFFE ID of the workload, in our own tokens.
    pub sub: String,
    /// Audience.
    pub aud: Audiences,
    /// Client (RFC 8693 section 4.3); in our own tokens the subject again.
    pub client_id: String,
    /// Instant of issuance.
    pub iat: UnixTime,
    /// Instant before which the token is not valid.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub nbf: Option<UnixTime>,
    /// Instant from which the token is not valid any more.
    pub exp: UnixTime,
    /// Credential id.
    pub jti: String,
    /// Scopes.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub scope: Option<ScopeSet>,
    /// Task, `owner/task` in our own tokens (RFC 8417 section 2.2).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub txn: Option<String>,
    /// Whom the token is bound to.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub cnf: Option<Confirmation>,
    /// Who acts for the subject (RFC 8693 section 4.1).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present_object"
    )]
    pub act: Option<Actor>,
    /// Who may act for the subject (RFC 8693 section 4.4): an object.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present_object"
    )]
    pub may_act: Option<Value>,
    /// Authorization details (RFC 9396), each with a `type`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub authorization_details: Option<Vec<Map<String, Value>>>,
    /// What only our own tokens have.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present_object"
    )]
    pub dfy: Option<DayflyClaims>,
}

/// An actor and, inside it, whoever acted before (RFC 8693 section 4.1). Only the outermost may be used for access
/// control; the others inform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Issuer of the actor's identity.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub iss: Option<String>,
    /// The actor.
    pub sub: String,
    /// Who acted before.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present_object"
    )]
    pub act: Option<Box<Actor>>,
}

impl Actor {
    /// The actors, outermost first.
    pub fn chain(&self) -> impl Iterator<Item = &Actor> {
        std::iter::successors(Some(self), |actor| actor.act.as_deref())
    }

    /// How many actors there are, this one included.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.chain().count()
    }
}

/// The claim `dfy`: what revocation and people need to know of one of our tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayflyClaims {
    /// The rule that matched.
    pub rule: String,
    /// The environment of the workload.
    pub env: String,
    /// Ids of the credentials that this one descends from, at most four.
    pub anc: Vec<String>,
    /// Where the evidence came from; informs people, decides nothing.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub src: Option<Map<String, Value>>,
}

impl Claims {
    /// Parses claims, strictly.
    ///
    /// # Errors
    /// If they are not strict JSON, a required claim is absent, one has the wrong type, or a limit is passed.
    pub fn parse(json: &[u8]) -> Result<Self, ClaimsError> {
        let claims: Self = json::from_slice(json).map_err(|source| ClaimsError::Json { source })?;
        claims.check()?;
        Ok(claims)
    }

    /// What serde does not check; whoever mints checks it too.
    ///
    /// # Errors
    /// If an identifying claim is empty or has control characters, or a limit is passed.
    pub fn check(&self) -> Result<(), ClaimsError> {
        check_text("iss", &self.iss)?;
        check_text("sub", &self.sub)?;
        check_text("client_id", &self.client_id)?;
        check_text("jti", &self.jti)?;
        self.txn
            .as_deref()
            .map_or(Ok(()), |txn| check_text("txn", txn))?;
        self.act.as_ref().map_or(Ok(()), Actor::check)?;
        self.dfy.as_ref().map_or(Ok(()), DayflyClaims::check)?;
        let typed = |detail: &Map<String, Value>| detail.get("type").is_some_and(Value::is_string);
        if !self.authorization_details.iter().flatten().all(typed) {
            return Err(ClaimsError::DetailWithoutType);
        }
        Ok(())
    }
}

impl Actor {
    fn check(&self) -> Result<(), ClaimsError> {
        if self.depth() > MAX_ACTOR_DEPTH {
            return Err(ClaimsError::ActorDepth);
        }
        self.chain().try_for_each(|actor| {
            let issuer = actor.iss.as_deref();
            issuer.map_or(Ok(()), |iss| check_text("act.iss", iss))?;
            check_text("act.sub", &actor.sub)
        })
    }
}

impl DayflyClaims {
    pub(crate) fn check(&self) -> Result<(), ClaimsError> {
        check_text("dfy.rule", &self.rule)?;
        check_text("dfy.env", &self.env)?;
        if self.anc.len() > MAX_ANCESTORS {
            return Err(ClaimsError::Ancestors);
        }
        self.anc
            .iter()
            .try_for_each(|id| check_text("dfy.anc", id))?;
        match &self.src {
            Some(source) if source_bytes(source) > MAX_SOURCE_BYTES => Err(ClaimsError::SourceSize),
            _ => Ok(()),
        }
    }
}

/// An empty identity must never match anything, and a control character never reach a log.
pub(crate) fn check_text(claim: &'static str, text: &str) -> Result<(), ClaimsError> {
    // Nearly every text is of plain ASCII, which a loop without a branch sees at once.
    let plain = text
        .bytes()
        .fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'));
    if text.is_empty() || !plain && text.chars().any(char::is_control) {
        return Err(ClaimsError::Text { claim });
    }
    Ok(())
}

fn source_bytes(source: &Map<String, Value>) -> usize {
    let mut counter = ByteCount(0);
    // Writing JSON values to a writer that cannot fail cannot fail; if it could, the source would be refused.
    serde_json::to_writer(&mut counter, source).map_or(usize::MAX, |()| counter.0)
}

struct ByteCount(usize);

impl std::io::Write for ByteCount {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
