//! Strict JSON: an object in UTF-8, with no member twice at any depth, not deeper than [`MAX_DEPTH`], and with
//! nothing after it.
//!
//! RFC 8259 leaves duplicate members to the reader, and two readers that choose differently are an attack.

mod strict;

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;

use crate::Excerpt;
use strict::Strict;

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
    read::<IgnoredAny>(bytes).map(|_| ())
}

/// Decodes `bytes`, one strict JSON object, in one pass.
///
/// # Errors
/// The first fault of the document, or what `T` refuses in it.
pub fn from_slice<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, JsonError> {
    read(bytes).map_err(|refused| match refused {
        // `T` gave up before the end: what is wrong with the document itself counts more.
        JsonError::Shape { .. } => check_object(bytes).err().unwrap_or(refused),
        refused => refused,
    })
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, JsonError> {
    let start = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if start != Some(&b'{') {
        return Err(JsonError::NotAnObject);
    }
    match std::str::from_utf8(bytes) {
        // Checked once as a whole, and not string by string.
        Ok(text) => read_with(serde_json::Deserializer::from_str(text)),
        Err(_) => read_with(serde_json::Deserializer::from_slice(bytes)),
    }
}

fn read_with<'a, R: serde_json::de::Read<'a>, T: Deserialize<'a>>(
    mut lexer: serde_json::Deserializer<R>,
) -> Result<T, JsonError> {
    let fault = Cell::new(None);
    let read = T::deserialize(Strict::new(&mut lexer, &fault))
        .and_then(|value| lexer.end().map(|()| value));
    read.map_err(|error| fault.take().unwrap_or_else(|| from_serde(&error)))
}

/// The members of `bytes`, one strict JSON object.
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
                .flat_map(visible)
                .collect(),
        },
        Category::Io | Category::Syntax | Category::Eof => JsonError::Syntax {
            line: error.line(),
            column: error.column(),
        },
    }
}

/// serde escapes the values that it quotes, and not the names of fields and variants that it does not know: with a line
/// break in them they would write lines of their own into a log.
fn visible(character: char) -> impl Iterator<Item = char> {
    let quotes = matches!(character, '"' | '\'' | '\\').then_some(character);
    let others = quotes.is_none().then(|| character.escape_debug());
    quotes.into_iter().chain(others.into_iter().flatten())
}

#[cfg(test)]
mod tests;
