//! Strict reading of `application/x-www-form-urlencoded` bodies (RFC 6749 section 3.2).

use std::collections::HashMap;

use http::{HeaderMap, header};

/// The largest body of a form: four assertions of the longest kind.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;

/// More parameters than the longest sensible request has, with room for unknown ones.
const MAX_PARAMETERS: usize = 64;

/// The longest value of any parameter but the tokens and the request for a certificate: room for
/// `authorization_details`.
const MAX_VALUE_BYTES: usize = 16 * 1024;

/// A parameter that a form may have. What is not named is ignored (RFC 6749 section 3.2).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) repeats: bool,
}

impl Parameter {
    pub(crate) const fn once(name: &'static str) -> Self {
        Self {
            name,
            repeats: false,
        }
    }

    pub(crate) const fn repeated(name: &'static str) -> Self {
        Self {
            name,
            repeats: true,
        }
    }
}

/// The known parameters of a form with their values, none of them empty.
pub(crate) struct Form {
    values: HashMap<&'static str, Vec<String>>,
}

/// Why a form is refused. The text is for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormError {
    #[error("the content type must be application/x-www-form-urlencoded")]
    ContentType,
    #[error("the body is not a form in UTF-8")]
    Malformed,
    #[error("the parameter {0} is missing")]
    Missing(&'static str),
    #[error("the parameter {0} may be given once")]
    Repeated(&'static str),
    #[error("the parameter {0} is too long")]
    TooLong(&'static str),
    #[error("the form has too many parameters")]
    TooMany,
}

impl Form {
    /// Reads a form whose parameters are `known`, in groups.
    pub(crate) fn read(
        headers: &HeaderMap,
        body: &[u8],
        known: &[&[Parameter]],
    ) -> Result<Self, FormError> {
        content_type(headers)?;
        let text = std::str::from_utf8(body).map_err(|_| FormError::Malformed)?;
        let mut values: HashMap<&'static str, Vec<String>> = HashMap::new();
        for (n, pair) in text.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            if n >= MAX_PARAMETERS {
                return Err(FormError::TooMany);
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name)?;
            let value = decode(value)?;
            let mut all = known.iter().copied().flatten();
            let Some(parameter) = all.find(|parameter| parameter.name == name) else {
                continue;
            };
            if value.len() > MAX_VALUE_BYTES {
                return Err(FormError::TooLong(parameter.name));
            }
            let seen = values.entry(parameter.name).or_default();
            // A second one is refused even if one of the two is empty: which one counts must not
            // depend on the reader.
            if !seen.is_empty() && !parameter.repeats {
                return Err(FormError::Repeated(parameter.name));
            }
            seen.push(value);
        }
        // RFC 6749 section 3.2: a parameter without a value is as if it were omitted.
        for seen in values.values_mut() {
            seen.retain(|value| !value.is_empty());
        }
        values.retain(|_, seen| !seen.is_empty());
        Ok(Self { values })
    }

    /// A parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .and_then(|values| values.first())
            .map(String::as_str)
    }

    /// Whether a parameter is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// A parameter that must be there.
    pub(crate) fn require(&self, name: &'static str) -> Result<&str, FormError> {
        self.get(name).ok_or(FormError::Missing(name))
    }

    /// All values of a parameter that may repeat.
    pub(crate) fn all(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }
}

fn content_type(headers: &HeaderMap) -> Result<(), FormError> {
    let mut found = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (found.next(), found.next()) else {
        return Err(FormError::ContentType);
    };
    let text = value.to_str().map_err(|_| FormError::ContentType)?;
    let (kind, parameters) = text.split_once(';').unwrap_or((text, ""));
    if !kind
        .trim()
        .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    {
        return Err(FormError::ContentType);
    }
    let parameters = parameters.trim();
    if parameters.is_empty() || parameters.eq_ignore_ascii_case("charset=utf-8") {
        return Ok(());
    }
    Err(FormError::ContentType)
}

