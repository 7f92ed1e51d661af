//! The kinds of values in the files: with their place, and of several types.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A value with its place in the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub struct Located<T>(toml::Spanned<T>);

impl<T> Located<T> {
    /// Where it begins, in bytes.
    pub(crate) fn offset(&self) -> usize {
        self.0.span().start
    }
}

impl<T> Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref()
    }
}

impl<T: JsonSchema> JsonSchema for Located<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// What a claim is compared with.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum MatchValue {
    /// Exactly this string, or one more segment after it if it ends in `/*`.
    Text(String),
    /// Exactly this whole number.
    Integer(i64),
    /// Exactly this boolean.
    Flag(bool),
    /// Any of these strings.
    AnyOf(Vec<String>),
}

impl<'de> Deserialize<'de> for MatchValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MatchVisitor)
    }
}

struct MatchVisitor;

impl<'de> Visitor<'de> for MatchVisitor {
    type Value = MatchValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a list of strings, an integer or a boolean")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<MatchValue, E> {
        Ok(MatchValue::Text(text.to_owned()))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<MatchValue, E> {
        Ok(MatchValue::Integer(number))
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<MatchValue, E> {
        Ok(MatchValue::Flag(flag))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<MatchValue, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = items.next_element()? {
            texts.push(text);
        }
        Ok(MatchValue::AnyOf(texts))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<MatchValue, A::Error> {
        Err(A::Error::custom(
            "a nested table: put the name of a nested claim into quotes, as in \"kubernetes.io.namespace\"",
        ))
    }
}
