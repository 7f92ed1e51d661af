//! Rules: their source, what they match, and that they mean what their author saw.

use std::collections::BTreeMap;

use dayfly_token::WorkloadId;

use super::{Compiler, OwnedFile};
use crate::config::{RuleConfig, SourceInfo};
use crate::federation;
use crate::finding::Place;
use crate::matching::{Expected, MAX_CLAIMS, Matcher};
use crate::pattern::SpiffePattern;
use crate::registry::Rule;
use crate::{Preset, Source};

impl<'a> Compiler<'a> {
    pub(super) fn rule(
        &mut self,
        workload: &WorkloadId,
        file: &OwnedFile<'a>,
        config: &RuleConfig,
        place: Place<'a>,
    ) {
        if let Some((_, other)) = self.rules.get(&config.name) {
            let message = format!(
                "the rule `{}` is already defined at {other}: the names of rules are unique in the whole registry, such as `{}-{}`",
                config.name, workload.owner, config.name
            );
            self.findings.error(place, message);
            return;
        }
        let found = match (&config.issuer, &config.trust_domain) {
            (Some(issuer), None) => {
                let source = Source::Issuer(issuer.clone());
                let matcher = self.claims_matcher(&source, file, config, place);
                matcher.map(|matcher| (source, matcher))
            }
            (None, Some(domain)) => {
                let source = Source::TrustDomain(domain.clone());
                let matcher = self.spiffe_matcher(&source, file, config, place);
                matcher.map(|matcher| (source, matcher))
            }
            _ => {
                let message =
                    "a rule has either `issuer` with `match`, or `trust_domain` with `spiffe_id`";
                self.findings.error(place, message);
                None
            }
        };
        if let Some((source, matcher)) = found {
            let rule = Rule {
                name: config.name.clone(),
                workload: workload.clone(),
                source,
                matcher,
            };
            self.rules.insert(config.name.clone(), (rule, place));
        }
    }

    fn claims_matcher(
        &mut self,
        source: &Source,
        file: &OwnedFile<'a>,
        config: &RuleConfig,
        place: Place<'a>,
    ) -> Option<Matcher> {
        let info = self.source(source, "oidc_issuer", place)?;
        if config.spiffe_id.is_some() {
            let message = "`spiffe_id` goes with `trust_domain`: write `match` for an issuer";
            self.findings.error(place, message);
        }
        if config.claims.len() > MAX_CLAIMS {
            let message = format!("a rule matches at most {MAX_CLAIMS} claims");
            self.findings.error(place, message);
        }
        let mut claims = federation::Claims::new();
        let mut complete = true;
        for (name, value) in &config.claims {
            let at = file.place(value.offset());
            match Expected::compile(value) {
                Ok(expected) => {
                    claims.insert(name.clone(), (expected, at));
                }
                Err(message) => {
                    complete = false;
                    self.findings.error(at, format!("`{name}`: {message}"));
                }
            }
        }
        if !complete {
            return None;
        }
        let subject = federation::Subject {
            claims: &claims,
            place,
            danger_untrusted_events: config.danger_untrusted_events,
        };
        let preset = info.preset.unwrap_or(Preset::Custom);
        federation::check(&subject, preset, info.shared, &mut self.findings);
        let claims = claims.into_iter().map(|(name, (e, _))| (name, e));
        Some(Matcher::Claims(claims.collect()))
    }

    fn spiffe_matcher(
        &mut self,
        source: &Source,
        file: &OwnedFile<'a>,
        config: &RuleConfig,
        place: Place<'a>,
    ) -> Option<Matcher> {
        let Source::TrustDomain(domain) = source else {
            return None;
        };
        if *domain == self.options.trust_domain {
            let message = format!(
                "`{domain}` is the issuer's own trust domain: what it has issued is no evidence for more; name the trust domain of your SPIFFE server"
            );
            self.findings.error(place, message);
            return None;
        }
        let info = self.source(source, "trust_domain_bundle", place)?;
        if !config.claims.is_empty() || config.danger_untrusted_events {
            let message = "`match` and `danger_untrusted_events` go with `issuer`: write `spiffe_id` for a trust domain";
            self.findings.error(place, message);
        }
        let Some(text) = &config.spiffe_id else {
            let message = format!("add spiffe_id = \"spiffe://{domain}/…\"");
            self.findings.error(place, message);
            return None;
        };
        let at = file.place(text.offset());
        let pattern = match SpiffePattern::parse(text) {
            Ok(pattern) => pattern,
            Err(message) => {
                self.findings.error(at, message);
                return None;
            }
        };
        if pattern.id().trust_domain() != domain {
            let message = format!("the ID is not of the trust domain `{domain}`");
            self.findings.error(at, message);
        }
        if info.shared && matches!(pattern, SpiffePattern::Children(_)) {
            let message = "others have IDs in this trust domain too: write the exact ID";
            self.findings.error(at, message);
        }
        Some(Matcher::Spiffe(pattern))
    }

    fn source(&mut self, source: &Source, table: &str, place: Place<'a>) -> Option<&'a SourceInfo> {
        let found = self
            .options
            .sources
            .iter()
            .find(|info| info.source == *source);
        if found.is_none() {
            let message = format!(
                "`{source}` is not configured: add a `[[{table}]]` to the main file, or correct the name"
            );
            self.findings.error(place, message);
        }
        found
    }

    /// Two rules that ask for the same can only be told apart by callers who name one.
    pub(super) fn rules_differ(&mut self) {
        let mut seen: Vec<(&Rule, &Place<'_>)> = Vec::new();
        let mut by_text: BTreeMap<String, usize> = BTreeMap::new();
        for (rule, place) in self.rules.values() {
            let key = format!("{} {:?}", rule.source, rule.matcher);
            match by_text.get(&key).and_then(|index| seen.get(*index)) {
                Some((other, at)) => {
                    let message = format!(
                        "asks for the same as `{}` at {at}: callers who do not name a rule are refused as ambiguous",
                        other.slug()
                    );
                    self.findings.warn(*place, message);
                }
                None => {
                    by_text.insert(key, seen.len());
                    seen.push((rule, place));
                }
            }
        }
    }
}
