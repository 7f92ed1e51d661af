//! The claims of a token whose signature is good.

use std::collections::BTreeMap;

use dayfly_policy::Attribute;
use dayfly_token::{Audiences, Excerpt, UnixTime, json};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::config::OidcIssuerConfig;
use super::{attributes, preset};
use crate::AttestError;

/// Leeway for clocks, in seconds: the platforms' clocks and ours are synchronised.
pub(crate) const LEEWAY_SECS: u64 = 30;
/// Longest subject, in bytes: those of GitLab with long group paths come close to 1 kB.
const MAX_SUBJECT_BYTES: usize = 2048;
/// Longest token id, in bytes: real ones are UUIDs.
const MAX_ID_BYTES: usize = 512;

/// What a token says, checked against the configuration of its issuer.
#[derive(Debug)]
pub(crate) struct OidcClaims {
    pub(crate) subject: String,
    pub(crate) issued_at: UnixTime,
    pub(crate) expires_at: UnixTime,
    /// The `jti`, if the token counts once.
    pub(crate) single_use_id: Option<String>,
    pub(crate) attributes: BTreeMap<String, Attribute>,
    pub(crate) informational: Map<String, Value>,
}

impl OidcClaims {
    /// Reads the bytes that the signature covers.
    pub(crate) fn parse(
        payload: &[u8],
        config: &OidcIssuerConfig,
        now: UnixTime,
    ) -> Result<Self, AttestError> {
        let claims = json::object(payload).map_err(|source| AttestError::Claims { source })?;
        let issuer: String = required(&claims, "iss", "is no string")?;
        if issuer != config.issuer {
            return Err(AttestError::UnknownIssuer {
                found: Excerpt::of(&issuer),
            });
        }
        check_audience(&claims, config)?;
        let (issued_at, expires_at) = check_times(&claims, config, now)?;
        let subject = identifying(&claims, "sub", MAX_SUBJECT_BYTES)?
            .ok_or(AttestError::MissingClaim { claim: "sub" })?;
        let id = identifying(&claims, "jti", MAX_ID_BYTES)?;
        if config.single_use && id.is_none() {
            return Err(AttestError::MissingClaim { claim: "jti" });
        }
        preset::check_claims(config.preset, &claims)?;
        Ok(Self {
            subject,
            issued_at,
            expires_at,
            single_use_id: id.filter(|_| config.single_use),
            attributes: attributes::of_claims(&claims)?,
            informational: preset::informational(&claims),
        })
    }
}

/// We are the only audience: whoever else the token is for could present it here.
fn check_audience(
    claims: &Map<String, Value>,
    config: &OidcIssuerConfig,
) -> Result<(), AttestError> {
    let audiences: Audiences = required(claims, "aud", "is no audience and no list of them")?;
    let Some(audience) = audiences.single() else {
        return Err(AttestError::Audiences {
            issuer: config.name.clone(),
            count: audiences.iter().count(),
        });
    };
    if config.audiences.iter().any(|ours| ours == audience) {
        Ok(())
    } else {
        Err(AttestError::Audience {
            issuer: config.name.clone(),
            found: Excerpt::of(audience),
        })
    }
}

/// RFC 7519 section 4.1, with `exp` and `iat` required: without `iat` no lifetime could be limited.
fn check_times(
    claims: &Map<String, Value>,
    config: &OidcIssuerConfig,
    now: UnixTime,
) -> Result<(UnixTime, UnixTime), AttestError> {
    const NOT_A_TIME: &str = "is no time in whole seconds";
    let expires_at: UnixTime = required(claims, "exp", NOT_A_TIME)?;
    let issued_at: UnixTime = required(claims, "iat", NOT_A_TIME)?;
    let not_before: Option<UnixTime> = optional(claims, "nbf", NOT_A_TIME)?;
    if now >= expires_at.saturating_add(LEEWAY_SECS) {
        return Err(AttestError::Expired { expires_at, now });
    }
    let valid_from = not_before.map_or(issued_at, |not_before| not_before.max(issued_at));
    if valid_from > now.saturating_add(LEEWAY_SECS) {
        return Err(AttestError::NotYetValid { valid_from, now });
    }
    if expires_at <= valid_from {
        return Err(AttestError::claim("exp", "is not after `iat` and `nbf`"));
    }
    let lifetime_secs = expires_at.seconds_since(issued_at);
    if lifetime_secs > config.max_lifetime_secs {
        return Err(AttestError::Lifetime {
            issuer: config.name.clone(),
            lifetime_secs,
            limit_secs: config.max_lifetime_secs,
        });
    }
    Ok((issued_at, expires_at))
}

