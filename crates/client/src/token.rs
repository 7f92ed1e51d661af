use std::fmt;

use dayfly_token::UnixTime;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::http::Reply;
use crate::{ClientError, Secret};

/// An access token and what the issuer said about it.
pub struct Token {
    access_token: Secret,
    token_type: String,
    scopes: Vec<String>,
    obtained_at: UnixTime,
    expires_at: UnixTime,
    authorization_details: Vec<Map<String, Value>>,
    decision_id: Option<String>,
}

impl Token {
    /// The token, for an `Authorization: Bearer` header.
    #[must_use]
    pub const fn secret(&self) -> &Secret {
        &self.access_token
    }

    /// `Bearer`, also for a token that is bound to the client certificate.
    #[must_use]
    pub fn token_type(&self) -> &str {
        &self.token_type
    }

    /// What it allows; the scopes asked for, if the issuer named no others.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// When it was asked for, by this machine's clock.
    #[must_use]
    pub const fn obtained_at(&self) -> UnixTime {
        self.obtained_at
    }

    /// When it ends, by this machine's clock: the life that the issuer named, counted from before the request.
    #[must_use]
    pub const fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// The granted authorization details (RFC 9396).
    #[must_use]
    pub fn authorization_details(&self) -> &[Map<String, Value>] {
        &self.authorization_details
    }

    /// The decision that permitted it, if the issuer named it.
    #[must_use]
    pub fn decision_id(&self) -> Option<&str> {
        self.decision_id.as_deref()
    }

    /// Whether it has ended at `now`.
    #[must_use]
    pub fn is_expired(&self, now: UnixTime) -> bool {
        now >= self.expires_at
    }

    /// From an answer of the token endpoint to a request that was sent at `asked_at`.
    pub(crate) fn from_reply(
        reply: &Reply,
        asked_at: UnixTime,
        asked: &[String],
    ) -> Result<Self, ClientError> {
        let body: TokenResponse = reply.json()?;
        let access_token = Secret::new(body.access_token);
        if access_token.is_empty()
            || !access_token
                .expose()
                .bytes()
                .all(|byte| byte.is_ascii_graphic())
        {
            return Err(reply.malformed("`access_token` is no token"));
        }
        if !body.token_type.eq_ignore_ascii_case("Bearer") {
            // RFC 6749 section 7.1: a client must not use a token whose type it does not understand.
            return Err(reply.malformed(&format!("`token_type` is `{}`", body.token_type)));
        }
        let scopes = body.scope.map_or_else(
            || asked.to_vec(),
            |scope| {
                scope
                    .split(' ')
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned)
                    .collect()
            },
        );
        Ok(Self {
            access_token,
            token_type: body.token_type,
            scopes,
            obtained_at: asked_at,
            expires_at: asked_at.saturating_add(body.expires_in),
            authorization_details: body.authorization_details,
            decision_id: body.decision_id,
        })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("scopes", &self.scopes)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// RFC 6749 section 5.1 and RFC 9396 section 7; unknown members are ignored.
#[derive(Deserialize)]
struct TokenResponse {
    access_token: String,
    token_type: String,
    expires_in: u64,
    scope: Option<String>,
    #[serde(default)]
    authorization_details: Vec<Map<String, Value>>,
    decision_id: Option<String>,
}
