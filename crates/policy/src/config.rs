//! The file formats: what stands in `registry/<owner>/*.toml`, and what the main file hands over.
//!
//! Unknown keys are refused everywhere. Nothing here has been checked against anything else yet.

use std::collections::BTreeMap;

use dayfly_token::{AudienceId, Scope, Slug, TrustDomain, WorkloadId};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::pattern::WorkloadPattern;
use crate::value::{Located, MatchValue};
use crate::{Binding, Lifetime, Source};

/// One file of `registry/<owner>/`. The folder names the owner; its files may define only that owner's things.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistryFile {
    /// Who answers for everything in this folder. Stands in exactly one file of the folder.
    pub owner: Option<Located<OwnerConfig>>,
    /// The APIs of this owner. Default: none.
    #[serde(default)]
    pub audience: Vec<Located<AudienceConfig>>,
    /// The workloads of this owner. Default: none.
    #[serde(default)]
    pub workload: Vec<Located<WorkloadConfig>>,
}

/// An owner.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnerConfig {
    /// Whom to ask: an address or a channel, 1 to 256 characters.
    pub contact: String,
}

/// An API that tokens are minted for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AudienceConfig {
    /// The value of `aud`, as the API compares it, byte by byte.
    #[schemars(with = "String")]
    pub id: AudienceId,
    /// Its environment, such as `prod`.
    #[schemars(with = "String")]
    pub environment: Slug,
    /// The scopes that it knows. `dayfly:` is reserved.
    #[schemars(with = "Vec<String>")]
    pub scopes: Vec<Scope>,
    /// The workloads that run it, `owner/name` or `owner/*`: they may introspect its tokens. Default: none.
    #[serde(default)]
    pub operators: Vec<WorkloadPattern>,
    /// The workloads of other owners that may have grants for it, `owner/name` or `owner/*`. The owner's own need no
    /// mention. Default: none.
    #[serde(default)]
    pub callers: Vec<WorkloadPattern>,
}

/// A workload: what evidence is mapped to, and the subject of its credentials.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadConfig {
    /// Its name within the owner.
    #[schemars(with = "String")]
    pub name: Slug,
    /// Its environment, such as `prod`.
    #[schemars(with = "String")]
    pub environment: Slug,
    /// What it is for, in words, 1 to 256 characters.
    pub purpose: String,
    /// How evidence is recognised as this workload. Default: none, and then it gets nothing.
    #[serde(default)]
    pub rule: Vec<Located<RuleConfig>>,
    /// What it may get tokens for, one for each audience. Default: none.
    #[serde(default)]
    pub grant: Vec<Located<GrantConfig>>,
    /// That it may get certificates, and which. Default: none.
    pub certificate: Option<Located<CertificateConfig>>,
}

/// How evidence is recognised: `issuer` with `match`, or `trust_domain` with `spiffe_id`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// Its name, unique in the whole registry: callers, the audit and cut-offs use it.
    #[schemars(with = "String")]
    pub name: Slug,
    /// The name of an `[[oidc_issuer]]` of the main file.
    #[schemars(with = "Option<String>")]
    pub issuer: Option<Slug>,
    /// The name of a `[[trust_domain_bundle]]` of the main file.
    #[schemars(with = "Option<String>")]
    pub trust_domain: Option<TrustDomain>,
    /// Claims that must all be as written: a string, a list of strings (any of them), an integer or a boolean. A string
    /// may end in `/*`, which stands for one more segment of letters, digits, dots, underscores and hyphens. The name of
    /// a nested claim is quoted, as in `"kubernetes.io.namespace"`.
    #[serde(default, rename = "match")]
    pub claims: BTreeMap<String, Located<MatchValue>>,
    /// The SPIFFE ID, or one that ends in `/*` for every ID with exactly one more segment.
    pub spiffe_id: Option<Located<String>>,
    /// Allows GitHub events that are not known to need write access: by most of them, such as `pull_request_target` and
    /// `workflow_run`, strangers can start code with the rights of the default branch. Default: false.
    #[serde(default)]
    pub danger_untrusted_events: bool,
}

