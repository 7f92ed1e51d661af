//! Patterns over workloads and SPIFFE IDs: one whole last segment, or none.

use std::borrow::Cow;
use std::fmt;

use dayfly_token::{Slug, SpiffeId, WorkloadId};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// `owner/name`, or `owner/*` for every workload of an owner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkloadPattern {
    /// The owner.
    pub owner: Slug,
    /// The workload; `None` stands for each.
    pub name: Option<Slug>,
}

impl WorkloadPattern {
    /// Whether `workload` is one of those meant.
    #[must_use]
    pub fn matches(&self, workload: &WorkloadId) -> bool {
        self.owner == workload.owner && self.name.as_ref().is_none_or(|name| *name == workload.name)
    }
}

impl fmt::Display for WorkloadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{}/{name}", self.owner),
            None => write!(f, "{}/*", self.owner),
        }
    }
}

impl<'de> Deserialize<'de> for WorkloadPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed = match text.strip_suffix("/*") {
            Some(owner) => owner.parse().map(|owner| Self { owner, name: None }),
            None => text.parse().map(|id: WorkloadId| Self {
                owner: id.owner,
                name: Some(id.name),
            }),
        };
        parsed.map_err(|error| {
            D::Error::custom(format_args!(
                "{error}; write `owner/name`, or `owner/*` for all of an owner"
            ))
        })
    }
}

impl JsonSchema for WorkloadPattern {
    fn schema_name() -> Cow<'static, str> {
        "WorkloadPattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "`owner/name`, or `owner/*` for every workload of an owner",
            "examples": ["billing/invoices", "billing/*"],
        })
    }
}

/// Which SPIFFE IDs a rule means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SpiffePattern {
    /// This one.
    Exact(SpiffeId),
    /// Those with exactly one segment more.
    Children(SpiffeId),
}

impl SpiffePattern {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let Some(parent) = text.strip_suffix("/*") else {
            if text.contains('*') {
                return Err("`*` stands only for a whole last segment: write `spiffe://domain/path/*`, or the exact ID".to_owned());
            }
            let id: SpiffeId = text.parse().map_err(|error| format!("{error}"))?;
            if id.path().is_empty() {
                return Err(
                    "the trust domain itself is no workload: write the whole SPIFFE ID".to_owned(),
                );
            }
            return Ok(Self::Exact(id));
        };
        let id: SpiffeId = parent.parse().map_err(|error| format!("{error}"))?;
        if id.path().is_empty() {
            return Err(format!(
                "`{text}` means every workload at the top of the trust domain: write at least one segment before `/*`"
            ));
        }
        Ok(Self::Children(id))
    }

    pub(crate) const fn id(&self) -> &SpiffeId {
        match self {
            Self::Exact(id) | Self::Children(id) => id,
        }
    }
}
