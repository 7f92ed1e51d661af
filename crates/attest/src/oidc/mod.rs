//! OIDC issuers: their configuration, their keys kept fresh, and the check of their tokens.

mod algorithm;
mod attributes;
mod claims;
mod config;
mod fetched;
mod issuer;
mod issuers;
mod jwks;
mod location;
mod preset;
mod schedule;
mod token;

pub use config::{JwksSource, MAX_AUDIENCES, MAX_LIFETIME_SECS, OidcConfigError, OidcIssuerConfig};
pub use issuers::{IssuerStatus, OidcIssuers};
pub use jwks::{JwksError, MAX_JWKS_BYTES, MAX_JWKS_KEYS};
pub use location::LocationError;
pub use schedule::RefreshTiming;
pub(crate) use token::ProvenToken;
