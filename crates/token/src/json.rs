//! Strict JSON: an object in UTF-8, with no member twice at any depth, not deeper than [`MAX_DEPTH`], and with
//! nothing after it.
//!
//! RFC 8259 leaves duplicate members to the reader, and two readers that choose differently are an attack.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
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
    /// A member by whose name `serde_json` would read its object as something else.
    #[error("member `{name}` has a reserved name")]
    ReservedMember {
        /// The member's name.
        name: Excerpt,
    },
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

/// Reads a struct from an object only: serde would take an array too, by the order of the fields.
///
/// # Errors
/// If it is no object, or not one of a `T`.
pub fn from_object<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_map(Object(PhantomData))
}

/// For `#[serde(default, deserialize_with)]` on an `Option`: absent is `None`, but a member that is there with `null`
/// is an error, where serde alone would read it as absent.
///
/// # Errors
/// If the member is no `T`.
pub fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// [`present`] for a struct, by [`from_object`].
///
/// # Errors
/// If the member is no object of a `T`.
pub fn present_object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    from_object(deserializer).map(Some)
}

struct Object<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members))
    }
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

/// Names that `serde_json` keeps for itself. With its feature `raw_value`, which any crate of a build can switch on
/// (axum does), an object with the member `…RawValue` is read as the JSON in that member's string: text that the walk
/// has not seen, with duplicates and depth of its own. With `arbitrary_precision` each number arrives as an object with
/// the member [`NUMBER`].
const RESERVED: &str = "$serde_json::private::";
const NUMBER: &str = "$serde_json::private::Number";

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
        let mut next = members.next_key_seed(Name)?;
        if next.as_deref() == Some(NUMBER) {
            return digits(members);
        }
        self.enter()?;
        let mut names = Names::default();
        while let Some(name) = next {
            if name.starts_with(RESERVED) {
                return Err(self.refuse(JsonError::ReservedMember {
                    name: Excerpt::of(&name),
                }));
            }
            if names.contains(&name) {
                return Err(self.refuse(JsonError::DuplicateMember {
                    name: Excerpt::of(&name),
                }));
            }
            names.insert(name);
            members.next_value_seed(self.inner())?;
            next = members.next_key_seed(Name)?;
        }
        Ok(())
    }
}

/// A number by its digits; an object that only looks like one has a number's text for its only value, and is harmless.
fn digits<'de, A: MapAccess<'de>>(mut members: A) -> Result<(), A::Error> {
    let number: Cow<'de, str> = members.next_value_seed(Name)?;
    let finite = number.parse().is_ok_and(f64::is_finite);
    if !finite || members.next_key_seed(Name)?.is_some() {
        return Err(A::Error::custom("number out of range"));
    }
    Ok(())
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
mod tests;
