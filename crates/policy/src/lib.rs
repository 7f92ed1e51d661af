#![doc = include_str!("../README.md")]
#![allow(
    clippy::result_large_err,
    reason = "a denial is an answer like any other: at most one is built for each request"
)]

mod case;
mod compile;
mod config;
mod decide;
mod decision;
mod details;
mod explain;
mod federation;
mod finding;
mod gate;
mod guardrail;
mod lifetime;
mod load;
mod matching;
mod nesting;
mod pattern;
mod principal;
mod registry;
mod rule_index;
mod value;

pub use config::{
    AdminGrantConfig, AudienceConfig, BindingConfig, CertificateConfig, DelegateConfig,
    GrantConfig, Limits, LoadOptions, OwnerConfig, Preset, RegistryFile, RuleConfig, SourceInfo,
    WorkloadConfig,
};
pub use decision::{
    Binding, CredentialKind, Decision, Denial, DenialReason, MAX_PURPOSE_CHARS, NearMiss, Permit,
    RateLimit, Request,
};
pub use explain::{Explanation, RuleTrace};
pub use finding::{Lint, LoadErrors};
pub use gate::CEDAR_SCHEMA;
pub use lifetime::{
    DEFAULT_CERTIFICATE_SECS, DEFAULT_TOKEN_SECS, Lifetime, MAX_LIFETIME_SECS,
    MIN_CERTIFICATE_SECS, MIN_TOKEN_SECS,
};
pub use pattern::WorkloadPattern;
pub use principal::{Attribute, Method, Parent, Peer, Principal, Source};
pub use registry::{AdminGrant, Audience, Owner, Registry, Rule, Workload};
pub use value::{Located, MatchValue};
