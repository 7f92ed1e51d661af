//! Where bundles come from.

use std::path::{Path, PathBuf};

use dayfly_token::TrustDomain;
use dayfly_verifier::x509::{BundleError, MAX_BUNDLE_BYTES};

use super::bundle::BundleDocument;

/// Where the bundle of a trust domain comes from. The two are configured together, never inferred from each other.
#[derive(Debug, Clone)]
pub struct BundleSource {
    pub(super) trust_domain: TrustDomain,
    origin: Origin,
}

#[derive(Debug, Clone)]
enum Origin {
    File(PathBuf),
    Text(Vec<u8>),
}

impl BundleSource {
    /// A file with PEM certificates or a SPIFFE bundle document, read at every reload.
    pub fn file(trust_domain: TrustDomain, path: impl Into<PathBuf>) -> Self {
        let origin = Origin::File(path.into());
        Self {
            trust_domain,
            origin,
        }
    }

    /// The same in memory.
    pub fn text(trust_domain: TrustDomain, text: impl Into<Vec<u8>>) -> Self {
        let origin = Origin::Text(text.into());
        Self {
            trust_domain,
            origin,
        }
    }

    /// Whose bundle it is.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    pub(super) fn read(&self) -> Result<Loaded, TrustBundlesError> {
        let refused = |source| TrustBundlesError::Refused {
            trust_domain: self.trust_domain.clone(),
            source,
        };
        let document = match &self.origin {
            Origin::Text(text) => BundleDocument::parse(&self.trust_domain, text),
            Origin::File(path) => {
                let bytes = read_file(path).map_err(|source| TrustBundlesError::Unreadable {
                    trust_domain: self.trust_domain.clone(),
                    path: path.clone(),
                    source,
                })?;
                BundleDocument::parse(&self.trust_domain, &bytes)
            }
        };
        let document = document.map_err(refused)?;
        Ok(Loaded { document })
    }
}

/// Reads one byte more than the limit at most, so that a runaway file cannot fill the memory.
fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(MAX_BUNDLE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Why bundles could not be put in force.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustBundlesError {
    /// Two bundles for one trust domain: they are never merged.
    #[error("trust domain `{trust_domain}` has two bundles")]
    Duplicate {
        /// The trust domain.
        trust_domain: TrustDomain,
    },
    /// A bundle was read and refused.
    #[error("the bundle of `{trust_domain}` is refused")]
    Refused {
        /// The trust domain.
        trust_domain: TrustDomain,
        /// What is wrong with it.
        source: BundleError,
    },
    /// A file could not be read.
    #[error("the bundle of `{trust_domain}` cannot be read from {}", path.display())]
    Unreadable {
        /// The trust domain.
        trust_domain: TrustDomain,
        /// The file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
}

/// A bundle in force.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) document: BundleDocument,
}

impl Loaded {
    pub(super) fn says_the_same_as(&self, other: &Self) -> bool {
        self.document.x509 == other.document.x509
            && self.document.sequence == other.document.sequence
    }
}
