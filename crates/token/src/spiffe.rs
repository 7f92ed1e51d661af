use std::fmt;
use std::str::FromStr;

use crate::text::{checked_text, serde_as_text};
use crate::{Excerpt, WorkloadId};

/// Longest SPIFFE ID (SPIFFE-ID section 2.3).
pub const MAX_SPIFFE_ID_BYTES: usize = 2048;
/// Longest trust domain name (SPIFFE-ID section 2.3).
pub const MAX_TRUST_DOMAIN_BYTES: usize = 255;

const SCHEME: &str = "spiffe://";

/// Why a text is not a SPIFFE ID or a trust domain name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpiffeIdError {
    /// A path segment is empty (this includes a slash at the end), `.` or `..`, or leaves `[A-Za-z0-9._-]`.
    #[error("`{segment}` is not a path segment of a SPIFFE ID")]
    Segment {
        /// The segment.
        segment: Excerpt,
    },
    /// Not `spiffe://…`, in lower case.
    #[error("`{input}` does not begin with `spiffe://`")]
    Scheme {
        /// The input.
        input: Excerpt,
    },
    /// Longer than allowed.
    #[error("{length} bytes, more than {limit}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The trust domain name is empty or leaves `[a-z0-9._-]`.
    #[error("`{input}` is not a trust domain name")]
    TrustDomain {
        /// What stands in its place.
        input: Excerpt,
    },
}

/// The name of a SPIFFE trust domain: 1 to 255 of `[a-z0-9._-]`. It is a name, never a DNS name or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(String);

checked_text!(TrustDomain, SpiffeIdError);

impl TrustDomain {
    fn check(text: &str) -> Result<(), SpiffeIdError> {
        if text.len() > MAX_TRUST_DOMAIN_BYTES {
            return Err(SpiffeIdError::TooLong {
                length: text.len(),
                limit: MAX_TRUST_DOMAIN_BYTES,
            });
        }
        // SPIFFE-ID section 2.1: the trust domain MUST be lower case. Another spelling is refused, not folded:
        // two readers that fold differently would see two identities.
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        if text.is_empty() || !text.bytes().all(allowed) {
            return Err(SpiffeIdError::TrustDomain {
                input: Excerpt::of(text),
            });
        }
        Ok(())
    }
}

/// A SPIFFE ID (SPIFFE-ID section 2), parsed strictly: no escapes, no port, no query, no dot segments.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    trust_domain: TrustDomain,
    text: String,
}

impl SpiffeId {
    /// The ID with `path` in `trust_domain`; `path` is empty or begins with a slash.
    ///
    /// # Errors
    /// If `path` has a segment that no SPIFFE ID has, or the whole is too long.
    pub fn new(trust_domain: &TrustDomain, path: &str) -> Result<Self, SpiffeIdError> {
        check_path(path)?;
        let text = format!("{SCHEME}{trust_domain}{path}");
        check_length(&text)?;
        Ok(Self {
            trust_domain: trust_domain.clone(),
            text,
        })
    }

    /// Needs no check: two slugs are segments, and with the longest trust domain they stay under the limit.
    pub(crate) fn of_workload(trust_domain: &TrustDomain, workload: &WorkloadId) -> Self {
        let text = format!("{SCHEME}{trust_domain}/{workload}");
        Self {
            trust_domain: trust_domain.clone(),
            text,
        }
    }

    /// Who answers for the identity.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The path, with its leading slash; empty for the trust domain itself.
    #[must_use]
    pub fn path(&self) -> &str {
        self.text
            .get(SCHEME.len() + self.trust_domain.0.len()..)
            .unwrap_or_default()
    }

    /// The segments of the path.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.path().split('/').skip(1)
    }

    /// The whole ID.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for SpiffeId {
    type Err = SpiffeIdError;

    fn from_str(text: &str) -> Result<Self, SpiffeIdError> {
        let (trust_domain, _) = split(text)?;
        Ok(Self {
            trust_domain: TrustDomain(trust_domain.to_owned()),
            text: text.to_owned(),
        })
    }
}

