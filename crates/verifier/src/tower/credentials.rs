use http::HeaderMap;
use http::header::{AUTHORIZATION, Entry, HeaderName};
use http::request::Parts;

/// The header that carries a proof (RFC 9449 section 4.1).
pub(super) const DPOP: HeaderName = HeaderName::from_static("dpop");

/// Where a request carries its token, and whether in a way that is accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credentials<'a> {
    /// In the one `Authorization` header, with the scheme `Bearer`.
    Bearer(&'a str),
    /// In the one `Authorization` header, with the scheme `DPoP`, and with one `DPoP` header.
    Dpop { token: &'a str, proof: &'a str },
    /// With the scheme `DPoP`, and not with one `DPoP` header.
    NoProof(&'static str),
    /// Nowhere, or with another scheme.
    None,
    /// In a way that RFC 6750 calls malformed.
    Malformed(&'static str),
}

impl<'a> Credentials<'a> {
    pub(super) fn of(headers: &'a HeaderMap, query: Option<&str>) -> Self {
        // RFC 6750 section 2.3 advises against it: a token in a URL ends up in logs.
        if query.is_some_and(has_token) {
            return Self::Malformed("a token in the query");
        }
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Self::None;
        };
        if values.next().is_some() {
            return Self::Malformed("more than one `Authorization` header");
        }
        let Ok(value) = value.to_str() else {
            return Self::Malformed("an `Authorization` header that is not ASCII");
        };
        let (scheme, token) = match value.split_once(' ') {
            Some((scheme, token)) => (scheme, Some(token.trim_matches(' '))),
            None => (value, None),
        };
        // RFC 9110 section 11.1: the case of a scheme does not matter.
        match (scheme.to_ascii_lowercase().as_str(), token) {
            // Without the scheme `DPoP` a `DPoP` header is nothing that the token needs, and is not looked at.
            ("bearer", Some(token)) => Self::Bearer(token),
            ("dpop", Some(token)) => match the_proof(headers) {
                Ok(proof) => Self::Dpop { token, proof },
                Err(what) => Self::NoProof(what),
            },
            ("bearer" | "dpop", None) => Self::Malformed("a scheme without a token"),
            _ => Self::None,
        }
    }
}

/// RFC 9449 section 4.3, number 1: there is not more than one `DPoP` header; section 7.1: there is one.
fn the_proof(headers: &HeaderMap) -> Result<&str, &'static str> {
    let mut values = headers.get_all(DPOP).iter();
    let value = values.next().ok_or("no `DPoP` header")?;
    if values.next().is_some() {
        return Err("more than one `DPoP` header");
    }
    value
        .to_str()
        .map_err(|_| "a `DPoP` header that is not ASCII")
}

fn has_token(query: &str) -> bool {
    query
        .split('&')
        .any(|pair| pair.split('=').next() == Some("access_token"))
}

/// Marks the headers so that no log prints them.
pub(super) fn hide(parts: &mut Parts) {
    for name in [AUTHORIZATION, DPOP] {
        if let Entry::Occupied(mut values) = parts.headers.entry(name) {
            values
                .iter_mut()
                .for_each(|value| value.set_sensitive(true));
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[test]
    fn one_header_one_scheme() {
        for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER  a.b.c"] {
            assert_eq!(
                Credentials::of(&headers(&[value.as_bytes()]), None),
                Credentials::Bearer("a.b.c"),
                "{value}"
            );
        }
        for value in [
            "Basic dTpw",
            "",
            "a.b.c",
            "Bearera.b.c",
            "DPoPa.b.c",
            // RFC 9110 section 11.4: one space, no tab, nothing before the scheme.
            "Bearer\ta.b.c",
            "\tBearer a.b.c",
            " Bearer a.b.c",
            " DPoP a.b.c",
        ] {
            assert_eq!(
                Credentials::of(&headers(&[value.as_bytes()]), None),
                Credentials::None,
                "{value}"
            );
        }
        assert_eq!(
            Credentials::of(&headers(&[]), Some("a=b&c")),
            Credentials::None
        );
        for (values, query) in [
            (&[&b"Bearer a"[..], b"Bearer a"][..], None),
            (&[b"Bearer a", b"Basic b"], None),
            (&[b"DPoP a", b"Bearer a"], None),
            (&[b"Bearer"], None),
            (&[b"DPoP"], None),
            (&[b"Bearer \xff"], None),
            (&[b"Bearer a"], Some("access_token=b")),
            (&[b"DPoP a"], Some("access_token=b")),
            (&[], Some("x=1&access_token=b")),
            (&[], Some("access_token")),
        ] {
            assert!(
                matches!(
                    Credentials::of(&headers(values), query),
                    Credentials::Malformed(_)
                ),
                "{values:?} {query:?}"
            );
        }
    }

    #[test]
    fn one_proof() {
        let with = |authorization: &[u8], proofs: &[&[u8]]| {
            let mut headers = headers(&[authorization]);
            for proof in proofs {
                headers.append(DPOP, HeaderValue::from_bytes(proof).unwrap());
            }
            headers
        };
        for scheme in ["DPoP", "dpop", "DPOP"] {
            let headers = with(format!("{scheme} a.b.c").as_bytes(), &[b"d.e.f"]);
            let found = Credentials::of(&headers, None);
            let (token, proof) = ("a.b.c", "d.e.f");
            assert_eq!(found, Credentials::Dpop { token, proof }, "{scheme}");
        }
        for proofs in [
            &[][..],
            &[&b"d.e.f"[..], b"d.e.f"],
            &[b"d.e.f", b""],
            &[b"\xff"],
        ] {
            let headers = with(b"DPoP a.b.c", proofs);
            let found = Credentials::of(&headers, None);
            assert!(matches!(found, Credentials::NoProof(_)), "{found:?}");
            // The scheme decides, not the header.
            let headers = with(b"Bearer a.b.c", proofs);
            assert_eq!(
                Credentials::of(&headers, None),
                Credentials::Bearer("a.b.c")
            );
        }
    }
}
