//! What every handler and every background task shares.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use arc_swap::ArcSwap;
use bytes::Bytes;
use dayfly_attest::Attestor;
use dayfly_issuer::control::{ControlView, KeyUse};
use dayfly_issuer::feed::{FeedError, FeedSigner};
use dayfly_issuer::lifecycle::KeyLifecycle;
use dayfly_issuer::revoke::Retention;
use dayfly_issuer::{Clock, Issuer};
use dayfly_policy::{MAX_LIFETIME_SECS, Source};
use dayfly_verifier::{MAX_LEEWAY_SECS, Rejection, RejectionCode, Verifier};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::audit::AuditTrail;
use crate::config::{Config, IssuerUrl};
use crate::feed::FeedHub;
use crate::metrics::Metrics;
use crate::rim::SystemClock;
use crate::tasks::authority::Authority;

/// L and S at their largest: what a revocation outlives. The registry's own L can grow at a reload,
/// and what was revoked before must still be known then.
pub(crate) const RETENTION: Retention = Retention {
    max_lifetime_secs: MAX_LIFETIME_SECS,
    leeway_secs: MAX_LEEWAY_SECS,
};

/// A snapshot is signed once for all who ask within this time, in milliseconds: asking costs
/// nothing, and nobody can make the issuer sign without end.
const SNAPSHOT_MS: u64 = 1000;

/// The state of one server.
pub(crate) struct App {
    pub(crate) issuer_url: IssuerUrl,
    /// The name of this replica.
    pub(crate) replica: String,
    pub(crate) clock: SystemClock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) audit: AuditTrail,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) control: Arc<RwLock<ControlView>>,
    pub(crate) attestor: ArcSwap<Attestor>,
    /// Our own tokens whose audience is the issuer.
    pub(crate) own: Verifier,
    /// Our own tokens of any audience.
    pub(crate) own_any: Verifier,
    /// Our own tokens of any audience, whoever shows them.
    pub(crate) own_unbound: Verifier,
    pub(crate) feed: FeedHub,
    pub(crate) signer: Mutex<FeedSigner>,
    pub(crate) lifecycle: Mutex<KeyLifecycle>,
    pub(crate) authority: Option<Authority>,
    /// How far the control follower is.
    pub(crate) followed: watch::Sender<Progress>,
    /// Whether the last attempt to publish keys failed.
    pub(crate) publishing_fails: AtomicBool,
    /// Wakes the task that looks after the keys.
    pub(crate) keys_wanted: tokio::sync::Notify,
    /// Wakes the task that signs the feed.
    pub(crate) feed_wanted: tokio::sync::Notify,
    /// Places for what waits to be settled with the ledger.
    pub(crate) settling: Arc<Semaphore>,
    /// Ends every stream and loop.
    pub(crate) stopping: CancellationToken,
    pub(super) config: ArcSwap<Config>,
    pub(super) snapshot: Mutex<Option<Snapshot>>,
}

/// How far the control follower is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    /// Steps that went well.
    pub(crate) steps: u64,
    /// Steps that changed something.
    pub(crate) changes: u64,
}

/// A snapshot that was signed.
pub(super) struct Snapshot {
    text: Bytes,
    signed_ms: u64,
    /// The changes that it covers.
    changes: u64,
}

impl App {
    /// The configuration in force.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// Puts another configuration in force.
    pub(crate) fn set_config(&self, config: Config) {
        self.config.store(Arc::new(config));
    }

    /// Whether evidence can come from a source of this name, such as `oidc:github`.
    pub(crate) fn knows_source(&self, name: &str) -> bool {
        let attestor = self.attestor.load();
        let domains = attestor.trust_bundles().status().into_iter();
        let issuers = attestor.oidc_issuers().status().into_iter();
        domains
            .map(|domain| Source::TrustDomain(domain.trust_domain))
            .chain(issuers.map(|issuer| Source::Issuer(issuer.name)))
            .chain([Source::Own])
            .any(|source| source.to_string() == name)
    }

