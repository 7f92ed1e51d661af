//! Whether evidence is what a rule says.
//!
//! Values are compared byte by byte, with their JSON type. The only pattern is a trailing `/*`, and it stands for one
//! segment of the characters of a SPIFFE path: nothing that a claim may contain can make it mean more.

use std::collections::BTreeMap;
use std::fmt;

use dayfly_token::{Excerpt, Slug, SpiffeId};

use crate::NearMiss;
use crate::pattern::SpiffePattern;
use crate::principal::{Claim, Principal};
use crate::registry::Rule;
use crate::value::MatchValue;

/// Values in one list: more are a job for a claim that groups them.
pub(crate) const MAX_LIST_VALUES: usize = 64;
/// Longest value to compare with, in bytes: longer than any name that the known platforms put into a claim.
const MAX_VALUE_BYTES: usize = 1024;
/// Values of a list in an explanation: it stands in the audit line of each token that misses it.
const MAX_SHOWN_VALUES: usize = 8;
/// Claims in one rule: what the known federation endpoints allow.
pub(crate) const MAX_CLAIMS: usize = 32;

/// The name under which a SPIFFE ID stands in explanations.
const SPIFFE_ID: &str = "spiffe_id";

/// What a claim is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Any of these texts.
    OneOf(Vec<TextPattern>),
    Integer(i64),
    Flag(bool),
}

/// A text to compare with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TextPattern {
    Exact(String),
    /// One segment after this, which ends in a slash.
    Segment(String),
}

impl Expected {
    pub(crate) fn compile(value: &MatchValue) -> Result<Self, String> {
        match value {
            MatchValue::Text(text) => Ok(Self::OneOf(vec![TextPattern::parse(text)?])),
            MatchValue::Integer(number) => Ok(Self::Integer(*number)),
            MatchValue::Flag(flag) => Ok(Self::Flag(*flag)),
            MatchValue::AnyOf(texts) => {
                if texts.is_empty() || texts.len() > MAX_LIST_VALUES {
                    return Err(format!(
                        "a list has 1 to {MAX_LIST_VALUES} values, this one has {}",
                        texts.len()
                    ));
                }
                let mut patterns = Vec::with_capacity(texts.len());
                for text in texts {
                    patterns.push(TextPattern::parse(text)?);
                }
                patterns.sort();
                patterns.dedup();
                Ok(Self::OneOf(patterns))
            }
        }
    }

    pub(crate) fn matches(&self, claim: Claim<'_>) -> bool {
        match (self, claim) {
            (Self::OneOf(patterns), Claim::Text(text)) => {
                patterns.iter().any(|pattern| pattern.matches(text))
            }
            (Self::Integer(expected), Claim::Integer(number)) => *expected == number,
            (Self::Flag(expected), Claim::Flag(flag)) => *expected == flag,
            _ => false,
        }
    }

    /// The texts, if none is a pattern.
    pub(crate) fn exact_texts(&self) -> Option<Vec<&str>> {
        let Self::OneOf(patterns) = self else {
            return None;
        };
        patterns
            .iter()
            .map(|pattern| match pattern {
                TextPattern::Exact(text) => Some(text.as_str()),
                TextPattern::Segment(_) => None,
            })
            .collect()
    }

    /// Whether it names values rather than kinds of values: a boolean tells two things apart, not two tenants.
    pub(crate) fn is_exact(&self) -> bool {
        match self {
            Self::Integer(_) => true,
            Self::Flag(_) => false,
            Self::OneOf(_) => self.exact_texts().is_some(),
        }
    }

    pub(crate) fn patterns(&self) -> &[TextPattern] {
        match self {
            Self::OneOf(patterns) => patterns,
            Self::Integer(_) | Self::Flag(_) => &[],
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => number.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::OneOf(patterns) => {
                for (index, pattern) in patterns.iter().take(MAX_SHOWN_VALUES).enumerate() {
                    let separator = if index > 0 { " or " } else { "" };
                    write!(f, "{separator}\"{}\"", Excerpt::of(&pattern.to_string()))?;
                }
                match patterns.len().saturating_sub(MAX_SHOWN_VALUES) {
                    0 => Ok(()),
                    more => write!(f, " or {more} more"),
                }
            }
        }
    }
}

