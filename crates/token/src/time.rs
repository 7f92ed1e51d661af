use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// The largest whole number that every JSON reader keeps exactly (RFC 7493 section 2.2).
const MAX_SECS: u64 = (1 << 53) - 1;

/// An instant in whole seconds since 1970-01-01T00:00:00Z, without leap seconds (RFC 7519 `NumericDate`).
///
/// On the wire a JSON integer: a fraction, an exponent, a string, a negative number or anything past 2^53 − 1 is
/// refused. Arithmetic saturates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(u64);

impl UnixTime {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// The last instant, 2^53 − 1 seconds: it stands for "for ever".
    pub const MAX: Self = Self(MAX_SECS);

    /// `secs` seconds after 1970; what lies beyond [`UnixTime::MAX`] becomes that.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(if secs > MAX_SECS { MAX_SECS } else { secs })
    }

    /// Seconds since 1970.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// `secs` seconds later, at most [`UnixTime::MAX`].
    #[must_use]
    pub const fn saturating_add(self, secs: u64) -> Self {
        Self::from_secs(self.0.saturating_add(secs))
    }

    /// `secs` seconds earlier, at least 1970.
    #[must_use]
    pub const fn saturating_sub(self, secs: u64) -> Self {
        Self(self.0.saturating_sub(secs))
    }

    /// Seconds from `earlier` to here; 0 if `earlier` is later.
    #[must_use]
    pub const fn seconds_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The whole second of a clock's reading; before 1970 it is 1970, where every token is not yet valid.
impl From<SystemTime> for UnixTime {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_secs(since.as_secs())
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for UnixTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for UnixTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(Seconds)
    }
}

struct Seconds;

impl Visitor<'_> for Seconds {
    type Value = UnixTime;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("whole seconds since 1970")
    }

    fn visit_u64<E: serde::de::Error>(self, secs: u64) -> Result<UnixTime, E> {
        if secs > MAX_SECS {
            return Err(E::custom("an instant past 2^53 - 1 seconds"));
        }
        Ok(UnixTime(secs))
    }

    /// For formats whose integers are signed.
    fn visit_i64<E: serde::de::Error>(self, secs: i64) -> Result<UnixTime, E> {
        u64::try_from(secs)
            .map_err(|_| E::custom("an instant before 1970"))
            .and_then(|secs| self.visit_u64(secs))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let t = UnixTime::from_secs(100);
        assert_eq!(t.saturating_sub(101), UnixTime::EPOCH);
        assert_eq!(t.saturating_add(u64::MAX), UnixTime::MAX);
        assert_eq!(UnixTime::from_secs(u64::MAX), UnixTime::MAX);
        assert_eq!(t.seconds_since(UnixTime::MAX), 0);
        assert_eq!(UnixTime::MAX.seconds_since(t), MAX_SECS - 100);
    }

    #[test]
    fn a_clock_is_read_in_whole_seconds_and_never_before_1970() {
        use std::time::Duration;
        let at = |millis| UnixTime::from(UNIX_EPOCH + Duration::from_millis(millis));
        assert_eq!(at(1_999).as_secs(), 1);
        assert_eq!(at(2_000).as_secs(), 2);
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(UnixTime::from(before), UnixTime::EPOCH);
    }

    #[test]
    fn only_whole_seconds() {
        let parse = |text: &str| serde_json::from_str::<UnixTime>(text);
        assert_eq!(parse("1793700000").unwrap().as_secs(), 1_793_700_000);
        assert_eq!(parse("9007199254740991").unwrap(), UnixTime::MAX);
        for refused in [
            "1.0",
            "1.5",
            "1e3",
            "1E0",
            "-1",
            "-0",
            "\"1\"",
            "null",
            "true",
            "[1]",
            "{}",
            "9007199254740992",
            "18446744073709551615",
            "18446744073709551616",
            "1e400",
            "99999999999999999999999999",
        ] {
            assert!(parse(refused).is_err(), "{refused}");
        }
        assert_eq!(serde_json::to_string(&UnixTime::from_secs(7)).unwrap(), "7");
    }
}
