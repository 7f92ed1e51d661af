use serde::Deserialize;
use url::Url;

use crate::ClientError;
use crate::http::printable;

/// Where [RFC 8414 section 3](https://www.rfc-editor.org/rfc/rfc8414#section-3) puts the document: between host and path.
const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";

/// The part of an issuer's metadata (RFC 8414) that a client needs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Metadata {
    /// The issuer's identifier; equal to the configured one, byte by byte.
    pub issuer: String,
    /// Where tokens are asked for.
    pub token_endpoint: String,
    /// Where tokens are revoked (RFC 7009).
    pub revocation_endpoint: Option<String>,
    /// Where tokens are introspected (RFC 7662).
    pub introspection_endpoint: Option<String>,
    /// The same endpoints for callers with a client certificate (RFC 8705 section 5).
    #[serde(default)]
    pub mtls_endpoint_aliases: EndpointAliases,
}

/// Endpoints on a host that asks for client certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct EndpointAliases {
    /// Where tokens are asked for.
    pub token_endpoint: Option<String>,
    /// Where tokens are revoked.
    pub revocation_endpoint: Option<String>,
    /// Where tokens are introspected.
    pub introspection_endpoint: Option<String>,
}

impl Metadata {
    /// Parses the document and refuses that of another issuer: only `issuer` ties it to the one we asked, everything
    /// else may be chosen by whoever wrote it (RFC 8414 section 3.3).
    pub(crate) fn parse(body: &[u8], issuer: &str, location: &Url) -> Result<Self, ClientError> {
        let metadata: Self =
            dayfly_token::json::from_slice(body).map_err(|error| ClientError::Malformed {
                endpoint: location.to_string(),
                reason: printable(&error.to_string()),
            })?;
        if metadata.issuer != issuer {
            return Err(ClientError::IssuerMismatch {
                expected: issuer.to_owned(),
                found: dayfly_token::Excerpt::of(&metadata.issuer).to_string(),
            });
        }
        Ok(metadata)
    }

    /// Where tokens are asked for. Callers with a certificate take the alias, if there is one (RFC 8705 section 5).
    pub(crate) fn token_endpoint(&self, with_certificate: bool) -> &str {
        let alias = self.mtls_endpoint_aliases.token_endpoint.as_deref();
        alias
            .filter(|_| with_certificate)
            .unwrap_or(&self.token_endpoint)
    }

    /// Where tokens are revoked.
    pub(crate) fn revocation_endpoint(&self, with_certificate: bool) -> String {
        let alias = self.mtls_endpoint_aliases.revocation_endpoint.as_ref();
        alias
            .filter(|_| with_certificate)
            .or(self.revocation_endpoint.as_ref())
            .cloned()
            .unwrap_or_else(|| self.at("/oauth2/revoke", with_certificate))
    }

    /// Where tokens are introspected.
    pub(crate) fn introspection_endpoint(&self, with_certificate: bool) -> String {
        let alias = self.mtls_endpoint_aliases.introspection_endpoint.as_ref();
        alias
            .filter(|_| with_certificate)
            .or(self.introspection_endpoint.as_ref())
            .cloned()
            .unwrap_or_else(|| self.at("/oauth2/introspect", with_certificate))
    }

    /// Where `path` lies, which has no metadata member.
    pub(crate) fn at(&self, path: &str, with_certificate: bool) -> String {
        format!("{}{path}", self.base(with_certificate))
    }

    /// The URL under which `/v1/…` lies, without a trailing slash: it has no metadata member of its own, and stands
    /// beside the token endpoint.
    fn base(&self, with_certificate: bool) -> &str {
        let token_endpoint = self.token_endpoint(with_certificate);
        token_endpoint
            .strip_suffix("/oauth2/token")
            .unwrap_or_else(|| self.issuer.trim_end_matches('/'))
    }
}

/// Where the metadata of `issuer` lie.
pub(crate) fn location(issuer: &Url) -> Url {
    let mut location = issuer.clone();
    let path = issuer.path().trim_end_matches('/');
    location.set_path(&format!("{WELL_KNOWN}{path}"));
    location
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(issuer: &str) -> String {
        location(&issuer.parse().unwrap()).to_string()
    }

    #[test]
    fn the_well_known_part_goes_between_host_and_path() {
        assert_eq!(
            at("https://sts.example"),
            "https://sts.example/.well-known/oauth-authorization-server"
        );
        assert_eq!(
            at("https://sts.example/"),
            "https://sts.example/.well-known/oauth-authorization-server"
        );
        assert_eq!(
            at("https://a.example:8443/t/1"),
            "https://a.example:8443/.well-known/oauth-authorization-server/t/1"
        );
    }

    #[test]
    fn another_issuer_is_refused_whatever_the_difference() {
        let at = "https://sts.example/x".parse().unwrap();
        for found in [
            "https://sts.example/",
            "https://STS.example",
            "http://sts.example",
            "https://evil.example",
            "",
        ] {
            let body = format!(
                r#"{{"issuer":"{found}","token_endpoint":"https://sts.example/oauth2/token"}}"#
            );
            let refused = Metadata::parse(body.as_bytes(), "https://sts.example", &at);
            assert!(
                matches!(refused, Err(ClientError::IssuerMismatch { .. })),
                "{found}"
            );
        }
    }

    #[test]
    fn a_second_issuer_member_is_refused() {
        let at = "https://sts.example/x".parse().unwrap();
        let body = br#"{"issuer":"https://evil.example","issuer":"https://sts.example","token_endpoint":"https://e/"}"#;
        let refused = Metadata::parse(body, "https://sts.example", &at);
        assert!(matches!(refused, Err(ClientError::Malformed { .. })));
    }

    #[test]
    fn aliases_are_for_callers_with_a_certificate() {
        let body = br#"{"issuer":"https://sts.example","token_endpoint":"https://sts.example/oauth2/token",
            "revocation_endpoint":"https://sts.example/oauth2/revoke",
            "mtls_endpoint_aliases":{"token_endpoint":"https://mtls.sts.example/oauth2/token"}}"#;
        let metadata =
            Metadata::parse(body, "https://sts.example", &"https://x/".parse().unwrap()).unwrap();
        assert_eq!(metadata.base(false), "https://sts.example");
        assert_eq!(metadata.base(true), "https://mtls.sts.example");
        assert_eq!(
            metadata.revocation_endpoint(true),
            "https://sts.example/oauth2/revoke"
        );
        assert_eq!(
            metadata.introspection_endpoint(true),
            "https://mtls.sts.example/oauth2/introspect"
        );
    }
}