impl TextPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("an empty value matches whoever has no such claim: write the value, or leave the claim out".to_owned());
        }
        if text.len() > MAX_VALUE_BYTES {
            return Err(format!("a value has at most {MAX_VALUE_BYTES} bytes"));
        }
        if text.trim() != text || text.chars().any(char::is_control) {
            return Err(format!(
                "`{}` has a control character, or a space at an end: write the value as the token has it",
                Excerpt::of(text)
            ));
        }
        if !text.contains('*') {
            return Ok(Self::Exact(text.to_owned()));
        }
        let prefix = text.strip_suffix('*').filter(|prefix| {
            let path = prefix.strip_suffix('/').unwrap_or_default();
            !prefix.contains('*') && path.split('/').all(|segment| !segment.is_empty())
        });
        prefix.map(|prefix| Self::Segment(prefix.to_owned())).ok_or_else(|| {
            format!(
                "`{}`: `*` stands only for a whole last segment after at least one other; write \"refs/heads/release/*\", a list of values, or the exact value",
                Excerpt::of(text)
            )
        })
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(expected) => expected == text,
            Self::Segment(prefix) => text.strip_prefix(prefix.as_str()).is_some_and(is_segment),
        }
    }
}

impl fmt::Display for TextPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => f.write_str(text),
            Self::Segment(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// Path segments as SPIFFE has them (SPIFFE-ID section 2.2).
fn is_segment(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !text.is_empty() && text != "." && text != ".." && text.bytes().all(allowed)
}

/// All that a rule compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Matcher {
    Spiffe(SpiffePattern),
    Claims(BTreeMap<String, Expected>),
}

impl SpiffePattern {
    fn matches(&self, subject: &str) -> bool {
        match self {
            Self::Exact(id) => id.as_str() == subject,
            Self::Children(parent) => subject
                .strip_prefix(parent.as_str())
                .and_then(|rest| rest.strip_prefix('/'))
                .is_some_and(is_segment),
        }
    }
}

impl fmt::Display for SpiffePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(id) => f.write_str(id.as_str()),
            Self::Children(id) => write!(f, "{}/*", id.as_str()),
        }
    }
}

impl Rule {
    pub(crate) fn matches(&self, principal: &Principal) -> bool {
        if self.source != principal.source {
            return false;
        }
        match &self.matcher {
            Matcher::Spiffe(pattern) => {
                principal.subject.parse::<SpiffeId>().is_ok() && pattern.matches(&principal.subject)
            }
            Matcher::Claims(claims) => claims.iter().all(|(name, expected)| {
                principal
                    .claim(name)
                    .is_some_and(|claim| expected.matches(claim))
            }),
        }
    }

    /// What keeps `principal` from matching; empty if it matches.
    pub(crate) fn misses(&self, principal: &Principal) -> Vec<NearMiss> {
        let miss = |claim: &str, expected: String, got: String| NearMiss {
            rule: self.name.clone(),
            claim: claim.to_owned(),
            expected,
            got,
        };
        if self.source != principal.source {
            return vec![miss(
                "source",
                self.source.to_string(),
                principal.source.to_string(),
            )];
        }
        match &self.matcher {
            Matcher::Spiffe(_) if self.matches(principal) => Vec::new(),
            Matcher::Spiffe(pattern) => vec![miss(
                SPIFFE_ID,
                pattern.to_string(),
                Excerpt::of(&principal.subject).to_string(),
            )],
            Matcher::Claims(claims) => claims
                .iter()
                .filter_map(|(name, expected)| {
                    let claim = principal.claim(name);
                    let matches = claim.is_some_and(|claim| expected.matches(claim));
                    (!matches).then(|| miss(name, expected.to_string(), shown(claim)))
                })
                .collect(),
        }
    }

    /// The rule's name, for errors.
    pub(crate) const fn slug(&self) -> &Slug {
        &self.name
    }
}

