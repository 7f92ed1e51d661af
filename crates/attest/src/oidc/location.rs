//! Which URLs may stand in the configuration, and which may be fetched.

use std::net::{Ipv4Addr, Ipv6Addr};

use dayfly_token::Excerpt;
use url::{Host, Url};

/// Longest URL: what servers and proxies take without trouble.
const MAX_URL_BYTES: usize = 2048;
/// Longest host name (RFC 1035 section 2.3.4, as text).
const MAX_HOST_BYTES: usize = 253;
/// Longest path segment of an issuer: real ones are names and UUIDs.
const MAX_SEGMENT_BYTES: usize = 150;

/// Why a URL was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// An address in place of a name, or a name of this machine. Set `allow_private` if it is meant.
    #[error("`{url}` is an address or this machine; that needs `allow_private`")]
    Address {
        /// The URL.
        url: Excerpt,
    },
    /// Characters, segments or a form that no issuer needs, and in which two readers may see two things.
    #[error("`{url}` is not plain: {problem}")]
    Form {
        /// The URL.
        url: Excerpt,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Plain HTTP, to another machine or without `danger_allow_http`.
    #[error("`{url}` is not https; plain http needs `danger_allow_http` and a loopback host")]
    Http {
        /// The URL.
        url: Excerpt,
    },
    /// Not a URL that can be fetched.
    #[error("`{url}` is not an https URL")]
    Scheme {
        /// The URL.
        url: Excerpt,
    },
}

/// What a configuration allows beyond public HTTPS.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reach {
    /// Addresses and names of private networks.
    pub(crate) private: bool,
    /// Plain HTTP to this machine.
    pub(crate) http: bool,
}

/// Checks an issuer identifier: OpenID Connect Discovery section 2 asks for https, without query or fragment.
///
/// The text must say what the URL parser reads in it, character by character: then no other reader can see another
/// host or path in it, and comparing identifiers byte by byte compares what they mean.
pub(crate) fn check_issuer(issuer: &str, reach: Reach) -> Result<Url, LocationError> {
    let form = |problem| LocationError::Form {
        url: Excerpt::of(issuer),
        problem,
    };
    let url = check_endpoint(issuer, reach)?;
    if issuer.contains(['?', '#']) {
        return Err(form("it has a query or a fragment"));
    }
    let after_scheme = issuer
        .strip_prefix(url.scheme())
        .and_then(|rest| rest.strip_prefix("://"))
        .ok_or_else(|| form("its scheme is written in another form"))?;
    let (authority, rest) = after_scheme.split_once('/').unwrap_or((after_scheme, ""));
    let written_host = match url.port() {
        Some(port) => authority.strip_suffix(&format!(":{port}")),
        None => Some(authority),
    };
    if written_host != url.host_str() {
        return Err(form("its host is written in another form"));
    }
    let path = rest.strip_suffix('/').unwrap_or(rest);
    if !rest.is_empty() && !path.split('/').all(is_plain_segment) {
        return Err(form("its path is not made of plain segments"));
    }
    Ok(url)
}

/// Checks a URL that is going to be fetched.
pub(crate) fn check_endpoint(text: &str, reach: Reach) -> Result<Url, LocationError> {
    let url = || Excerpt::of(text);
    let form = |problem| LocationError::Form {
        url: url(),
        problem,
    };
    if text.len() > MAX_URL_BYTES {
        return Err(form("it is too long"));
    }
    // The parser drops tabs and newlines, and turns backslashes into slashes; say no before it does.
    if !text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    {
        return Err(form("it has characters that are not plain ASCII"));
    }
    let parsed = Url::parse(text).map_err(|_| LocationError::Scheme { url: url() })?;
    check_url(&parsed, reach).map_err(|error| match error {
        Refused::Address => LocationError::Address { url: url() },
        Refused::Form(problem) => form(problem),
        Refused::Http => LocationError::Http { url: url() },
        Refused::Scheme => LocationError::Scheme { url: url() },
    })?;
    Ok(parsed)
}

enum Refused {
    Address,
    Form(&'static str),
    Http,
    Scheme,
}

fn check_url(url: &Url, reach: Reach) -> Result<(), Refused> {
    let host = url.host().ok_or(Refused::Scheme)?;
    let plain_here = match url.scheme() {
        "https" => false,
        "http" if reach.http && is_loopback(&host) => true,
        "http" => return Err(Refused::Http),
        _ => return Err(Refused::Scheme),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refused::Form("it has user information"));
    }
    if url.fragment().is_some() {
        return Err(Refused::Form("it has a fragment"));
    }
    if let Host::Domain(name) = host
        && (name.len() > MAX_HOST_BYTES || name.ends_with('.') || name.contains('%'))
    {
        return Err(Refused::Form("its host is no plain name"));
    }
    // Addresses are not resolved, so that no check of resolved addresses would ever see them.
    if !plain_here && !reach.private && (!matches!(host, Host::Domain(_)) || is_loopback(&host)) {
        return Err(Refused::Address);
    }
    Ok(())
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => *address == Ipv4Addr::LOCALHOST,
        Host::Ipv6(address) => *address == Ipv6Addr::LOCALHOST,
    }
}

fn is_plain_segment(segment: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'-');
    !segment.is_empty()
        && segment.len() <= MAX_SEGMENT_BYTES
        && segment != "."
        && segment != ".."
        && segment.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: Reach = Reach {
        private: false,
        http: false,
    };
    const LOCAL: Reach = Reach {
        private: true,
        http: true,
    };

    #[test]
    fn endpoints_may_have_a_query() {
        assert!(check_endpoint("https://idp.example/keys?p=policy", PUBLIC).is_ok());
        assert!(check_endpoint("https://idp.example/keys#x", PUBLIC).is_err());
        assert!(check_endpoint("https://[::ffff:127.0.0.1]/keys", PUBLIC).is_err());
        assert!(check_issuer("https://idp.example/keys?p=policy", PUBLIC).is_err());
    }

    #[test]
    fn http_needs_leave_and_loopback() {
        for url in [
            "http://127.0.0.1:8080",
            "http://[::1]:8080",
            "http://localhost:8080/a",
        ] {
            assert!(matches!(
                check_issuer(url, PUBLIC),
                Err(LocationError::Http { .. })
            ));
            assert!(check_issuer(url, LOCAL).is_ok(), "{url}");
        }
        for url in ["http://10.0.0.1", "http://example.com", "http://127.0.0.2"] {
            assert!(
                matches!(check_issuer(url, LOCAL), Err(LocationError::Http { .. })),
                "{url}"
            );
        }
    }

    #[test]
    fn addresses_need_leave() {
        for url in [
            "https://127.0.0.1:8443",
            "https://10.1.2.3",
            "https://[::1]:1",
            "https://[::ffff:7f00:1]",
            "https://[64:ff9b::a00:1]",
            "https://0.0.0.0",
            "https://localhost",
            "https://idp.localhost",
            "https://8.8.8.8",
        ] {
            assert!(matches!(
                check_issuer(url, PUBLIC),
                Err(LocationError::Address { .. })
            ));
            assert!(check_issuer(url, LOCAL).is_ok(), "{url}");
        }
    }

    #[test]
    fn one_spelling_only() {
        for url in [
            "https://EXAMPLE.com",
            "HTTPS://example.com",
            "https:example.com",
            "https:///example.com",
            "https://example.com:443",
            "https://example.com:",
            "https://example.com:08443",
            "https://example.com/a%20b",
            "https://example.com//",
            "https://example.com/a//",
            "https://0x7f.1",
        ] {
            assert!(check_issuer(url, LOCAL).is_err(), "{url}");
        }
    }
}
