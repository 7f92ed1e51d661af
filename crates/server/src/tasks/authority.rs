//! The intermediate certificate of this replica, renewed in time.

use std::sync::{Arc, Mutex, PoisonError};

use dayfly_issuer::x509::{CaError, IssuingCa, RootKey, bundle_document};
use dayfly_token::{TrustDomain, UnixTime};

use crate::http::whole_chain;
use crate::rim::SystemRng;

/// How long an intermediate lives, in seconds: a day; the longest leaf lives an hour.
const INTERMEDIATE_SECS: u64 = 24 * 3600;

/// How often to look at the bundle, in seconds: the default of SPIFFE.
const REFRESH_HINT_SECS: u64 = 300;

/// The root, and the present intermediate under it.
pub(crate) struct Authority {
    root: Box<dyn RootKey>,
    trust_domain: TrustDomain,
    replica: String,
    present: Mutex<Arc<IssuingCa>>,
    bundle: Arc<str>,
}

impl Authority {
    /// Makes the first intermediate.
    pub(crate) fn new(
        root: Box<dyn RootKey>,
        trust_domain: TrustDomain,
        replica: String,
        now: UnixTime,
    ) -> Result<Self, CaError> {
        let present = intermediate(root.as_ref(), &trust_domain, &replica, now)?;
        // The instant from which the root is valid: the same at every replica that has this root,
        // and later for each root that replaces another.
        let sequence = valid_from(root.certificate()).unwrap_or(now);
        let bundle = bundle_document(&[root.certificate()], sequence.as_secs(), REFRESH_HINT_SECS)?;
        Ok(Self {
            root,
            trust_domain,
            replica,
            present: Mutex::new(Arc::new(present)),
            bundle: bundle.into(),
        })
    }

    /// The intermediate that signs now.
    pub(crate) fn present(&self) -> Arc<IssuingCa> {
        Arc::clone(&self.present.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The next intermediate, if it is time.
    pub(crate) fn renew(&self, now: UnixTime) -> Option<Arc<IssuingCa>> {
        if !self.present().needs_renewal(now) {
            return None;
        }
        match intermediate(self.root.as_ref(), &self.trust_domain, &self.replica, now) {
            Ok(next) => {
                let next = Arc::new(next);
                *self.present.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&next);
                tracing::info!(id = next.id(), "a new intermediate certificate signs");
                Some(next)
            }
            Err(error) => {
                let error = whole_chain(&error);
                tracing::error!(error, "the intermediate certificate was not renewed");
                None
            }
        }
    }

    /// The SPIFFE bundle with the root.
    pub(crate) fn bundle_document(&self) -> Arc<str> {
        Arc::clone(&self.bundle)
    }

    /// Why no certificates can be issued.
    pub(crate) fn unready(&self, now: UnixTime) -> Option<&'static str> {
        (self.present().not_after() <= now).then_some("the intermediate certificate has expired")
    }
}

fn intermediate(
    root: &dyn RootKey,
    trust_domain: &TrustDomain,
    replica: &str,
    now: UnixTime,
) -> Result<IssuingCa, CaError> {
    IssuingCa::new(
        root,
        trust_domain,
        replica,
        INTERMEDIATE_SECS,
        now,
        &mut SystemRng,
    )
}

fn valid_from(der: &[u8]) -> Option<UnixTime> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let secs = certificate.validity().not_before.timestamp();
    u64::try_from(secs).ok().map(UnixTime::from_secs)
}
