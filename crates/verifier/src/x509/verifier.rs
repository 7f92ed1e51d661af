//! The way from a chain to a [`VerifiedCertificate`]: everything that is checked, in one call.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use dayfly_token::feed::{Kind, Prefix};
use dayfly_token::{SpiffeId, TrustDomain, UnixTime, WorkloadId};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::CertificateDer;

use super::builder::CertificateVerifierBuilder;
use super::bundle::{BundleError, TrustBundle};
use super::chain::Usage;
use super::leaf::Leaf;
use super::proven::ProvenCache;
use super::rejection::{CertificateRejection, Reason};
use super::verified::VerifiedCertificate;
use crate::revocation::{Facts, Marks, prefix};
use crate::svid::{self, MAX_CERTIFICATE_BYTES};
use crate::{Freshness, MAX_LEEWAY_SECS, PeerCertificate, RevocationSource, Revocations, Verifier};

/// Most certificates that a peer may send: a leaf, a few intermediates, a root that should not be there. Path building
/// allows fewer ([`MAX_INTERMEDIATES`](super::MAX_INTERMEDIATES)).
pub const MAX_CHAIN: usize = 10;

/// Checks certificates that one dayfly issuer minted, for both ends of TLS connections. Cloning is cheap, and clones
/// share the bundle and the revocations.
///
/// It checks, in this order: number and size of the certificates; the rules of X.509-SVIDs for the leaf; that the trust
/// domain is the bundle's; a path to that bundle and to nothing else, every certificate of it valid now; that the
/// identity is a workload's, and the leaf one of a dayfly issuer: extended key usage, serial number, private extension;
/// the issuing instant and the lifetime; revocation of the signing keys, of the serial number, its ancestors, task,
/// rule, workload and owner, all as of the issuing instant; how old the knowledge of revocations is.
///
/// A certificate without the private extension is refused, even if an authority of the bundle signed it: without its
/// issuing instant no cut-off could be applied to it.
#[derive(Clone)]
pub struct CertificateVerifier {
    inner: Arc<Inner>,
}

struct Inner {
    trust_domain: TrustDomain,
    in_force: ArcSwap<InForce>,
    /// The highest `spiffe_sequence` that was ever in force. Held while a bundle is replaced.
    sequence: Mutex<Option<u64>>,
    knowledge: Knowledge,
    algorithms: WebPkiSupportedAlgorithms,
}

/// A bundle, and what was proven against it.
struct InForce {
    bundle: TrustBundle,
    proven: ProvenCache<Proven>,
}

/// Where revocations and limits come from.
pub(super) enum Knowledge {
    Own {
        source: RevocationSource,
        revocations: Arc<Revocations>,
        max_lifetime_secs: u64,
        max_staleness_secs: u64,
    },
    Shared(Verifier),
}

/// A leaf with a path: what does not change while its path is valid and the bundle in force.
pub(super) struct Proven {
    pub(super) id: SpiffeId,
    pub(super) workload: WorkloadId,
    pub(super) leaf: Leaf,
    pub(super) key_ids: Vec<String>,
    /// What revocations can name of it, and of the keys above its issuer's: whoever taints an authority means what its
    /// intermediates signed.
    marks: Marks,
    above: Vec<Prefix>,
}

impl CertificateVerifier {
    /// Starts a verifier of the certificates that `bundle` stands for.
    pub const fn builder(bundle: TrustBundle) -> CertificateVerifierBuilder {
        CertificateVerifierBuilder::new(bundle)
    }

    /// A verifier that shares revocations, their staleness and the longest lifetime with the verifier of the same
    /// issuer's tokens, which it keeps alive, its follower included.
    ///
    /// # Errors
    /// If the bundle has an authority of another trust domain.
    pub fn sharing(verifier: &Verifier, bundle: TrustBundle) -> Result<Self, BundleError> {
        Self::new(bundle, Knowledge::Shared(verifier.clone()))
    }

    pub(super) fn new(bundle: TrustBundle, knowledge: Knowledge) -> Result<Self, BundleError> {
        bundle.check_own()?;
        Ok(Self {
            inner: Arc::new(Inner {
                trust_domain: bundle.trust_domain().clone(),
                sequence: Mutex::new(bundle.sequence()),
                in_force: ArcSwap::from_pointee(InForce::new(bundle)),
                knowledge,
                algorithms: crate::tls::provider().signature_verification_algorithms,
            }),
        })
    }