    /// The control state. Held for a moment only, and never across an `await`.
    pub(crate) fn view(&self) -> RwLockReadGuard<'_, ControlView> {
        self.control.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The signing keys of this replica.
    pub(crate) fn keys(&self) -> MutexGuard<'_, KeyLifecycle> {
        self.lifecycle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The signer of the feed.
    pub(crate) fn feed_signer(&self) -> MutexGuard<'_, FeedSigner> {
        self.signer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long revocations are kept.
    #[expect(
        clippy::unused_self,
        reason = "reads as a property of the server at its callers"
    )]
    pub(crate) const fn retention(&self) -> Retention {
        RETENTION
    }

    /// The algorithm of our tokens, by its name in JWTs.
    pub(crate) fn algorithm(&self) -> &'static str {
        crate::config::algorithm(self.config().keys.algorithm).name()
    }

    /// Where the roots of our certificates are.
    pub(crate) fn bundle_endpoint(&self) -> String {
        format!("{}/spiffe/bundle.json", self.issuer_url)
    }

    /// The SPIFFE bundle of our trust domain, if certificates are issued.
    pub(crate) fn bundle_document(&self) -> Option<Arc<str>> {
        self.authority.as_ref().map(Authority::bundle_document)
    }

    /// The present snapshot of the feed. All answers share its bytes: readers that dawdle over a
    /// large one would hold gigabytes of copies.
    pub(crate) fn snapshot(&self) -> Result<Bytes, FeedError> {
        let now = self.clock.now();
        let changes = self.followed.borrow().changes;
        let mut cached = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |s: &&Snapshot| {
            s.changes == changes && now.monotonic_ms.saturating_sub(s.signed_ms) < SNAPSHOT_MS
        };
        if let Some(known) = cached.as_ref().filter(fits) {
            return Ok(known.text.clone());
        }
        let text: Bytes = self.feed_signer().snapshot(&self.view(), now)?.into();
        *cached = Some(Snapshot {
            text: text.clone(),
            signed_ms: now.monotonic_ms,
            changes,
        });
        Ok(text)
    }

    /// Whether a token that our own verifiers refused may be good all the same, because this replica
    /// does not know the present keys and revocations.
    pub(crate) fn is_in_doubt(&self, refused: &Rejection) -> bool {
        match refused.code() {
            RejectionCode::RevocationStale => true,
            RejectionCode::KeysUnavailable | RejectionCode::UnknownKid => {
                !self.view().hears(self.clock.now())
            }
            _ => false,
        }
    }

    /// Why no new work is welcome; empty when it is.
    pub(crate) fn unready(&self) -> Vec<String> {
        let now = self.clock.now();
        let mut reasons = Vec::new();
        if let Err(reason) = self.keys().readiness(now, &self.view()) {
            reasons.push(reason.to_string());
        }
        if !self.audit.is_healthy() {
            reasons.push("the audit trail cannot be written".to_owned());
        }
        if let Some(reason) = self.authority.as_ref().and_then(|a| a.unready(now.time())) {
            reasons.push(reason.to_owned());
        }
        reasons
    }

    /// The wall clock, in seconds since 1970.
    #[cfg(test)]
    pub(crate) fn clock_secs(&self) -> u64 {
        self.clock.now().unix_ms / 1000
    }

    /// Sets the gauges that nobody else keeps.
    pub(crate) fn refresh_gauges(&self) {
        let now = self.clock.now();
        let count = |key_use| i64::try_from(self.view().keys(key_use, now.time()).count());
        let set = |name, count: i64| self.metrics.keys.get_or_create(&[("use", name)]).set(count);
        set("token", count(KeyUse::Token).unwrap_or(i64::MAX));
        set("feed", count(KeyUse::Feed).unwrap_or(i64::MAX));
        let age = self
            .view()
            .as_of()
            .map(|as_of| now.time().seconds_since(as_of));
        #[expect(clippy::cast_precision_loss, reason = "seconds for a gauge")]
        self.metrics
            .control_age
            .set(age.map_or(f64::INFINITY, |age| age as f64));
        self.metrics.ready.set(i64::from(self.unready().is_empty()));
        let starts = self.keys().cold_starts();
        self.metrics
            .cold_starts
            .set(i64::try_from(starts).unwrap_or(i64::MAX));
        self.metrics
            .audit_backlog
            .set(i64::try_from(self.audit.backlog()).unwrap_or(i64::MAX));
        let attestor = self.attestor.load();
        let issuers = attestor.oidc_issuers().status().into_iter();
        let bundles = attestor.trust_bundles().status().into_iter();
        self.metrics.sources(
            issuers.map(|issuer| (issuer.name.to_string(), issuer.ready)),
            bundles.map(|bundle| (bundle.trust_domain.to_string(), bundle.authorities)),
        );
    }
}
