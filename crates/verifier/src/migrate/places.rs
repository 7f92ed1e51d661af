//! Where a request carries its key.

use std::borrow::Cow;

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Uri};
use url::form_urlencoded;

/// The header that is looked at unless the API says otherwise.
const DEFAULT_HEADER: HeaderName = HeaderName::from_static("x-api-key");

/// Separators in a compact token: what tells it from a key under the scheme `Bearer`.
const DOTS_OF_A_TOKEN: usize = 2;

/// Where the API's keys are found. Nothing else is looked at, so that a key elsewhere is no key; and what stands in one
/// of these places is taken out before the inner service sees the request.
#[derive(Clone, Debug)]
#[must_use]
pub struct KeyPlaces {
    header: Option<HeaderName>,
    scheme: Option<String>,
    parameter: Option<String>,
}

/// Why a place was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// A header that cannot be, or `Authorization` as a whole.
    #[error("not the name of a header for keys; for `Authorization` name its scheme")]
    Header,
    /// A query parameter that cannot be, or that tokens would be looked for in.
    #[error("not the name of a query parameter for keys")]
    Parameter,
    /// A scheme that cannot be, or that tokens need for themselves.
    #[error("not an authentication scheme for keys")]
    Scheme,
}

impl Default for KeyPlaces {
    /// The header `x-api-key`.
    fn default() -> Self {
        Self {
            header: Some(DEFAULT_HEADER),
            ..Self::nowhere()
        }
    }
}

impl KeyPlaces {
    /// Nowhere yet.
    pub const fn nowhere() -> Self {
        Self {
            header: None,
            scheme: None,
            parameter: None,
        }
    }

    /// In this header, in the place of another one.
    ///
    /// # Errors
    /// If it is no name of a header, or `Authorization`.
    pub fn header(self, name: &str) -> Result<Self, PlaceError> {
        let name: HeaderName = name.parse().map_err(|_| PlaceError::Header)?;
        if name == AUTHORIZATION {
            return Err(PlaceError::Header);
        }
        Ok(Self {
            header: Some(name),
            ..self
        })
    }

