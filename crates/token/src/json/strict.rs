//! `serde_json` reads, and every object, array and number that it brings passes here on its way to the type that is
//! read: one pass, with nothing left out, unknown members included.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, CowStrDeserializer, StrDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::{JsonError, MAX_DEPTH};
use crate::Excerpt;

/// Names that `serde_json` keeps for itself. With its feature `raw_value`, which any crate of a build can switch on
/// (axum does), an object with the member `…RawValue` is read as the JSON in that member's string: text that was not
/// checked, with duplicates and depth of its own. With `arbitrary_precision` each number arrives as an object with
/// the member [`NUMBER`].
const RESERVED: &str = "$serde_json::private::";
const NUMBER: &str = "$serde_json::private::Number";

/// Where a fault is left: serde's own error carries text only.
type Fault = Cell<Option<JsonError>>;

/// A deserializer, a visitor, or the members of an object, at some depth.
pub(super) struct Strict<'f, T> {
    inner: T,
    depth: usize,
    fault: &'f Fault,
}

impl<'f, T> Strict<'f, T> {
    pub(super) const fn new(inner: T, fault: &'f Fault) -> Self {
        Self {
            inner,
            depth: 0,
            fault,
        }
    }

    /// The same place of the document, for something else.
    const fn with<U>(&self, inner: U) -> Strict<'f, U> {
        Strict {
            inner,
            depth: self.depth,
            fault: self.fault,
        }
    }

    fn enter<E: Error>(&mut self) -> Result<(), E> {
        if self.depth == MAX_DEPTH {
            return Err(refuse(self.fault, JsonError::Depth));
        }
        self.depth += 1;
        Ok(())
    }
}

fn refuse<E: Error>(fault: &Fault, what: JsonError) -> E {
    fault.set(Some(what));
    E::custom("refused")
}

