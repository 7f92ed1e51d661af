//! The decision: evidence → rule → workload → grant → guardrails. Pure, and it says why.
//!
//! There is one way for every grant type and for certificates. A narrowing exchange goes it too, with its parent as a
//! ceiling over each step.

use dayfly_token::{AudienceId, ScopeSet, Slug, UnixTime};

use crate::case::{Case, Refusal, dns_names, refuse};
use crate::decision::{
    Binding, CredentialKind, Decision, Denial, DenialReason, NearMiss, Permit, RateLimit, Request,
};
use crate::gate::{Facts, Gate};
use crate::lifetime::{MIN_CERTIFICATE_SECS, MIN_TOKEN_SECS};
use crate::principal::{Method, Parent, Principal, Source};
use crate::registry::{Audience, Grant, Registry, Rule, Terms, Workload};

/// Rules that a denial compares for near misses, or names: a flood of foreign tokens must not cost a comparison with
/// every rule, nor fill the audit.
const MAX_NEAR_RULES: usize = 16;
/// Near misses in one denial: what somebody reads.
const MAX_NEAR_MISSES: usize = 16;

impl Registry {
    /// Decides about `request` of `principal`, whose evidence has been verified, at `now`.
    #[must_use]
    pub fn decide(&self, principal: &Principal, request: &Request, now: UnixTime) -> Decision {
        let (workload, rule) = match self.workload_of(principal, request.rule.as_ref()) {
            Ok(found) => found,
            Err(denial) => return Decision::Deny(denial),
        };
        let case = Case {
            principal,
            request,
            now,
            workload,
            rule,
        };
        let result = match request.kind {
            CredentialKind::AccessToken => self.token(&case),
            CredentialKind::Certificate => self.certificate(&case),
        };
        match result {
            Ok(permit) => Decision::Permit(permit),
            Err(refusal) => Decision::Deny(Denial {
                reason: refusal.reason,
                detail: refusal.detail,
                workload: Some(workload.id.clone()),
                environment: Some(workload.environment.clone()),
                rule: Some(rule.name.clone()),
                near_misses: Vec::new(),
                policies: refusal.policies,
            }),
        }
    }

    /// The workload that `principal` is, and the rule that says so. Exactly one rule must match; `rule` names one where
    /// several do, and the named one must match.
    ///
    /// # Errors
    /// The denial, with near misses if no rule matches.
    pub fn workload_of(
        &self,
        principal: &Principal,
        rule: Option<&Slug>,
    ) -> Result<(&Workload, &Rule), Denial> {
        let own = principal.source == Source::Own || principal.method == Method::OwnToken;
        let found = match (&principal.parent, own) {
            (Some(parent), true) => self.rule_of_parent(parent, rule)?,
            (None, false) => self.rule_of_evidence(principal, rule)?,
            (Some(_), false) | (None, true) => {
                let detail =
                    "a token of this issuer comes with its claims, and no other evidence does";
                return Err(nobody(DenialReason::NoRule, detail, None));
            }
        };
        let workload = self.workloads.get(&found.workload).ok_or_else(|| {
            let detail = format!("`{}` is not registered", found.workload);
            nobody(DenialReason::UnknownWorkload, detail, Some(&found.name))
        })?;
        Ok((workload, found))
    }

    fn rule_of_parent(&self, parent: &Parent, named: Option<&Slug>) -> Result<&Rule, Denial> {
        let deny = |reason, detail: String| Denial {
            workload: Some(parent.workload.clone()),
            ..nobody(reason, detail, Some(&parent.rule))
        };
        if !self.workloads.contains_key(&parent.workload) {
            let detail = format!("`{}` is no longer registered", parent.workload);
            return Err(deny(DenialReason::UnknownWorkload, detail));
        }
        if let Some(named) = named.filter(|named| **named != parent.rule) {
            let detail = format!("the parent came by `{}`, not by `{named}`", parent.rule);
            return Err(deny(DenialReason::NoRule, detail));
        }
        self.rule(&parent.rule)
            .filter(|rule| rule.workload == parent.workload)
            .ok_or_else(|| {
                let detail = format!("`{}` no longer leads to `{}`", parent.rule, parent.workload);
                deny(DenialReason::UnknownRule, detail)
            })
    }

