use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::json::{self, JsonError, present};

/// Longest `kid`: room for an URL or a full X.509 thumbprint in hexadecimal; ours have 43 characters.
pub const MAX_KID_BYTES: usize = 256;

/// Why a header was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// A member that brings a key, an encryption, a compression, or an extension: none is ever accepted.
    #[error("header member `{name}` is not accepted")]
    ForbiddenMember {
        /// The member.
        name: &'static str,
    },
    /// Not a strict JSON object, or a member of the wrong type.
    #[error("the header is not acceptable JSON")]
    Json {
        /// What is wrong with it.
        source: JsonError,
    },
    /// No `jwk`, where the header must bring the key.
    #[error("header member `jwk` is absent")]
    KeyMissing,
    /// An empty or over-long `kid`, or one with control characters.
    #[error("`kid` is not 1 to {MAX_KID_BYTES} printable bytes")]
    Kid,
}

/// The protected header of a compact JWS, as far as we look at it. Not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Algorithm, case-sensitive.
    pub alg: String,
    /// Which key. Hostile input: compare it, do not interpret it.
    pub kid: Option<String>,
    /// Media type of the whole token.
    pub typ: Option<String>,
}

impl Header {
    /// The header of a token of ours, as JSON: always in this order, so that a verifier knows it by heart.
    #[must_use]
    pub fn of(alg: &str, typ: &str, kid: &str) -> String {
        #[derive(Serialize)]
        struct Ours<'a> {
            alg: &'a str,
            typ: &'a str,
            kid: &'a str,
        }
        // Three strings always have a JSON.
        serde_json::to_string(&Ours { alg, typ, kid }).unwrap_or_default()
    }

    /// Parses a header.
    ///
    /// RFC 7515 section 4.1.11: an extension in `crit` that is not understood MUST be refused; we understand none.
    ///
    /// # Errors
    /// If it is not strict JSON, lacks `alg`, or has a member that is never accepted.
    pub fn parse(json: &[u8]) -> Result<Self, HeaderError> {
        let (header, key) = Self::read::<IgnoredAny>(json)?;
        match key {
            None => Ok(header),
            Some(_) => Err(HeaderError::ForbiddenMember { name: "jwk" }),
        }
    }

    /// Parses a header that must bring its key, as that of a `DPoP` proof does (RFC 9449 section 4.2): in everything
    /// else as strict as [`Header::parse`]. Such a key proves nothing until it is compared with one that is trusted.
    ///
    /// # Errors
    /// As for [`Header::parse`], or if `jwk` is absent or no `K`.
    pub fn parse_with_key<K: DeserializeOwned>(json: &[u8]) -> Result<(Self, K), HeaderError> {
        let (header, key) = Self::read(json)?;
        Ok((header, key.ok_or(HeaderError::KeyMissing)?))
    }

    fn read<K: DeserializeOwned>(json: &[u8]) -> Result<(Self, Option<K>), HeaderError> {
        let members: Members<K> =
            json::from_slice(json).map_err(|source| HeaderError::Json { source })?;
        members.into_header()
    }

    /// Whether `typ` names the media type `wanted`, say `at+jwt`: case does not matter, and `application/` may
    /// stand before it (RFC 7515 section 4.1.9).
    #[must_use]
    pub fn is_type(&self, wanted: &str) -> bool {
        let Some(typ) = &self.typ else { return false };
        without_application(typ).eq_ignore_ascii_case(without_application(wanted))
    }
}

