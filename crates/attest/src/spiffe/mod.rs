//! X509-SVIDs: bundles of trust domains, the path to them, and the check of clients' certificates.

mod bundle;
mod bundles;
mod chain;
mod client_verifier;
mod proven;
mod source;

pub use bundle::{BundleDocument, BundleError, MAX_AUTHORITIES, MAX_BUNDLE_BYTES};
pub use bundles::{BundleReport, BundleStatus, ReloadOutcome, TrustBundles};
pub use chain::{ChainError, MAX_INTERMEDIATES, MAX_SAME_SUBJECT};
pub use client_verifier::SvidClientVerifier;
pub(crate) use proven::ProvenSvid;
pub use source::{BundleSource, TrustBundlesError};