    /// In `Authorization` under this scheme, as in `ApiKey`. Under `Bearer` a value with exactly two dots is a token, and
    /// every other one a key; an API whose keys have two dots moves them to a header first.
    ///
    /// # Errors
    /// If it is no scheme, or `DPoP`, which only tokens have.
    pub fn authorization(self, scheme: &str) -> Result<Self, PlaceError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let fits = !scheme.is_empty() && scheme.bytes().all(allowed);
        if !fits || scheme.eq_ignore_ascii_case("dpop") {
            return Err(PlaceError::Scheme);
        }
        Ok(Self {
            scheme: Some(scheme.to_owned()),
            ..self
        })
    }

    /// In this query parameter. Only for an API that has such callers already: what stands in a URL ends up in the logs
    /// of every proxy on the way, and each use is warned of.
    ///
    /// # Errors
    /// If it is empty, or `access_token`.
    pub fn danger_query(self, name: &str) -> Result<Self, PlaceError> {
        if name.is_empty() || name == "access_token" {
            return Err(PlaceError::Parameter);
        }
        Ok(Self {
            parameter: Some(name.to_owned()),
            ..self
        })
    }

    pub(super) const fn is_nowhere(&self) -> bool {
        self.header.is_none() && self.scheme.is_none() && self.parameter.is_none()
    }

    pub(super) fn find<'a>(&self, parts: &'a Parts) -> Carried<'a> {
        let in_header = self
            .header
            .iter()
            .flat_map(|name| parts.headers.get_all(name));
        let in_header = in_header.map(|value| (Cow::Borrowed(value.as_bytes()), false));
        let in_authorization = self.in_authorization(parts).into_iter();
        let in_authorization = in_authorization.map(|key| (Cow::Borrowed(key), false));
        let in_query = self.in_query(parts).map(|key| (Cow::Owned(key), true));
        let mut found = in_header.chain(in_authorization).chain(in_query);
        match (found.next(), found.next()) {
            (None, _) => Carried::Nothing,
            (Some((text, in_query)), None) => Carried::Key { text, in_query },
            (Some(_), Some(_)) => Carried::Several,
        }
    }

    /// Takes every key out of the request.
    pub(super) fn strip(&self, parts: &mut Parts) {
        if let Some(name) = &self.header {
            parts.headers.remove(name);
        }
        let mut values = parts.headers.get_all(AUTHORIZATION).iter();
        if values.any(|value| self.key_in(value.as_bytes()).is_some()) {
            parts.headers.remove(AUTHORIZATION);
        }
        if self.in_query(parts).next().is_some() {
            parts.uri = self.without_parameter(&parts.uri);
        }
        // axum's router keeps a copy beside the URI.
        #[cfg(feature = "axum")]
        if self.parameter.is_some()
            && let Some(original) = parts.extensions.get_mut::<axum::extract::OriginalUri>()
        {
            original.0 = self.without_parameter(&original.0);
        }
    }

    /// More than one `Authorization` header is for the gate to refuse.
    fn in_authorization<'a>(&self, parts: &'a Parts) -> Option<&'a [u8]> {
        let mut values = parts.headers.get_all(AUTHORIZATION).iter();
        let value = values.next().map(HeaderValue::as_bytes)?;
        if values.next().is_some() {
            return None;
        }
        self.key_in(value)
    }

    fn key_in<'a>(&self, value: &'a [u8]) -> Option<&'a [u8]> {
        let scheme = self.scheme.as_deref()?;
        let (found, rest) = value.split_at_checked(scheme.len())?;
        let key = rest.strip_prefix(b" ")?.trim_ascii();
        let is_token = scheme.eq_ignore_ascii_case("bearer")
            && key.iter().filter(|byte| **byte == b'.').count() == DOTS_OF_A_TOKEN;
        (found.eq_ignore_ascii_case(scheme.as_bytes()) && !is_token).then_some(key)
    }

    fn in_query(&self, parts: &Parts) -> impl Iterator<Item = Vec<u8>> {
        let query = parts.uri.query().filter(|_| self.parameter.is_some());
        form_urlencoded::parse(query.unwrap_or_default().as_bytes())
            .filter(|(name, _)| self.parameter.as_deref() == Some(name))
            .map(|(_, value)| value.into_owned().into_bytes())
    }

    fn without_parameter(&self, uri: &Uri) -> Uri {
        let is_key = |pair: &&str| {
            form_urlencoded::parse(pair.as_bytes())
                .any(|(name, _)| self.parameter.as_deref() == Some(&name))
        };
        let pairs = uri.query().unwrap_or_default().split('&');
        let kept: Vec<_> = pairs.filter(|pair| !is_key(pair)).collect();
        let path = uri.path();
        let target = if kept.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{}", kept.join("&"))
        };
        let mut whole = uri.clone().into_parts();
        whole.path_and_query = target.parse().ok();
        // A part of a valid URI is valid; were it not, no URI is better than one with a key.
        Uri::from_parts(whole).unwrap_or_default()
    }
}

