use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

/// Where a request carries its token, and whether in the one way that is accepted.
pub(super) enum Bearer<'a> {
    /// In the one `Authorization` header, with the scheme `Bearer`.
    Token(&'a str),
    /// Nowhere, or with another scheme.
    None,
    /// In a way that RFC 6750 calls malformed.
    Malformed(&'static str),
}

impl<'a> Bearer<'a> {
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
        match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                Self::Token(token.trim_matches(' '))
            }
            None if value.eq_ignore_ascii_case("bearer") => {
                Self::Malformed("`Bearer` without a token")
            }
            _ => Self::None,
        }
    }
}

fn has_token(query: &str) -> bool {
    query
        .split('&')
        .any(|pair| pair.split('=').next() == Some("access_token"))
}

/// Marks the header so that no log prints it.
pub(super) fn hide(parts: &mut Parts) {
    if let Some(value) = parts.headers.get_mut(AUTHORIZATION) {
        value.set_sensitive(true);
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
            assert!(
                matches!(
                    Bearer::of(&headers(&[value.as_bytes()]), None),
                    Bearer::Token("a.b.c")
                ),
                "{value}"
            );
        }
        for value in [
            "Basic dTpw",
            "DPoP a.b.c",
            "",
            "a.b.c",
            "Bearera.b.c",
            // RFC 9110 section 11.4: one space, no tab, nothing before the scheme.
            "Bearer\ta.b.c",
            "\tBearer a.b.c",
            " Bearer a.b.c",
        ] {
            assert!(
                matches!(
                    Bearer::of(&headers(&[value.as_bytes()]), None),
                    Bearer::None
                ),
                "{value}"
            );
        }
        assert!(matches!(
            Bearer::of(&headers(&[]), Some("a=b&c")),
            Bearer::None
        ));
        for (values, query) in [
            (&[&b"Bearer a"[..], b"Bearer a"][..], None),
            (&[b"Bearer a", b"Basic b"], None),
            (&[b"Bearer"], None),
            (&[b"Bearer \xff"], None),
            (&[b"Bearer a"], Some("access_token=b")),
            (&[], Some("x=1&access_token=b")),
            (&[], Some("access_token")),
        ] {
            assert!(
                matches!(Bearer::of(&headers(values), query), Bearer::Malformed(_)),
                "{values:?} {query:?}"
            );
        }
    }
}
