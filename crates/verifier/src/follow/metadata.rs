use dayfly_token::{Excerpt, json};
use serde::Deserialize;
use url::Url;

use super::connect::ConnectError;

/// Longest issuer name in bytes: a URL that fits into every log line.
const MAX_ISSUER_BYTES: usize = 512;

/// What is read of an authorization server's metadata (RFC 8414); the other members are ignored.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
    dayfly_trust_uri: Option<String>,
    dayfly_feed_uri: Option<String>,
    dayfly_max_lifetime: Option<u64>,
}

/// Where an issuer publishes what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoints {
    pub(super) jwks: Url,
    pub(super) feed: Option<FeedEndpoints>,
    /// The longest lifetime of a token in seconds.
    pub(super) max_lifetime_secs: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FeedEndpoints {
    pub(super) trust: Url,
    pub(super) snapshot: Url,
    pub(super) stream: Url,
}

/// The issuer as a URL: https, without user information, query and fragment.
pub(super) fn parse_issuer(issuer: &str, allow_http: bool) -> Result<Url, ConnectError> {
    let refused = |detail| ConnectError::Issuer {
        issuer: Excerpt::of(issuer),
        detail,
    };
    if issuer.len() > MAX_ISSUER_BYTES {
        return Err(refused("it is too long"));
    }
    let url = Url::parse(issuer).map_err(|_| refused("it is not a URL"))?;
    if url.scheme() != "https" && !(allow_http && url.scheme() == "http") {
        return Err(refused(
            "it is not an https URL (tests on loopback: `danger_allow_http`)",
        ));
    }
    if url.host().is_none() || !url.username().is_empty() || url.password().is_some() {
        return Err(refused("it has user information or no host"));
    }
    // RFC 8414 section 2.
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("it has a query or a fragment"));
    }
    Ok(url)
}

/// RFC 8414 section 3.1: the well-known part goes between host and path.
pub(super) fn metadata_url(issuer: &Url) -> Url {
    let mut url = issuer.clone();
    let path = issuer.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("/.well-known/oauth-authorization-server{path}"));
    url
}

/// Reads the metadata of `issuer`, found under its URL.
pub(super) fn parse_metadata(
    bytes: &[u8],
    issuer: &str,
    url: &Url,
) -> Result<Endpoints, ConnectError> {
    let metadata: Metadata =
        json::from_slice(bytes).map_err(|source| ConnectError::Metadata { source })?;
    // RFC 8414 section 3.3: MUST be identical, or the document is someone else's.
    if metadata.issuer != issuer {
        return Err(ConnectError::IssuerMismatch {
            found: Excerpt::of(&metadata.issuer),
        });
    }
    let endpoint = |member, text: &str| same_origin(member, text, url);
    let feed = match (metadata.dayfly_trust_uri, metadata.dayfly_feed_uri) {
        (Some(trust), Some(feed)) => {
            let snapshot = endpoint("dayfly_feed_uri", &feed)?;
            let mut stream = snapshot.clone();
            stream.set_path(&format!("{}/stream", snapshot.path().trim_end_matches('/')));
            Some(FeedEndpoints {
                trust: endpoint("dayfly_trust_uri", &trust)?,
                snapshot,
                stream,
            })
        }
        _ => None,
    };
    let jwks = endpoint("jwks_uri", &metadata.jwks_uri)?;
    Ok(Endpoints {
        jwks,
        feed,
        max_lifetime_secs: metadata.dayfly_max_lifetime,
    })
}

/// Trust comes over TLS to the issuer and from nowhere else, so its documents stand on its own origin.
fn same_origin(member: &'static str, text: &str, issuer: &Url) -> Result<Url, ConnectError> {
    let refused = || ConnectError::Origin {
        member,
        url: Excerpt::of(text),
    };
    let url = Url::parse(text).map_err(|_| refused())?;
    if url.origin() == issuer.origin() && url.username().is_empty() && url.password().is_none() {
        Ok(url)
    } else {
        Err(refused())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(json: &str) -> Result<Endpoints, ConnectError> {
        let issuer = "https://sts.example/tenant";
        parse_metadata(json.as_bytes(), issuer, &issuer.parse().unwrap())
    }

    #[test]
    fn where_the_metadata_stand() {
        for (issuer, url) in [
            (
                "https://sts.example",
                "https://sts.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://sts.example/",
                "https://sts.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://sts.example:8443/a/b",
                "https://sts.example:8443/.well-known/oauth-authorization-server/a/b",
            ),
        ] {
            assert_eq!(
                metadata_url(&parse_issuer(issuer, false).unwrap()).as_str(),
                url
            );
        }
    }

    #[test]
    fn odd_issuers_are_refused() {
        for issuer in [
            "",
            "sts.example",
            "http://sts.example",
            "ftp://sts.example",
            "https://u@sts.example",
            "https://u:p@sts.example",
            "https://sts.example?x",
            "https://sts.example#x",
            "data:text/plain,x",
        ] {
            assert!(parse_issuer(issuer, false).is_err(), "{issuer}");
        }
        assert!(parse_issuer(&format!("https://sts.example/{}", "a".repeat(600)), false).is_err());
        assert!(parse_issuer("http://127.0.0.1:1", true).is_ok());
    }

    #[test]
    fn documents_of_the_issuer_itself() {
        let found = endpoints(
            r#"{"issuer":"https://sts.example/tenant","jwks_uri":"https://sts.example/jwks","token_endpoint":"x",
                "dayfly_trust_uri":"https://sts.example/v1/trust","dayfly_feed_uri":"https://sts.example/v1/feed","dayfly_max_lifetime":900}"#,
        )
        .unwrap();
        assert_eq!(found.jwks.as_str(), "https://sts.example/jwks");
        assert_eq!(found.max_lifetime_secs, Some(900));
        assert_eq!(
            found.feed.unwrap().stream.as_str(),
            "https://sts.example/v1/feed/stream"
        );
        let plain =
            r#"{"issuer":"https://sts.example/tenant","jwks_uri":"https://sts.example/jwks"}"#;
        assert_eq!(endpoints(plain).unwrap().feed, None);
    }

    #[test]
    fn documents_of_others_are_refused() {
        for issuer in [
            "https://sts.example",
            "https://sts.example/tenant/",
            "https://sts.example/tenant2",
            "HTTPS://sts.example/tenant",
            "",
        ] {
            let json = format!(r#"{{"issuer":"{issuer}","jwks_uri":"https://sts.example/jwks"}}"#);
            assert!(
                matches!(endpoints(&json), Err(ConnectError::IssuerMismatch { .. })),
                "{issuer}"
            );
        }
        for jwks in [
            "https://other.example/jwks",
            "http://sts.example/jwks",
            "https://sts.example:8443/jwks",
            "https://u@sts.example/jwks",
            "https://sts.example.evil/jwks",
            "/jwks",
            "file:///jwks",
            "",
        ] {
            let json = format!(r#"{{"issuer":"https://sts.example/tenant","jwks_uri":"{jwks}"}}"#);
            assert!(
                matches!(endpoints(&json), Err(ConnectError::Origin { .. })),
                "{jwks}"
            );
        }
        for json in [
            "",
            "[]",
            "{}",
            r#"{"issuer":"https://sts.example/tenant"}"#,
            r#"{"issuer":"a","issuer":"b","jwks_uri":"c"}"#,
        ] {
            assert!(
                matches!(endpoints(json), Err(ConnectError::Metadata { .. })),
                "{json}"
            );
        }
    }
}
