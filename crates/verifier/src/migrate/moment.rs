//! Instants as people write them in files, and as HTTP writes them in headers.

use std::fmt;

use dayfly_token::UnixTime;
use serde::Deserialize as _;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The last second of the year 9999, past which neither RFC 3339 nor HTTP can write a date.
const LAST_SECS: u64 = 253_402_300_799;

/// Reads an instant: RFC 3339 text, a TOML date with an offset, or whole seconds since 1970.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<UnixTime, D::Error> {
    deserializer.deserialize_any(Instant)
}

/// [`deserialize`] for a member that may be left out.
pub(super) fn optional<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<UnixTime>, D::Error> {
    deserialize(deserializer).map(Some)
}

struct Instant;

impl<'de> Visitor<'de> for Instant {
    type Value = UnixTime;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an instant, as in `2027-03-01T00:00:00Z`, or whole seconds since 1970")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<UnixTime, E> {
        let parsed = OffsetDateTime::parse(text, &Rfc3339).ok();
        parsed
            .filter(|instant| instant.nanosecond() == 0)
            .and_then(|instant| u64::try_from(instant.unix_timestamp()).ok())
            .map(UnixTime::from_secs)
            .ok_or_else(|| {
                E::custom(
                    "not an instant such as `2027-03-01T00:00:00Z`, in whole seconds after 1970",
                )
            })
    }

    fn visit_u64<E: Error>(self, secs: u64) -> Result<UnixTime, E> {
        Ok(UnixTime::from_secs(secs))
    }

    fn visit_i64<E: Error>(self, secs: i64) -> Result<UnixTime, E> {
        let secs = u64::try_from(secs).map_err(|_| E::custom("an instant before 1970"))?;
        Ok(UnixTime::from_secs(secs))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<UnixTime, A::Error> {
        let date = toml::value::Datetime::deserialize(MapAccessDeserializer::new(map))?;
        self.visit_str(&date.to_string())
    }
}

/// `2027-03-01T00:00:00Z`.
pub(super) fn rfc3339(instant: UnixTime) -> String {
    date_of(instant).format(&Rfc3339).unwrap_or_default()
}

/// `Mon, 01 Mar 2027 00:00:00 GMT` (RFC 9110 section 5.6.7).
pub(super) fn http_date(instant: UnixTime) -> String {
    let date = date_of(instant);
    let (weekday, month) = (date.weekday().to_string(), date.month().to_string());
    let (hour, minute, second) = date.to_hms();
    format!(
        "{weekday:.3}, {day:02} {month:.3} {year:04} {hour:02}:{minute:02}:{second:02} GMT",
        day = date.day(),
        year = date.year(),
    )
}

fn date_of(instant: UnixTime) -> OffsetDateTime {
    i64::try_from(instant.as_secs().min(LAST_SECS))
        .ok()
        .and_then(|secs| OffsetDateTime::from_unix_timestamp(secs).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Dated {
        #[serde(deserialize_with = "deserialize")]
        at: UnixTime,
    }

    #[test]
    fn dates_are_read() {
        for text in [
            "at = 2027-03-01T00:00:00Z",
            "at = 2027-03-01T02:00:00+02:00",
            "at = \"2027-03-01T00:00:00Z\"",
            "at = 1803859200",
        ] {
            let dated: Dated = toml::from_str(text).unwrap();
            assert_eq!(dated.at, UnixTime::from_secs(1_803_859_200), "{text}");
        }
        // A date without an offset is a different instant in each place.
        for text in [
            "at = 2027-03-01T00:00:00",
            "at = 2027-03-01",
            "at = 2027-03-01T00:00:00.5Z",
            "at = \"soon\"",
            "at = 1969-12-31T23:59:59Z",
            "at = -1",
            "at = 1.5",
            "at = true",
            "at = {}",
        ] {
            assert!(toml::from_str::<Dated>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn dates_are_written() {
        // RFC 9110 section 5.6.7.
        let example = UnixTime::from_secs(784_111_777);
        assert_eq!(http_date(example), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(rfc3339(example), "1994-11-06T08:49:37Z");
        assert_eq!(http_date(UnixTime::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
