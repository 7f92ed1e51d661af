use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// The claim `aud`: one string or an array of them (RFC 7519 section 4.1.3); never empty, no empty string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audiences(Values);

/// Two forms because nearly all tokens have one audience, and then no list is allocated.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Values {
    One(String),
    Several(Vec<String>),
}

impl Audiences {
    /// One audience.
    #[must_use]
    pub fn one(audience: impl Into<String>) -> Self {
        Self(Values::One(audience.into()))
    }

    /// Whether `audience` is among them, byte by byte.
    #[must_use]
    pub fn contains(&self, audience: &str) -> bool {
        self.iter().any(|one| one == audience)
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.values().iter().map(String::as_str)
    }

    /// The audience, if it is the only one.
    #[must_use]
    pub fn single(&self) -> Option<&str> {
        match self.values() {
            [one] => Some(one),
            _ => None,
        }
    }

    fn values(&self) -> &[String] {
        match &self.0 {
            Values::One(one) => std::slice::from_ref(one),
            Values::Several(several) => several,
        }
    }
}

impl From<&crate::AudienceId> for Audiences {
    fn from(audience: &crate::AudienceId) -> Self {
        Self::one(audience.as_str())
    }
}

impl Serialize for Audiences {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.values() {
            [one] => serializer.serialize_str(one),
            several => serializer.collect_seq(several),
        }
    }
}

impl<'de> Deserialize<'de> for Audiences {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StringOrStrings)
    }
}

struct StringOrStrings;

impl<'de> Visitor<'de> for StringOrStrings {
    type Value = Audiences;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an audience or a list of them")
    }

    fn visit_str<E: serde::de::Error>(self, audience: &str) -> Result<Audiences, E> {
        if audience.is_empty() {
            return Err(E::custom("an empty audience"));
        }
        Ok(Audiences::one(audience))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Audiences, A::Error> {
        let mut several = Vec::new();
        while let Some(audience) = elements.next_element::<String>()? {
            if audience.is_empty() {
                return Err(A::Error::custom("an empty audience"));
            }
            several.push(audience);
        }
        match several.len() {
            0 => Err(A::Error::custom("no audience")),
            // A list of one says the same as the string, and is equal to it.
            1 => Ok(Audiences::one(several.remove(0))),
            _ => Ok(Audiences(Values::Several(several))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn one_or_several() {
        let parse = |json: &str| serde_json::from_str::<Audiences>(json);
        let one = parse("\"a\"").unwrap();
        assert_eq!(
            (one.single(), one.contains("a"), one.contains("")),
            (Some("a"), true, false)
        );
        let listed = parse("[\"a\"]").unwrap();
        assert_eq!(listed, one);
        assert_eq!(
            (
                listed.single(),
                serde_json::to_string(&listed).unwrap().as_str()
            ),
            (Some("a"), "\"a\"")
        );
        let two = parse("[\"a\",\"b\"]").unwrap();
        assert_eq!((two.single(), two.iter().count()), (None, 2));
        assert_eq!(serde_json::to_string(&two).unwrap(), "[\"a\",\"b\"]");
        for bad in [
            "null",
            "\"\"",
            "[]",
            "[\"\"]",
            "[\"a\",\"\"]",
            "[null]",
            "[1]",
            "1",
            "{}",
            "[[\"a\"]]",
            "true",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
