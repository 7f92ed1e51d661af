//! What stands between a grant and its use: its condition and the guardrails, asked in Cedar.
//!
//! Cedar's cost is linear in the policies that it is given, so it gets a slice: the chosen grant's condition and the
//! guardrails. A policy that fails is skipped by Cedar, a `forbid` too; here it denies.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Entities, Entity, EntityId, EntityTypeName, EntityUid,
    Expression, Policy, PolicyId, PolicySet, Response, RestrictedExpression, Schema,
    ValidationMode, Validator,
};
use dayfly_token::{ScopeSet, Slug, TaskId, TrustDomain, UnixTime};

use crate::case::Refusal;
use crate::finding::{Findings, Place, Text};
use crate::guardrail::{self, GUARDRAIL};
use crate::principal::{Attribute, Principal};
use crate::registry::{Audience, Workload};
use crate::{Binding, DenialReason};

/// The schema that guardrails and conditions are checked against, in Cedar's own notation.
pub const CEDAR_SCHEMA: &str = include_str!("policy.cedarschema");

/// The id of the grant's policy within a slice.
const GRANT: &str = "grant";

/// The compiled guardrails.
pub(crate) struct Engine {
    authorizer: Authorizer,
    validator: Validator,
    guardrails: Vec<Policy>,
    /// The guardrails with a permit for everything: the slice of a grant without a condition.
    unconditional: Arc<Slice>,
    claims: EntityUid,
    claim_lists: EntityUid,
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

struct Question {
    principal: EntityUid,
    action: EntityUid,
    resource: EntityUid,
    entities: Entities,
    slice: Arc<Slice>,
}

/// What a gate is for.
pub(crate) enum Target<'a> {
    Token(&'a Audience),
    Certificate(&'a TrustDomain),
}

/// What Cedar is told about a request.
pub(crate) struct Facts<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) rule: &'a Slug,
    pub(crate) scopes: &'a ScopeSet,
    pub(crate) dns_names: &'a [String],
    pub(crate) lifetime_secs: u64,
    pub(crate) binding: Binding,
    pub(crate) task: Option<&'a TaskId>,
    pub(crate) purpose: Option<&'a str>,
    pub(crate) now: UnixTime,
}

