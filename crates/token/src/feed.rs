//! The revocation feed on the wire. What a statement means, and whom to believe, is the verifier's matter.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base64url;
use crate::json::{self, JsonError};
use crate::text::serde_as_text;
use crate::{IdError, UnixTime};

/// Media type in the header of a statement; no access token has it, and no statement that of an access token.
pub const TYP: &str = "dayfly-feed+jwt";

/// The instant that stands for "for ever": a tainted key stays tainted.
pub const FOREVER: UnixTime = UnixTime::MAX;

/// What an entry speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One credential, by its id.
    Credential,
    /// All of a task, `owner/task`.
    Task,
    /// All of a workload, `owner/workload`.
    Workload,
    /// All of an owner.
    Owner,
    /// All that a rule let in.
    Rule,
    /// All that a key signed, by its `kid`.
    Key,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Credential,
        Self::Task,
        Self::Workload,
        Self::Owner,
        Self::Rule,
        Self::Key,
    ];

    /// Its name on the wire, which also goes into the digest of an entry.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Task => "task",
            Self::Workload => "workload",
            Self::Owner => "owner",
            Self::Rule => "rule",
            Self::Key => "key",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The first 16 bytes of SHA-256(kind ‖ 0x00 ‖ value): names are not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix([u8; 16]);

impl Prefix {
    /// The prefix with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(self.0))
    }
}

impl FromStr for Prefix {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        base64url::decode_array(text)
            .map(Self)
            .map_err(|source| IdError::Encoding { source })
    }
}

serde_as_text!(Prefix);

/// One revocation: what has `prefix` and was issued at or before `before` is dead; `until` says how long that must be
/// remembered. On the wire `[prefix, before, until]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    from = "(Prefix, UnixTime, UnixTime)",
    into = "(Prefix, UnixTime, UnixTime)"
)]
pub struct Entry {
    /// What is revoked.
    pub prefix: Prefix,
    /// The last issuing instant that is dead.
    pub before: UnixTime,
    /// When the entry may be forgotten.
    pub until: UnixTime,
}

impl From<(Prefix, UnixTime, UnixTime)> for Entry {
    fn from((prefix, before, until): (Prefix, UnixTime, UnixTime)) -> Self {
        Self {
            prefix,
            before,
            until,
        }
    }
}

impl From<Entry> for (Prefix, UnixTime, UnixTime) {
    fn from(entry: Entry) -> Self {
        (entry.prefix, entry.before, entry.until)
    }
}

/// What one signed statement of the feed says. Not verified by being here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The issuer.
    pub iss: String,
    /// Names the store's history; ids of different epochs do not compare.
    pub epoch: String,
    /// The control entry after which this statement begins.
    pub from: String,
    /// The last control entry that it covers.
    pub to: String,
    /// When the signer last heard control.
    pub as_of: UnixTime,
    /// Until when the statement may be believed.
    pub exp: UnixTime,
    /// The revocations, in any order.
    pub entries: Vec<Entry>,
    /// The keys of the issuer have changed: fetch them again.
    #[serde(default)]
    pub keys_changed: bool,
    /// The statement is everything there is, and not only what is new.
    #[serde(default)]
    pub snapshot: bool,
}

impl Statement {
    /// Parses the payload of a statement, strictly.
    ///
    /// # Errors
    /// If it is not strict JSON of that form.
    pub fn parse(json: &[u8]) -> Result<Self, JsonError> {
        json::from_slice(json)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn bytes_on_the_wire() {
        let entry = Entry {
            prefix: Prefix::from_bytes([0; 16]),
            before: UnixTime::from_secs(7),
            until: FOREVER,
        };
        let json = r#"["AAAAAAAAAAAAAAAAAAAAAA",7,9007199254740991]"#;
        assert_eq!(serde_json::to_string(&entry).unwrap(), json);
        assert_eq!(serde_json::from_str::<Entry>(json).unwrap(), entry);
        for bad in [
            "[]",
            r#"["AAAAAAAAAAAAAAAAAAAAAA",7]"#,
            r#"["AAAAAAAAAAAAAAAAAAAAAA",7,8,9]"#,
            r#"["AAAAAAAAAAAAAAAAAAAAAB",7,8]"#,
            r#"["AAAA",7,8]"#,
            r#"["AAAAAAAAAAAAAAAAAAAAAA",7.0,8]"#,
            r#"["AAAAAAAAAAAAAAAAAAAAAA",null,8]"#,
            r#"{"prefix":"AAAAAAAAAAAAAAAAAAAAAA","before":7,"until":8}"#,
        ] {
            assert!(serde_json::from_str::<Entry>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn kinds() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
            assert_eq!(
                serde_json::from_str::<Kind>(&format!("\"{}\"", kind.as_str())).unwrap(),
                kind
            );
        }
        assert!(serde_json::from_str::<Kind>("\"Key\"").is_err());
    }

    #[test]
    fn statements() {
        let heartbeat =
            br#"{"iss":"i","epoch":"e","from":"1-0","to":"1-0","as_of":5,"exp":65,"entries":[]}"#;
        let statement = Statement::parse(heartbeat).unwrap();
        assert!(!statement.keys_changed && !statement.snapshot && statement.entries.is_empty());
        let json = serde_json::to_vec(&statement).unwrap();
        assert_eq!(Statement::parse(&json).unwrap(), statement);
        for bad in [
            r#"{"iss":"i","epoch":"e","from":"1-0","to":"1-0","as_of":5,"exp":65}"#,
            r#"{"iss":"i","epoch":"e","from":"1-0","to":"1-0","as_of":5,"exp":65,"entries":null}"#,
            r#"{"iss":"i","epoch":"e","from":"1-0","to":"1-0","as_of":5,"exp":65,"entries":[],"snapshot":null}"#,
            r#"{"iss":"i","epoch":"e","from":"1-0","to":"1-0","as_of":5,"as_of":6,"exp":65,"entries":[]}"#,
            r#"{"iss":"i","epoch":"e","from":"1-0","to":"1-0","as_of":"5","exp":65,"entries":[]}"#,
        ] {
            assert!(Statement::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
