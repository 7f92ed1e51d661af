use std::fmt;
use std::str::FromStr;

use crate::names::is_quotable;
use crate::text::{checked_text, serde_as_text};
use crate::{Excerpt, NameError};

/// Longest scope: what reads well in a grant; 64 of them still fit a token.
pub(crate) const MAX_SCOPE_BYTES: usize = 128;
/// Scopes in one list: far above what one task needs, and 8 KiB at most.
pub const MAX_SCOPES: usize = 64;

/// One scope (`scope-token` of RFC 6749 section 3.3), 1 to 128 bytes, case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(String);

checked_text!(Scope, NameError);

impl Scope {
    fn check(text: &str) -> Result<(), NameError> {
        if text.is_empty() || text.len() > MAX_SCOPE_BYTES || !text.bytes().all(is_quotable) {
            return Err(NameError::Scope {
                input: Excerpt::of(text),
            });
        }
        Ok(())
    }
}

/// Up to 64 scopes in the order of their bytes, on the wire as one string with single spaces; the empty string is the
/// empty set.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeSet(Vec<Scope>);

impl ScopeSet {
    /// The set of `scopes`; one that comes twice is there once.
    ///
    /// # Errors
    /// If there are more than 64.
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Result<Self, NameError> {
        let mut set = Self::default();
        for scope in scopes {
            set.insert(scope);
            if set.len() > MAX_SCOPES {
                return Err(NameError::TooManyScopes);
            }
        }
        Ok(set)
    }

    /// Whether it was new.
    fn insert(&mut self, scope: Scope) -> bool {
        let Err(place) = self.0.binary_search(&scope) else {
            return false;
        };
        self.0.insert(place, scope);
        true
    }

    /// Whether every scope of this set is also in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.iter().all(|scope| other.contains(scope.as_str()))
    }

    /// Whether `scope` is in the set.
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        self.0
            .binary_search_by(|known| known.as_str().cmp(scope))
            .is_ok()
    }

    /// The scopes, in the order of their bytes.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl<'a> IntoIterator for &'a ScopeSet {
    type Item = &'a Scope;
    type IntoIter = std::slice::Iter<'a, Scope>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

impl FromStr for ScopeSet {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let mut set = Self::default();
        if text.is_empty() {
            return Ok(set);
        }
        for scope in text.split(' ') {
            if set.len() == MAX_SCOPES {
                return Err(NameError::TooManyScopes);
            }
            if !set.insert(scope.parse()?) {
                return Err(NameError::ScopeTwice {
                    scope: Excerpt::of(scope),
                });
            }
        }
        Ok(set)
    }
}

serde_as_text!(ScopeSet);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn sets() {
        let set: ScopeSet = "deploy:write a b".parse().unwrap();
        assert_eq!(set.to_string(), "a b deploy:write");
        assert_eq!((set.len(), set.is_empty()), (3, false));
        assert!(set.contains("a") && !set.contains("c") && !set.contains("deploy"));
        let less: ScopeSet = "a".parse().unwrap();
        assert!(less.is_subset(&set) && !set.is_subset(&less) && set.is_subset(&set));
        assert!(ScopeSet::default().is_subset(&less));
        assert_eq!("".parse::<ScopeSet>().unwrap(), ScopeSet::default());
        assert_eq!(
            serde_json::from_str::<ScopeSet>("\"\"").unwrap(),
            ScopeSet::default()
        );
        assert_eq!(
            ScopeSet::new(set.iter().cloned().chain(less.iter().cloned())).unwrap(),
            set
        );
        assert_eq!(set.into_iter().count(), 3);
    }

    #[test]
    fn odd_lists_are_refused() {
        let long = "x".repeat(MAX_SCOPE_BYTES + 1);
        for bad in [
            " ",
            " a",
            "a ",
            "a  b",
            "a\tb",
            "a\nb",
            "a\"b",
            "a\\b",
            "é",
            "a\u{a0}b",
            "\0",
            long.as_str(),
        ] {
            assert!(
                matches!(bad.parse::<ScopeSet>(), Err(NameError::Scope { .. })),
                "{bad:?}"
            );
        }
        assert!(matches!(
            "a b a".parse::<ScopeSet>(),
            Err(NameError::ScopeTwice { .. })
        ));
        for json in ["null", "[\"a\"]", "7", "{}"] {
            assert!(serde_json::from_str::<ScopeSet>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn at_most_64() {
        let list = |n: usize| (0..n).map(|i| format!("s{i}")).collect::<Vec<_>>();
        assert_eq!(
            list(MAX_SCOPES)
                .join(" ")
                .parse::<ScopeSet>()
                .unwrap()
                .len(),
            MAX_SCOPES
        );
        let more = list(MAX_SCOPES + 1);
        assert_eq!(
            more.join(" ").parse::<ScopeSet>(),
            Err(NameError::TooManyScopes)
        );
        assert_eq!(
            ScopeSet::new(more.iter().map(|s| s.parse().unwrap())),
            Err(NameError::TooManyScopes)
        );
    }
}
