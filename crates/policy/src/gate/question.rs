//! What Cedar is told: who asks for what, and what the evidence says.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression, Schema,
};
use dayfly_token::{ScopeSet, Slug, TaskId, TrustDomain, UnixTime};

use super::Slice;
use crate::Binding;
use crate::principal::{Attribute, Principal};
use crate::registry::{Audience, Workload};

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

/// The part of a request to Cedar that only depends on the grant.
pub(super) struct Question {
    principal: EntityUid,
    action: EntityUid,
    resource: EntityUid,
    pub(super) entities: Entities,
    pub(super) slice: Arc<Slice>,
}

impl Question {
    pub(super) fn new(
        workload: &Workload,
        target: &Target<'_>,
        slice: Arc<Slice>,
    ) -> Result<Self, String> {
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
            Target::Certificate(domain) => (
                "issue_certificate",
                Entity::with_uid(uid("TrustDomain", domain.as_str())?),
            ),
            Target::Token(audience) => {
                owners.extend(audience.owner.clone());
                ("issue_token", audience_entity(audience)?)
            }
        };
        let resource_uid = resource.uid();
        entities.push(resource);
        for owner in owners {
            entities.push(Entity::with_uid(uid("Owner", owner.as_str())?));
        }
        Ok(Self {
            principal,
            action: uid("Action", action)?,
            resource: resource_uid,
            entities: Entities::from_entities(entities, None).map_err(|error| error.to_string())?,
            slice,
        })
    }

    /// The request; `schema` checks it.
    pub(super) fn request(
        &self,
        context: Context,
        schema: Option<&Schema>,
    ) -> Result<cedar_policy::Request, String> {
        cedar_policy::Request::new(
            self.principal.clone(),
            self.action.clone(),
            self.resource.clone(),
            context,
            schema,
        )
        .map_err(|error| error.to_string())
    }
}

fn audience_entity(audience: &Audience) -> Result<Entity, String> {
    let mut attributes = Vec::new();
    let mut parents = Vec::new();
    if let Some(owner) = &audience.owner {
        let parent = uid("Owner", owner.as_str())?;
        let value = RestrictedExpression::new_entity_uid(parent.clone());
        attributes.push(("owner".to_owned(), value));
        parents.push(parent);
    }
    if let Some(environment) = &audience.environment {
        attributes.push(("environment".to_owned(), text(environment.as_str())));
    }
    let id = uid("Audience", audience.id.as_str())?;
    Entity::new_with_tags(id, attributes, parents, []).map_err(|error| error.to_string())
}

/// The id of the two entities that carry the claims of the evidence.
pub(crate) const EVIDENCE: &str = "evidence";
/// Their types.
pub(crate) const CLAIMS: &str = "Claims";
pub(crate) const CLAIM_LISTS: &str = "ClaimLists";

/// The entities that carry the claims of the evidence.
pub(super) struct Evidence {
    claims: EntityUid,
    lists: EntityUid,
}

impl Evidence {
    pub(super) fn new() -> Result<Self, String> {
        Ok(Self {
            claims: uid(CLAIMS, EVIDENCE)?,
            lists: uid(CLAIM_LISTS, EVIDENCE)?,
        })
    }

    pub(super) fn context(&self, facts: &Facts<'_>) -> Result<Context, String> {
        let principal = facts.principal;
        let entity = |uid: &EntityUid| RestrictedExpression::new_entity_uid(uid.clone());
        let long = |n: u64| RestrictedExpression::new_long(i64::try_from(n).unwrap_or(i64::MAX));
        let mut pairs = vec![
            ("method", text(principal.method.as_str())),
            ("source", text(&principal.source.to_string())),
            ("subject", text(&principal.subject)),
            ("rule", text(facts.rule.as_str())),
            ("claims", entity(&self.claims)),
            ("claim_lists", entity(&self.lists)),
            ("scopes", set(facts.scopes.iter().map(|s| s.as_str()))),
            ("dns_names", set(facts.dns_names.iter().map(String::as_str))),
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
        let pairs = pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        Context::from_pairs(pairs).map_err(|error| error.to_string())
    }

    pub(super) fn entities(&self, principal: &Principal) -> Result<[Entity; 2], String> {
        let mut claims = Vec::new();
        let mut lists = Vec::new();
        for (name, attribute) in &principal.attributes {
            match attribute {
                Attribute::Text(value) => claims.push((name.clone(), text(value))),
                Attribute::Integer(value) => claims.push((name.clone(), text(&value.to_string()))),
                Attribute::Flag(value) => claims.push((name.clone(), text(&value.to_string()))),
                Attribute::List(values) => {
                    lists.push((name.clone(), set(values.iter().map(String::as_str))));
                }
            }
        }
        let entity = |uid: &EntityUid, tags| {
            Entity::new_with_tags(uid.clone(), [], [], tags).map_err(|error| error.to_string())
        };
        Ok([entity(&self.claims, claims)?, entity(&self.lists, lists)?])
    }
}

fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn set<'a>(texts: impl Iterator<Item = &'a str>) -> RestrictedExpression {
    RestrictedExpression::new_set(texts.map(text))
}

fn uid(kind: &str, id: &str) -> Result<EntityUid, String> {
    let kind = EntityTypeName::from_str(kind).map_err(|error| error.to_string())?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}