    fn rule_of_evidence(
        &self,
        principal: &Principal,
        named: Option<&Slug>,
    ) -> Result<&Rule, Denial> {
        if let Some(named) = named {
            let Some(rule) = self.rule(named) else {
                let detail = format!("there is no rule `{named}`");
                return Err(nobody(DenialReason::UnknownRule, detail, Some(named)));
            };
            if rule.matches(principal) {
                return Ok(rule);
            }
            let detail = format!("the evidence is not what `{named}` asks for");
            return Err(Denial {
                near_misses: rule.misses(principal),
                ..nobody(DenialReason::NoRule, detail, Some(named))
            });
        }
        let candidates = self.rule_index.candidates(principal);
        let matching: Vec<&Rule> = candidates
            .iter()
            .filter_map(|number| self.rules.get(*number))
            .filter(|rule| rule.matches(principal))
            .collect();
        match matching.as_slice() {
            [rule] => Ok(rule),
            [] => Err(Denial {
                near_misses: self.near_misses(principal, &candidates),
                ..nobody(
                    DenialReason::NoRule,
                    format!("no rule for `{}` matches", principal.source),
                    None,
                )
            }),
            several => {
                let names = several.iter().take(MAX_NEAR_RULES);
                let names: Vec<&str> = names.map(|rule| rule.name.as_str()).collect();
                let detail = format!(
                    "name one of the {} rules that match: {}",
                    several.len(),
                    names.join(", ")
                );
                Err(nobody(DenialReason::AmbiguousRule, detail, None))
            }
        }
    }

    /// What kept the nearest rules from matching, nearest first.
    fn near_misses(&self, principal: &Principal, candidates: &[usize]) -> Vec<NearMiss> {
        let all = self.rule_index.of_source(&principal.source);
        let numbers = match candidates {
            [] if all.len() <= MAX_NEAR_RULES => all,
            _ => candidates,
        };
        let mut misses: Vec<Vec<NearMiss>> = numbers
            .iter()
            .take(MAX_NEAR_RULES)
            .filter_map(|number| self.rules.get(*number))
            .map(|rule| rule.misses(principal))
            .collect();
        misses.sort_by_key(Vec::len);
        misses.into_iter().flatten().take(MAX_NEAR_MISSES).collect()
    }

    fn token(&self, case: &Case<'_>) -> Result<Permit, Refusal> {
        let (audience, grant) = self.grant(case)?;
        if !case.request.dns_names.is_empty() {
            return refuse(DenialReason::DnsNameNotGranted, "a token has no DNS names");
        }
        if let Some(parent) = &case.principal.parent {
            case.check_parent(parent, grant)?;
        }
        let scopes = case.scopes(grant)?;
        let authorization_details = case.details(grant)?;
        let binding = case.binding(grant)?;
        let permit = self.terms(case, grant.terms, MIN_TOKEN_SECS)?;
        self.finish(
            case,
            &grant.gate,
            Permit {
                audience: Some(audience.id.clone()),
                scopes,
                binding,
                authorization_details,
                ..permit
            },
        )
    }

    fn certificate(&self, case: &Case<'_>) -> Result<Permit, Refusal> {
        let not_granted = |detail: &str| refuse(DenialReason::CertificateNotGranted, detail);
        if case.principal.parent.is_some() {
            return not_granted("an access token is no evidence for a certificate");
        }
        let Some(grant) = &case.workload.certificate else {
            return not_granted("the workload has no `[workload.certificate]`");
        };
        let request = case.request;
        if let Some(audience) = &request.audience {
            let detail = format!("a certificate has no audience, and `{audience}` was asked for");
            return refuse(DenialReason::UnknownAudience, detail);
        }
        if request.scopes.as_ref().is_some_and(|s| !s.is_empty()) {
            return refuse(DenialReason::ScopeNotGranted, "a certificate has no scopes");
        }
        if request.authorization_details.is_some() {
            let detail = "a certificate has no authorization details";
            return refuse(DenialReason::AuthorizationDetails, detail);
        }
        let dns_names = dns_names(&request.dns_names, grant)?;
        let permit = self.terms(case, grant.terms, MIN_CERTIFICATE_SECS)?;
        let permit = Permit {
            dns_names,
            ..permit
        };
        self.finish(case, &grant.gate, permit)
    }

