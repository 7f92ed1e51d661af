//! The two kinds of URL that the main file names itself.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use url::Url;

/// The issuer: `https`, a host, no query, no fragment, no trailing slash (RFC 8414 section 2).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct IssuerUrl {
    text: String,
    path: String,
    port: Option<u16>,
}

/// Why a URL is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The issuer is not written in its one form.
    #[error("the issuer `{found}` is not in its normal form; write `{wanted}`")]
    NotNormal {
        /// What stands there.
        found: String,
        /// What to write.
        wanted: String,
    },
    /// A part that has no place there.
    #[error("{0}")]
    Refused(&'static str),
    /// Not a URL.
    #[error("not a URL: {0}")]
    Url(#[from] url::ParseError),
}

/// Longer issuers would not fit into certificates, claims and headers beside everything else.
const MAX_ISSUER_BYTES: usize = 200;

impl IssuerUrl {
    /// The URL as it stands in `iss`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path, `""` or `/a/b`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the port is still to be filled in.
    #[must_use]
    pub fn wants_port(&self) -> bool {
        self.port == Some(0)
    }

    /// The same issuer with its port 0 replaced.
    ///
    /// # Errors
    /// If the result is no issuer, which a real port rules out.
    pub fn with_port(&self, port: u16) -> Result<Self, UrlError> {
        if !self.wants_port() {
            return Ok(self.clone());
        }
        let mut url = Url::parse(&self.text)?;
        url.set_port(Some(port))
            .map_err(|()| UrlError::Refused("the issuer cannot have a port"))?;
        Self::try_from(url.as_str().trim_end_matches('/').to_owned())
    }
}

impl TryFrom<String> for IssuerUrl {
    type Error = UrlError;

    fn try_from(text: String) -> Result<Self, UrlError> {
        if text.len() > MAX_ISSUER_BYTES {
            return Err(UrlError::Refused("the issuer is longer than 200 bytes"));
        }
        let url = Url::parse(&text)?;
        if url.scheme() != "https" {
            return Err(UrlError::Refused("the issuer must be an `https` URL"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::Refused("the issuer must not contain credentials"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(UrlError::Refused(
                "the issuer must have no query and no fragment",
            ));
        }
        // `iss` is compared byte by byte, so there is one way to write it.
        let normal = url.as_str().trim_end_matches('/').to_owned();
        if normal != text {
            return Err(UrlError::NotNormal {
                found: text,
                wanted: normal,
            });
        }
        let path = url.path().trim_end_matches('/');
        if path.contains(['%', '{', '}', '*'])
            || path.contains("//")
            || path.starts_with("/.well-known")
        {
            return Err(UrlError::Refused(
                "the issuer's path may only have plain segments, and not `/.well-known`",
            ));
        }
        let path = path.to_owned();
        Ok(Self {
            path,
            port: url.port(),
            text,
        })
    }
}

impl fmt::Display for IssuerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl JsonSchema for IssuerUrl {
    fn schema_name() -> Cow<'static, str> {
        "IssuerUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "uri",
            "pattern": "^https://[^?#]*[^/?#]$",
            "examples": ["https://sts.example.org", "https://example.org/sts"]
        })
    }
}

/// Where Redis is: `redis://host:port/db` or `rediss://…`, without a password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RedisUrl(String);

impl RedisUrl {
    /// The URL, which holds no secret.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.starts_with("rediss://")
    }

    /// Whether the server is on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.0.starts_with("redis+unix://")
            || Url::parse(&self.0)
                .ok()
                .is_some_and(|url| match url.host() {
                    Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
                    Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
                    // A scheme that the URL standard does not know keeps its host as text.
                    Some(url::Host::Domain(name)) => {
                        name == "localhost"
                            || name
                                .parse::<std::net::IpAddr>()
                                .is_ok_and(|ip| ip.is_loopback())
                    }
                    None => false,
                })
    }
}

impl TryFrom<String> for RedisUrl {
    type Error = UrlError;

    fn try_from(text: String) -> Result<Self, UrlError> {
        let url = Url::parse(&text)?;
        if !matches!(url.scheme(), "redis" | "rediss" | "redis+unix") {
            return Err(UrlError::Refused(
                "write a `redis://`, `rediss://` or `redis+unix://` URL",
            ));
        }
        if url.password().is_some() {
            return Err(UrlError::Refused(
                "a password does not belong into the URL; write it to a file and name that as \
                 `redis_password_file`",
            ));
        }
        if url.fragment().is_some() {
            return Err(UrlError::Refused(
                "the URL has a fragment, which would switch off the checks of TLS",
            ));
        }
        Ok(Self(text))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for RedisUrl {
    fn schema_name() -> Cow<'static, str> {
        "RedisUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "uri",
            "pattern": "^redis(s|\\+unix)?://",
            "examples": ["rediss://redis.internal:6379"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer(text: &str) -> Result<IssuerUrl, UrlError> {
        IssuerUrl::try_from(text.to_owned())
    }

    #[test]
    fn an_issuer_has_one_spelling() {
        assert_eq!(issuer("https://sts.example.org").unwrap().path(), "");
        assert_eq!(
            issuer("https://example.org/a/sts").unwrap().path(),
            "/a/sts"
        );
        for refused in [
            "http://sts.example.org",
            "https://sts.example.org/",
            "https://STS.example.org",
            "https://sts.example.org:443",
            "https://sts.example.org?x",
            "https://sts.example.org#x",
            "https://u:p@sts.example.org",
            "https://example.org/.well-known/x",
            "https://example.org/{a}",
            "https://example.org/a%20b",
            "https://example.org/a/../b",
            "sts.example.org",
        ] {
            assert!(issuer(refused).is_err(), "{refused}");
        }
        let wanted = issuer("https://sts.example.org/").unwrap_err().to_string();
        assert!(
            wanted.contains("write `https://sts.example.org`"),
            "{wanted}"
        );
    }

    #[test]
    fn port_zero_is_filled_in() {
        let open = issuer("https://localhost:0/sts").unwrap();
        assert!(open.wants_port());
        let bound = open.with_port(4711).unwrap();
        assert_eq!(bound.as_str(), "https://localhost:4711/sts");
        assert_eq!(bound.path(), "/sts");
        assert!(!bound.wants_port());
    }

    #[test]
    fn redis_takes_no_password_in_the_url() {
        let parse = |text: &str| RedisUrl::try_from(text.to_owned());
        assert!(parse("redis://127.0.0.1:6379/0").unwrap().is_local());
        assert!(parse("rediss://redis.internal:6379").unwrap().is_tls());
        assert!(!parse("redis://redis.internal:6379").unwrap().is_local());
        for refused in ["redis://:secret@r:6379", "http://r", "rediss://r#insecure"] {
            let error = parse(refused).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
