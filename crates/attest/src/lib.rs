//! Evidence to principal: X509-SVIDs, OIDC tokens and our own access tokens.
//!
//! [`Attestor::attest`] is the one way from [`Evidence`] to a
//! [`Principal`](dayfly_policy::Principal). It takes the present as an argument; what it trusts (bundles of trust
//! domains, keys of issuers) is kept fresh beside it, and the last good state stays in force while a source fails.
//! Nothing is ever fetched for an issuer that is not configured.

mod attestor;
mod digest;
mod error;
pub mod oidc;
mod own;
pub mod spiffe;

pub use attestor::{Attestor, Evidence};
pub use error::AttestError;
pub use oidc::{
    IssuerStatus, JwksSource, OidcConfigError, OidcIssuerConfig, OidcIssuers, RefreshTiming,
};
pub use spiffe::{
    BundleReport, BundleSource, BundleStatus, ReloadOutcome, SvidClientVerifier, TrustBundles,
    TrustBundlesError,
};
