//! What stands between a grant and its use: its condition and the guardrails, asked in Cedar.
//!
//! Cedar's cost is linear in the policies that it is given, so it gets a slice: the chosen grant's condition and the
//! guardrails. A policy that fails is skipped by Cedar, a `forbid` too; here it denies.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use cedar_policy::{
    AuthorizationError, Authorizer, Expression, Policy, PolicyId, PolicySet, Response, Schema,
    ValidationMode, Validator,
};

use crate::DenialReason;
use crate::case::Refusal;
use crate::finding::{Findings, Place, SourceFile};
use crate::guardrail::{self, GUARDRAIL};
use crate::nesting;
use crate::registry::Workload;

mod question;

pub(crate) use question::{CLAIM_LISTS, CLAIMS, EVIDENCE, Facts, Target};
use question::{Evidence, Question};

/// The schema that guardrails and conditions are checked against, in Cedar's own notation.
pub const CEDAR_SCHEMA: &str = include_str!("policy.cedarschema");

/// The schema, read once: that takes longer than all else that a small registry needs to load.
static VALIDATOR: LazyLock<Result<Validator, String>> = LazyLock::new(|| {
    Schema::from_str(CEDAR_SCHEMA)
        .map(Validator::new)
        .map_err(|error| error.to_string())
});

/// The id of the grant's policy within a slice.
const GRANT: &str = "grant";

/// The compiled guardrails.
pub(crate) struct Engine {
    authorizer: Authorizer,
    validator: &'static Validator,
    guardrails: Vec<Policy>,
    /// The guardrails with a permit for everything: the slice of a grant without a condition.
    unconditional: Arc<Slice>,
    evidence: Evidence,
}

/// What Cedar is given for one grant.
pub(crate) struct Slice {
    policies: PolicySet,
    reads_claims: bool,
}

/// What stands between a grant and its use.
pub(crate) struct Gate {
    /// The grant, for the audit.
    label: String,
    /// `None` if there is nothing to ask.
    question: Option<Box<Question>>,
}

impl Engine {
    /// Compiles the guardrails; whatever is wrong with them goes to `findings`. `None` only if the schema itself is
    /// broken, which is a finding too.
    pub(crate) fn compile(
        files: &[SourceFile],
        exists: &dyn Fn(&str, &str) -> bool,
        findings: &mut Findings,
    ) -> Option<Self> {
        let built = VALIDATOR
            .as_ref()
            .map_err(String::clone)
            .and_then(|validator| {
                let permit = "permit(principal, action, resource);";
                let permit = Policy::parse(Some(PolicyId::new(GRANT)), permit);
                let permit = permit.map_err(|error| error.to_string())?;
                Ok((validator, Evidence::new()?, permit))
            });
        let (validator, evidence, permit) = match built {
            Ok(built) => built,
            Err(error) => {
                findings.unreadable(Path::new("policy.cedarschema"), error);
                return None;
            }
        };
        let guardrails = guardrail::compile(files, validator, exists, findings);
        let reads = guardrails.iter().any(reads_claims);
        let unconditional = Arc::new(slice(&guardrails, permit, reads, findings)?);
        Some(Self {
            authorizer: Authorizer::new(),
            validator,
            guardrails,
            unconditional,
            evidence,
        })
    }

