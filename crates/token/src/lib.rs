#![doc = include_str!("../README.md")]

mod audience;
pub mod base64url;
mod certificate;
mod claims;
mod compact;
mod confirmation;
mod excerpt;
pub mod feed;
mod header;
mod id;
pub mod json;
mod names;
mod scope;
mod spiffe;
mod text;
mod time;

pub use audience::Audiences;
pub use base64url::Base64Error;
pub use certificate::{
    CertificateClaims, EXTENSION_OID, ExtensionError, MAX_EXTENSION_BYTES, extension_oid_der,
};
pub use claims::{
    Actor, Claims, ClaimsError, DayflyClaims, MAX_ACTOR_DEPTH, MAX_ANCESTORS, MAX_SOURCE_BYTES,
};
pub use compact::{Compact, CompactError, MAX_TOKEN_BYTES, Part, assemble};
pub use confirmation::Confirmation;
pub use excerpt::Excerpt;
pub use header::{Header, HeaderError, MAX_KID_BYTES, is_kid};
pub use id::{CredentialId, DecisionId, IdError};
pub use json::JsonError;
pub use names::{AudienceId, NameError, Slug, TaskId, TaskName, WorkloadId};
pub use scope::{MAX_SCOPES, Scope, ScopeSet};
pub use spiffe::{
    MAX_SPIFFE_ID_BYTES, MAX_TRUST_DOMAIN_BYTES, SpiffeId, SpiffeIdError, TrustDomain,
};
pub use time::UnixTime;