/// Hands on what is asked for, with a visitor that stays strict.
macro_rules! hand_on {
    ($($method:ident($($argument:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            let visitor = self.with(visitor);
            self.inner.$method($($argument,)* visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<'_, D> {
    type Error = D::Error;

    hand_on! {
        deserialize_any() deserialize_bool() deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64()
        deserialize_i128() deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64() deserialize_char() deserialize_str() deserialize_string()
        deserialize_bytes() deserialize_byte_buf() deserialize_option() deserialize_unit()
        deserialize_unit_struct(name: &'static str) deserialize_newtype_struct(name: &'static str) deserialize_seq()
        deserialize_tuple(len: usize) deserialize_tuple_struct(name: &'static str, len: usize) deserialize_map()
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) deserialize_identifier()
    }

    /// What nobody wants to keep is looked at all the same: `serde_json` would skip it.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.deserialize_any(IgnoredAny)?;
        visitor.visit_unit()
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// Hands a value on as it is.
macro_rules! let_through {
    ($($method:ident($type:ty))*) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Strict<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    let_through! {
        visit_bool(bool) visit_i64(i64) visit_i128(i128) visit_u64(u64) visit_u128(u128) visit_char(char)
        visit_str(&str) visit_borrowed_str(&'de str) visit_string(String) visit_bytes(&[u8])
        visit_borrowed_bytes(&'de [u8]) visit_byte_buf(Vec<u8>)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<V::Value, E> {
        if number.is_finite() {
            self.inner.visit_f64(number)
        } else {
            Err(E::custom("number out of range"))
        }
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        let value = self.with(value);
        self.inner.visit_some(value)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        let value = self.with(value);
        self.inner.visit_newtype_struct(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, elements: A) -> Result<V::Value, A::Error> {
        self.enter()?;
        let elements = self.with(elements);
        self.inner.visit_seq(elements)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<V::Value, A::Error> {
        let members = Members {
            place: self.with(members),
            names: Names::default(),
            read: Read::Nothing,
        };
        self.inner.visit_map(members)
    }

    fn visit_enum<A: EnumAccess<'de>>(mut self, variant: A) -> Result<V::Value, A::Error> {
        self.enter()?;
        let variant = self.with(variant);
        self.inner.visit_enum(variant)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        let deserializer = self.with(deserializer);
        self.inner.deserialize(deserializer)
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Strict<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let seed = self.with(seed);
        self.inner.next_element_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, 'f, A: EnumAccess<'de>> EnumAccess<'de> for Strict<'f, A> {
    type Error = A::Error;
    type Variant = Strict<'f, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let Self {
            inner,
            depth,
            fault,
        } = self;
        let (name, inner) = inner.variant_seed(seed)?;
        Ok((
            name,
            Strict {
                inner,
                depth,
                fault,
            },
        ))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Strict<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.with(seed);
        self.inner.newtype_variant_seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let visitor = self.with(visitor);
        self.inner.tuple_variant(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = self.with(visitor);
        self.inner.struct_variant(fields, visitor)
    }
}

/// The members of one object.
struct Members<'de, 'f, A> {
    place: Strict<'f, A>,
    names: Names<'de>,
    read: Read,
}

/// What was read of them so far.
#[derive(PartialEq)]
enum Read {
    Nothing,
    Names,
    /// The name that says that this is no object but a number, by its digits.
    Number,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<'de, '_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let name = self.place.inner.next_key_seed(Name)?;
        if self.read == Read::Number && name.is_some() {
            return Err(A::Error::custom("number out of range"));
        }
        if self.read == Read::Nothing {
            if name.as_deref() == Some(NUMBER) {
                self.read = Read::Number;
                return seed
                    .deserialize(BorrowedStrDeserializer::new(NUMBER))
                    .map(Some);
            }
            self.place.enter()?;
            self.read = Read::Names;
        }
        let Some(name) = name else {
            return Ok(None);
        };
        if name.starts_with(RESERVED) {
            let name = Excerpt::of(&name);
            return Err(refuse(self.place.fault, JsonError::ReservedMember { name }));
        }
        let key = match &name {
            Cow::Borrowed(name) => seed.deserialize(BorrowedStrDeserializer::new(name))?,
            Cow::Owned(name) => seed.deserialize(StrDeserializer::new(name))?,
        };
        if let Err(twin) = self.names.insert(name) {
            let name = Excerpt::of(&twin);
            return Err(refuse(
                self.place.fault,
                JsonError::DuplicateMember { name },
            ));
        }
        Ok(Some(key))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        if self.read == Read::Number {
            let digits = self.place.inner.next_value_seed(Name)?;
            return if digits.parse().is_ok_and(f64::is_finite) {
                seed.deserialize(CowStrDeserializer::new(digits))
            } else {
                Err(A::Error::custom("number out of range"))
            };
        }
        let seed = self.place.with(seed);
        self.place.inner.next_value_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.place.inner.size_hint()
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
    /// A bit for each name: while its bit is free, a name is new, and nothing needs to be compared.
    seen: u64,
    few: Vec<Cow<'de, str>>,
    many: BTreeSet<Cow<'de, str>>,
}

impl<'de> Names<'de> {
    /// Takes a name up, or gives it back if it is there already.
    fn insert(&mut self, name: Cow<'de, str>) -> Result<(), Cow<'de, str>> {
        let bit = bit_of(&name);
        let known = self.seen & bit != 0 && (self.few.contains(&name) || self.many.contains(&name));
        if known {
            return Err(name);
        }
        self.seen |= bit;
        if self.few.len() < FEW_NAMES {
            self.few.push(name);
        } else {
            self.many.insert(name);
        }
        Ok(())
    }
}

/// One of 64 bits, by length and both ends: different for nearly all names that stand together in a claim set.
fn bit_of(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let end = |byte: Option<&u8>| u32::from(byte.copied().unwrap_or_default());
    let length = u32::try_from(bytes.len()).unwrap_or_default();
    1 << ((length * 7 + end(bytes.first()) * 5 + end(bytes.last())) % 64)
}