/// What a request carries in the places of keys.
pub(super) enum Carried<'a> {
    Nothing,
    /// More than one: which of them counts could be read differently elsewhere.
    Several,
    Key {
        text: Cow<'a, [u8]>,
        in_query: bool,
    },
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn found(places: &KeyPlaces, parts: &Parts) -> String {
        match places.find(parts) {
            Carried::Nothing => "nothing".to_owned(),
            Carried::Several => "several".to_owned(),
            Carried::Key { text, in_query } => {
                format!(
                    "{}{}",
                    String::from_utf8_lossy(&text),
                    if in_query { " in query" } else { "" }
                )
            }
        }
    }

    #[test]
    fn a_key_is_found_where_it_was_said_to_be_and_nowhere_else() {
        let header = KeyPlaces::default();
        let scheme = KeyPlaces::nowhere().authorization("ApiKey").unwrap();
        let bearer = KeyPlaces::nowhere().authorization("Bearer").unwrap();
        let query = KeyPlaces::nowhere().danger_query("api_key").unwrap();
        let all = KeyPlaces::default()
            .authorization("ApiKey")
            .unwrap()
            .danger_query("api_key")
            .unwrap();
        for (places, uri, headers, expected) in [
            (&header, "/", &[("X-API-Key", "k")][..], "k"),
            (
                &header,
                "/",
                &[("x-api-key", "k"), ("x-api-key", "k")],
                "several",
            ),
            (
                &header,
                "/?api_key=k",
                &[("authorization", "ApiKey k"), ("x-key", "k")],
                "nothing",
            ),
            (&scheme, "/", &[("authorization", "apikey  k ")], "k"),
            (&scheme, "/", &[("authorization", "ApiKeyk")], "nothing"),
            (&scheme, "/", &[("authorization", "ApiKey")], "nothing"),
            (
                &scheme,
                "/",
                &[("authorization", "Bearer k"), ("x-api-key", "k")],
                "nothing",
            ),
            (
                &scheme,
                "/",
                &[("authorization", "ApiKey k"), ("authorization", "ApiKey k")],
                "nothing",
            ),
            (&bearer, "/", &[("authorization", "Bearer sk-k")], "sk-k"),
            (&bearer, "/", &[("authorization", "Bearer a.b")], "a.b"),
            (
                &bearer,
                "/",
                &[("authorization", "Bearer a.b.c")],
                "nothing",
            ),
            (
                &bearer,
                "/",
                &[("authorization", "Bearer a.b.c.d")],
                "a.b.c.d",
            ),
            (
                &query,
                "/?a=1&api_key=k%2Bk&b",
                &[("x-api-key", "k")],
                "k+k in query",
            ),
            (&query, "/?api%5Fkey=k", &[], "k in query"),
            (&query, "/?api_key=k&api_key=k", &[], "several"),
            (&query, "/?API_KEY=k", &[], "nothing"),
            (&all, "/?api_key=k", &[("x-api-key", "k")], "several"),
            (
                &all,
                "/",
                &[("x-api-key", "k"), ("authorization", "ApiKey k")],
                "several",
            ),
            (
                &KeyPlaces::nowhere(),
                "/?api_key=k",
                &[("x-api-key", "k")],
                "nothing",
            ),
        ] {
            assert_eq!(
                found(places, &parts(uri, headers)),
                expected,
                "{uri} {headers:?}"
            );
        }
    }

    #[test]
    fn keys_are_taken_out_and_the_rest_stays() {
        let all = KeyPlaces::default()
            .authorization("Bearer")
            .unwrap()
            .danger_query("api_key")
            .unwrap();
        for (uri, left) in [
            ("/a?api_key=k", "/a"),
            ("/a?x=%20&api_key=k&y&api%5Fkey=l", "/a?x=%20&y"),
            (
                "http://h.example:1/a?api_key=k&x=1",
                "http://h.example:1/a?x=1",
            ),
            ("/a?x=1", "/a?x=1"),
        ] {
            let mut parts = parts(
                uri,
                &[
                    ("x-api-key", "k"),
                    ("x-api-key", "l"),
                    ("authorization", "Bearer k"),
                    ("x", "y"),
                ],
            );
            all.strip(&mut parts);
            assert_eq!(parts.uri, left);
            assert_eq!(parts.headers.keys().collect::<Vec<_>>(), ["x"]);
        }
        // A token is no key.
        let mut parts = parts("/", &[("authorization", "Bearer a.b.c")]);
        all.strip(&mut parts);
        assert_eq!(parts.headers.len(), 1);
    }

    #[test]
    fn places_that_cannot_be() {
        let nowhere = KeyPlaces::nowhere;
        assert!(nowhere().header("authorization").is_err() && nowhere().header("a b").is_err());
        assert!(nowhere().authorization("").is_err() && nowhere().authorization("a b").is_err());
        assert!(nowhere().authorization("DPoP").is_err());
        assert!(
            nowhere().danger_query("").is_err() && nowhere().danger_query("access_token").is_err()
        );
    }
}