    /// The gate of a grant of `workload`, with the grant's condition.
    pub(crate) fn gate(
        &self,
        workload: &Workload,
        target: &Target<'_>,
        condition: Option<(&str, Place<'_>)>,
        findings: &mut Findings,
    ) -> Gate {
        let label = label(workload, target);
        if condition.is_none() && self.guardrails.is_empty() {
            return Gate {
                label,
                question: None,
            };
        }
        let slice = match condition {
            None => Some(Arc::clone(&self.unconditional)),
            Some((text, place)) => self
                .conditional(workload, target, text)
                .map_err(|message| findings.error(place, message))
                .ok()
                .and_then(|permit| {
                    let reads = self.unconditional.reads_claims || reads_claims(&permit);
                    slice(&self.guardrails, permit, reads, findings)
                })
                .map(Arc::new),
        };
        // A gate without its slice would stand open; it never does, because each failure here is also a finding, and
        // a registry with findings is not built.
        let question = slice.and_then(|slice| {
            Question::new(workload, target, slice)
                .map_err(|error| findings.unreadable(Path::new(&label), error))
                .ok()
        });
        Gate {
            label,
            question: question.map(Box::new),
        }
    }

    /// The condition as a policy of its grant alone.
    fn conditional(
        &self,
        workload: &Workload,
        target: &Target<'_>,
        condition: &str,
    ) -> Result<Policy, String> {
        if nesting::too_deep(&format!("when {{ {condition} }}")).is_some() {
            return Err("`when` nests too deeply: group with lists, such as `[\"a\", \"b\"].contains(…)`, or write several grants".to_owned());
        }
        // Parsed by itself first, so that it cannot end its braces and go on as something else.
        Expression::from_str(condition)
            .map_err(|error| format!("`when` is no Cedar condition: {error}"))?;
        let (action, resource) = match target {
            Target::Token(audience) => ("issue_token", format!("Audience::\"{}\"", audience.id)),
            Target::Certificate(domain) => {
                ("issue_certificate", format!("TrustDomain::\"{domain}\""))
            }
        };
        let source = format!(
            "permit(principal == Workload::\"{}\", action == Action::\"{action}\", resource == {resource}) when {{\n{condition}\n}};",
            workload.id
        );
        let policy = Policy::parse(Some(PolicyId::new(GRANT)), source)
            .map_err(|error| format!("`when` is no Cedar condition: {error}"))?;
        let set = PolicySet::from_policies([policy.clone()]).map_err(|error| error.to_string())?;
        let checked = self.validator.validate(&set, ValidationMode::Strict);
        match checked.validation_errors().next() {
            Some(error) => Err(format!("`when` does not fit the schema: {error}")),
            None => Ok(policy),
        }
    }

    /// Asks the guardrails and the condition. The policies that decided, or why not.
    pub(crate) fn check(&self, gate: &Gate, facts: &Facts<'_>) -> Result<Vec<String>, Refusal> {
        let Some(question) = &gate.question else {
            return Ok(vec![gate.label.clone()]);
        };
        let response = self.ask(question, facts).map_err(|error| Refusal {
            reason: DenialReason::GuardrailError,
            detail: format!("the request could not be put to the guardrails: {error}"),
            policies: Vec::new(),
        })?;
        self.answer(gate, &response)
    }

    fn ask(&self, question: &Question, facts: &Facts<'_>) -> Result<Response, String> {
        // The context is built from typed values; that they fit the schema is looked at where tests run.
        let schema = cfg!(debug_assertions).then(|| self.validator.schema());
        let request = question.request(self.evidence.context(facts)?, schema)?;
        let set = &question.slice.policies;
        if !question.slice.reads_claims {
            return Ok(self
                .authorizer
                .is_authorized(&request, set, &question.entities));
        }
        let entities = question
            .entities
            .clone()
            .add_entities(self.evidence.entities(facts.principal)?, None)
            .map_err(|error| error.to_string())?;
        Ok(self.authorizer.is_authorized(&request, set, &entities))
    }

    fn answer(&self, gate: &Gate, response: &Response) -> Result<Vec<String>, Refusal> {
        let name = |id: &PolicyId| match id.to_string() {
            id if id == GRANT => gate.label.clone(),
            id => id,
        };
        let diagnostics = response.diagnostics();
        let mut failed = BTreeMap::new();
        for AuthorizationError::PolicyEvaluationError(error) in diagnostics.errors() {
            failed.insert(name(error.policy_id()), error.to_string());
        }
        let mut reasons: Vec<String> = diagnostics.reason().map(name).collect();
        reasons.sort();
        let denied = response.decision() == cedar_policy::Decision::Deny;
        if denied && !reasons.is_empty() {
            return Err(Refusal {
                reason: DenialReason::Guardrail,
                detail: self.explanation(&reasons),
                policies: reasons,
            });
        }
        if !failed.is_empty() {
            let guardrail = failed.keys().any(|id| id.starts_with(GUARDRAIL));
            let details: Vec<String> = failed.values().cloned().collect();
            return Err(Refusal {
                reason: if guardrail {
                    DenialReason::GuardrailError
                } else {
                    DenialReason::ConditionFailed
                },
                detail: details.join("; "),
                policies: failed.into_keys().collect(),
            });
        }
        if denied {
            return Err(Refusal {
                reason: DenialReason::ConditionFailed,
                detail: "the grant's `when` does not hold".to_owned(),
                policies: vec![gate.label.clone()],
            });
        }
        Ok(reasons)
    }

    /// What the guardrails say about themselves.
    fn explanation(&self, ids: &[String]) -> String {
        let explained: Vec<String> = ids
            .iter()
            .map(|id| {
                let policy = self.guardrails.iter().find(|p| p.id().to_string() == *id);
                match policy.and_then(|policy| policy.annotation("reason")) {
                    Some(reason) => format!("{id}: {reason}"),
                    None => id.clone(),
                }
            })
            .collect();
        format!("forbidden by {}", explained.join("; "))
    }
}

fn label(workload: &Workload, target: &Target<'_>) -> String {
    match target {
        Target::Token(audience) => format!("grant:{}>{}", workload.id, audience.id),
        Target::Certificate(_) => format!("certificate:{}", workload.id),
    }
}

fn slice(
    guardrails: &[Policy],
    permit: Policy,
    reads_claims: bool,
    findings: &mut Findings,
) -> Option<Slice> {
    match PolicySet::from_policies(guardrails.iter().cloned().chain([permit])) {
        Ok(policies) => Some(Slice {
            policies,
            reads_claims,
        }),
        Err(error) => {
            findings.unreadable(Path::new("policies"), error.to_string());
            None
        }
    }
}

/// Whether `policy` can look at a claim: by an attribute of the context, which is always named in full, or by naming the
/// entity that carries the claims.
fn reads_claims(policy: &Policy) -> bool {
    let names = ["claims", "claim_lists", CLAIMS, CLAIM_LISTS];
    policy.to_json().map_or(true, |json| {
        let json = json.to_string();
        names
            .iter()
            .any(|name| json.contains(&format!("\"{name}\"")))
    })
}

#[cfg(test)]
mod tests;
