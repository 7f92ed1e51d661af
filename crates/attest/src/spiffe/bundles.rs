//! The trust bundles in force, by trust domain.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use dayfly_token::{SpiffeId, TrustDomain, UnixTime};
use dayfly_verifier::PeerCertificate;
use dayfly_verifier::svid;
use dayfly_verifier::x509::{ChainError, ProvenCache, Usage, Validity};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::CertificateDer;
use spiffe::X509Bundle;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::source::{BundleSource, Loaded, TrustBundlesError};
use crate::AttestError;

/// What became of one trust domain at a reload.
#[derive(Debug)]
pub struct BundleReport {
    /// The trust domain.
    pub trust_domain: TrustDomain,
    /// What became of it.
    pub outcome: ReloadOutcome,
}

/// What became of the bundle of a trust domain at a reload.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReloadOutcome {
    /// The new one was refused; the last good one stays in force.
    Kept {
        /// Why.
        error: TrustBundlesError,
    },
    /// No longer configured: its SVIDs are refused from now on.
    Removed,
    /// In force from now on.
    Replaced {
        /// How many authorities it has; with none, every SVID of the domain is refused.
        authorities: usize,
    },
    /// The same as before.
    Unchanged,
}

/// The state of one trust domain, for readiness and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleStatus {
    /// The trust domain.
    pub trust_domain: TrustDomain,
    /// How many authorities it has.
    pub authorities: usize,
    /// `spiffe_sequence` of the document, if it has one.
    pub sequence: Option<u64>,
    /// `spiffe_refresh_hint` of the document in seconds, if it has one.
    pub refresh_hint_secs: Option<u64>,
}

/// SVIDs are evidence of those who call.
const CLIENT: Usage = Usage::Client;

/// A certificate that is an X509-SVID with a path to the bundle of its trust domain.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProvenSvid {
    pub(crate) id: SpiffeId,
    /// When every certificate of the path is valid.
    pub(crate) validity: Validity,
    /// SHA-256 of what the CA signed: another signature over the same is the same evidence.
    pub(crate) digest: [u8; 32],
}

/// All bundles at one moment, with what was proven against them.
#[derive(Debug)]
struct InForce {
    version: u64,
    domains: BTreeMap<TrustDomain, Arc<Loaded>>,
    proven: ProvenCache<ProvenSvid>,
}

