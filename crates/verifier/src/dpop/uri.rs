use std::fmt;
use std::str::FromStr;

/// Where clients reach this API, as they write it: scheme, host, port and perhaps a path in front of every route.
///
/// It is configuration, because nothing in a request is: `Host` and `X-Forwarded-*` are what a stranger sends. Behind a
/// proxy that cuts `/orders` off the path it is `https://api.example/orders`.
///
/// ```
/// use dayfly_verifier::dpop::BaseUrl;
///
/// let base: BaseUrl = "https://api.example/orders/".parse()?;
/// assert_eq!(base.uri_of("/items").as_deref(), Some("https://api.example/orders/items"));
/// # Ok::<(), dayfly_verifier::dpop::BaseUrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(String);

/// Not an absolute `https` or `http` URL, or one with user, query, fragment or dot segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an absolute http(s) URL without user, query, fragment and dot segments")]
#[non_exhaustive]
pub struct BaseUrlError;

impl BaseUrl {
    /// The URI of a request for `path`, which begins with a slash and stands as it was received; `None` if it does not
    /// begin so, as in `OPTIONS *`.
    #[must_use]
    pub fn uri_of(&self, path: &str) -> Option<String> {
        path.starts_with('/').then(|| format!("{}{path}", self.0))
    }
}

impl FromStr for BaseUrl {
    type Err = BaseUrlError;

    fn from_str(text: &str) -> Result<Self, BaseUrlError> {
        if text.contains(['?', '#']) {
            return Err(BaseUrlError);
        }
        let uri = Normal::of(text)
            .filter(|uri| !uri.had_dots)
            .ok_or(BaseUrlError)?;
        Ok(Self(uri.text.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An `https` or `http` URI in the normal form of RFC 3986 sections 6.2.2 and 6.2.3, without query and fragment: scheme
/// and host in lower case, no default port, a path that is not empty, unreserved characters not encoded, the other ones
/// encoded with upper-case digits, no dot segments.
///
/// What the grammar of RFC 3986 does not allow is no URI, and neither is one with a user, nor with a host that is
/// neither a name of DNS nor an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Normal {
    pub(super) text: String,
    /// Whether there were dot segments to remove.
    pub(super) had_dots: bool,
}

impl Normal {
    pub(super) fn of(text: &str) -> Option<Self> {
        let end = text.find(['?', '#']).unwrap_or(text.len());
        let (scheme, rest) = text.get(..end)?.split_once("://")?;
        let (scheme, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "https" => ("https", 443),
            "http" => ("http", 80),
            _ => return None,
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = host_and_port(authority)?;
        let (path, had_dots) = without_dots(&decoded(path)?);
        let port = match port.filter(|port| *port != default_port) {
            Some(port) => format!(":{port}"),
            None => String::new(),
        };
        Some(Self {
            text: format!("{scheme}://{host}{port}{path}"),
            had_dots,
        })
    }
}

/// The host in lower case, and the port if it is given. A user (`@`) is in neither alphabet.
fn host_and_port(authority: &str) -> Option<(String, Option<u16>)> {
    let end_of_host = match authority.find(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end_of_host);
    let address = host
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'));
    let well_formed = match address {
        Some(address) => {
            !address.is_empty()
                && address
                    .bytes()
                    .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
        }
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
        }
    };
    if !well_formed {
        return None;
    }
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        None => return None,
        Some("") => None,
        // `parse` would take a sign.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().ok()?)
        }
        Some(_) => return None,
    };
    Some((host.to_ascii_lowercase(), port))
}

/// A path in which only what must be encoded is, with upper-case digits; `None` if it is no path of RFC 3986.
fn decoded(path: &str) -> Option<String> {
    let mut normal = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (hex(bytes.next()?)?, hex(bytes.next()?)?);
            let byte = high << 4 | low;
            if is_unreserved(byte) {
                normal.push(char::from(byte));
            } else {
                normal.push_str(&format!("%{byte:02X}"));
            }
        } else if is_unreserved(byte) || b"!$&'()*+,;=:@/".contains(&byte) {
            normal.push(char::from(byte));
        } else {
            return None;
        }
    }
    Some(normal)
}