    /// Puts another bundle of the same trust domain in force. Connections stay; new ones, and the requests that are
    /// rechecked, are judged by the new bundle alone. A bundle that is refused leaves the present one in force.
    ///
    /// # Errors
    /// If it is the bundle of another trust domain, has an authority of another one, or is a document that is older
    /// than one that was in force ([`TrustBundle::check_follows`]).
    pub fn replace_bundle(&self, bundle: TrustBundle) -> Result<(), BundleError> {
        if bundle.trust_domain() != self.trust_domain() {
            return Err(BundleError::TrustDomain {
                reason: "not the one of this verifier".to_owned(),
            });
        }
        bundle.check_own()?;
        let mut highest = self
            .inner
            .sequence
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        bundle.check_follows(*highest)?;
        *highest = bundle.sequence().or(*highest);
        self.inner.in_force.store(Arc::new(InForce::new(bundle)));
        Ok(())
    }

    /// Whose certificates it verifies.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.inner.trust_domain
    }

    /// The bundle in force.
    #[must_use]
    pub fn bundle(&self) -> TrustBundle {
        self.inner.in_force.load().bundle.clone()
    }

    /// The revocation state, which may be merged into at any time.
    #[must_use]
    pub fn revocations(&self) -> &Arc<Revocations> {
        match &self.inner.knowledge {
            Knowledge::Own { revocations, .. } => revocations,
            Knowledge::Shared(verifier) => verifier.revocations(),
        }
    }

    /// Checks the client certificate of an open connection again, as of `now`: call it for each request. TLS looks at
    /// a certificate once, and the connection keeps its peer, however long ago it expired or was revoked.
    ///
    /// What the handshake proved is remembered, so that it costs no signature check while the bundle stays the same.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn recheck(
        &self,
        peer: &PeerCertificate,
        now: UnixTime,
    ) -> Result<VerifiedCertificate, CertificateRejection> {
        self.check_peer(peer, Usage::Client, now)
    }

    pub(crate) fn check_peer(
        &self,
        peer: &PeerCertificate,
        usage: Usage,
        now: UnixTime,
    ) -> Result<VerifiedCertificate, CertificateRejection> {
        let intermediates: Vec<CertificateDer<'_>> = peer
            .chain()
            .iter()
            .skip(1)
            .map(|der| CertificateDer::from(der.as_slice()))
            .collect();
        self.check(peer.leaf(), &intermediates, usage, now)
    }

    /// For a chain whose leaf's key the handshake proves, or has proved.
    pub(crate) fn check(
        &self,
        leaf: &[u8],
        intermediates: &[CertificateDer<'_>],
        usage: Usage,
        now: UnixTime,
    ) -> Result<VerifiedCertificate, CertificateRejection> {
        check_size(leaf, intermediates)?;
        let in_force = self.inner.in_force.load();
        let thumbprint = dayfly_keys::sha256(leaf);
        let proven = match in_force.proven.get(&thumbprint, usage, now) {
            Some(proven) => proven,
            None => {
                let algorithms = &self.inner.algorithms;
                let bundle = &in_force.bundle;
                let (validity, proven) =
                    bundle.prove(leaf, intermediates, usage, algorithms, now)?;
                let proven = Arc::new(proven);
                let known = Arc::clone(&proven);
                in_force.proven.insert(thumbprint, usage, validity, known);
                proven
            }
        };
        let knowledge = &self.inner.knowledge;
        check_times(&proven.leaf, knowledge.max_lifetime_secs())?;
        check_revocation(&proven, self.revocations())?;
        let freshness = knowledge.freshness(now)?;
        Ok(VerifiedCertificate { proven, freshness })
    }

    pub(crate) fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.inner.algorithms
    }
}

impl fmt::Debug for CertificateVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateVerifier")
            .field("trust_domain", self.trust_domain())
            .finish_non_exhaustive()
    }
}

impl InForce {
    fn new(bundle: TrustBundle) -> Self {
        Self {
            bundle,
            proven: ProvenCache::default(),
        }
    }
}

