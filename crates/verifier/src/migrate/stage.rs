//! The stages of a migration.

use std::fmt;

use dayfly_token::UnixTime;
use serde::{Deserialize, Serialize};

use super::moment;

/// How far an API is on its way from keys to tokens. No stage lets in a request that has neither a valid key nor a valid
/// token, each stage can follow any other at any time, and one request sees one stage.
///
/// Read from configuration as `"observe"`, `"accept_both"`, `{ keys_until = { deprecated_at = …, deadline = … } }` or
/// `"tokens_only"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Stage {
    /// Keys decide, as they always did: a request needs a valid key, and a token beside it is verified, counted and
    /// logged, and changes nothing. A token alone does not get in.
    Observe,
    /// A token decides where there is one, and a key where there is none.
    AcceptBoth,
    /// As [`Stage::AcceptBoth`], with a date: answers to keys say when keys end, in the headers `Deprecation` (RFC 9745)
    /// and `Sunset` (RFC 8594), each use of one is warned of in the log, and from the deadline on keys are refused.
    KeysUntil {
        /// When keys were, or will be, declared deprecated; not after the deadline (RFC 9745 section 4).
        #[serde(deserialize_with = "moment::deserialize")]
        deprecated_at: UnixTime,
        /// The first second in which keys are refused.
        #[serde(deserialize_with = "moment::deserialize")]
        deadline: UnixTime,
    },
    /// Tokens decide, and keys are refused; the log names those that still come.
    TokensOnly,
}

/// A stage that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("keys are to be deprecated at {deprecated_at}, after their deadline {deadline}")]
pub struct StageError {
    /// When keys were to be deprecated.
    pub deprecated_at: UnixTime,
    /// When keys were to be refused.
    pub deadline: UnixTime,
}

impl Stage {
    /// The name in configuration, logs and reports.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::AcceptBoth => "accept_both",
            Self::KeysUntil { .. } => "keys_until",
            Self::TokensOnly => "tokens_only",
        }
    }

    /// How far along.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::Observe => 0,
            Self::AcceptBoth => 1,
            Self::KeysUntil { .. } => 2,
            Self::TokensOnly => 3,
        }
    }

    /// RFC 9745 section 4: "The timestamp given in the Sunset header field MUST NOT be earlier than the one given in the
    /// Deprecation header field."
    pub(super) const fn check(&self) -> Result<(), StageError> {
        match *self {
            Self::KeysUntil {
                deprecated_at,
                deadline,
            } if deprecated_at.as_secs() > deadline.as_secs() => Err(StageError {
                deprecated_at,
                deadline,
            }),
            _ => Ok(()),
        }
    }

    /// The first second in which a key that ends at `until` is refused: the earlier of its own end and the stage's.
    pub(super) fn end_of(&self, until: Option<UnixTime>) -> Option<UnixTime> {
        match (self, until) {
            (Self::KeysUntil { deadline, .. }, Some(until)) => Some(until.min(*deadline)),
            (Self::KeysUntil { deadline, .. }, None) => Some(*deadline),
            (_, until) => until,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        match self {
            Self::KeysUntil { deadline, .. } => write!(f, " {}", moment::rfc3339(*deadline)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Config {
        stage: Stage,
    }

    #[test]
    fn stages_in_configuration() {
        let until = Stage::KeysUntil {
            deprecated_at: UnixTime::from_secs(1_803_859_200),
            deadline: UnixTime::from_secs(1_803_859_201),
        };
        for (text, stage) in [
            ("stage = \"observe\"", Stage::Observe),
            ("stage = \"accept_both\"", Stage::AcceptBoth),
            (
                "stage = { keys_until = { deprecated_at = 2027-03-01T00:00:00Z, deadline = 2027-03-01T00:00:01Z } }",
                until,
            ),
            ("stage = \"tokens_only\"", Stage::TokensOnly),
        ] {
            assert_eq!(
                toml::from_str::<Config>(text).unwrap().stage,
                stage,
                "{text}"
            );
            let json = serde_json::to_string(&stage).unwrap();
            assert_eq!(
                serde_json::from_str::<Stage>(&json).unwrap(),
                stage,
                "{json}"
            );
        }
        for text in [
            "stage = \"Observe\"",
            "stage = \"off\"",
            "stage = \"keys_until\"",
            "stage = { keys_until = { deadline = 2027-03-01T00:00:00Z } }",
            "stage = { keys_until = { deprecated_at = 1, deadline = 2, grace = 3 } }",
        ] {
            assert!(toml::from_str::<Config>(text).is_err(), "{text}");
        }
        assert_eq!(until.to_string(), "keys_until 2027-03-01T00:00:01Z");
    }

    #[test]
    fn the_end_is_not_before_the_announcement() {
        let until = |deprecated_at, deadline| Stage::KeysUntil {
            deprecated_at: UnixTime::from_secs(deprecated_at),
            deadline: UnixTime::from_secs(deadline),
        };
        assert!(until(5, 5).check().is_ok() && until(4, 5).check().is_ok());
        assert!(until(6, 5).check().is_err());
    }
}
