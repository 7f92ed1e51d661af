use std::fmt;
use std::str::FromStr;

use crate::text::{checked_text, serde_as_text};
use crate::{Excerpt, SpiffeId, TrustDomain};

/// Longest slug: that of a DNS label, so that a slug can become one.
const MAX_SLUG_BYTES: usize = 63;
/// Longest task name: room for an UUID, a date and a word, and short in every log line.
const MAX_TASK_NAME_BYTES: usize = 100;
/// Longest audience id: what an SVID's `aud` and most relying parties allow.
const MAX_AUDIENCE_BYTES: usize = 255;

/// Why a text is not the name that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Not an audience id.
    #[error(
        "`{input}` is not an audience: 1 to {MAX_AUDIENCE_BYTES} visible ASCII characters, no space, quote or backslash"
    )]
    AudienceId {
        /// The input.
        input: Excerpt,
    },
    /// Not a scope.
    #[error(
        "`{input}` is not a scope: 1 to {} visible ASCII characters, no space, quote or backslash",
        crate::scope::MAX_SCOPE_BYTES
    )]
    Scope {
        /// The input.
        input: Excerpt,
    },
    /// A scope twice in one list.
    #[error("scope `{scope}` is listed twice")]
    ScopeTwice {
        /// The scope.
        scope: Excerpt,
    },
    /// Not an owner's, workload's, rule's or environment's name.
    #[error(
        "`{input}` is not a name: 1 to {MAX_SLUG_BYTES} of a-z, 0-9 and hyphens, with a letter or digit at both ends"
    )]
    Slug {
        /// The input.
        input: Excerpt,
    },
    /// Not a task.
    #[error("`{input}` is not a task: `owner/task`")]
    TaskId {
        /// The input.
        input: Excerpt,
    },
    /// Not the name of a task.
    #[error(
        "`{input}` is not a task name: 1 to {MAX_TASK_NAME_BYTES} of letters, digits, dots, underscores and hyphens, and neither `.` nor `..`"
    )]
    TaskName {
        /// The input.
        input: Excerpt,
    },
    /// More scopes than allowed in one list.
    #[error("more than {} scopes", crate::scope::MAX_SCOPES)]
    TooManyScopes,
    /// Not a workload.
    #[error("`{input}` is not a workload: `owner/name`")]
    WorkloadId {
        /// The input.
        input: Excerpt,
    },
}

/// Name of an owner, workload, rule or environment: `[a-z0-9-]`, 1 to 63 of them, no hyphen at either end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slug(String);

checked_text!(Slug, NameError);

impl Slug {
    fn check(text: &str) -> Result<(), NameError> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let edges = !text.starts_with('-') && !text.ends_with('-');
        if text.is_empty() || text.len() > MAX_SLUG_BYTES || !edges || !text.bytes().all(allowed) {
            return Err(NameError::Slug {
                input: Excerpt::of(text),
            });
        }
        Ok(())
    }
}

/// Name of a task within its owner: `[A-Za-z0-9._-]`, 1 to 100 of them. `.` and `..` are refused, because the name
/// stands in URLs, and clients resolve those there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskName(String);

checked_text!(TaskName, NameError);

impl TaskName {
    fn check(text: &str) -> Result<(), NameError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let sized = !text.is_empty() && text.len() <= MAX_TASK_NAME_BYTES;
        if !sized || text == "." || text == ".." || !text.bytes().all(allowed) {
            return Err(NameError::TaskName {
                input: Excerpt::of(text),
            });
        }
        Ok(())
    }
}

/// Identifier of a registered API, as in `aud`: 1 to 255 visible ASCII characters, no space, quote or backslash.
/// Compared byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AudienceId(String);

checked_text!(AudienceId, NameError);

impl AudienceId {
    fn check(text: &str) -> Result<(), NameError> {
        if text.is_empty() || text.len() > MAX_AUDIENCE_BYTES || !text.bytes().all(is_quotable) {
            return Err(NameError::AudienceId {
                input: Excerpt::of(text),
            });
        }
        Ok(())
    }
}

/// `%x21 / %x23-5B / %x5D-7E` (RFC 6749 section 3.3): what can stand inside quotes in a challenge.
pub(crate) fn is_quotable(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'
}

/// A registered workload, `owner/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadId {
    /// Who answers for it.
    pub owner: Slug,
    /// Its name within the owner.
    pub name: Slug,
}

impl WorkloadId {
    /// Its SPIFFE ID in the issuer's trust domain: `spiffe://<trust domain>/<owner>/<name>`.
    #[must_use]
    pub fn spiffe_id(&self, trust_domain: &TrustDomain) -> SpiffeId {
        SpiffeId::of_workload(trust_domain, self)
    }