/// Percent-decoding that refuses what it does not understand: an incomplete escape, bytes that
/// are not UTF-8, and control characters, which no parameter needs and logs would suffer from.
fn decode(text: &str) -> Result<String, FormError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex(rest.next())? << 4 | hex(rest.next())?,
            other => other,
        });
    }
    let decoded = String::from_utf8(bytes).map_err(|_| FormError::Malformed)?;
    if decoded.chars().any(char::is_control) {
        return Err(FormError::Malformed);
    }
    Ok(decoded)
}

fn hex(byte: Option<u8>) -> Result<u8, FormError> {
    match byte {
        Some(digit @ b'0'..=b'9') => Ok(digit - b'0'),
        Some(digit @ b'a'..=b'f') => Ok(digit - b'a' + 10),
        Some(digit @ b'A'..=b'F') => Ok(digit - b'A' + 10),
        _ => Err(FormError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const KNOWN: &[&[Parameter]] = &[
        &[Parameter::once("grant_type"), Parameter::once("scope")],
        &[Parameter::repeated("dns_name")],
    ];

    fn headers(content_type: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers
    }

    fn read(body: &str) -> Result<Form, FormError> {
        Form::read(
            &headers("application/x-www-form-urlencoded"),
            body.as_bytes(),
            KNOWN,
        )
    }

    #[test]
    fn reads_escapes_and_ignores_what_it_does_not_know() {
        let form = read("grant_type=a%3Ab+c&unknown=1&unknown=2&dns_name=x&dns_name=y&").unwrap();
        assert_eq!(form.get("grant_type"), Some("a:b c"));
        assert_eq!(form.all("dns_name"), ["x", "y"]);
        assert_eq!(form.get("scope"), None);
        assert_eq!(form.require("scope"), Err(FormError::Missing("scope")));
    }

    #[test]
    fn a_known_parameter_twice_is_refused_however_it_is_written() {
        for body in [
            "scope=a&scope=b",
            "scope=a&scope=a",
            "scope=a&sc%6fpe=b",
            "scope=&scope=a",
            "scope=a&scope",
        ] {
            assert_eq!(
                read(body).err(),
                Some(FormError::Repeated("scope")),
                "{body}"
            );
        }
    }

    #[test]
    fn an_empty_value_is_as_if_it_were_not_there() {
        let form = read("scope=&grant_type").unwrap();
        assert!(!form.has("scope") && !form.has("grant_type"));
    }

    #[test]
    fn refuses_what_is_not_clean_text() {
        for body in [
            "scope=%",
            "scope=%4",
            "scope=%zz",
            "scope=%ff",
            "scope=a%00b",
            "scope=a%0ab",
            "sc%0dope=a",
        ] {
            assert_eq!(read(body).err(), Some(FormError::Malformed), "{body}");
        }
        let invalid = Form::read(
            &headers("application/x-www-form-urlencoded"),
            b"scope=\xff",
            KNOWN,
        );
        assert_eq!(invalid.err(), Some(FormError::Malformed));
    }

    #[test]
    fn refuses_other_content_types_and_none() {
        for kind in [
            "application/json",
            "text/plain",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded; charset=latin1",
            "application/x-www-form-urlencodedx",
        ] {
            let read = Form::read(&headers(kind), b"scope=a", KNOWN);
            assert_eq!(read.err(), Some(FormError::ContentType), "{kind}");
        }
        assert_eq!(
            Form::read(&HeaderMap::new(), b"scope=a", KNOWN).err(),
            Some(FormError::ContentType)
        );
        for kind in [
            "application/x-www-form-urlencoded;charset=UTF-8",
            "Application/X-WWW-Form-Urlencoded",
        ] {
            assert!(
                Form::read(&headers(kind), b"scope=a", KNOWN).is_ok(),
                "{kind}"
            );
        }
        let mut twice = headers("application/x-www-form-urlencoded");
        twice.append(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        assert_eq!(
            Form::read(&twice, b"", KNOWN).err(),
            Some(FormError::ContentType)
        );
    }

    #[test]
    fn numbers_and_lengths_are_bounded() {
        let many = "x=1&".repeat(MAX_PARAMETERS + 1);
        assert_eq!(read(&many).err(), Some(FormError::TooMany));
        let long = format!("scope={}", "a".repeat(MAX_VALUE_BYTES + 1));
        assert_eq!(read(&long).err(), Some(FormError::TooLong("scope")));
    }
}