/// The trust bundles: the only thing that makes an X509-SVID believed. Each SVID is checked against the bundle of its
/// own trust domain alone; bundles are never pooled.
#[derive(Debug)]
pub struct TrustBundles {
    sources: Mutex<Vec<BundleSource>>,
    in_force: ArcSwap<InForce>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl TrustBundles {
    /// Reads all bundles. It reads files, and so blocks.
    ///
    /// # Errors
    /// If one of them cannot be read or is refused: nobody should start with less trust than was configured, unseen.
    pub fn load(sources: Vec<BundleSource>) -> Result<Self, TrustBundlesError> {
        check_distinct(&sources)?;
        let mut domains = BTreeMap::new();
        for source in &sources {
            let loaded = source.read()?;
            report_untrusted(&source.trust_domain, &loaded);
            domains.insert(source.trust_domain.clone(), Arc::new(loaded));
        }
        Ok(Self {
            sources: Mutex::new(sources),
            in_force: ArcSwap::from_pointee(InForce {
                version: 1,
                domains,
                proven: ProvenCache::default(),
            }),
            algorithms: rustls::crypto::aws_lc_rs::default_provider()
                .signature_verification_algorithms,
        })
    }

    /// Reads all bundles again. It reads files, and so blocks. A bundle that is refused leaves the last good one in
    /// force; so does a SPIFFE bundle document whose sequence number went back.
    pub fn reload(&self) -> Vec<BundleReport> {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        self.put_in_force(read_all(&sources))
    }

    /// Takes other sources in place of those in use, and reads them all. It reads files, and so blocks.
    ///
    /// # Errors
    /// If two are for one domain, or one for a domain that had none yet cannot be read. Then nothing has changed.
    pub fn reconfigure(
        &self,
        sources: Vec<BundleSource>,
    ) -> Result<Vec<BundleReport>, TrustBundlesError> {
        check_distinct(&sources)?;
        let mut current = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let in_force = self.in_force.load();
        let mut read = read_all(&sources);
        let is_new = |read: &(TrustDomain, _)| !in_force.domains.contains_key(&read.0);
        if let Some(failed) = read.iter().position(|read| is_new(read) && read.1.is_err()) {
            read.swap_remove(failed).1?;
        }
        *current = sources;
        Ok(self.put_in_force(read))
    }

    /// It grows with every change of what is in force.
    pub fn version(&self) -> u64 {
        self.in_force.load().version
    }

    /// The bundles in force.
    pub fn status(&self) -> Vec<BundleStatus> {
        let in_force = self.in_force.load();
        let status = |(trust_domain, loaded): (&TrustDomain, &Arc<Loaded>)| BundleStatus {
            trust_domain: trust_domain.clone(),
            authorities: loaded.document.trust.len(),
            sequence: loaded.document.sequence,
            refresh_hint_secs: loaded.document.refresh_hint_secs,
        };
        in_force.domains.iter().map(status).collect()
    }

    /// The bundle of a trust domain that is in force.
    pub fn x509_bundle(&self, trust_domain: &TrustDomain) -> Option<X509Bundle> {
        let in_force = self.in_force.load();
        let loaded = in_force.domains.get(trust_domain)?;
        Some(loaded.document.x509.clone())
    }

    /// The caller holds the lock of the sources, so that two reloads cannot overtake each other.
    fn put_in_force(&self, read: Vec<Read>) -> Vec<BundleReport> {
        let old = self.in_force.load_full();
        let mut domains = BTreeMap::new();
        let mut reports = Vec::with_capacity(read.len());
        for (trust_domain, loaded) in read {
            let known = old.domains.get(&trust_domain);
            let (kept, outcome) = replacement(&trust_domain, loaded, known);
            reports.push(report(&trust_domain, outcome));
            if let Some(loaded) = kept {
                domains.insert(trust_domain, loaded);
            }
        }
        for trust_domain in old.domains.keys() {
            let is_reported = |report: &BundleReport| report.trust_domain == *trust_domain;
            if !reports.iter().any(is_reported) {
                reports.push(report(trust_domain, ReloadOutcome::Removed));
            }
        }
        let changed = |report: &BundleReport| {
            matches!(
                report.outcome,
                ReloadOutcome::Replaced { .. } | ReloadOutcome::Removed
            )
        };
        if reports.iter().any(changed) {
            self.in_force.store(Arc::new(InForce {
                version: old.version.saturating_add(1),
                domains,
                proven: ProvenCache::default(),
            }));
        }
        reports
    }

    /// Proves that the peer's certificate is a valid SVID at `now`, by the bundles in force.
    pub(crate) fn prove(
        &self,
        peer: &PeerCertificate,
        now: UnixTime,
    ) -> Result<Arc<ProvenSvid>, AttestError> {
        let in_force = self.in_force.load();
        if let Some(svid) = in_force.proven.get(peer.thumbprint(), CLIENT, now) {
            return Ok(svid);
        }
        let intermediates: Vec<CertificateDer<'_>> = peer
            .chain()
            .iter()
            .skip(1)
            .map(|der| CertificateDer::from(der.as_slice()))
            .collect();
        let svid = self.prove_chain(&in_force, peer.leaf(), &intermediates, now)?;
        let known = Arc::clone(&svid);
        in_force
            .proven
            .insert(*peer.thumbprint(), CLIENT, svid.validity, known);
        Ok(svid)
    }

    /// The same for a chain that is still part of a handshake, which then proves the key of the leaf.
    pub(crate) fn prove_handshake(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Arc<ProvenSvid>, AttestError> {
        let in_force = self.in_force.load();
        let thumbprint = dayfly_keys::sha256(leaf);
        if let Some(svid) = in_force.proven.get(&thumbprint, CLIENT, now) {
            return Ok(svid);
        }
        let svid = self.prove_chain(&in_force, leaf, intermediates, now)?;
        let known = Arc::clone(&svid);
        in_force
            .proven
            .insert(thumbprint, CLIENT, svid.validity, known);
        Ok(svid)
    }

    /// SPIFFE X509-SVID section 5: the rules of the leaf first, then the path, with the bundle of its trust domain
    /// alone.
    fn prove_chain(
        &self,
        in_force: &InForce,
        leaf: &[u8],
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Arc<ProvenSvid>, AttestError> {
        let id: SpiffeId =
            svid::identity_of(leaf).map_err(|source| AttestError::Leaf { source })?;
        let Some(loaded) = in_force.domains.get(id.trust_domain()) else {
            return Err(AttestError::UnknownTrustDomain {
                trust_domain: id.trust_domain().clone(),
            });
        };
        let refused = |source| AttestError::Chain {
            trust_domain: id.trust_domain().clone(),
            source,
        };
        let validity = loaded
            .document
            .trust
            .check_path(leaf, intermediates, CLIENT, &self.algorithms, now)
            .map_err(refused)?
            .validity;
        let digest = signed_digest(leaf).map_err(refused)?;
        Ok(Arc::new(ProvenSvid {
            id,
            validity,
            digest,
        }))
    }
}

/// What a source said.
type Read = (TrustDomain, Result<Loaded, TrustBundlesError>);

fn read_all(sources: &[BundleSource]) -> Vec<Read> {
    let read = |source: &BundleSource| (source.trust_domain.clone(), source.read());
    sources.iter().map(read).collect()
}

/// What stays in force for a trust domain, and what to report.
fn replacement(
    trust_domain: &TrustDomain,
    read: Result<Loaded, TrustBundlesError>,
    known: Option<&Arc<Loaded>>,
) -> (Option<Arc<Loaded>>, ReloadOutcome) {
    let loaded = match read.and_then(|new| forward_only(trust_domain, new, known)) {
        Ok(loaded) => loaded,
        Err(error) => return (known.cloned(), ReloadOutcome::Kept { error }),
    };
    match known {
        Some(known) if known.says_the_same_as(&loaded) => {
            (Some(Arc::clone(known)), ReloadOutcome::Unchanged)
        }
        _ => {
            let authorities = loaded.document.trust.len();
            (
                Some(Arc::new(loaded)),
                ReloadOutcome::Replaced { authorities },
            )
        }
    }
}

fn forward_only(
    trust_domain: &TrustDomain,
    new: Loaded,
    known: Option<&Arc<Loaded>>,
) -> Result<Loaded, TrustBundlesError> {
    let current = known.and_then(|known| known.document.sequence);
    match new.document.trust.check_follows(current) {
        Ok(()) => Ok(new),
        Err(source) => Err(TrustBundlesError::Refused {
            trust_domain: trust_domain.clone(),
            source,
        }),
    }
}

fn signed_digest(leaf: &[u8]) -> Result<[u8; 32], ChainError> {
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|error| ChainError::Unreadable {
        reason: error.to_string(),
    })?;
    Ok(dayfly_keys::sha256(leaf.tbs_certificate.as_ref()))
}

fn check_distinct(sources: &[BundleSource]) -> Result<(), TrustBundlesError> {
    let mut seen = std::collections::BTreeSet::new();
    for source in sources {
        if !seen.insert(&source.trust_domain) {
            return Err(TrustBundlesError::Duplicate {
                trust_domain: source.trust_domain.clone(),
            });
        }
    }
    Ok(())
}

const NO_AUTHORITIES: &str = "trust bundle without authorities, all its SVIDs are refused";

fn report(trust_domain: &TrustDomain, outcome: ReloadOutcome) -> BundleReport {
    match &outcome {
        ReloadOutcome::Kept { error } => {
            tracing::error!(%trust_domain, %error, "trust bundle refused, the last good one stays");
        }
        ReloadOutcome::Replaced { authorities: 0 } => {
            tracing::warn!(%trust_domain, "{NO_AUTHORITIES}");
        }
        ReloadOutcome::Replaced { authorities } => {
            tracing::info!(%trust_domain, authorities, "trust bundle replaced");
        }
        ReloadOutcome::Removed => tracing::info!(%trust_domain, "trust domain removed"),
        ReloadOutcome::Unchanged => {}
    }
    BundleReport {
        trust_domain: trust_domain.clone(),
        outcome,
    }
}

fn report_untrusted(trust_domain: &TrustDomain, loaded: &Loaded) {
    if loaded.document.trust.is_empty() {
        tracing::warn!(%trust_domain, "{NO_AUTHORITIES}");
    }
}