    /// Owner, and `owner/name`, of a subject that is the SPIFFE ID of a workload: what [`WorkloadId::from_spiffe_id`]
    /// would read, without a copy.
    #[must_use]
    pub fn named_in(subject: &str) -> Option<(&str, &str)> {
        let path = crate::spiffe::path_of(subject).ok()?;
        let workload = path.strip_prefix('/')?;
        let (owner, name) = workload.split_once('/')?;
        (Slug::check(owner).is_ok() && Slug::check(name).is_ok()).then_some((owner, workload))
    }

    /// The workload that a SPIFFE ID of the issuer's own trust domain names: exactly two segments. Which trust domain
    /// it is, the caller must have compared.
    ///
    /// # Errors
    /// If the path is another.
    pub fn from_spiffe_id(id: &SpiffeId) -> Result<Self, NameError> {
        let path = id.path();
        path.strip_prefix('/')
            .unwrap_or(path)
            .parse()
            .map_err(|_| NameError::WorkloadId {
                input: Excerpt::of(id.as_str()),
            })
    }
}

impl fmt::Display for WorkloadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

impl FromStr for WorkloadId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (owner, name) = text.split_once('/').ok_or_else(|| NameError::WorkloadId {
            input: Excerpt::of(text),
        })?;
        Ok(Self {
            owner: owner.parse()?,
            name: name.parse()?,
        })
    }
}

serde_as_text!(WorkloadId);

/// A task, `owner/task`: the claim `txn`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// Whose task it is.
    pub owner: Slug,
    /// Its name within the owner.
    pub name: TaskName,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

impl FromStr for TaskId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (owner, name) = text.split_once('/').ok_or_else(|| NameError::TaskId {
            input: Excerpt::of(text),
        })?;
        Ok(Self {
            owner: owner.parse()?,
            name: name.parse()?,
        })
    }
}

serde_as_text!(TaskId);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn slugs() {
        for good in ["a", "0", "payments", "a-b", "a--b", "0-0", &"a".repeat(63)] {
            assert_eq!(good.parse::<Slug>().unwrap(), good);
        }
        for bad in [
            "",
            "-",
            "-a",
            "a-",
            "A",
            "a_b",
            "a.b",
            "a/b",
            " a",
            "a ",
            "a\n",
            "é",
            "а",
            "*",
            "{{x}}",
            "a\0",
            &"a".repeat(64),
        ] {
            assert!(bad.parse::<Slug>().is_err(), "{bad:?}");
            assert!(Slug::try_from(bad.to_owned()).is_err(), "{bad:?}");
            assert!(
                serde_json::from_value::<Slug>(bad.into()).is_err(),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn task_names() {
        for good in ["deploy-4711", "A.b_c", "...", ".a", "-", &"x".repeat(100)] {
            assert!(good.parse::<TaskName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "a%2e",
            "é",
            "a\u{202e}",
            &"x".repeat(101),
        ] {
            assert!(bad.parse::<TaskName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn audiences() {
        for good in [
            "https://payments.internal",
            "orders",
            "!",
            "a,b",
            &"x".repeat(255),
        ] {
            assert!(good.parse::<AudienceId>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "a b",
            "a\"b",
            "a\\b",
            "a\tb",
            "é",
            "\u{7f}",
            &"x".repeat(256),
        ] {
            assert!(bad.parse::<AudienceId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn workloads_and_tasks() {
        let workload: WorkloadId = "payments/deploy".parse().unwrap();
        let domain: TrustDomain = "sts.example.org".parse().unwrap();
        let id = workload.spiffe_id(&domain);
        assert_eq!(id.as_str(), "spiffe://sts.example.org/payments/deploy");
        assert_eq!(id, id.as_str().parse().unwrap());
        assert_eq!(WorkloadId::from_spiffe_id(&id).unwrap(), workload);
        for path in [
            "",
            "/payments",
            "/payments/deploy/x",
            "/Payments/deploy",
            "/payments/de_ploy",
        ] {
            let id = SpiffeId::new(&domain, path).unwrap();
            assert!(WorkloadId::from_spiffe_id(&id).is_err(), "{path}");
        }
        for bad in ["", "/", "a", "a/", "/a", "a/b/c", "a//b", "/a/b", "a/b/"] {
            assert!(bad.parse::<WorkloadId>().is_err(), "{bad}");
            assert!(bad.parse::<TaskId>().is_err(), "{bad}");
        }
        let task: TaskId = "payments/deploy-4711".parse().unwrap();
        assert_eq!(task.to_string(), "payments/deploy-4711");
        assert_eq!(
            serde_json::to_string(&task).unwrap(),
            "\"payments/deploy-4711\""
        );
        assert!("payments/..".parse::<TaskId>().is_err());
    }

    #[test]
    fn maps_are_asked_by_text() {
        let map = std::collections::BTreeMap::from([("a".parse::<Slug>().unwrap(), 1)]);
        assert_eq!(map.get("a"), Some(&1));
    }
}
