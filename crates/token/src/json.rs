//! Strict JSON: an object in UTF-8, with no member twice at any depth, not deeper than [`MAX_DEPTH`], and with
//! nothing after it.
//!
//! RFC 8259 leaves duplicate members to the reader, and two readers that choose differently are an attack.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use crate::Excerpt;

/// Levels of objects and arrays. The claims use 6 (`dfy.src.claims` and nested actors); the rest is room for
/// authorization details, and far from what endangers a stack.
pub const MAX_DEPTH: usize = 16;

/// Why a document was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    Depth,
    /// A member twice in one object, escapes resolved.
    #[error("member `{name}` stands there twice")]
    DuplicateMember {
        /// The member's name.
        name: Excerpt,
    },
    /// The document is not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// Well-formed, but not what was expected.
    #[error("unexpected content: {reason}")]
    Shape {
        /// What was expected and what was found.
        reason: String,
    },
    /// Not JSON: bad syntax, bad UTF-8, a number out of range, or something after the end.
    #[error("not well-formed JSON at line {line} column {column}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
    },
}

/// Checks that `bytes` are one strict JSON object.
///
/// # Errors
/// The first fault that was met.
pub fn check_object(bytes: &[u8]) -> Result<(), JsonError> {
    let start = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if start != Some(&b'{') {
        return Err(JsonError::NotAnObject);
    }
    let mut fault = None;
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let walked = Walk {
        depth: 0,
        fault: &mut fault,
    }
    .deserialize(&mut deserializer)
    .and_then(|()| deserializer.end());
    match (fault, walked) {
        (Some(fault), _) => Err(fault),
        (None, Err(error)) => Err(from_serde(&error)),
        (None, Ok(())) => Ok(()),
    }
}

/// Checks `bytes` with [`check_object`], then decodes them.
///
/// # Errors
/// The first fault of the document, or what `T` refuses in it.
pub fn from_slice<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, JsonError> {
    check_object(bytes)?;
    serde_json::from_slice(bytes).map_err(|error| from_serde(&error))
}

/// Checks `bytes` with [`check_object`], and gives its members.
///
/// # Errors
/// The first fault of the document.
pub fn object(bytes: &[u8]) -> Result<serde_json::Map<String, serde_json::Value>, JsonError> {
    from_slice(bytes)
}

/// Characters of serde's own explanation that are kept: it quotes the refused value at full length.
const MAX_REASON_CHARACTERS: usize = 200;

fn from_serde(error: &serde_json::Error) -> JsonError {
    match error.classify() {
        Category::Data => JsonError::Shape {
            reason: error
                .to_string()
                .chars()
                .take(MAX_REASON_CHARACTERS)
                .collect(),
        },
        Category::Io | Category::Syntax | Category::Eof => JsonError::Syntax {
            line: error.line(),
            column: error.column(),
        },
    }
}

/// Visits every value, keeps none. The fault goes out by reference, because serde's own error carries text only.
struct Walk<'s> {
    depth: usize,
    fault: &'s mut Option<JsonError>,
}

impl Walk<'_> {
    fn refuse<E: serde::de::Error>(&mut self, fault: JsonError) -> E {
        *self.fault = Some(fault);
        E::custom("refused")
    }

    fn enter<E: serde::de::Error>(&mut self) -> Result<(), E> {
        if self.depth == MAX_DEPTH {
            return Err(self.refuse(JsonError::Depth));
        }
        self.depth += 1;
        Ok(())
    }

    fn inner(&mut self) -> Walk<'_> {
        Walk {
            depth: self.depth,
            fault: self.fault,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        if number.is_finite() {
            Ok(())
        } else {
            Err(E::custom("number out of range"))
        }
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        self.enter()?;
        while elements.next_element_seed(self.inner())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        self.enter()?;
        let mut names = Names::default();
        while let Some(name) = members.next_key_seed(Name)? {
            if names.contains(&name) {
                return Err(self.refuse(JsonError::DuplicateMember {
                    name: Excerpt::of(&name),
                }));
            }
            names.insert(name);
            members.next_value_seed(self.inner())?;
        }
        Ok(())
    }
}

/// A member's name with its escapes resolved; borrowed where it has none.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// Names compared one by one: fastest for the objects that occur, while a tree keeps the hostile ones cheap.
const FEW_NAMES: usize = 16;

#[derive(Default)]
struct Names<'de> {
    few: Vec<Cow<'de, str>>,
    many: BTreeSet<Cow<'de, str>>,
}

impl<'de> Names<'de> {
    fn contains(&self, name: &str) -> bool {
        self.few.iter().any(|known| known == name) || self.many.contains(name)
    }