/// Whether a header may have `text` as its `kid`; a key of another name could verify nothing.
#[must_use]
pub fn is_kid(text: &str) -> bool {
    (1..=MAX_KID_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn without_application(typ: &str) -> &str {
    const PREFIX: &str = "application/";
    match typ.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
        _ => typ,
    }
}

/// The forbidden members as "is it there": with any value, `null` included.
#[derive(Deserialize)]
#[serde(bound = "K: DeserializeOwned")]
struct Members<K> {
    alg: String,
    #[serde(default, deserialize_with = "present")]
    kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    typ: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    b64: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    jwk: Option<K>,
    #[serde(default, deserialize_with = "present")]
    jku: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    x5u: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    x5c: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    zip: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    enc: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    epk: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    p2c: Option<IgnoredAny>,
}

impl<K> Members<K> {
    fn into_header(self) -> Result<(Header, Option<K>), HeaderError> {
        let forbidden = [
            ("crit", self.crit),
            ("b64", self.b64),
            ("jku", self.jku),
            ("x5u", self.x5u),
            ("x5c", self.x5c),
            ("zip", self.zip),
            ("enc", self.enc),
            ("epk", self.epk),
            ("p2c", self.p2c),
        ];
        if let Some((name, _)) = forbidden.into_iter().find(|(_, member)| member.is_some()) {
            return Err(HeaderError::ForbiddenMember { name });
        }
        if self.kid.as_deref().is_some_and(|kid| !is_kid(kid)) {
            return Err(HeaderError::Kid);
        }
        let header = Header {
            alg: self.alg,
            kid: self.kid,
            typ: self.typ,
        };
        Ok((header, self.jwk))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_is_read() {
        let header =
            Header::parse(br#"{"alg":"ES256","typ":"at+jwt","kid":"k","x5t":"ignored","cty":1}"#)
                .unwrap();
        assert_eq!(
            (header.alg.as_str(), header.kid.as_deref()),
            ("ES256", Some("k"))
        );
        assert!(header.is_type("at+jwt") && header.is_type("application/at+jwt"));
        assert!(!header.is_type("jwt") && !header.is_type("at+jw") && !header.is_type(""));
    }

    #[test]
    fn what_is_written_is_read() {
        for kid in ["k", "a \"quoted\" name", "é\\"] {
            let json = Header::of("ES256", "at+jwt", kid);
            let header = Header::parse(json.as_bytes()).unwrap();
            assert_eq!(
                (
                    header.alg.as_str(),
                    header.typ.as_deref(),
                    header.kid.as_deref()
                ),
                ("ES256", Some("at+jwt"), Some(kid))
            );
        }
        assert_eq!(
            Header::of("a", "t", "k"),
            r#"{"alg":"a","typ":"t","kid":"k"}"#
        );
    }

    #[test]
    fn types_are_media_types() {
        let typed = |typ: &str| Header {
            alg: String::new(),
            kid: None,
            typ: Some(typ.to_owned()),
        };
        for same in [
            "at+jwt",
            "AT+JWT",
            "application/at+jwt",
            "Application/At+Jwt",
        ] {
            assert!(typed(same).is_type("at+jwt"), "{same}");
        }
        for other in [
            "",
            "application/",
            "application/application/at+jwt",
            "at+jwt ",
            "text/at+jwt",
            "ät+jwt",
            "application\u{e9}/x",
        ] {
            assert!(!typed(other).is_type("at+jwt"), "{other}");
        }
        assert!(
            !Header {
                alg: String::new(),
                kid: None,
                typ: None
            }
            .is_type("")
        );
    }

    #[test]
    fn forbidden_members_are_refused_with_any_value() {
        for name in [
            "crit", "b64", "jwk", "jku", "x5u", "x5c", "zip", "enc", "epk", "p2c",
        ] {
            for value in [
                "null",
                "[]",
                "\"\"",
                "true",
                "false",
                "{}",
                "[\"exp\"]",
                "2147483648",
            ] {
                let header = format!(r#"{{"alg":"ES256","{name}":{value}}}"#);
                assert_eq!(
                    Header::parse(header.as_bytes()),
                    Err(HeaderError::ForbiddenMember { name }),
                    "{header}"
                );
            }
        }
        assert_eq!(
            Header::parse(br#"{"alg":"ES256","\u0063rit":["b64"]}"#),
            Err(HeaderError::ForbiddenMember { name: "crit" })
        );
    }

    #[test]
    fn a_header_that_brings_its_key() {
        let parse = |header: &str| {
            Header::parse_with_key::<std::collections::BTreeMap<String, String>>(header.as_bytes())
        };
        let (header, key) = parse(r#"{"alg":"ES256","typ":"t","jwk":{"kty":"EC"}}"#).unwrap();
        assert_eq!((header.alg.as_str(), key["kty"].as_str()), ("ES256", "EC"));
        assert_eq!(
            parse(r#"{"alg":"ES256"}"#).unwrap_err(),
            HeaderError::KeyMissing
        );
        assert_eq!(
            parse(r#"{"alg":"ES256","jwk":{},"crit":[]}"#).unwrap_err(),
            HeaderError::ForbiddenMember { name: "crit" }
        );
        for odd in [
            r#"{"alg":"ES256","jwk":null}"#,
            r#"{"alg":"ES256","jwk":[]}"#,
            r#"{"alg":"ES256","jwk":{},"jwk":{}}"#,
            r#"{"alg":"ES256","jwk":{"kty":"EC","kty":"EC"}}"#,
        ] {
            assert!(matches!(parse(odd), Err(HeaderError::Json { .. })), "{odd}");
        }
    }

    #[test]
    fn odd_headers_are_refused() {
        for header in [
            "",
            "[]",
            "{}",
            r#"{"alg":null}"#,
            r#"{"alg":1}"#,
            r#"{"alg":["ES256"]}"#,
            r#"{"ALG":"ES256"}"#,
            r#"{"alg":"ES256","kid":null}"#,
            r#"{"alg":"ES256","kid":7}"#,
            r#"{"alg":"ES256","typ":null}"#,
            r#"{"alg":"ES256","alg":"none"}"#,
            r#"{"alg":"ES256","\u0061lg":"none"}"#,
            r#"{"alg":"ES256"} x"#,
        ] {
            assert!(
                matches!(
                    Header::parse(header.as_bytes()),
                    Err(HeaderError::Json { .. })
                ),
                "{header}"
            );
        }
        let long = "k".repeat(MAX_KID_BYTES + 1);
        for kid in ["", "a\\u0000", "a\\nb", "\\u001b[31m", long.as_str()] {
            let header = format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#);
            assert_eq!(
                Header::parse(header.as_bytes()),
                Err(HeaderError::Kid),
                "{kid}"
            );
        }
    }
}
