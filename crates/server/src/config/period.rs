//! Spans of time as people write them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer};

/// A span of time, written as a whole number and one unit: `250ms`, `30s`, `5m`, `24h`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(Duration);

/// What is no span of time.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{text}` is no span of time; write a whole number and a unit, such as `250ms`, `30s`, `5m`, `24h` or `7d`"
)]
pub struct PeriodError {
    text: String,
}

/// More characters than any sensible span has.
const MAX_TEXT: usize = 16;

impl Period {
    /// A span of whole seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// A span of whole milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The span itself.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }

    /// The span in whole seconds, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0.as_secs()
    }

    /// The span in milliseconds; a span that long is a mistake anyway.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let refused = || PeriodError {
            text: text.chars().take(MAX_TEXT).collect(),
        };
        let at = text
            .find(|c: char| !c.is_ascii_digit())
            .ok_or_else(refused)?;
        let (digits, unit) = text.split_at_checked(at).ok_or_else(refused)?;
        let number: u64 = digits.parse().map_err(|_| refused())?;
        let millis_each = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 3600 * 1000,
            "d" => 24 * 3600 * 1000,
            _ => return Err(refused()),
        };
        number
            .checked_mul(millis_each)
            .map(Self::from_millis)
            .ok_or_else(refused)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.as_millis();
        let units = [
            (24 * 3600 * 1000, "d"),
            (3600 * 1000, "h"),
            (60 * 1000, "m"),
            (1000, "s"),
        ];
        let whole = units
            .iter()
            .find(|(each, _)| millis >= *each && millis.is_multiple_of(*each));
        match whole {
            Some((each, unit)) => write!(f, "{}{unit}", millis / each),
            None => write!(f, "{millis}ms"),
        }
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+(ms|s|m|h|d)$",
            "description": "A span of time: a whole number and one unit.",
            "examples": ["250ms", "30s", "5m", "24h", "7d"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_every_unit() {
        for (text, millis) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("5m", 300_000),
            ("24h", 86_400_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(
                text.parse::<Period>().unwrap().as_millis(),
                millis,
                "{text}"
            );
        }
        assert_eq!(Period::from_secs(90).to_string(), "90s");
        assert_eq!(Period::from_secs(3600).to_string(), "1h");
        assert_eq!(Period::from_millis(1500).to_string(), "1500ms");
    }

    #[test]
    fn refuses_what_is_ambiguous_or_overflows() {
        for text in [
            "",
            "5",
            "m",
            "-5s",
            "1.5h",
            "5 m",
            "5M",
            "5m30s",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }
}
