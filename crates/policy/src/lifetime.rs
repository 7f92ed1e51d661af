//! How long credentials live.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

/// Shortest life of a token in seconds: below it, clock differences eat the life up.
pub const MIN_TOKEN_SECS: u64 = 30;
/// Shortest life of a certificate in seconds: X.509 clients check the clock without leeway.
pub const MIN_CERTIFICATE_SECS: u64 = 60;
/// Longest life of anything in seconds: what expires within the hour needs no revocation list.
pub const MAX_LIFETIME_SECS: u64 = 60 * 60;
/// Life of a token where a grant says nothing, in seconds.
pub const DEFAULT_TOKEN_SECS: u64 = 5 * 60;
/// Life of a certificate where a workload says nothing, in seconds.
pub const DEFAULT_CERTIFICATE_SECS: u64 = 15 * 60;

/// A length of time in a file: a whole number and `s`, `m` or `h`, as in `"5m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lifetime(u64);

impl Lifetime {
    /// In seconds.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let factor = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return None,
        };
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        number.parse::<u64>().ok()?.checked_mul(factor).map(Self)
    }
}

impl<'de> Deserialize<'de> for Lifetime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(
                "not a length of time: write a whole number and `s`, `m` or `h`, as in \"5m\"",
            )
        })
    }
}

impl JsonSchema for Lifetime {
    fn schema_name() -> Cow<'static, str> {
        "Lifetime".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+[smh]$",
            "description": "A whole number and its unit: seconds, minutes or hours",
            "examples": ["5m"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (text, secs) in [("30s", 30), ("5m", 300), ("1h", 3600), ("007s", 7)] {
            assert_eq!(Lifetime::parse(text), Some(Lifetime(secs)), "{text}");
        }
        for bad in [
            "",
            "s",
            "5",
            "m5",
            "-5m",
            "+5m",
            "5 m",
            "5M",
            "1.5m",
            "5ms",
            "5é",
            "99999999999999999999s",
            "9999999999999999999h",
        ] {
            assert_eq!(Lifetime::parse(bad), None, "{bad}");
        }
    }
}