    /// The audience and the workload's grant for it.
    fn grant<'a>(&'a self, case: &Case<'a>) -> Result<(&'a Audience, &'a Grant), Refusal> {
        let parent = case.principal.parent.as_deref();
        let asked: &AudienceId = match (&case.request.audience, parent) {
            (Some(asked), Some(parent)) if *asked != parent.audience => {
                let detail = format!(
                    "the parent is for `{}`; another audience takes a delegation, which this version does not do",
                    parent.audience
                );
                return refuse(DenialReason::DelegationUnsupported, detail);
            }
            (Some(asked), _) => asked,
            (None, Some(parent)) => &parent.audience,
            (None, None) => {
                return refuse(DenialReason::AudienceRequired, "a token needs an audience");
            }
        };
        let Some(audience) = self.audience(asked) else {
            let detail = format!("there is no audience `{asked}`");
            return refuse(DenialReason::UnknownAudience, detail);
        };
        let Some(grant) = case.workload.grants.get(asked) else {
            let detail = format!("`{}` has no grant for `{asked}`", case.workload.id);
            return refuse(DenialReason::NoGrant, detail);
        };
        if !audience.admits(&case.workload.id) {
            let detail = format!(
                "`{asked}` does not list `{}` in `callers`",
                case.workload.id
            );
            return refuse(DenialReason::CallerNotAllowed, detail);
        }
        Ok((audience, grant))
    }

    /// What tokens and certificates have in common: task, purpose, lifetime, limits. The rest is still empty.
    fn terms(&self, case: &Case<'_>, terms: Terms, min_secs: u64) -> Result<Permit, Refusal> {
        let owner = &case.workload.id.owner;
        let limit = |key: String, per_minute, burst| RateLimit {
            key,
            per_minute,
            burst,
        };
        Ok(Permit {
            workload: case.workload.id.clone(),
            environment: case.workload.environment.clone(),
            rule: case.rule.name.clone(),
            audience: None,
            scopes: ScopeSet::default(),
            ttl_secs: case.ttl_secs(terms.ttl_secs, min_secs)?,
            binding: Binding::None,
            task: case.task(terms.require_task)?,
            purpose: case.purpose(terms.require_purpose)?,
            dns_names: Vec::new(),
            authorization_details: Vec::new(),
            policies: Vec::new(),
            policy_version: self.version.clone(),
            limits: vec![
                limit(
                    format!("workload:{}", case.workload.id),
                    self.limits.workload_per_minute,
                    self.limits.workload_burst,
                ),
                limit(
                    format!("owner:{owner}"),
                    self.limits.owner_per_minute,
                    self.limits.owner_burst,
                ),
            ],
        })
    }

    /// The last step: the guardrails see what would be minted.
    fn finish(&self, case: &Case<'_>, gate: &Gate, permit: Permit) -> Result<Permit, Refusal> {
        let policies = self.engine.check(
            gate,
            &Facts {
                principal: case.principal,
                rule: &permit.rule,
                scopes: &permit.scopes,
                dns_names: &permit.dns_names,
                lifetime_secs: permit.ttl_secs,
                binding: permit.binding,
                task: permit.task.as_ref(),
                purpose: permit.purpose.as_deref(),
                now: case.now,
            },
        )?;
        Ok(Permit { policies, ..permit })
    }
}

/// A denial before a workload is known.
fn nobody(reason: DenialReason, detail: impl Into<String>, rule: Option<&Slug>) -> Denial {
    Denial {
        reason,
        detail: detail.into(),
        workload: None,
        environment: None,
        rule: rule.cloned(),
        near_misses: Vec::new(),
        policies: Vec::new(),
    }
}