    fn insert(&mut self, name: Cow<'de, str>) {
        if self.few.len() < FEW_NAMES {
            self.few.push(name);
        } else {
            self.many.insert(name);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn duplicate(name: &str) -> Result<(), JsonError> {
        Err(JsonError::DuplicateMember {
            name: Excerpt::of(name),
        })
    }

    #[test]
    fn duplicates_are_found_at_every_depth_and_under_escapes() {
        assert_eq!(
            check_object(br#"{"sub":1,"aud":2,"sub":1}"#),
            duplicate("sub")
        );
        assert_eq!(check_object(br#"{"sub":1,"\u0073ub":1}"#), duplicate("sub"));
        assert_eq!(
            check_object(br#"{"\u0073\u0075b":1,"s\u0075b":1}"#),
            duplicate("sub")
        );
        assert_eq!(
            check_object(br#"{"cnf":{"jkt":1,"jkt":2}}"#),
            duplicate("jkt")
        );
        assert_eq!(
            check_object(br#"{"a":[{"b":[{"c":1,"c":1}]}]}"#),
            duplicate("c")
        );
        assert_eq!(check_object(br#"{"":1,"":1}"#), duplicate(""));
        assert_eq!(
            check_object(br#"{"a":{"x":1},"b":{"x":1},"c":[{"x":1},{"x":1}]}"#),
            Ok(())
        );
        assert_eq!(
            check_object("{\"é\":1,\"e\u{301}\":2,\"E\":3,\"e\":4}".as_bytes()),
            Ok(())
        );
    }

    #[test]
    fn duplicates_are_found_among_many() {
        let mut members: Vec<String> = (0..10_000).map(|n| format!("\"m{n}\":{n}")).collect();
        assert_eq!(
            check_object(format!("{{{}}}", members.join(",")).as_bytes()),
            Ok(())
        );
        for twin in ["m3", "m15", "m16", "m9999"] {
            members.push(format!("\"{twin}\":0"));
            assert_eq!(
                check_object(format!("{{{}}}", members.join(",")).as_bytes()),
                duplicate(twin)
            );
            members.pop();
        }
    }

    #[test]
    fn depth_is_limited() {
        let nested = |levels: usize| {
            let inner = levels - 1;
            format!("{{\"a\":{}{}}}", "[".repeat(inner), "]".repeat(inner))
        };
        assert_eq!(check_object(nested(MAX_DEPTH).as_bytes()), Ok(()));
        assert_eq!(
            check_object(nested(MAX_DEPTH + 1).as_bytes()),
            Err(JsonError::Depth)
        );
        assert_eq!(
            check_object(nested(200_000).as_bytes()),
            Err(JsonError::Depth)
        );
        assert_eq!(
            check_object("{\"a\":".repeat(200_000).as_bytes()),
            Err(JsonError::Depth)
        );
    }

    #[test]
    fn only_one_object_in_utf8() {
        for other in ["", "  ", "[]", "null", "1", "\"{}\"", "[{}]", "\u{feff}{}"] {
            assert_eq!(
                check_object(other.as_bytes()),
                Err(JsonError::NotAnObject),
                "{other:?}"
            );
        }
        let utf16: Vec<u8> = "{\"a\":1}"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let refused: &[&[u8]] = &[
            b"{} {}",
            b"{}x",
            b"{},",
            b"{",
            b"{\"a\"}",
            b"{\"a\":1,}",
            b"{'a':1}",
            b"{a:1}",
            b"{}\0",
            b"{\"a\":01}",
            b"{\"a\":+1}",
            b"{\"a\":.5}",
            b"{\"a\":NaN}",
            b"{\"a\":Infinity}",
            b"{\"a\":1e400}",
            b"{\"a\":-1e400}",
            b"{\"a\":\"\xff\"}",
            b"{\"\xc3\":1}",
            b"{\"a\":\"\\ud800\"}",
            b"{\"a\":\"\n\"}",
            b"{\"a\":\"\x00\"}",
            b"{/**/}",
            &utf16,
        ];
        for document in refused {
            assert!(
                matches!(check_object(document), Err(JsonError::Syntax { .. })),
                "{:?}: {:?}",
                String::from_utf8_lossy(document),
                check_object(document)
            );
        }
        assert_eq!(
            check_object(b" \t\r\n{ \"a\" : [ 1 , -2.5e3 , true , null , \"\\u0000\" ] } \n"),
            Ok(())
        );
    }

    #[test]
    fn typed_decoding_is_strict_too() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Thing<'a> {
            name: &'a str,
        }
        assert_eq!(
            from_slice::<Thing<'_>>(br#"{"name":"x","other":1}"#).unwrap(),
            Thing { name: "x" }
        );
        assert!(matches!(
            from_slice::<Thing<'_>>(br#"{"name":"x","other":{"a":1,"a":1}}"#),
            Err(JsonError::DuplicateMember { .. })
        ));
        let long = format!("{{\"name\":[\"{}\"]}}", "x".repeat(100_000));
        let Err(JsonError::Shape { reason }) = from_slice::<Thing<'_>>(long.as_bytes()) else {
            unreachable!("a list is no name");
        };
        assert!(reason.chars().count() <= MAX_REASON_CHARACTERS);
        assert_eq!(object(br#"{"a":1}"#).unwrap().len(), 1);
    }
}
