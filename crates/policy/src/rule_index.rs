//! Finds the rules that can match without looking at the others.
//!
//! Every rule of an issuer has at least one exact claim (the loader sees to it). The index files it under one of them,
//! the one that tells most rules of that issuer apart, so that a lookup costs one map access for each claim that any
//! rule is filed under, however many workloads there are.

use std::collections::{BTreeMap, BTreeSet};

use crate::Source;
use crate::matching::{Expected, Matcher};
use crate::pattern::SpiffePattern;
use crate::principal::{Claim, Principal};
use crate::registry::Rule;

#[derive(Debug, Default)]
pub(crate) struct RuleIndex {
    sources: BTreeMap<Source, SourceIndex>,
}

/// Numbers are places in the list of rules.
#[derive(Debug, Default)]
struct SourceIndex {
    all: Vec<usize>,
    pins: BTreeMap<String, Pins>,
    spiffe_ids: BTreeMap<String, Vec<usize>>,
    spiffe_parents: BTreeMap<String, Vec<usize>>,
}

#[derive(Debug, Default)]
struct Pins {
    texts: BTreeMap<String, Vec<usize>>,
    integers: BTreeMap<i64, Vec<usize>>,
}

/// How many distinct values the rules of one issuer ask of each claim.
type Spread<'a> = BTreeMap<&'a str, BTreeSet<String>>;

impl RuleIndex {
    pub(crate) fn build(rules: &[Rule]) -> Self {
        let mut spreads: BTreeMap<&Source, Spread<'_>> = BTreeMap::new();
        for rule in rules {
            let spread = spreads.entry(&rule.source).or_default();
            for (name, expected) in exact_claims(rule) {
                spread.entry(name).or_default().extend(values(expected));
            }
        }
        let mut sources: BTreeMap<Source, SourceIndex> = BTreeMap::new();
        for (number, rule) in rules.iter().enumerate() {
            let source = sources.entry(rule.source.clone()).or_default();
            let spread = spreads.get(&rule.source);
            source.add(number, rule, |name| {
                spread.and_then(|s| s.get(name)).map_or(0, BTreeSet::len)
            });
        }
        Self { sources }
    }

    /// The rules that are worth a full comparison.
    pub(crate) fn candidates(&self, principal: &Principal) -> Vec<usize> {
        self.sources
            .get(&principal.source)
            .map(|source| source.candidates(principal))
            .unwrap_or_default()
    }

    /// Every rule for evidence of `source`.
    pub(crate) fn of_source(&self, source: &Source) -> &[usize] {
        self.sources
            .get(source)
            .map_or(&[], |source| source.all.as_slice())
    }
}

impl SourceIndex {
    fn add(&mut self, number: usize, rule: &Rule, spread: impl Fn(&str) -> usize) {
        self.all.push(number);
        match &rule.matcher {
            Matcher::Spiffe(SpiffePattern::Exact(id)) => {
                let key = id.as_str().to_owned();
                self.spiffe_ids.entry(key).or_default().push(number);
            }
            Matcher::Spiffe(SpiffePattern::Children(id)) => {
                let key = id.as_str().to_owned();
                self.spiffe_parents.entry(key).or_default().push(number);
            }
            Matcher::Claims(_) => {
                let best = exact_claims(rule)
                    .max_by_key(|(name, _)| (spread(name), std::cmp::Reverse(*name)));
                if let Some((name, expected)) = best {
                    let pins = self.pins.entry(name.to_owned()).or_default();
                    pins.add(number, expected);
                }
            }
        }
    }

    fn candidates(&self, principal: &Principal) -> Vec<usize> {
        let mut found = Vec::new();
        for (name, pins) in &self.pins {
            let numbers = match principal.claim(name) {
                Some(Claim::Text(text)) => pins.texts.get(text),
                Some(Claim::Integer(number)) => pins.integers.get(&number),
                Some(Claim::Flag(_) | Claim::List(_)) | None => None,
            };
            found.extend(numbers.into_iter().flatten().copied());
        }
        let subject = principal.subject.as_str();
        found.extend(self.spiffe_ids.get(subject).into_iter().flatten().copied());
        if let Some((parent, _)) = subject.rsplit_once('/') {
            let numbers = self.spiffe_parents.get(parent);
            found.extend(numbers.into_iter().flatten().copied());
        }
        found.sort_unstable();
        found
    }
}

impl Pins {
    fn add(&mut self, number: usize, expected: &Expected) {
        if let Expected::Integer(value) = expected {
            self.integers.entry(*value).or_default().push(number);
        }
        for text in expected.exact_texts().unwrap_or_default() {
            let key = text.to_owned();
            self.texts.entry(key).or_default().push(number);
        }
    }
}

fn exact_claims(rule: &Rule) -> impl Iterator<Item = (&str, &Expected)> {
    let claims = match &rule.matcher {
        Matcher::Claims(claims) => Some(claims),
        Matcher::Spiffe(_) => None,
    };
    claims
        .into_iter()
        .flatten()
        .filter(|(_, expected)| expected.is_exact())
        .map(|(name, expected)| (name.as_str(), expected))
}

/// The values that `expected` names, texts and numbers apart.
fn values(expected: &Expected) -> Vec<String> {
    match expected {
        Expected::Integer(number) => vec![format!("#{number}")],
        _ => expected
            .exact_texts()
            .unwrap_or_default()
            .into_iter()
            .map(|text| format!("\"{text}"))
            .collect(),
    }
}