/// A claim that names something: it is not empty, of a sensible length, and stays on one line of a log.
fn identifying(
    claims: &Map<String, Value>,
    claim: &'static str,
    limit: usize,
) -> Result<Option<String>, AttestError> {
    let Some(text) = optional::<String>(claims, claim, "is no string")? else {
        return Ok(None);
    };
    if text.is_empty() || text.len() > limit || text.chars().any(char::is_control) {
        return Err(AttestError::claim(
            claim,
            "is empty, too long, or has control characters",
        ));
    }
    Ok(Some(text))
}

fn required<'a, T: Deserialize<'a>>(
    claims: &'a Map<String, Value>,
    claim: &'static str,
    problem: &'static str,
) -> Result<T, AttestError> {
    optional(claims, claim, problem)?.ok_or(AttestError::MissingClaim { claim })
}

/// A claim that is `null` is there, and of the wrong type.
fn optional<'a, T: Deserialize<'a>>(
    claims: &'a Map<String, Value>,
    claim: &'static str,
    problem: &'static str,
) -> Result<Option<T>, AttestError> {
    claims
        .get(claim)
        .map(|value| T::deserialize(value).map_err(|_| AttestError::claim(claim, problem)))
        .transpose()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_000_000);

    fn config() -> OidcIssuerConfig {
        OidcIssuerConfig::custom(
            "corp".parse().unwrap(),
            "https://idp.example".to_owned(),
            vec!["https://sts.example".to_owned()],
        )
    }

    fn good() -> Value {
        json!({"iss": "https://idp.example", "aud": "https://sts.example", "sub": "job", "iat": 999_990, "exp": 1_000_100})
    }

    fn with(changes: Value) -> Result<OidcClaims, AttestError> {
        let (Value::Object(mut claims), Value::Object(changes)) = (good(), changes) else {
            unreachable!("objects");
        };
        claims.extend(changes);
        OidcClaims::parse(Value::Object(claims).to_string().as_bytes(), &config(), NOW)
    }

    fn code(changes: Value) -> &'static str {
        with(changes).map_or_else(|error| error.code(), |_| "accepted")
    }

    fn without(claim: &str) -> &'static str {
        let Value::Object(mut claims) = good() else {
            unreachable!("an object");
        };
        claims.remove(claim);
        OidcClaims::parse(Value::Object(claims).to_string().as_bytes(), &config(), NOW)
            .map_or_else(|error| error.code(), |_| "accepted")
    }

    #[test]
    fn positive_control() {
        let claims = with(json!({})).unwrap();
        assert_eq!(claims.subject, "job");
        assert_eq!(
            (claims.issued_at.as_secs(), claims.expires_at.as_secs()),
            (999_990, 1_000_100)
        );
        assert_eq!(claims.single_use_id, None);
    }

    #[test]
    fn times_have_a_leeway_and_an_end() {
        for (changes, expected) in [
            (json!({"exp": 999_971, "iat": 999_900}), "accepted"),
            (json!({"exp": 999_970, "iat": 999_900}), "expired"),
            (json!({"iat": 1_000_030, "exp": 1_000_100}), "accepted"),
            (json!({"iat": 1_000_031, "exp": 1_000_100}), "not_yet_valid"),
            (json!({"nbf": 1_000_030}), "accepted"),
            (json!({"nbf": 1_000_031}), "not_yet_valid"),
            (json!({"nbf": 0}), "accepted"),
            (json!({"iat": 1_000_000, "exp": 1_003_600}), "accepted"),
            (
                json!({"iat": 1_000_000, "exp": 1_003_601}),
                "lifetime_too_long",
            ),
            (json!({"iat": 0}), "lifetime_too_long"),
            (
                json!({"exp": 9_007_199_254_740_991_u64}),
                "lifetime_too_long",
            ),
            (json!({"exp": 1_000_010, "iat": 1_000_010}), "bad_claim"),
            (json!({"exp": 1_000_010, "iat": 1_000_020}), "bad_claim"),
            (json!({"exp": u64::MAX}), "bad_claim"),
            (json!({"exp": -1}), "bad_claim"),
            (json!({"exp": 1_000_100.5}), "bad_claim"),
            (json!({"exp": "1000100"}), "bad_claim"),
            (json!({"exp": true}), "bad_claim"),
            (json!({"exp": null}), "bad_claim"),
            (json!({"exp": [1_000_100]}), "bad_claim"),
            (json!({"nbf": null}), "bad_claim"),
            (json!({"nbf": "0"}), "bad_claim"),
            (json!({"iat": 1e9}), "bad_claim"),
        ] {
            assert_eq!(code(changes.clone()), expected, "{changes}");
        }
        for raw in ["1e400", "1e308", "NaN", "01", "1_000", "+1000100"] {
            let token = good().to_string().replace("1000100", raw);
            let refused = OidcClaims::parse(token.as_bytes(), &config(), NOW).unwrap_err();
            assert!(["bad_json", "bad_claim"].contains(&refused.code()), "{raw}");
        }
    }

    #[test]
    fn the_audience_is_ours_alone() {
        for (audience, expected) in [
            (json!(["https://sts.example"]), "accepted"),
            (json!("https://other.example"), "wrong_audience"),
            (json!("https://sts.example/"), "wrong_audience"),
            (json!("https://sts.exampl"), "wrong_audience"),
            (json!("HTTPS://sts.example"), "wrong_audience"),
            (
                json!(["https://sts.example", "https://sts.example"]),
                "several_audiences",
            ),
            (
                json!(["https://other.example", "https://sts.example"]),
                "several_audiences",
            ),
            (json!([]), "bad_claim"),
            (json!(""), "bad_claim"),
            (json!(null), "bad_claim"),
            (json!({"0": "https://sts.example"}), "bad_claim"),
            (json!([["https://sts.example"]]), "bad_claim"),
            (json!(7), "bad_claim"),
        ] {
            assert_eq!(
                code(json!({"aud": audience.clone()})),
                expected,
                "{audience}"
            );
        }
    }

    #[test]
    fn what_must_be_there() {
        for claim in ["iss", "aud", "sub", "iat", "exp"] {
            assert_eq!(without(claim), "missing_claim", "{claim}");
        }
        assert_eq!(
            code(json!({"iss": "https://idp.example/"})),
            "unknown_issuer"
        );
        assert_eq!(code(json!({"iss": ["https://idp.example"]})), "bad_claim");
        for subject in [
            json!(""),
            json!(null),
            json!(7),
            json!("a\nb"),
            json!("\u{0}"),
            json!("x".repeat(2049)),
        ] {
            assert_eq!(code(json!({"sub": subject})), "bad_claim");
        }
        for id in [
            json!(""),
            json!(null),
            json!(7),
            json!("\u{1b}[31m"),
            json!("x".repeat(513)),
        ] {
            assert_eq!(code(json!({"jti": id})), "bad_claim");
        }
    }

    #[test]
    fn duplicates_and_depth_are_refused() {
        for payload in [
            good()
                .to_string()
                .replace("\"sub\":\"job\"", "\"sub\":\"job\",\"sub\":\"root\""),
            good()
                .to_string()
                .replace("\"sub\":\"job\"", "\"sub\":\"job\",\"\\u0073ub\":\"root\""),
            good().to_string().replace(
                "\"job\"",
                &format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000)),
            ),
            format!("{} ", "[".repeat(200_000)),
            format!("{}x", good()),
            "null".to_owned(),
            String::new(),
        ] {
            let refused = OidcClaims::parse(payload.as_bytes(), &config(), NOW).unwrap_err();
            assert_eq!(refused.code(), "bad_json");
        }
    }
}