impl Proven {
    fn new(id: SpiffeId, workload: WorkloadId, leaf: Leaf, key_ids: Vec<String>) -> Self {
        let marks = Facts {
            kid: key_ids.first().map_or("", String::as_str),
            jti: &leaf.serial.to_string(),
            sub: id.as_str(),
            txn: leaf.claims.txn.as_deref(),
            rule: Some(&leaf.claims.dfy.rule),
            ancestors: &leaf.claims.dfy.anc,
            actors: None,
            issued_at: leaf.claims.iat,
        }
        .marks();
        let above = key_ids.iter().skip(1);
        Self {
            marks,
            above: above.map(|kid| prefix(Kind::Key, kid)).collect(),
            id,
            workload,
            leaf,
            key_ids,
        }
    }
}

impl Knowledge {
    fn max_lifetime_secs(&self) -> u64 {
        match self {
            Self::Own {
                max_lifetime_secs, ..
            } => *max_lifetime_secs,
            Self::Shared(verifier) => verifier.max_lifetime_secs(),
        }
    }

    fn freshness(&self, now: UnixTime) -> Result<Freshness, Reason> {
        let freshness = match self {
            Self::Own {
                source,
                revocations,
                max_staleness_secs,
                ..
            } => crate::staleness::freshness(*source, revocations, *max_staleness_secs, now),
            Self::Shared(verifier) => verifier.core().freshness(now),
        };
        freshness.map_err(|source| Reason::Staleness { source })
    }
}

/// Before anything is parsed or hashed.
fn check_size(leaf: &[u8], intermediates: &[CertificateDer<'_>]) -> Result<(), Reason> {
    let count = intermediates.len() + 1;
    if count > MAX_CHAIN {
        return Err(Reason::Count {
            count,
            limit: MAX_CHAIN,
        });
    }
    let lengths = intermediates.iter().map(|der| der.len());
    match std::iter::once(leaf.len())
        .chain(lengths)
        .find(|length| *length > MAX_CERTIFICATE_BYTES)
    {
        Some(length) => Err(Reason::TooLarge { length }),
        None => Ok(()),
    }
}

impl TrustBundle {
    /// SPIFFE X509-SVID section 5: the rules of the leaf first, then the path, with the bundle of its trust domain
    /// alone; then what makes a leaf one of ours.
    fn prove(
        &self,
        leaf: &[u8],
        intermediates: &[CertificateDer<'_>],
        usage: Usage,
        algorithms: &WebPkiSupportedAlgorithms,
        now: UnixTime,
    ) -> Result<(super::Validity, Proven), Reason> {
        let id = svid::identity_of(leaf).map_err(|source| Reason::Svid { source })?;
        if id.trust_domain() != self.trust_domain() {
            return Err(Reason::Domain {
                found: id.trust_domain().clone(),
                expected: self.trust_domain().clone(),
            });
        }
        let path = self
            .check_path(leaf, intermediates, usage, algorithms, now)
            .map_err(|source| Reason::Chain { source })?;
        // Cut-offs go by owner and workload: an identity without them could not be cut off.
        let Ok(workload) = WorkloadId::from_spiffe_id(&id) else {
            return Err(Reason::Workload { id });
        };
        let leaf = Leaf::read(leaf).map_err(|source| Reason::Leaf { source })?;
        let proven = Proven::new(id, workload, leaf, path.key_ids);
        Ok((path.validity, proven))
    }
}

/// The issuing instant decides what cut-offs say, so that it has to lie where an issuer puts it: at most a little after
/// `notBefore`, and not after the end. One far ahead would outlive every cut-off.
fn check_times(leaf: &Leaf, limit_secs: u64) -> Result<(), Reason> {
    let issued_at = leaf.claims.iat;
    let latest = leaf.validity.not_before.saturating_add(MAX_LEEWAY_SECS);
    let until = leaf.validity.not_after;
    if issued_at < leaf.validity.not_before || issued_at > latest || issued_at > until {
        return Err(Reason::Instant { issued_at });
    }
    let lifetime_secs = until.seconds_since(issued_at);
    if lifetime_secs > limit_secs {
        return Err(Reason::LifetimeTooLong {
            lifetime_secs,
            limit_secs,
        });
    }
    Ok(())
}

fn check_revocation(proven: &Proven, revocations: &Revocations) -> Result<(), Reason> {
    let issued_at = proven.leaf.claims.iat;
    if let Some(kind) = revocations.find_marked(&proven.marks) {
        return Err(Reason::Revoked { kind });
    }
    let tainted = |key: &Prefix| revocations.is_dead(key, issued_at);
    if proven.above.iter().any(tainted) {
        return Err(Reason::Revoked { kind: Kind::Key });
    }
    Ok(())
}