impl Engine {
    /// Compiles the guardrails; whatever is wrong with them goes to `findings`. `None` only if the schema itself is
    /// broken, which is a finding too.
    pub(crate) fn compile(
        files: &[Text<'_>],
        exists: &dyn Fn(&str, &str) -> bool,
        findings: &mut Findings,
    ) -> Option<Self> {
        let built = Schema::from_str(CEDAR_SCHEMA)
            .map_err(|error| error.to_string())
            .and_then(|schema| {
                Ok((
                    Validator::new(schema),
                    uid("Claims", "evidence")?,
                    uid("ClaimLists", "evidence")?,
                    Policy::parse(
                        Some(PolicyId::new(GRANT)),
                        "permit(principal, action, resource);",
                    )
                    .map_err(|error| error.to_string())?,
                ))
            });
        let (validator, claims, claim_lists, permit) = match built {
            Ok(built) => built,
            Err(error) => {
                findings.unreadable(Path::new("policy.cedarschema"), error);
                return None;
            }
        };
        let guardrails = guardrail::compile(files, &validator, exists, findings);
        let unconditional = Arc::new(slice(&guardrails, permit, findings)?);
        Some(Self {
            authorizer: Authorizer::new(),
            validator,
            guardrails,
            unconditional,
            claims,
            claim_lists,
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
                .and_then(|permit| slice(&self.guardrails, permit, findings))
                .map(Arc::new),
        };
        // A gate without its slice would stand open; it never does, because each failure here is also a finding, and
        // a registry with findings is not built.
        let question = slice.and_then(|slice| {
            question(workload, target, slice)
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
        let context = Context::from_pairs(self.context(facts)).map_err(|e| e.to_string())?;
        // The context is built from typed values; that they fit the schema is looked at where tests run.
        let schema = cfg!(debug_assertions).then(|| self.validator.schema());
        let request = cedar_policy::Request::new(
            question.principal.clone(),
            question.action.clone(),
            question.resource.clone(),
            context,
            schema,
        )
        .map_err(|error| error.to_string())?;
        let set = &question.slice.policies;
        if !question.slice.reads_claims {
            return Ok(self
                .authorizer
                .is_authorized(&request, set, &question.entities));
        }
        let entities = question
            .entities
            .clone()
            .add_entities(self.evidence(facts.principal)?, None)
            .map_err(|error| error.to_string())?;
        Ok(self.authorizer.is_authorized(&request, set, &entities))
    }

    fn context(&self, facts: &Facts<'_>) -> Vec<(String, RestrictedExpression)> {
        let principal = facts.principal;
        let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let long = |n: u64| RestrictedExpression::new_long(i64::try_from(n).unwrap_or(i64::MAX));
        let mut pairs = vec![
            ("method", text(principal.method.as_str())),
            ("source", text(&principal.source.to_string())),
            ("subject", text(&principal.subject)),
            ("rule", text(facts.rule.as_str())),
            (
                "claims",
                RestrictedExpression::new_entity_uid(self.claims.clone()),
            ),
            (
                "claim_lists",
                RestrictedExpression::new_entity_uid(self.claim_lists.clone()),
            ),
            (
                "scopes",
                RestrictedExpression::new_set(facts.scopes.iter().map(|s| text(s.as_str()))),
            ),
            (
                "dns_names",
                RestrictedExpression::new_set(facts.dns_names.iter().map(|name| text(name))),
            ),
            ("lifetime", long(facts.lifetime_secs)),
            ("binding", text(facts.binding.as_str())),
            (
                "narrowed",
                RestrictedExpression::new_bool(principal.parent.is_some()),
            ),
            ("now", long(facts.now.as_secs())),
        ];
        let issuer = principal.issuer_url.as_deref();
        pairs.extend(issuer.map(|issuer| ("issuer", text(issuer))));
        pairs.extend(facts.task.map(|task| ("task", text(&task.to_string()))));
        pairs.extend(facts.purpose.map(|purpose| ("purpose", text(purpose))));
        pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// The claims of the evidence as the two entities of the schema.
    fn evidence(&self, principal: &Principal) -> Result<[Entity; 2], String> {
        let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let mut claims = Vec::new();
        let mut lists = Vec::new();
        for (name, attribute) in &principal.attributes {
            match attribute {
                Attribute::Text(value) => claims.push((name.clone(), text(value))),
                Attribute::Integer(value) => claims.push((name.clone(), text(&value.to_string()))),
                Attribute::Flag(value) => claims.push((name.clone(), text(&value.to_string()))),
                Attribute::List(values) => {
                    let set = RestrictedExpression::new_set(values.iter().map(|v| text(v)));
                    lists.push((name.clone(), set));
                }
            }
        }
        let entity = |uid: &EntityUid, tags| {
            Entity::new_with_tags(uid.clone(), [], [], tags).map_err(|error| error.to_string())
        };
        Ok([
            entity(&self.claims, claims)?,
            entity(&self.claim_lists, lists)?,
        ])
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

fn slice(guardrails: &[Policy], permit: Policy, findings: &mut Findings) -> Option<Slice> {
    let policies = guardrails.iter().cloned().chain([permit]);
    let policies: Vec<Policy> = policies.collect();
    let reads_claims = policies.iter().any(reads_claims);
    match PolicySet::from_policies(policies) {
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

/// Whether `policy` can look at a claim: an attribute is always named in full.
fn reads_claims(policy: &Policy) -> bool {
    policy.to_json().map_or(true, |json| {
        let json = json.to_string();
        json.contains("\"claims\"") || json.contains("\"claim_lists\"")
    })
}

fn uid(kind: &str, id: &str) -> Result<EntityUid, String> {
    let kind = EntityTypeName::from_str(kind).map_err(|error| error.to_string())?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

/// The part of a request that only depends on the grant.
fn question(
    workload: &Workload,
    target: &Target<'_>,
    slice: Arc<Slice>,
) -> Result<Question, String> {
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let owner = uid("Owner", workload.id.owner.as_str())?;
    let principal = uid("Workload", &workload.id.to_string())?;
    let mut owners = BTreeSet::from([workload.id.owner.clone()]);
    let attributes = [
        ("name".to_owned(), text(workload.id.name.as_str())),
        (
            "owner".to_owned(),
            RestrictedExpression::new_entity_uid(owner.clone()),
        ),
        (
            "environment".to_owned(),
            text(workload.environment.as_str()),
        ),
        ("purpose".to_owned(), text(&workload.purpose)),
    ];
    let mut entities = vec![
        Entity::new_with_tags(principal.clone(), attributes, [owner], [])
            .map_err(|error| error.to_string())?,
    ];
    let (action, resource) = match target {
        Target::Certificate(domain) => {
            let resource = uid("TrustDomain", domain.as_str())?;
            entities.push(Entity::with_uid(resource.clone()));
            ("issue_certificate", resource)
        }
        Target::Token(audience) => {
            let resource = uid("Audience", audience.id.as_str())?;
            let mut attributes = Vec::new();
            let mut parents = Vec::new();
            if let Some(owner) = &audience.owner {
                let parent = uid("Owner", owner.as_str())?;
                let value = RestrictedExpression::new_entity_uid(parent.clone());
                attributes.push(("owner".to_owned(), value));
                parents.push(parent);
                owners.insert(owner.clone());
            }
            if let Some(environment) = &audience.environment {
                attributes.push(("environment".to_owned(), text(environment.as_str())));
            }
            let entity = Entity::new_with_tags(resource.clone(), attributes, parents, []);
            entities.push(entity.map_err(|error| error.to_string())?);
            ("issue_token", resource)
        }
    };
    for owner in owners {
        entities.push(Entity::with_uid(uid("Owner", owner.as_str())?));
    }
    Ok(Question {
        principal,
        action: uid("Action", action)?,
        resource,
        entities: Entities::from_entities(entities, None).map_err(|error| error.to_string())?,
        slice,
    })
}

#[cfg(test)]
mod tests;