/// A claim as a log may show it.
fn shown(claim: Option<Claim<'_>>) -> String {
    match claim {
        None => "no such claim".to_owned(),
        Some(Claim::Text(text)) => format!("\"{}\"", Excerpt::of(text)),
        Some(Claim::Integer(number)) => format!("{number} (a number)"),
        Some(Claim::Flag(flag)) => format!("{flag} (a boolean)"),
        Some(Claim::List(list)) => format!("a list of {}", list.len()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// What claims may bring along, and no pattern may take for more than itself.
    const METACHARACTERS: &[&str] = &[
        "", "/", "//", "*", "/*", "**", "?", "+", ",", ";", ":", "@", "#", "%", "%2e", "%2e%2e",
        "%2f", "%00", "\0", "\n", "\r\n", "\t", " ", ".", "..", "../", "./", "~", "$", "$(x)", "`",
        "{{", "}}", "{{x}}", "\\", "\"", "'", "|", "^", "(", ")", "[a]", "é", "а", "\u{202e}",
        "\u{200b}", "\u{ff0f}", "\u{2215}", "a/b", "a,b", "a b",
    ];

    fn segment() -> Expected {
        Expected::compile(&MatchValue::Text("refs/heads/release/*".to_owned())).unwrap()
    }

    #[test]
    fn a_star_is_one_plain_segment() {
        for good in ["1", "1.0", "a-b_c.d", "...", "v1"] {
            let value = format!("refs/heads/release/{good}");
            assert!(segment().matches(Claim::Text(&value)), "{value}");
        }
        for bad in METACHARACTERS {
            for value in [
                format!("refs/heads/release/{bad}"),
                format!("refs/heads/release{bad}"),
                format!("refs/heads/{bad}"),
                (*bad).to_owned(),
            ] {
                assert!(!segment().matches(Claim::Text(&value)), "{value:?}");
            }
        }
        assert!(!segment().matches(Claim::Text("refs/heads/release/*")));
        assert!(!segment().matches(Claim::Text("xrefs/heads/release/1")));
        assert!(!segment().matches(Claim::Text("Refs/heads/release/1")));
    }

    #[test]
    fn exact_is_exact() {
        let expected = Expected::compile(&MatchValue::Text("prod".to_owned())).unwrap();
        assert!(expected.matches(Claim::Text("prod")));
        for bad in METACHARACTERS.iter().filter(|text| !text.is_empty()) {
            for value in [
                format!("prod{bad}"),
                format!("{bad}prod"),
                (*bad).to_owned(),
            ] {
                assert!(!expected.matches(Claim::Text(&value)), "{value:?}");
            }
        }
        for other in ["Prod", "PROD", "prod ", " prod", "", "null", "true"] {
            assert!(!expected.matches(Claim::Text(other)), "{other:?}");
        }
        assert!(!expected.matches(Claim::List(&["prod".to_owned()])));
    }

    #[test]
    fn types_are_compared_too() {
        let integer = Expected::compile(&MatchValue::Integer(1)).unwrap();
        assert!(integer.matches(Claim::Integer(1)));
        assert!(!integer.matches(Claim::Text("1")));
        assert!(!integer.matches(Claim::Flag(true)));
        let flag = Expected::compile(&MatchValue::Flag(true)).unwrap();
        assert!(flag.matches(Claim::Flag(true)));
        assert!(!flag.matches(Claim::Flag(false)));
        assert!(!flag.matches(Claim::Text("true")));
        assert!(!flag.matches(Claim::Integer(1)));
        let text = Expected::compile(&MatchValue::Text("1".to_owned())).unwrap();
        assert!(!text.matches(Claim::Integer(1)));
    }

    #[test]
    fn what_is_expected_is_shown_in_one_line() {
        let shown = |texts: Vec<String>| {
            Expected::compile(&MatchValue::AnyOf(texts))
                .unwrap()
                .to_string()
        };
        assert_eq!(
            shown(vec!["a".to_owned(), "b/*".to_owned()]),
            r#""a" or "b/*""#
        );
        let longest = (0..MAX_LIST_VALUES).map(|n| format!("{n:0>MAX_VALUE_BYTES$}"));
        let longest = shown(longest.collect());
        assert!(
            longest.len() < 700 && longest.ends_with(" or 56 more"),
            "{longest}"
        );
    }

    #[test]
    fn odd_patterns_are_refused() {
        for bad in [
            "", "*", "/*", "a*", "a/b*", "*/a", "a/*/b", "a/**", "a//*", "/a/*", "**", " a", "a ",
            "a\nb", "a\0",
        ] {
            assert!(TextPattern::parse(bad).is_err(), "{bad:?}");
        }
        assert!(TextPattern::parse(&"x".repeat(MAX_VALUE_BYTES + 1)).is_err());
        assert!(Expected::compile(&MatchValue::AnyOf(Vec::new())).is_err());
        let many = vec!["x".to_owned(); MAX_LIST_VALUES + 1];
        assert!(Expected::compile(&MatchValue::AnyOf(many)).is_err());
    }

    #[test]
    fn spiffe_ids() {
        let exact = SpiffePattern::parse("spiffe://td/a").unwrap();
        let children = SpiffePattern::parse("spiffe://td/a/*").unwrap();
        assert!(exact.matches("spiffe://td/a") && children.matches("spiffe://td/a/b"));
        for other in [
            "spiffe://td/A",
            "spiffe://td/a/",
            "spiffe://td/ab",
            "spiffe://td",
            "spiffe://tda/a",
            "spiffe://td/a/b/c",
            "spiffe://td/a/..",
            "spiffe://td/a/%2e",
            "spiffe://td/a/b?x",
            "spiffe://td/a//b",
            "SPIFFE://td/a",
            "spiffe://TD/a/b",
            "",
        ] {
            assert!(!exact.matches(other) && !children.matches(other), "{other}");
        }
        for bad in [
            "spiffe://td",
            "spiffe://td/",
            "spiffe://td/*",
            "spiffe://*/a",
            "spiffe://td/a*",
            "spiffe://td/*/a",
            "td/a",
            "https://td/a",
            "",
        ] {
            assert!(SpiffePattern::parse(bad).is_err(), "{bad}");
        }
    }
}