/// Trust domain and path of a text that is a SPIFFE ID.
fn split(text: &str) -> Result<(&str, &str), SpiffeIdError> {
    check_length(text)?;
    let rest = text
        .strip_prefix(SCHEME)
        .ok_or_else(|| SpiffeIdError::Scheme {
            input: Excerpt::of(text),
        })?;
    let (trust_domain, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    TrustDomain::check(trust_domain)?;
    check_path(path)?;
    Ok((trust_domain, path))
}

/// The path of a text that is a SPIFFE ID.
pub(crate) fn path_of(text: &str) -> Result<&str, SpiffeIdError> {
    split(text).map(|(_, path)| path)
}

impl TryFrom<String> for SpiffeId {
    type Error = SpiffeIdError;

    fn try_from(text: String) -> Result<Self, SpiffeIdError> {
        text.parse()
    }
}

impl TryFrom<&str> for SpiffeId {
    type Error = SpiffeIdError;

    fn try_from(text: &str) -> Result<Self, SpiffeIdError> {
        text.parse()
    }
}

impl AsRef<str> for SpiffeId {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpiffeId({})", self.text)
    }
}

serde_as_text!(SpiffeId);

fn check_length(text: &str) -> Result<(), SpiffeIdError> {
    if text.len() > MAX_SPIFFE_ID_BYTES {
        return Err(SpiffeIdError::TooLong {
            length: text.len(),
            limit: MAX_SPIFFE_ID_BYTES,
        });
    }
    Ok(())
}

/// SPIFFE-ID section 2.2: segments of `[A-Za-z0-9._-]`, none empty or a dot segment, no slash at the end.
fn check_path(path: &str) -> Result<(), SpiffeIdError> {
    if path.is_empty() {
        return Ok(());
    }
    let refused = |segment: &str| SpiffeIdError::Segment {
        segment: Excerpt::of(segment),
    };
    let segments = path.strip_prefix('/').ok_or_else(|| refused(path))?;
    for segment in segments.split('/') {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if segment.is_empty() || segment == "." || segment == ".." || !segment.bytes().all(allowed)
        {
            return Err(refused(segment));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn parts() {
        let id: SpiffeId = "spiffe://prod.example.org/payments/deploy".parse().unwrap();
        assert_eq!(id.trust_domain(), &"prod.example.org");
        assert_eq!(id.path(), "/payments/deploy");
        assert_eq!(id.segments().collect::<Vec<_>>(), ["payments", "deploy"]);
        assert_eq!(
            id,
            SpiffeId::new(id.trust_domain(), "/payments/deploy").unwrap()
        );
        let root = SpiffeId::new(id.trust_domain(), "").unwrap();
        assert_eq!((root.path(), root.segments().count()), ("", 0));
    }

    #[test]
    fn building_is_as_strict_as_parsing() {
        let domain: TrustDomain = "td".parse().unwrap();
        for path in [
            "/", "//a", "/a/", "/a//b", "/.", "/..", "/a/../b", "/%61", "/a b", "/é", "/a?b",
            "/a#b",
        ] {
            assert!(SpiffeId::new(&domain, path).is_err(), "{path}");
            assert!(
                format!("spiffe://td{path}").parse::<SpiffeId>().is_err(),
                "{path}"
            );
        }
        assert!(SpiffeId::new(&domain, "a").is_err());
        let long = format!("/{}", "a".repeat(MAX_SPIFFE_ID_BYTES));
        assert!(matches!(
            SpiffeId::new(&domain, &long),
            Err(SpiffeIdError::TooLong { .. })
        ));
    }

    #[test]
    fn serde_goes_through_the_parser() {
        assert!(serde_json::from_str::<SpiffeId>("\"spiffe://td/a\"").is_ok());
        assert!(serde_json::from_str::<SpiffeId>("\"spiffe://td/a/\"").is_err());
        assert!(serde_json::from_str::<TrustDomain>("\"TD\"").is_err());
    }
}
