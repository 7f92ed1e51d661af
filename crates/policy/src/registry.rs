//! The compiled registry: immutable, and looked things up in.

use std::collections::BTreeMap;

use dayfly_token::{AudienceId, ScopeSet, Slug, WorkloadId};
use serde_json::{Map, Value};

use crate::gate::{Engine, Gate};
use crate::matching::Matcher;
use crate::pattern::WorkloadPattern;
use crate::rule_index::RuleIndex;
use crate::{Binding, Limits, Source};

/// The scopes at the issuer itself.
pub(crate) const ADMIN_SCOPES: &[&str] = &[
    "dayfly:audit",
    "dayfly:hold",
    "dayfly:introspect",
    "dayfly:keys",
    "dayfly:revoke",
    "dayfly:task",
];
/// What scopes of registered audiences must not begin with.
pub(crate) const ADMIN_PREFIX: &str = "dayfly:";

/// Everything that decisions are made from, compiled and checked.
pub struct Registry {
    pub(crate) version: String,
    pub(crate) limits: Limits,
    pub(crate) owners: BTreeMap<Slug, Owner>,
    pub(crate) audiences: BTreeMap<AudienceId, Audience>,
    pub(crate) workloads: BTreeMap<WorkloadId, Workload>,
    /// In the order of their names.
    pub(crate) rules: Vec<Rule>,
    pub(crate) rule_index: RuleIndex,
    pub(crate) engine: Engine,
    pub(crate) max_lifetime_secs: u64,
}

/// Who answers for something.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Owner {
    /// The name.
    pub name: Slug,
    /// Whom to ask.
    pub contact: String,
}

/// A registered API.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Audience {
    /// The value of `aud`.
    pub id: AudienceId,
    /// Its owner; `None` for the issuer itself.
    pub owner: Option<Slug>,
    /// Its environment; `None` for the issuer itself.
    pub environment: Option<Slug>,
    /// The scopes that it knows.
    pub scopes: ScopeSet,
    /// The workloads that run it.
    pub operators: Vec<WorkloadPattern>,
    /// The workloads of other owners that may have grants for it.
    pub callers: Vec<WorkloadPattern>,
}

impl Audience {
    /// Whether the grants of `workload` for this audience take effect.
    pub(crate) fn admits(&self, workload: &WorkloadId) -> bool {
        self.owner
            .as_ref()
            .is_none_or(|owner| *owner == workload.owner)
            || self.callers.iter().any(|caller| caller.matches(workload))
    }
}

/// A registered workload.
#[non_exhaustive]
pub struct Workload {
    /// Its name with its owner's.
    pub id: WorkloadId,
    /// Its environment.
    pub environment: Slug,
    /// What it is for.
    pub purpose: String,
    pub(crate) grants: BTreeMap<AudienceId, Grant>,
    pub(crate) certificate: Option<CertificateGrant>,
    pub(crate) admin: Vec<AdminGrant>,
}

impl Workload {
    /// The audiences that it has grants for, and the scopes of each.
    pub fn grants(&self) -> impl Iterator<Item = (&AudienceId, &ScopeSet)> {
        self.grants.iter().map(|(id, grant)| (id, &grant.scopes))
    }

    /// Whether it may have certificates.
    #[must_use]
    pub const fn has_certificate(&self) -> bool {
        self.certificate.is_some()
    }
}

impl std::fmt::Debug for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workload")
            .field("id", &self.id)
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}

/// How a principal maps to a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rule {
    /// Its name.
    pub name: Slug,
    /// The workload that it maps to.
    pub workload: WorkloadId,
    /// Whose evidence it is for.
    pub source: Source,
    pub(crate) matcher: Matcher,
}

/// What holds for tokens and certificates alike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) ttl_secs: u64,
    pub(crate) require_task: bool,
    pub(crate) require_purpose: bool,
}

/// What a workload may get for one audience.
pub(crate) struct Grant {
    pub(crate) terms: Terms,
    pub(crate) scopes: ScopeSet,
    pub(crate) binding: Option<Binding>,
    pub(crate) narrowable: bool,
    pub(crate) details: Vec<Map<String, Value>>,
    pub(crate) gate: Gate,
}

/// What certificates a workload may get.
pub(crate) struct CertificateGrant {
    pub(crate) terms: Terms,
    pub(crate) dns_names: Vec<String>,
    pub(crate) gate: Gate,
}

/// Rights at the issuer itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdminGrant {
    /// The `dayfly:` scopes.
    pub scopes: ScopeSet,
    /// Over whose things; `None` for every owner's.
    pub owner: Option<Slug>,
}

impl Registry {
    /// The digest of everything that was compiled: 32 hexadecimal digits, the same on every replica with the same
    /// sources.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The workload `id`.
    #[must_use]
    pub fn workload(&self, id: &WorkloadId) -> Option<&Workload> {
        self.workloads.get(id)
    }

    /// All workloads, in the order of their names.
    pub fn workloads(&self) -> impl Iterator<Item = &Workload> {
        self.workloads.values()
    }

    /// The audience `id`; the issuer itself is one.
    #[must_use]
    pub fn audience(&self, id: &AudienceId) -> Option<&Audience> {
        self.audiences.get(id)
    }

    /// All audiences, in the order of their ids.
    pub fn audiences(&self) -> impl Iterator<Item = &Audience> {
        self.audiences.values()
    }

    /// All owners, in the order of their names.
    pub fn owners(&self) -> impl Iterator<Item = &Owner> {
        self.owners.values()
    }

    /// The rule `name`.
    #[must_use]
    pub fn rule(&self, name: &Slug) -> Option<&Rule> {
        let index = self
            .rules
            .binary_search_by(|rule| rule.name.cmp(name))
            .ok()?;
        self.rules.get(index)
    }

    /// All rules, in the order of their names.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// Whether `workload` runs the API `audience`.
    #[must_use]
    pub fn is_operator(&self, audience: &AudienceId, workload: &WorkloadId) -> bool {
        self.audience(audience).is_some_and(|audience| {
            audience
                .operators
                .iter()
                .any(|operator| operator.matches(workload))
        })
    }

    /// The rights of `workload` at the issuer itself.
    #[must_use]
    pub fn admin(&self, workload: &WorkloadId) -> Vec<AdminGrant> {
        self.workload(workload)
            .map(|workload| workload.admin.clone())
            .unwrap_or_default()
    }

    /// The longest life of anything that this registry lets be minted, in seconds: L.
    #[must_use]
    pub const fn max_lifetime_secs(&self) -> u64 {
        self.max_lifetime_secs
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry")
            .field("version", &self.version)
            .field("owners", &self.owners.len())
            .field("audiences", &self.audiences.len())
            .field("workloads", &self.workloads.len())
            .field("rules", &self.rules.len())
            .finish_non_exhaustive()
    }
}
