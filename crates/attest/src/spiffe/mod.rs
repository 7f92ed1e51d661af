//! X509-SVIDs: bundles of trust domains, the path to them, and the check of clients' certificates.

mod bundle;
mod bundles;
mod client_verifier;
mod source;

pub use bundle::BundleDocument;
pub(crate) use bundles::ProvenSvid;
pub use bundles::{BundleReport, BundleStatus, ReloadOutcome, TrustBundles};
pub use client_verifier::SvidClientVerifier;
pub use dayfly_verifier::x509::{
    BundleError, ChainError, MAX_AUTHORITIES, MAX_BUNDLE_BYTES, MAX_INTERMEDIATES, MAX_SAME_SUBJECT,
};
pub use source::{BundleSource, TrustBundlesError};