/// RFC 3986 section 5.2.4, and whether there was anything to remove.
fn without_dots(path: &str) -> (String, bool) {
    let mut kept: Vec<&str> = Vec::new();
    let mut had_dots = false;
    let mut ends_with_dots = false;
    for segment in path.strip_prefix('/').unwrap_or(path).split('/') {
        ends_with_dots = matches!(segment, "." | "..");
        had_dots |= ends_with_dots;
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    if ends_with_dots {
        kept.push("");
    }
    (format!("/{}", kept.join("/")), had_dots)
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn hex(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn normal(text: &str) -> Option<String> {
        Normal::of(text).map(|uri| uri.text)
    }

    #[test]
    fn one_form_for_all_spellings() {
        for (uri, form) in [
            ("https://api.example/a", "https://api.example/a"),
            ("HTTPS://API.Example/a", "https://api.example/a"),
            ("https://api.example", "https://api.example/"),
            ("https://api.example:443/a", "https://api.example/a"),
            ("https://api.example:0443/a", "https://api.example/a"),
            ("https://api.example:/a", "https://api.example/a"),
            ("http://api.example:80/a", "http://api.example/a"),
            ("https://api.example:80/a", "https://api.example:80/a"),
            ("http://api.example:443/a", "http://api.example:443/a"),
            ("https://api.example/a?b#c", "https://api.example/a"),
            ("https://api.example#c?d", "https://api.example/"),
            ("https://api.example?x=/../y", "https://api.example/"),
            ("https://api.example/%61%7E%2d", "https://api.example/a~-"),
            (
                "https://api.example/%2f%c3%a9",
                "https://api.example/%2F%C3%A9",
            ),
            ("https://api.example/a/%2e%2E/b", "https://api.example/b"),
            ("https://api.example/a/./b/.", "https://api.example/a/b/"),
            ("https://api.example/../a/..", "https://api.example/"),
            ("https://api.example/a//b/", "https://api.example/a//b/"),
            ("https://api.example/A", "https://api.example/A"),
            ("https://[2001:DB8::1]:443/", "https://[2001:db8::1]/"),
            // From RFC 3986 section 5.2.4, which the RFC resolves to the same.
            ("http://h/a/b/c/./../../g", "http://h/a/g"),
            ("http://h/mid/content=5/../6", "http://h/mid/6"),
        ] {
            assert_eq!(normal(uri).as_deref(), Some(form), "{uri}");
        }
    }

    #[test]
    fn what_is_no_uri() {
        for text in [
            "",
            "/a",
            "api.example/a",
            "//api.example/a",
            "https:/api.example/a",
            "https:///a",
            "https://",
            "https://:443/",
            "ftp://api.example/a",
            " https://api.example/a",
            "https://user@api.example/a",
            "https://user:secret@api.example/a",
            "https://api.example@evil.example/a",
            "https://api.example\\@evil.example/a",
            "https://api.example:x/",
            "https://api.example:+443/",
            "https://api.example:65536/",
            "https://api.example:443:443/",
            "https://%61pi.example/a",
            "https://äpi.example/a",
            "https://[::1/",
            "https://[]/",
            "https://[::1]x/",
            "https://x[::1]/",
            "https://api.example/a b",
            "https://api.example/a\0",
            "https://api.example/\\a",
            "https://api.example/ä",
            "https://api.example/%",
            "https://api.example/%2",
            "https://api.example/%g0",
            "https://api.example/%+1",
            "https://api.example/\"",
        ] {
            assert_eq!(normal(text), None, "{text}");
        }
    }

    #[test]
    fn base_urls() {
        let parse = |text: &str| text.parse::<BaseUrl>().map(|base| base.to_string());
        assert_eq!(
            parse("HTTPS://Api.example:443/"),
            Ok("https://api.example".to_owned())
        );
        assert_eq!(
            parse("http://localhost:8080"),
            Ok("http://localhost:8080".to_owned())
        );
        assert_eq!(parse("https://h/a/b/"), Ok("https://h/a/b".to_owned()));
        for odd in [
            "",
            "h",
            "/a",
            "https://h/?a",
            "https://h/#a",
            "https://u@h/",
            "https://h/a/..",
        ] {
            assert_eq!(parse(odd), Err(BaseUrlError), "{odd}");
        }
        let base: BaseUrl = "https://h".parse().unwrap();
        assert_eq!(base.uri_of("/a").as_deref(), Some("https://h/a"));
        // Not the host `hevil.example`, and nothing for `OPTIONS *`.
        assert_eq!(base.uri_of("evil.example/"), None);
        assert_eq!(base.uri_of("*"), None);
        assert_eq!(base.uri_of(""), None);
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own(
            text in "(?i:https?)://[a-zA-Z0-9.:-]{1,12}(/|%[0-9a-fA-F]{2}|[.]{1,3}|[a-zA-Z~!@:]){0,12}([?#].{0,4})?",
        ) {
            if let Some(uri) = Normal::of(&text) {
                let again = Normal::of(&uri.text);
                prop_assert_eq!(again, Some(Normal { text: uri.text, had_dots: false }));
            }
        }

        #[test]
        fn no_text_panics(text in any::<String>(), path in any::<String>()) {
            drop(Normal::of(&text));
            drop(Normal::of(&format!("https://h/{path}")));
        }

        #[test]
        fn another_path_is_another_form(a in "(/[a-z%]{0,3}){1,3}", b in "(/[a-z%]{0,3}){1,3}") {
            let of = |path: &str| Normal::of(&format!("https://h{path}"));
            if let (Some(left), Some(right)) = (of(&a), of(&b)) && !a.contains('%') && !b.contains('%') {
                prop_assert_eq!(left == right, a == b);
            }
        }
    }
}