/// What a workload may get tokens for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantConfig {
    /// The audience. One of another owner takes effect only if that audience lists the workload in `callers`.
    #[schemars(with = "String")]
    pub audience: AudienceId,
    /// The scopes, a subset of the audience's.
    #[schemars(with = "Vec<String>")]
    pub scopes: Vec<Scope>,
    /// The longest life, 30s to 1h. Default: 5m.
    pub ttl: Option<Lifetime>,
    /// Whether a request must name a task. Default: false.
    #[serde(default)]
    pub require_task: bool,
    /// Whether a request must say its purpose. Default: false.
    #[serde(default)]
    pub require_purpose: bool,
    /// Whom the tokens are bound to. Default: `certificate` for callers with a client certificate, `none` for others.
    pub binding: Option<BindingConfig>,
    /// A Cedar condition on `principal`, `resource` and `context` (api/policy.cedarschema), such as
    /// `context.claims.hasTag("ref") && context.claims.getTag("ref") == "refs/heads/main"`. Default: none.
    pub when: Option<Located<String>>,
    /// Whether whoever holds a bound token of this grant may exchange it for a narrower one without proving the
    /// binding; the narrower one stays bound. Default: false.
    #[serde(default)]
    pub narrowable: bool,
    /// To which audiences an operator of this audience may delegate. Checked, and without effect until delegation is
    /// built. Default: none.
    #[serde(default)]
    pub delegate: Vec<DelegateConfig>,
    /// Authorization details (RFC 9396), at most 16. A request may ask for less: the same members, and in arrays of
    /// strings a part of them, and each object at most once. Default: none.
    #[serde(default)]
    pub authorization_details: Vec<Map<String, Value>>,
    /// Allows a grant across environments. Default: false.
    #[serde(default)]
    pub danger_other_environment: bool,
}

/// An audience that a token of a grant may be delegated to.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelegateConfig {
    /// The audience.
    #[schemars(with = "String")]
    pub audience: AudienceId,
    /// The scopes, a subset of that audience's.
    #[schemars(with = "Vec<String>")]
    pub scopes: Vec<Scope>,
}

/// That a workload may get certificates.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateConfig {
    /// The longest life, 60s to 1h. Default: 15m.
    pub ttl: Option<Lifetime>,
    /// The DNS names that a request may ask for, without wildcards; no other owner's workload has them. Default: none.
    #[serde(default)]
    pub dns_names: Vec<String>,
    /// Whether a request must name a task. Default: false.
    #[serde(default)]
    pub require_task: bool,
    /// Whether a request must say its purpose. Default: false.
    #[serde(default)]
    pub require_purpose: bool,
    /// A Cedar condition, as in a grant. Default: none.
    pub when: Option<Located<String>>,
}

/// Whom tokens are bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BindingConfig {
    /// The client certificate of the connection.
    Certificate,
    /// Any SVID with the attested SPIFFE ID: it survives rotation of the SVID.
    SpiffeId,
    /// Nobody: whoever holds the token can use it.
    None,
}

impl From<BindingConfig> for Binding {
    fn from(config: BindingConfig) -> Self {
        match config {
            BindingConfig::Certificate => Self::Certificate,
            BindingConfig::SpiffeId => Self::SpiffeId,
            BindingConfig::None => Self::None,
        }
    }
}

/// `[[grant]]` of the main file: a right at the issuer itself.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminGrantConfig {
    /// The workload, `owner/name`.
    #[schemars(with = "String")]
    pub workload: WorkloadId,
    /// Of `dayfly:task`, `dayfly:revoke`, `dayfly:hold`, `dayfly:audit`, `dayfly:keys`, `dayfly:introspect`.
    #[schemars(with = "Vec<String>")]
    pub scopes: Vec<Scope>,
    /// The owner over whose things the right reaches. Default: every owner's.
    #[schemars(with = "Option<String>")]
    pub owner: Option<Slug>,
}

/// How many credentials may be issued. Each number is at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Issuances for one workload in a minute, over time. Default: 600.
    #[schemars(range(min = 1))]
    pub workload_per_minute: u32,
    /// Issuances for one workload at once: its instances that start together. Default: 200.
    #[schemars(range(min = 1))]
    pub workload_burst: u32,
    /// Issuances for all workloads of one owner in a minute, over time. Default: 3000.
    #[schemars(range(min = 1))]
    pub owner_per_minute: u32,
    /// Issuances for all workloads of one owner at once. Default: 1000.
    #[schemars(range(min = 1))]
    pub owner_burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            workload_per_minute: 600,
            workload_burst: 200,
            owner_per_minute: 3000,
            owner_burst: 1000,
        }
    }
}

/// What rules of an OIDC issuer are held to at load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// GitHub Actions.
    Github,
    /// Any other issuer.
    Custom,
}

/// A source of evidence that the main file configures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceInfo {
    /// Which.
    pub source: Source,
    /// What its rules are held to; `None` for a trust domain, and like `custom` for an issuer.
    pub preset: Option<Preset>,
    /// Whether others than this organisation get evidence from it too.
    pub shared: bool,
}

/// What the main file says that the registry depends on.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The issuer: the audience of its own API.
    pub issuer: AudienceId,
    /// The issuer's own trust domain.
    pub trust_domain: TrustDomain,
    /// The configured sources of evidence.
    pub sources: Vec<SourceInfo>,
    /// `[[grant]]` of the main file.
    pub admin_grants: Vec<AdminGrantConfig>,
    /// The rate limits.
    pub limits: Limits,
}
